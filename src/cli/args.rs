//! The command line of the console program.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::base::addr::Va;
use crate::base::version::VERSION;
use crate::present::stacks::StackForm;
use crate::report::csv::CsvTable;
use crate::sample::Variant;

/// Shows what grew over a series of Windows process memory dumps.
///
/// Exit codes: 0 done, 1 nothing could be analysed, 2 wrong use, 3 analysed with damage.
#[derive(Parser, Debug)]
#[command(name = "dumptrend-cli", version = VERSION)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Analyse dumps as one series and print a report.
    Report(ReportArguments),
    /// List memory of a dump as pointers with their symbols, as WinDbg's dps does.
    Dps(DpsArguments),
    /// List the stacks of all threads of a dump, as WinDbg's ~*k does.
    Stacks(StacksArguments),
    /// Write a UMDH log of a dump: the entries of its stack trace database, by stack.
    Umdh(UmdhArguments),
    /// Write a sample series: six dumps of one run of AllocFree.exe, or a variant for another Windows.
    Sample(SampleArguments),
}

#[derive(Args, Debug)]
pub struct ReportArguments {
    /// Dumps, and folders that hold them (.dmp, .mdmp, .hdmp).
    pub inputs: Vec<PathBuf>,
    /// Analyse the built-in sample series.
    #[arg(long, conflicts_with = "inputs")]
    pub sample: bool,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Which table a CSV report holds, uses when not said; regions and threads are those of the last dump.
    #[arg(long, value_enum)]
    pub table: Option<Table>,
    /// Write to a file instead of standard output.
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Compare with this dump, by its number in time order, instead of the first.
    #[arg(long, value_name = "N")]
    pub baseline: Option<usize>,
    #[command(flatten)]
    pub symbols: SymbolArguments,
}

#[derive(Args, Clone, Debug, Default)]
pub struct SymbolArguments {
    /// A folder with PDBs, or a symbol path (srv*STORE, cache*STORE, lists with ;). May be given more than once. Looked at
    /// before the folders of the dumps and _NT_SYMBOL_PATH. Nothing is downloaded.
    #[arg(long = "symbol-path", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    Text,
    Json,
    Csv,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Table {
    Dumps,
    Uses,
    Regions,
    Threads,
    Stacks,
}

impl From<Table> for CsvTable {
    fn from(table: Table) -> Self {
        match table {
            Table::Dumps => Self::Dumps,
            Table::Uses => Self::Uses,
            Table::Regions => Self::Regions,
            Table::Threads => Self::Threads,
            Table::Stacks => Self::Stacks,
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
    /// Where image files are, by name or as in a symbol store: for dumps that do not hold the images.
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
    /// Which sample: series, case-a, x86, win10 or xp.
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
