//! Blocks in use by the stack that allocated them, against what was built: counts and bytes of each stack in each dump.

use std::collections::BTreeMap;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::series::outstanding::{DumpOutstanding, LookedUp, Outstanding, look_up};
use dumptrend::analysis::snapshot::take_snapshot;
use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::base::memory::{ReadMemory, pointer_at, u16_at, u32_at};
use dumptrend::base::progress::Progress;
use dumptrend::input::dump;
use dumptrend::process::heap::block::Trace;
use dumptrend::sample::address_space::AddressSpace;
use dumptrend::sample::heap_image::{self, BlockState, BuiltHeap};
use dumptrend::sample::minidump_file::{MinidumpFile, flags};
use dumptrend::sample::trace_database::{DatabaseShape, TraceDatabase, TraceEntry};
use dumptrend::sample::{Variant, built_heaps};

use crate::support::build_dump::windows_7;
use crate::support::sample_series::decoded;

/// How the records of a sample are read, by hand.
#[derive(Clone, Copy)]
enum Records {
    /// `_RTL_STACK_TRACE_ENTRY`: depth as 16 bits, then the addresses.
    Database { width: PointerWidth, depth: u64, frames: u64 },
    /// A record of the heap trace log, x64.
    HeapLog,
    /// XP: `index_array` is the end of the reservation; pointer `i` lies `i` pointers before it.
    Indexed { index_array: Va },
}

impl Records {
    /// The addresses of the stack that a block names; `None` for a block without one.
    fn frames_of(self, memory: &dyn ReadMemory, trace: heap_image::Trace) -> Option<Vec<Va>> {
        match (self, trace) {
            (Self::Indexed { index_array }, heap_image::Trace::Index(index)) => {
                let slot = Va(index_array.0 - u64::from(index) * 4);
                let record = pointer_at(memory, slot, PointerWidth::Bits32).expect("a pointer");
                Some(Self::read(memory, record, PointerWidth::Bits32, u16_at(memory, Va(record.0 + 0xa)), 0xc))
            }
            (_, heap_image::Trace::Pointer(va)) if va.0 == 0x0101_0000_0000_0000 || va.0 == 0x0101_0000 => None,
            (Self::Database { width, depth, frames }, heap_image::Trace::Pointer(record)) => {
                Some(Self::read(memory, record, width, u16_at(memory, Va(record.0 + depth)), frames))
            }
            (Self::HeapLog, heap_image::Trace::Pointer(record)) => {
                let depth = u32_at(memory, Va(record.0 + 0xc)).and_then(|depth| u16::try_from(depth).ok());
                Some(Self::read(memory, record, PointerWidth::Bits64, depth, 0x10))
            }
            _ => None,
        }
    }

