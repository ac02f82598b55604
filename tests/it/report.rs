//! The reports: text as a snapshot, JSON against its contract, CSV read back.

use std::sync::Arc;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::run::{diagnose, read_logs, unwind_threads};
use dumptrend::base::ids::DumpIdx;
use dumptrend::base::progress::Progress;
use dumptrend::report::csv::{CsvTable, csv_report};
use dumptrend::report::json::json_report;
use dumptrend::report::text::text_report;
use serde_json::Value;

use crate::support::build_dump::bytes;
use crate::support::build_process::Process;
use crate::support::sample_series::{analyse, decode_all, sample_series};
use crate::support::shared::shared_file;

/// The kind of value that the contract has for a key; `Or` allows what is not known.
#[derive(Clone, Copy)]
enum Kind {
    Number,
    Text,
    Flag,
    List,
    Object,
    NumberOrNull,
    TextOrNull,
    ListOrNull,
    ObjectOrNull,
}

fn has_kind(value: &Value, kind: Kind) -> bool {
    match kind {
        Kind::Number => value.is_u64(),
        Kind::Text => value.is_string(),
        Kind::Flag => value.is_boolean(),
        Kind::List => value.is_array(),
        Kind::Object => value.is_object(),
        Kind::NumberOrNull => value.is_u64() || value.is_null(),
        Kind::TextOrNull => value.is_string() || value.is_null(),
        Kind::ListOrNull => value.is_array() || value.is_null(),
        Kind::ObjectOrNull => value.is_object() || value.is_null(),
    }
}

/// Every key must be there with a value of its kind.
fn check(object: &Value, place: &str, keys: &[(&str, Kind)]) {
    for (key, kind) in keys {
        let value = object.get(key).unwrap_or_else(|| panic!("{place} has no key {key}"));
        assert!(has_kind(value, *kind), "{place}.{key} is {value}");
    }
}

/// The keys of the contract that this version fills, in one report.
fn check_contract(analysis: &Arc<Analysis>) {
    use Kind::{Flag, List, ListOrNull, Number, NumberOrNull, Object, ObjectOrNull, Text, TextOrNull};
    let text = json_report(analysis, None).expect("a report");
    assert!(text.ends_with("}\n"));
    let report: Value = serde_json::from_str(&text).expect("valid JSON");
    assert_eq!(report["schema"], 1);
    let lists = [("traces", ListOrNull), ("umdh", ListOrNull), ("findings", List)];
    check(&report, "report", &[("process", Object), ("dumps", List), ("threads", List), ("notes", List)]);
    check(&report, "report", &lists);
    check(&report["process"], "process", &[("image", TextOrNull), ("pid", NumberOrNull)]);
    for dump in report["dumps"].as_array().expect("a list") {
        check(
            dump,
            "dump",
            &[
                ("file", Text),
                ("size_bytes", Number),
                ("time", TextOrNull),
                ("arch", TextOrNull),
                ("wow64", Flag),
                ("os", ObjectOrNull),
                ("problems", List),
                ("address_space", Object),
                ("memory_bytes", Number),
                ("handle_count", NumberOrNull),
                ("pebs", List),
                ("tebs", List),
                ("global_flag", ObjectOrNull),
                ("modules", ListOrNull),
                ("threads", ListOrNull),
                ("heaps", ListOrNull),
                ("trace_stores", ListOrNull),
            ],
        );
        check(&dump["os"], "os", &[("version", Text), ("build", Number)]);
        check(&dump["global_flag"], "global_flag", &[("value", Text), ("names", List)]);
        check_address_space(&dump["address_space"]);
        check_each(dump, "pebs", &[("base", Text), ("pointer_bits", Number)]);
        check_each(dump, "tebs", &[("base", Text), ("tid", Number), ("pointer_bits", Number)]);
        check_each(dump, "problems", &[("where", Text), ("text", Text)]);
        let module_keys = [("base", Text), ("size_bytes", Number), ("name", Text), ("pdb", TextOrNull)];
        check_each(dump, "modules", &module_keys);
        check_each(dump, "modules", &[("pdb_id", TextOrNull), ("symbols", TextOrNull), ("symbols_note", TextOrNull)]);
        let thread_keys = [("tid", Number), ("name", TextOrNull), ("user_ns", NumberOrNull)];
        check_each(dump, "threads", &thread_keys);
        check_each(
            dump,
            "threads",
            &[("kernel_ns", NumberOrNull), ("elapsed_ns", NumberOrNull), ("stack", ListOrNull)],
        );
        check_each(
            dump,
            "heaps",
            &[("base", Text), ("kind", TextOrNull), ("pointer_bits", Number), ("flags", TextOrNull)],
        );
    }
    check_each(&report, "threads", &[("tid", Number), ("created", TextOrNull), ("cpu_ns_per_interval", List)]);
}

