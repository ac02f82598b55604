//! The head of a heap of XP or Server 2003: 64 places for segments, 128 free lists, no counters. Segments lie apart from it, and
//! know their uncommitted ranges by a chain.
//!
//! Source: lists of `_HEAP`, `_HEAP_SEGMENT` and `_HEAP_UNCOMMMTTED_RANGE` with offsets, 5.1 x86 and 5.2 x64.

use super::build::HeapMemory;
use super::head::{free_link, put_free_lock, put_virtual_list};
use super::layout::segment_head_bytes;
use super::place::{Content, PAGE_BYTES, PlacedEntry, PlacedHeap, PlacedSegment, xp_segment_offset};
use super::plan::FrontEnd;
use super::truth::HeapTotals;
use crate::base::addr::{PointerWidth, Va};

const HEAP_SIGNATURE: u32 = 0xeeff_eeff;
const SEGMENT_SIGNATURE: u32 = 0xffee_ffee;
/// List 0 is for blocks that have no list of their own size.
const LIST_COUNT: u64 = 128;

struct XpFields {
    head_bytes: u64,
    signature: u64,
    /// Flags, then ForceFlags.
    flags: u64,
    virtual_threshold: u64,
    /// SegmentReserve, SegmentCommit, two decommit thresholds, TotalFreeSize, MaximumAllocationSize.
    segment_reserve: u64,
    list_index: u64,
    /// AlignRound, then AlignMask.
    align_round: u64,
    virtual_blocks: u64,
    segments: u64,
    lists_in_use: u64,
    free_lists: u64,
    lock: u64,
    front_end: u64,
    front_end_type: u64,
    segment: XpSegmentFields,
}

struct XpSegmentFields {
    signature: u64,
    heap: u64,
    largest_hole: u64,
    base: u64,
    page_count: u64,
    first_entry: u64,
    uncommitted_pages: u64,
    holes: u64,
    last_entry: u64,
}

const X86: XpFields = XpFields {
    head_bytes: 0x588,
    signature: 0x8,
    flags: 0xc,
    virtual_threshold: 0x14,
    segment_reserve: 0x18,
    list_index: 0x30,
    align_round: 0x48,
    virtual_blocks: 0x50,
    segments: 0x58,
    lists_in_use: 0x158,
    free_lists: 0x178,
    lock: 0x578,
    front_end: 0x580,
    front_end_type: 0x586,
    segment: XpSegmentFields {
        signature: 0x8,
        heap: 0x10,
        largest_hole: 0x14,
        base: 0x18,
        page_count: 0x1c,
        first_entry: 0x20,
        uncommitted_pages: 0x28,
        holes: 0x30,
        last_entry: 0x38,
    },
};

const X64: XpFields = XpFields {
    head_bytes: 0xae8,
    signature: 0x10,
    flags: 0x14,
    virtual_threshold: 0x1c,
    segment_reserve: 0x20,
    list_index: 0x50,
    align_round: 0x80,
    virtual_blocks: 0x90,
    segments: 0xa0,
    lists_in_use: 0x2a0,
    free_lists: 0x2c8,
    lock: 0xac8,
    front_end: 0xad8,
    front_end_type: 0xae2,
    segment: XpSegmentFields {
        signature: 0x10,
        heap: 0x18,
        largest_hole: 0x20,
        base: 0x28,
        page_count: 0x30,
        first_entry: 0x38,
        uncommitted_pages: 0x48,
        holes: 0x50,
        last_entry: 0x60,
    },
};

