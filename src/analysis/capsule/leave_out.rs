//! What an analysis is without what must not be sent, and what it must be to be taken back.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::analysis::series::group::ProcessGroup;
use crate::analysis::{Analysis, Failure, Note};
use crate::base::printable::printable_path;

/// The same analysis with names for what occurs in it alone, and no folder of this machine in its texts.
pub(super) fn for_sending(analysis: &Analysis) -> Analysis {
    let symbols = analysis.groups.iter().map(|group| {
        let addresses: Vec<_> = analysis.shown_addresses(group).collect();
        Arc::new(analysis.symbols_of(group).only_for(&addresses))
    });
    let folders = folders(analysis);
    Analysis {
        symbols: Some(symbols.collect()),
        failures: analysis
            .failures
            .iter()
            .map(|failure| Failure { path: failure.path.clone(), text: without_folders(&failure.text, &folders) })
            .collect(),
        notes: analysis
            .notes
            .iter()
            .map(|note| Note { text: without_folders(&note.text, &folders), dumps: note.dumps.clone() })
            .collect(),
        ..analysis.clone()
    }
}

/// Folders of all files that were named, the longest first.
fn folders(analysis: &Analysis) -> Vec<String> {
    let dumps = analysis.snapshots.iter().map(|snapshot| snapshot.dump.path.as_path());
    let logs = analysis.logs.iter().map(|log| log.file.path.as_path());
    let failures = analysis.failures.iter().map(|failure| failure.path.as_path());
    let all: BTreeSet<String> = dumps
        .chain(logs)
        .chain(failures)
        .filter_map(Path::parent)
        .filter(|folder| !folder.as_os_str().is_empty())
        .map(|folder| printable_path(&folder.join("x")))
        .filter_map(|with_file| with_file.strip_suffix('x').map(str::to_owned))
        .collect();
    let mut folders: Vec<String> = all.into_iter().collect();
    folders.sort_by_key(|folder| std::cmp::Reverse(folder.len()));
    folders
}

fn without_folders(text: &str, folders: &[String]) -> String {
    folders.iter().fold(text.to_owned(), |text, folder| text.replace(folder.as_str(), ""))
}

/// Whether every part of a capsule is about the dumps and logs that are in it.
pub(super) fn fits_together(analysis: &Analysis) -> bool {
    let (dump_count, log_count) = (analysis.snapshots.len(), analysis.logs.len());
    let group_count = analysis.groups.len();
    let is_group = |group: &ProcessGroup| {
        !group.dumps.is_empty()
            && group.dumps.is_sorted_by(|a, b| a < b)
            && group.dumps.iter().all(|dump| dump.0 < dump_count)
    };
    let has_each = |list: Option<usize>| list.is_none_or(|count| count == group_count);
    let grouped: BTreeSet<_> = analysis.groups.iter().flat_map(|group| &group.dumps).collect();
    let logs_fit = analysis.log_groups.iter().all(|group| {
        !group.logs.is_empty()
            && group.logs.iter().all(|log| log.0 < log_count)
            && group.dumps.is_none_or(|position| position < group_count)
    });
    analysis.groups.iter().all(is_group)
        && grouped.len() == dump_count
        && analysis.groups.iter().map(|group| group.dumps.len()).sum::<usize>() == dump_count
        && logs_fit
        && has_each(analysis.traces.as_ref().map(Vec::len))
        && has_each(analysis.heaps.as_ref().map(Vec::len))
        && has_each(analysis.outstanding.as_ref().map(Vec::len))
        && has_each(analysis.thread_stacks.as_ref().map(Vec::len))
        && has_each(analysis.symbols.as_ref().map(Vec::len))
        && analysis.umdh.as_ref().is_none_or(|series| series.len() == analysis.log_groups.len())
}
