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

/// The threads of some dumps of one process, in the order of ids.
pub fn thread_histories(snapshots: &[Arc<Snapshot>]) -> Vec<ThreadHistory> {
    let mut cpu: BTreeMap<(u32, Option<UtcTime>), Vec<Option<u64>>> = BTreeMap::new();
    for (index, snapshot) in snapshots.iter().enumerate() {
        for thread in &snapshot.threads {
            let row = cpu.entry((thread.tid, thread.created)).or_insert_with(|| vec![None; snapshots.len()]);
            if let Some(slot) = row.get_mut(index) {
                *slot = cpu_ns(thread);
            }
        }
    }
    cpu.into_iter()
        .map(|((tid, created), cpu_ns)| ThreadHistory {
            tid,
            created,
            cpu_ns_per_interval: intervals(&cpu_ns, created, snapshots),
        })
        .collect()
}

fn cpu_ns(thread: &Thread) -> Option<u64> {
    Some(thread.times.user_ns?.saturating_add(thread.times.kernel_ns?))
}

fn intervals(cpu_ns: &[Option<u64>], created: Option<UtcTime>, snapshots: &[Arc<Snapshot>]) -> Vec<Option<u64>> {
    let times = snapshots.iter().map(|snapshot| snapshot.time()).collect::<Vec<_>>();
    cpu_ns
        .windows(2)
        .zip(times.windows(2))
        .map(|pair| match pair {
            ([Some(before), Some(after)], _) => after.checked_sub(*before),
            // The header has whole seconds, the creation time has not.
            ([None, Some(after)], [Some(time), _]) if created.is_some_and(|created| created > *time) => Some(*after),
            _ => None,
        })
        .collect()
}