fn check_each(object: &Value, list: &str, keys: &[(&str, Kind)]) {
    for entry in object[list].as_array().into_iter().flatten() {
        check(entry, list, keys);
    }
}

fn check_address_space(space: &Value) {
    use Kind::{NumberOrNull, Object, ObjectOrNull};
    let totals = ["region_count", "committed_bytes", "reserved_bytes", "free_bytes", "largest_free_bytes"];
    check(space, "address_space", &totals.map(|key| (key, NumberOrNull)));
    check(space, "address_space", &["region_count_by_state", "by_type", "by_usage"].map(|key| (key, Object)));
    let states = ["free", "reserved", "committed"];
    check(&space["region_count_by_state"], "region_count_by_state", &states.map(|key| (key, NumberOrNull)));
    check(&space["by_type"], "by_type", &["image", "mapped", "private"].map(|key| (key, ObjectOrNull)));
    let uses = [
        "image",
        "mapped_file",
        "stack",
        "teb",
        "peb",
        "heap",
        "page_heap",
        "stack_trace_database",
        "other",
        "unknown",
    ];
    check(&space["by_usage"], "by_usage", &uses.map(|key| (key, ObjectOrNull)));
    let groups = ["by_type", "by_usage"].map(|key| space[key].as_object().expect("an object"));
    for (name, sizes) in groups.into_iter().flatten().filter(|(_, sizes)| sizes.is_object()) {
        let keys = ["committed_bytes", "reserved_bytes", "region_count"];
        check(sizes, name, &keys.map(|key| (key, NumberOrNull)));
    }
}

#[test]
fn the_sample_keeps_the_json_contract() {
    check_contract(&sample_series().analysis);
}

#[test]
fn real_dumps_keep_the_json_contract() {
    for name in ["dumps/fizzbuzz_wow64.dmp", "dumps/electron.dmp"] {
        let Some(path) = shared_file(name) else { return };
        check_contract(&Arc::new(analyse(&[path])));
    }
}

#[test]
fn what_is_not_known_is_null_and_times_are_rfc_3339() {
    let series = sample_series();
    let report: Value =
        serde_json::from_str(&json_report(&series.analysis, None).expect("a report")).expect("valid JSON");
    assert_eq!(report["process"]["image"], "AllocFree.exe");
    assert_eq!(report["process"]["pid"], 0x53b4);
    let last = &report["dumps"][5];
    assert_eq!(last["file"], "allocfree-6.dmp");
    assert_eq!(last["time"], "2011-05-12T20:13:05Z");
    assert_eq!(last["global_flag"]["value"], "0x1000");
    assert_eq!(last["global_flag"]["names"], serde_json::json!(["ust"]));
    assert_eq!(last["threads"][0]["user_ns"], 12_122_354_000_000_u64);
    assert_eq!(last["threads"][0]["kernel_ns"], 1_239_022_000_000_u64);
    assert_eq!(last["threads"][0]["elapsed_ns"], 36_683_596_000_000_u64);
    assert_eq!(last["heaps"][0]["base"], "0x19c0000");
    for absent in ["traces", "umdh"] {
        assert_eq!(report[absent], Value::Null);
    }
    check_findings(&report["findings"]);
    assert_eq!(last["trace_stores"], Value::Null);
    assert_eq!(last["address_space"]["by_usage"]["stack_trace_database"]["committed_bytes"], 0x16d_c000 + 0x12_3000);
    assert_eq!(report["threads"][0]["cpu_ns_per_interval"].as_array().map(Vec::len), Some(5));
}

