//! Who says that a range of memory is his: PEB, TEBs, stacks, heaps, and what the PEB points at.

use crate::base::addr::{Va, VaRange};
use crate::process::heap::head::HeapKind;
use crate::process::peb::Peb;
use crate::process::regions::claims::{Claim, ClaimMap, Rank};
use crate::process::regions::usage::{HeapPart, Owner, Usage};
use crate::process::threads::teb::Teb;

use crate::process::traces::StoreHeader;

use super::ProcessHeap;
use super::allocations::Allocations;

const PAGE_BYTES: u64 = 0x1000;
/// KUSER_SHARED_DATA lies here in every process of every Windows NT.
const USER_SHARED_DATA: Va = Va(0x7ffe_0000);

/// All claims of one process.
pub(super) fn claim_regions(
    allocations: &Allocations,
    pebs: &[Peb],
    tebs: &[Teb],
    heaps: &[ProcessHeap],
    trace_stores: &[StoreHeader],
) -> ClaimMap {
    let mut claims = Vec::new();
    for peb in pebs {
        claims.push(Claim {
            range: VaRange::from_size(peb.base, PAGE_BYTES),
            usage: Usage::Peb,
            owner: Owner::Process { width: peb.width },
            rank: Rank::Peb,
        });
        claims.extend(peb.pointed_at.iter().filter_map(|(va, name)| pointed_at(*va, name, allocations)));
    }
    claims.extend(pointed_at(USER_SHARED_DATA, "User Shared Data", allocations));
    for teb in tebs {
        let owner = Owner::Thread { tid: teb.tid, width: teb.width };
        claims.push(Claim { range: teb.range(), usage: Usage::Teb, owner, rank: Rank::Teb });
        if let Some(stack) = teb.stack {
            claims.push(Claim { range: whole_pages(stack), usage: Usage::Stack, owner, rank: Rank::Stack });
        }
    }
    for heap in heaps {
        claims.extend(heap_claims(heap, allocations));
    }
    let store_ranges = trace_stores.iter().flat_map(StoreHeader::regions);
    claims.extend(store_ranges.map(|range| Claim {
        range,
        usage: Usage::StackTraceDatabase,
        owner: Owner::Nobody,
        rank: Rank::StackTraceDatabase,
    }));
    ClaimMap::new(claims)
}

/// The 64-bit stack of a WOW64 thread begins below its last page's end: what lies above is the saved 32-bit context (seen
/// on build 7601, StackBase 8fd20 hexadecimal). The page belongs to the stack all the same. Test:
/// `a_wow64_process_has_both_halves`.
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
/// where claiming what holds them would claim the heap's segments). Test:
/// `what_the_peb_points_into_private_memory_is_claimed_only_where_it_begins`.
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
