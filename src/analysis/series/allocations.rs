//! Allocations followed over the dumps: born, grown, shrunk, gone.
//!
//! An allocation is what one VirtualAlloc or one mapped view made: all regions with one allocation base. Its extent never
//! changes while it lives, so an allocation at the same base with another extent or type is a new one.

use std::collections::BTreeMap;

use crate::analysis::snapshot::Snapshot;
use crate::base::addr::{Va, VaRange};
use crate::base::units::ByteDelta;
use crate::process::regions::usage::{Owner, Usage};
use crate::process::regions::{MemoryType, State};

/// One allocation in one dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allocation {
    pub range: VaRange,
    pub memory_type: Option<MemoryType>,
    pub committed_bytes: u64,
    pub region_count: u64,
    /// The use of most of its bytes.
    pub usage: Usage,
    pub owner: Owner,
}

/// What tells one allocation from another in a series.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Identity {
    range: VaRange,
    memory_type: Option<MemoryType>,
}

impl Allocation {
    const fn identity(&self) -> Identity {
        Identity { range: self.range, memory_type: self.memory_type }
    }
}

/// What became of an allocation between two dumps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fate {
    Born,
    Grew,
    Shrank,
    Gone,
    Same,
}

/// One allocation at two points; one of the two may be absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AllocationChange {
    pub from: Option<Allocation>,
    pub to: Option<Allocation>,
}

impl AllocationChange {
    pub fn fate(&self) -> Fate {
        match (&self.from, &self.to) {
            (None, _) => Fate::Born,
            (_, None) => Fate::Gone,
            (Some(from), Some(to)) => match to.committed_bytes.cmp(&from.committed_bytes) {
                std::cmp::Ordering::Greater => Fate::Grew,
                std::cmp::Ordering::Less => Fate::Shrank,
                std::cmp::Ordering::Equal => Fate::Same,
            },
        }
    }

    /// The state that still exists, or existed last.
    pub fn latest(&self) -> Option<&Allocation> {
        self.to.as_ref().or(self.from.as_ref())
    }

    pub fn committed_delta(&self) -> ByteDelta {
        let committed = |side: &Option<Allocation>| side.map_or(0, |allocation| allocation.committed_bytes);
        ByteDelta::between(committed(&self.from), committed(&self.to))
    }
}

/// The allocations of one dump, in the order of addresses. Empty when the dump has no memory info list.
pub fn allocations(snapshot: &Snapshot) -> Vec<Allocation> {
    let mut by_base: BTreeMap<Va, (Allocation, u64)> = BTreeMap::new();
    for region in &snapshot.address_space.regions {
        let Some(base) = region.allocation_base.filter(|_| region.state != State::Free) else { continue };
        let bytes = region.range.size_bytes();
        let (allocation, largest_bytes) = by_base.entry(base).or_insert_with(|| {
            let start = Allocation {
                range: VaRange { start: base.min(region.range.start), end: region.range.end },
                memory_type: region.memory_type,
                committed_bytes: 0,
                region_count: 0,
                usage: region.usage,
                owner: region.owner,
            };
            (start, 0)
        });
        allocation.range.end = allocation.range.end.max(region.range.end);
        allocation.region_count = allocation.region_count.saturating_add(1);
        if region.state == State::Commit {
            allocation.committed_bytes = allocation.committed_bytes.saturating_add(bytes);
        }
        if bytes > *largest_bytes {
            (*largest_bytes, allocation.usage, allocation.owner) = (bytes, region.usage, region.owner);
        }
    }
    by_base.into_values().map(|(allocation, _)| allocation).collect()
}

/// Every allocation of either dump, in the order of addresses.
pub fn allocation_changes(from: &Snapshot, to: &Snapshot) -> Vec<AllocationChange> {
    let mut changes: BTreeMap<Identity, AllocationChange> = BTreeMap::new();
    let empty = AllocationChange { from: None, to: None };
    for allocation in allocations(from) {
        changes.entry(allocation.identity()).or_insert(empty).from = Some(allocation);
    }
    for allocation in allocations(to) {
        changes.entry(allocation.identity()).or_insert(empty).to = Some(allocation);
    }
    changes.into_values().collect()
}

/// How many allocations had each fate, and what that made in committed bytes.
pub fn fate_totals(changes: &[AllocationChange]) -> BTreeMap<Fate, (u64, ByteDelta)> {
    let mut totals: BTreeMap<Fate, (u64, ByteDelta)> = BTreeMap::new();
    for change in changes {
        let (count, delta) = totals.entry(change.fate()).or_default();
        *count = count.saturating_add(1);
        delta.0 = delta.0.saturating_add(change.committed_delta().0);
    }
    totals
}
