//! Heap lists made to mislead: cycles, foreign links, heaps that are not in the dump.

use dumptrend::analysis::snapshot::Snapshot;
use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::base::problems::Problems;
use dumptrend::input::dump::Dump;
use dumptrend::process::heap::extent::{HeapPlace, read_extent};
use dumptrend::process::heap::head::HeapKind;
use dumptrend::process::regions::usage::Usage;
use dumptrend::sample::LeBytes;
use dumptrend::sample::minidump_file::MemoryRange;

use crate::support::build_dump::{open, snapshot, x64_dump};
use crate::support::build_process::{HEAP, Process, heap_64, segment_link_64};

/// The process of the tests with other bytes at the start of its heap.
fn with_heap(head: Vec<u8>, more: Vec<MemoryRange>) -> Snapshot {
    let process = Process::default();
    let mut ranges = process.memory_ranges();
    ranges[0] = MemoryRange::hole(Va(HEAP), 0x4000).with(0, head);
    ranges.extend(more);
    snapshot(&process.dump_without_memory().memory_infos(process.memory_infos()).memory64(ranges))
}

/// The heap's kind, whether its total is known, and the one problem with it.
fn check(taken: &Snapshot, kind: HeapKind, is_known: bool, problem: Option<&str>) {
    assert_eq!(taken.heaps.iter().map(|heap| heap.extent.kind).collect::<Vec<_>>(), [kind]);
    assert_eq!(taken.address_space.totals.committed_bytes_of(Usage::Heap).is_some(), is_known);
    let of_heap = |place: &str| place.starts_with("heap ");
    let texts: Vec<_> =
        taken.problems.iter().filter(|problem| of_heap(&problem.place)).map(|problem| problem.text.as_str()).collect();
    assert_eq!(texts, problem.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_whole_heap_has_no_problem() {
    check(&with_heap(heap_64(HEAP, &[], &[]), Vec::new()), HeapKind::Nt, true, None);
}

#[test]
fn a_cycle_in_the_segment_list_ends() {
    let segment = 0x600_0000;
    let page = MemoryRange::hole(Va(segment), 0x1000).with(0, segment_link_64(segment + 0x18));
    check(
        &with_heap(heap_64(HEAP, &[segment], &[]), vec![page]),
        HeapKind::Nt,
        false,
        Some("the segment list does not end: it comes back to 0x6000018"),
    );
}

#[test]
fn a_list_that_leaves_the_dump_is_told() {
    check(
        &with_heap(heap_64(HEAP, &[], &[0x700_0000]), Vec::new()),
        HeapKind::Nt,
        false,
        Some("the list of large blocks goes on at 0x7000000, which is not in the dump"),
    );
}

#[test]
fn other_kinds_of_heaps_are_named_and_have_no_total() {
    let mut segment_heap = LeBytes::zeroed(0x200);
    segment_heap.put_u32(0x10, 0xddee_ddee);
    check(&with_heap(segment_heap.into_vec(), Vec::new()), HeapKind::Segment, false, None);
    check(&with_heap(vec![0; 0x200], Vec::new()), HeapKind::Unrecognised, false, None);
    let mut page_heap = heap_64(HEAP, &[], &[]);
    page_heap[0x74..0x78].copy_from_slice(&0x0100_0000_u32.to_le_bytes());
    check(&with_heap(page_heap, Vec::new()), HeapKind::PageHeap, false, None);
}

/// A heap of Windows 10 1809 and later (`_HEAP` of its public symbols) without more segments, its front end on.
fn windows_10_heap(front_end: u64) -> Vec<u8> {
    let mut heap = LeBytes::zeroed(0x300);
    heap.put_u32(0x10, 0xffee_ffee);
    heap.put_u32(0x98, 0xeeff_eeff);
    for list in [0x110, 0x120] {
        heap.put_u64(list, HEAP + list as u64);
        heap.put_u64(list + 8, HEAP + list as u64);
    }
    heap.put_u64(0x198, front_end);
    let mut bytes = heap.into_vec();
    bytes[0x1a2] = 2;
    bytes
}

#[test]
fn the_front_end_of_windows_10_belongs_to_its_heap() {
    let front_end = 0x600_0000;
    let mut head = LeBytes::zeroed(0x20);
    head.put_u64(0x18, HEAP);
    let page = MemoryRange::hole(Va(front_end), 0x1000).with(0, head.into_vec());
    let taken = with_heap(windows_10_heap(front_end), vec![page]);
    check(&taken, HeapKind::Nt, true, None);
    assert_eq!(taken.heaps[0].extent.front_end, Some(Va(front_end)));
}

#[test]
fn a_front_end_that_does_not_point_back_leaves_the_total_unknown() {
    check(&with_heap(windows_10_heap(0x600_0000), Vec::new()), HeapKind::Nt, false, None);
}

#[test]
fn a_heap_that_is_not_in_the_dump_has_no_total() {
    let process = Process::default();
    let mut ranges = process.memory_ranges();
    ranges.remove(0);
    let taken = snapshot(&process.dump_without_memory().memory_infos(process.memory_infos()).memory64(ranges));
    check(&taken, HeapKind::NotInDump, false, None);
}

/// The heaps of a process share one budget of links: a list that many of them lead through is not kept for each.
#[test]
fn the_links_of_all_heaps_together_are_bounded() {
    const LINK_COUNT: u64 = 100;
    let links: Vec<u8> = (1..=LINK_COUNT).flat_map(|index| (0x900_0000 + index * 8).to_le_bytes()).collect();
    let dump: Dump = open(&x64_dump().memory64(vec![
        MemoryRange::hole(Va(HEAP), 0x1000).with(0, heap_64(HEAP, &[], &[0x900_0000])),
        MemoryRange::of_bytes(Va(0x900_0000), links),
    ]));
    let mut link_budget = 150;
    let mut kept = Vec::new();
    let mut problems = Problems::default();
    for _ in 0..3 {
        let place = HeapPlace {
            base: Va(HEAP),
            width: PointerWidth::Bits64,
            position: Some(0),
            os_build: None,
            pdb_layout: None,
        };
        let extent = read_extent(&dump.memory, place, &mut link_budget, &mut problems);
        assert!(!extent.is_whole);
        kept.push(extent.large_blocks.len() + extent.segments.len() - 1);
    }
    assert_eq!(kept.iter().sum::<usize>(), 150 - 2);
    assert_eq!(link_budget, 0);
    assert!(problems.iter().any(|problem| problem.text.contains("after too many links")), "{problems:?}");
}
