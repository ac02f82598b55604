//! Several dumps as one series: order, copies, mixed processes, and what became of each allocation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::series::allocations::{Fate, allocation_changes, fate_totals};
use dumptrend::analysis::series::delta::{committed_change, usage_change};
use dumptrend::analysis::series::equal_sizes::{EqualSizes, equal_sizes};
use dumptrend::analysis::series::group::ProcessGroup;
use dumptrend::analysis::series::threads::{ThreadHistory, thread_histories};
use dumptrend::analysis::snapshot::ProcessIdentity;
use dumptrend::base::addr::Va;
use dumptrend::base::ids::DumpIdx;
use dumptrend::base::progress::Progress;
use dumptrend::base::time::UtcTime;
use dumptrend::base::units::ByteDelta;
use dumptrend::present::table::{TableModel, to_text};
use dumptrend::present::uses::{Division, UseTable};
use dumptrend::process::regions::usage::Usage;
use dumptrend::sample::minidump_file::{MemoryInfo, MinidumpFile, Module};
use tempfile::TempDir;

use crate::support::build_dump::{NEW_YEAR_UNIX_SECONDS, private, private_of, reserved_of, snapshot, windows_7};
use crate::support::build_process::Process;
use crate::support::sample_series::analyse;

/// Dumps in a folder of their own.
struct Folder(TempDir);

