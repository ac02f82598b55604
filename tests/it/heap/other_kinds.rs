//! Page heaps and segment heaps that were built: blocks, sizes, states, stacks, totals, and which memory is theirs.

use dumptrend::analysis::snapshot::Snapshot;
use dumptrend::base::addr::{PointerWidth, Va, VaRange};
use dumptrend::process::heap::SegmentHeapState;
use dumptrend::process::heap::block::{Block, BlockKind, Loss, Trace};
use dumptrend::process::heap::head::HeapKind;
use dumptrend::process::regions::usage::{HeapPart, Owner, Usage};
use dumptrend::sample::address_space::AddressSpace;
use dumptrend::sample::heap_image::page_heap::{PageHeapBlock, PageHeapImage, PageHeapPlan};
use dumptrend::sample::heap_image::segment_heap::{
    Chunk, FIRST_DESCRIPTOR, LargeBlock, PageRange, RangeUse, SegmentHeapImage, SegmentHeapPlan, variable_sizes,
};
use dumptrend::sample::heap_image::{HeapGeneration, HeapPlan};

use super::{decode, extent_of, walked};
use crate::support::build_dump::snapshot;
use crate::support::build_heap::BuiltMemory;
use crate::support::build_process::{HEAP, Process};

const PAGE_BYTES: u64 = 0x1000;
const NORMAL_HEAP: Va = Va(0x70_0000);

fn memory_of(writes: &[(Va, Vec<u8>)]) -> BuiltMemory {
    let mut memory = BuiltMemory::default();
    for (va, bytes) in writes {
        memory.add(*va, bytes.clone());
    }
    memory
}

/// The process of the tests with another heap at the place of its own.
fn with_heap(space: &AddressSpace) -> Snapshot {
    let process = Process::default();
    let mut ranges = process.memory_ranges();
    ranges.remove(0);
    ranges.extend(space.memory_ranges().expect("ranges"));
    let is_of_heap = |va: u64| (HEAP..HEAP + 0x4_0000).contains(&va);
    let mut infos: Vec<_> =
        process.memory_infos().into_iter().filter(|info| info.base.0 != 0 && !is_of_heap(info.base.0)).collect();
    let infos_of_heap = space.memory_infos(Va(0x7fff_0000_0000)).expect("no overlap");
    const FREE: u32 = 0x1_0000;
    infos.extend(infos_of_heap.into_iter().filter(|info| info.state != FREE));
    infos.sort_by_key(|info| info.base);
    snapshot(&process.dump_without_memory().memory_infos(infos).memory64(ranges))
}

fn page_heap(width: PointerWidth, has_freed: bool) -> (PageHeapPlan, PageHeapImage) {
    let block = |number: u64| PageHeapBlock {
        base: Va(0x100_0000 + number * 0x1_0000),
        requested_bytes: number * 0x333 + 1,
        trace: if number % 7 == 6 { Va(0) } else { Va(0x20_0000 + number * 0x40) },
        is_freed: has_freed && number % 5 == 4,
    };
    let plan = PageHeapPlan {
        width,
        handle: Va(HEAP),
        flags: 2,
        normal_heap: NORMAL_HEAP,
        blocks: (0..40).map(block).collect(),
    };
    let image = plan.build();
    (plan, image)
}

