//! Where the fields of the NT heap's structures lie, by generation and pointer width.
//!
//! Offsets: public symbols of ntoskrnl and ntdll, Windows XP SP3 to 11 23H2, both widths; `tests/it/heap/layouts.rs` holds
//! each row against a listing of 51 builds. The names of the fields are Windows' own.

use serde::{Deserialize, Serialize};

use crate::base::addr::PointerWidth;

/// Which Windows a row of the tables is of. The generation is chosen by what a heap looks like, see `head`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum HeapGeneration {
    /// XP, 2003: segments in an array, headers in clear, 128 free lists.
    Xp,
    /// Vista, 7.
    Seven,
    /// 8, 8.1, 10 before 1607.
    Eight,
    /// 10 1607 to 1803.
    Ten1607,
    /// 10 1809 and later, 11.
    Ten1809,
}

/// How the layout of a structure is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LayoutProof {
    /// ntdll's own PDB says where its fields lie.
    Pdb,
    /// A real dump was decoded with it, and its figures agree among each other.
    Dump,
    /// From listings of public symbols alone.
    Facts,
}

impl LayoutProof {
    /// The word for it in reports.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Pdb => "pdb",
            Self::Dump => "dump",
            Self::Facts => "facts",
        }
    }
}

/// The fields of `_HEAP` that are read. Offsets in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeapLayout {
    pub generation: HeapGeneration,
    pub width: PointerWidth,
    pub proof: LayoutProof,
    /// `sizeof(_HEAP)`, of the smallest build of the row.
    pub head_bytes: u64,
    /// `SegmentSignature` (Vista and later), `Signature` (XP): the first of the two signatures.
    pub first_signature: u64,
    pub signature: u64,
    pub flags: u64,
    pub force_flags: u64,
    pub total_free_size: u64,
    pub process_heaps_list_index: u64,
    pub virtual_allocd_blocks: u64,
    /// `SegmentList` (Vista and later), `Segments[64]` (XP).
    pub segment_list: u64,
    /// One list (Vista and later), 128 of them (XP).
    pub free_lists: u64,
    pub lock_variable: u64,
    pub front_end_heap: u64,
    pub front_end_heap_type: u64,
    /// What XP does not have.
    pub modern: Option<ModernFields>,
}

/// The fields that Vista brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ModernFields {
    pub encode_flag_mask: u64,
    pub encoding: u64,
    pub interceptor: u64,
    pub ucr_list: u64,
    pub counters: u64,
}

impl HeapLayout {
    /// Bytes of the unit in which blocks are counted, which is also the size of a header.
    pub const fn granule_bytes(&self) -> u64 {
        match self.width {
            PointerWidth::Bits32 => 8,
            PointerWidth::Bits64 => 16,
        }
    }

    /// From the start of a `_HEAP_ENTRY` to the 8 bytes that are its header; on x64 the first half belongs to the block
    /// before.
    pub const fn header_offset(&self) -> u64 {
        match self.width {
            PointerWidth::Bits32 => 0,
            PointerWidth::Bits64 => 8,
        }
    }
}

/// All rows for a width, the newest first.
pub const fn layouts(width: PointerWidth) -> &'static [HeapLayout; 5] {
    match width {
        PointerWidth::Bits32 => &LAYOUTS_32,
        PointerWidth::Bits64 => &LAYOUTS_64,
    }
}

/// The row that ntdll's PDB gives: `offset_of` tells where a field of a structure lies, by Windows' names. `None` where the
/// PDB lacks one of the fields that are read.
pub fn layout_from_pdb(width: PointerWidth, offset_of: &dyn Fn(&str, &str) -> Option<u64>) -> Option<HeapLayout> {
    let heap = |field| offset_of("_HEAP", field);
    // The generation decides what is no field of `_HEAP`: how headers and containers are read.
    let generation = match (heap("Counters"), offset_of("_HEAP_USERDATA_HEADER", "EncodedOffsets")) {
        (None, _) => HeapGeneration::Xp,
        (Some(_), None) if heap("FrontEndHeapUsageData").is_none() => HeapGeneration::Seven,
        _ => HeapGeneration::Eight,
    };
    let row = layouts(width).iter().find(|row| row.generation == generation)?;
    let modern = match row.modern {
        None => None,
        Some(_) => Some(ModernFields {
            encode_flag_mask: heap("EncodeFlagMask")?,
            encoding: heap("Encoding")?,
            interceptor: heap("Interceptor")?,
            ucr_list: heap("UCRList")?,
            counters: heap("Counters")?,
        }),
    };
    Some(HeapLayout {
        proof: LayoutProof::Pdb,
        first_signature: heap("SegmentSignature").or_else(|| heap("Signature"))?,
        signature: heap("Signature")?,
        flags: heap("Flags")?,
        force_flags: heap("ForceFlags")?,
        total_free_size: heap("TotalFreeSize")?,
        process_heaps_list_index: heap("ProcessHeapsListIndex")?,
        virtual_allocd_blocks: heap("VirtualAllocdBlocks")?,
        segment_list: heap("SegmentList").or_else(|| heap("Segments"))?,
        free_lists: heap("FreeLists")?,
        lock_variable: heap("LockVariable")?,
        front_end_heap: heap("FrontEndHeap")?,
        front_end_heap_type: heap("FrontEndHeapType")?,
        modern,
        ..*row
    })
}

