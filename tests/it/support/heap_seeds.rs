//! The seeds of the fuzz target `heap`: a small heap of each kind and layout, whole and damaged.

use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::sample::heap_image::page_heap::{PageHeapBlock, PageHeapPlan};
use dumptrend::sample::heap_image::segment_heap::{
    Chunk, FIRST_DESCRIPTOR, LargeBlock, PageRange, RangeUse, SegmentHeapPlan, variable_sizes,
};
use dumptrend::sample::heap_image::{
    BlockState, BuiltHeap, BusyBlock, FrontEnd, HeapGeneration, HeapPlan, PlannedBlock, RunPlan, SegmentPlan, Trace,
    VirtualBlock,
};

use super::build_heap::{BuiltMemory, HEAP, Header, build, busy, header_of, lfh, put_header, run, trace_of};
use super::process_image::ProcessImage;

/// Seeds without damage.
pub const HEALTHY: [&str; 10] = [
    "ten1809-x64.bin",
    "ten1809-x86.bin",
    "ten1607-x64.bin",
    "eight-one-x86.bin",
    "seven-x64.bin",
    "seven-x86.bin",
    "xp-x86.bin",
    "page-heap-x64.bin",
    "page-heap-x86.bin",
    "segment-heap.bin",
];

const PAGE_BYTES: u64 = 0x1000;
const FRONT_END: Va = Va(0x80_0000);
const LARGE_BLOCK: Va = Va(0xc0_0000);
const X64: PointerWidth = PointerWidth::Bits64;
const X86: PointerWidth = PointerWidth::Bits32;

/// Each seed with the name of its file.
pub fn heap_seeds() -> Vec<(&'static str, Vec<u8>)> {
    use HeapGeneration::{EightOne, Seven, Ten1607, Ten1809, Xp};
    let whole = |generation, width| {
        let plan = plan(generation, width);
        let (memory, _) = build(&plan);
        seed(&memory, width, HEAP, build_of(generation))
    };
    let mut seeds = vec![
        ("ten1809-x64.bin", whole(Ten1809, X64)),
        ("ten1809-x86.bin", whole(Ten1809, X86)),
        ("ten1607-x64.bin", whole(Ten1607, X64)),
        ("eight-one-x86.bin", whole(EightOne, X86)),
        ("seven-x64.bin", whole(Seven, X64)),
        ("seven-x86.bin", whole(Seven, X86)),
        ("xp-x86.bin", whole(Xp, X86)),
        ("page-heap-x64.bin", page_heap(X64)),
        ("page-heap-x86.bin", page_heap(X86)),
        ("segment-heap.bin", segment_heap()),
        ("not-in-dump.bin", seed(&BuiltMemory::default(), X64, HEAP, 0)),
    ];
    seeds.extend(damaged());
    seeds
}

fn build_of(generation: HeapGeneration) -> u16 {
    match generation {
        HeapGeneration::Xp => 2600,
        HeapGeneration::Vista => 6002,
        HeapGeneration::Seven => 7601,
        HeapGeneration::Eight => 9200,
        HeapGeneration::EightOne => 9600,
        HeapGeneration::Ten1607 => 14393,
        HeapGeneration::Ten1809 => 19045,
    }
}

/// A page or two of blocks with and without stacks, a free one, a container where the front end takes little room, and a
/// large block.
fn plan(generation: HeapGeneration, width: PointerWidth) -> HeapPlan {
    let trace = trace_of(generation);
    let mut blocks: Vec<PlannedBlock> =
        (0..12).map(|n| busy(n * 9, if n % 4 == 0 { Trace::None } else { trace })).collect();
    blocks.push(PlannedBlock::Free { block_bytes: 0x60 });
    blocks.push(busy(0x18, trace));
    let has_own_front_end = generation >= HeapGeneration::EightOne;
    if has_own_front_end {
        blocks.push(lfh(0x50, 7, 5, BusyBlock::traced(0x20, trace)));
        blocks.push(lfh(0x30, 9, 9, BusyBlock::new(0x21)));
    }
    let front_end = match generation {
        _ if has_own_front_end => FrontEnd::LfhAt { base: FRONT_END, reserved_pages: 50 },
        HeapGeneration::Xp => FrontEnd::Lookaside,
        _ => FrontEnd::None,
    };
    let committed_pages = if generation == HeapGeneration::Xp { 3 } else { 2 };
    HeapPlan {
        flags: 0x0800_0002,
        front_end,
        segments: vec![SegmentPlan {
            base: HEAP,
            runs: vec![
                run(committed_pages, 4, blocks),
                RunPlan { committed_pages: 1, ..run(1, 4, vec![busy(7, trace)]) },
            ],
            ..SegmentPlan::default()
        }],
        virtual_blocks: vec![VirtualBlock { base: LARGE_BLOCK, user_bytes: 0x9_1234, trace }],
        ..HeapPlan::new(generation, width, HEAP)
    }
}