#[test]
fn blocks_of_a_page_heap_are_those_that_were_built() {
    // On x86 no listing tells where the list of freed blocks begins.
    for (width, has_freed) in
        [(PointerWidth::Bits32, false), (PointerWidth::Bits64, false), (PointerWidth::Bits64, true)]
    {
        let (plan, image) = page_heap(width, has_freed);
        let memory = memory_of(&image.writes);
        let (extent, problems) = extent_of(&memory, plan.handle, width);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!((extent.kind, extent.is_whole), (HeapKind::PageHeap, true));
        assert_eq!(extent.normal_heap, Some(NORMAL_HEAP));
        let information_bytes = if width == PointerWidth::Bits64 { 0x40 } else { 0x20 };
        let mut expected: Vec<Block> = image
            .blocks
            .iter()
            .map(|block| Block {
                entry: Va(block.user.0 - information_bytes),
                // The page without access at its end belongs to it.
                size_bytes: block.accessible_bytes + PAGE_BYTES,
                kind: if block.plan.is_freed { BlockKind::Free } else { BlockKind::Busy },
                user: Some(block.user),
                user_bytes: Some(block.plan.requested_bytes),
                trace: if block.plan.trace.is_null() { Trace::Missing } else { Trace::At(block.plan.trace) },
            })
            .collect();
        expected.sort_unstable_by_key(|block| block.entry);
        let (blocks, lost) = walked(&memory, &extent);
        assert_eq!((&blocks, &lost), (&expected, &Vec::new()), "{width:?}");
        let heap = decode(&memory, &extent);
        assert_eq!((heap.is_page_heap_whole, heap.problems.len()), (Some(true), 0));
        let totals = heap.totals.expect("totals");
        let busy: Vec<&Block> = expected.iter().filter(|block| block.kind == BlockKind::Busy).collect();
        assert_eq!(totals.in_use().block_count, busy.len() as u64);
        assert_eq!(totals.in_use().user_bytes, busy.iter().filter_map(|block| block.user_bytes).sum::<u64>());
        assert_eq!(totals.free().block_count, (expected.len() - busy.len()) as u64);
        for block in busy {
            assert!(totals.stacks[&block.trace].block_count > 0);
        }
    }
}

#[test]
fn a_page_heap_with_fewer_nodes_than_it_counts_is_not_whole() {
    let (plan, image) = page_heap(PointerWidth::Bits64, true);
    let mut memory = memory_of(&image.writes);
    // The tree's top loses its children; the first block its stamp.
    let busy: Vec<_> = image.blocks.iter().filter(|block| !block.plan.is_freed).collect();
    memory.flip(Va(busy[0].user.0 - 0x40), 1);
    let heap = decode(&memory, &extent_of(&memory, plan.handle, plan.width).0);
    assert_eq!(heap.is_page_heap_whole, Some(true));
    let texts: Vec<_> = heap.problems.iter().map(|problem| problem.text.as_str()).collect();
    assert_eq!(
        texts,
        ["1 of its blocks in use have no stamp of page heap before them, or their pages are not in the dump"]
    );
    let top = busy[busy.len() / 2].node;
    memory.put_pointer(plan.width, Va(top.0 + 8), Va(0));
    let (extent, _) = extent_of(&memory, plan.handle, plan.width);
    let heap = decode(&memory, &extent);
    assert_eq!(heap.is_page_heap_whole, Some(false));
    assert!(heap.totals.expect("totals").in_use().block_count < busy.len() as u64);
    // Storage that cannot be followed: the size is not told.
    memory.put_pointer(plan.width, Va(image.root.0 + 0x18), Va(0x6666_0000));
    let (extent, problems) = extent_of(&memory, plan.handle, plan.width);
    assert!(!extent.is_whole && !problems.is_empty());
}

#[test]
fn the_pages_of_a_page_heap_are_claimed() {
    let (plan, image) = page_heap(PointerWidth::Bits64, false);
    let mut space = AddressSpace::default();
    image.add_to(&mut space);
    let normal = HeapPlan::new(HeapGeneration::Ten1809, PointerWidth::Bits64, NORMAL_HEAP).build().expect("a heap");
    normal.add_to(&mut space);
    let taken = with_heap(&space);
    let kinds: Vec<_> = taken.heaps.iter().map(|heap| (heap.extent.base, heap.extent.kind, heap.is_listed)).collect();
    assert_eq!(
        kinds,
        [(plan.handle, HeapKind::PageHeap, true), (NORMAL_HEAP, HeapKind::Nt, false)],
        "the heap behind it is a heap of its own"
    );
    for block in &image.blocks {
        for va in [block.plan.base, Va(block.plan.base.0 + block.accessible_bytes)] {
            assert_eq!(taken.address_space.region_at(va).expect("a region").usage, Usage::PageHeap, "{va}");
        }
    }
    let pages: u64 = image.blocks.iter().map(|block| block.accessible_bytes).sum();
    let committed = taken.address_space.totals.committed_bytes_of(Usage::PageHeap);
    let own: u64 = image.writes.iter().take(3).map(|(_, bytes)| bytes.len() as u64).sum();
    assert_eq!(committed, Some(pages + own));
    assert_eq!(taken.address_space.region_at(NORMAL_HEAP).expect("a region").usage, Usage::Heap);
}

