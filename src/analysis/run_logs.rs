//! The part of the pipeline that is about UMDH logs: opened with the dumps, read and joined in a stage of its own.

use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use crate::base::printable::printable_path;
use crate::base::progress::{Cancelled, Progress};
use crate::base::time::UtcTime;
use crate::input::umdh::{self, Contents, UmdhFile};

use super::find_files::natural_key;
use super::series::stacks::Coverage;
use super::series::umdh_group::{Log, LogGroup, Zone};
use super::series::umdh_join::{Joining, PointSource, UmdhSeries};
use super::{Analysis, Failure, Note};

/// Reads the heads of logs, in the order of their names. A copy of another log is left out.
pub(super) fn open_logs(paths: &[PathBuf], failures: &mut Vec<Failure>, notes: &mut Vec<Note>) -> Vec<UmdhFile> {
    let opened: Vec<_> = paths.par_iter().map(|path| (path, umdh::open(path))).collect();
    let mut files: Vec<UmdhFile> = Vec::new();
    for (path, result) in opened {
        match result {
            Err(error) => failures.push(Failure { path: path.clone(), text: error.to_string() }),
            Ok(file) => {
                let twin =
                    files.iter().find(|other| other.file_bytes == file.file_bytes && other.bytes() == file.bytes());
                if let Some(twin) = twin {
                    let text = format!("left out as a copy of {}: {}", twin.file_name(), printable_path(&file.path));
                    notes.push(Note { text, dumps: Vec::new() });
                } else {
                    files.push(file);
                }
            }
        }
    }
    files.sort_by_cached_key(|file| natural_key(&file.path.to_string_lossy()));
    files
}

/// What a reader should know of the times of logs.
pub(super) fn log_notes(logs: &[Arc<Log>], groups: &[LogGroup]) -> Vec<Note> {
    let mut notes = Vec::new();
    let unknown = logs.iter().filter(|log| log.time.zone == Zone::Unknown && log.time.local.is_some()).count();
    if unknown > 0 {
        let text = format!(
            "UMDH logs have the local time of their machine and not its zone, and no dump of the same process tells it: the \
             times of {} are taken as UTC, and may be some hours off",
            if unknown == 1 { "one log".to_owned() } else { format!("{unknown} logs") }
        );
        notes.push(Note { text, dumps: Vec::new() });
    }
    let process_count = groups.iter().filter(|group| group.logs.len() > 1 || group.dumps.is_some()).count();
    if groups.len() > 1 && process_count != groups.len() {
        let text = format!(
            "the UMDH logs are of {} processes, or cannot be told to be of one: each is shown for itself",
            groups.len()
        );
        notes.push(Note { text, dumps: Vec::new() });
    }
    notes
}

/// Reads all logs and joins their stacks: a stage after [`super::run::decode_traces`], whose stacks stand beside them.
///
/// # Errors
/// Only when cancelled.
pub fn read_logs(analysis: &Analysis, progress: &Progress) -> Result<Analysis, Cancelled> {
    if analysis.capsule.is_some() {
        return Ok(analysis.clone());
    }
    let all_bytes: u64 = analysis.logs.iter().map(|log| log.file.file_bytes).sum();
    progress.start("reading UMDH logs", all_bytes >> 20);
    let mut series = Vec::with_capacity(analysis.log_groups.len());
    for group in &analysis.log_groups {
        series.push(Arc::new(read_group(analysis, group, progress)?));
    }
    Ok(Analysis { umdh: Some(series), ..analysis.clone() })
}

fn read_group(analysis: &Analysis, group: &LogGroup, progress: &Progress) -> Result<UmdhSeries, Cancelled> {
    let dumps = group.dumps.and_then(|position| analysis.groups.get(position));
    let traces = dumps.and_then(|dumps| analysis.traces_of(dumps));
    let mut points: Vec<(PointSource, Option<UtcTime>)> = Vec::new();
    for (position, dump) in dumps.iter().flat_map(|dumps| dumps.dumps.iter().enumerate()) {
        let has_stacks = traces.is_some_and(|traces| traces.stacks.coverage(position) != Coverage::None);
        if has_stacks {
            points.push((PointSource::Dump(*dump), analysis.snapshot(*dump).and_then(|snapshot| snapshot.time())));
        }
    }
    for log in &group.logs {
        if let Some(of) = analysis.log(*log).filter(|log| log.file.kind == umdh::LogKind::Raw) {
            points.push((PointSource::Log(*log), of.time.utc));
        }
    }
    points.sort_by_key(|(_, time)| (time.is_none(), *time));
    let mut joining = Joining::new(points);
    for log in group.logs.iter().rev() {
        let Some(of) = analysis.log(*log) else { continue };
        match umdh::read(&of.file, progress)? {
            Contents::Raw(raw) => joining.add_log(*log, raw, progress)?,
            Contents::Comparison(comparison) => joining.add_comparison(*log, comparison),
        }
    }
    if let (Some(dumps), Some(traces)) = (dumps, traces) {
        for (position, dump) in dumps.dumps.iter().enumerate() {
            joining.add_entries(*dump, &traces.stacks, position, progress)?;
        }
    }
    Ok(joining.finish())
}

/// Whether a log's own lines are damaged, as far as it was read.
pub(super) fn has_damaged_logs(analysis: &Analysis) -> bool {
    let heads = analysis.logs.iter().any(|log| log.file.problems.has_damage());
    heads || analysis.umdh.iter().flatten().any(|series| series.has_damage())
}
