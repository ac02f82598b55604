//! Sums over the address space, as `!address -summary` gives them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::addr::VaRange;

use super::usage::Usage;
use super::{Completeness, MemoryType, Region, State};

/// Sizes of a group of regions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sizes {
    pub committed_bytes: u64,
    pub reserved_bytes: u64,
    pub region_count: u64,
    pub largest: VaRange,
}

impl Sizes {
    fn add(&mut self, range: VaRange, state: State) {
        let bytes = range.size_bytes();
        match state {
            State::Commit => self.committed_bytes = self.committed_bytes.saturating_add(bytes),
            State::Reserve => self.reserved_bytes = self.reserved_bytes.saturating_add(bytes),
            State::Free => {}
        }
        self.region_count = self.region_count.saturating_add(1);
        if bytes > self.largest.size_bytes() {
            self.largest = range;
        }
    }

    /// Committed and reserved together.
    pub const fn busy_bytes(&self) -> u64 {
        self.committed_bytes.saturating_add(self.reserved_bytes)
    }
}

/// One entry of the memory info list, before it was split by use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub range: VaRange,
    pub state: State,
    pub memory_type: Option<MemoryType>,
    pub protect: Option<u32>,
}

/// All sums of one address space. Those over entries (counts by state, types, protections) count the entries of the
/// memory info list, as WinDbg does; those by use count the ranges after splitting, so that each TEB counts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Totals {
    pub by_usage: BTreeMap<Usage, Sizes>,
    pub by_type: BTreeMap<MemoryType, Sizes>,
    /// Committed regions by PAGE_* value.
    pub by_protect: BTreeMap<u32, Sizes>,
    pub by_state: BTreeMap<State, Sizes>,
    pub entry_count: u64,
    completeness: Completeness,
    unknown_uses: BTreeSet<Usage>,
    free_bytes: u64,
    largest_free: VaRange,
    largest_free_below_4gb: VaRange,
}

impl Totals {
    pub(super) fn new(
        regions: &[Region],
        entries: &[Entry],
        completeness: Completeness,
        unknown_uses: &[Usage],
    ) -> Self {
        let mut totals = Self {
            by_usage: BTreeMap::new(),
            by_type: BTreeMap::new(),
            by_protect: BTreeMap::new(),
            by_state: BTreeMap::new(),
            entry_count: entries.len() as u64,
            completeness,
            unknown_uses: unknown_uses.iter().copied().collect(),
            free_bytes: 0,
            largest_free: VaRange::default(),
            largest_free_below_4gb: VaRange::default(),
        };
        for region in regions {
            totals.by_usage.entry(region.usage).or_default().add(region.range, region.state);
        }
        for entry in entries {
            totals.by_state.entry(entry.state).or_default().add(entry.range, entry.state);
            if entry.state == State::Free {
                totals.add_free(entry.range);
                continue;
            }
            if let Some(memory_type) = entry.memory_type {
                totals.by_type.entry(memory_type).or_default().add(entry.range, entry.state);
            }
            if let Some(protect) = entry.protect.filter(|_| entry.state == State::Commit) {
                totals.by_protect.entry(protect).or_default().add(entry.range, entry.state);
            }
        }
        totals
    }

    fn add_free(&mut self, range: VaRange) {
        self.free_bytes = self.free_bytes.saturating_add(range.size_bytes());
        if range.size_bytes() > self.largest_free.size_bytes() {
            self.largest_free = range;
        }
        let low_4gb = VaRange::from_size(crate::base::addr::Va(0), 1 << 32);
        if let Some(low) = range.intersection(low_4gb)
            && low.size_bytes() > self.largest_free_below_4gb.size_bytes()
        {
            self.largest_free_below_4gb = low;
        }
    }

    /// Committed memory of the process; `None` when the dump cannot tell it.
    pub fn committed_bytes(&self) -> Option<u64> {
        self.if_complete(self.state_sizes(State::Commit).committed_bytes)
    }

    pub fn reserved_bytes(&self) -> Option<u64> {
        self.if_complete(self.state_sizes(State::Reserve).reserved_bytes)
    }

    pub fn free_bytes(&self) -> Option<u64> {
        self.if_complete(self.free_bytes).filter(|_| self.has_free_entries())
    }

    pub fn largest_free(&self) -> Option<VaRange> {
        self.if_complete(self.largest_free).filter(|_| self.has_free_entries())
    }

    /// The largest free block that a 32-bit program can use: what a WOW64 process runs out of.
    pub fn largest_free_below_4gb(&self) -> Option<VaRange> {
        self.if_complete(self.largest_free_below_4gb).filter(|_| self.has_free_entries())
    }

    /// Some writers leave free memory out of the list; then it is not known.
    fn has_free_entries(&self) -> bool {
        self.by_state.contains_key(&State::Free)
    }

    /// Committed and reserved memory together: what percentages are taken of.
    pub fn busy_bytes(&self) -> u64 {
        self.by_state.values().map(Sizes::busy_bytes).fold(0, u64::saturating_add)
    }

    /// Entries of the memory info list in one state.
    pub fn entry_count_of(&self, state: State) -> Option<u64> {
        self.if_complete(self.state_sizes(state).region_count)
    }

    /// Entries of the memory info list.
    pub fn entry_count(&self) -> Option<u64> {
        self.if_complete(self.entry_count)
    }

    /// Committed memory of one use; `None` when the dump cannot tell it: the structures that would prove the use are not
    /// in it, or this version does not decode them.
    pub fn committed_bytes_of(&self, usage: Usage) -> Option<u64> {
        self.usage_sizes(usage).map(|sizes| sizes.committed_bytes)
    }

    /// The uses whose totals are not known although the map may be whole; their memory counts as another use, mostly as
    /// [`Usage::Unknown`].
    pub const fn unknown_uses(&self) -> &BTreeSet<Usage> {
        &self.unknown_uses
    }

    /// Sizes of one use, with the same absences as [`Totals::committed_bytes_of`].
    pub fn usage_sizes(&self, usage: Usage) -> Option<Sizes> {
        let sizes = self.by_usage.get(&usage).copied().unwrap_or_default();
        self.if_complete(sizes).filter(|_| !self.unknown_uses.contains(&usage))
    }

    /// Sizes of one type; types are known only with a memory info list.
    pub fn type_sizes(&self, memory_type: MemoryType) -> Option<Sizes> {
        self.if_complete(self.by_type.get(&memory_type).copied().unwrap_or_default())
    }

    fn state_sizes(&self, state: State) -> Sizes {
        self.by_state.get(&state).copied().unwrap_or_default()
    }

    fn if_complete<T>(&self, value: T) -> Option<T> {
        (self.completeness == Completeness::Complete).then_some(value)
    }
}
