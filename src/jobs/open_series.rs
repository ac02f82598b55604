//! Opens dumps as a series, or writes the sample series and opens that.

use std::path::PathBuf;
use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::capsule::{CapsuleError, EXTENSION, write_capsule};
use crate::analysis::diagnosis::{Finding, diagnose};
use crate::analysis::run::{
    Downloads, SymbolSearch, decode_heaps, decode_traces, join_blocks_and_stacks, load_symbols, read_logs,
    run_with_symbols, symbol_search, unwind_threads,
};
use crate::base::ids::DumpIdx;
use crate::base::progress::{Cancelled, Progress};
use crate::report::html::html_report;
use crate::sample::{SampleError, SampleOptions, write_sample};

/// What a job for the window gives.
#[derive(Debug)]
pub enum JobOutput {
    Opened {
        inputs: Vec<PathBuf>,
        analysis: Box<Analysis>,
    },
    /// What was opened, with one more stage done.
    Decoded(Box<Analysis>),
    HeapsDecoded(Box<Analysis>),
    /// Blocks in use tied to their stacks.
    Joined(Box<Analysis>),
    Unwound(Box<Analysis>),
    Named {
        analysis: Box<Analysis>,
        /// Servers may have more: [`download_symbols`].
        has_servers: bool,
    },
    LogsRead(Box<Analysis>),
    /// What these dumps show, as far as it was decoded then.
    Judged {
        generation: u64,
        dumps: Vec<DumpIdx>,
        findings: Vec<Finding>,
    },
    /// A file that was made, to be saved where the user says.
    Made {
        file_name: String,
        bytes: Vec<u8>,
    },
    /// A file was written.
    Saved(PathBuf),
    /// Commands were run as administrator.
    Ran(String),
    /// One line: what, where, what to do.
    Failed(String),
}

/// Opens files and folders.
///
/// # Errors
/// Only when cancelled.
pub fn open_series(inputs: Vec<PathBuf>, choice: &SymbolChoice, progress: &Progress) -> Result<JobOutput, Cancelled> {
    let analysis = Box::new(run_with_symbols(&inputs, &choice.search(Downloads::NotYet), progress)?);
    Ok(JobOutput::Opened { inputs, analysis })
}

/// Decodes the stack traces of what was opened.
///
/// # Errors
/// Only when cancelled.
pub fn decode_series(analysis: &Analysis, progress: &Progress) -> Result<JobOutput, Cancelled> {
    Ok(JobOutput::Decoded(Box::new(decode_traces(analysis, progress)?)))
}

/// Decodes the heaps of what was opened.
///
/// # Errors
/// Only when cancelled.
pub fn decode_series_heaps(analysis: &Analysis, progress: &Progress) -> Result<JobOutput, Cancelled> {
    Ok(JobOutput::HeapsDecoded(Box::new(decode_heaps(analysis, progress)?)))
}

/// Ties blocks in use to the stacks that allocated them.
///
/// # Errors
/// Only when cancelled.
pub fn join_series(analysis: &Analysis, progress: &Progress) -> Result<JobOutput, Cancelled> {
    Ok(JobOutput::Joined(Box::new(join_blocks_and_stacks(analysis, progress)?)))
}

/// Judges what some dumps show.
///
/// # Errors
/// Only when cancelled.
pub fn judge_series(
    analysis: &Analysis,
    generation: u64,
    dumps: Vec<DumpIdx>,
    progress: &Progress,
) -> Result<JobOutput, Cancelled> {
    progress.check()?;
    let findings = diagnose(analysis, &dumps);
    Ok(JobOutput::Judged { generation, dumps, findings })
}

/// Unwinds the threads of what was opened.
///
/// # Errors
/// Only when cancelled.
pub fn unwind_series(analysis: &Analysis, progress: &Progress) -> Result<JobOutput, Cancelled> {
    Ok(JobOutput::Unwound(Box::new(unwind_threads(analysis, progress)?)))
}

/// Reads the UMDH logs of what was opened, and joins them with the stacks that are decoded.
///
/// # Errors
/// Only when cancelled.
pub fn read_series_logs(analysis: &Analysis, progress: &Progress) -> Result<JobOutput, Cancelled> {
    Ok(JobOutput::LogsRead(Box::new(read_logs(analysis, progress)?)))
}

