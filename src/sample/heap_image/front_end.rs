//! The low fragmentation heap: its structure, zones with subsegments, and containers whose blocks it gives out.
//!
//! Layouts: `layout`. That the container's index is the binary logarithm of its size, that a header of Windows 7 hides its
//! subsegment, and how the exchange counts, was read from a real dump of Windows 7 (x86). Later systems are taken to write the
//! parts of a header that nobody reads in the same way.

use super::build::{HeapMemory, busy_unused_byte, put_busy_content, user_of};
use super::layout::{LfhFields, lfh_fields};
use super::place::{PlacedEntry, PlacedHeap, first_block_offset, lfh_heap_bytes, zone_capacity};
use super::plan::{FrontEnd, HeapGeneration, LfhBlocks, Trace};
use super::truth::{BlockState, BuiltBlock};
use crate::base::addr::{PointerWidth, Va};

const USER_BLOCKS_SIGNATURE: u32 = 0xf0e0_d0c0;
/// In the byte of unused bytes: the block belongs to the front end. Nothing else is set in a free one.
const FRONT_END_BLOCK: u8 = 0x80;

/// Writes the front end; returns its blocks.
pub(super) fn add_front_end(memory: &mut HeapMemory, heap: &PlacedHeap<'_>) -> Vec<BuiltBlock> {
    let plan = heap.plan;
    let Some(lfh) = heap.front_end().filter(|_| plan.front_end.is_lfh()) else { return Vec::new() };
    let fields = lfh_fields(plan.generation, plan.width);
    put_lfh_heap(memory, heap, lfh, &fields);
    let capacity = zone_capacity(plan);
    let mut zones = Vec::new();
    let mut blocks = Vec::new();
    for number in 0.. {
        let Some(zone) = heap.zone(number) else { break };
        zones.push(zone);
        let first = number * capacity;
        let in_zone: Vec<_> = heap.containers.iter().skip(first).take(capacity).collect();
        for (index, (entry, container)) in (0..).zip(&in_zone) {
            let subsegment = Va(zone.0 + fields.first_subsegment + index * fields.subsegment_bytes);
            let place = Place { lfh, subsegment, container: *entry };
            blocks.extend(put_container(memory, heap, &fields, place, container));
        }
        put_zone_fill(memory, heap, &fields, zone, in_zone.len() as u64, capacity as u64);
    }
    memory.put_list(Va(lfh.0 + fields.zones as u64), &zones);
    blocks
}

fn put_lfh_heap(memory: &mut HeapMemory, heap: &PlacedHeap<'_>, lfh: Va, fields: &LfhFields) {
    let width = heap.plan.width;
    memory.put_pointer(Va(lfh.0 + fields.heap as u64), heap.plan.base());
    if let (Some(limits), FrontEnd::LfhAt { base, reserved_pages }) = (fields.limits, heap.plan.front_end) {
        memory.put_pointer(Va(lfh.0 + limits as u64), Va(base.0 + 0x2000));
        memory.put_pointer(Va(lfh.0 + limits as u64 + width.bytes()), Va(base.0 + reserved_pages * 0x1000));
    }
    // Each bucket: its granules, its number.
    for number in 0..128_u16 {
        let bucket = Va(lfh.0 + fields.buckets as u64 + u64::from(number) * 4);
        memory.put_u16(bucket, number + 1).put(Va(bucket.0 + 2), &[number.to_le_bytes()[0], 0]);
    }
    if heap.plan.generation <= HeapGeneration::Seven {
        // LocalData: the newest zone, then the front end that it belongs to.
        let local = lfh.0 + fields.local_data as u64;
        let step = width.bytes();
        memory.put_pointer(Va(local + 2 * step), heap.zone(0).unwrap_or_default());
        memory.put_pointer(Va(local + 3 * step), lfh);
    }
}

/// How full a zone is: the address behind its last subsegment, or the number of the next one.
fn put_zone_fill(
    memory: &mut HeapMemory,
    heap: &PlacedHeap<'_>,
    fields: &LfhFields,
    zone: Va,
    subsegment_count: u64,
    capacity: u64,
) {
    let fill = Va(zone.0 + fields.zone_fill as u64);
    let after = |count: u64| Va(zone.0 + fields.first_subsegment + count * fields.subsegment_bytes);
    // 8.0 still tells addresses, behind subsegments of the later size.
    if heap.plan.generation <= HeapGeneration::Eight {
        memory.put_pointer(fill, after(subsegment_count));
        memory.put_pointer(Va(fill.0 + heap.plan.width.bytes()), after(capacity));
    } else {
        memory.put_u32(fill, u32::try_from(subsegment_count).unwrap_or(u32::MAX));
    }
}

#[derive(Clone, Copy)]
struct Place {
    lfh: Va,
    subsegment: Va,
    container: PlacedEntry,
}

