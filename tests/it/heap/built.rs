//! Heaps that were built byte by byte come out block by block: every generation, both widths, and those of the samples.

use dumptrend::analysis::snapshot::take_snapshot;
use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::base::memory::ReadMemory;
use dumptrend::base::problems::Problems;
use dumptrend::base::progress::Progress;
use dumptrend::input::dump;
use dumptrend::process::heap::block::{Block, BlockKind, Trace};
use dumptrend::process::heap::extent::{HeapExtent, HeapPlace, read_extent};
use dumptrend::process::heap::head::FrontEnd;
use dumptrend::process::heap::layouts::{HeapGeneration as Decoded, HeapLayout, LayoutProof, layouts};
use dumptrend::process::heap::lists::LINK_BUDGET;
use dumptrend::sample::heap_image::{self, BlockState, BuiltBlock, BuiltHeap, HeapGeneration};
use dumptrend::sample::{SampleOptions, Variant, built_heaps};

use super::{decode, extent_of, walked};
use crate::support::build_heap::{HEAP, build, heap_plan};
use crate::support::sample_series::write;

/// The blocks, figures and totals of a heap are those that were built.
fn check(memory: &dyn ReadMemory, extent: &HeapExtent, built: &BuiltHeap, what: &str) {
    let (blocks, lost) = walked(memory, extent);
    assert_eq!(lost, [], "{what}");
    let mut expected: Vec<Block> = built.blocks.iter().map(|block| expected_block(block, extent)).collect();
    expected.sort_unstable_by_key(|block| (block.entry, block.kind));
    for (found, expected) in blocks.iter().zip(&expected) {
        assert_eq!(found, expected, "{what}");
    }
    assert_eq!(blocks.len(), expected.len(), "{what}");
    let heap = decode(memory, extent);
    let totals = heap.totals.as_ref().expect("totals");
    assert!(totals.is_whole(), "{what}: {:?}", heap.problems);
    let held: Vec<&BuiltBlock> = built.outstanding().filter(|block| block.state != BlockState::Internal).collect();
    let internal = built.of_state(BlockState::Internal).count() as u64;
    assert_eq!(totals.in_use().block_count, held.len() as u64 + internal, "{what}");
    let figures = heap.figures.expect("figures");
    let columns = built.totals.columns();
    let found = [
        figures.reserved_bytes >> 10,
        figures.committed_bytes >> 10,
        figures.virtual_bytes >> 10,
        figures.free_bytes >> 10,
        figures.free_list_length.expect("a length"),
        figures.ucr_count,
        figures.virtual_block_count,
        u64::from(figures.lock_contention.unwrap_or(built.totals.lock_collisions)),
    ];
    assert_eq!(found, columns, "{what}");
    let front_end = match built.totals.front_end {
        heap_image::FrontEnd::None => FrontEnd::None,
        heap_image::FrontEnd::Lookaside => FrontEnd::Lookaside,
        heap_image::FrontEnd::Lfh | heap_image::FrontEnd::LfhAt { .. } => FrontEnd::LowFragmentation,
    };
    assert_eq!(figures.front_end, front_end, "{what}");
}

pub fn expected_block(block: &BuiltBlock, extent: &HeapExtent) -> Block {
    let kind = match block.state {
        // What the heap uses for itself looks as what the program holds.
        BlockState::Busy | BlockState::Internal => BlockKind::Busy,
        BlockState::Free => BlockKind::Free,
        BlockState::LfhBusy => BlockKind::LfhBusy,
        BlockState::LfhFree => BlockKind::LfhFree,
        BlockState::Virtual => BlockKind::Large,
        BlockState::LfhContainer => BlockKind::LfhContainer,
        BlockState::Sentinel => BlockKind::EndOfRun,
    };
    let captures = extent.head.as_ref().is_some_and(|head| head.captures_stacks());
    let trace = match block.trace {
        _ if !kind.is_in_use() || !captures => Trace::NotKept,
        heap_image::Trace::None => Trace::Missing,
        heap_image::Trace::Pointer(va) if va.0 == 0x0101_0000 || va.0 == 0x0101_0000_0000_0000 => Trace::Missing,
        heap_image::Trace::Pointer(va) => Trace::At(va),
        heap_image::Trace::Index(index) => Trace::Index(index),
    };
    Block {
        entry: block.entry,
        size_bytes: block.block_bytes,
        kind,
        user: kind.is_in_use().then_some(block.user),
        user_bytes: kind.is_in_use().then_some(block.user_bytes),
        trace,
    }
}

