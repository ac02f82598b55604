//! The heads of heaps of other systems: `_HEAP`, and `_HEAP_SEGMENT` where it lies apart (XP).
//!
//! Offsets: public symbols of ntdll, Windows XP SP3 x86, Windows 7 SP1 x86, Windows 10 x64 (19045).

use super::process_plan::PlannedHeap;
use crate::base::addr::{PointerWidth, Va};
use crate::sample::address_space::{AddressSpace, AllocationKind, Run, winnt::PAGE_READWRITE};
use crate::sample::le_bytes::LeBytes;
use crate::sample::process_memory::Windows;

/// HEAP_CAPTURE_STACK_BACKTRACES: set in every heap while the stack trace database is on.
pub const CAPTURE_STACK_TRACES: u32 = 0x0800_0000;
/// In XP the first segment lies behind the head; its first entry follows.
const XP_SEGMENT_OFFSET: u64 = 0x640;
const PAGE_BYTES: u64 = 0x1000;

/// Adds the region and the head of heap number `list_index`, counted from 1.
pub fn add_heap(space: &mut AddressSpace, windows: Windows, heap: &PlannedHeap, list_index: u16) {
    let committed_bytes = u64::from(heap.committed_pages) * PAGE_BYTES;
    let runs = [
        Run::committed(committed_bytes, PAGE_READWRITE),
        Run::reserved(u64::from(heap.page_count) * PAGE_BYTES - committed_bytes),
    ];
    space.allocate(heap.base, if heap.is_mapped { AllocationKind::MAPPED } else { AllocationKind::PRIVATE }, &runs);
    let head = match windows {
        Windows::XpX86 => xp_head(heap, list_index),
        Windows::SevenX86 => head(heap, list_index, &SEVEN_X86),
        Windows::SevenX64 | Windows::TenX64 => head(heap, list_index, &TEN_X64),
    };
    space.write(heap.base, head);
}

/// Where the fields of a heap lie that is its own first segment.
struct HeapPlaces {
    width: PointerWidth,
    head_bytes: u16,
    first_entry: u64,
    signature_of_segment: usize,
    segment_flags: usize,
    segment_list_entry: usize,
    heap: usize,
    page_count: usize,
    first_entry_field: usize,
    uncommitted_pages: usize,
    ucr_segment_list: usize,
    flags: usize,
    interceptor: usize,
    virtual_threshold: usize,
    signature: usize,
    segment_reserve: usize,
    maximum_size: usize,
    list_index: usize,
    ucr_list: usize,
    align_round: usize,
    virtual_blocks: usize,
    segment_list: usize,
    free_lists: usize,
    counters: usize,
}

const SEVEN_X86: HeapPlaces = HeapPlaces {
    width: PointerWidth::Bits32,
    head_bytes: 0x138,
    first_entry: 0x588,
    signature_of_segment: 0x8,
    segment_flags: 0xc,
    segment_list_entry: 0x10,
    heap: 0x18,
    page_count: 0x20,
    first_entry_field: 0x24,
    uncommitted_pages: 0x2c,
    ucr_segment_list: 0x38,
    flags: 0x40,
    interceptor: 0x5c,
    virtual_threshold: 0x60,
    signature: 0x64,
    segment_reserve: 0x68,
    maximum_size: 0x7c,
    list_index: 0x80,
    ucr_list: 0x90,
    align_round: 0x98,
    virtual_blocks: 0xa0,
    segment_list: 0xa8,
    free_lists: 0xc4,
    counters: 0xdc,
};

const TEN_X64: HeapPlaces = HeapPlaces {
    width: PointerWidth::Bits64,
    head_bytes: 0x2c0,
    first_entry: 0x740,
    signature_of_segment: 0x10,
    segment_flags: 0x14,
    segment_list_entry: 0x18,
    heap: 0x28,
    page_count: 0x38,
    first_entry_field: 0x40,
    uncommitted_pages: 0x50,
    ucr_segment_list: 0x60,
    flags: 0x70,
    interceptor: 0x90,
    virtual_threshold: 0x94,
    signature: 0x98,
    segment_reserve: 0xa0,
    maximum_size: 0xc8,
    list_index: 0xd0,
    ucr_list: 0xf0,
    align_round: 0x100,
    virtual_blocks: 0x110,
    segment_list: 0x120,
    free_lists: 0x150,
    counters: 0x238,
};