/// The generation of a build; builds that no listing has are taken as the nearest one.
pub const fn generation_of_build(build: u32) -> HeapGeneration {
    match build {
        0..=5999 => HeapGeneration::Xp,
        6000..=9199 => HeapGeneration::Seven,
        9200..=14392 => HeapGeneration::Eight,
        14393..=17762 => HeapGeneration::Ten1607,
        _ => HeapGeneration::Ten1809,
    }
}

const EIGHT_64: HeapLayout = HeapLayout {
    generation: HeapGeneration::Eight,
    width: PointerWidth::Bits64,
    proof: LayoutProof::Facts,
    head_bytes: 0x298,
    first_signature: 0x10,
    signature: 0x98,
    flags: 0x70,
    force_flags: 0x74,
    total_free_size: 0xc0,
    process_heaps_list_index: 0xd0,
    virtual_allocd_blocks: 0x110,
    segment_list: 0x120,
    free_lists: 0x150,
    lock_variable: 0x160,
    front_end_heap: 0x170,
    front_end_heap_type: 0x17a,
    modern: Some(ModernFields {
        encode_flag_mask: 0x7c,
        encoding: 0x80,
        interceptor: 0x90,
        ucr_list: 0xf0,
        counters: 0x210,
    }),
};

const fn with_front_end(row: HeapLayout, generation: HeapGeneration, tail: Tail) -> HeapLayout {
    let modern = match row.modern {
        Some(fields) => Some(ModernFields { counters: tail.counters, ..fields }),
        None => None,
    };
    HeapLayout {
        generation,
        head_bytes: tail.head_bytes,
        front_end_heap: tail.front_end_heap,
        front_end_heap_type: tail.front_end_heap_type,
        modern,
        ..row
    }
}

/// The end of `_HEAP`, where Windows 10 put fields in between.
struct Tail {
    head_bytes: u64,
    front_end_heap: u64,
    front_end_heap_type: u64,
    counters: u64,
}

static LAYOUTS_64: [HeapLayout; 5] = [
    with_front_end(
        EIGHT_64,
        HeapGeneration::Ten1809,
        Tail { head_bytes: 0x2c0, front_end_heap: 0x198, front_end_heap_type: 0x1a2, counters: 0x238 },
    ),
    with_front_end(
        EIGHT_64,
        HeapGeneration::Ten1607,
        Tail { head_bytes: 0x2a0, front_end_heap: 0x178, front_end_heap_type: 0x182, counters: 0x218 },
    ),
    EIGHT_64,
    HeapLayout {
        generation: HeapGeneration::Seven,
        width: PointerWidth::Bits64,
        proof: LayoutProof::Dump,
        head_bytes: 0x1f8,
        first_signature: 0x10,
        signature: 0xa0,
        flags: 0x70,
        force_flags: 0x74,
        total_free_size: 0xc8,
        process_heaps_list_index: 0xd8,
        virtual_allocd_blocks: 0x118,
        segment_list: 0x128,
        free_lists: 0x158,
        lock_variable: 0x168,
        front_end_heap: 0x178,
        front_end_heap_type: 0x182,
        modern: Some(ModernFields {
            encode_flag_mask: 0x7c,
            encoding: 0x80,
            interceptor: 0x98,
            ucr_list: 0xf8,
            counters: 0x188,
        }),
    },
    HeapLayout {
        generation: HeapGeneration::Xp,
        width: PointerWidth::Bits64,
        proof: LayoutProof::Facts,
        head_bytes: 0xae8,
        first_signature: 0x10,
        signature: 0x10,
        flags: 0x14,
        force_flags: 0x18,
        total_free_size: 0x40,
        process_heaps_list_index: 0x50,
        virtual_allocd_blocks: 0x90,
        segment_list: 0xa0,
        free_lists: 0x2c8,
        lock_variable: 0xac8,
        front_end_heap: 0xad8,
        front_end_heap_type: 0xae2,
        modern: None,
    },
];