/// One for each pattern, with the keys of the contract.
fn check_findings(findings: &Value) {
    use Kind::{Flag, List, Text, TextOrNull};
    let findings = findings.as_array().expect("a list");
    assert_eq!(findings.len(), 14);
    for finding in findings {
        let texts =
            [("pattern", Text), ("title", Text), ("verdict", Text), ("confidence", TextOrNull), ("summary", Text)];
        let rest = [
            ("refuted_by", TextOrNull),
            ("subjects", List),
            ("evidence", List),
            ("advice", List),
            ("is_related_only", Flag),
        ];
        check(finding, "finding", &texts);
        check(finding, "finding", &rest);
        for evidence in finding["evidence"].as_array().expect("a list") {
            check(evidence, "evidence", &[("text", Text), ("strength", Text), ("windbg", TextOrNull)]);
        }
        for advice in finding["advice"].as_array().expect("a list") {
            check(
                advice,
                "advice",
                &[("what", Text), ("command", TextOrNull), ("undo", TextOrNull), ("takes_effect", Text)],
            );
        }
    }
    let spike = findings.iter().find(|finding| finding["pattern"] == "spiking_thread").expect("a finding");
    assert_eq!((&spike["verdict"], &spike["confidence"]), (&"found".into(), &"certain".into()));
    assert_eq!(spike["evidence"][0]["dump"], 3);
    assert_eq!(spike["evidence"][0]["place"], serde_json::json!({ "kind": "thread", "name": "0x53b8" }));
}

#[test]
fn the_text_report_of_the_sample_is_as_before() {
    let series = sample_series();
    let text = text_report(&series.analysis, None);
    assert!(!text.contains(&series.folder().display().to_string()));
    insta::assert_snapshot!("sample", text);
}

#[test]
fn the_text_report_of_two_processes_and_a_bad_file_is_as_before() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let other = Process { image: "other.exe", pid: Some(7), ..Process::after_hours(1) };
    let mut cut = bytes(&Process::after_hours(3).dump());
    cut.truncate(cut.len() - 0x2800);
    for (name, file) in [
        ("1.dmp", bytes(&Process::after_hours(1).dump())),
        ("2.dmp", bytes(&Process { heap_pages: 9, ..Process::after_hours(2) }.dump())),
        ("3.dmp", cut),
        ("other.dmp", bytes(&other.dump())),
        ("text.dmp", b"hello".to_vec()),
    ] {
        std::fs::write(folder.path().join(name), file).expect("written");
    }
    let text = text_report(&Arc::new(analyse(&[folder.path().to_owned()])), None);
    insta::assert_snapshot!("mixed", text.replace(&folder.path().display().to_string(), "FOLDER"));
}

/// Splits CSV as RFC 4180 has it.
fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut is_quoted, mut chars) = (false, text.chars().peekable());
    while let Some(c) = chars.next() {
        match (is_quoted, c) {
            (true, '"') if chars.peek() == Some(&'"') => field.extend(chars.next()),
            (_, '"') => is_quoted = !is_quoted,
            (false, ',') => row.push(std::mem::take(&mut field)),
            (false, '\r') => assert_eq!(chars.peek(), Some(&'\n'), "a row ends in CR LF"),
            (false, '\n') => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            (_, c) => field.push(c),
        }
    }
    assert!(field.is_empty() && row.is_empty() && !is_quoted, "the last row is whole");
    rows
}

