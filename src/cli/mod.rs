//! The console program: options → analysis → report. Results on standard output, progress on standard error.

mod args;
pub mod error;

use std::io::{BufWriter, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;

use crate::analysis::capsule::write_capsule;
use crate::analysis::diagnosis::pattern::PatternId;
use crate::analysis::run::{
    Downloads, SymbolSearch, decode_heaps, decode_traces, diagnose, join_blocks_and_stacks, load_symbols,
    load_symbols_of, named_stacks_of, read_logs, remove_caches, run_with_symbols as open_series, symbol_search,
    unwind_threads,
};
use crate::analysis::snapshot::Snapshot;
use crate::analysis::{Analysis, Failure};
use crate::base::addr::PointerWidth;
use crate::base::ids::DumpIdx;
use crate::base::printable::printable_path;
use crate::base::progress::{Cancelled, Progress};
use crate::present::diagnosis::{findings, found_patterns};
use crate::present::dps::{dps, dps_text, pointer_values};
use crate::present::stacks::thread_text;
use crate::report::csv::csv_report;
use crate::report::file::{WriteError, write_whole, write_whole_with};
use crate::report::html::html_report;
use crate::report::json::json_report;
use crate::report::text::{markdown_report, text_report};
use crate::report::umdh::{Written, write_umdh};
use crate::sample::{SampleOptions, write_sample};

use args::{
    Arguments, CapsuleArguments, Command, DpsArguments, Format, ReportArguments, SampleArguments, StacksArguments,
    SymbolArguments, UmdhArguments,
};
use error::CliError;

const MOST_DPS_LINES: u64 = 1 << 20;

/// What the program's exit code says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Done,
    NothingAnalysed,
    WrongUse,
    Damaged,
    /// A finding was made that the caller asked to fail on.
    FailedOn,
}

impl Outcome {
    const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NothingAnalysed => 1,
            Self::WrongUse => 2,
            Self::Damaged => 3,
            Self::FailedOn => 4,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome.code())
    }
}

/// Runs the console program with the process's arguments.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage_outcome(&error).into(),
    };
    let progress = Progress::default();
    let to_cancel = progress.clone();
    if let Err(error) = ctrlc::set_handler(move || to_cancel.cancel()) {
        eprintln!("dumptrend: Ctrl+C will not stop cleanly: {error}");
    }
    let outcome = match arguments.command {
        Command::Report(report) => run_report(&report, &progress),
        Command::Capsule(capsule) => run_capsule(&capsule, &progress),
        Command::Dps(dps) => run_dps(&dps, &progress),
        Command::Stacks(stacks) => run_stacks(&stacks, &progress),
        Command::Umdh(umdh) => run_umdh(&umdh, &progress),
        Command::Sample(sample) => run_sample(&sample, &progress),
    };
    exit_code(outcome)
}

/// Says on standard error why the work ended without an outcome.
fn exit_code(outcome: Result<Outcome, CliError>) -> ExitCode {
    let outcome = outcome.unwrap_or_else(|error| {
        eprintln!("dumptrend: {error}");
        Outcome::NothingAnalysed
    });
    outcome.into()
}

fn run_report(arguments: &ReportArguments, progress: &Progress) -> Result<Outcome, CliError> {
    if arguments.sample {
        let files = write_sample(&sample_folder(), &SampleOptions::default(), progress)?;
        return report_on(&files, arguments, progress);
    }
    if arguments.inputs.is_empty() {
        eprintln!("dumptrend: name the dumps and UMDH logs, or the folder that holds them, or use --sample");
        return Ok(Outcome::WrongUse);
    }
    report_on(&arguments.inputs, arguments, progress)
}

/// Prints what is wrong with a command line, or the help that it asked for, which is no wrong use.
pub fn usage_outcome(error: &clap::Error) -> Outcome {
    // Nothing is left to tell it to when the terminal is gone.
    drop(error.print());
    if error.use_stderr() { Outcome::WrongUse } else { Outcome::Done }
}

/// Deletes the caches of this user and the sample that was looked at, for the uninstaller.
pub fn forget_caches() -> ExitCode {
    // It may not be there, and what is left of it the system clears away with its folder.
    drop(std::fs::remove_dir_all(sample_folder()));
    exit_code(remove_caches().map(|()| Outcome::Done).map_err(CliError::RemoveCaches))
}

/// Prints the text report of some files or of the sample, for a window that found no display.
pub fn print_text_report(inputs: &[PathBuf], is_sample: bool) -> ExitCode {
    let arguments = ReportArguments {
        inputs: inputs.to_vec(),
        sample: is_sample,
        format: Format::Text,
        table: None,
        output: None,
        baseline: None,
        fail_on: Vec::new(),
        symbols: SymbolArguments::default(),
    };
    exit_code(run_report(&arguments, &Progress::default()))
}

