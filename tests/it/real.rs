//! The real dumps: the numbers that WinDbg and the notes beside the dumps give for them.

use std::path::PathBuf;
use std::sync::Arc;

use dumptrend::analysis::series::allocations::{Fate, allocation_changes};
use dumptrend::analysis::series::delta::usage_change;
use dumptrend::analysis::snapshot::Snapshot;
use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::process::heap::head::HeapKind;
use dumptrend::process::regions::usage::{Owner, Usage};
use dumptrend::process::regions::{Completeness, MemoryType, State};
use dumptrend::report::json::json_report;
use serde_json::{Value, json};

use crate::support::sample_series::{analyse, sample_series};
use crate::support::shared::{READABLE_DUMPS, bytes_of, shared_file};

/// Analyses one real dump and hands its snapshot and its JSON to `look`.
fn check(name: &str, look: impl FnOnce(&Snapshot, &Value)) {
    let Some(path) = shared_file(name) else { return };
    let analysis = Arc::new(analyse(&[path]));
    let report: Value = serde_json::from_str(&json_report(&analysis, None).expect("a report")).expect("valid JSON");
    assert_eq!(analysis.snapshots.len(), 1, "{:?}", analysis.failures);
    look(&analysis.snapshots[0], &report["dumps"][0]);
}

const FIZZBUZZ: &str = "dumps/fizzbuzz_wow64.dmp";
const ELECTRON: &str = "dumps/electron.dmp";
const TINY: &str = "dumps/tiny-exe-fastfail.dmp";

#[test]
fn fizzbuzz_has_the_regions_of_its_stream() {
    check(FIZZBUZZ, |snapshot, report| {
        let space = &report["address_space"];
        assert_eq!(space["map"], "complete");
        assert_eq!(space["region_count"], 168);
        assert_eq!(space["region_count_by_state"], json!({ "free": 28, "reserved": 31, "committed": 109 }));
        assert_eq!(report["memory_bytes"], 9_265_152);
        let records = snapshot.dump.memory_info.as_deref().expect("memory info");
        let committed =
            |kind| records.iter().filter(|record| record.state == 0x1000 && record.memory_type == kind).count();
        assert_eq!([0x2_0000, 0x4_0000, 0x100_0000].map(committed), [13, 7, 89]);
    });
}

#[test]
fn fizzbuzz_has_two_pebs_and_tebs_of_both_widths() {
    check(FIZZBUZZ, |snapshot, report| {
        assert_eq!(
            report["pebs"],
            json!([{ "base": "0x7efdf000", "pointer_bits": 64 }, { "base": "0x7efde000", "pointer_bits": 32 }])
        );
        assert_eq!(
            report["tebs"],
            json!([
                { "base": "0x7efdb000", "tid": 13456, "pointer_bits": 64 },
                { "base": "0x7efdd000", "tid": 13456, "pointer_bits": 32 }
            ])
        );
        assert_eq!((&report["wow64"], &report["arch"]), (&json!(true), &json!("x64")));
        assert_eq!(report["address_space"]["by_usage"]["peb"]["region_count"], 2);
        assert_eq!(report["address_space"]["by_usage"]["teb"]["region_count"], 2);
        assert_eq!(snapshot.main_peb().map(|peb| peb.base), Some(Va(0x7efd_e000)));
        assert_eq!(report["command_line"], "fizzbuzz");
        assert_eq!(report["os"]["version"], "6.1.7601");
    });
}

#[test]
fn fizzbuzz_has_five_nt_heaps() {
    check(FIZZBUZZ, |snapshot, report| {
        let heaps: Vec<_> = snapshot.heaps.iter().map(|heap| (heap.extent.base.0, heap.extent.width)).collect();
        let (wide, narrow) = (PointerWidth::Bits64, PointerWidth::Bits32);
        assert_eq!(
            heaps,
            [(0x50_0000, wide), (0x1_0000, wide), (0x2_0000, wide), (0x70_0000, narrow), (0x46_0000, narrow)]
        );
        assert!(snapshot.heaps.iter().all(|heap| heap.extent.kind == HeapKind::Nt && heap.extent.is_whole));
        // The heap of the program has one large block, the front end's own memory.
        assert_eq!(report["heaps"][3]["virtual_block_count"], 1);
        assert!(report["address_space"]["by_usage"]["heap"]["committed_bytes"].as_u64() > Some(0));
    });
}

#[test]
fn fizzbuzz_has_stacks_of_both_halves() {
    check(FIZZBUZZ, |snapshot, _| {
        for width in [PointerWidth::Bits32, PointerWidth::Bits64] {
            let owner = Owner::Thread { tid: 13456, width };
            let regions = snapshot.address_space.regions.iter();
            let stack: Vec<_> =
                regions.filter(|region| region.usage == Usage::Stack && region.owner == owner).collect();
            assert!(stack.iter().any(|region| region.state == State::Commit), "{width:?}");
            assert!(stack.iter().any(|region| region.state == State::Reserve), "{width:?}");
            assert!(stack.iter().all(|region| region.memory_type == Some(MemoryType::Private)), "{width:?}");
        }
    });
}

#[test]
fn fizzbuzz_has_its_cpu_times_and_no_damage() {
    check(FIZZBUZZ, |snapshot, report| {
        assert_eq!(report["threads"][0]["kernel_ns"], 31_200_200);
        assert_eq!(report["threads"][0]["user_ns"], 15_600_100);
        assert!(!snapshot.problems.has_damage(), "{:?}", snapshot.problems);
        assert_eq!(report["problems"], json!([]));
    });
}