impl Folder {
    fn new(dumps: &[(&str, MinidumpFile)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder"));
        for (name, dump) in dumps {
            dump.write_to(&folder.path(name)).expect("the dump is written");
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn analyse(&self) -> Analysis {
        analyse(&[self.0.path().to_owned()])
    }
}

/// Compares the files in the order of the series, and the starts of the notes.
fn check(analysis: &Analysis, files: &[&str], notes: &[&str]) {
    let names: Vec<_> = analysis.snapshots.iter().map(|snapshot| snapshot.file_name()).collect();
    assert_eq!(names, files);
    let texts: Vec<_> = analysis.notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(texts.len(), notes.len(), "{texts:?}");
    for (text, start) in texts.iter().zip(notes) {
        assert!(text.starts_with(start), "{text:?} does not start with {start:?}");
    }
}

fn dump_numbers(analysis: &Analysis) -> Vec<Vec<usize>> {
    analysis.groups.iter().map(|group| group.dumps.iter().map(|dump| dump.0).collect()).collect()
}

#[test]
fn dumps_are_in_the_order_of_their_times_not_of_their_names() {
    let dumps =
        [("c.dmp", 1), ("a.mdmp", 3), ("b.HDMP", 2)].map(|(name, hours)| (name, Process::after_hours(hours).dump()));
    let analysis = Folder::new(&dumps).analyse();
    check(&analysis, &["c.dmp", "b.HDMP", "a.mdmp"], &[]);
    assert_eq!(dump_numbers(&analysis), [[0, 1, 2]]);
    assert!(!analysis.has_damage());
}

#[test]
fn dumps_of_equal_times_are_in_the_order_of_their_names_and_that_is_said() {
    let dump = |user_100ns| Process { user_100ns, ..Process::default() }.dump();
    let analysis = Folder::new(&[("d-10.dmp", dump(1)), ("d-9.dmp", dump(2))]).analyse();
    let note = "dumps with the same time, 2020-01-01 01:00:00 UTC, are in the order of their names: d-9.dmp, d-10.dmp";
    check(&analysis, &["d-9.dmp", "d-10.dmp"], &[note]);
}

#[test]
fn a_dump_without_a_time_comes_last() {
    let timeless = Process { dump_unix_seconds: 0, ..Process::default() }.dump();
    let analysis = Folder::new(&[("a.dmp", timeless), ("b.dmp", Process::default().dump())]).analyse();
    check(&analysis, &["b.dmp", "a.dmp"], &[]);
}

#[test]
fn a_file_named_twice_is_used_once() {
    let folder = Folder::new(&[("a.dmp", Process::default().dump())]);
    let twice = [folder.path("a.dmp"), folder.0.path().to_owned(), folder.0.path().join("./a.dmp")];
    let note = "named more than once and used once: ";
    check(&analyse(&twice), &["a.dmp"], &[note, note]);
}

#[test]
fn a_copy_is_left_out() {
    let dump = Process::default().dump();
    let folder = Folder::new(&[("a.dmp", dump.clone()), ("copy of a.dmp", dump)]);
    let note = format!("left out as a copy of a.dmp: {}", folder.path("copy of a.dmp").display());
    check(&folder.analyse(), &["a.dmp"], &[&note]);
}

#[test]
fn a_dump_that_differs_in_its_middle_is_no_copy() {
    let dump = Process::default().dump();
    let mut bytes = dump.to_bytes().expect("the dump is written");
    let folder = Folder::new(&[("a.dmp", dump)]);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(folder.path("b.dmp"), bytes).expect("written");
    check(&folder.analyse(), &["a.dmp", "b.dmp"], &["dumps with the same time, "]);
}

#[test]
fn a_baseline_without_a_later_dump_compares_the_whole_series() {
    let group = ProcessGroup {
        identity: ProcessIdentity { image: None, pid: None, created: None },
        dumps: vec![DumpIdx(0), DumpIdx(2), DumpIdx(3)],
    };
    let compared = |baseline: Option<usize>| {
        group.compared_dumps(baseline.map(DumpIdx)).iter().map(|dump| dump.0).collect::<Vec<_>>()
    };
    assert_eq!(compared(Some(2)), [2, 3]);
    assert_eq!(compared(Some(3)), [0, 2, 3]);
    // Dump 1 is of another process.
    assert_eq!(compared(Some(1)), [0, 2, 3]);
    assert_eq!(compared(None), [0, 2, 3]);
}

#[test]
fn two_processes_are_grouped_the_one_with_more_dumps_first() {
    let other = Process { image: "other.exe", pid: Some(7), ..Process::after_hours(1) };
    let analysis = Folder::new(&[
        ("a.dmp", other.dump()),
        ("b.dmp", Process::after_hours(2).dump()),
        ("c.dmp", Process::after_hours(3).dump()),
    ])
    .analyse();
    let note = "these dumps are of 2 processes, which are compared each for itself: app.exe (pid 4660, started 2020-01-01 \
                00:00:00 UTC): b.dmp, c.dmp; other.exe (pid 7, started 2020-01-01 00:00:00 UTC): a.dmp";
    check(&analysis, &["a.dmp", "b.dmp", "c.dmp"], &[note]);
    assert_eq!(dump_numbers(&analysis), [vec![1, 2], vec![0]]);
    assert_eq!(analysis.main_group().and_then(|group| group.identity.image.as_deref()), Some("app.exe"));
}

#[test]
fn a_process_started_again_under_its_old_id_is_another() {
    let again = Process { created_unix_seconds: NEW_YEAR_UNIX_SECONDS + 60, ..Process::after_hours(2) };
    let analysis = Folder::new(&[("a.dmp", Process::after_hours(1).dump()), ("b.dmp", again.dump())]).analyse();
    assert_eq!(dump_numbers(&analysis), [[0], [1]]);
}

#[test]
fn a_dump_without_misc_info_joins_the_process_of_its_image() {
    let nameless = Process { pid: None, ..Process::after_hours(2) };
    let upper_case = Process { image: "APP.EXE", ..Process::after_hours(3) };
    let analysis = Folder::new(&[
        ("a.dmp", Process::after_hours(1).dump()),
        ("b.dmp", nameless.dump()),
        ("c.dmp", upper_case.dump()),
    ])
    .analyse();
    check(&analysis, &["a.dmp", "b.dmp", "c.dmp"], &[]);
    assert_eq!(dump_numbers(&analysis), [[0, 1, 2]]);
}

#[test]
fn dumps_of_both_bitnesses_of_one_process_are_remarked() {
    let narrow = MinidumpFile::new(0, NEW_YEAR_UNIX_SECONDS).system_info(windows_7(0)).modules(vec![Module {
        path: "app.exe".to_owned(),
        size_bytes: 0x1000,
        ..Module::default()
    }]);
    let analysis = Folder::new(&[("32.dmp", narrow), ("64.dmp", Process::default().dump())]).analyse();
    check(&analysis, &["32.dmp", "64.dmp"], &["some dumps of this process were written by a 32-bit tool and see only"]);
}

#[test]
fn one_unreadable_file_does_not_keep_the_others_back() {
    let folder = Folder::new(&[("a.dmp", Process::after_hours(1).dump()), ("c.dmp", Process::after_hours(2).dump())]);
    std::fs::write(folder.path("b.dmp"), "not a dump").expect("written");
    std::fs::create_dir(folder.path("folder.dmp")).expect("made");
    let analysis = folder.analyse();
    check(&analysis, &["a.dmp", "c.dmp"], &[]);
    let failed: Vec<&Path> = analysis.failures.iter().map(|failure| failure.path.as_path()).collect();
    assert_eq!(failed, [folder.path("b.dmp")]);
    assert!(analysis.has_damage());
}

#[test]
fn a_cancelled_analysis_says_so() {
    let progress = Progress::default();
    progress.cancel();
    let folder = Folder::new(&[("a.dmp", Process::default().dump())]);
    assert!(dumptrend::analysis::run::run(&[folder.path("a.dmp")], &progress).is_err());
}

/// What became of the allocation at `base`, and by how much its committed memory changed.
fn fate(from: &[MemoryInfo], to: &[MemoryInfo], base: u64) -> Option<(Fate, i128)> {
    let taken = |regions: &[MemoryInfo]| snapshot(&Process::default().with_regions(regions.to_vec()).dump());
    let changes = allocation_changes(&taken(from), &taken(to));
    let change = changes.iter().find(|change| change.latest().is_some_and(|latest| latest.range.start.0 == base))?;
    Some((change.fate(), change.committed_delta().0))
}

#[test]
fn allocations_are_born_grow_shrink_and_go() {
    const AT: u64 = 0x100_0000;
    let small = [private_of(AT, AT, 0x1000), reserved_of(AT, AT + 0x1000, 0x3000)];
    let large = [private_of(AT, AT, 0x3000), reserved_of(AT, AT + 0x3000, 0x1000)];
    assert_eq!(fate(&[], &small, AT), Some((Fate::Born, 0x1000)));
    assert_eq!(fate(&small, &large, AT), Some((Fate::Grew, 0x2000)));
    assert_eq!(fate(&large, &small, AT), Some((Fate::Shrank, -0x2000)));
    assert_eq!(fate(&small, &[], AT), Some((Fate::Gone, -0x1000)));
    assert_eq!(fate(&small, &small, AT), Some((Fate::Same, 0)));
}

#[test]
fn an_allocation_of_another_extent_at_the_same_base_is_a_new_one() {
    let taken = |regions| snapshot(&Process::default().with_regions(regions).dump());
    let (before, after) = (taken(vec![private(0x100_0000, 0x1000)]), taken(vec![private(0x100_0000, 0x5000)]));
    let totals = fate_totals(&allocation_changes(&before, &after));
    assert_eq!(totals.get(&Fate::Born), Some(&(1, ByteDelta(0x5000))));
    assert_eq!(totals.get(&Fate::Gone), Some(&(1, ByteDelta(-0x1000))));
    assert_eq!(totals.get(&Fate::Grew), None);
}

#[test]
fn many_allocations_of_one_size_are_recognised_with_their_longest_run() {
    let at = |index: u64| 0x100_0000 + index * 0x1_0000;
    // A foreign allocation stands where the twentieth would, and 31 of another size are too few to tell.
    let mut regions: Vec<MemoryInfo> =
        (0..40).filter(|index| *index != 20).map(|index| private(at(index), 0xf000)).collect();
    regions.push(private(at(20), 0x2000));
    regions.extend((100..131).map(|index| private(at(index), 0x3000)));
    let taken = snapshot(&Process::default().with_regions(regions).dump());
    let expect = EqualSizes {
        size_bytes: 0xf000,
        usage: Usage::Unknown,
        count: 39,
        committed_bytes: 39 * 0xf000,
        longest_run_count: 20,
        first: Va(at(0)),
    };
    assert_eq!(equal_sizes(&taken), [expect]);
}

fn total_ns_per_interval(history: &ThreadHistory) -> Vec<Option<u64>> {
    history.cpu_per_interval.iter().map(|spent| spent.map(|spent| spent.total_ns())).collect()
}

#[test]
fn a_threads_time_is_counted_from_dump_to_dump() {
    let dump = |hours, user_100ns| Arc::new(snapshot(&Process { user_100ns, ..Process::after_hours(hours) }.dump()));
    let reused_id = Process { created_unix_seconds: NEW_YEAR_UNIX_SECONDS + 3 * 3600, ..Process::after_hours(4) };
    let snapshots =
        [dump(1, 10), dump(2, 25), dump(3, 25), Arc::new(snapshot(&Process { user_100ns: 7, ..reused_id }.dump()))];
    let histories = thread_histories(&snapshots);
    let shown: Vec<_> = histories.iter().map(|history| (history.created, total_ns_per_interval(history))).collect();
    let created = |hours: u32| UtcTime::from_unix_seconds(NEW_YEAR_UNIX_SECONDS + hours * 3600);
    assert_eq!(
        shown,
        [
            (created(0), vec![Some(1500), Some(0), None]),
            // Not in the dump before, although created within the second of its time stamp: all its time came after.
            (created(3), vec![None, None, Some(700)]),
        ]
    );
}

/// Without the heap's memory nobody can tell what of the process is heap, so what nothing claims is more than before.
#[test]
fn memory_of_unknown_use_is_not_compared_where_one_dump_cannot_tell_the_others() {
    let process = Process::after_hours(2).with_regions(vec![private(0x100_0000, 0x1000)]);
    let whole = snapshot(&Process { dump_unix_seconds: NEW_YEAR_UNIX_SECONDS, ..process.clone() }.dump());
    let without_tebs = snapshot(&process.dump_without_memory().memory_infos(process.memory_infos()));
    let unknown = usage_change(&whole, &without_tebs, Usage::Unknown);
    assert_eq!((unknown.from_bytes, unknown.to_bytes, unknown.delta()), (Some(0x1000), Some(0xd000), None));
    assert_eq!(committed_change(&whole, &without_tebs).delta(), Some(ByteDelta(0)));
    assert_eq!(usage_change(&whole, &whole, Usage::Unknown).delta(), Some(ByteDelta(0)));
    assert_eq!(usage_change(&whole, &without_tebs, Usage::Heap).delta(), None);
    assert_eq!(usage_change(&whole, &without_tebs, Usage::Image).delta(), Some(ByteDelta(0)));
}

#[test]
fn the_use_table_has_both_ends_growth_share_and_slope() {
    let dump =
        |hours, size_bytes| Process::after_hours(hours).with_regions(vec![private(0x100_0000, size_bytes)]).dump();
    let folder =
        Folder::new(&[("1.dmp", dump(1, 0x10_0000)), ("2.dmp", dump(2, 0x20_0000)), ("3.dmp", dump(3, 0x30_0000))]);
    let interval = (0..3).map(DumpIdx).collect();
    let table = UseTable::new(Arc::new(folder.analyse()), Division::Use, interval);
    let rows: Vec<usize> = (0..table.row_count()).collect();
    insta::assert_snapshot!("use_table", to_text(&table, &rows));
}