/// A folder of its own for this version's sample in the system's temporary folder, and for each user, because what another
/// user wrote there cannot be written again.
pub fn sample_folder() -> PathBuf {
    let user = std::env::var("USER").or_else(|_| std::env::var("USERNAME")).unwrap_or_default();
    let user: String = user.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = ["dumptrend-sample", env!("CARGO_PKG_VERSION"), &user].join("-");
    std::env::temp_dir().join(name.trim_end_matches('-'))
}

fn report_on(inputs: &[PathBuf], arguments: &ReportArguments, progress: &Progress) -> Result<Outcome, CliError> {
    let analysis = Arc::new(with_progress_line(progress, || analyse(inputs, &arguments.symbols, progress))?);
    print_failures(&analysis.failures);
    if analysis.is_empty() {
        return Ok(Outcome::NothingAnalysed);
    }
    let baseline = match arguments.baseline {
        None => None,
        Some(number) if (1..=analysis.snapshots.len()).contains(&number) => Some(DumpIdx(number - 1)),
        Some(number) => {
            eprintln!("dumptrend: there is no dump {number}: the series has {} dumps", analysis.snapshots.len());
            return Ok(Outcome::WrongUse);
        }
    };
    if arguments.table.is_some() && arguments.format != Format::Csv {
        eprintln!("dumptrend: --table chooses the table of a CSV report; add --format csv");
        return Ok(Outcome::WrongUse);
    }
    if would_overwrite(&analysis, arguments.output.as_deref()) {
        return Ok(Outcome::WrongUse);
    }
    let text = render(&analysis, arguments, baseline)?;
    write_result(&text, arguments.output.as_deref())?;
    let failed_on = made_findings(&analysis, &arguments.fail_on, baseline);
    if !failed_on.is_empty() {
        eprintln!("dumptrend: found {}", failed_on.join(", "));
        return Ok(Outcome::FailedOn);
    }
    Ok(if analysis.has_damage() { Outcome::Damaged } else { Outcome::Done })
}

/// Which of the wanted findings were made, in any process.
fn made_findings(analysis: &Analysis, wanted: &[PatternId], baseline: Option<DumpIdx>) -> Vec<&'static str> {
    let made: Vec<PatternId> = analysis
        .groups
        .iter()
        .flat_map(|group| found_patterns(&findings(analysis, &group.compared_dumps(baseline))))
        .collect();
    wanted.iter().filter(|pattern| made.contains(pattern)).map(|pattern| pattern.key()).collect()
}

fn render(
    analysis: &Arc<Analysis>,
    arguments: &ReportArguments,
    baseline: Option<DumpIdx>,
) -> Result<String, CliError> {
    match arguments.format {
        Format::Text => Ok(text_report(analysis, baseline)),
        Format::Markdown => Ok(markdown_report(analysis, baseline)),
        Format::Json => Ok(json_report(analysis, baseline)?),
        Format::Html => Ok(html_report(analysis, baseline)),
        Format::Csv => Ok(csv_report(analysis, arguments.table.unwrap_or(args::Table::Uses).into(), baseline)),
    }
}

fn print_failures(failures: &[Failure]) {
    for failure in failures {
        eprintln!("dumptrend: {}", failure.text);
    }
}

/// Whether the output would replace one of the dumps that it is about; says so.
fn would_overwrite(analysis: &Analysis, output: Option<&Path>) -> bool {
    let Some(output) = output.and_then(|output| output.canonicalize().ok()) else { return false };
    let is_output = |path: &Path| path.canonicalize().is_ok_and(|path| path == output);
    let dumps = analysis.snapshots.iter().map(|snapshot| ("a dump", &snapshot.dump.path));
    let logs = analysis.logs.iter().map(|log| ("a UMDH log", &log.file.path));
    let capsule = analysis.capsule.iter().map(|capsule| ("the case capsule", &capsule.path));
    let Some((what, path)) = dumps.chain(logs).chain(capsule).find(|(_, path)| is_output(path)) else { return false };
    eprintln!("dumptrend: the output would replace {what}, name another file: {}", printable_path(path));
    true
}

/// Writes to a file, which appears whole or not at all, or to standard output.
fn write_result(text: &str, output: Option<&Path>) -> Result<(), CliError> {
    let Some(path) = output else { return print_result(text) };
    Ok(write_whole(path, text.as_bytes())?)
}

fn print_result(text: &str) -> Result<(), CliError> {
    let mut stdout = std::io::stdout();
    let printed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    unless_closed(printed.map_err(CliError::StandardOutput))
}

