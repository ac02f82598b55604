//! Threads followed over the dumps by id and creation time: Windows gives the id of an ended thread to a new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::analysis::snapshot::{Snapshot, Thread};
use crate::base::time::UtcTime;

/// One thread over the series.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ThreadHistory {
    pub tid: u32,
    pub created: Option<UtcTime>,
    /// CPU time (user and kernel) spent between each dump and the next; `None` where one of the two does not tell. A
    /// thread that is new in the second dump spent all its time in the interval.
    pub cpu_ns_per_interval: Vec<Option<u64>>,
}

/// The dumps that have a thread, and its CPU time up to each.
type Seen = Vec<(usize, u64)>;

/// The threads of some dumps of one process, in the order of ids. A thread of which no interval is known is left out: a
/// service may start thousands between two dumps.
pub fn thread_histories(snapshots: &[Arc<Snapshot>]) -> Vec<ThreadHistory> {
    let mut seen: BTreeMap<(u32, Option<UtcTime>), Seen> = BTreeMap::new();
    for (index, snapshot) in snapshots.iter().enumerate() {
        for thread in &snapshot.threads {
            if let Some(cpu_ns) = cpu_ns(thread) {
                seen.entry((thread.tid, thread.created)).or_default().push((index, cpu_ns));
            }
        }
    }
    seen.into_iter()
        .filter_map(|((tid, created), cpu_ns)| {
            let known = known_intervals(&cpu_ns, created, snapshots);
            let is_known = !known.is_empty() || snapshots.len() < 2;
            let mut cpu_ns_per_interval = vec![None; snapshots.len().saturating_sub(1)];
            for (interval, ns) in known {
                if let Some(slot) = cpu_ns_per_interval.get_mut(interval) {
                    *slot = Some(ns);
                }
            }
            is_known.then_some(ThreadHistory { tid, created, cpu_ns_per_interval })
        })
        .collect()
}

fn cpu_ns(thread: &Thread) -> Option<u64> {
    Some(thread.times.user_ns?.saturating_add(thread.times.kernel_ns?))
}

/// Position of each interval whose CPU time is known, and that time. `cpu_ns` holds the dumps that have the thread.
fn known_intervals(
    cpu_ns: &[(usize, u64)],
    created: Option<UtcTime>,
    snapshots: &[Arc<Snapshot>],
) -> Vec<(usize, u64)> {
    let mut known = Vec::new();
    if let Some((first, ns)) = cpu_ns.first()
        && let Some(interval) = first.checked_sub(1)
    {
        // New in this dump: all its time was spent since the one before. The header has whole seconds, the creation time
        // has not.
        let before = snapshots.get(interval).and_then(|snapshot| snapshot.time());
        if before.zip(created).is_some_and(|(before, created)| created >= before) {
            known.push((interval, *ns));
        }
    }
    for pair in cpu_ns.windows(2) {
        if let [(from, before), (to, after)] = pair
            && *to == from + 1
            && let Some(spent) = after.checked_sub(*before)
        {
            known.push((*from, spent));
        }
    }
    known
}