const EIGHT_32: HeapLayout = HeapLayout {
    generation: HeapGeneration::Eight,
    width: PointerWidth::Bits32,
    proof: LayoutProof::Facts,
    head_bytes: 0x248,
    first_signature: 0x8,
    signature: 0x60,
    flags: 0x40,
    force_flags: 0x44,
    total_free_size: 0x74,
    process_heaps_list_index: 0x7c,
    virtual_allocd_blocks: 0x9c,
    segment_list: 0xa4,
    free_lists: 0xc0,
    lock_variable: 0xc8,
    front_end_heap: 0xd0,
    front_end_heap_type: 0xd6,
    modern: Some(ModernFields {
        encode_flag_mask: 0x4c,
        encoding: 0x50,
        interceptor: 0x58,
        ucr_list: 0x8c,
        counters: 0x1e0,
    }),
};

static LAYOUTS_32: [HeapLayout; 5] = [
    with_front_end(
        EIGHT_32,
        HeapGeneration::Ten1809,
        Tail { head_bytes: 0x258, front_end_heap: 0xe4, front_end_heap_type: 0xea, counters: 0x1f4 },
    ),
    with_front_end(
        EIGHT_32,
        HeapGeneration::Ten1607,
        Tail { head_bytes: 0x248, front_end_heap: 0xd4, front_end_heap_type: 0xda, counters: 0x1e4 },
    ),
    EIGHT_32,
    HeapLayout {
        generation: HeapGeneration::Seven,
        width: PointerWidth::Bits32,
        proof: LayoutProof::Dump,
        head_bytes: 0x130,
        first_signature: 0x8,
        signature: 0x64,
        flags: 0x40,
        force_flags: 0x44,
        total_free_size: 0x78,
        process_heaps_list_index: 0x80,
        virtual_allocd_blocks: 0xa0,
        segment_list: 0xa8,
        free_lists: 0xc4,
        lock_variable: 0xcc,
        front_end_heap: 0xd4,
        front_end_heap_type: 0xda,
        modern: Some(ModernFields {
            encode_flag_mask: 0x4c,
            encoding: 0x50,
            interceptor: 0x5c,
            ucr_list: 0x90,
            counters: 0xdc,
        }),
    },
    HeapLayout {
        generation: HeapGeneration::Xp,
        width: PointerWidth::Bits32,
        proof: LayoutProof::Facts,
        head_bytes: 0x588,
        first_signature: 0x8,
        signature: 0x8,
        flags: 0xc,
        force_flags: 0x10,
        total_free_size: 0x28,
        process_heaps_list_index: 0x30,
        virtual_allocd_blocks: 0x50,
        segment_list: 0x58,
        free_lists: 0x178,
        lock_variable: 0x578,
        front_end_heap: 0x580,
        front_end_heap_type: 0x586,
        modern: None,
    },
];

/// `_HEAP_SEGMENT`, by generation and width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentLayout {
    pub signature: u64,
    /// `SegmentListEntry`; XP has an array of pointers instead.
    pub list_entry: Option<u64>,
    pub heap: u64,
    pub base_address: u64,
    pub number_of_pages: u64,
    pub first_entry: u64,
    pub last_valid_entry: u64,
    pub number_of_uncommitted_pages: u64,
    pub number_of_uncommitted_ranges: u64,
    /// `UCRSegmentList` (Vista and later), `UnCommittedRanges` (XP).
    pub uncommitted: u64,
    /// `LargestUnCommittedRange`, XP only.
    pub largest_uncommitted_range: Option<u64>,
}

pub const fn segment_layout(generation: HeapGeneration, width: PointerWidth) -> &'static SegmentLayout {
    match (generation, width) {
        (HeapGeneration::Xp, PointerWidth::Bits32) => &XP_SEGMENT_32,
        (HeapGeneration::Xp, PointerWidth::Bits64) => &XP_SEGMENT_64,
        (_, PointerWidth::Bits32) => &SEGMENT_32,
        (_, PointerWidth::Bits64) => &SEGMENT_64,
    }
}

