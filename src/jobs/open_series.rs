//! Opens dumps as a series, or writes the sample series and opens that.

use std::path::PathBuf;

use crate::analysis::Analysis;
use crate::analysis::diagnosis::{Finding, diagnose};
use crate::analysis::run::{
    decode_heaps, decode_traces, join_blocks_and_stacks, load_symbols, run, symbol_search, unwind_threads,
};
use crate::base::ids::DumpIdx;
use crate::base::progress::{Cancelled, Progress};
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
    Joined(Box<Analysis>),
    Unwound(Box<Analysis>),
    /// What these dumps show, as far as it was decoded then.
    Judged {
        generation: u64,
        dumps: Vec<DumpIdx>,
        findings: Vec<Finding>,
    },
    Named(Box<Analysis>),
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
pub fn open_series(inputs: Vec<PathBuf>, progress: &Progress) -> Result<JobOutput, Cancelled> {
    let analysis = Box::new(run(&inputs, progress)?);
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
pub fn decode_heaps_of(analysis: &Analysis, progress: &Progress) -> Result<JobOutput, Cancelled> {
    Ok(JobOutput::HeapsDecoded(Box::new(decode_heaps(analysis, progress)?)))
}

/// Ties blocks to stacks, once heaps and traces are decoded.
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

/// Reads the symbols of what was opened. `symbol_path` is looked in first.
///
/// # Errors
/// Only when cancelled.
pub fn name_series(analysis: &Analysis, symbol_path: &str, progress: &Progress) -> Result<JobOutput, Cancelled> {
    let folders = Some(symbol_path.trim()).filter(|path| !path.is_empty()).map(PathBuf::from).into_iter().collect();
    Ok(JobOutput::Named(Box::new(load_symbols(analysis, &symbol_search(folders), progress)?)))
}

/// Writes the sample series into a folder and opens it.
///
/// # Errors
/// Only when cancelled.
pub fn open_sample(folder: &std::path::Path, progress: &Progress) -> Result<JobOutput, Cancelled> {
    progress.start("writing the sample series", 0);
    match write_sample(folder, &SampleOptions::default(), progress) {
        Ok(files) => open_series(files, progress),
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