#[test]
fn csv_tables_are_well_formed() {
    let series = sample_series();
    let region_count = series.analysis.snapshots[5].address_space.regions.len();
    for (table, row_count, first_title) in [
        (CsvTable::Dumps, 6, "#"),
        (CsvTable::Regions, region_count, "base"),
        (CsvTable::Threads, 1, "thread"),
        (CsvTable::Uses, 0, "use"),
    ] {
        let rows = csv_rows(&csv_report(&series.analysis, table, None));
        let (head, body) = rows.split_first().expect("a head");
        assert_eq!(head[0], first_title);
        assert!(body.iter().all(|row| row.len() == head.len()), "{table:?}");
        assert!(body.len() == row_count || (row_count == 0 && body.len() > 5), "{table:?}: {}", body.len());
    }
}

#[test]
fn every_table_is_well_formed_csv() {
    let folder = sample_series();
    let progress = Progress::default();
    let stages = [read_logs, unwind_threads, diagnose];
    let analysis = stages
        .into_iter()
        .fold(decode_all(&folder.analysis), |analysis, stage| stage(&analysis, &progress).expect("nobody cancels"));
    let analysis = Arc::new(analysis);
    for (table, first_title) in [
        (CsvTable::Findings, "pattern"),
        (CsvTable::Dumps, "#"),
        (CsvTable::Uses, "use"),
        (CsvTable::Types, "type"),
        (CsvTable::Regions, "base"),
        (CsvTable::Allocations, "base"),
        (CsvTable::Handles, "type"),
        (CsvTable::Modules, "start"),
        (CsvTable::Symbols, "module"),
        (CsvTable::Threads, "thread"),
        (CsvTable::Cpu, "thread"),
        (CsvTable::ThreadStacks, "top frame"),
        (CsvTable::Stacks, "#"),
        (CsvTable::Heaps, "heap"),
        (CsvTable::BlockSizes, "heap"),
        (CsvTable::Umdh, "#"),
        (CsvTable::UmdhLogs, "#"),
        (CsvTable::Log, "kind"),
    ] {
        let rows = csv_rows(&csv_report(&analysis, table, None));
        let (head, body) = rows.split_first().expect("a head");
        assert_eq!(head[0], first_title, "{table:?}");
        assert!(body.iter().all(|row| row.len() == head.len()), "{table:?}");
        // What is never wrong with the sample is in no log.
        assert!(!body.is_empty() || table == CsvTable::Log, "{table:?}");
    }
    assert_eq!(csv_report(&analysis, CsvTable::UmdhComparison, None), "");
    let of_handles = csv_rows(&csv_report(&analysis, CsvTable::Handles, Some(DumpIdx(3))));
    assert_eq!(of_handles[0], ["type", "growth", "dump 4", "dump 5", "dump 6"]);
    let of_findings = csv_rows(&csv_report(&analysis, CsvTable::Findings, None));
    assert_eq!(of_findings.len(), 15);
    assert_eq!(of_findings[1][..4], ["instrumentation_side_effect", "Instrumentation Side Effect", "found", "certain"]);
}

#[test]
fn csv_has_plain_numbers_and_compares_with_the_baseline() {
    let series = sample_series();
    let cell = |baseline: Option<usize>| {
        let rows = csv_rows(&csv_report(&series.analysis, CsvTable::Uses, baseline.map(DumpIdx)));
        let column = rows[0].iter().position(|title| title == "growth").expect("a column");
        rows.iter().find(|row| row[0] == "all").expect("a row")[column].parse::<i64>().expect("a number")
    };
    let committed_bytes = |index: usize| {
        series.analysis.snapshots[index].address_space.totals.committed_bytes().expect("known").cast_signed()
    };
    assert_eq!(cell(None), committed_bytes(5) - committed_bytes(0));
    assert_eq!(cell(Some(3)), committed_bytes(5) - committed_bytes(3));
}

#[test]
fn nothing_analysed_makes_an_empty_report() {
    let nothing = Arc::new(Analysis::default());
    assert_eq!(text_report(&nothing, None), format!("dumptrend {}\n", env!("CARGO_PKG_VERSION")));
    let report: Value = serde_json::from_str(&json_report(&nothing, None).expect("a report")).expect("valid JSON");
    assert_eq!((&report["process"], &report["dumps"]), (&Value::Null, &serde_json::json!([])));
    assert_eq!(csv_report(&nothing, CsvTable::Uses, None), "");
}
