//! Heaps of every generation and both widths, held against `checks`.

use super::checks::{check, check_containers, check_xp};
use super::*;
use crate::base::addr::{PointerWidth, Va};

const BOTH: [PointerWidth; 2] = [PointerWidth::Bits32, PointerWidth::Bits64];
const NEW: [HeapGeneration; 6] = [
    HeapGeneration::Vista,
    HeapGeneration::Seven,
    HeapGeneration::Eight,
    HeapGeneration::EightOne,
    HeapGeneration::Ten1607,
    HeapGeneration::Ten1809,
];

fn busy(user_bytes: u64, trace: Trace) -> PlannedBlock {
    PlannedBlock::Busy(BusyBlock::traced(user_bytes, trace))
}

/// Two segments with holes, a guard page, free blocks large and small, blocks with and without traces, a large one.
fn full_plan(generation: HeapGeneration, width: PointerWidth) -> HeapPlan {
    let trace = match generation {
        HeapGeneration::Xp => Trace::Index(0x94c4),
        _ => Trace::Pointer(Va(0x18_be50)),
    };
    let mut first: Vec<_> =
        (0..200).map(|number| busy(number, if number % 3 == 0 { Trace::None } else { trace })).collect();
    first.push(PlannedBlock::Free { block_bytes: 0x40 });
    first.push(PlannedBlock::Busy(BusyBlock { user_bytes: 0x10, slack_bytes: 0, trace }));
    if generation != HeapGeneration::Xp {
        let slot = |number: u64| (number % 3 != 1).then_some(BusyBlock::traced(0x10 + number % 4, trace));
        let untraced = |number: u64| number.is_multiple_of(2).then_some(BusyBlock::new(0x18 + number % 8));
        first.push(PlannedBlock::Lfh(LfhBlocks { block_bytes: 0x50, blocks: (0..70).map(slot).collect() }));
        first.push(busy(0x33, Trace::None));
        first.push(PlannedBlock::Lfh(LfhBlocks { block_bytes: 0x30, blocks: (0..33).map(untraced).collect() }));
        // A block whose unused bytes do not fit into their byte.
        first.push(PlannedBlock::Busy(BusyBlock { user_bytes: 0x21, slack_bytes: 0x80, trace: Trace::None }));
    }
    let run = |committed_pages, uncommitted_pages, blocks| RunPlan { committed_pages, uncommitted_pages, blocks };
    let base = Va(0x50_0000);
    let segments = vec![
        SegmentPlan {
            base,
            runs: vec![run(32, 16, first), run(4, 12, vec![busy(7, trace), PlannedBlock::BusyRest(trace)])],
            ..SegmentPlan::default()
        },
        SegmentPlan {
            base: Va(0x90_0000),
            runs: vec![run(300, 100, vec![busy(1, Trace::None)]), run(1, 99, vec![])],
            has_guard_page: generation >= HeapGeneration::Ten1607,
            ..SegmentPlan::default()
        },
    ];
    HeapPlan {
        flags: CAPTURE_STACK_TRACES | 2,
        list_index: 3,
        front_end: match generation {
            HeapGeneration::Xp => FrontEnd::Lookaside,
            HeapGeneration::Vista | HeapGeneration::Seven | HeapGeneration::Eight => FrontEnd::Lfh,
            _ => FrontEnd::LfhAt { base: Va(0x80_0000), reserved_pages: 50 },
        },
        segments,
        virtual_blocks: vec![
            VirtualBlock { base: Va(0xd0_0000), user_bytes: 0x8_1234, trace },
            VirtualBlock { base: Va(0xc0_0000), user_bytes: 0x9_0000, trace: Trace::None },
        ],
        lock_collisions: 0x8a,
        large_ucr_bytes: 0x1_0000,
        ..HeapPlan::new(generation, width, base)
    }
}

#[test]
fn heaps_of_all_generations_hold_what_a_reader_expects() {
    for width in BOTH {
        for generation in NEW {
            let plan = full_plan(generation, width);
            let image = plan.build().unwrap();
            check(&image, generation, width);
            check_containers(&image, generation, width, plan.lfh_key);
            let states = |state| image.truth.of_state(state).count();
            assert_eq!((states(BlockState::LfhBusy), states(BlockState::LfhFree)), (47 + 17, 23 + 16));
            assert_eq!(states(BlockState::Busy), 203 + 3, "{generation:?} {width:?}");
        }
    }
}

#[test]
fn heaps_without_encoding_are_plain() {
    let plan = HeapPlan { encoding: None, ..full_plan(HeapGeneration::Seven, PointerWidth::Bits32) };
    check(&plan.build().unwrap(), HeapGeneration::Seven, PointerWidth::Bits32);
}

#[test]
fn heaps_of_xp_hold_what_a_reader_expects() {
    for width in BOTH {
        check_xp(&full_plan(HeapGeneration::Xp, width).build().unwrap(), width);
    }
}

/// A heap of Windows 7 x64 without blocks, one of whose 16 pages is committed, has 0x54 free granules in a real dump; fully
/// committed it has 0xf54, and counts an uncommitted range that is in no list.
#[test]
fn empty_heaps_are_those_of_a_real_dump() {
    for (committed_pages, free_granules, listed) in [(1, 0x54, 1), (16, 0xf54, 0)] {
        let run = RunPlan { committed_pages, uncommitted_pages: 16 - committed_pages, blocks: Vec::new() };
        let base = Va(0x1_0000);
        let segments = vec![SegmentPlan { base, runs: vec![run], ..SegmentPlan::default() }];
        let plan = HeapPlan { segments, ..HeapPlan::new(HeapGeneration::Seven, PointerWidth::Bits64, base) };
        let image = plan.build().unwrap();
        check(&image, HeapGeneration::Seven, PointerWidth::Bits64);
        assert_eq!((image.truth.totals.free_bytes, image.truth.totals.ucr_count), (free_granules * 16, 1));
        let reader = super::checks::Reader::new(&image, PointerWidth::Bits64);
        assert_eq!(reader.list(0x1_00f8).len(), listed);
    }
}

#[test]
fn the_regions_of_a_heap_are_what_it_counts() {
    let image = full_plan(HeapGeneration::Ten1809, PointerWidth::Bits64).build().unwrap();
    let mut space = crate::sample::address_space::AddressSpace::default();
    image.add_to(&mut space);
    let truth = &image.truth;
    // The guard page is reserved and not counted; large blocks are counted apart.
    let guard_bytes = 0x1000;
    assert_eq!(space.allocated_bytes(), truth.totals.reserved_bytes + guard_bytes + truth.totals.virtual_block_bytes);
    assert_eq!(space.committed_bytes(None), truth.totals.committed_bytes + truth.totals.virtual_block_bytes);
    assert!(space.memory_ranges().is_ok());
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut plan = HeapPlan::new(HeapGeneration::Seven, PointerWidth::Bits64, Va(0x1_0000));
    plan.segments[0].runs[0].blocks.push(busy(0x1_0000, Trace::None));
    assert!(matches!(plan.build(), Err(crate::sample::SampleError::DoesNotFit { .. })));
    for width in BOTH {
        let mut plan = HeapPlan::new(HeapGeneration::Xp, width, Va(0x1_0000));
        plan.segments[0].runs = vec![RunPlan { committed_pages: 1, uncommitted_pages: 1, blocks: Vec::new() }; 10];
        assert!(matches!(plan.build(), Err(crate::sample::SampleError::DoesNotFit { .. })));
        plan.segments[0].runs.truncate(4);
        check_xp(&plan.build().unwrap(), width);
    }
}
