//! Many allocations of one size: what a program, or its instrumentation, leaves behind when it asks the system for
//! memory over and over (the case this program is named for had thousands of 64 KB regions in a row).

use std::collections::BTreeMap;

use crate::analysis::snapshot::Snapshot;
use crate::base::addr::Va;
use crate::process::regions::MemoryType;
use crate::process::regions::usage::Usage;

use super::allocations::{Allocation, allocations};

/// Fewer than this happen by chance: every process has a dozen private allocations of 64 KB or 1 MB.
const MANY_COUNT: u64 = 32;
/// Allocations start at multiples of this, so that neighbours in a row may have a gap below it.
const ALLOCATION_GRANULARITY_BYTES: u64 = 0x1_0000;

/// A group of private allocations alike in size and use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EqualSizes {
    /// Extent of each allocation.
    pub size_bytes: u64,
    pub usage: Usage,
    pub count: u64,
    pub committed_bytes: u64,
    /// The longest run of them with nothing in between.
    pub longest_run_count: u64,
    /// The lowest of them.
    pub first: Va,
}

/// The groups of many equal private allocations in a dump, the largest in bytes first. Thread stacks are left out: they
/// are of one size by design.
pub fn equal_sizes(snapshot: &Snapshot) -> Vec<EqualSizes> {
    let mut groups: BTreeMap<(u64, Usage), Vec<Allocation>> = BTreeMap::new();
    let is_candidate = |allocation: &Allocation| {
        allocation.memory_type == Some(MemoryType::Private)
            && !matches!(allocation.usage, Usage::Stack | Usage::Teb | Usage::Peb)
    };
    for allocation in allocations(snapshot).into_iter().filter(is_candidate) {
        groups.entry((allocation.range.size_bytes(), allocation.usage)).or_default().push(allocation);
    }
    let mut found: Vec<EqualSizes> = groups
        .into_iter()
        .map(|((size_bytes, usage), members)| EqualSizes {
            size_bytes,
            usage,
            count: members.len() as u64,
            committed_bytes: members.iter().map(|member| member.committed_bytes).fold(0, u64::saturating_add),
            longest_run_count: longest_run(&members),
            first: members.first().map_or(Va(0), |member| member.range.start),
        })
        .filter(|group| group.count >= MANY_COUNT)
        .collect();
    found.sort_by_key(|group| std::cmp::Reverse(group.committed_bytes));
    found
}

fn longest_run(members: &[Allocation]) -> u64 {
    let (mut longest, mut run) = (1, 1);
    for pair in members.windows(2) {
        let [before, after] = pair else { continue };
        let gap_bytes = after.range.start.0.saturating_sub(before.range.end.0);
        run = if gap_bytes < ALLOCATION_GRANULARITY_BYTES { run + 1 } else { 1 };
        longest = longest.max(run);
    }
    longest
}