/// Makes the HTML report of what is decoded so far.
///
/// # Errors
/// Only when cancelled.
pub fn make_report(
    analysis: &Arc<Analysis>,
    baseline: Option<DumpIdx>,
    progress: &Progress,
) -> Result<JobOutput, Cancelled> {
    progress.check()?;
    let bytes = html_report(analysis, baseline).into_bytes();
    Ok(JobOutput::Made { file_name: "dumptrend-report.html".to_owned(), bytes })
}

/// Makes the case capsule of what is decoded.
///
/// # Errors
/// Only when cancelled.
pub fn make_capsule(analysis: &Analysis, progress: &Progress) -> Result<JobOutput, Cancelled> {
    let mut bytes = Vec::new();
    match write_capsule(analysis, progress, &mut bytes) {
        Ok(()) => Ok(JobOutput::Made { file_name: capsule_file_name(analysis), bytes }),
        Err(CapsuleError::Cancelled(cancelled)) => Err(cancelled),
        Err(error) => Ok(JobOutput::Failed(format!("the case capsule: {error}"))),
    }
}

/// The program's name: a capsule is kept beside others.
fn capsule_file_name(analysis: &Analysis) -> String {
    let image = analysis.main_group().and_then(|group| group.identity.image.as_deref()).unwrap_or_default();
    let stem: String = image.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).collect();
    let stem = stem.trim_matches('.').trim_end_matches(".exe");
    format!("{}.{EXTENSION}", if stem.is_empty() { "case" } else { stem })
}

/// Where the user wants symbols looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SymbolChoice {
    /// Looked in first; its servers may be asked.
    pub path: String,
    /// Whether the servers of `_NT_SYMBOL_PATH` may be asked too.
    pub is_download_on: bool,
}

impl SymbolChoice {
    fn search(&self, downloads: Downloads) -> SymbolSearch {
        let path = Some(self.path.trim()).filter(|path| !path.is_empty());
        symbol_search(path.map(PathBuf::from).into_iter().collect(), downloads)
    }

    fn with_servers(&self) -> SymbolSearch {
        self.search(if self.is_download_on { Downloads::AllServers } else { Downloads::UserServers })
    }

    /// Lets servers be asked again for what they did not have.
    pub fn forget_answers(&self) {
        self.with_servers().servers.forget();
    }
}

/// Reads the symbols of what was opened that are on this machine: names must not wait for a server.
///
/// # Errors
/// Only when cancelled.
pub fn name_series(analysis: &Analysis, choice: &SymbolChoice, progress: &Progress) -> Result<JobOutput, Cancelled> {
    let has_servers = choice.with_servers().has_servers_to_ask();
    let downloads = if has_servers { Downloads::NotYet } else { Downloads::UserServers };
    let analysis = Box::new(load_symbols(analysis, &choice.search(downloads), progress)?);
    Ok(JobOutput::Named { analysis, has_servers })
}

/// The same with those that servers have.
///
/// # Errors
/// Only when cancelled.
pub fn download_symbols(
    analysis: &Analysis,
    choice: &SymbolChoice,
    progress: &Progress,
) -> Result<JobOutput, Cancelled> {
    let analysis = Box::new(load_symbols(analysis, &choice.with_servers(), progress)?);
    Ok(JobOutput::Named { analysis, has_servers: false })
}

/// Writes the sample series into a folder and opens it.
///
/// # Errors
/// Only when cancelled.
pub fn open_sample(
    folder: &std::path::Path,
    choice: &SymbolChoice,
    progress: &Progress,
) -> Result<JobOutput, Cancelled> {
    progress.start("writing the sample series", 0);
    match write_sample(folder, &SampleOptions::default(), progress) {
        Ok(files) => open_series(files, choice, progress),
        Err(SampleError::Cancelled) => Err(Cancelled),
        Err(error) => Ok(JobOutput::Failed(error.to_string())),
    }
}

/// Writes a file that appears whole or not at all.
pub fn save_file(path: PathBuf, bytes: &[u8]) -> JobOutput {
    match crate::report::file::write_whole(&path, bytes) {
        Ok(()) => JobOutput::Saved(path),
        Err(error) => JobOutput::Failed(error.to_string()),
    }
}
