//! How far each allocation of the process goes, from the memory info list.

use std::collections::BTreeMap;

use crate::base::addr::{Va, VaRange};
use crate::input::dump::Dump;

/// The allocations of the process, by their base.
pub(super) struct Allocations {
    by_base: BTreeMap<Va, Allocation>,
}

#[derive(Clone, Copy)]
pub(super) struct Allocation {
    pub range: VaRange,
    pub is_private: bool,
    is_read_write: bool,
}

impl Allocations {
    pub fn new(dump: &Dump) -> Self {
        const MEM_FREE: u32 = 0x1_0000;
        const MEM_PRIVATE: u32 = 0x2_0000;
        const PAGE_READWRITE: u32 = 0x4;
        let mut by_base: BTreeMap<Va, Allocation> = BTreeMap::new();
        for record in dump.memory_info.iter().flatten().filter(|record| record.state != MEM_FREE) {
            let region = VaRange::from_size(record.base, record.size_bytes);
            // A region that does not lie behind its allocation base is damage; it stands for itself.
            let base = record.allocation_base.min(record.base);
            let is_private = record.memory_type == MEM_PRIVATE;
            let is_read_write = record.allocation_protect == PAGE_READWRITE;
            let range = VaRange { start: base, end: region.end };
            let whole = by_base.entry(base).or_insert(Allocation { range, is_private, is_read_write });
            whole.range.end = whole.range.end.max(region.end);
        }
        Self { by_base }
    }

    pub fn at(&self, va: Va) -> Option<Allocation> {
        let (_, allocation) = self.by_base.range(..=va).next_back()?;
        allocation.range.contains(va).then_some(*allocation)
    }

    /// Private memory asked for as read-write: where a stack trace store can lie.
    pub fn private_read_write(&self) -> Vec<VaRange> {
        let candidates = self.by_base.values().filter(|allocation| allocation.is_private && allocation.is_read_write);
        candidates.map(|allocation| allocation.range).collect()
    }

    pub fn containing(&self, va: Va) -> Option<VaRange> {
        self.at(va).map(|allocation| allocation.range)
    }
}