fn put_container(
    memory: &mut HeapMemory,
    heap: &PlacedHeap<'_>,
    fields: &LfhFields,
    place: Place,
    container: &LfhBlocks,
) -> Vec<BuiltBlock> {
    let granule = heap.granule;
    let user_blocks = Va(place.container.va.0 + granule.bytes());
    let first = first_block_offset(heap.plan, container.blocks.len());
    put_subsegment(memory, heap, fields, place, container);
    put_user_header(memory, heap, fields, place, container);
    let mut blocks = Vec::new();
    for (offset, slot) in (first..).step_by(usize::try_from(container.block_bytes).unwrap_or(1)).zip(&container.blocks)
    {
        let entry = Va(user_blocks.0 + offset);
        let in_use_byte =
            slot.map_or(FRONT_END_BLOCK, |busy| FRONT_END_BLOCK | busy_unused_byte(container.block_bytes, busy));
        let hidden = low_half(place.subsegment.0)
            ^ low_half(heap.plan.lfh_key)
            ^ low_half(heap.plan.base().0)
            ^ low_half(entry.0 / granule.bytes());
        let header = Va(entry.0 + granule.header_offset());
        memory.put_u32(header, hidden).put(Va(header.0 + 4), &[0, 0, 0, in_use_byte]);
        let (state, user_bytes, trace) = match slot {
            Some(busy) => {
                put_busy_content(memory, heap, entry, container.block_bytes, *busy);
                (BlockState::LfhBusy, busy.user_bytes, busy.trace)
            }
            None => (BlockState::LfhFree, 0, Trace::None),
        };
        let user = user_of(heap, entry, trace);
        blocks.push(BuiltBlock { entry, user, user_bytes, block_bytes: container.block_bytes, state, trace });
    }
    blocks
}

fn put_subsegment(
    memory: &mut HeapMemory,
    heap: &PlacedHeap<'_>,
    fields: &LfhFields,
    place: Place,
    container: &LfhBlocks,
) {
    let Place { lfh, subsegment, .. } = place;
    let granule_bytes = heap.granule.bytes();
    let granules = container.block_bytes / granule_bytes;
    let size_index = granules.saturating_sub(1).min(127);
    let free_count = container.blocks.iter().filter(|slot| slot.is_none()).count();
    let at = |offset: usize| Va(subsegment.0 + offset as u64);
    let infos = lfh.0 + (fields.local_data + fields.local_head_bytes) as u64;
    // Since 8 the infos lie elsewhere; nobody follows this.
    let info = match heap.plan.generation <= HeapGeneration::Seven {
        true => Va(infos + size_index * fields.segment_info_bytes as u64),
        false => Va(lfh.0 + lfh_heap_bytes(heap.plan)),
    };
    memory.put_pointer(at(0), info);
    memory.put_pointer(at(fields.user_blocks), Va(place.container.va.0 + granule_bytes));
    // Depth and the first free block in granules; a sequence number.
    let first_free = container.blocks.iter().position(Option::is_none).map_or(u16::MAX, |number| {
        let offset = first_block_offset(heap.plan, container.blocks.len()) + number as u64 * container.block_bytes;
        low_u16(offset / granule_bytes)
    });
    memory.put_u16(at(fields.exchange), low_u16(free_count as u64));
    memory.put_u16(at(fields.exchange + 2), first_free).put_u32(at(fields.exchange + 4), 1);
    memory.put_u16(at(fields.block_size), low_u16(granules));
    memory.put_u16(at(fields.block_size + 4), low_u16(container.blocks.len() as u64));
    memory.put(at(fields.block_size + 6), &[size_index.to_le_bytes()[0], 0]);
}

fn put_user_header(
    memory: &mut HeapMemory,
    heap: &PlacedHeap<'_>,
    fields: &LfhFields,
    place: Place,
    container: &LfhBlocks,
) {
    let plan = heap.plan;
    let user_blocks = Va(place.container.va.0 + heap.granule.bytes());
    let at = |offset: usize| Va(user_blocks.0 + offset as u64);
    let container_bytes = place.container.granules * heap.granule.bytes();
    memory.put_pointer(at(0), place.subsegment);
    memory.put_u32(at(fields.size_index), container_bytes.ilog2());
    memory.put_u32(at(fields.user_signature), USER_BLOCKS_SIGNATURE);
    if plan.generation <= HeapGeneration::Seven {
        return;
    }
    let first = first_block_offset(plan, container.blocks.len());
    let offsets = low_half(first) & 0xffff | low_half(container.block_bytes) << 16;
    let hidden = match plan.generation {
        HeapGeneration::Eight => offsets,
        _ => offsets ^ low_half(user_blocks.0) ^ low_half(place.lfh.0) ^ low_half(plan.lfh_key),
    };
    memory.put_u32(at(fields.offsets), hidden);
    let count = container.blocks.len() as u64;
    match plan.width {
        PointerWidth::Bits64 => memory.put(at(fields.bitmap), &count.to_le_bytes()),
        PointerWidth::Bits32 => memory.put_u32(at(fields.bitmap), low_half(count)),
    };
    memory.put_pointer(at(fields.bitmap + if plan.width == PointerWidth::Bits64 { 8 } else { 4 }), at(fields.bits));
    let mut bits = vec![0_u8; container.blocks.len().div_ceil(8)];
    for (number, slot) in container.blocks.iter().enumerate() {
        if let (Some(byte), true) = (bits.get_mut(number / 8), slot.is_some()) {
            *byte |= 1 << (number % 8);
        }
    }
    memory.put(at(fields.bits), &bits);
}

fn low_half(value: u64) -> u32 {
    (value & 0xffff_ffff) as u32
}

fn low_u16(value: u64) -> u16 {
    (value & 0xffff) as u16
}
