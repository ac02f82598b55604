//! The head of a heap of Vista or later, which is its own first segment; the heads of further segments; what the lists of the
//! heap chain.
//!
//! Values that no list of types tells (thresholds, alignment, where the lock and the tables behind the head lie) are those of a
//! real dump of Windows 7.

use super::build::HeapMemory;
use super::entry::Granule;
use super::layout::{HeapFields, LOOKUP_SIZES, heap_fields, lookup_places, segment_head_bytes};
use super::place::{Content, PlacedEntry, PlacedHeap, PlacedSegment};
use super::plan::{FrontEnd, HeapGeneration};
use super::truth::HeapTotals;
use crate::base::addr::{PointerWidth, Va};

const SEGMENT_SIGNATURE: u32 = 0xffee_ffee;
const HEAP_SIGNATURE: u32 = 0xeeff_eeff;
/// Bit 20 of the header's first four bytes, which the key has set.
const ENCODE_FLAG_MASK: u32 = 0x10_0000;

pub(super) fn put_head(memory: &mut HeapMemory, heap: &PlacedHeap<'_>, totals: &HeapTotals) {
    let fields = heap_fields(heap.plan.generation, heap.plan.width);
    let base = heap.plan.base();
    let in_head = |offset: usize| Va(base.0 + offset as u64);
    for (number, segment) in heap.segments.iter().enumerate() {
        put_segment(memory, heap, segment, &fields, number == 0);
    }
    let segment_links: Vec<_> =
        heap.segments.iter().map(|segment| Va(segment.base.0 + fields.segment_list_entry as u64)).collect();
    memory.put_list(in_head(fields.segment_list), &segment_links);
    put_uncommitted_ranges(memory, heap, &fields);
    put_virtual_list(memory, heap, in_head(fields.virtual_blocks));
    put_numbers(memory, heap, &fields, totals);
    put_counters(memory, heap, in_head(fields.counters), totals);
    let free = free_entries(heap);
    let links: Vec<_> = free.iter().map(|entry| free_link(heap, entry)).collect();
    memory.put_list(in_head(fields.free_lists), &links);
    put_lookup(memory, heap, &fields, &free);
}

/// The free blocks in the order of the list: by size.
fn free_entries<'h>(heap: &'h PlacedHeap<'_>) -> Vec<&'h PlacedEntry> {
    let mut free: Vec<_> = heap.entries().filter(|entry| entry.content == Content::Free).collect();
    free.sort_by_key(|entry| (entry.granules, entry.va));
    free
}

pub(super) fn free_link(heap: &PlacedHeap<'_>, entry: &PlacedEntry) -> Va {
    Va(entry.va.0 + heap.granule.bytes())
}

pub(super) fn put_virtual_list(memory: &mut HeapMemory, heap: &PlacedHeap<'_>, head: Va) {
    let links: Vec<_> = heap.plan.virtual_blocks.iter().map(|block| block.base).collect();
    memory.put_list(head, &links);
}

fn put_segment(
    memory: &mut HeapMemory,
    heap: &PlacedHeap<'_>,
    segment: &PlacedSegment,
    fields: &HeapFields,
    is_first: bool,
) {
    let plan = heap.plan;
    let at = |offset: usize| Va(segment.base.0 + offset as u64);
    let step = plan.width.bytes();
    // SegmentFlags: 1 where the memory was given by somebody else.
    let is_given = plan.flags & 0x8000 != 0;
    memory.put_u32(at(fields.segment_signature), SEGMENT_SIGNATURE);
    memory.put_u32(Va(at(fields.segment_signature).0 + 4), u32::from(is_given));
    memory.put_pointer(at(fields.heap), plan.base()).put_pointer(Va(at(fields.heap).0 + step), segment.base);
    memory.put_u32(at(fields.page_count), u32::try_from(segment.page_count()).unwrap_or(u32::MAX));
    let first_entry = if is_first {
        lookup_places(plan.generation, plan.width).first_entry
    } else {
        segment_head_bytes(plan.generation, plan.width)
    };
    memory.put_pointer(at(fields.first_entry), Va(segment.base.0 + first_entry));
    memory.put_pointer(Va(at(fields.first_entry).0 + step), segment.end);
    memory
        .put_u32(at(fields.uncommitted_pages), u32::try_from(segment.uncommitted_bytes() / 0x1000).unwrap_or(u32::MAX));
    memory.put_u32(Va(at(fields.uncommitted_pages).0 + 4), u32::try_from(segment.runs.len()).unwrap_or(u32::MAX));
}