static SEGMENT_32: SegmentLayout = SegmentLayout {
    signature: 0x8,
    list_entry: Some(0x10),
    heap: 0x18,
    base_address: 0x1c,
    number_of_pages: 0x20,
    first_entry: 0x24,
    last_valid_entry: 0x28,
    number_of_uncommitted_pages: 0x2c,
    number_of_uncommitted_ranges: 0x30,
    uncommitted: 0x38,
    largest_uncommitted_range: None,
};

static SEGMENT_64: SegmentLayout = SegmentLayout {
    signature: 0x10,
    list_entry: Some(0x18),
    heap: 0x28,
    base_address: 0x30,
    number_of_pages: 0x38,
    first_entry: 0x40,
    last_valid_entry: 0x48,
    number_of_uncommitted_pages: 0x50,
    number_of_uncommitted_ranges: 0x54,
    uncommitted: 0x60,
    largest_uncommitted_range: None,
};

static XP_SEGMENT_32: SegmentLayout = SegmentLayout {
    signature: 0x8,
    list_entry: None,
    heap: 0x10,
    base_address: 0x18,
    number_of_pages: 0x1c,
    first_entry: 0x20,
    last_valid_entry: 0x24,
    number_of_uncommitted_pages: 0x28,
    number_of_uncommitted_ranges: 0x2c,
    uncommitted: 0x30,
    largest_uncommitted_range: Some(0x14),
};

static XP_SEGMENT_64: SegmentLayout = SegmentLayout {
    signature: 0x10,
    list_entry: None,
    heap: 0x18,
    base_address: 0x28,
    number_of_pages: 0x30,
    first_entry: 0x38,
    last_valid_entry: 0x40,
    number_of_uncommitted_pages: 0x48,
    number_of_uncommitted_ranges: 0x4c,
    uncommitted: 0x50,
    largest_uncommitted_range: Some(0x20),
};

/// The description of an uncommitted range, by generation and width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HoleLayout {
    /// What the list of a segment links: `SegmentEntry` (Vista and later), `Next` (XP).
    pub link: u64,
    pub address: u64,
    pub size: u64,
}

/// `_HEAP_UCR_DESCRIPTOR`; of XP `_HEAP_UNCOMMMTTED_RANGE` (Windows spells it so).
pub const fn hole_layout(generation: HeapGeneration, width: PointerWidth) -> HoleLayout {
    match (generation, width) {
        (HeapGeneration::Xp, PointerWidth::Bits32) => HoleLayout { link: 0, address: 0x4, size: 0x8 },
        (HeapGeneration::Xp, PointerWidth::Bits64) => HoleLayout { link: 0, address: 0x8, size: 0x10 },
        (_, PointerWidth::Bits32) => HoleLayout { link: 0x8, address: 0x10, size: 0x14 },
        (_, PointerWidth::Bits64) => HoleLayout { link: 0x10, address: 0x20, size: 0x28 },
    }
}

/// `_HEAP_COUNTERS`: the same on every build that has them. Sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CountersLayout {
    pub total_memory_reserved: u64,
    pub total_memory_committed: u64,
    pub total_memory_large_ucr: u64,
    pub total_size_in_virtual_blocks: u64,
    pub total_segments: u64,
    pub total_ucrs: u64,
    pub lock_collisions: u64,
}

pub const fn counters_layout(width: PointerWidth) -> CountersLayout {
    match width {
        PointerWidth::Bits32 => CountersLayout {
            total_memory_reserved: 0,
            total_memory_committed: 0x4,
            total_memory_large_ucr: 0x8,
            total_size_in_virtual_blocks: 0xc,
            total_segments: 0x10,
            total_ucrs: 0x14,
            lock_collisions: 0x24,
        },
        PointerWidth::Bits64 => CountersLayout {
            total_memory_reserved: 0,
            total_memory_committed: 0x8,
            total_memory_large_ucr: 0x10,
            total_size_in_virtual_blocks: 0x18,
            total_segments: 0x20,
            total_ucrs: 0x24,
            lock_collisions: 0x34,
        },
    }
}

/// `_HEAP_VIRTUAL_ALLOC_ENTRY`: the same on every build. The user's memory follows the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LargeBlockLayout {
    pub extra_stuff: u64,
    pub commit_size: u64,
    pub reserve_size: u64,
    pub busy_block: u64,
    pub entry_bytes: u64,
}

