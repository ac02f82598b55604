//! The three process heaps: their regions, and the heads of their `_HEAP` structures.
//!
//! Figures: `!heap -s` of the case. Layout: public symbols of ntdll, Windows 7 SP1 x64. That the two small heaps are mapped
//! sections of 64 KB is so in a real Windows 7 SP1 dump; their commit figure is the heap's own, not the region's.

use super::figures::{MAIN_HEAP_BYTES, ProcessRun};
use crate::base::addr::Va;
use crate::sample::address_space::{AddressSpace, AllocationKind, Run, winnt::PAGE_READWRITE};
use crate::sample::le_bytes::LeBytes;

const PAGE_BYTES: u64 = 0x1000;
/// sizeof(_HEAP) is 0x208; the first entry of a main heap lies further on, behind its tables.
const FIRST_ENTRY_OFFSET: u64 = 0xa80;
/// HEAP_CAPTURE_STACK_BACKTRACES: set in every heap while the stack trace database is on.
const CAPTURE_STACK_TRACES: u32 = 0x0800_0000;

/// The pages of the main heap in turn: committed, uncommitted, ... 361 of 1024 are committed, in 3 uncommitted ranges.
pub const MAIN_HEAP_PAGE_RUNS: [(u64, u64); 3] = [(128, 221), (160, 221), (73, 221)];

/// One heap of the process.
#[derive(Clone, Copy, Debug)]
pub struct ProcessHeap {
    pub base: Va,
    pub flags: u32,
    segment_flags: u32,
    page_count: u32,
    uncommitted_pages: u32,
    uncommitted_ranges: u32,
    list_index: u16,
}

/// The heaps in the order of the PEB's array.
pub fn process_heaps(run: &ProcessRun) -> [ProcessHeap; 3] {
    let small = |base, uncommitted_pages, list_index| ProcessHeap {
        base: Va(base),
        flags: CAPTURE_STACK_TRACES | 0x8000,
        segment_flags: 1,
        page_count: 16,
        uncommitted_pages,
        uncommitted_ranges: 1,
        list_index,
    };
    let main = ProcessHeap {
        base: run.main_heap,
        flags: CAPTURE_STACK_TRACES | 2,
        segment_flags: 0,
        page_count: 1024,
        uncommitted_pages: 663,
        uncommitted_ranges: 3,
        list_index: 1,
    };
    [main, small(0x1_0000, 15, 2), small(0x2_0000, 0, 3)]
}

/// Adds the regions and the heads of all heaps.
pub fn add_heaps(space: &mut AddressSpace, run: &ProcessRun) {
    let mut runs = Vec::new();
    for (committed_pages, uncommitted_pages) in MAIN_HEAP_PAGE_RUNS {
        runs.push(Run::committed(committed_pages * PAGE_BYTES, PAGE_READWRITE));
        runs.push(Run::reserved(uncommitted_pages * PAGE_BYTES));
    }
    space.allocate(run.main_heap, AllocationKind::PRIVATE, &runs);
    for heap in process_heaps(run) {
        if heap.base != run.main_heap {
            space.allocate(heap.base, AllocationKind::MAPPED, &[Run::committed(0x1_0000, PAGE_READWRITE)]);
        }
        space.write(heap.base, heap_head(&heap));
    }
    debug_assert_eq!(runs.iter().map(|run| run.size_bytes).sum::<u64>(), MAIN_HEAP_BYTES);
}

/// The fields of `_HEAP` that say what and how large it is. Its lists close on themselves.
fn heap_head(heap: &ProcessHeap) -> Vec<u8> {
    let mut head = LeBytes::zeroed(0x208);
    let at = |offset: u64| Va(heap.base.0 + offset);
    let size_bytes = u64::from(heap.page_count) * PAGE_BYTES;
    // The heap is its own first segment.
    head.put_u32(0x10, 0xffee_ffee).put_u32(0x14, heap.segment_flags).put_list_entry(0x18, at(0x128), at(0x128));
    head.put_va(0x28, heap.base).put_va(0x30, heap.base).put_u32(0x38, heap.page_count);
    head.put_va(0x40, at(FIRST_ENTRY_OFFSET)).put_va(0x48, at(size_bytes));
    head.put_u32(0x50, heap.uncommitted_pages).put_u32(0x54, heap.uncommitted_ranges);
    head.put_list_entry(0x60, at(0x60), at(0x60));
    head.put_u32(0x70, heap.flags).put_u32(0x74, CAPTURE_STACK_TRACES);
    head.put_u32(0x9c, 0xff00).put_u32(0xa0, 0xeeff_eeff);
    head.put_u64(0xa8, 0x10_0000).put_u64(0xb0, 0x2000).put_u64(0xb8, 0x100).put_u64(0xc0, 0x1000);
    head.put_u64(0xd0, 0x7ff_fffd_efff).put_u16(0xd8, heap.list_index).put_u16(0xda, 0x208);
    head.put_list_entry(0xf8, at(0xf8), at(0xf8));
    head.put_u64(0x108, 0x1f).put_u64(0x110, !0xf);
    head.put_list_entry(0x118, at(0x118), at(0x118)).put_list_entry(0x128, at(0x18), at(0x18));
    head.put_list_entry(0x158, at(0x158), at(0x158));
    head.into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_heap_commits_what_the_case_says() {
        let committed: u64 = MAIN_HEAP_PAGE_RUNS.iter().map(|(committed, _)| committed).sum();
        let reserved: u64 = MAIN_HEAP_PAGE_RUNS.iter().map(|(committed, uncommitted)| committed + uncommitted).sum();
        assert_eq!((committed * 4, reserved * 4), (1444, 4096));
    }
}
