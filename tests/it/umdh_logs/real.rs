//! The real comparison of two logs of notepad.exe, and what our own exporter writes, read back.

use std::sync::Arc;

use dumptrend::analysis::run::read_logs;
use dumptrend::base::addr::Va;
use dumptrend::base::progress::Progress;
use dumptrend::input::umdh::{self, Contents, LogKind, Radix};
use dumptrend::report::text::text_report;
use dumptrend::report::umdh::write_umdh;

use crate::support::sample_series::{analyse, sample_series};
use crate::support::shared::shared_file;

#[test]
fn the_comparison_of_notepad_has_all_entries_and_totals() {
    let Some(path) = shared_file("umdh/notepad-comparison.txt") else { return };
    let file = umdh::open(&path).expect("a log");
    assert_eq!((file.kind, file.image()), (LogKind::Comparison, Some("notepad")));
    assert_eq!((file.modules.len(), file.modules[0].range.start), (112, Va(0x7ff7_38ec_0000)));
    let Contents::Comparison(found) = umdh::read(&file, &Progress::default()).expect("nobody cancels") else {
        panic!("a comparison")
    };
    let totals = found.totals.expect("a closing line");
    assert_eq!((found.entry_count, found.entries.len()), (734, 734));
    assert_eq!((found.radix, found.adds_up()), (Radix::Decimal, Some(true)), "{}", found.radix_reason);
    assert_eq!(totals.requested_delta_bytes, Some(865_847));
    assert_eq!((totals.overhead_delta_bytes, totals.all_delta_bytes), (Some(42_969), 908_816));
    assert_eq!(found.sum_delta_bytes, 865_847, "the entries have no overhead, so they add up to what was requested");
    let counts: u64 = found.entries.iter().map(|entry| entry.after_count).sum();
    assert_eq!(counts, 935);
    let unresolved = found
        .entries
        .iter()
        .flat_map(|entry| &entry.frames)
        .filter(|id| found.frames.frame(**id).is_some_and(|frame| frame.address.is_some() && frame.name.is_some()));
    assert!(unresolved.count() > 100);
    let lines = found.entries.iter().flat_map(|entry| &entry.frames);
    assert!(lines.filter(|id| found.frames.frame(**id).is_some_and(|frame| frame.source.is_some())).count() > 50);
    assert!(found.problems.is_empty() && file.problems.is_empty(), "{:?}", found.problems);
}

#[test]
fn a_comparison_alone_is_a_report() {
    let Some(path) = shared_file("umdh/notepad-comparison.txt") else { return };
    let analysis = read_logs(&analyse(&[path]), &Progress::default()).expect("nobody cancels");
    insta::with_settings!({ snapshot_path => "../snapshots" }, { insta::assert_snapshot!("comparison_alone", text_report(&Arc::new(analysis), None)) });
}

#[test]
fn our_own_log_of_a_dump_reads_back() {
    let series = sample_series();
    let snapshot = &series.analysis.snapshots[0];
    let mut text = Vec::new();
    let written = write_umdh(snapshot, &Progress::default(), &mut text).expect("a log");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("of-dump.log");
    std::fs::write(&path, &text).expect("written");
    let file = umdh::open(&path).expect("a log");
    assert!(file.header.is_utc && file.problems.is_empty());
    let modules = snapshot.dump.modules.as_ref().expect("modules");
    let listed: Vec<_> = file.modules.iter().map(|module| (module.range, Some(module.path.clone()))).collect();
    let expect: Vec<_> = modules.iter().map(|module| (module.range(), module.path.clone())).collect();
    assert_eq!(listed, expect);
    let Contents::Raw(log) = umdh::read(&file, &Progress::default()).expect("nobody cancels") else {
        panic!("a raw log")
    };
    assert_eq!((log.total.block_count, log.stacks.len() as u64), (written.block_count, written.stack_count));
    assert_eq!(log.heaps[0].base, Some(Va(0x1b_0000)));
    assert!(log.problems.is_empty(), "{:?}", log.problems);
    // Among the dumps it stands on their axis.
    let dump = snapshot.dump.path.clone();
    let analysis = analyse(&[dump, path]);
    assert_eq!(analysis.log_groups[0].dumps, Some(0));
    assert_eq!(analysis.logs[0].time.utc.map(|time| time.to_string()).as_deref(), Some("2011-05-12T10:08:00Z"));
}
