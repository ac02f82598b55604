//! The sample series through the real pipeline, against the figures of the case.

use std::sync::Arc;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::series::threads::thread_histories;
use dumptrend::analysis::snapshot::Snapshot;
use dumptrend::base::addr::Va;
use dumptrend::present::headline::headline;
use dumptrend::present::regions::windbg_line;
use dumptrend::present::threads::runaway_text;
use dumptrend::process::heap::head::HeapKind;
use dumptrend::process::peb::global_flag;
use dumptrend::process::regions::State;
use dumptrend::process::regions::usage::Usage;
use dumptrend::sample::{SampleOptions, Variant};

use crate::support::sample_series::{analyse, case_a, sample_series, write};
use crate::support::shared::{bytes_of, shared_file};

fn last_dump(analysis: &Analysis) -> &Arc<Snapshot> {
    analysis.snapshots.last().expect("a dump")
}

/// The regions of the allocation at `base`, as start, size and state.
fn check_allocation(snapshot: &Snapshot, base: u64, expect: &[(u64, u64, State)]) {
    let regions = snapshot.address_space.regions.iter();
    let shown: Vec<_> = regions
        .filter(|region| region.allocation_base == Some(Va(base)))
        .map(|region| (region.range.start.0, region.range.size_bytes(), region.state))
        .collect();
    assert_eq!(shown, expect);
}

#[test]
fn the_last_dump_has_the_database_of_dump_b_to_the_byte() {
    let series = sample_series();
    check_allocation(
        last_dump(&series.analysis),
        0x1b_0000,
        &[
            (0x1b_0000, 0x16d_c000, State::Commit),
            (0x188_c000, 0x1000, State::Reserve),
            (0x188_d000, 0x12_3000, State::Commit),
        ],
    );
}

#[test]
fn the_variant_has_the_database_of_dump_a() {
    check_allocation(
        last_dump(&case_a()),
        0x24_0000,
        &[
            (0x24_0000, 0xd_2000, State::Commit),
            (0x31_2000, 0x172_5000, State::Reserve),
            (0x1a3_7000, 0x9000, State::Commit),
        ],
    );
}

#[test]
fn the_first_dump_of_the_series_has_the_sizes_of_dump_a() {
    let series = sample_series();
    check_allocation(
        &series.analysis.snapshots[0],
        0x1b_0000,
        &[
            (0x1b_0000, 0xd_2000, State::Commit),
            (0x28_2000, 0x172_5000, State::Reserve),
            (0x19a_7000, 0x9000, State::Commit),
        ],
    );
}

#[test]
fn a_region_reads_as_in_the_listing_of_the_case_but_for_its_use() {
    let series = sample_series();
    let snapshot = last_dump(&series.analysis);
    let region = snapshot.address_space.region_at(Va(0x1b_0000)).expect("the database");
    let words: Vec<String> = windbg_line(region, snapshot).split_whitespace().map(str::to_owned).collect();
    let listed = "0`001b0000 0`0188c000 0`016dc000 MEM_PRIVATE MEM_COMMIT PAGE_READWRITE";
    assert_eq!(words[..6].join(" "), listed);
}

#[test]
fn the_thread_times_read_as_runaway_printed_them() {
    let series = sample_series();
    let text = runaway_text(last_dump(&series.analysis), 10);
    let Some(path) = shared_file("facts/case-allocfree/runaway.txt") else { return };
    let listing = String::from_utf8(bytes_of(&path)).expect("text");
    let after_prompt = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.contains('>')).map(|line| line.trim_end().to_owned()).collect()
    };
    assert_eq!(after_prompt(&text), after_prompt(&listing));
    assert!(text.contains("0:53b8"));
}

#[test]
fn the_process_is_that_of_the_case() {
    let series = sample_series();
    let analysis = &series.analysis;
    assert_eq!(analysis.snapshots.len(), 6);
    assert_eq!((analysis.groups.len(), analysis.notes.len(), analysis.failures.len()), (1, 0, 0));
    for snapshot in &analysis.snapshots {
        assert_eq!(snapshot.identity.image.as_deref(), Some("AllocFree.exe"));
        assert_eq!(snapshot.identity.pid, Some(0x53b4));
        assert!(snapshot.problems.is_empty(), "{:?}", snapshot.problems);
        let flags: Vec<_> = snapshot.pebs.iter().map(|peb| global_flag::names(peb.nt_global_flag)).collect();
        assert_eq!(flags, [["ust"]]);
        let tids: Vec<_> = snapshot.threads.iter().map(|thread| thread.tid).collect();
        assert_eq!(tids, [0x53b8]);
    }
}

