//! Who says that a range of memory is his: PEB, TEBs, stacks, heaps, and what the PEB points at.

use std::collections::BTreeMap;

use crate::base::addr::{Va, VaRange};
use crate::input::dump::Dump;
use crate::process::heap::extent::HeapKind;
use crate::process::peb::Peb;
use crate::process::regions::claims::{Claim, ClaimMap, Rank};
use crate::process::regions::usage::{HeapPart, Owner, Usage};
use crate::process::threads::teb::Teb;

use super::ProcessHeap;

const PAGE_BYTES: u64 = 0x1000;
/// KUSER_SHARED_DATA lies here in every process of every Windows NT.
const USER_SHARED_DATA: Va = Va(0x7ffe_0000);

/// All claims of one process.
pub(super) fn claim_regions(dump: &Dump, pebs: &[Peb], tebs: &[Teb], heaps: &[ProcessHeap]) -> ClaimMap {
    let allocations = Allocations::new(dump);
    let mut claims = Vec::new();
    for peb in pebs {
        claims.push(Claim {
            range: VaRange::from_size(peb.base, PAGE_BYTES),
            usage: Usage::Peb,
            owner: Owner::Process { width: peb.width },
            rank: Rank::Peb,
        });
        claims.extend(peb.pointed_at.iter().filter_map(|(va, name)| pointed_at(*va, name, &allocations)));
    }
    claims.extend(pointed_at(USER_SHARED_DATA, "User Shared Data", &allocations));
    for teb in tebs {
        let owner = Owner::Thread { tid: teb.tid, width: teb.width };
        claims.push(Claim { range: teb.range(), usage: Usage::Teb, owner, rank: Rank::Teb });
        if let Some(stack) = teb.stack {
            claims.push(Claim { range: whole_pages(stack), usage: Usage::Stack, owner, rank: Rank::Stack });
        }
    }
    for heap in heaps {
        claims.extend(heap_claims(heap, &allocations));
    }
    ClaimMap::new(claims)
}

/// The 64-bit stack of a WOW64 thread begins below its last page's end: what lies above is the saved 32-bit context (seen
/// on build 7601, StackBase 8fd20 hexadecimal). The page belongs to the stack all the same.
fn whole_pages(range: VaRange) -> VaRange {
    let start = range.start.0 & !(PAGE_BYTES - 1);
    VaRange::from_size(Va(start), (range.end.0 - start).next_multiple_of(PAGE_BYTES))
}

fn heap_claims(heap: &ProcessHeap, allocations: &Allocations) -> Vec<Claim> {
    let extent = &heap.extent;
    let usage = if extent.kind == HeapKind::PageHeap { Usage::PageHeap } else { Usage::Heap };
    // Where no memory info list tells how far an allocation goes, a heap's first page is all that is certain.
    let parts = extent
        .segments
        .iter()
        .map(|va| (*va, HeapPart::Segment))
        .chain(extent.front_end.iter().map(|va| (*va, HeapPart::FrontEnd)))
        .chain(extent.large_blocks.iter().map(|va| (*va, HeapPart::LargeBlock)));
    parts
        .map(|(va, part)| Claim {
            range: allocations.containing(va).unwrap_or_else(|| VaRange::from_size(va, PAGE_BYTES)),
            usage,
            owner: Owner::Heap { heap: heap.index, handle: extent.base, width: extent.width, part },
            rank: Rank::Heap,
        })
        .collect()
}

/// The allocation that the PEB points into. Private memory must begin there: process parameters and environment have
/// allocations of their own up to Windows 7 (seen on build 7601) and lie in the process heap later (seen on build 26200,
/// where claiming what holds them would claim the heap's segments).
fn pointed_at(va: Va, name: &'static str, allocations: &Allocations) -> Option<Claim> {
    let range = match allocations.at(va) {
        Some(allocation) if allocation.is_private => {
            (va.offset_from(allocation.range.start)? < PAGE_BYTES).then_some(allocation.range)?
        }
        Some(allocation) => allocation.range,
        None => VaRange::from_size(va, PAGE_BYTES),
    };
    Some(Claim { range, usage: Usage::Other, owner: Owner::Named(name), rank: Rank::PointedAt })
}

/// The allocations of the process, by their base.
struct Allocations {
    by_base: BTreeMap<Va, Allocation>,
}

#[derive(Clone, Copy)]
struct Allocation {
    range: VaRange,
    is_private: bool,
}

impl Allocations {
    fn new(dump: &Dump) -> Self {
        const MEM_FREE: u32 = 0x1_0000;
        const MEM_PRIVATE: u32 = 0x2_0000;
        let mut by_base: BTreeMap<Va, Allocation> = BTreeMap::new();
        for record in dump.memory_info.iter().flatten().filter(|record| record.state != MEM_FREE) {
            let region = VaRange::from_size(record.base, record.size_bytes);
            // A region that does not lie behind its allocation base is damage; it stands for itself.
            let base = record.allocation_base.min(record.base);
            let is_private = record.memory_type == MEM_PRIVATE;
            let range = VaRange { start: base, end: region.end };
            let whole = by_base.entry(base).or_insert(Allocation { range, is_private });
            whole.range.end = whole.range.end.max(region.end);
        }
        Self { by_base }
    }

    fn at(&self, va: Va) -> Option<Allocation> {
        let (_, allocation) = self.by_base.range(..=va).next_back()?;
        allocation.range.contains(va).then_some(*allocation)
    }

    fn containing(&self, va: Va) -> Option<VaRange> {
        self.at(va).map(|allocation| allocation.range)
    }
}
