//! The command line of the console program.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::analysis::diagnosis::pattern::PatternId;
use crate::base::addr::Va;
use crate::base::version::VERSION;
use crate::present::stacks::StackForm;
use crate::report::csv::CsvTable;
use crate::sample::Variant;

/// Shows what grew over a series of Windows process memory dumps.
///
/// Exit codes: 0 done, 1 nothing could be analysed, 2 wrong use, 3 analysed with damage, 4 a finding of --fail-on was made.
#[derive(Parser, Debug)]
#[command(name = "dumptrend-cli", version = VERSION)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Analyse dumps and UMDH logs as one series and print a report.
    Report(ReportArguments),
    /// List memory of a dump as pointers with their symbols, as WinDbg's dps does.
    Dps(DpsArguments),
    /// List the stacks of all threads of a dump, as WinDbg's ~*k does.
    Stacks(StacksArguments),
    /// Write a UMDH log of a dump: the entries of its stack trace database, by stack.
    Umdh(UmdhArguments),
    /// Write a sample series: six dumps of one run of AllocFree.exe with a UMDH log each, or a variant for another Windows.
    Sample(SampleArguments),
}

#[derive(Args, Debug)]
pub struct ReportArguments {
    /// Dumps and UMDH logs, together or alone, and folders that hold them (.dmp, .mdmp, .hdmp; .log, .txt).
    pub inputs: Vec<PathBuf>,
    /// Analyse the built-in sample series.
    #[arg(long, conflicts_with = "inputs")]
    pub sample: bool,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Which table a CSV report holds, uses when not said. Blocks of a heap one by one are saved in the window.
    #[arg(long, value_enum)]
    pub table: Option<Table>,
    /// Write to a file instead of standard output.
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Compare with this dump, by its number in time order, instead of the first.
    #[arg(long, value_name = "N")]
    pub baseline: Option<usize>,
    /// End with exit code 4 when one of these findings was made: a gate for soak tests. Several with commas between.
    #[arg(long, value_name = "FINDING", value_delimiter = ',', value_parser = patterns())]
    pub fail_on: Vec<PatternId>,
    #[command(flatten)]
    pub symbols: SymbolArguments,
}

/// Takes the keys of the JSON report, and lists them in the help.
fn patterns() -> impl TypedValueParser<Value = PatternId> {
    let keys = PossibleValuesParser::new(PatternId::ALL.map(PatternId::key));
    keys.try_map(|key| PatternId::parse(&key).ok_or("there is no such finding"))
}

