//! Damaged heaps: what is lost is told with its place, and the walk goes on at the right block. Held against what was built.

use std::sync::LazyLock;

use dumptrend::base::addr::{PointerWidth, Va, VaRange};
use dumptrend::base::memory::ReadMemory;
use dumptrend::process::heap::DecodedHeap;
use dumptrend::process::heap::block::{Block, BlockKind, Loss};
use dumptrend::process::heap::extent::HeapExtent;
use dumptrend::process::heap::head::HeapKind;
use dumptrend::sample::heap_image::{BlockState, BuiltBlock, BuiltHeap, HeapGeneration, HeapPlan};
use proptest::prelude::*;

use super::built::expected_block;
use super::{decode, extent_of, walked};
use crate::support::build_heap::{BuiltMemory, HEAP, Header, SECOND_SEGMENT, build, header_of, heap_plan, put_header};

const WIDTHS: [PointerWidth; 2] = [PointerWidth::Bits32, PointerWidth::Bits64];
const LARGE_BLOCK: Va = Va(0xc0_0000);

/// A heap to be damaged.
struct Subject {
    plan: HeapPlan,
    memory: BuiltMemory,
    built: BuiltHeap,
}

/// What is left of a damaged heap.
struct Left {
    extent: HeapExtent,
    heap: DecodedHeap,
    blocks: Vec<Block>,
    lost: Vec<(VaRange, Loss)>,
    /// Of the heap and its lists.
    problems: Vec<String>,
}

impl Subject {
    fn new(generation: HeapGeneration, width: PointerWidth) -> Self {
        let plan = heap_plan(generation, width);
        let (memory, built) = build(&plan);
        Self { plan, memory, built }
    }

    fn granule(&self) -> u64 {
        2 * self.plan.width.bytes()
    }

    fn block(&self, state: BlockState, number: usize) -> BuiltBlock {
        *self.built.of_state(state).nth(number).expect("such a block")
    }

    fn header(&self, state: BlockState, number: usize) -> Va {
        header_of(&self.built, self.plan.width, state, number)
    }

    /// The block behind the one at `entry`, of the same segment.
    fn after(&self, entry: Va) -> BuiltBlock {
        let own = |block: &&BuiltBlock| !matches!(block.state, BlockState::LfhBusy | BlockState::LfhFree);
        *self.built.blocks.iter().filter(own).find(|block| block.entry > entry).expect("a block behind")
    }

    fn read(&self) -> Left {
        let (extent, told) = extent_of(&self.memory, HEAP, self.plan.width);
        let heap = decode(&self.memory, &extent);
        let (blocks, lost) = walked(&self.memory, &extent);
        let problems = told.iter().chain(heap.problems.iter()).map(|problem| problem.text.clone()).collect();
        Left { extent, heap, blocks, lost, problems }
    }

    /// Every block told is one that was built, and every one that was not told lies in a range that was told as lost.
    fn check(&self, left: &Left, what: &str) {
        let truth: Vec<Block> = self.built.blocks.iter().map(|block| expected_block(block, &left.extent)).collect();
        for block in &left.blocks {
            assert!(truth.contains(block), "{what}: {block:?} was not built");
        }
        for block in truth.iter().filter(|block| !left.blocks.contains(block)) {
            let range = VaRange::from_size(block.entry, block.size_bytes);
            let is_told = left.lost.iter().any(|(lost, _)| lost.intersection(range).is_some());
            assert!(is_told, "{what}: {block:?} is neither told nor lost");
        }
    }
}

fn range(start: Va, end: Va) -> VaRange {
    VaRange { start, end }
}

/// Damages a heap of each width of Windows 7 and 11. What was lost must be `expected`, with the one problem text; all else
/// must come out.
fn check(
    damage: impl Fn(&mut Subject) -> Vec<(VaRange, Loss)>,
    problem: impl Fn(&Subject, &[(VaRange, Loss)]) -> String,
) {
    for generation in [HeapGeneration::Seven, HeapGeneration::Ten1809] {
        for width in WIDTHS {
            let what = format!("{generation:?} {width:?}");
            let mut subject = Subject::new(generation, width);
            let expected = damage(&mut subject);
            let left = subject.read();
            assert_eq!(left.lost, expected, "{what}");
            assert_eq!(left.problems, [problem(&subject, &expected)], "{what}");
            subject.check(&left, &what);
            let totals = left.heap.totals.expect("totals");
            assert!(!totals.is_whole(), "{what}");
        }
    }
}