pub const fn large_block_layout(width: PointerWidth) -> LargeBlockLayout {
    match width {
        PointerWidth::Bits32 => LargeBlockLayout {
            extra_stuff: 0x8,
            commit_size: 0x10,
            reserve_size: 0x14,
            busy_block: 0x18,
            entry_bytes: 0x20,
        },
        PointerWidth::Bits64 => LargeBlockLayout {
            extra_stuff: 0x10,
            commit_size: 0x20,
            reserve_size: 0x28,
            busy_block: 0x30,
            entry_bytes: 0x40,
        },
    }
}

/// The low-fragmentation heap: `_LFH_HEAP`, `_HEAP_SUBSEGMENT` and `_HEAP_USERDATA_HEADER`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LfhLayout {
    /// `_LFH_HEAP.Heap`, where it is known.
    pub back_pointer: Option<u64>,
    pub subsegment_user_blocks: u64,
    pub subsegment_depth: u64,
    pub subsegment_block_size: u64,
    pub subsegment_block_count: u64,
    pub user_blocks_signature: u64,
    /// 7 and older: where the first block lies. Later the header says so, encoded from 8.1 on.
    pub first_block: FirstBlock,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FirstBlock {
    At(u64),
    /// FirstAllocationOffset and BlockStride, two words at this offset.
    Told(u64),
}

/// `None` for XP, whose blocks of the low-fragmentation heap have another header.
pub const fn lfh_layout(generation: HeapGeneration, width: PointerWidth) -> Option<&'static LfhLayout> {
    match (generation, width) {
        (HeapGeneration::Xp, _) => None,
        (HeapGeneration::Seven, PointerWidth::Bits32) => Some(&LFH_SEVEN_32),
        (HeapGeneration::Seven, PointerWidth::Bits64) => Some(&LFH_SEVEN_64),
        (_, PointerWidth::Bits32) => Some(&LFH_EIGHT_32),
        (_, PointerWidth::Bits64) => Some(&LFH_EIGHT_64),
    }
}

static LFH_SEVEN_32: LfhLayout = LfhLayout {
    back_pointer: Some(0x24),
    subsegment_user_blocks: 0x4,
    subsegment_depth: 0x8,
    subsegment_block_size: 0x10,
    subsegment_block_count: 0x14,
    user_blocks_signature: 0xc,
    first_block: FirstBlock::At(0x10),
};

static LFH_SEVEN_64: LfhLayout = LfhLayout {
    back_pointer: Some(0x40),
    subsegment_user_blocks: 0x8,
    subsegment_depth: 0x10,
    subsegment_block_size: 0x18,
    subsegment_block_count: 0x1c,
    user_blocks_signature: 0x18,
    first_block: FirstBlock::At(0x20),
};

static LFH_EIGHT_32: LfhLayout = LfhLayout {
    back_pointer: Some(0xc),
    subsegment_user_blocks: 0x4,
    subsegment_depth: 0x10,
    subsegment_block_size: 0x14,
    subsegment_block_count: 0x18,
    user_blocks_signature: 0xc,
    first_block: FirstBlock::Told(0x10),
};

static LFH_EIGHT_64: LfhLayout = LfhLayout {
    back_pointer: Some(0x18),
    subsegment_user_blocks: 0x8,
    subsegment_depth: 0x20,
    subsegment_block_size: 0x24,
    subsegment_block_count: 0x28,
    user_blocks_signature: 0x14,
    first_block: FirstBlock::Told(0x18),
};

/// One field of a structure: what the tables say, for checking them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NamedField {
    pub structure: &'static str,
    pub field: &'static str,
    pub offset: u64,
}