    fn read(memory: &dyn ReadMemory, record: Va, width: PointerWidth, depth: Option<u16>, frames: u64) -> Vec<Va> {
        let depth = u64::from(depth.expect("a depth"));
        let frame = |number: u64| Va(record.0 + frames + number * width.bytes());
        (0..depth).map(|number| pointer_at(memory, frame(number), width).expect("an address")).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Sum {
    block_count: u64,
    user_bytes: u64,
}

impl Sum {
    const fn add(&mut self, user_bytes: u64) {
        self.block_count += 1;
        self.user_bytes += user_bytes;
    }

    const fn of(found: &Outstanding) -> Self {
        Self { block_count: found.block_count, user_bytes: found.user_bytes }
    }
}

/// What was built into one dump: by stack, and without one.
fn built(memory: &dyn ReadMemory, heaps: &[BuiltHeap], records: Records) -> (BTreeMap<Vec<Va>, Sum>, Sum, Sum) {
    let (mut by_stack, mut untraced, mut not_kept) = (BTreeMap::<Vec<Va>, Sum>::new(), Sum::default(), Sum::default());
    for heap in heaps {
        let is_kept = heap.totals.flags & heap_image::CAPTURE_STACK_TRACES != 0;
        // What a heap uses for itself looks like a block of the program.
        let internal = heap.of_state(BlockState::Internal);
        for block in heap.outstanding().chain(internal) {
            match records.frames_of(memory, block.trace) {
                _ if !is_kept => not_kept.add(block.user_bytes),
                Some(frames) => by_stack.entry(frames).or_default().add(block.user_bytes),
                None => untraced.add(block.user_bytes),
            }
        }
    }
    (by_stack, untraced, not_kept)
}

fn outstanding(analysis: &Analysis, dump: usize) -> &DumpOutstanding {
    let group = analysis.main_group().expect("a group");
    analysis.outstanding_of(group).expect("joined").dumps[dump].as_ref().expect("blocks")
}

/// Each stack of each dump has the blocks and bytes that were built, all blocks are counted once, and those without a stack
/// are counted as that. Returns how many stacks hold something.
fn check(variant: Variant, analysis: &Analysis, records: impl Fn(&Analysis) -> Records) -> usize {
    let group = analysis.main_group().expect("a group");
    let stacks = &analysis.traces_of(group).expect("traces").stacks;
    let joined = analysis.outstanding_of(group).expect("joined");
    let truth = built_heaps(variant).expect("the heaps can be built");
    assert_eq!(truth.len(), group.dumps.len());
    let mut holding = std::collections::BTreeSet::new();
    for (dump, heaps) in truth.iter().enumerate() {
        let memory = &analysis.snapshot(group.dumps[dump]).expect("a snapshot").dump.memory;
        let (mut expected, untraced, not_kept) = built(memory, heaps, records(analysis));
        let found = outstanding(analysis, dump);
        let what = format!("{variant:?} dump {dump}");
        assert!(found.is_whole, "{what}");
        assert_eq!((Sum::of(&found.untraced), Sum::of(&found.not_kept)), (untraced, not_kept), "{what}");
        for nothing in [found.ambiguous, found.unresolved, found.left_out] {
            assert_eq!(nothing, Outstanding::default(), "{what}");
        }
        let mut traced = Sum::default();
        for stack in 0..stacks.len() {
            let frames: Vec<Va> = stacks.frames(stack).collect();
            let of_stack = joined.of(stack, dump).expect("known");
            assert_eq!(Sum::of(&of_stack), expected.remove(&frames).unwrap_or_default(), "{what} {frames:x?}");
            if of_stack.block_count > 0 {
                holding.insert(stack);
            }
            traced.block_count += of_stack.block_count;
            traced.user_bytes += of_stack.user_bytes;
        }
        assert!(expected.is_empty(), "{what}: stacks that no store has: {expected:x?}");
        assert_eq!(Sum::of(&found.traced), traced, "{what}");
    }
    holding.len()
}

#[test]
fn blocks_of_the_case_are_tied_to_their_stacks() {
    let seven = Records::Database { width: PointerWidth::Bits64, depth: 0xe, frames: 0x10 };
    for variant in [Variant::Series, Variant::CaseA] {
        let stack_count = check(variant, &decoded(variant), |_| seven);
        assert!(stack_count >= 5, "{variant:?}: {stack_count}");
    }
}

#[test]
fn blocks_of_32_bit_processes_are_tied_to_their_stacks() {
    let seven = Records::Database { width: PointerWidth::Bits32, depth: 0xa, frames: 0xc };
    assert!(check(Variant::SevenX86, &decoded(Variant::SevenX86), |_| seven) >= 5);
    // Blocks of XP have the lower half of an index, and the database has fewer than 65,536.
    let index_array =
        |analysis: &Analysis| Records::Indexed { index_array: analysis.snapshots[0].trace_stores[0].reserved.end };
    let stack_count = check(Variant::XpX86, &decoded(Variant::XpX86), index_array);
    assert!(stack_count >= 10, "{stack_count}");
}

#[test]
fn blocks_of_windows_10_are_tied_to_records_of_the_heap_log() {
    for variant in [Variant::TenX64, Variant::Fluctuation] {
        let stack_count = check(variant, &decoded(variant), |_| Records::HeapLog);
        assert!(stack_count >= 5, "{variant:?}: {stack_count}");
    }
}

/// One stack grows by what was built, and no other does so.
#[test]
fn the_stack_that_leaks_is_found_with_its_bytes() {
    let analysis = decoded(Variant::HeapLeak);
    check(Variant::HeapLeak, &analysis, |_| Records::HeapLog);
    let group = analysis.main_group().expect("a group");
    let stacks = &analysis.traces_of(group).expect("traces").stacks;
    let joined = analysis.outstanding_of(group).expect("joined");
    let last = group.dumps.len() - 1;
    let grown = |stack: usize| {
        let [before, after] = [0, last].map(|dump| joined.of(stack, dump).expect("known"));
        after.user_bytes as i64 - before.user_bytes as i64
    };
    let mut by_growth: Vec<(i64, usize)> = (0..stacks.len()).map(|stack| (grown(stack), stack)).collect();
    by_growth.sort_unstable();
    let (most, leaking) = by_growth.pop().expect("stacks");
    let cache_bytes = |heaps: &[BuiltHeap]| heaps[3].outstanding().map(|block| block.user_bytes).sum::<u64>() as i64;
    let truth = built_heaps(Variant::HeapLeak).expect("the heaps can be built");
    assert_eq!(most, cache_bytes(&truth[last]) - cache_bytes(&truth[0]));
    assert!(most > 5 << 20, "{most}");
    let (second, _) = by_growth.pop().expect("another stack");
    assert!(second < most / 100, "{second}");
    // In every interval, and by name: the program's function that fills its cache.
    let course: Vec<u64> = (0..=last).map(|dump| joined.of(leaking, dump).expect("known").user_bytes).collect();
    assert!(course.windows(2).all(|pair| pair[0] < pair[1]), "{course:?}");
}

/// Where no heap keeps stacks, all blocks are counted as that.
#[test]
fn without_stack_traces_all_blocks_are_counted_without_a_stack() {
    let analysis = decoded(Variant::RegionLeak);
    let truth = built_heaps(Variant::RegionLeak).expect("the heaps can be built");
    for (dump, heaps) in truth.iter().enumerate() {
        let found = outstanding(&analysis, dump);
        let states = [BlockState::Busy, BlockState::LfhBusy, BlockState::Virtual, BlockState::Internal];
        let blocks: Vec<_> =
            heaps.iter().flat_map(|heap| &heap.blocks).filter(|block| states.contains(&block.state)).collect();
        assert_eq!(found.not_kept.block_count, blocks.len() as u64);
        assert_eq!(found.not_kept.user_bytes, blocks.iter().map(|block| block.user_bytes).sum::<u64>());
        assert_eq!(found.traced.block_count + found.untraced.block_count, 0);
    }
}

/// A database of XP with more than 65,536 entries: position `p` has index `p + 1`.
fn large_database(stack_of: impl Fn(usize) -> usize) -> dumptrend::analysis::snapshot::Snapshot {
    const ENTRY_COUNT: usize = 65_536 + 200;
    let stack = |number: u64| (0..4 + number).map(|frame| Va(0x7c80_1000 + number * 0x1000 + frame * 0x40)).collect();
    let database = TraceDatabase {
        base: Va(0x20_0000),
        reserved_bytes: 8 << 20,
        shape: DatabaseShape::XP_X86,
        bucket_count: 137,
        stacks: (0..4).map(stack).collect(),
        entries: (0..ENTRY_COUNT)
            .map(|position| TraceEntry { stack_index: stack_of(position), use_count: 1 })
            .collect(),
        lookup_count: 0x2_0000,
        failure_count: 0,
    };
    let mut space = AddressSpace::default();
    database.add_to(&mut space).expect("the database fits");
    let file = MinidumpFile::new(flags::WITH_FULL_MEMORY | flags::WITH_FULL_MEMORY_INFO, 1_300_000_000)
        .system_info(windows_7(0))
        .memory64(space.memory_ranges().expect("ranges"))
        .memory_infos(space.memory_infos(Va(0x7fff_0000)).expect("no overlap"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("xp.dmp");
    file.write_to(&path).expect("the dump is written");
    take_snapshot(dump::open(&path).expect("a dump"), &Progress::default()).expect("not cancelled")
}

/// A 16-bit number means several entries of a large database: it is told as ambiguous, never guessed, but where all of them
/// have the same stack.
#[test]
fn a_number_of_xp_that_several_stacks_have_is_ambiguous() {
    // Index 10 has stack 1, index 65,546 stack 2; all others have stack 0 or, near the end, 3.
    let snapshot = large_database(|position| match position + 1 {
        10 => 1,
        65_546 => 2,
        index if index % 65_536 == 20 => 3,
        _ => 0,
    });
    assert_eq!(snapshot.trace_stores.len(), 1);
    let frame_count = |index: u16| match look_up(&snapshot, Trace::Index(index)) {
        LookedUp::Entry(entry) => Some(entry.frames.len()),
        LookedUp::Ambiguous => None,
        other => panic!("{index}: {other:?}"),
    };
    assert_eq!(frame_count(10), None);
    // Twice the same stack.
    assert_eq!(frame_count(20), Some(7));
    // Beyond the last index only one is meant; 0 can only be 65,536.
    assert_eq!((frame_count(300), frame_count(0)), (Some(4), Some(4)));
    assert_eq!(look_up(&snapshot, Trace::Missing), LookedUp::Missing);
    assert_eq!(look_up(&snapshot, Trace::NotKept), LookedUp::NotKept);
    assert_eq!(look_up(&snapshot, Trace::At(Va(0x20_0001))), LookedUp::Nothing);
    assert_eq!(look_up(&snapshot, Trace::At(Va(0x6666_0000))), LookedUp::Nothing);
}