#[test]
fn a_wrong_checksum_loses_one_block() {
    // Size, flags, the checksum itself.
    for byte in [0, 2, 3] {
        check(
            |subject| {
                let block = subject.block(BlockState::Busy, 10);
                let header = subject.header(BlockState::Busy, 10);
                subject.memory.flip(Va(header.0 + byte), 0x41);
                vec![(range(block.entry, subject.after(block.entry).entry), Loss::BadHeader)]
            },
            |_, lost| {
                let (at, _) = lost[0];
                format!(
                    "the block header at {} is damaged; blocks are known again from {} on, {} bytes are lost",
                    at.start,
                    at.end,
                    at.size_bytes()
                )
            },
        );
    }
}

#[test]
fn a_size_past_the_end_loses_one_block() {
    check(
        |subject| {
            let block = subject.block(BlockState::Busy, 20);
            let at = subject.header(BlockState::Busy, 20);
            let header =
                Header { size: 0xfff0, flags: 1, previous_size: previous(subject, block.entry), unused_bytes: 8 };
            put_header(&mut subject.memory, &subject.plan, at, header);
            vec![(range(block.entry, subject.after(block.entry).entry), Loss::PastEnd)]
        },
        |_, lost| {
            let (at, _) = lost[0];
            format!(
                "the block at {} would end outside of its committed run; {} bytes are lost",
                at.start,
                at.size_bytes()
            )
        },
    );
}

#[test]
fn a_size_of_0_ends_nothing() {
    check(
        |subject| {
            let block = subject.block(BlockState::Busy, 20);
            let at = subject.header(BlockState::Busy, 20);
            let header = Header { size: 0, flags: 1, previous_size: previous(subject, block.entry), unused_bytes: 8 };
            put_header(&mut subject.memory, &subject.plan, at, header);
            vec![(range(block.entry, subject.after(block.entry).entry), Loss::BadHeader)]
        },
        |_, lost| {
            let (at, _) = lost[0];
            format!(
                "the block header at {} is damaged; blocks are known again from {} on, {} bytes are lost",
                at.start,
                at.end,
                at.size_bytes()
            )
        },
    );
}

/// In granules, the block before the one at `entry`.
fn previous(subject: &Subject, entry: Va) -> u16 {
    let before = subject.built.blocks.iter().find(|block| block.entry.0 + block.block_bytes == entry.0);
    u16::try_from(before.expect("a block before").block_bytes / subject.granule()).expect("a small block")
}

#[test]
fn a_wrong_previous_size_is_told_and_loses_nothing() {
    check(
        |subject| {
            let block = subject.block(BlockState::Busy, 33);
            let at = subject.header(BlockState::Busy, 33);
            // PreviousSize has no checksum.
            subject.memory.flip(Va(at.0 + 4), 0x40);
            vec![(range(block.entry, block.entry), Loss::BadHeader)]
        },
        |_, lost| format!("the block at {} does not know the size of the one before it", lost[0].0.start),
    );
}

#[test]
fn a_page_in_the_middle_is_missing() {
    check(
        |subject| {
            // A page within the blocks of the first run: far behind the head and before the containers.
            let page = Va(subject.block(BlockState::Busy, 30).entry.0 / 0x1000 * 0x1000 + 0x1000);
            subject.memory.drop_page(page);
            let covers = |block: &&BuiltBlock| {
                !matches!(block.state, BlockState::LfhBusy | BlockState::LfhFree | BlockState::Virtual)
                    && block.entry.0 < page.0 + 0x1000
                    && block.entry.0 + block.block_bytes > page.0
            };
            let covering: Vec<BuiltBlock> = subject.built.blocks.iter().filter(covers).copied().collect();
            let (first, last) = (covering[0], covering[covering.len() - 1]);
            // A block that begins before the page is known by its header; from the first header within on nothing is.
            let start = if first.entry < page { first.entry.0 + first.block_bytes } else { first.entry.0 };
            let end = Va(page.0 + 0x1000);
            let next = Va(last.entry.0 + last.block_bytes);
            let mut lost = vec![(range(Va(start), end), Loss::NotInDump)];
            if next > end {
                lost.push((range(end, next), Loss::NotInDump));
            }
            lost
        },
        |_, lost| {
            let bytes: u64 = lost.iter().map(|(range, _)| range.size_bytes()).sum();
            format!("{bytes} bytes of its segments are not in the dump; their blocks are not counted")
        },
    );
}

