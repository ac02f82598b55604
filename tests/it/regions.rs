//! The map of the address space: claims, partial maps, damaged lists.

use dumptrend::analysis::snapshot::Snapshot;
use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::process::regions::usage::{HeapPart, Owner, Usage};
use dumptrend::process::regions::{Completeness, MemoryType, State};
use dumptrend::sample::minidump_file::{MemoryInfo, MemoryRange, MinidumpFile, flags};

use crate::support::build_dump::{
    bytes, damage, free, image, mapped, module, open_bytes, private, private_of, reserved_of, snapshot, snapshot_of,
    windows_7, x64_dump,
};
use crate::support::build_process::{EXE, HEAP, PARAMETERS, PEB, Process, STACK, STACK_BYTES, TEB};
use crate::support::build_wow64;

/// Compares the regions with a use, as start, size and use, and checks what must hold of every map.
fn check(snapshot: &Snapshot, expect: &[(u64, u64, Usage)]) {
    let regions = &snapshot.address_space.regions;
    let shown: Vec<_> = regions
        .iter()
        .filter(|region| region.usage != Usage::Free)
        .map(|region| (region.range.start.0, region.range.size_bytes(), region.usage))
        .collect();
    assert_eq!(shown, expect);
    check_map(snapshot);
}

/// Regions are sorted, none is empty, none overlaps another; totals by use and by state are the same bytes.
fn check_map(snapshot: &Snapshot) {
    let space = &snapshot.address_space;
    assert!(space.regions.iter().all(|region| !region.range.is_empty()));
    assert!(space.regions.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start));
    let sum = |state| -> u64 {
        let of_state = space.regions.iter().filter(|region| region.state == state);
        of_state.map(|region| region.range.size_bytes()).sum()
    };
    let by_state = |state| space.totals.by_state.get(&state).copied().unwrap_or_default();
    assert_eq!(by_state(State::Commit).committed_bytes, sum(State::Commit));
    assert_eq!(by_state(State::Reserve).reserved_bytes, sum(State::Reserve));
    let by_usage = space.totals.by_usage.iter().filter(|(usage, _)| **usage != Usage::Free).map(|(_, sizes)| sizes);
    assert_eq!(by_usage.map(|sizes| sizes.busy_bytes()).sum::<u64>(), sum(State::Commit) + sum(State::Reserve));
}

#[test]
fn a_process_has_a_use_for_each_of_its_structures() {
    let stack_top = STACK + STACK_BYTES;
    check(
        &snapshot(&Process::default().dump()),
        &[
            (HEAP, 0x4000, Usage::Heap),
            (HEAP + 0x4000, 0x3_c000, Usage::Heap),
            (STACK, STACK_BYTES - 0x4000, Usage::Stack),
            (stack_top - 0x4000, 0x4000, Usage::Stack),
            (PARAMETERS, 0x1000, Usage::Other),
            (EXE, 0x1_0000, Usage::Image),
            (PEB, 0x1000, Usage::Peb),
            (TEB, 0x2000, Usage::Teb),
        ],
    );
}

#[test]
fn every_total_of_a_complete_map_is_known() {
    let taken = snapshot(&Process::default().with_regions(vec![private(0x100_0000, 0x5000)]).dump());
    let totals = &taken.address_space.totals;
    assert_eq!(taken.address_space.completeness, Completeness::Complete);
    assert_eq!(totals.entry_count(), Some(10));
    assert_eq!(totals.entry_count_of(State::Free), Some(1));
    assert_eq!(totals.free_bytes(), Some(HEAP));
    assert_eq!(totals.largest_free().map(|range| range.size_bytes()), Some(HEAP));
    assert_eq!(totals.committed_bytes(), Some(0x4000 + 0x4000 + 0x1000 + 0x1_0000 + 0x3000 + 0x5000));
    assert_eq!(totals.reserved_bytes(), Some(0x3_c000 + STACK_BYTES - 0x4000));
    assert_eq!(totals.committed_bytes_of(Usage::Unknown), Some(0x5000));
    assert_eq!(totals.committed_bytes_of(Usage::PageHeap), Some(0));
    assert_eq!(totals.committed_bytes_of(Usage::StackTraceDatabase), Some(0));
    assert_eq!(totals.type_sizes(MemoryType::Image).map(|sizes| sizes.committed_bytes), Some(0x1_0000));
}