const SEGMENT: Va = Va(0x600_0000);
const KEY: u64 = 0x1234_5678_9abc_def0;

fn range(page_count: u64, usage: RangeUse, unused_bytes: u32) -> PageRange {
    PageRange { page_count, usage, unused_bytes }
}

fn segment_heap() -> (SegmentHeapPlan, SegmentHeapImage) {
    let plan = SegmentHeapPlan {
        base: Va(HEAP),
        list_index: 1,
        global_flags: 2,
        heap_key: KEY,
        large_blocks: vec![
            LargeBlock { base: Va(0x1100_0000), user_bytes: 0x10_0123 },
            LargeBlock { base: Va(0x1200_0000), user_bytes: 0x20_0000 },
        ],
        segments: vec![
            (
                SEGMENT,
                vec![
                    range(4, RangeUse::VariableSize, 0),
                    range(2, RangeUse::LowFragmentation, 0),
                    range(33, RangeUse::Block, 0x10),
                    range(7, RangeUse::Free, 0),
                ],
            ),
            (Va(0x700_0000), vec![range(40, RangeUse::Block, 0x321)]),
        ],
    };
    let image = plan.build();
    (plan, image)
}

const CHUNKS: [Chunk; 6] = [
    Chunk { user_bytes: 0x200, is_busy: true },
    Chunk { user_bytes: 0x3f, is_busy: true },
    Chunk { user_bytes: 0x100, is_busy: false },
    Chunk { user_bytes: 0x45, is_busy: true },
    Chunk { user_bytes: 0x1000, is_busy: true },
    Chunk { user_bytes: 1, is_busy: true },
];

fn page(number: u64) -> Va {
    Va(SEGMENT.0 + (FIRST_DESCRIPTOR + number) * PAGE_BYTES)
}

#[test]
fn blocks_of_a_segment_heap_are_those_that_were_built() {
    let (plan, image) = segment_heap();
    let mut memory = memory_of(&image.writes);
    let (bytes, chunks) = variable_sizes(page(0), 4, KEY, &CHUNKS);
    memory.add(page(0), bytes);
    let (extent, problems) = extent_of(&memory, plan.base, PointerWidth::Bits64);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!((extent.kind, extent.is_whole), (HeapKind::Segment, true));
    assert_eq!(extent.segments, [Va(HEAP), SEGMENT, Va(0x700_0000)]);
    assert_eq!(extent.large_blocks, [Va(0x1100_0000), Va(0x1200_0000)]);
    let block = |entry: Va, size_bytes: u64, user_bytes: u64, kind| Block {
        entry,
        size_bytes,
        kind,
        user: Some(entry),
        user_bytes: Some(user_bytes),
        trace: Trace::NotKept,
    };
    let mut expected = vec![
        block(page(6), 33 * PAGE_BYTES, 33 * PAGE_BYTES - 0x10, BlockKind::Busy),
        block(Va(0x700_2000), 40 * PAGE_BYTES, 40 * PAGE_BYTES - 0x321, BlockKind::Busy),
        block(Va(0x1100_0000), 0x10_1000, 0x10_0123, BlockKind::Large),
        block(Va(0x1200_0000), 0x20_0000, 0x20_0000, BlockKind::Large),
    ];
    for (va, chunk) in &chunks {
        let busy = block(*va, chunk.size_bytes(), chunk.user_bytes, BlockKind::Busy);
        expected.push(if chunk.is_busy {
            Block { user: Some(Va(va.0 + 0x10)), ..busy }
        } else {
            Block { kind: BlockKind::Free, user: None, user_bytes: None, ..busy }
        });
    }
    expected.sort_unstable_by_key(|block| block.entry);
    let (blocks, lost) = walked(&memory, &extent);
    assert_eq!(blocks, expected);
    // Blocks of its own low-fragmentation heap are not made out, and that is told.
    let unknown = VaRange::from_size(page(4), 2 * PAGE_BYTES);
    assert_eq!(lost, [(unknown, Loss::UnknownContainer)]);
    let heap = decode(&memory, &extent);
    let (figures, state) = heap.segment_heap.expect("figures");
    assert_eq!(state, SegmentHeapState::Walked);
    assert_eq!(
        (figures.global_flags, figures.list_index, figures.reserved_bytes, figures.committed_bytes),
        (2, 1, image.reserved_bytes, image.committed_bytes)
    );
    assert_eq!(
        (figures.free_committed_bytes, figures.large_reserved_bytes, figures.large_committed_bytes),
        (image.free_committed_bytes, image.large_reserved_bytes, image.large_committed_bytes)
    );
    let totals = heap.totals.expect("totals");
    assert_eq!(totals.in_use().block_count, 4 + 5);
    assert_eq!((totals.unknown_container_count, totals.unknown_container_bytes), (1, 2 * PAGE_BYTES));
    assert!(!totals.is_whole() && totals.is_undamaged());
}

