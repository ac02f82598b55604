//! The stack trace database and the heap trace log, through the real pipeline, against the figures of the case.

use dumptrend::analysis::Analysis;
use dumptrend::analysis::run::decode_traces;
use dumptrend::analysis::series::traces::symbols_of;
use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::base::ids::DumpIdx;
use dumptrend::base::progress::Progress;
use dumptrend::present::dps::{dps, dps_text};
use dumptrend::present::traces::leading::{SkipRules, frame_text, leading_frame};
use dumptrend::present::traces::{growth_lines, store_lines, stores_of};
use dumptrend::process::regions::usage::Usage;
use dumptrend::process::traces::{FoundBy, Health, StoreKind, TraceStore, entry_at};
use dumptrend::report::json::json_report;
use dumptrend::sample::{SampleOptions, Variant};
use serde_json::json;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

use crate::support::sample_series::{analyse, case_a, sample_series, write};
use crate::support::shared::shared_file;

fn decoded(analysis: &Analysis) -> Analysis {
    decode_traces(analysis, &Progress::default()).expect("not cancelled")
}

fn variant(variant: Variant) -> Analysis {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), SampleOptions { variant, ..SampleOptions::default() });
    decoded(&analyse(&[folder.path().to_owned()]))
}

/// Kind, width, entries and unique stacks of the stores of a dump, all of whose checks hold.
fn check(analysis: &Analysis, dump: usize, expect: &[(StoreKind, PointerWidth, u64, u64)]) {
    let stores = stores_of(analysis, DumpIdx(dump)).expect("decoded");
    let figures =
        |store: &TraceStore| (store.header.kind, store.header.width, store.entry_count, store.unique_stack_count);
    assert_eq!(stores.iter().map(figures).collect::<Vec<_>>(), expect);
    for store in stores {
        let failed: Vec<_> = store.evidence.iter().filter(|check| check.passed != Some(true)).collect();
        assert!(failed.is_empty() && store.problems.is_empty(), "{failed:?} {:?}", store.problems);
        assert_eq!(store.verified_entry_count, store.entry_count);
    }
}

#[test]
fn dump_b_is_full_of_20_stacks() {
    let analysis = decoded(&sample_series().analysis);
    check(&analysis, 5, &[(StoreKind::Indexed, PointerWidth::Bits64, 148_863, 20)]);
    let store = &stores_of(&analysis, DumpIdx(5)).expect("decoded")[0];
    let health = Health::of(store);
    assert_eq!((store.header.base, health.reserved_bytes), (Va(0x1b_0000), Some(0x180_0000)));
    assert_eq!((store.committed_bytes, health.room_left_bytes), (0x16d_c000 + 0x12_3000, Some(0x1000)));
    assert_eq!((health.is_full, health.saturated_percent), (Some(true), Some(100.0)));
    let line = "stack trace database at 00000000`001b0000 (windows7+ x64, found by structure: 9 of 9 checks): 148,863 \
                entries, 20 unique stacks, 100.0 % of the entries saturated; 100.0 % of 24.0 MB used, full: 4.0 KB left \
                to commit";
    assert_eq!(store_lines(&analysis, DumpIdx(5)), [line]);
}

#[test]
fn what_grew_are_repetitions_of_saturated_stacks_and_the_end_is_foretold() {
    let analysis = decoded(&sample_series().analysis);
    let lines = |from, to| growth_lines(&analysis, DumpIdx(from), DumpIdx(to)).join("\n");
    insta::assert_snapshot!([lines(0, 5), lines(1, 3), lines(4, 4)].join("\n--\n"));
}