/// The first page of the second segment, and the last of a committed run.
#[test]
fn a_page_at_an_end_is_missing() {
    for width in WIDTHS {
        let mut subject = Subject::new(HeapGeneration::Ten1809, width);
        subject.memory.drop_page(SECOND_SEGMENT);
        let left = subject.read();
        // The list of segments leads through that page.
        assert!(!left.extent.is_whole && left.heap.totals.is_some());
        assert!(left.problems.iter().any(|text| text.contains("which is not in the dump")), "{:?}", left.problems);
        let told = |segment: VaRange| left.blocks.iter().filter(|block| segment.contains(block.entry)).count();
        let built = subject.built.blocks.iter().filter(|block| subject.built.segments[0].range.contains(block.entry));
        assert_eq!(told(subject.built.segments[0].range), built.count(), "{width:?}");
        assert_eq!(told(subject.built.segments[1].range), 0);

        let mut subject = Subject::new(HeapGeneration::Ten1809, width);
        let sentinel = subject.block(BlockState::Sentinel, 0);
        subject.memory.drop_page(sentinel.entry);
        let left = subject.read();
        // What begins before the page is there, and the next run and segment are.
        subject.check(&left, "last page");
        assert!(left.blocks.iter().any(|block| SECOND_SEGMENT < block.entry && block.kind == BlockKind::Busy));
        assert!(left.lost.iter().all(|(_, loss)| *loss == Loss::NotInDump), "{:?}", left.lost);
    }
}

#[test]
fn a_heap_without_its_head_has_no_figures() {
    for width in WIDTHS {
        let mut subject = Subject::new(HeapGeneration::Seven, width);
        subject.memory.drop_page(HEAP);
        let left = subject.read();
        assert_eq!((left.extent.kind, left.extent.is_whole), (HeapKind::NotInDump, false));
        assert!(left.heap.figures.is_none() && left.heap.totals.is_none() && left.blocks.is_empty());
    }
}

#[test]
fn what_is_no_heap_is_named_with_its_first_bytes_and_no_figures() {
    for width in WIDTHS {
        let mut subject = Subject::new(HeapGeneration::Ten1809, width);
        subject.memory.put(Va(HEAP.0 + width.bytes() * 2), b"DAMAGED!");
        let left = subject.read();
        assert_eq!((left.extent.kind, left.extent.is_whole), (HeapKind::Unrecognised, false));
        assert!(left.heap.figures.is_none() && left.heap.totals.is_none() && left.blocks.is_empty());
        assert_eq!(left.heap.first_bytes, subject.memory.bytes_at(HEAP, 32));
    }
}

/// Lists that come back to themselves: the links of an entry point at itself.
#[test]
fn cyclic_lists_end_and_are_told() {
    for width in WIDTHS {
        let step = width.bytes();
        let subject = || Subject::new(HeapGeneration::Ten1809, width);
        // The list of free blocks leads through the free blocks themselves.
        let mut free = subject();
        let link = Va(free.block(BlockState::Free, 1).entry.0 + free.granule());
        free.memory.put_pointer(width, link, link);
        let left = free.read();
        assert_eq!(left.problems, [format!("the list of free blocks does not end: it comes back to {link}")]);
        assert_eq!(left.heap.figures.expect("figures").free_list_length, None);
        assert_eq!(left.lost, []);
        free.check(&left, "free list");

        // SegmentListEntry of the second segment.
        let mut segments = subject();
        let link = Va(SECOND_SEGMENT.0 + if step == 8 { 0x18 } else { 0x10 });
        segments.memory.put_pointer(width, link, link);
        let left = segments.read();
        assert_eq!(left.problems, [format!("the segment list does not end: it comes back to {link}")]);
        assert!(!left.extent.is_whole);
        assert_eq!(left.extent.segments, [HEAP, SECOND_SEGMENT]);
        segments.check(&left, "segment list");

        // SegmentEntry of the description behind the first sentinel.
        let mut holes = subject();
        let link = Va(holes.block(BlockState::Sentinel, 0).entry.0 + holes.granule() + 2 * step);
        holes.memory.put_pointer(width, link, link);
        let left = holes.read();
        let told = format!("the list of a segment's uncommitted ranges does not end: it comes back to {link}");
        assert!(left.problems.contains(&told), "{:?}", left.problems);
        holes.check(&left, "holes");
    }
}