#[test]
fn the_heaps_are_those_of_the_case_and_equal_over_the_series() {
    let series = sample_series();
    let analysis = &series.analysis;
    let heaps = &analysis.snapshots[0].heaps;
    let shown: Vec<_> = heaps.iter().map(|heap| (heap.extent.base.0, heap.extent.flags, heap.extent.kind)).collect();
    let nt = HeapKind::Nt;
    assert_eq!(
        shown,
        [(0x19c_0000, Some(0x0800_0002), nt), (0x1_0000, Some(0x0800_8000), nt), (0x2_0000, Some(0x0800_8000), nt)]
    );
    for snapshot in &analysis.snapshots {
        assert_eq!(&snapshot.heaps, heaps);
        assert_eq!(snapshot.address_space.totals.committed_bytes_of(Usage::Heap), Some((1444 + 64 + 64) * 1024));
    }
}

#[test]
fn the_thread_spins_in_some_intervals_only() {
    let series = sample_series();
    let snapshots = &series.analysis.snapshots;
    let histories = thread_histories(snapshots);
    assert_eq!(histories.len(), 1);
    let seconds: Vec<u64> = snapshots
        .windows(2)
        .map(|pair| {
            let between = pair[1].time().expect("a time").ns_since(pair[0].time().expect("a time"));
            u64::try_from(between).expect("time goes on") / 1_000_000_000
        })
        .collect();
    let cpu = histories[0].cpu_per_interval.iter().map(|spent| spent.expect("known in each interval").total_ns());
    let percent: Vec<u64> = cpu.zip(seconds).map(|(ns, seconds)| ns / 10_000_000 / seconds).collect();
    assert_eq!(percent, [8, 95, 41, 19, 13]);
}

#[test]
fn the_headline_says_what_grew() {
    let series = sample_series();
    let dumps = &series.analysis.groups[0].dumps;
    insta::assert_snapshot!("headline_of_the_series", headline(&series.analysis, dumps));
    insta::assert_snapshot!("headline_of_the_last_dump", headline(&series.analysis, &dumps[5..]));
}

#[test]
fn modules_have_names_versions_and_pdbs() {
    let series = sample_series();
    let modules = last_dump(&series.analysis).dump.modules.as_deref().expect("modules");
    let names: Vec<_> = modules.iter().map(|module| module.file_name()).collect();
    assert_eq!(names.first(), Some(&"AllocFree.exe"));
    assert!(names.contains(&"ntdll.dll"), "{names:?}");
    assert!(modules.iter().all(|module| module.pdb.is_some() && module.size_bytes > 0));
}

#[test]
fn a_size_makes_the_file_and_its_committed_memory_that_large() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = write(folder.path(), SampleOptions { variant: Variant::CaseA, size_bytes_per_dump: Some(1 << 30) });
    let file_bytes = std::fs::metadata(&files[0]).expect("the file").len();
    assert!(((1 << 30)..(1 << 30) + (1 << 20)).contains(&file_bytes), "{file_bytes}");
    let committed_bytes =
        |analysis: &Analysis| last_dump(analysis).address_space.totals.committed_bytes().expect("known");
    let plain = analyse(&write(
        &folder.path().join("plain"),
        SampleOptions { variant: Variant::CaseA, size_bytes_per_dump: None },
    ));
    let grown_bytes = committed_bytes(&analyse(&files)) - committed_bytes(&plain);
    let plain_bytes = last_dump(&plain).dump.file_bytes;
    assert!(grown_bytes.abs_diff(file_bytes - plain_bytes) < 1 << 20, "{grown_bytes} of {file_bytes}");
}

#[test]
fn the_sample_is_the_same_each_time() {
    let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let written = folders.each_ref().map(|folder| write(folder.path(), SampleOptions::default()));
    assert_eq!(written[0].len(), 12);
    for (first, second) in written[0].iter().zip(&written[1]) {
        assert!(bytes_of(first) == bytes_of(second), "{} differs", first.display());
    }
}