/// All fields that are read from a heap of this generation and width, by Windows' names.
pub fn named_fields(generation: HeapGeneration, width: PointerWidth) -> Vec<NamedField> {
    let mut fields = Vec::new();
    let mut add = |structure, field, offset| fields.push(NamedField { structure, field, offset });
    let is_xp = generation == HeapGeneration::Xp;
    for heap in layouts(width).iter().filter(|row| row.generation == generation) {
        add("_HEAP", if is_xp { "Signature" } else { "SegmentSignature" }, heap.first_signature);
        add("_HEAP", "Signature", heap.signature);
        add("_HEAP", "Flags", heap.flags);
        add("_HEAP", "ForceFlags", heap.force_flags);
        add("_HEAP", "TotalFreeSize", heap.total_free_size);
        add("_HEAP", "ProcessHeapsListIndex", heap.process_heaps_list_index);
        add("_HEAP", "VirtualAllocdBlocks", heap.virtual_allocd_blocks);
        add("_HEAP", if is_xp { "Segments" } else { "SegmentList" }, heap.segment_list);
        add("_HEAP", "FreeLists", heap.free_lists);
        add("_HEAP", "LockVariable", heap.lock_variable);
        add("_HEAP", "FrontEndHeap", heap.front_end_heap);
        add("_HEAP", "FrontEndHeapType", heap.front_end_heap_type);
        if let Some(modern) = heap.modern {
            add("_HEAP", "EncodeFlagMask", modern.encode_flag_mask);
            add("_HEAP", "Encoding", modern.encoding);
            add("_HEAP", "Interceptor", modern.interceptor);
            add("_HEAP", "UCRList", modern.ucr_list);
            add("_HEAP", "Counters", modern.counters);
        }
    }
    let segment = segment_layout(generation, width);
    add("_HEAP_SEGMENT", if is_xp { "Signature" } else { "SegmentSignature" }, segment.signature);
    if let Some(entry) = segment.list_entry {
        add("_HEAP_SEGMENT", "SegmentListEntry", entry);
    }
    add("_HEAP_SEGMENT", "Heap", segment.heap);
    add("_HEAP_SEGMENT", "BaseAddress", segment.base_address);
    add("_HEAP_SEGMENT", "NumberOfPages", segment.number_of_pages);
    add("_HEAP_SEGMENT", "FirstEntry", segment.first_entry);
    add("_HEAP_SEGMENT", "LastValidEntry", segment.last_valid_entry);
    add("_HEAP_SEGMENT", "NumberOfUnCommittedPages", segment.number_of_uncommitted_pages);
    add("_HEAP_SEGMENT", "NumberOfUnCommittedRanges", segment.number_of_uncommitted_ranges);
    add("_HEAP_SEGMENT", if is_xp { "UnCommittedRanges" } else { "UCRSegmentList" }, segment.uncommitted);
    if let Some(largest) = segment.largest_uncommitted_range {
        add("_HEAP_SEGMENT", "LargestUnCommittedRange", largest);
    }
    if !is_xp {
        let counters = counters_layout(width);
        add("_HEAP_COUNTERS", "TotalMemoryReserved", counters.total_memory_reserved);
        add("_HEAP_COUNTERS", "TotalMemoryCommitted", counters.total_memory_committed);
        add("_HEAP_COUNTERS", "TotalMemoryLargeUCR", counters.total_memory_large_ucr);
        add("_HEAP_COUNTERS", "TotalSizeInVirtualBlocks", counters.total_size_in_virtual_blocks);
        add("_HEAP_COUNTERS", "TotalSegments", counters.total_segments);
        add("_HEAP_COUNTERS", "TotalUCRs", counters.total_ucrs);
        add("_HEAP_COUNTERS", "LockCollisions", counters.lock_collisions);
    }
    let hole = hole_layout(generation, width);
    let structure = if is_xp { "_HEAP_UNCOMMMTTED_RANGE" } else { "_HEAP_UCR_DESCRIPTOR" };
    add(structure, if is_xp { "Next" } else { "SegmentEntry" }, hole.link);
    add(structure, "Address", hole.address);
    add(structure, "Size", hole.size);
    let large = large_block_layout(width);
    add("_HEAP_VIRTUAL_ALLOC_ENTRY", "ExtraStuff", large.extra_stuff);
    add("_HEAP_VIRTUAL_ALLOC_ENTRY", "CommitSize", large.commit_size);
    add("_HEAP_VIRTUAL_ALLOC_ENTRY", "ReserveSize", large.reserve_size);
    add("_HEAP_VIRTUAL_ALLOC_ENTRY", "BusyBlock", large.busy_block);
    if let Some(lfh) = lfh_layout(generation, width) {
        add("_HEAP_SUBSEGMENT", "UserBlocks", lfh.subsegment_user_blocks);
        add("_HEAP_SUBSEGMENT", "AggregateExchg", lfh.subsegment_depth);
        add("_HEAP_SUBSEGMENT", "BlockSize", lfh.subsegment_block_size);
        add("_HEAP_SUBSEGMENT", "BlockCount", lfh.subsegment_block_count);
        add("_HEAP_USERDATA_HEADER", "Signature", lfh.user_blocks_signature);
    }
    fields
}