/// A second segment that says that it begins where the first one does: its memory is not walked twice.
#[test]
fn segments_that_overlap_are_walked_once() {
    for width in WIDTHS {
        let mut subject = Subject::new(HeapGeneration::Ten1809, width);
        // BaseAddress and FirstEntry of the second, into the first.
        let fields = if width == PointerWidth::Bits64 { [0x30, 0x40] } else { [0x1c, 0x24] };
        for field in fields {
            subject.memory.put_pointer(width, Va(SECOND_SEGMENT.0 + field), HEAP);
        }
        let left = subject.read();
        let told = format!("what its list has at {SECOND_SEGMENT} is no segment of this heap; it is left out");
        assert_eq!(left.problems, [told]);
        let first = subject.built.segments[0].range;
        let in_first = subject.built.blocks.iter().filter(|block| first.contains(block.entry)).count();
        assert_eq!(left.blocks.iter().filter(|block| block.kind != BlockKind::Large).count(), in_first);

        // One that begins where it should and reaches over everything behind it is left out too.
        let mut subject = Subject::new(HeapGeneration::Ten1809, width);
        let pages = if width == PointerWidth::Bits64 { 0x38 } else { 0x20 };
        subject.memory.put(Va(HEAP.0 + pages), &0x1000_u32.to_le_bytes());
        let left = subject.read();
        let told = format!("the segment at {SECOND_SEGMENT} lies in memory of another one; it is left out");
        assert!(left.problems.contains(&told), "{:?}", left.problems);
        assert!(left.blocks.iter().all(|block| block.entry < SECOND_SEGMENT || block.kind == BlockKind::Large));
    }
}

#[test]
fn an_uncommitted_range_outside_of_its_segment_is_left_out() {
    for width in WIDTHS {
        let step = width.bytes();
        let mut subject = Subject::new(HeapGeneration::Ten1809, width);
        let sentinel = subject.block(BlockState::Sentinel, 0);
        let hole = subject.built.segments[0].uncommitted[0];
        // Address, then Size.
        let at = Va(sentinel.entry.0 + subject.granule() + 4 * step);
        subject.memory.put_pointer(width, at, Va(0x7000_0000));
        let left = subject.read();
        let end = Va(0x7000_0000 + hole.size_bytes());
        let told = format!("the uncommitted range 0x70000000 to {end} does not lie in its segment");
        assert!(left.problems.contains(&told), "{:?}", left.problems);
        // The hole is not in the dump either, and what follows it is found again.
        assert_eq!(left.lost, [(hole, Loss::NotInDump)]);
        let is_end = |block: &Block| block.entry == sentinel.entry;
        for block in &subject.built.blocks {
            let found = left.blocks.iter().find(|found| found.entry == block.entry).expect("found again");
            assert!(is_end(found) || *found == expected_block(block, &left.extent));
        }
    }
}

#[test]
fn absurd_counts_are_no_figures() {
    for width in WIDTHS {
        let mut subject = Subject::new(HeapGeneration::Ten1809, width);
        // NumberOfPages of the heap's own segment.
        let at = Va(HEAP.0 + if width == PointerWidth::Bits64 { 0x38 } else { 0x20 });
        subject.memory.put(at, &u32::MAX.to_le_bytes());
        let left = subject.read();
        assert!(left.blocks.len() <= subject.built.blocks.len());
        assert!(left.heap.figures.is_none_or(|figures| !figures.are_counters), "{width:?}");
    }
}

#[test]
fn a_container_without_a_subsegment_is_told() {
    for generation in [HeapGeneration::Seven, HeapGeneration::Ten1809] {
        for width in WIDTHS {
            let mut subject = Subject::new(generation, width);
            let container = subject.block(BlockState::LfhContainer, 0);
            subject.memory.put_pointer(width, container.user, Va(0x6666_0000));
            let left = subject.read();
            let whole = VaRange::from_size(container.entry, container.block_bytes);
            assert_eq!(left.lost, [(whole, Loss::UnknownContainer)], "{generation:?} {width:?}");
            let told = format!("the blocks of the front end in {} to {} could not be made out", whole.start, whole.end);
            assert_eq!(left.problems, [told]);
            subject.check(&left, "container");
            let totals = left.heap.totals.expect("totals");
            assert_eq!((totals.unknown_container_count, totals.is_whole()), (1, false));
            // Our limit as often as damage: not counted as damage.
            assert!(totals.bad_header_count == 0 && !left.heap.problems.has_damage());
        }
    }
}