#[test]
fn sub_ranges_split_the_region_that_holds_both_tebs() {
    let taken = snapshot(&build_wow64::dump());
    let tebs: Vec<_> = taken
        .address_space
        .regions
        .iter()
        .filter(|region| matches!(region.usage, Usage::Teb | Usage::Peb))
        .map(|region| (region.range.start.0, region.range.size_bytes(), region.owner))
        .collect();
    let thread = |width| Owner::Thread { tid: 0x3490, width };
    let process = |width| Owner::Process { width };
    assert_eq!(
        tebs,
        [
            (build_wow64::TEB_64, 0x2000, thread(PointerWidth::Bits64)),
            (build_wow64::TEB_32, 0x1000, thread(PointerWidth::Bits32)),
            (build_wow64::PEB_32, 0x1000, process(PointerWidth::Bits32)),
            (build_wow64::PEB_64, 0x1000, process(PointerWidth::Bits64)),
        ]
    );
    let count = |usage| taken.address_space.totals.usage_sizes(usage).map(|sizes| sizes.region_count);
    assert_eq!([count(Usage::Teb), count(Usage::Peb), count(Usage::Stack)], [Some(2), Some(2), Some(4)]);
    assert_eq!(taken.address_space.totals.entry_count_of(State::Commit), Some(9));
    check_map(&taken);
}

#[test]
fn a_wow64_process_has_both_halves() {
    let taken = snapshot(&build_wow64::dump());
    assert!(taken.is_wow64());
    let heaps: Vec<_> = taken.heaps.iter().map(|heap| (heap.extent.base.0, heap.extent.width)).collect();
    let expect = [(build_wow64::HEAP_64, PointerWidth::Bits64), (build_wow64::HEAP_32, PointerWidth::Bits32)];
    assert_eq!(heaps, expect);
    assert_eq!(taken.main_peb().map(|peb| (peb.base.0, peb.nt_global_flag)), Some((build_wow64::PEB_32, 0x70)));
    assert_eq!(taken.address_space.totals.committed_bytes_of(Usage::Heap), Some(0x2_0000));
    // The 64-bit stack ends within a page, which belongs to it all the same.
    let end = taken.address_space.region_at(Va(build_wow64::STACK_64 + 0x3_ffff)).expect("a region");
    assert_eq!((end.usage, end.range.end), (Usage::Stack, Va(build_wow64::STACK_64 + 0x4_0000)));
}

#[test]
fn mapped_memory_and_images_are_known_by_their_type() {
    let regions =
        vec![mapped(0x100_0000, 0x2000), image(0x200_0000, 0x1000), reserved_of(0x300_0000, 0x300_0000, 0x1000)];
    let taken = snapshot(&x64_dump().memory_infos(regions));
    check(
        &taken,
        &[
            (0x100_0000, 0x2000, Usage::MappedFile),
            (0x200_0000, 0x1000, Usage::Image),
            (0x300_0000, 0x1000, Usage::Unknown),
        ],
    );
    // Without threads nobody knows which of it are stacks, TEBs, PEB and heaps.
    let totals = &taken.address_space.totals;
    for usage in [Usage::Stack, Usage::Teb, Usage::Peb, Usage::Heap, Usage::Other] {
        assert_eq!(totals.committed_bytes_of(usage), None, "{usage:?}");
    }
    assert_eq!(totals.committed_bytes_of(Usage::MappedFile), Some(0x2000));
}

#[test]
fn a_heap_owns_its_segments_and_large_blocks() {
    use crate::support::build_process::{heap_64, large_block_link, segment_link_64};
    let (segment, block) = (0x600_0000, 0x700_0000);
    let process = Process::default().with_regions(vec![private(segment, 0x1000), private(block, 0x1000)]);
    let mut ranges = process.memory_ranges();
    ranges[0] = MemoryRange::hole(Va(HEAP), 0x4000).with(0, heap_64(HEAP, &[segment], &[block]));
    ranges.push(MemoryRange::hole(Va(segment), 0x1000).with(0, segment_link_64(HEAP + 0x128)));
    ranges.push(MemoryRange::hole(Va(block), 0x1000).with(0, large_block_link(HEAP + 0x118)));
    let taken = snapshot(&process.dump_without_memory().memory_infos(process.memory_infos()).memory64(ranges));
    for (va, expect) in [(segment, HeapPart::Segment), (block, HeapPart::LargeBlock)] {
        let region = taken.address_space.region_at(Va(va)).expect("a region");
        let Owner::Heap { handle, part, .. } = region.owner else { panic!("{region:?}") };
        assert_eq!((handle, part, region.usage), (Va(HEAP), expect, Usage::Heap));
    }
    assert_eq!(taken.address_space.totals.committed_bytes_of(Usage::Heap), Some(0x6000));
}

fn without_memory_info(dump_flags: u64) -> Snapshot {
    let mut file = Process::default().dump_without_memory();
    file.flags = dump_flags;
    snapshot(&file.memory64(Process::default().memory_ranges()))
}

