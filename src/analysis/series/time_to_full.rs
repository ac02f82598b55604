//! When a process hits a wall if it goes on as between the two compared dumps: its address space, the machine's commit limit,
//! the most handles that a process can have. The stack trace database's own limit is in `store_growth`, by the same estimate.
//!
//! A wall is only named where the dumps prove it, and only for what grows towards it.

use std::sync::Arc;

use crate::analysis::snapshot::Snapshot;
use crate::analysis::thresholds::{MOST_FORETOLD_DAYS, SMALL_FREE_BLOCK_BYTES};
use crate::base::addr::PointerWidth;
use crate::base::time::UtcTime;
use crate::process::regions::State;

/// When something is full.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum TimeToFull {
    /// It is full in the second dump; this is the first dump of the series that shows it so.
    Full { since_dump: usize },
    /// At the rate between the two dumps; the slowest and the fastest rate between neighbours gives the band.
    At { expected: UtcTime, earliest: UtcTime, latest: Option<UtcTime>, per_hour: f64 },
    /// It did not grow between the two dumps.
    NotGrowing,
}

/// What stops a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wall {
    /// All addresses that a 32-bit program can have, up to here.
    AddressSpace {
        limit_bytes: u64,
    },
    /// The largest free block of a 32-bit program falls below what a heap asks for.
    LargestFreeBlock {
        least_bytes: u64,
    },
    /// Commit of the whole machine, whoever uses it.
    SystemCommit {
        limit_bytes: u64,
    },
    Handles {
        limit: u64,
    },
}

/// A wall that the process goes towards.
#[derive(Clone, PartialEq, Debug)]
pub struct WallAhead {
    pub wall: Wall,
    /// What is left in the second dump, in bytes or handles.
    pub room: u64,
    pub time: TimeToFull,
}

/// Most handles of a process: 2^24, whatever Windows (Russinovich, "Pushing the Limits of Windows: Handles").
const MOST_HANDLES: u64 = 1 << 24;

/// A straight line through the first and the last point: when `room` is used up that the last one leaves. `None` where no time
/// has passed.
pub fn time_to_full(points: &[(UtcTime, u64)], room: u64) -> Option<TimeToFull> {
    let (first, last) = (*points.first()?, *points.last()?);
    let overall = per_hour(first, last)?;
    if overall <= 0.0 {
        return Some(TimeToFull::NotGrowing);
    }
    let rates: Vec<f64> = points.windows(2).filter_map(|pair| per_hour(*pair.first()?, *pair.last()?)).collect();
    let fastest = rates.iter().copied().fold(overall, f64::max);
    let slowest = rates.iter().copied().fold(overall, f64::min);
    let at = |rate: f64| {
        let ns = room as f64 / rate * 3.6e12;
        (rate > 0.0 && ns < 1e20).then(|| UtcTime { unix_ns: last.0.unix_ns.saturating_add(ns as i128) })
    };
    Some(TimeToFull::At { expected: at(overall)?, earliest: at(fastest)?, latest: at(slowest), per_hour: overall })
}

fn per_hour(from: (UtcTime, u64), to: (UtcTime, u64)) -> Option<f64> {
    let hours = to.0.ns_since(from.0) as f64 / 3.6e12;
    (hours > 0.0).then(|| (to.1 as f64 - from.1 as f64) / hours)
}

