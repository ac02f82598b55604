//! Lookaside lists of Windows XP: blocks that were given back and whose headers still say busy.

use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::process::heap::block::BlockKind;
use dumptrend::process::heap::totals::BlockTotals;
use dumptrend::sample::heap_image::{BlockState, BuiltBlock, BuiltHeap, HeapGeneration};

use super::{decode, extent_of, walked};
use crate::support::build_heap::{BuiltMemory, HEAP, build, heap_plan};

const WIDTH: PointerWidth = PointerWidth::Bits32;
const GRANULE: u64 = 8;

/// Two blocks of one size, and where the list for their size begins.
fn subject() -> (BuiltMemory, BuiltHeap, [BuiltBlock; 2], Va) {
    let (memory, built) = build(&heap_plan(HeapGeneration::Xp, WIDTH));
    let busy: Vec<BuiltBlock> =
        built.of_state(BlockState::Busy).filter(|block| block.user_bytes >= 8).copied().collect();
    let same_size = |a: &BuiltBlock, b: &BuiltBlock| a.entry != b.entry && a.block_bytes == b.block_bytes;
    let first = *busy.iter().find(|a| busy.iter().any(|b| same_size(a, b))).expect("a size that two have");
    let second = *busy.iter().find(|b| same_size(&first, b)).expect("the other");
    let lists = built.of_state(BlockState::Internal).next().expect("the lists").user;
    // Each `_HEAP_LOOKASIDE` has 0x30 bytes and begins with its list.
    let list = Va(lists.0 + first.block_bytes / GRANULE * 0x30);
    (memory, built, [first, second], list)
}

fn lookaside_entries(memory: &BuiltMemory) -> Vec<Va> {
    let (extent, _) = extent_of(memory, HEAP, WIDTH);
    let (blocks, lost) = walked(memory, &extent);
    assert_eq!(lost, []);
    blocks.iter().filter(|block| block.kind == BlockKind::Lookaside).map(|block| block.entry).collect()
}

#[test]
fn blocks_in_a_lookaside_list_are_free() {
    let (mut memory, built, [first, second], list) = subject();
    let before = decode(&memory, &extent_of(&memory, HEAP, WIDTH).0).totals.expect("totals");
    // The list leads from the user's memory of one block to that of the next.
    memory.put_pointer(WIDTH, list, first.user);
    memory.put_pointer(WIDTH, first.user, second.user);
    memory.put_pointer(WIDTH, second.user, Va(0));
    let mut expected = vec![first.entry, second.entry];
    expected.sort_unstable();
    assert_eq!(lookaside_entries(&memory), expected);
    let after = decode(&memory, &extent_of(&memory, HEAP, WIDTH).0).totals.expect("totals");
    assert_eq!(after.in_use().block_count + 2, before.in_use().block_count);
    assert_eq!(after.free().block_bytes, before.free().block_bytes + 2 * first.block_bytes);
    // `!heap` sees them as busy.
    let counts = |totals: &BlockTotals| (totals.busy_entries().block_count, totals.busy_entries().block_bytes);
    assert_eq!(counts(&after), counts(&before));
    assert_eq!(built.of_state(BlockState::Free).count() as u64, after.of(BlockKind::Free).block_count);
}

/// A list that leads to a block of another size, to no block, or back to itself ends there.
#[test]
fn a_damaged_lookaside_list_ends_where_it_is_wrong() {
    let (mut memory, built, [first, second], list) = subject();
    memory.put_pointer(WIDTH, list, first.user);
    memory.put_pointer(WIDTH, first.user, first.user);
    assert_eq!(lookaside_entries(&memory), [first.entry]);
    let other = built.of_state(BlockState::Busy).find(|block| block.block_bytes != first.block_bytes).expect("another");
    memory.put_pointer(WIDTH, first.user, other.user);
    assert_eq!(lookaside_entries(&memory), [first.entry]);
    memory.put_pointer(WIDTH, first.user, Va(second.user.0 + 4));
    assert_eq!(lookaside_entries(&memory), [first.entry]);
    memory.put_pointer(WIDTH, list, Va(0x6666_0000));
    assert_eq!(lookaside_entries(&memory), []);
}