#[test]
fn dump_a_has_its_sizes_and_room_left() {
    let analysis = decoded(&case_a());
    check(&analysis, 0, &[(StoreKind::Indexed, PointerWidth::Bits64, 4_416, 20)]);
    let store = &stores_of(&analysis, DumpIdx(0)).expect("decoded")[0];
    assert_eq!((store.header.base, store.committed_bytes), (Va(0x24_0000), 0xd_2000 + 0x9000));
    assert_eq!(store.room_left_bytes(), Some(0x172_5000));
    let totals = &analysis.snapshots[0].address_space.totals;
    assert_eq!(totals.committed_bytes_of(Usage::StackTraceDatabase), Some(0xd_2000 + 0x9000));
}

#[test]
fn the_last_three_entries_of_dump_b_have_their_own_fields() {
    let series = sample_series();
    let snapshot = &series.analysis.snapshots[5];
    let fields = |va: u64| {
        let entry = entry_at(&snapshot.dump.memory, &snapshot.trace_stores[0], Va(va)).expect("an entry");
        (entry.frames.len(), entry.index, entry.is_saturated, entry.size_bytes)
    };
    assert_eq!(fields(0x188_be50), (9, Some(0x2_457d), true, 0x60));
    assert_eq!(fields(0x188_beb0), (8, Some(0x2_457e), true, 0x50));
    assert_eq!(fields(0x188_bf00), (27, Some(0x2_457f), true, 0xf0));
}

#[test]
fn dps_lists_the_end_of_the_database_as_windbg_did() {
    let Some(path) = shared_file("facts/case-allocfree/dps.txt") else { return };
    let expect = std::fs::read_to_string(path).expect("readable");
    let series = sample_series();
    let snapshot = &series.analysis.snapshots[5];
    let width = PointerWidth::Bits64;
    let lines = dps(&snapshot.dump.memory, &symbols_of(snapshot), Va(0x188_be00), 64, width);
    let text: Vec<String> = lines.iter().map(|line| dps_text(line, width)).collect();
    assert_eq!(text, expect.lines().collect::<Vec<_>>());
}

#[test]
fn the_entries_of_each_stack_are_followed_over_the_series() {
    let analysis = decoded(&sample_series().analysis);
    let traces = analysis.traces_of(analysis.main_group().expect("a group")).expect("decoded");
    assert_eq!(traces.stacks.len(), 20);
    let stacks = &traces.stacks;
    for dump in 0..6 {
        let sum: u64 = (0..stacks.len()).filter_map(|stack| stacks.entry_count(stack, dump)).sum();
        assert_eq!(sum, traces.stores[dump][0].entry_count);
    }
    for stack in 0..stacks.len() {
        assert_eq!(stacks.first_and_last(stack), Some((0, 5)));
        let leading = leading_frame(&traces.symbols, &SkipRules::default(), stacks.frames(stack)).expect("frames");
        assert_eq!(frame_text(&traces.symbols, leading, PointerWidth::Bits64), "AllocFree!foo20+0x15");
    }
}

#[test]
fn other_windows_have_their_stores() {
    let x86 = variant(Variant::SevenX86);
    check(&x86, 2, &[(StoreKind::Indexed, PointerWidth::Bits32, 61_463, 20)]);
    let xp = variant(Variant::XpX86);
    check(&xp, 1, &[(StoreKind::Indexed, PointerWidth::Bits32, 31_000, 31_000)]);
    let ten = variant(Variant::TenX64);
    let indexed = (StoreKind::Indexed, PointerWidth::Bits64, 8, 8);
    check(&ten, 2, &[indexed, (StoreKind::HeapLog, PointerWidth::Bits64, 346_567, 346_567)]);
    let log = &stores_of(&ten, DumpIdx(2)).expect("decoded")[1];
    // 1,200 zones of records, and the one that holds the log's header.
    assert_eq!(log.header.zones.len(), 1201);
    for analysis in [&x86, &xp, &ten] {
        let traces = analysis.traces_of(analysis.main_group().expect("a group")).expect("decoded");
        let is_named = |va: Va| traces.symbols.name_of(va).is_some_and(|name| name.function.is_some());
        assert!((0..100.min(traces.stacks.len())).all(|stack| traces.stacks.frames(stack).all(is_named)));
    }
}