/// The walls that the process of these dumps, in time order, goes towards; the nearest first.
pub fn walls_ahead(snapshots: &[Arc<Snapshot>]) -> Vec<WallAhead> {
    let (Some(first), Some(last)) = (snapshots.first(), snapshots.last()) else { return Vec::new() };
    let (Some(_), Some(now)) = (first.time(), last.time()) else { return Vec::new() };
    let ahead = |wall: Option<Wall>, room: Option<u64>, used: &dyn Fn(&Snapshot) -> Option<u64>| {
        let (wall, room) = (wall?, room?);
        // Both ends must tell it: else the rate is not that of the two dumps.
        used(first).and(used(last))?;
        let points: Vec<(UtcTime, u64)> =
            snapshots.iter().filter_map(|snapshot| Some((snapshot.time()?, used(snapshot)?))).collect();
        let time = time_to_full(&points, room)?;
        let TimeToFull::At { expected, .. } = time else { return None };
        let days = expected.ns_since(now) / 86_400_000_000_000;
        (days <= MOST_FORETOLD_DAYS).then_some((expected, WallAhead { wall, room, time }))
    };
    let space = address_space(last);
    let limit_bytes = space.map(|space| space.limit_bytes);
    let same_space =
        |snapshot: &Snapshot| address_space(snapshot).filter(|other| Some(other.limit_bytes) == limit_bytes);
    let commit = system_commit(last);
    let handles = handle_count(last);
    let mut walls: Vec<(UtcTime, WallAhead)> = [
        ahead(
            limit_bytes.map(|limit_bytes| Wall::AddressSpace { limit_bytes }),
            space.map(|space| space.free_bytes),
            &|snapshot| same_space(snapshot).map(|space| space.limit_bytes.saturating_sub(space.free_bytes)),
        ),
        ahead(
            space.map(|_| Wall::LargestFreeBlock { least_bytes: SMALL_FREE_BLOCK_BYTES }),
            space.map(|space| space.largest_free_bytes.saturating_sub(SMALL_FREE_BLOCK_BYTES)),
            &|snapshot| same_space(snapshot).map(|space| space.limit_bytes.saturating_sub(space.largest_free_bytes)),
        ),
        ahead(
            commit.map(|(_, limit_bytes)| Wall::SystemCommit { limit_bytes }),
            commit.map(|(committed_bytes, limit_bytes)| limit_bytes.saturating_sub(committed_bytes)),
            &|snapshot| system_commit(snapshot).map(|(committed_bytes, _)| committed_bytes),
        ),
        ahead(
            handles.map(|_| Wall::Handles { limit: MOST_HANDLES }),
            handles.map(|handles| MOST_HANDLES.saturating_sub(handles)),
            &handle_count,
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    walls.sort_by_key(|(expected, _)| *expected);
    walls.into_iter().map(|(_, wall)| wall).collect()
}

/// The addresses of a 32-bit program.
#[derive(Clone, Copy)]
struct AddressSpace {
    limit_bytes: u64,
    free_bytes: u64,
    largest_free_bytes: u64,
}

/// `None` for 64-bit programs, which use up something else first, and where the dump does not prove how far the addresses go.
fn address_space(snapshot: &Snapshot) -> Option<AddressSpace> {
    let limit_bytes = address_limit(snapshot)?;
    if !lists_free_memory(snapshot) {
        return None;
    }
    let mut space = AddressSpace { limit_bytes, free_bytes: 0, largest_free_bytes: 0 };
    for region in snapshot.address_space.regions.iter().filter(|region| region.state == State::Free) {
        let bytes = region.range.end.0.min(limit_bytes).saturating_sub(region.range.start.0);
        space.free_bytes = space.free_bytes.saturating_add(bytes);
        space.largest_free_bytes = space.largest_free_bytes.max(bytes);
    }
    Some(space)
}

/// One past the highest address that a 32-bit program can have. A 32-bit dump's list of regions ends there; in a 64-bit dump
/// of a 32-bit program the head of its image tells it.
fn address_limit(snapshot: &Snapshot) -> Option<u64> {
    snapshot.address_space.totals.free_bytes()?;
    if snapshot.pointer_width() == PointerWidth::Bits32 {
        return snapshot.address_space.regions.last().map(|region| region.range.end.0);
    }
    let is_large_address_aware = snapshot.is_large_address_aware.filter(|_| snapshot.is_wow64())?;
    Some(if is_large_address_aware { 4 << 30 } else { 2 << 30 })
}

/// Whether the list of regions goes over the address space without large gaps: some writers leave free memory out in part.
pub fn lists_free_memory(snapshot: &Snapshot) -> bool {
    let totals = &snapshot.address_space.totals;
    let top = snapshot.address_space.regions.last().map_or(0, |region| region.range.end.0);
    let listed_bytes = totals.busy_bytes().saturating_add(totals.free_bytes().unwrap_or(0));
    listed_bytes >= top / 10 * 9
}

/// What the whole machine has committed, and its limit, in bytes.
pub fn system_commit(snapshot: &Snapshot) -> Option<(u64, u64)> {
    let memory = snapshot.dump.system_memory?;
    let bytes = |pages: u64| pages.saturating_mul(u64::from(memory.page_bytes));
    let commit = (bytes(memory.committed_pages), bytes(memory.commit_limit_pages));
    Some(commit).filter(|(_, limit_bytes)| *limit_bytes > 0)
}

fn handle_count(snapshot: &Snapshot) -> Option<u64> {
    snapshot.dump.handles.as_ref().map(|handles| handles.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_hour(hour: u32) -> UtcTime {
        UtcTime { unix_ns: i128::from(hour) * 3_600_000_000_000 }
    }

    fn points(of: &[(u32, u64)]) -> Vec<(UtcTime, u64)> {
        of.iter().map(|(hour, used)| (at_hour(*hour), *used)).collect()
    }

    #[test]
    fn a_line_through_the_ends_with_the_band_of_its_neighbours() {
        // 100 an hour in all, 50 at the slowest, 150 at the fastest.
        let used = points(&[(0, 100), (1, 250), (2, 300)]);
        let at = |hour| UtcTime { unix_ns: at_hour(2).unix_ns + hour };
        let hour = 3_600_000_000_000;
        assert_eq!(
            time_to_full(&used, 300),
            Some(TimeToFull::At {
                expected: at(3 * hour),
                earliest: at(2 * hour),
                latest: Some(at(6 * hour)),
                per_hour: 100.0
            })
        );
    }

    #[test]
    fn a_band_with_a_pause_has_no_end() {
        let Some(TimeToFull::At { latest, .. }) = time_to_full(&points(&[(0, 100), (1, 300), (2, 300)]), 300) else {
            panic!("it grows");
        };
        assert_eq!(latest, None);
    }

    #[test]
    fn what_does_not_grow_is_never_full() {
        assert_eq!(time_to_full(&points(&[(0, 300), (1, 400), (2, 300)]), 1), Some(TimeToFull::NotGrowing));
        assert_eq!(time_to_full(&points(&[(0, 300), (0, 400)]), 1), None);
        assert_eq!(time_to_full(&[], 1), None);
    }
}
