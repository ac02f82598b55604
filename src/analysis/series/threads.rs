//! Threads followed over the dumps by id and creation time: Windows gives the id of an ended thread to a new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::analysis::snapshot::{Snapshot, Thread};
use crate::base::addr::Va;
use crate::base::time::UtcTime;

/// CPU time between two dumps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CpuSpent {
    pub user_ns: u64,
    pub kernel_ns: u64,
}

impl CpuSpent {
    pub const fn total_ns(self) -> u64 {
        self.user_ns.saturating_add(self.kernel_ns)
    }

    fn since(self, before: Self) -> Option<Self> {
        Some(Self {
            user_ns: self.user_ns.checked_sub(before.user_ns)?,
            kernel_ns: self.kernel_ns.checked_sub(before.kernel_ns)?,
        })
    }
}

/// One thread over the series.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ThreadHistory {
    pub tid: u32,
    pub created: Option<UtcTime>,
    /// From the last dump that has one.
    pub name: Option<String>,
    pub start_address: Option<Va>,
    /// Where each dump has the thread among its own; `None` where it has it not.
    pub positions: Vec<Option<usize>>,
    /// CPU time (user and kernel) spent between each dump and the next; `None` where one of the two does not tell. A
    /// thread that is new in the second dump spent all its time in the interval.
    pub cpu_per_interval: Vec<Option<CpuSpent>>,
}

impl ThreadHistory {
    /// CPU time over some intervals, as far as it is known; `None` when it is for none of them.
    pub fn cpu_in(&self, intervals: std::ops::Range<usize>) -> Option<CpuSpent> {
        let known = self.cpu_per_interval.get(intervals)?.iter().flatten();
        known.copied().reduce(|a, b| CpuSpent {
            user_ns: a.user_ns.saturating_add(b.user_ns),
            kernel_ns: a.kernel_ns.saturating_add(b.kernel_ns),
        })
    }

    /// Whether the CPU time of any interval is known.
    pub fn has_known_interval(&self) -> bool {
        self.cpu_per_interval.iter().any(Option::is_some)
    }
}

/// The threads of some dumps of one process, in the order of ids.
pub fn thread_histories(snapshots: &[Arc<Snapshot>]) -> Vec<ThreadHistory> {
    let mut positions: BTreeMap<(u32, Option<UtcTime>), Vec<Option<usize>>> = BTreeMap::new();
    for (dump, snapshot) in snapshots.iter().enumerate() {
        for (position, thread) in snapshot.threads.iter().enumerate() {
            let of_thread =
                positions.entry((thread.tid, thread.created)).or_insert_with(|| vec![None; snapshots.len()]);
            if let Some(slot) = of_thread.get_mut(dump) {
                *slot = Some(position);
            }
        }
    }
    positions.into_iter().map(|((tid, created), positions)| history(tid, created, positions, snapshots)).collect()
}

fn history(
    tid: u32,
    created: Option<UtcTime>,
    positions: Vec<Option<usize>>,
    snapshots: &[Arc<Snapshot>],
) -> ThreadHistory {
    let threads: Vec<Option<&Thread>> =
        snapshots.iter().zip(&positions).map(|(snapshot, position)| snapshot.threads.get((*position)?)).collect();
    let newest = || threads.iter().rev().flatten();
    let spent: Vec<Option<CpuSpent>> = threads.iter().map(|thread| cpu_of((*thread)?)).collect();
    let first = threads.iter().position(Option::is_some);
    let cpu_per_interval = (0..snapshots.len().saturating_sub(1))
        .map(|interval| {
            let after = spent.get(interval + 1).copied().flatten()?;
            if first == Some(interval + 1) {
                // New in this dump: all its time was spent since the one before. The header has whole seconds, the
                // creation time has not.
                let before = snapshots.get(interval)?.time()?;
                return (created? >= before).then_some(after);
            }
            after.since(spent.get(interval).copied().flatten()?)
        })
        .collect();
    ThreadHistory {
        tid,
        created,
        name: newest().find_map(|thread| thread.name.clone()),
        start_address: newest().find_map(|thread| thread.start_address),
        cpu_per_interval,
        positions,
    }
}

fn cpu_of(thread: &Thread) -> Option<CpuSpent> {
    Some(CpuSpent { user_ns: thread.times.user_ns?, kernel_ns: thread.times.kernel_ns? })
}