fn damaged() -> Vec<(&'static str, Vec<u8>)> {
    let generation = HeapGeneration::Ten1809;
    let with = |width: PointerWidth, damage: &dyn Fn(&mut BuiltMemory, &HeapPlan, &BuiltHeap)| {
        let plan = plan(generation, width);
        let (mut memory, heap) = build(&plan);
        damage(&mut memory, &plan, &heap);
        seed(&memory, width, HEAP, build_of(generation))
    };
    vec![
        (
            "wrong-checksum.bin",
            with(X64, &|memory, plan, heap| {
                memory.flip(header_of(heap, plan.width, BlockState::Busy, 4), 0x41);
            }),
        ),
        (
            "size-past-end.bin",
            with(X86, &|memory, plan, heap| {
                let header = Header { size: 0xffff, flags: 1, previous_size: 0, unused_bytes: 8 };
                put_header(memory, plan, header_of(heap, plan.width, BlockState::Busy, 4), header);
            }),
        ),
        (
            "free-list-circle.bin",
            with(X64, &|memory, plan, heap| {
                let free = heap.of_state(BlockState::Free).next().expect("a free block");
                let link = Va(free.entry.0 + 0x10);
                memory.put_pointer(plan.width, link, link);
            }),
        ),
        (
            "segment-without-end.bin",
            with(X64, &|memory, _, _| {
                memory.put(Va(HEAP.0 + 0x38), &u32::MAX.to_le_bytes());
            }),
        ),
        (
            "container-without-subsegment.bin",
            with(X86, &|memory, plan, heap| {
                let container = heap.of_state(BlockState::LfhContainer).next().expect("a container");
                memory.put_pointer(plan.width, container.user, Va(0x6666_0000));
            }),
        ),
        ("missing-page.bin", with(X64, &|memory, _, _| memory.drop_page(Va(HEAP.0 + PAGE_BYTES)))),
        ("no-signature.bin", with(X86, &|memory, _, _| memory.put(Va(HEAP.0 + 8), b"none"))),
    ]
}

fn page_heap(width: PointerWidth) -> Vec<u8> {
    let block = |number: u64| PageHeapBlock {
        base: Va(0x100_0000 + number * 0x1_0000),
        requested_bytes: number * 0x33 + 1,
        trace: Va(0x20_0000 + number * 0x40),
        is_freed: false,
    };
    let image =
        PageHeapPlan { width, handle: HEAP, flags: 2, normal_heap: Va(0x70_0000), blocks: (0..6).map(block).collect() }
            .build();
    let mut memory = BuiltMemory::default();
    for (va, bytes) in image.writes.into_iter().take(3) {
        memory.add(va, bytes);
    }
    // Of a block's page what stands before the user's bytes.
    seed(&memory, width, HEAP, 0)
}

fn segment_heap() -> Vec<u8> {
    const KEY: u64 = 0x1234_5678_9abc_def0;
    let segment = Va(0x600_0000);
    let range = |page_count, usage, unused_bytes| PageRange { page_count, usage, unused_bytes };
    let image = SegmentHeapPlan {
        base: HEAP,
        list_index: 1,
        global_flags: 2,
        heap_key: KEY,
        large_blocks: vec![LargeBlock { base: Va(0x1100_0000), user_bytes: 0x10_0123 }],
        segments: vec![(
            segment,
            vec![
                range(1, RangeUse::VariableSize, 0),
                range(1, RangeUse::LowFragmentation, 0),
                range(33, RangeUse::Block, 0x10),
                range(7, RangeUse::Free, 0),
            ],
        )],
    }
    .build();
    let mut memory = BuiltMemory::default();
    for (va, bytes) in image.writes {
        memory.add(va, bytes);
    }
    let chunks = [0x20, 0x2f, 0x100, 1].map(|user_bytes| Chunk { user_bytes, is_busy: true });
    let start = Va(segment.0 + FIRST_DESCRIPTOR * PAGE_BYTES);
    let (bytes, _) = variable_sizes(start, 1, KEY, &chunks);
    memory.add(start, bytes);
    let position_1 = 2;
    seed_at(&memory, X64, HEAP, 19045, position_1)
}

fn seed(memory: &BuiltMemory, width: PointerWidth, heap: Va, build: u16) -> Vec<u8> {
    seed_at(memory, width, heap, build, 0)
}

/// The bytes of a seed; each piece of memory ends with the last byte that is not zero but for pieces of blocks, which a
/// walk needs whole.
fn seed_at(memory: &BuiltMemory, width: PointerWidth, heap: Va, build: u16, position: u8) -> Vec<u8> {
    let mut bytes = vec![u8::from(width == X64) | position];
    bytes.extend(u32::try_from(heap.0).expect("below 4 GB").to_le_bytes());
    bytes.extend(build.to_le_bytes());
    let mut image = ProcessImage::default();
    for (va, piece) in memory.pieces() {
        // Blocks reach up to the end of their pages; of other pages the zeros at the end are left out.
        let is_of_blocks = va.0 < FRONT_END.0;
        let used = piece.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
        image = image.memory(va.0, if is_of_blocks { piece } else { &piece[..used] });
    }
    bytes.extend(image.to_bytes());
    bytes
}