/// The descriptors in the sentinels: all in the lists of their segments, those with pages also in the list of the heap.
fn put_uncommitted_ranges(memory: &mut HeapMemory, heap: &PlacedHeap<'_>, fields: &HeapFields) {
    let pointer_bytes = heap.plan.width.bytes();
    let mut of_heap = Vec::new();
    for segment in &heap.segments {
        let mut of_segment = Vec::new();
        for run in &segment.runs {
            let Some(sentinel) = run.entries.iter().find(|entry| entry.content == Content::Sentinel) else { continue };
            let descriptor = sentinel.va.0 + heap.granule.bytes();
            of_segment.push(Va(descriptor + 2 * pointer_bytes));
            if !run.hole.is_empty() {
                of_heap.push(Va(descriptor));
            }
            memory.put_pointer(Va(descriptor + 4 * pointer_bytes), run.hole.start);
            memory.put_pointer(Va(descriptor + 5 * pointer_bytes), Va(run.hole.size_bytes()));
        }
        memory.put_list(Va(segment.base.0 + fields.ucr_segment_list as u64), &of_segment);
    }
    memory.put_list(Va(heap.plan.base().0 + fields.ucr_list as u64), &of_heap);
}

fn put_numbers(memory: &mut HeapMemory, heap: &PlacedHeap<'_>, fields: &HeapFields, totals: &HeapTotals) {
    let plan = heap.plan;
    let at = |offset: usize| Va(plan.base().0 + offset as u64);
    let step = plan.width.bytes();
    memory.put_u32(at(fields.flags), plan.flags).put_u32(at(fields.flags + 4), plan.force_flags);
    if let Some(key) = plan.encoding {
        memory.put_u32(at(fields.encode_flag_mask), ENCODE_FLAG_MASK).put(at(fields.encoding), &key);
    }
    if let Some(pointer_key) = fields.pointer_key {
        memory.put_pointer(at(pointer_key), Va(plan.lfh_key.rotate_left(17) ^ 0x0f5c_2453_1925_2453));
    }
    memory.put_u32(at(fields.interceptor), plan.interceptor);
    let threshold = if step == 8 { 0xff00 } else { 0xfe00 };
    memory.put_u32(at(fields.interceptor + 4), threshold).put_u32(at(fields.interceptor + 8), HEAP_SIGNATURE);
    let granule_bytes = heap.granule.bytes();
    let sizes = [
        0x10_0000,
        0x2000,
        0x1000 / granule_bytes,
        0x1_0000 / granule_bytes,
        totals.free_bytes / granule_bytes,
        if step == 8 { 0x7ff_fffd_efff } else { 0x7ffd_efff },
    ];
    for (offset, value) in (fields.segment_reserve..).step_by(step as usize).zip(sizes) {
        memory.put_pointer(at(offset), Va(value));
    }
    memory.put_u16(at(fields.list_index), plan.list_index);
    memory.put_u16(at(fields.list_index + 2), u16::try_from(fields.head_bytes).unwrap_or(u16::MAX));
    memory.put_pointer(at(fields.align_round), Va(8 + granule_bytes - 1));
    memory.put_pointer(Va(at(fields.align_round).0 + step), Va(!(granule_bytes - 1)));
    if plan.has_lock() {
        put_free_lock(memory, plan.width, at(fields.head_bytes));
        memory.put_pointer(at(fields.lock), at(fields.head_bytes));
    }
    if let Some(front_end) = heap.front_end() {
        memory.put_pointer(at(fields.front_end), front_end);
    }
    let kind = match plan.front_end {
        FrontEnd::None => 0,
        FrontEnd::Lookaside => 1,
        FrontEnd::Lfh | FrontEnd::LfhAt { .. } => 2,
    };
    memory.put(at(fields.front_end_type), &[kind]);
    if plan.generation >= HeapGeneration::Eight {
        // RequestedFrontEndHeapType.
        memory.put(at(fields.front_end_type + 1), &[kind]);
    }
    // CommittThresholdShift, MaxPreCommittThreshold.
    memory.put_u32(at(fields.tuning), 4).put_pointer(Va(at(fields.tuning).0 + step), Va(0x1f_e000));
}