#[test]
fn what_the_peb_points_into_private_memory_is_claimed_only_where_it_begins() {
    let count = |snapshot: &Snapshot, name: &str| {
        let regions = snapshot.address_space.regions.iter();
        regions.filter(|region| matches!(region.owner, Owner::Named(other) if other == name)).count()
    };
    check(ELECTRON, |snapshot, _| {
        // They lie in the process heap there.
        assert_eq!((count(snapshot, "Process Parameters"), count(snapshot, "Environment Block")), (0, 0));
        assert_eq!(count(snapshot, "API Set Map"), 1);
    });
    let sample = sample_series();
    assert_eq!(count(&sample.analysis.snapshots[5], "Process Parameters"), 1);
}

#[test]
fn electron_has_its_regions_threads_and_handles() {
    check(ELECTRON, |snapshot, report| {
        assert_eq!(report["address_space"]["region_count"], 22_014);
        assert_eq!(report["handle_count"], 676);
        assert_eq!(report["threads"].as_array().map(Vec::len), Some(47));
        assert_eq!(snapshot.dump.thread_names.len(), 47);
        assert_eq!(report["threads"][0]["name"], "CrBrowserMain");
        assert_eq!(report["global_flag"], json!({ "value": "0x2000000", "names": ["hpa"] }));
        assert_eq!(report["os"]["build"], 26_200);
        let reserved_bytes = report["address_space"]["reserved_bytes"].as_u64().expect("a number");
        assert_eq!(reserved_bytes / 1_000_000_000, 3711);
    });
}

#[test]
fn electron_does_not_tell_its_heaps_nor_cpu_times() {
    check(ELECTRON, |snapshot, report| {
        assert_eq!(snapshot.pebs.len(), 1);
        for absent in ["heap", "page_heap", "stack_trace_database"] {
            assert_eq!(report["address_space"]["by_usage"][absent], Value::Null, "{absent}");
        }
        assert_eq!(report["heaps"], Value::Null);
        assert_eq!(report["threads"][0]["user_ns"], Value::Null);
        let heap_list =
            |problem: &Value| problem["text"].as_str().is_some_and(|text| text.starts_with("names 1 process heaps"));
        assert!(report["problems"].as_array().expect("a list").iter().any(heap_list));
    });
}

#[test]
fn tiny_has_its_flag_and_build_but_no_map() {
    check(TINY, |snapshot, report| {
        assert_eq!(report["global_flag"]["value"], "0x400");
        assert_eq!(report["os"]["build"], 19_042);
        assert_eq!(snapshot.pebs.iter().map(|peb| peb.os_build).collect::<Vec<_>>(), [19_042]);
        assert_eq!(report["command_line"], r#""D:\chromium\src\out\release\tiny.exe""#);
        assert_eq!(report["address_space"]["map"], "partial");
    });
}

#[test]
fn small_dumps_have_partial_maps_without_totals() {
    for name in READABLE_DUMPS.iter().filter(|name| ![FIZZBUZZ, ELECTRON].contains(name)) {
        check(name, |snapshot, report| {
            let space = &report["address_space"];
            assert_eq!(snapshot.address_space.completeness, Completeness::Partial, "{name}");
            assert!(!snapshot.address_space.regions.is_empty(), "{name}");
            for total in ["region_count", "committed_bytes", "reserved_bytes", "free_bytes", "largest_free_bytes"] {
                assert_eq!(space[total], Value::Null, "{name}: {total}");
            }
            let groups = ["by_type", "by_usage"].map(|key| space[key].as_object().expect("an object"));
            assert!(groups.iter().flat_map(|group| group.values()).all(Value::is_null), "{name}");
        });
    }
}

/// The same process an hour later, and once more as a file that was cut off.
#[test]
fn a_series_of_a_real_process_is_one_process_and_a_cut_dump_has_no_false_growth() {
    let Some(path) = shared_file(FIZZBUZZ) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut file = bytes_of(&path);
    let time_unix_seconds = u32::from_le_bytes(file[20..24].try_into().expect("four bytes"));
    for (name, hours, file_bytes) in [("1.dmp", 0, file.len()), ("2.dmp", 1, file.len()), ("3.dmp", 2, file.len() / 2)]
    {
        file[20..24].copy_from_slice(&(time_unix_seconds + hours * 3600).to_le_bytes());
        std::fs::write(folder.path().join(name), &file[..file_bytes]).expect("written");
    }
    let analysis = analyse(&[folder.path().to_owned()]);
    assert_eq!((analysis.groups.len(), analysis.snapshots.len(), analysis.notes.len()), (1, 3, 0));
    let [first, second, cut] = analysis.snapshots.as_slice() else { panic!("three dumps") };
    assert_eq!(allocation_changes(first, second).iter().filter(|change| change.fate() != Fate::Same).count(), 0);
    assert!(cut.problems.has_damage() && !first.problems.has_damage());
    for usage in Usage::IN_USE {
        let delta = usage_change(first, cut, usage).delta();
        assert!(delta.is_none_or(|delta| delta.0 == 0), "{usage:?} changed by {delta:?}");
    }
}

/// Three real dumps of other processes, of three widths and ages, in one analysis.
#[test]
fn dumps_of_several_processes_are_told_apart() {
    let names = [FIZZBUZZ, ELECTRON, TINY];
    let paths: Vec<PathBuf> = names.iter().filter_map(|name| shared_file(name)).collect();
    if paths.len() < names.len() {
        return;
    }
    let analysis = analyse(&paths);
    let images: Vec<_> = analysis.groups.iter().filter_map(|group| group.identity.image.as_deref()).collect();
    assert_eq!(images, ["fizzbuzz.exe", "tiny.exe", "electron.exe"]);
    let texts: Vec<_> = analysis.notes.iter().map(|note| note.text.as_str()).collect();
    assert!(texts[0].starts_with("these dumps are of 3 processes, which are compared each for itself: "), "{texts:?}");
}
