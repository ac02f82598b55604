//! The length of long lists of free blocks.

use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::process::heap::DecodedHeap;
use dumptrend::sample::heap_image::{
    BlockState, BuiltHeap, HeapGeneration, HeapPlan, PlannedBlock, SegmentPlan, Trace,
};

use super::{decode, extent_of};
use crate::support::build_heap::{BuiltMemory, HEAP, build, busy, run};

const WIDTH: PointerWidth = PointerWidth::Bits32;
/// `_HEAP.TotalFreeSize` of Windows 10, x86.
const TOTAL_FREE_SIZE: u64 = 0x74;

/// A heap with more free blocks than the list is followed for.
fn long_list() -> (BuiltMemory, BuiltHeap) {
    const FREE_COUNT: usize = 70_000;
    let pair = |_| [PlannedBlock::Free { block_bytes: 0x10 }, busy(1, Trace::None)];
    let plan = HeapPlan {
        segments: vec![SegmentPlan {
            base: HEAP,
            runs: vec![run(600, 8, (0..FREE_COUNT).flat_map(pair).collect())],
            ..SegmentPlan::default()
        }],
        ..HeapPlan::new(HeapGeneration::Ten1809, WIDTH, HEAP)
    };
    build(&plan)
}

fn read(memory: &BuiltMemory) -> DecodedHeap {
    decode(memory, &extent_of(memory, HEAP, WIDTH).0)
}

fn length(heap: &DecodedHeap) -> Option<u64> {
    heap.figures.expect("figures").free_list_length
}

/// By the walk where the heap's own sum proves it, else along the list: the number is the same.
#[test]
fn a_long_list_of_free_blocks_has_its_length() {
    let (mut memory, built) = long_list();
    let expected = Some(built.totals.free_list_length);
    assert!(expected > Some(70_000));
    let heap = read(&memory);
    assert_eq!((length(&heap), heap.problems.len()), (expected, 0));
    memory.put(Va(HEAP.0 + TOTAL_FREE_SIZE), &1_u32.to_le_bytes());
    let heap = read(&memory);
    assert_eq!((length(&heap), heap.problems.len()), (expected, 0));
}

/// A circle is found wherever it closes, also long after the start.
#[test]
fn a_long_list_in_a_circle_has_no_length() {
    let (mut memory, built) = long_list();
    memory.put(Va(HEAP.0 + TOTAL_FREE_SIZE), &1_u32.to_le_bytes());
    let link = |number: usize| Va(built.of_state(BlockState::Free).nth(number).expect("a free block").entry.0 + 8);
    // Blocks of one size are chained by address here: the last of these leads back to the third.
    memory.put_pointer(WIDTH, link(60_000), link(3));
    let heap = read(&memory);
    assert_eq!(length(&heap), None);
    let texts: Vec<_> = heap.problems.iter().map(|problem| problem.text.clone()).collect();
    assert!(texts.iter().all(|text| text.starts_with("the list of free blocks does not end")), "{texts:?}");
    assert_eq!(texts.len(), 1);
}
