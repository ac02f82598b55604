//! Modules compared, in the JSON report.

use serde::Serialize;

use crate::analysis::Analysis;
use crate::base::ids::DumpIdx;
use crate::present::modules::{ModuleTable, change_word, stamp_text, version_text};

/// A process has a few hundred; a damaged series could have one for each entry.
const MOST_MODULES: usize = 10_000;

#[derive(Serialize)]
pub(super) struct ModuleSeries {
    modules: Vec<ModuleEntry>,
    left_out_count: u64,
    /// Entries for unloaded modules in each dump; `null` for a dump without that list.
    unloaded_count_per_dump: Vec<Option<u64>>,
}

#[derive(Serialize)]
struct ModuleEntry {
    name: String,
    /// From the first to the last compared dump; `null` where one has no module list, or neither has the module.
    change: Option<&'static str>,
    /// What each dump has; `null` for a dump that does not have it, or has no list.
    per_dump: Vec<Option<LoadedEntry>>,
    /// How often it stands among the unloaded modules.
    unload_count_per_dump: Vec<Option<u64>>,
}

#[derive(Serialize)]
struct LoadedEntry {
    base: String,
    size_bytes: u64,
    timestamp: String,
    version: Option<String>,
    pdb_id: Option<String>,
}

/// The modules of a process; `None` without dumps.
pub(super) fn module_series(analysis: &Analysis, interval: &[DumpIdx]) -> Option<ModuleSeries> {
    let table = ModuleTable::new(analysis, *interval.first()?, *interval.last()?)?;
    let series = table.series();
    let dump_count = series.has_list.len();
    let loaded = |row: usize, dump: usize| {
        let record = table.record(table.history(row)?.at(dump)?)?;
        Some(LoadedEntry {
            base: record.base.to_string(),
            size_bytes: record.size_bytes,
            timestamp: stamp_text(record.time_date_stamp),
            version: record.file_version.map(version_text),
            pdb_id: record.pdb.as_ref().map(|pdb| pdb.store_id.clone()),
        })
    };
    let modules: Vec<ModuleEntry> = series
        .histories
        .iter()
        .take(MOST_MODULES)
        .enumerate()
        .map(|(row, history)| ModuleEntry {
            name: history.name.clone(),
            change: table.change(row).map(change_word),
            per_dump: (0..dump_count).map(|dump| loaded(row, dump)).collect(),
            unload_count_per_dump: series
                .unloaded_counts
                .iter()
                .enumerate()
                .map(|(dump, known)| known.map(|_| history.unload_count(dump).unwrap_or(0)))
                .collect(),
        })
        .collect();
    let unlisted_count = series.histories.len().saturating_sub(modules.len()) as u64;
    Some(ModuleSeries {
        modules,
        left_out_count: series.left_out_count.saturating_add(unlisted_count),
        unloaded_count_per_dump: series.unloaded_counts.clone(),
    })
}