/// The last dump of the series with the first page of its database overwritten.
#[test]
fn dump_b_without_its_header_still_has_its_stacks() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = write(folder.path(), SampleOptions::default());
    let path = files.get(5).expect("six dumps").clone();
    let database = Va(0x1b_0000);
    let memory = &sample_series().analysis.snapshots[5].dump.memory;
    let range = memory.ranges().iter().find(|range| range.range.contains(database)).expect("in the dump");
    let offset = range.offset.0 + (database.0 - range.range.start.0);
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).expect("the dump opens");
    file.seek(SeekFrom::Start(offset)).expect("in the file");
    file.write_all(&[0xcc; 0x1000]).expect("the page is overwritten");
    drop(file);

    let analysis = decoded(&analyse(&[path]));
    let [store] = stores_of(&analysis, DumpIdx(0)).expect("decoded") else { panic!("one store") };
    assert_eq!((store.header.base, store.header.found_by), (database, FoundBy::Records));
    assert_eq!((store.entry_count, store.unique_stack_count, store.lost_bytes), (148_863, 20, 0));
    assert_eq!((store.orphan_entry_count, store.saturated_entry_count), (148_863, 148_863));
    let line = "stack trace database at 00000000`001b0000 (x64, found by records: 5 of 6 checks): 148,863 entries, 20 \
                unique stacks, 100.0 % of the entries saturated; its header is damaged or not in the dump";
    assert_eq!(store_lines(&analysis, DumpIdx(0)), [line]);
    // Its memory is still known for what it is.
    let totals = &analysis.snapshots[0].address_space.totals;
    assert_eq!(totals.committed_bytes_of(Usage::StackTraceDatabase), Some(0x16d_c000 + 0x12_3000));
    let report: serde_json::Value =
        serde_json::from_str(&json_report(&Arc::new(analysis), None).expect("a report")).expect("valid JSON");
    let store = &report["dumps"][0]["trace_stores"][0];
    assert_eq!((&store["found_by"], &store["committed_bytes"]), (&json!("records"), &json!(0x16d_c000 + 0x12_3000)));
    assert_eq!((&store["fill_percent"], &store["room_left_bytes"]), (&json!(null), &json!(null)));
}

#[test]
fn a_process_without_ust_is_known_to_have_none() {
    let Some(path) = shared_file("dumps/fizzbuzz_wow64.dmp") else { return };
    let analysis = analyse(&[path]);
    let totals = &analysis.snapshots[0].address_space.totals;
    assert!(analysis.snapshots[0].trace_stores.is_empty());
    assert_eq!(totals.committed_bytes_of(Usage::StackTraceDatabase), Some(0));
}

#[test]
fn the_json_report_has_the_stores_and_the_stacks() {
    let analysis = Arc::new(decoded(&sample_series().analysis));
    let report: serde_json::Value =
        serde_json::from_str(&json_report(&analysis, None).expect("a report")).expect("valid JSON");
    let store = &report["dumps"][5]["trace_stores"][0];
    for (key, expect) in [
        ("kind", json!("indexed")),
        ("base", json!("0x1b0000")),
        ("layout", json!("windows7+ x64")),
        ("reserved_bytes", json!(0x180_0000)),
        ("entry_count", json!(148_863)),
        ("unique_stack_count", json!(20)),
        ("saturated_entry_count", json!(148_863)),
        ("truncated_stack_count", json!(0)),
        ("found_by", json!("structure")),
    ] {
        assert_eq!(store[key], expect, "{key}");
    }
    let traces = report["traces"].as_array().expect("traces");
    assert_eq!(traces.len(), 20);
    assert_eq!(traces[0]["frames"][0], "ntdll!RtlpAllocateHeap+0x33bd");
    assert_eq!(traces[0]["entries_per_dump"].as_array().map(Vec::len), Some(6));
}