/// Full memory leaves out guard pages, and the modules' ranges hold reserved pages: no sum of either is the process's.
#[test]
fn without_memory_info_there_is_a_map_and_no_total() {
    for dump_flags in [0, flags::WITH_FULL_MEMORY] {
        let taken = without_memory_info(dump_flags);
        let totals = &taken.address_space.totals;
        assert_eq!(taken.address_space.completeness, Completeness::Partial);
        assert_eq!((totals.committed_bytes(), totals.reserved_bytes(), totals.free_bytes()), (None, None, None));
        assert_eq!((totals.entry_count(), totals.largest_free()), (None, None));
        assert!(Usage::IN_USE.iter().all(|usage| totals.usage_sizes(*usage).is_none()));
        assert!(MemoryType::ALL.iter().all(|memory_type| totals.type_sizes(*memory_type).is_none()));
        assert!(taken.address_space.regions.iter().any(|region| region.usage == Usage::Stack));
        check_map(&taken);
    }
}

#[test]
fn a_partial_map_shows_modules_and_memory_split_where_they_meet() {
    let file = MinidumpFile::default()
        .system_info(windows_7(9))
        .modules(vec![
            module(0x40_0000, 0x3000, "a.exe"),
            module(0x50_0000, 0x1000, "b.dll"),
            module(0x50_0000, 0x1000, "b.dll"),
        ])
        .memory64(vec![MemoryRange::hole(Va(0x3f_f000), 0x2000), MemoryRange::hole(Va(0x90_0000), 0x1000)]);
    check(
        &snapshot(&file),
        &[
            (0x3f_f000, 0x1000, Usage::Unknown),
            (0x40_0000, 0x1000, Usage::Image),
            (0x40_1000, 0x2000, Usage::Image),
            (0x50_0000, 0x1000, Usage::Image),
            (0x90_0000, 0x1000, Usage::Unknown),
        ],
    );
}

#[test]
fn a_cut_memory_info_list_gives_a_partial_map() {
    let file = x64_dump().memory_infos(vec![private(0x1_0000, 0x1000), private(0x3_0000, 0x1000)]);
    let mut cut = bytes(&file);
    cut.truncate(cut.len() - 40);
    let taken = snapshot_of(open_bytes(cut));
    check(&taken, &[(0x1_0000, 0x1000, Usage::Unknown)]);
    assert_eq!(taken.address_space.completeness, Completeness::Partial);
    assert_eq!(taken.address_space.totals.committed_bytes(), None);
}

#[test]
fn a_region_of_an_unknown_state_is_left_out_and_told() {
    let odd = MemoryInfo { state: 0x4000, ..private(0x3_0000, 0x1000) };
    let taken = snapshot(&x64_dump().memory_infos(vec![private(0x1_0000, 0x1000), odd]));
    check(&taken, &[(0x1_0000, 0x1000, Usage::Unknown)]);
    assert_eq!(taken.address_space.totals.committed_bytes(), None);
    let texts: Vec<_> = taken.problems.iter().map(|problem| problem.text.as_str()).collect();
    assert!(
        texts.contains(&"has 1 regions of an unknown state, the first at 0x30000 (0x4000); they are left out"),
        "{texts:?}"
    );
}

#[test]
fn overlapping_and_repeated_entries_are_cut_and_told() {
    let records = vec![
        private(0x1_0000, 0x4000),
        private(0x1_0000, 0x4000),
        reserved_of(0x1_0000, 0x1_2000, 0x4000),
        free(0x1_4000, 0x1000),
        private(u64::MAX - 0xfff, 0x4000),
    ];
    let taken = snapshot(&x64_dump().memory_infos(records));
    check(
        &taken,
        &[
            (0x1_0000, 0x4000, Usage::Unknown),
            (0x1_4000, 0x2000, Usage::Unknown),
            (u64::MAX - 0xfff, 0xfff, Usage::Unknown),
        ],
    );
    let texts: Vec<_> = taken.problems.iter().map(|problem| problem.text.as_str()).collect();
    assert!(
        texts.contains(&"4 regions overlap others or pass the end of the address space; they are cut"),
        "{texts:?}"
    );
    assert_eq!(damage(&taken.dump), Vec::<String>::new());
}

#[test]
fn an_unsorted_list_becomes_sorted() {
    let taken = snapshot(&x64_dump().memory_infos(vec![
        private(0x3_0000, 0x1000),
        private_of(0x1_0000, 0x1_1000, 0x1000),
        private_of(0x1_0000, 0x1_0000, 0x1000),
    ]));
    check(
        &taken,
        &[(0x1_0000, 0x1000, Usage::Unknown), (0x1_1000, 0x1000, Usage::Unknown), (0x3_0000, 0x1000, Usage::Unknown)],
    );
    assert!(taken.problems.iter().all(|problem| problem.place != "memory info list"));
}
