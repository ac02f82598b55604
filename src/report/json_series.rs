//! What the whole series of a process says besides its dumps, in the JSON report: handles by type, and the walls ahead.

use std::sync::Arc;

use serde::Serialize;

use crate::analysis::Analysis;
use crate::analysis::series::handles::handle_histories;
use crate::analysis::series::time_to_full::{TimeToFull, Wall};
use crate::base::ids::DumpIdx;
use crate::present::time_to_full::walls;

#[derive(Serialize)]
pub(super) struct HandleEntries {
    /// Numbers of the dumps, from 1, that the counts are of.
    dumps: Vec<usize>,
    count_per_dump: Vec<Option<u64>>,
    by_type: Vec<HandleEntry>,
}

#[derive(Serialize)]
struct HandleEntry {
    r#type: String,
    count_per_dump: Vec<Option<u64>>,
}

#[derive(Serialize)]
pub(super) struct WallEntry {
    /// `address_space`, `largest_free_block`, `system_commit` or `handles`.
    wall: &'static str,
    /// Bytes, or handles.
    limit: u64,
    left: u64,
    per_hour: f64,
    expected: String,
    earliest: String,
    /// `null` where the slowest rate never gets there.
    latest: Option<String>,
}

/// `None` where no dump has a list of handles.
pub(super) fn handles(analysis: &Analysis, interval: &[DumpIdx]) -> Option<HandleEntries> {
    let snapshots: Vec<_> = interval.iter().filter_map(|dump| analysis.snapshot(*dump)).map(Arc::clone).collect();
    let series = handle_histories(&snapshots);
    series.total.0.iter().any(Option::is_some).then(|| HandleEntries {
        dumps: interval.iter().map(|dump| dump.0 + 1).collect(),
        count_per_dump: series.total.0,
        by_type: series
            .types
            .into_iter()
            .map(|history| HandleEntry { r#type: history.type_name, count_per_dump: history.counts.0 })
            .collect(),
    })
}

pub(super) fn time_to_full(analysis: &Analysis, interval: &[DumpIdx]) -> Vec<WallEntry> {
    let entry = |(wall, limit): (&'static str, u64), left: u64, time: TimeToFull| match time {
        TimeToFull::At { expected, earliest, latest, per_hour } => Some(WallEntry {
            wall,
            limit,
            left,
            per_hour,
            expected: expected.to_string(),
            earliest: earliest.to_string(),
            latest: latest.map(|time| time.to_string()),
        }),
        TimeToFull::Full { .. } | TimeToFull::NotGrowing => None,
    };
    let named = |wall: Wall| match wall {
        Wall::AddressSpace { limit_bytes } => ("address_space", limit_bytes),
        Wall::LargestFreeBlock { least_bytes } => ("largest_free_block", least_bytes),
        Wall::SystemCommit { limit_bytes } => ("system_commit", limit_bytes),
        Wall::Handles { limit } => ("handles", limit),
    };
    walls(analysis, interval).into_iter().filter_map(|ahead| entry(named(ahead.wall), ahead.room, ahead.time)).collect()
}