/// The reader of a pipe may have seen enough, which is no failure.
fn unless_closed<T: Default>(printed: Result<T, CliError>) -> Result<T, CliError> {
    match printed {
        Err(CliError::StandardOutput(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(T::default()),
        other => other,
    }
}

/// Where symbols are looked for.
fn symbols_of(arguments: &SymbolArguments) -> SymbolSearch {
    let downloads = if arguments.download { Downloads::AllServers } else { Downloads::UserServers };
    let search = symbol_search(arguments.paths.clone(), downloads);
    if arguments.download && !search.has_servers_to_ask() {
        eprintln!("dumptrend: no symbol path names a server to download from; --symbol-path srv* is Microsoft's");
    }
    search
}

/// All stages: the overview, heaps and stack traces, threads, names, the verdicts.
fn analyse(inputs: &[PathBuf], symbols: &SymbolArguments, progress: &Progress) -> Result<Analysis, Cancelled> {
    let search = symbols_of(symbols);
    let analysis = decode_heaps(&open_series(inputs, &search, progress)?, progress)?;
    let analysis = join_blocks_and_stacks(&decode_traces(&analysis, progress)?, progress)?;
    let analysis = read_logs(&analysis, progress)?;
    let named = load_symbols(&unwind_threads(&analysis, progress)?, &search, progress)?;
    diagnose(&named, progress)
}

fn run_capsule(arguments: &CapsuleArguments, progress: &Progress) -> Result<Outcome, CliError> {
    let analysis = with_progress_line(progress, || analyse(&arguments.inputs, &arguments.symbols, progress))?;
    print_failures(&analysis.failures);
    if analysis.is_empty() {
        return Ok(Outcome::NothingAnalysed);
    }
    let path = &arguments.output;
    if would_overwrite(&analysis, Some(path)) {
        return Ok(Outcome::WrongUse);
    }
    with_progress_line(progress, || write_whole_with(path, |out| write_capsule(&analysis, progress, out)))
        .map_err(|error| CliError::of_capsule(error, path))?;
    Ok(if analysis.has_damage() { Outcome::Damaged } else { Outcome::Done })
}

fn run_dps(arguments: &DpsArguments, progress: &Progress) -> Result<Outcome, CliError> {
    let search = symbols_of(&arguments.symbols);
    let analysis = open_series(std::slice::from_ref(&arguments.dump), &search, progress)?;
    print_failures(&analysis.failures);
    if is_only_in_capsule(&analysis, "memory is") {
        return Ok(Outcome::NothingAnalysed);
    }
    let Some(snapshot) = analysis.snapshots.first() else {
        if let Some(log) = analysis.logs.first() {
            let log = printable_path(&log.file.path);
            eprintln!("dumptrend: memory is of a dump, and this is a UMDH log; name a dump: {log}");
        }
        return Ok(Outcome::NothingAnalysed);
    };
    // A 32-bit program's own pointers are 32 bits wide, whatever wrote the dump.
    let width = if snapshot.is_wow64() { PointerWidth::Bits32 } else { snapshot.pointer_width() };
    // More would be a file, not a listing.
    let count = arguments.count.min(MOST_DPS_LINES);
    let memory = &snapshot.dump.memory;
    let values = pointer_values(memory, arguments.address, count, width);
    let symbols = load_symbols_of(snapshot, &search, values, progress)?;
    let lines = dps(memory, &symbols, arguments.address, count, width);
    let text: String = lines.iter().map(|line| dps_text(line, width) + "\n").collect();
    print_result(&text)?;
    Ok(if analysis.has_damage() { Outcome::Damaged } else { Outcome::Done })
}

fn run_stacks(arguments: &StacksArguments, progress: &Progress) -> Result<Outcome, CliError> {
    let analysis = match open_one(&arguments.dump, "stacks are", progress)? {
        Ok(analysis) => analysis,
        Err(outcome) => return Ok(outcome),
    };
    let Some(snapshot) = analysis.snapshots.first() else { return Ok(Outcome::NothingAnalysed) };
    let mut search = symbols_of(&arguments.symbols);
    search.user_folders.extend(arguments.images.clone());
    let named = with_progress_line(progress, || named_stacks_of(snapshot, &search, progress))?;
    if let Some(folder) = arguments.images.as_ref().filter(|_| named.image_count == 0) {
        eprintln!("dumptrend: no image of the dump's modules was found; look at {}", printable_path(folder));
    }
    let symbols = &named.symbols;
    // Both in the order of the thread list.
    let listed = snapshot.threads.iter().filter(|thread| thread.is_listed);
    let texts: Vec<String> = listed
        .zip(&named.stacks)
        .map(|(thread, (_, stacks))| thread_text(snapshot, thread, stacks, symbols, arguments.form.into()))
        .collect();
    print_result(&texts.join("\n"))?;
    Ok(if analysis.has_damage() { Outcome::Damaged } else { Outcome::Done })
}

/// Says so where a listing of memory is asked of a capsule.
fn is_only_in_capsule(analysis: &Analysis, what: &str) -> bool {
    if let Some(capsule) = &analysis.capsule {
        let path = printable_path(&capsule.path);
        eprintln!("dumptrend: {what} of a dump, and a case capsule holds no memory; name the dump: {path}");
    }
    analysis.capsule.is_some()
}

/// Opens what must be one dump; where it is none or several, says so and gives the outcome.
fn open_one(path: &Path, what: &str, progress: &Progress) -> Result<Result<Analysis, Outcome>, CliError> {
    let input = [path.to_owned()];
    let search = symbol_search(Vec::new(), Downloads::NotYet);
    let analysis = with_progress_line(progress, || open_series(&input, &search, progress))?;
    print_failures(&analysis.failures);
    if is_only_in_capsule(&analysis, what) {
        return Ok(Err(Outcome::NothingAnalysed));
    }
    if let (Some(log), true) = (analysis.logs.first(), analysis.snapshots.is_empty()) {
        let log = printable_path(&log.file.path);
        eprintln!("dumptrend: {what} of a dump, and this is a UMDH log, which the report shows; name a dump: {log}");
    }
    Ok(match analysis.snapshots.len() {
        0 => Err(Outcome::NothingAnalysed),
        1 => Ok(analysis),
        several => {
            let folder = printable_path(path);
            eprintln!("dumptrend: {what} of one dump, this folder has {several}; name one of them: {folder}");
            Err(Outcome::WrongUse)
        }
    })
}

fn run_umdh(arguments: &UmdhArguments, progress: &Progress) -> Result<Outcome, CliError> {
    let analysis = match open_one(&arguments.dump, "a log is", progress)? {
        Ok(analysis) => analysis,
        Err(outcome) => return Ok(outcome),
    };
    let Some(snapshot) = analysis.snapshots.first() else { return Ok(Outcome::NothingAnalysed) };
    if would_overwrite(&analysis, arguments.output.as_deref()) {
        return Ok(Outcome::WrongUse);
    }
    let written = match &arguments.output {
        None => unless_closed(print_umdh(snapshot, progress))?,
        Some(path) => {
            let written =
                with_progress_line(progress, || write_whole_with(path, |out| write_umdh(snapshot, progress, out)));
            written.map_err(|error| CliError::of_log(error, |source| WriteError::new(path, source).into()))?
        }
    };
    let has_damage = analysis.has_damage() || written.damaged_place_count > 0;
    Ok(if has_damage { Outcome::Damaged } else { Outcome::Done })
}

fn print_umdh(snapshot: &Snapshot, progress: &Progress) -> Result<Written, CliError> {
    let mut stdout = BufWriter::new(std::io::stdout().lock());
    let written = write_umdh(snapshot, progress, &mut stdout)
        .map_err(|error| CliError::of_log(error, CliError::StandardOutput))?;
    stdout.flush().map_err(CliError::StandardOutput)?;
    Ok(written)
}

fn run_sample(arguments: &SampleArguments, progress: &Progress) -> Result<Outcome, CliError> {
    let options = SampleOptions { variant: arguments.variant, size_bytes_per_dump: arguments.size };
    let files = with_progress_line(progress, || write_sample(&arguments.folder, &options, progress))?;
    let lines: String = files.iter().map(|file| format!("{}\n", file.display())).collect();
    print_result(&lines).map(|()| Outcome::Done)
}

/// Shows on a terminal's standard error how far the work is; a file or pipe gets nothing.
fn with_progress_line<T>(progress: &Progress, work: impl FnOnce() -> T) -> T {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let watched = progress.clone();
    let printer = std::thread::Builder::new().name("progress line".to_owned()).spawn(move || {
        let mut shown_width = 0;
        // Short work ends before the first line.
        while stopped
            .recv_timeout(Duration::from_millis(250))
            .is_err_and(|e| e == std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            let view = watched.view();
            let amount = if view.total > 0 { format!(" {} of {}", view.done, view.total) } else { String::new() };
            let line = format!("{}{amount}", view.stage);
            // Blanks, not an escape sequence: a console of Windows shows those as they are unless it is asked not to.
            eprint!("\r{line:<shown_width$}");
            shown_width = line.chars().count();
        }
        if shown_width > 0 {
            eprint!("\r{:shown_width$}\r", "");
        }
    });
    let result = work();
    drop(stop);
    if let Ok(printer) = printer {
        drop(printer.join());
    }
    result
}