/// Segments that give different keys: what is masked with it is not read.
#[test]
fn without_a_key_variable_sizes_are_told_as_unknown() {
    let (plan, image) = segment_heap();
    let mut memory = memory_of(&image.writes);
    let (bytes, _) = variable_sizes(page(0), 4, KEY, &CHUNKS);
    memory.add(page(0), bytes);
    memory.flip(Va(SEGMENT.0 + 0x10), 1);
    let (extent, _) = extent_of(&memory, plan.base, PointerWidth::Bits64);
    let (blocks, lost) = walked(&memory, &extent);
    let unknown = [(page(0), 4), (page(4), 2)]
        .map(|(va, pages)| (VaRange::from_size(va, pages * PAGE_BYTES), Loss::UnknownContainer));
    assert_eq!(lost, unknown);
    assert_eq!(blocks.len(), 4);
}

/// A chunk that does not know the one before it: none of the range is told, rather than some that are wrong.
#[test]
fn a_broken_chain_of_chunks_is_told_as_unknown() {
    let (plan, image) = segment_heap();
    let mut memory = memory_of(&image.writes);
    let (bytes, chunks) = variable_sizes(page(0), 4, KEY, &CHUNKS);
    memory.add(page(0), bytes);
    memory.flip(Va(chunks[3].0.0 + 4), 1);
    let (extent, _) = extent_of(&memory, plan.base, PointerWidth::Bits64);
    let (blocks, lost) = walked(&memory, &extent);
    assert_eq!((blocks.len(), lost.len()), (4, 2));
}

#[test]
fn a_segment_heap_with_totals_that_cannot_be_has_no_figures() {
    let (plan, image) = segment_heap();
    let mut memory = memory_of(&image.writes);
    // TotalCommittedPages beyond TotalReservedPages.
    memory.put(Va(HEAP + 0x88), &u64::MAX.to_le_bytes());
    let (extent, problems) = extent_of(&memory, plan.base, PointerWidth::Bits64);
    let texts: Vec<_> = problems.iter().map(|problem| problem.text.as_str()).collect();
    assert_eq!(texts, ["has a layout that is not known; its size is not told"]);
    let heap = decode(&memory, &extent);
    assert!(!extent.is_whole && heap.segment_heap.is_none() && heap.totals.is_none());
    assert!(walked(&memory, &extent).0.is_empty());
}

#[test]
fn the_pages_of_a_segment_heap_are_claimed() {
    let (plan, image) = segment_heap();
    let mut space = AddressSpace::default();
    image.add_to(&mut space);
    let taken = with_heap(&space);
    let part_of = |va: Va| match taken.address_space.region_at(va).expect("a region").owner {
        Owner::Heap { handle, part, .. } => Some((handle, part)),
        _ => None,
    };
    for va in [Va(HEAP), SEGMENT, Va(0x700_0000)] {
        assert_eq!(part_of(va), Some((plan.base, HeapPart::Segment)), "{va}");
    }
    for va in [Va(0x1100_0000), Va(0x1200_0000)] {
        assert_eq!(part_of(va), Some((plan.base, HeapPart::LargeBlock)), "{va}");
    }
    // Head, segments and large blocks.
    let expected = 2 * PAGE_BYTES + image.committed_bytes + image.large_committed_bytes;
    assert_eq!(taken.address_space.totals.committed_bytes_of(Usage::Heap), Some(expected));
}
