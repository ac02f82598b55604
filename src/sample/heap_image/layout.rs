//! Where the fields of `_HEAP`, `_HEAP_SEGMENT`, `_HEAP_COUNTERS` and the front end lie.
//!
//! Source: lists of these types with offsets, made from public symbols: XP SP3 and Server 2003 (5.1, 5.2), Vista, 7, 8, 8.1,
//! 10 (10240, 14393, 17763, 19045), x86 and x64. What no such list has is marked.

use super::entry::Granule;
use super::plan::HeapGeneration;
use crate::base::addr::PointerWidth;

/// Fields of a heap of Vista or later. Those before `compatibility_flags` are the same in all.
#[derive(Clone, Copy, Debug)]
pub struct HeapFields {
    pub head_bytes: usize,
    pub segment_signature: usize,
    pub segment_list_entry: usize,
    /// Heap, then BaseAddress.
    pub heap: usize,
    pub page_count: usize,
    /// FirstEntry, then LastValidEntry.
    pub first_entry: usize,
    /// NumberOfUnCommittedPages, then NumberOfUnCommittedRanges.
    pub uncommitted_pages: usize,
    pub ucr_segment_list: usize,
    /// Flags, then ForceFlags.
    pub flags: usize,
    pub encode_flag_mask: usize,
    /// The 8 header bytes of the key.
    pub encoding: usize,
    pub pointer_key: Option<usize>,
    /// Interceptor, VirtualMemoryThreshold, Signature: four bytes each.
    pub interceptor: usize,
    /// SegmentReserve, SegmentCommit, DeCommitFreeBlockThreshold, DeCommitTotalFreeThreshold, TotalFreeSize,
    /// MaximumAllocationSize: a pointer's width each.
    pub segment_reserve: usize,
    /// ProcessHeapsListIndex, then HeaderValidateLength.
    pub list_index: usize,
    pub ucr_list: usize,
    /// AlignRound, then AlignMask.
    pub align_round: usize,
    pub virtual_blocks: usize,
    pub segment_list: usize,
    /// BlocksIndex.
    pub blocks_index: usize,
    pub free_lists: usize,
    pub lock: usize,
    pub front_end: usize,
    pub front_end_type: usize,
    pub counters: usize,
    pub tuning: usize,
}

pub fn heap_fields(generation: HeapGeneration, width: PointerWidth) -> HeapFields {
    match width {
        PointerWidth::Bits64 => fields_64(generation),
        PointerWidth::Bits32 => fields_32(generation),
    }
}

const fn fields_64(generation: HeapGeneration) -> HeapFields {
    let seven = HeapFields {
        head_bytes: 0x208,
        segment_signature: 0x10,
        segment_list_entry: 0x18,
        heap: 0x28,
        page_count: 0x38,
        first_entry: 0x40,
        uncommitted_pages: 0x50,
        ucr_segment_list: 0x60,
        flags: 0x70,
        encode_flag_mask: 0x7c,
        encoding: 0x88,
        pointer_key: Some(0x90),
        interceptor: 0x98,
        segment_reserve: 0xa8,
        list_index: 0xd8,
        ucr_list: 0xf8,
        align_round: 0x108,
        virtual_blocks: 0x118,
        segment_list: 0x128,
        blocks_index: 0x140,
        free_lists: 0x158,
        lock: 0x168,
        front_end: 0x178,
        front_end_type: 0x182,
        counters: 0x188,
        tuning: 0x1f8,
    };
    let eight = HeapFields {
        head_bytes: 0x298,
        pointer_key: None,
        interceptor: 0x90,
        segment_reserve: 0xa0,
        list_index: 0xd0,
        ucr_list: 0xf0,
        align_round: 0x100,
        virtual_blocks: 0x110,
        segment_list: 0x120,
        blocks_index: 0x138,
        free_lists: 0x150,
        lock: 0x160,
        front_end: 0x170,
        front_end_type: 0x17a,
        counters: 0x210,
        tuning: 0x288,
        ..seven
    };
    match generation {
        HeapGeneration::Xp | HeapGeneration::Vista => HeapFields { head_bytes: 0x1f8, tuning: 0x1e8, ..seven },
        HeapGeneration::Seven => seven,
        HeapGeneration::Eight | HeapGeneration::EightOne => eight,
        HeapGeneration::Ten1607 => HeapFields {
            head_bytes: 0x2a0,
            front_end: 0x178,
            front_end_type: 0x182,
            counters: 0x218,
            tuning: 0x290,
            ..eight
        },
        HeapGeneration::Ten1809 => HeapFields {
            head_bytes: 0x2c0,
            front_end: 0x198,
            front_end_type: 0x1a2,
            counters: 0x238,
            tuning: 0x2b0,
            ..eight
        },
    }
}