pub(super) fn put_xp_head(memory: &mut HeapMemory, heap: &PlacedHeap<'_>, totals: &HeapTotals) {
    let plan = heap.plan;
    let fields = if plan.width == PointerWidth::Bits64 { &X64 } else { &X86 };
    let step = plan.width.bytes();
    let at = |offset: u64| Va(plan.base().0 + offset);
    memory.put_u32(at(fields.signature), HEAP_SIGNATURE);
    memory.put_u32(at(fields.flags), plan.flags).put_u32(at(fields.flags + 4), plan.force_flags);
    memory.put_u32(at(fields.virtual_threshold), 0xfe00);
    let granule_bytes = heap.granule.bytes();
    let sizes = [0x10_0000, 0x2000, 0x200, 0x2000, totals.free_bytes / granule_bytes, 0x7ffd_efff];
    for (number, value) in (0..).zip(sizes) {
        memory.put_pointer(at(fields.segment_reserve + number * step), Va(value));
    }
    // HeaderValidateLength: the head and its lock, in whole granules.
    memory.put_u16(at(fields.list_index), plan.list_index).put_u16(at(fields.list_index + 2), 0x608);
    memory.put_pointer(at(fields.align_round), Va(8 + granule_bytes - 1));
    memory.put_pointer(at(fields.align_round + step), Va(!(granule_bytes - 1)));
    put_virtual_list(memory, heap, at(fields.virtual_blocks));
    put_free_lists(memory, heap, fields);
    if plan.has_lock() {
        put_free_lock(memory, plan.width, at(fields.head_bytes));
        memory.put_pointer(at(fields.lock), at(fields.head_bytes));
    }
    if let Some(front_end) = heap.front_end() {
        memory.put_pointer(at(fields.front_end), front_end);
        memory.put(at(fields.front_end_type), &[if plan.front_end == FrontEnd::Lookaside { 1 } else { 2 }]);
    }
    // The descriptions of holes lie behind the lock.
    let mut next_description = at((fields.head_bytes + 0x28).next_multiple_of(8));
    for (number, segment) in (0..).zip(&heap.segments) {
        let head = if number == 0 { at(xp_segment_offset(plan)) } else { segment.base };
        memory.put_pointer(at(fields.segments + number * step), head);
        put_segment(memory, heap, &fields.segment, segment, head);
        let mut from = Va(head.0 + fields.segment.holes);
        for run in segment.runs.iter().filter(|run| !run.hole.is_empty()) {
            memory.put_pointer(from, next_description);
            memory.put_pointer(Va(next_description.0 + step), run.hole.start);
            memory.put_pointer(Va(next_description.0 + 2 * step), Va(run.hole.size_bytes()));
            from = next_description;
            next_description = Va(next_description.0 + 4 * step);
        }
    }
}

fn put_segment(
    memory: &mut HeapMemory,
    heap: &PlacedHeap<'_>,
    fields: &XpSegmentFields,
    segment: &PlacedSegment,
    head: Va,
) {
    let plan = heap.plan;
    let at = |offset: u64| Va(head.0 + offset);
    let holes = || segment.runs.iter().map(|run| run.hole.size_bytes()).filter(|size_bytes| *size_bytes > 0);
    let low = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    memory.put_u32(at(fields.signature), SEGMENT_SIGNATURE).put_pointer(at(fields.heap), plan.base());
    memory.put_pointer(at(fields.largest_hole), Va(holes().max().unwrap_or(0)));
    memory.put_pointer(at(fields.base), segment.base);
    memory.put_u32(at(fields.page_count), low(segment.page_count()));
    memory.put_pointer(at(fields.first_entry), at(segment_head_bytes(plan.generation, plan.width)));
    memory.put_pointer(at(fields.first_entry + plan.width.bytes()), segment.end);
    memory.put_u32(at(fields.uncommitted_pages), low(segment.uncommitted_bytes() / PAGE_BYTES));
    memory.put_u32(at(fields.uncommitted_pages + 4), low(holes().count() as u64));
    let last = segment.runs.iter().rev().find_map(|run| run.entries.last());
    memory.put_pointer(at(fields.last_entry), last.map_or(Va(0), |entry| entry.va));
}

/// List `n` holds the blocks of `n` granules; list 0, by size, those of 128 and more.
fn put_free_lists(memory: &mut HeapMemory, heap: &PlacedHeap<'_>, fields: &XpFields) {
    let base = heap.plan.base().0;
    let step = heap.plan.width.bytes();
    let list_of = |entry: &PlacedEntry| if entry.granules < LIST_COUNT { entry.granules } else { 0 };
    let mut free: Vec<_> = heap.entries().filter(|entry| entry.content == Content::Free).collect();
    free.sort_by_key(|entry| (list_of(entry), entry.granules, entry.va));
    let mut in_use = [0_u8; 16];
    for number in 0..LIST_COUNT {
        let links: Vec<_> =
            free.iter().filter(|entry| list_of(entry) == number).map(|entry| free_link(heap, entry)).collect();
        if let (Some(byte), false) = (in_use.get_mut((number / 8) as usize), links.is_empty()) {
            *byte |= 1 << (number % 8);
        }
        memory.put_list(Va(base + fields.free_lists + number * 2 * step), &links);
    }
    memory.put(Va(base + fields.lists_in_use), &in_use);
}