/// Vista and later. The lists of the heap close on themselves.
fn head(heap: &PlannedHeap, list_index: u16, places: &HeapPlaces) -> Vec<u8> {
    let width = places.width;
    let step = if width == PointerWidth::Bits64 { 8 } else { 4 };
    let mut head = LeBytes::zeroed(usize::from(places.head_bytes));
    let at = |offset: u64| Va(heap.base.0 + offset);
    let link = |offset: usize| at(offset as u64);
    let size_bytes = u64::from(heap.page_count) * PAGE_BYTES;
    let uncommitted_pages = heap.page_count - heap.committed_pages;

    head.put_u32(places.signature_of_segment, 0xffee_ffee).put_u32(places.segment_flags, u32::from(heap.is_mapped));
    // Heap and BaseAddress; FirstEntry and LastValidEntry.
    head.put_pointer(width, places.heap, heap.base).put_pointer(width, places.heap + step, heap.base);
    head.put_pointer(width, places.first_entry_field, at(places.first_entry));
    head.put_pointer(width, places.first_entry_field + step, at(size_bytes));
    head.put_u32(places.page_count, heap.page_count).put_u32(places.uncommitted_pages, uncommitted_pages);
    head.put_u32(places.uncommitted_pages + 4, u32::from(uncommitted_pages > 0));
    // Flags, ForceFlags. An interceptor is an index into a table of ntdll; without the log there is none.
    head.put_u32(places.flags, heap.flags).put_u32(places.flags + 4, heap.flags & CAPTURE_STACK_TRACES);
    let has_log = width == PointerWidth::Bits64 && heap.flags & CAPTURE_STACK_TRACES != 0;
    head.put_u32(places.interceptor, u32::from(has_log)).put_u32(places.virtual_threshold, 0xff00);
    head.put_u32(places.signature, 0xeeff_eeff);
    // Reserve and commit of further segments, decommit thresholds.
    for (number, value) in [0x10_0000, 0x2000, 0x200, 0x2000].into_iter().enumerate() {
        head.put_pointer(width, places.segment_reserve + number * step, Va(value));
    }
    let granule = 2 * step as u64;
    head.put_pointer(width, places.maximum_size, Va(if step == 8 { 0x7fff_fffd_efff } else { 0x7ffd_efff }));
    head.put_u16(places.list_index, list_index).put_u16(places.list_index + 2, places.head_bytes);
    head.put_pointer(width, places.align_round, Va(2 * granule - 1));
    head.put_pointer(width, places.align_round + step, Va(!(granule - 1)));
    for list in [places.ucr_segment_list, places.ucr_list, places.virtual_blocks, places.free_lists] {
        head.put_pointer(width, list, link(list)).put_pointer(width, list + step, link(list));
    }
    // The list of segments has one element, this heap.
    let (entry, list) = (places.segment_list_entry, places.segment_list);
    head.put_pointer(width, entry, link(list)).put_pointer(width, entry + step, link(list));
    head.put_pointer(width, list, link(entry)).put_pointer(width, list + step, link(entry));
    // Counters: reserved, committed; then segments and uncommitted ranges.
    head.put_pointer(width, places.counters, Va(size_bytes));
    head.put_pointer(width, places.counters + step, Va(u64::from(heap.committed_pages) * PAGE_BYTES));
    head.put_u32(places.counters + 4 * step, 1)
        .put_u32(places.counters + 4 * step + 4, u32::from(uncommitted_pages > 0));
    head.into_vec()
}

fn xp_head(heap: &PlannedHeap, list_index: u16) -> Vec<u8> {
    const WIDTH: PointerWidth = PointerWidth::Bits32;
    let mut head = LeBytes::zeroed(XP_SEGMENT_OFFSET as usize + 0x3c);
    let at = |offset: u64| Va(heap.base.0 + offset);
    let uncommitted_pages = heap.page_count - heap.committed_pages;
    head.put_u32(0x8, 0xeeff_eeff).put_u32(0xc, heap.flags).put_u32(0x10, heap.flags & CAPTURE_STACK_TRACES);
    // Threshold; reserve and commit of segments; decommit thresholds; maximum.
    for (number, value) in [0xfe00, 0x10_0000, 0x2000, 0x200, 0x2000].into_iter().enumerate() {
        head.put_u32(0x14 + number * 4, value);
    }
    head.put_u32(0x2c, 0x7ffd_efff).put_u16(0x30, list_index).put_u16(0x32, 0x608);
    head.put_u32(0x48, 0xf).put_u32(0x4c, 0xffff_fff8);
    head.put_pointer(WIDTH, 0x58, at(XP_SEGMENT_OFFSET));
    // VirtualAllocdBlocks and the 128 free lists close on themselves.
    for list in [0x50].into_iter().chain((0..128).map(|number| 0x178 + number * 8)) {
        head.put_pointer(WIDTH, list, at(list as u64)).put_pointer(WIDTH, list + 4, at(list as u64));
    }
    let segment = XP_SEGMENT_OFFSET as usize;
    head.put_u32(segment + 0x8, 0xffee_ffee).put_pointer(WIDTH, segment + 0x10, heap.base);
    head.put_u32(segment + 0x14, uncommitted_pages * PAGE_BYTES as u32);
    head.put_pointer(WIDTH, segment + 0x18, heap.base).put_u32(segment + 0x1c, heap.page_count);
    head.put_pointer(WIDTH, segment + 0x20, at(XP_SEGMENT_OFFSET + 0x40));
    head.put_pointer(WIDTH, segment + 0x24, at(u64::from(heap.page_count) * PAGE_BYTES));
    head.put_u32(segment + 0x28, uncommitted_pages).put_u32(segment + 0x2c, u32::from(uncommitted_pages > 0));
    head.into_vec()
}
