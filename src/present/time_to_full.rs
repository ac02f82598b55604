//! When the process hits a wall, as sentences: "at the rate of dumps 1 to 6 ...".

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::time_to_full::{TimeToFull, Wall, WallAhead, walls_ahead};
use crate::analysis::snapshot::Snapshot;
use crate::base::ids::DumpIdx;
use crate::base::time::UtcTime;
use crate::base::units::{ByteDelta, ByteSize, grouped};

/// The walls that the process goes towards over an interval of its dumps, the nearest first.
pub fn walls(analysis: &Analysis, interval: &[DumpIdx]) -> Vec<WallAhead> {
    let snapshots: Vec<Arc<Snapshot>> =
        interval.iter().filter_map(|dump| analysis.snapshot(*dump)).map(Arc::clone).collect();
    walls_ahead(&snapshots)
}

/// One sentence for each wall; none where nothing grows towards one, or the dumps do not prove it.
pub fn wall_lines(analysis: &Analysis, interval: &[DumpIdx]) -> Vec<String> {
    let Some((from, to)) = interval.first().zip(interval.last()) else { return Vec::new() };
    walls(analysis, interval).iter().filter_map(|ahead| wall_line(ahead, *from, *to)).collect()
}

fn wall_line(ahead: &WallAhead, from: DumpIdx, to: DumpIdx) -> Option<String> {
    let TimeToFull::At { expected, earliest, latest, per_hour } = ahead.time else { return None };
    let rate = per_hour.round() as i128;
    let (what, left, rate) = match ahead.wall {
        Wall::AddressSpace { limit_bytes } => (
            format!("the 32-bit address space of {} is full", ByteSize(limit_bytes)),
            format!("{} free", ByteSize(ahead.room)),
            ByteDelta(rate).to_string(),
        ),
        Wall::LargestFreeBlock { least_bytes } => (
            format!("no free block of {} is left in the 32-bit address space", ByteSize(least_bytes)),
            format!("the largest has {}", ByteSize(ahead.room.saturating_add(least_bytes))),
            ByteDelta(-rate).to_string(),
        ),
        Wall::SystemCommit { limit_bytes } => (
            format!("the machine's commit limit of {} is reached", ByteSize(limit_bytes)),
            format!("{} left", ByteSize(ahead.room)),
            ByteDelta(rate).to_string(),
        ),
        Wall::Handles { limit } => (
            format!("the limit of {} handles is reached", grouped(limit)),
            format!("{} left", grouped(ahead.room)),
            format!("+{} handles", grouped(u64::try_from(rate).unwrap_or(0))),
        ),
    };
    let (at, band) = (expected.table_text(), band_text(earliest, latest));
    Some(format!("{what} at {at} UTC at the rate of dumps {from} to {to}, {rate}/h ({left}){band}"))
}

/// By the slowest and the fastest rate between neighbours; nothing where they are one.
pub(super) fn band_text(earliest: UtcTime, latest: Option<UtcTime>) -> String {
    match latest {
        Some(latest) if latest == earliest => String::new(),
        Some(latest) => format!(", between {} and {}", earliest.table_text(), latest.table_text()),
        None => format!(", {} at the earliest", earliest.table_text()),
    }
}