#[derive(Args, Clone, Debug, Default)]
pub struct SymbolArguments {
    /// A folder with PDBs, or a symbol path (srv*STORE*URL, cache*STORE, lists with ;). May be given more than once. Looked
    /// at before the folders of the dumps and _NT_SYMBOL_PATH. Servers in it are asked for what is not on this machine, and
    /// what they give is kept in its store: srv* alone is Microsoft's server with the debuggers' own store.
    #[arg(long = "symbol-path", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Ask the servers of _NT_SYMBOL_PATH too. Without this nothing is downloaded but from servers that --symbol-path names.
    #[arg(long)]
    pub download: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// For reading, in WinDbg's forms where it has one.
    Text,
    /// The text report as Markdown, for a tracker or a wiki.
    Markdown,
    /// For programs.
    Json,
    /// One file with plots, to send or print.
    Html,
    /// One table: see --table.
    Csv,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Table {
    /// What was found, ruled out and undecided, with the evidence.
    Findings,
    /// All dumps.
    Dumps,
    /// Committed memory by use.
    Uses,
    /// Committed memory by type.
    Types,
    /// Regions of the last dump.
    Regions,
    /// Allocations of the two compared dumps: born, grown, shrunk, gone.
    Allocations,
    /// Open handles by type, in each dump.
    Handles,
    /// Modules: loaded, unloaded, moved, replaced.
    Modules,
    /// Where the names of each module come from.
    Symbols,
    /// Threads of the last dump.
    Threads,
    /// CPU time of each thread in each interval.
    Cpu,
    /// Equal stacks of threads.
    ThreadStacks,
    /// Stacks of the stack trace database.
    Stacks,
    /// Heaps.
    Heaps,
    /// Blocks of each heap by size.
    BlockSizes,
    /// Stacks of the UMDH logs.
    Umdh,
    /// The UMDH logs with their totals.
    UmdhLogs,
    /// A comparison of two UMDH logs.
    UmdhComparison,
    /// What was damaged, missing or noteworthy.
    Log,
}

impl From<Table> for CsvTable {
    fn from(table: Table) -> Self {
        match table {
            Table::Findings => Self::Findings,
            Table::Dumps => Self::Dumps,
            Table::Uses => Self::Uses,
            Table::Types => Self::Types,
            Table::Regions => Self::Regions,
            Table::Allocations => Self::Allocations,
            Table::Handles => Self::Handles,
            Table::Modules => Self::Modules,
            Table::Symbols => Self::Symbols,
            Table::Threads => Self::Threads,
            Table::Cpu => Self::Cpu,
            Table::ThreadStacks => Self::ThreadStacks,
            Table::Stacks => Self::Stacks,
            Table::Heaps => Self::Heaps,
            Table::BlockSizes => Self::BlockSizes,
            Table::Umdh => Self::Umdh,
            Table::UmdhLogs => Self::UmdhLogs,
            Table::UmdhComparison => Self::UmdhComparison,
            Table::Log => Self::Log,
        }
    }
}

#[derive(Args, Debug)]
pub struct DpsArguments {
    pub dump: PathBuf,
    /// Hexadecimal, as pasted: with or without a backtick, 0x, or a trailing h.
    #[arg(value_parser = parse_address)]
    pub address: Va,
    /// How many pointers to list.
    #[arg(default_value_t = 16)]
    pub count: u64,
    #[command(flatten)]
    pub symbols: SymbolArguments,
}

fn parse_address(text: &str) -> Result<Va, String> {
    Va::parse(text).ok_or_else(|| "an address is hexadecimal, for instance 00000000`0188be00".to_owned())
}

#[derive(Args, Debug)]
pub struct StacksArguments {
    pub dump: PathBuf,
    /// Which columns: k as WinDbg's k, kc call sites alone, full with the trust in each frame.
    #[arg(long, value_enum, default_value_t = Form::K)]
    pub form: Form,
    #[command(flatten)]
    pub symbols: SymbolArguments,
    /// Where image files are, by name or as in a symbol store: for dumps that do not hold the images. They are looked for
    /// where symbols are, too.
    #[arg(long, value_name = "FOLDER")]
    pub images: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Form {
    K,
    Kc,
    Full,
}

impl From<Form> for StackForm {
    fn from(form: Form) -> Self {
        match form {
            Form::K => Self::Plain,
            Form::Kc => Self::CallSites,
            Form::Full => Self::Full,
        }
    }
}

#[derive(Args, Debug)]
pub struct UmdhArguments {
    pub dump: PathBuf,
    /// Write to a file instead of standard output.
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct SampleArguments {
    /// The folder to write to; it is made when it is not there.
    pub folder: PathBuf,
    /// Which sample: series, case-a, x86, win10, xp, heap-leak, region-leak, fluctuation or original.
    #[arg(long, value_name = "NAME", default_value = "series", value_parser = parse_variant)]
    pub variant: Variant,
    /// Make each dump this large, for measuring: bytes, or with K, M or G. The files are sparse.
    #[arg(long, value_name = "BYTES_PER_DUMP", value_parser = parse_size)]
    pub size: Option<u64>,
}

fn parse_variant(name: &str) -> Result<Variant, String> {
    Variant::parse(name).ok_or_else(|| {
        let names: Vec<&str> = Variant::ALL.iter().map(|variant| variant.name()).collect();
        format!("there is {}", names.join(", "))
    })
}

fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|error| format!("{error}"))?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes_take_units() {
        assert_eq!(parse_size("4G"), Ok(4 << 30));
        assert_eq!(parse_size("4096"), Ok(4096));
        assert!(parse_size("99999999999G").is_err());
        assert!(parse_size("").is_err());
    }
}
