//! The heaps as `!heap -s` prints them, what is said about them, and their fields in the reports.

use std::sync::Arc;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::snapshot::Snapshot;
use dumptrend::analysis::snapshot::heaps::{DumpHeaps, decode_heaps};
use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::base::progress::Progress;
use dumptrend::input::dump;
use dumptrend::present::heaps::heaps_of;
use dumptrend::present::heaps::summary::heap_summary;
use dumptrend::present::heaps::verdict::{outstanding_lines, verdict_lines};
use dumptrend::process::heap::figures::{Fragmentation, HeapFigures};
use dumptrend::process::heap::head::FrontEnd;
use dumptrend::report::csv::{CsvTable, csv_report};
use dumptrend::report::json::json_report;
use dumptrend::sample::Variant;
use dumptrend::sample::heap_image::segment_heap::SegmentHeapPlan;
use dumptrend::sample::minidump_file::MemoryRange;

use crate::support::build_dump::snapshot;
use crate::support::build_process::{HEAP, Process};
use crate::support::sample_series::{case_a, decode_all, decoded, sample_series};
use crate::support::shared::shared_file;

const KB: u64 = 1024;

/// Compares with a text among the other snapshots.
fn assert_text(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "../snapshots" }, { insta::assert_snapshot!(name, text) });
}

/// The listings of a printed page, one for each `!heap -s`, as they were on the screen: the page is 79 columns wide and has
/// lost the indents of lines below others.
fn printed(page: &str) -> Vec<String> {
    const PAGE_COLUMNS: usize = 78;
    let mut listings: Vec<Vec<String>> = Vec::new();
    let mut was_full = false;
    for line in page.lines() {
        if line.ends_with("> !heap -s") {
            listings.push(Vec::new());
            continue;
        }
        let Some(lines) = listings.last_mut() else { continue };
        // What did not fit stands alone on the next line, and is short: a title, a front end, the rest of a dashed line.
        let is_rest = was_full && line.len() < 10;
        was_full = line.len() >= PAGE_COLUMNS;
        if let Some(last) = lines.last_mut().filter(|_| is_rest) {
            last.push_str(line);
        } else if line.starts_with("stack back traces") || line.starts_with("External fragmentation") {
            lines.push(format!("    {line}"));
        } else {
            lines.push(line.to_owned());
        }
    }
    listings.into_iter().map(|lines| lines.join("\n") + "\n").collect()
}

fn last_summary(analysis: &Analysis) -> String {
    let dump = *analysis.main_group().expect("a group").dumps.last().expect("a dump");
    let snapshot = analysis.snapshot(dump).expect("a snapshot");
    heap_summary(snapshot, heaps_of(analysis, dump).expect("decoded heaps"), snapshot.pebs[0].width)
}

#[test]
fn the_case_prints_as_windbg_printed_it() {
    let Some(path) = shared_file("facts/case-allocfree/heap.txt") else { return };
    let page = std::fs::read_to_string(path).expect("the listing can be read");
    let [run_a, series] = &printed(&page)[..] else { panic!("two listings") };
    assert_eq!(series.lines().count(), 12);
    assert_eq!(&last_summary(&decode_all(&case_a())), run_a);
    assert_eq!(&last_summary(&decode_all(&sample_series().analysis)), series);
}

const EMPTY: HeapFigures = HeapFigures {
    flags: 2,
    reserved_bytes: 1 << 30,
    committed_bytes: 0,
    virtual_bytes: 1 << 30,
    free_bytes: 0,
    free_list_length: Some(10),
    ucr_count: 0,
    virtual_block_count: 0,
    lock_contention: Some(0),
    has_lock: true,
    front_end: FrontEnd::None,
    are_counters: true,
};

/// Published listings: free, committed, percent, and whether WinDbg printed the line below the heap (`None`: the listing is
/// of one heap, which has it always).
#[test]
fn external_fragmentation_is_that_of_published_listings() {
    for (free_kb, committed_kb, percent, is_told) in [
        (109_939, 118_128, 93, Some(true)),
        (43_273, 148_972, 29, Some(true)),
        (11_919, 14_244, 83, Some(true)),
        (1_164, 1_444, 80, Some(true)),
        (3_884, 56_540, 6, None),
        (257, 558, 46, Some(false)),
        (140, 245, 57, Some(false)),
        (479, 23_950, 2, Some(false)),
    ] {
        let figures = HeapFigures { free_bytes: free_kb * KB, committed_bytes: committed_kb * KB, ..EMPTY };
        assert_eq!(figures.external_fragmentation_percent(), Some(percent), "{free_kb} of {committed_kb}");
        let told = figures.external_fragmentation();
        if let Some(is_told) = is_told {
            assert_eq!(told, is_told.then_some(Fragmentation { percent, count: 10 }), "{free_kb} of {committed_kb}");
        }
    }
    assert_eq!(EMPTY.external_fragmentation_percent(), None);
    // Without the length of the list the line is not made up.
    let unknown = HeapFigures { free_bytes: 2 << 20, committed_bytes: 2 << 20, free_list_length: None, ..EMPTY };
    assert_eq!(unknown.external_fragmentation(), None);
}