/// The masked offsets of all containers overwritten: blocks are told only where they show themselves.
#[test]
fn a_destroyed_key_of_the_front_end_makes_up_no_blocks() {
    for width in WIDTHS {
        let mut subject = Subject::new(HeapGeneration::Ten1809, width);
        let containers: Vec<BuiltBlock> = subject.built.of_state(BlockState::LfhContainer).copied().collect();
        for (number, container) in containers.iter().enumerate() {
            let at = Va(container.user.0 + if width == PointerWidth::Bits64 { 0x18 } else { 0x10 });
            subject.memory.put(at, &(0x1357_9bdf_u32.rotate_left(number as u32 * 7)).to_le_bytes());
        }
        let left = subject.read();
        subject.check(&left, "key");
        let lost = left.lost.iter().filter(|(_, loss)| *loss == Loss::UnknownContainer).count();
        assert!(lost >= 1, "{width:?}: two containers cannot agree on a key");
    }
}

#[test]
fn a_large_block_without_its_header_is_told() {
    for generation in [HeapGeneration::Xp, HeapGeneration::Seven, HeapGeneration::Ten1809] {
        for width in WIDTHS {
            let mut subject = Subject::new(generation, width);
            subject.memory.drop_page(LARGE_BLOCK);
            let left = subject.read();
            assert!(!left.extent.is_whole);
            assert_eq!(
                left.problems,
                [
                    format!("the list of large blocks goes on at {LARGE_BLOCK}, which is not in the dump"),
                    format!("the header of the large block at {LARGE_BLOCK} is not in the dump")
                ],
                "{generation:?} {width:?}"
            );
            assert!(left.blocks.iter().all(|block| block.kind != BlockKind::Large));
            assert_eq!(left.blocks.len() + 1, subject.built.blocks.len());
        }
    }
}

#[test]
fn a_large_block_with_a_damaged_header_has_no_size_asked_for() {
    for width in WIDTHS {
        let mut subject = Subject::new(HeapGeneration::Ten1809, width);
        // The last header before the user's memory, of the block with all its pages.
        let at = Va(LARGE_BLOCK.0 + 8 * width.bytes() - 8);
        subject.memory.flip(at, 0x10);
        let left = subject.read();
        assert_eq!(
            left.problems,
            [format!("the header of the large block at {LARGE_BLOCK} is damaged; what was asked for is not known")]
        );
        let large = left.blocks.iter().find(|block| block.kind == BlockKind::Large).expect("the block");
        assert_eq!((large.user_bytes, large.size_bytes), (None, subject.block(BlockState::Virtual, 0).block_bytes));
        assert_eq!(left.heap.totals.expect("totals").unknown_user_part_count, 1);
    }
}

/// Every generation and width, built once.
static SUBJECTS: LazyLock<Vec<Subject>> = LazyLock::new(|| {
    let both = |generation| WIDTHS.map(|width| Subject::new(generation, width));
    HeapGeneration::ALL.into_iter().flat_map(both).collect()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever bytes a heap has: no panic, no more blocks than there is room for, and each in a segment or a large block.
    #[test]
    fn any_damage_is_survived(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        in_head in any::<bool>(),
    ) {
        let Subject { plan, memory, built } = which.get(&SUBJECTS);
        let mut memory = memory.clone();
        let committed: Vec<VaRange> = built.segments.iter().flat_map(|segment| segment.committed.clone()).collect();
        for (at, value) in changes {
            // Half of the runs hit the heads, where most is decided.
            let target = if in_head { VaRange::from_size(HEAP, 0x300) } else { *at.get(&committed) };
            let va = Va(target.start.0 + at.index(usize::try_from(target.size_bytes()).expect("small")) as u64);
            memory.put(va, &[value]);
        }
        let (extent, _) = extent_of(&memory, HEAP, plan.width);
        let heap = decode(&memory, &extent);
        let (blocks, _) = walked(&memory, &extent);
        let room_bytes: u64 = committed.iter().map(|range| range.size_bytes()).sum();
        let of_segments = blocks.iter().filter(|block| block.kind != BlockKind::Large);
        prop_assert!(of_segments.count() as u64 <= 2 * room_bytes / (2 * plan.width.bytes()));
        prop_assert!(blocks.len() <= 0x1_0000);
        for block in &blocks {
            let is_inside = match block.kind {
                BlockKind::Large => extent.large_blocks.contains(&block.entry),
                _ => heap.segments.iter().any(|segment| {
                    segment.range.contains(block.entry)
                        && block.entry.0.saturating_add(block.size_bytes) <= segment.range.end.0
                }),
            };
            prop_assert!(is_inside, "{:?} lies outside", block);
            prop_assert!(block.user_bytes.is_none_or(|user_bytes| user_bytes <= block.size_bytes), "{:?}", block);
        }
    }
}