const fn fields_32(generation: HeapGeneration) -> HeapFields {
    let seven = HeapFields {
        head_bytes: 0x138,
        segment_signature: 0x8,
        segment_list_entry: 0x10,
        heap: 0x18,
        page_count: 0x20,
        first_entry: 0x24,
        uncommitted_pages: 0x2c,
        ucr_segment_list: 0x38,
        flags: 0x40,
        encode_flag_mask: 0x4c,
        encoding: 0x50,
        pointer_key: Some(0x58),
        interceptor: 0x5c,
        segment_reserve: 0x68,
        list_index: 0x80,
        ucr_list: 0x90,
        align_round: 0x98,
        virtual_blocks: 0xa0,
        segment_list: 0xa8,
        blocks_index: 0xb8,
        free_lists: 0xc4,
        lock: 0xcc,
        front_end: 0xd4,
        front_end_type: 0xda,
        counters: 0xdc,
        tuning: 0x130,
    };
    let eight = HeapFields {
        head_bytes: 0x248,
        pointer_key: None,
        interceptor: 0x58,
        segment_reserve: 0x64,
        list_index: 0x7c,
        ucr_list: 0x8c,
        align_round: 0x94,
        virtual_blocks: 0x9c,
        segment_list: 0xa4,
        blocks_index: 0xb4,
        free_lists: 0xc0,
        lock: 0xc8,
        front_end: 0xd0,
        front_end_type: 0xd6,
        counters: 0x1e0,
        tuning: 0x23c,
        ..seven
    };
    match generation {
        HeapGeneration::Xp | HeapGeneration::Vista => HeapFields { head_bytes: 0x130, tuning: 0x124, ..seven },
        HeapGeneration::Seven => seven,
        HeapGeneration::Eight | HeapGeneration::EightOne => eight,
        HeapGeneration::Ten1607 => {
            HeapFields { front_end: 0xd4, front_end_type: 0xda, counters: 0x1e4, tuning: 0x240, ..eight }
        }
        HeapGeneration::Ten1809 => HeapFields {
            head_bytes: 0x258,
            front_end: 0xe4,
            front_end_type: 0xea,
            counters: 0x1f4,
            tuning: 0x250,
            ..eight
        },
    }
}

/// `_HEAP_LIST_LOOKUP` and its tables behind the lock of the heap: 128 sizes, with two pointers each up to Windows 7.
#[derive(Clone, Copy, Debug)]
pub struct LookupPlaces {
    pub lookup: usize,
    pub in_use: usize,
    pub hints: usize,
    pub hint_bytes: usize,
    pub first_entry: u64,
}

pub const LOOKUP_SIZES: usize = 128;

/// sizeof(RTL_CRITICAL_SECTION).
pub const fn lock_bytes(width: PointerWidth) -> usize {
    match width {
        PointerWidth::Bits64 => 0x28,
        PointerWidth::Bits32 => 0x18,
    }
}

/// Seen in a heap of Windows 7 (x86 and x64) and followed from there: the first entry comes out at 0xa80 and 0x588, and at
/// 0x740 and 0x4a8 for Windows 10, which listings of debuggers show.
pub fn lookup_places(generation: HeapGeneration, width: PointerWidth) -> LookupPlaces {
    let pointer_bytes = width.bytes() as usize;
    let has_extra = generation <= HeapGeneration::Seven;
    let hint_bytes = if has_extra { 2 * pointer_bytes } else { pointer_bytes };
    let lookup = heap_fields(generation, width).head_bytes + lock_bytes(width);
    let in_use = lookup + if width == PointerWidth::Bits64 { 0x38 } else { 0x24 };
    let hints = in_use + LOOKUP_SIZES / 8;
    let granule = Granule { width };
    let end = (hints + LOOKUP_SIZES * hint_bytes) as u64 + granule.header_offset();
    LookupPlaces { lookup, in_use, hints, hint_bytes, first_entry: end.next_multiple_of(granule.bytes()) }
}

/// sizeof(_HEAP_SEGMENT): what a further segment begins with.
pub fn segment_head_bytes(generation: HeapGeneration, width: PointerWidth) -> u64 {
    match (generation, width) {
        (HeapGeneration::Xp, PointerWidth::Bits32) => 0x40,
        (HeapGeneration::Xp, PointerWidth::Bits64) => 0x70,
        (_, PointerWidth::Bits32) => 0x40,
        (_, PointerWidth::Bits64) => 0x70,
    }
}