/// An idle lock: LockCount -1.
pub(super) fn put_free_lock(memory: &mut HeapMemory, width: PointerWidth, lock: Va) {
    memory.put_u32(Va(lock.0 + width.bytes()), u32::MAX);
}

fn put_counters(memory: &mut HeapMemory, heap: &PlacedHeap<'_>, counters: Va, totals: &HeapTotals) {
    let plan = heap.plan;
    let step = plan.width.bytes();
    let sizes = [
        totals.reserved_bytes,
        totals.committed_bytes,
        totals.reserved_bytes - totals.virtual_bytes,
        totals.virtual_block_bytes,
    ];
    for (number, value) in (0..).zip(sizes) {
        memory.put_pointer(Va(counters.0 + number * step), Va(value));
    }
    let segment_count = u32::try_from(heap.segments.len()).unwrap_or(u32::MAX);
    let block_count = u32::try_from(heap.entries().count()).unwrap_or(u32::MAX);
    // Segments, UCRs, commits, decommits, lock acquires, lock collisions.
    let counts = [
        segment_count,
        totals.ucr_count,
        totals.ucr_count + 2,
        0,
        block_count.saturating_mul(3),
        totals.lock_collisions,
    ];
    for (number, value) in (0..).zip(counts) {
        memory.put_u32(Va(counters.0 + 4 * step + number * 4), value);
    }
}

/// `BlocksIndex`: for each size below 128 granules the first free block of that size; the last place is for all larger ones.
fn put_lookup(memory: &mut HeapMemory, heap: &PlacedHeap<'_>, fields: &HeapFields, free: &[&PlacedEntry]) {
    let plan = heap.plan;
    let places = lookup_places(plan.generation, plan.width);
    let at = |offset: usize| Va(plan.base().0 + offset as u64);
    let lookup = at(places.lookup).0;
    let step = plan.width.bytes();
    memory.put_pointer(at(fields.blocks_index), at(places.lookup));
    let last = LOOKUP_SIZES as u64 - 1;
    let large_count = free.iter().filter(|entry| entry.granules >= last).count();
    let has_extra = plan.generation <= HeapGeneration::Seven;
    let numbers = [LOOKUP_SIZES as u32, u32::from(has_extra), free.len() as u32, large_count as u32, 0];
    for (number, value) in (0..).zip(numbers) {
        memory.put_u32(Va(lookup + step + number * 4), value);
    }
    // On x64 the pointers behind the five numbers are aligned.
    let pointers = (lookup + step + 20).next_multiple_of(step);
    for (number, value) in (0..).zip([at(fields.free_lists), at(places.in_use), at(places.hints)]) {
        memory.put_pointer(Va(pointers + number * step), value);
    }
    let mut in_use = [0_u8; LOOKUP_SIZES / 8];
    for entry in free.iter().rev() {
        let place = usize::try_from(entry.granules.min(last)).unwrap_or_default();
        if let Some(byte) = in_use.get_mut(place / 8) {
            *byte |= 1 << (place % 8);
        }
        memory.put_pointer(at(places.hints + place * places.hint_bytes), free_link(heap, entry));
    }
    memory.put(at(places.in_use), &in_use);
    debug_assert!(Granule { width: plan.width }.bytes() == 2 * step);
}