#[test]
fn virtual_fragmentation_is_that_of_published_listings() {
    for (virtual_kb, committed_kb, ucr_count, percent, is_told) in [
        (776_448, 118_128, 532, 84, Some(true)),
        (60_592, 56_540, 40, 6, None),
        (100, 46, 9, 54, Some(false)),
        (100, 92, 40, 8, Some(false)),
        (100, 63, 6, 37, Some(false)),
    ] {
        let figures =
            HeapFigures { virtual_bytes: virtual_kb * KB, committed_bytes: committed_kb * KB, ucr_count, ..EMPTY };
        assert_eq!(figures.virtual_fragmentation_percent(), Some(percent), "{virtual_kb}");
        let told = figures.virtual_fragmentation();
        if let Some(is_told) = is_told {
            let expected = is_told.then_some(Fragmentation { percent, count: ucr_count });
            assert_eq!(told, expected, "{virtual_kb}");
        }
    }
}

fn fizzbuzz() -> Option<(Snapshot, DumpHeaps)> {
    let path = shared_file("dumps/fizzbuzz_wow64.dmp")?;
    let dump = dump::open(&path).expect("a dump");
    let snapshot = dumptrend::analysis::snapshot::take_snapshot(dump, &Progress::default()).expect("not cancelled");
    let heaps = decode_heaps(&snapshot, &Progress::default()).expect("not cancelled");
    Some((snapshot, heaps))
}

/// A WOW64 process has two lists, and WinDbg shows that of the bitness it debugs.
#[test]
fn each_list_of_a_wow64_process_is_printed_alone() {
    let Some((snapshot, heaps)) = fizzbuzz() else { return };
    assert_text("fizzbuzz_32_bit", &heap_summary(&snapshot, &heaps, PointerWidth::Bits32));
    assert_text("fizzbuzz_64_bit", &heap_summary(&snapshot, &heaps, PointerWidth::Bits64));
}

/// The published 32-bit listing: its line, with the figures of its heap put into another one.
#[test]
fn a_32_bit_line_is_that_of_the_published_listing() {
    let Some((mut snapshot, mut heaps)) = fizzbuzz() else { return };
    let at = snapshot.heaps.iter().position(|heap| heap.extent.base == Va(0x70_0000)).expect("the heap");
    snapshot.heaps[at].extent.base = Va(0x2e_0000);
    let published = HeapFigures {
        reserved_bytes: 1024 * KB,
        committed_bytes: 196 * KB,
        virtual_bytes: 1024 * KB,
        free_bytes: 3 * KB,
        free_list_length: Some(4),
        ucr_count: 1,
        virtual_block_count: 0,
        lock_contention: Some(0),
        front_end: FrontEnd::LowFragmentation,
        ..EMPTY
    };
    let mut line_of = |figures: HeapFigures| {
        heaps.heaps[at].figures = Some(figures);
        let text = heap_summary(&snapshot, &heaps, PointerWidth::Bits32);
        text.lines().find(|line| line.starts_with("002e0000")).expect("the line").to_owned()
    };
    assert_eq!(line_of(published), "002e0000 00000002    1024    196   1024      3     4     1    0      0   LFH");
    let contended = HeapFigures { lock_contention: Some(0x8a), ..published };
    assert_eq!(line_of(contended), "002e0000 00000002    1024    196   1024      3     4     1    0     8a   LFH");
    let without_lock = HeapFigures { has_lock: false, lock_contention: None, front_end: FrontEnd::None, ..published };
    assert_eq!(line_of(without_lock), "002e0000 00000002    1024    196   1024      3     4     1    0    N/A");
}