/// The front end's structures.
#[derive(Clone, Copy, Debug)]
pub struct LfhFields {
    /// The list of zones in `_LFH_HEAP`.
    pub zones: usize,
    pub heap: usize,
    /// FirstUncommitted, then ReservedAddressLimit.
    pub limits: Option<usize>,
    pub buckets: usize,
    /// Up to Windows 7: LocalData with the segment infos that subsegments name.
    pub local_data: usize,
    pub local_head_bytes: usize,
    pub segment_info_bytes: usize,
    /// In a zone: where its fill is told, and the first subsegment.
    pub zone_fill: usize,
    pub first_subsegment: u64,
    pub subsegment_bytes: u64,
    pub user_blocks: usize,
    pub exchange: usize,
    /// BlockSize, Flags, BlockCount (u16 each), SizeIndex, AffinityIndex (u8 each).
    pub block_size: usize,
    /// In the header of user blocks.
    pub size_index: usize,
    pub user_signature: usize,
    /// Since 8: the offsets, the bitmap and its bits.
    pub offsets: usize,
    pub bitmap: usize,
    pub bits: usize,
    /// Up to Windows 7: where the first block lies.
    pub user_header_bytes: u64,
}

/// That 8.0 and 8.1 have the front end of 10, and where the heap's address and the limits lie in it on x86, is followed
/// from the x64 lists of 10 and not confirmed; so is that Vista has that of 7.
pub const fn lfh_fields(generation: HeapGeneration, width: PointerWidth) -> LfhFields {
    let is_new = !matches!(generation, HeapGeneration::Xp | HeapGeneration::Vista | HeapGeneration::Seven);
    match (is_new, width) {
        (false, PointerWidth::Bits32) => LfhFields {
            zones: 0x18,
            heap: 0x24,
            limits: None,
            buckets: 0x110,
            local_data: 0x310,
            local_head_bytes: 0x18,
            segment_info_bytes: 0x68,
            zone_fill: 0x8,
            first_subsegment: 0x10,
            subsegment_bytes: 0x20,
            user_blocks: 0x4,
            exchange: 0x8,
            block_size: 0x10,
            size_index: 0x8,
            user_signature: 0xc,
            offsets: 0,
            bitmap: 0,
            bits: 0,
            user_header_bytes: 0x10,
        },
        (false, PointerWidth::Bits64) => LfhFields {
            zones: 0x28,
            heap: 0x40,
            limits: None,
            buckets: 0x1f0,
            local_data: 0x3f0,
            local_head_bytes: 0x30,
            segment_info_bytes: 0xc0,
            zone_fill: 0x10,
            first_subsegment: 0x20,
            subsegment_bytes: 0x30,
            user_blocks: 0x8,
            exchange: 0x10,
            block_size: 0x18,
            size_index: 0x10,
            user_signature: 0x18,
            offsets: 0,
            bitmap: 0,
            bits: 0,
            user_header_bytes: 0x20,
        },
        (true, PointerWidth::Bits32) => LfhFields {
            zones: 0x4,
            heap: 0xc,
            limits: Some(0x14),
            buckets: 0x168,
            local_data: 0x6a0,
            local_head_bytes: 0x18,
            segment_info_bytes: 0x68,
            zone_fill: 0x8,
            first_subsegment: 0x10,
            subsegment_bytes: 0x28,
            user_blocks: 0x4,
            exchange: 0x10,
            block_size: 0x14,
            size_index: 0x8,
            user_signature: 0xc,
            offsets: 0x10,
            bitmap: 0x14,
            bits: 0x1c,
            user_header_bytes: 0x20,
        },
        (true, PointerWidth::Bits64) => LfhFields {
            zones: 0x8,
            heap: 0x18,
            limits: Some(0x28),
            buckets: 0x2a4,
            local_data: 0xcc0,
            local_head_bytes: 0x30,
            segment_info_bytes: 0xc0,
            zone_fill: 0x10,
            first_subsegment: 0x20,
            subsegment_bytes: 0x40,
            user_blocks: 0x8,
            exchange: 0x20,
            block_size: 0x24,
            size_index: 0x10,
            user_signature: 0x14,
            offsets: 0x18,
            bitmap: 0x20,
            bits: 0x30,
            user_header_bytes: 0x38,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_entries_lie_where_debuggers_show_them() {
        let first = |generation, width| lookup_places(generation, width).first_entry;
        assert_eq!(first(HeapGeneration::Seven, PointerWidth::Bits64), 0xa80);
        assert_eq!(first(HeapGeneration::Seven, PointerWidth::Bits32), 0x588);
        assert_eq!(first(HeapGeneration::Ten1809, PointerWidth::Bits64), 0x740);
        assert_eq!(first(HeapGeneration::Ten1809, PointerWidth::Bits32), 0x4a8);
    }
}
