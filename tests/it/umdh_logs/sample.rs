//! The logs of the sample: only fluctuation, as the case has it, beside the dumps and named by them.

use std::sync::Arc;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::run::{decode_traces, read_logs};
use dumptrend::analysis::series::shape::Shape;
use dumptrend::analysis::series::umdh_group::Zone;
use dumptrend::analysis::series::umdh_join::PointSource;
use dumptrend::base::ids::{DumpIdx, LogIdx};
use dumptrend::base::progress::Progress;
use dumptrend::present::traces::leading::SkipRules;
use dumptrend::present::umdh::{UmdhNaming, series_lines, stack_text};
use dumptrend::report::csv::{CsvTable, csv_report};
use dumptrend::report::json::json_report;
use serde_json::Value;

use crate::support::sample_series::sample_series;

fn read() -> Arc<Analysis> {
    let decoded = decode_traces(&sample_series().analysis, &Progress::default()).expect("nobody cancels");
    Arc::new(read_logs(&decoded, &Progress::default()).expect("nobody cancels"))
}

#[test]
fn logs_and_dumps_share_the_axis() {
    let analysis = read();
    let [group] = &analysis.log_groups[..] else { panic!("one process") };
    assert_eq!((group.dumps, group.logs.len()), (Some(0), 6));
    assert_eq!(analysis.logs[0].time.zone, Zone::OfDump { bias_minutes: -120 });
    let series = analysis.umdh_of(group).expect("read");
    let sources: Vec<PointSource> = series.points.iter().map(|point| point.source).collect();
    let expect: Vec<PointSource> =
        (0..6).flat_map(|n| [PointSource::Log(LogIdx(n)), PointSource::Dump(DumpIdx(n))]).collect();
    assert_eq!(sources, expect, "each log was taken in the minute of its dump, before it");
    assert!(!analysis.has_damage());
}

#[test]
fn every_stack_fluctuates_and_none_leaks() {
    let analysis = read();
    let series = analysis.umdh_of(&analysis.log_groups[0]).expect("read");
    assert_eq!(series.stacks.len(), 20);
    for stack in 0..20 {
        let judgement = series.judgement(stack).expect("six logs");
        assert_eq!((judgement.shape, judgement.net_bytes), (Shape::Fluctuation, -8), "stack {stack}");
    }
    assert_eq!(series.judge_total().expect("six logs").shape, Shape::Fluctuation);
    assert!(series_lines(series)[0].contains("none leaks, 20 fluctuate"));
}

#[test]
fn a_stack_of_a_log_is_one_of_the_database() {
    let analysis = read();
    let series = analysis.umdh_of(&analysis.log_groups[0]).expect("read");
    let last = series.point_of(PointSource::Dump(DumpIdx(5))).expect("a point");
    let entries: u64 = (0..20).map(|stack| series.amount(stack, last).entry_count.expect("known")).sum();
    assert_eq!(entries, 148_863, "all entries of the database are of the stacks in the logs");
    // A dump's heaps are not in its traces.
    assert_eq!(series.amount(0, last).requested_bytes, None);
}

#[test]
fn addresses_have_the_names_of_the_dump() {
    let analysis = read();
    let group = &analysis.log_groups[0];
    let names = Arc::new(analysis.umdh_names_of(group));
    assert!(names.modules().iter().all(|module| module.is_of_dump));
    let naming = UmdhNaming { names, rules: Arc::new(SkipRules::default()) };
    let series = analysis.umdh_of(group).expect("read");
    let text = stack_text(series, &naming, 0);
    insta::with_settings!({ snapshot_path => "../snapshots" }, { insta::assert_snapshot!("stack_of_a_log", text) });
}

#[test]
fn the_json_report_has_each_log_with_its_entries() {
    let analysis = read();
    let report: Value = serde_json::from_str(&json_report(&analysis, None).expect("a report")).expect("JSON");
    let logs = report["umdh"].as_array().expect("a list");
    assert_eq!(logs.len(), 6);
    let (first, last) = (&logs[0], &logs[5]);
    assert_eq!((&first["file"], &first["kind"]), (&Value::from("allocfree-1.log"), &Value::from("raw")));
    assert_eq!((&first["time"], &first["time_zone"]), (&Value::from("2011-05-12T10:08:00Z"), &Value::from("dump")));
    let of_dump = report["dumps"][0]["modules"][1]["pdb_id"].clone();
    assert!(of_dump.is_string());
    assert_eq!((&first["modules"][1]["pdb_id"], &first["modules"][1]["is_of_dump"]), (&of_dump, &Value::from(true)));
    assert_eq!(first["entries"][0]["bytes_delta"], Value::Null, "there is no log before the first");
    assert!(last["entries"][0]["bytes_delta"].is_i64());
    let requested = |log: &Value| log["total_requested_bytes"].as_i64().expect("a number");
    assert_eq!(last["total_requested_delta_bytes"], Value::from(requested(last) - requested(&logs[4])));
    let sum: i64 =
        last["entries"].as_array().expect("entries").iter().map(|e| e["bytes"].as_i64().expect("bytes")).sum();
    assert_eq!(sum, requested(last));
    let stack = &report["umdh_series"][0]["stacks"][0];
    assert_eq!(
        (&stack["shape"], stack["bytes_per_log"].as_array().map(Vec::len)),
        (&Value::from("fluctuation"), Some(6))
    );
}

#[test]
fn the_csv_table_has_a_row_for_each_stack() {
    let csv = csv_report(&read(), CsvTable::Umdh, None);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 21);
    assert_eq!(lines[0], "#,leading frame,shape,trend,log 1,log 6,growth,Δ blocks,range,turns,BackTrace");
    // From the baseline on: its log is the first of the two.
    assert!(
        csv_report(&read(), CsvTable::Umdh, Some(DumpIdx(2))).starts_with("#,leading frame,shape,trend,log 3,log 6")
    );
}