fn flag_lines(nt_global_flag: u32) -> Vec<String> {
    let taken = snapshot(&Process { nt_global_flag, ..Process::default() }.dump());
    let text = heap_summary(&taken, &DumpHeaps::default(), PointerWidth::Bits64);
    text.lines().take_while(|line| !line.starts_with("LFH Key")).map(str::to_owned).collect()
}

#[test]
fn the_debugging_aids_of_new_heaps_are_named() {
    assert!(flag_lines(0).is_empty());
    // Flags that do not concern heaps.
    assert!(flag_lines(0x0002_0400).is_empty());
    let title = "NtGlobalFlag enables following debugging aids for new heaps:";
    assert_eq!(flag_lines(0x1000), [title, "    stack back traces"]);
    assert_eq!(flag_lines(0x70), [title, "    tail checking", "    free checking", "    validate parameters"]);
}

/// Segment heaps stand in a table of their own, before the NT heaps.
#[test]
fn a_segment_heap_is_printed_before_the_others() {
    let plan = SegmentHeapPlan {
        base: Va(HEAP),
        list_index: 1,
        global_flags: 2,
        heap_key: 0x1234_5678_9abc_def0,
        large_blocks: Vec::new(),
        segments: vec![(Va(0x600_0000), Vec::new())],
    };
    let image = plan.build();
    let process = Process::default();
    let mut ranges = process.memory_ranges();
    ranges.remove(0);
    ranges.extend(image.writes.into_iter().map(|(va, bytes)| MemoryRange::of_bytes(va, bytes)));
    let taken = snapshot(&process.dump_without_memory().memory_infos(process.memory_infos()).memory64(ranges));
    let heaps = decode_heaps(&taken, &Progress::default()).expect("not cancelled");
    assert_text("segment_heap", &heap_summary(&taken, &heaps, PointerWidth::Bits64));
}

/// What is said about the heaps of a variant, from its first dump to its last.
fn said(analysis: &Analysis) -> String {
    let group = analysis.main_group().expect("a group");
    let (first, last) = (group.dumps[0], group.dumps[group.dumps.len() - 1]);
    [verdict_lines(analysis, first, last), outstanding_lines(analysis, last)].concat().join("\n")
}

#[test]
fn leak_and_fluctuation_are_told_apart() {
    for variant in Variant::ALL {
        assert_text(&format!("verdict_{}", variant.name()), &said(&decoded(variant)));
    }
}

#[test]
fn one_dump_is_not_judged() {
    let analysis = decoded(Variant::HeapLeak);
    let last = *analysis.main_group().expect("a group").dumps.last().expect("a dump");
    assert_text("verdict_of_one_dump", &verdict_lines(&analysis, last, last).join("\n"));
    // Before the heaps are decoded nothing is said.
    assert!(verdict_lines(&sample_series().analysis, last, last).is_empty());
}

#[test]
fn the_json_report_has_the_figures_of_the_case() {
    let analysis = Arc::new(decode_all(&sample_series().analysis));
    let report: serde_json::Value =
        serde_json::from_str(&json_report(&analysis, None).expect("a report")).expect("valid JSON");
    for dump in report["dumps"].as_array().expect("dumps") {
        let heap = &dump["heaps"][0];
        for (key, value) in [
            ("reserve_kb", 4096),
            ("commit_kb", 1444),
            ("virt_kb", 4096),
            ("free_kb", 1164),
            ("list_length", 4),
            ("ucr_count", 3),
            ("virtual_block_count", 0),
            ("lock_contention", 0),
            ("external_fragmentation_percent", 80),
            ("pointer_bits", 64),
        ] {
            assert_eq!(heap[key].as_u64(), Some(value), "{key}");
        }
        for (key, value) in
            [("base", "0x19c0000"), ("kind", "nt"), ("front_end", "lfh"), ("flags", "0x08000002"), ("proof", "dump")]
        {
            assert_eq!(heap[key].as_str(), Some(value), "{key}");
        }
        assert!(heap["busy_block_count"].as_u64() > Some(100) && heap["busy_bytes"].as_u64() > Some(100_000));
        assert_eq!(dump["heaps"][1]["front_end"].as_str(), Some("none"));
    }
}

#[test]
fn the_csv_table_has_a_row_for_each_heap() {
    let analysis = Arc::new(decode_all(&sample_series().analysis));
    assert_text("csv_heaps", &csv_report(&analysis, CsvTable::Heaps, None));
    // Before they are decoded, there is no table.
    assert_eq!(csv_report(&sample_series().analysis, CsvTable::Heaps, None), "");
}