#[test]
fn every_generation_comes_out_as_it_was_built() {
    for generation in HeapGeneration::ALL {
        for width in [PointerWidth::Bits32, PointerWidth::Bits64] {
            let what = format!("{generation:?} {width:?}");
            let (memory, built) = build(&heap_plan(generation, width));
            let (extent, problems) = extent_of(&memory, HEAP, width);
            assert!(problems.is_empty() && extent.is_whole, "{what}: {problems:?}");
            let expected = match generation {
                HeapGeneration::Xp => Decoded::Xp,
                HeapGeneration::Vista | HeapGeneration::Seven => Decoded::Seven,
                HeapGeneration::Eight | HeapGeneration::EightOne => Decoded::Eight,
                HeapGeneration::Ten1607 => Decoded::Ten1607,
                HeapGeneration::Ten1809 => Decoded::Ten1809,
            };
            assert_eq!(extent.head.as_ref().map(|head| head.layout.generation), Some(expected), "{what}");
            check(&memory, &extent, &built, &what);
        }
    }
}

#[test]
fn the_heaps_of_all_samples_come_out_as_they_were_built() {
    for variant in Variant::ALL {
        let folder = tempfile::tempdir().expect("a folder");
        let files = write(folder.path(), SampleOptions { variant, ..SampleOptions::default() });
        let built = built_heaps(variant).expect("the sample can be built");
        // Logs stand behind the dumps.
        let dumps: Vec<_> = files.iter().filter(|file| file.extension().is_some_and(|end| end == "dmp")).collect();
        assert_eq!(dumps.len(), built.len(), "{variant:?}");
        for (file, built) in dumps.into_iter().zip(&built) {
            let snapshot =
                take_snapshot(dump::open(file).expect("a dump"), &Progress::default()).expect("not cancelled");
            assert_eq!(snapshot.heaps.len(), built.len(), "{variant:?}");
            for (heap, built) in snapshot.heaps.iter().zip(built) {
                assert_eq!(heap.extent.base, built.base);
                let what = format!("{} heap {}", file.display(), built.base);
                check(&snapshot.dump.memory, &heap.extent, built, &what);
            }
        }
    }
}

/// As in the samples, but without the guard pages that a segment's pages do not count.
#[test]
fn the_key_of_the_front_end_is_found_in_its_blocks() {
    for (generation, width) in [
        (HeapGeneration::Seven, PointerWidth::Bits32),
        (HeapGeneration::Seven, PointerWidth::Bits64),
        (HeapGeneration::EightOne, PointerWidth::Bits64),
        (HeapGeneration::Ten1809, PointerWidth::Bits32),
        (HeapGeneration::Ten1809, PointerWidth::Bits64),
    ] {
        let plan = heap_plan(generation, width);
        let (memory, _) = build(&plan);
        let (extent, _) = extent_of(&memory, HEAP, width);
        let low = u32::try_from(plan.lfh_key & 0xffff_ffff).expect("32 bits");
        assert_eq!(decode(&memory, &extent).lfh_key_low, Some(low), "{generation:?} {width:?}");
    }
}

/// Where ntdll's PDB is at hand, its layout is taken, and the blocks are the same.
#[test]
fn a_layout_from_a_pdb_comes_before_the_tables() {
    let width = PointerWidth::Bits64;
    let (memory, built) = build(&heap_plan(HeapGeneration::Ten1809, width));
    let row = layouts(width).iter().find(|row| row.generation == Decoded::Ten1809).expect("the row");
    let pdb_layout = Some(HeapLayout { proof: LayoutProof::Pdb, generation: Decoded::Eight, ..*row });
    let place = HeapPlace { base: HEAP, width, position: None, os_build: None, pdb_layout };
    let extent = read_extent(&memory, place, &mut LINK_BUDGET.clone(), &mut Problems::default());
    assert_eq!(extent.head.as_ref().map(|head| head.layout.proof), Some(LayoutProof::Pdb));
    check(&memory, &extent, &built, "by a PDB");
    assert_eq!(decode(&memory, &extent).proof, Some(LayoutProof::Pdb));
}

#[test]
fn a_heap_that_is_not_there_has_no_figures() {
    let (memory, _) = build(&heap_plan(HeapGeneration::Seven, PointerWidth::Bits64));
    let (extent, _) = extent_of(&memory, Va(0x7700_0000), PointerWidth::Bits64);
    let heap = decode(&memory, &extent);
    assert!(heap.figures.is_none() && heap.totals.is_none() && !extent.is_whole);
}
