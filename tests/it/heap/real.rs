//! Heaps of a real dump, against figures that were worked out by hand from its bytes.

use dumptrend::analysis::snapshot::take_snapshot;
use dumptrend::base::progress::Progress;
use dumptrend::input::dump;
use dumptrend::process::heap::DecodedHeap;
use dumptrend::process::heap::block::BlockKind;
use dumptrend::process::heap::head::FrontEnd;
use dumptrend::process::heap::layouts::HeapGeneration;

use super::decode;
use crate::support::shared::shared_file;

struct Expected {
    base: u64,
    /// Reserv, Commit, Virt, Free in KB; list length, UCR, virtual blocks.
    columns: [u64; 7],
    /// Entries of the segments, those that say busy, and the bytes of these.
    entries: (u64, u64, u64),
}

const HEAPS: [Expected; 5] = [
    Expected { base: 0x50_0000, columns: [512, 32, 512, 9, 3, 1, 0], entries: (28, 25, 20_432) },
    Expected { base: 0x1_0000, columns: [64, 4, 64, 1, 1, 1, 0], entries: (2, 1, 64) },
    Expected { base: 0x2_0000, columns: [64, 64, 64, 61, 1, 1, 0], entries: (2, 1, 64) },
    Expected { base: 0x70_0000, columns: [1024, 80, 80, 3, 4, 1, 1], entries: (165, 161, 77_120) },
    Expected { base: 0x46_0000, columns: [64, 20, 64, 7, 2, 1, 0], entries: (11, 9, 10_944) },
];

/// All heaps of the real WOW64 process, decoded; `None` without the file.
fn fizzbuzz() -> Option<Vec<(u64, HeapGeneration, DecodedHeap)>> {
    let path = shared_file("dumps/fizzbuzz_wow64.dmp")?;
    let snapshot = take_snapshot(dump::open(&path).expect("a dump"), &Progress::default()).expect("not cancelled");
    let decoded = snapshot.heaps.iter().map(|heap| {
        let head = heap.extent.head.as_ref().expect("an NT heap");
        (heap.extent.base.0, head.layout.generation, decode(&snapshot.dump.memory, &heap.extent))
    });
    Some(decoded.collect())
}

#[test]
fn five_heaps_have_the_figures_of_windbg_and_no_failure() {
    let Some(heaps) = fizzbuzz() else { return };
    assert_eq!(heaps.len(), HEAPS.len());
    for ((base, generation, heap), expected) in heaps.iter().zip(&HEAPS) {
        assert_eq!((*base, *generation), (expected.base, HeapGeneration::Seven));
        let figures = heap.figures.expect("figures");
        let columns = [
            figures.reserved_bytes >> 10,
            figures.committed_bytes >> 10,
            figures.virtual_bytes >> 10,
            figures.free_bytes >> 10,
            figures.free_list_length.expect("a length"),
            figures.ucr_count,
            figures.virtual_block_count,
        ];
        assert_eq!(columns, expected.columns, "{base:x}");
        let totals = heap.totals.as_ref().expect("totals");
        assert!(totals.is_whole() && heap.problems.is_empty(), "{base:x}: {:?}", heap.problems);
        let (entries, busy) = (totals.entries(), totals.busy_entries());
        assert_eq!((entries.block_count, busy.block_count, busy.block_bytes), expected.entries, "{base:x}");
        assert_eq!(totals.of(BlockKind::EndOfRun).block_count, 1, "{base:x}");
    }
}

/// Two ways to count what is free agree: the heap's own sum and list, and the walk.
#[test]
fn what_the_walk_finds_free_is_what_the_heap_counts() {
    for (base, _, heap) in fizzbuzz().into_iter().flatten() {
        let (figures, totals) = (heap.figures.expect("figures"), heap.totals.expect("totals"));
        let free = totals.of(BlockKind::Free);
        assert_eq!(Some(free.block_count), figures.free_list_length, "{base:x}");
        assert_eq!(free.block_bytes, figures.free_bytes, "{base:x}");
    }
}

#[test]
fn the_default_heap_has_a_front_end_and_a_large_block() {
    let Some(heaps) = fizzbuzz() else { return };
    let (_, _, heap) = heaps.iter().find(|(base, _, _)| *base == 0x70_0000).expect("the heap");
    assert_eq!(heap.figures.map(|figures| figures.front_end), Some(FrontEnd::LowFragmentation));
    let totals = heap.totals.as_ref().expect("totals");
    assert_eq!(totals.of(BlockKind::LfhContainer).block_count, 5);
    // Five sub-segments: what is in use and what is free is what they have room for.
    assert_eq!(totals.of(BlockKind::LfhBusy).block_count + totals.of(BlockKind::LfhFree).block_count, 254);
    let large = totals.of(BlockKind::Large);
    assert_eq!((large.block_count, large.block_bytes, large.user_bytes), (1, 0xd4000, 867_624));
    // The blocks of all five agree on it.
    assert_eq!(heap.lfh_key_low, Some(0x7b0d_b7db));
}
