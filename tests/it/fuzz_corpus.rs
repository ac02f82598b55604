//! Replays the seeds of fuzz/corpus/, and holds them to the builders that make them.
//!
//! `DUMPTREND_WRITE_SEEDS=1 cargo test fuzz_corpus` writes them again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dumptrend::analysis::fuzz::{find_and_decode, open_and_walk, read_as_capsule, read_as_log, walk_heap};
use dumptrend::process::heap::head::HeapKind;
use dumptrend::process::traces::{FoundBy, StoreKind, TraceStore};
use proptest::prelude::*;

use crate::support::build_umdh::umdh_seeds;
use crate::support::capsule_seeds::capsule_seeds;
use crate::support::heap_seeds::{HEALTHY, heap_seeds};
use crate::support::seeds::seeds;
use crate::support::shared::bytes_of;
use crate::support::store_seeds::{ENTRY_COUNT, LAYOUTS, RECORD_COUNT, WITHOUT_HEADER, database_seeds, log_seeds};

const LARGEST_SEED_BYTES: usize = 20_000;

type Seeds = Vec<(&'static str, Vec<u8>)>;

/// Each target with the seeds that its folder must hold.
fn corpora() -> [(&'static str, Seeds); 6] {
    [
        ("dump", seeds()),
        ("heap", heap_seeds()),
        ("indexed_database", database_seeds()),
        ("heap_log", log_seeds()),
        ("umdh", umdh_seeds()),
        ("capsule", capsule_seeds()),
    ]
}

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn files(target: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(target)).expect("the corpus is in the repository");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn stores_in(target: &str, seed: &str) -> Vec<TraceStore> {
    find_and_decode(&bytes_of(&folder(target).join(seed)))
}

#[test]
fn every_dump_is_survived() {
    let opened: Vec<bool> = files("dump").iter().map(|path| open_and_walk(&bytes_of(path))).collect();
    assert!(opened.iter().filter(|is_dump| **is_dump).count() >= 15, "{} seeds", opened.len());
}

#[test]
fn every_store_is_survived() {
    for (target, kind) in [("indexed_database", StoreKind::Indexed), ("heap_log", StoreKind::HeapLog)] {
        for path in files(target) {
            let stores = find_and_decode(&bytes_of(&path));
            assert!(stores.iter().any(|store| store.header.kind == kind), "no store in {}", path.display());
        }
    }
}

#[test]
fn every_heap_is_survived() {
    for path in files("heap") {
        assert!(walk_heap(&bytes_of(&path)).is_some(), "no heap in {}", path.display());
    }
}

#[test]
fn healthy_heaps_are_whole() {
    for name in HEALTHY {
        let bytes = bytes_of(&folder("heap").join(name));
        let (extent, heap) = walk_heap(&bytes).expect("a heap");
        let totals = heap.totals.unwrap_or_else(|| panic!("{name}: totals"));
        assert!(totals.is_undamaged() && totals.in_use().block_count > 3, "{name}: {:?}", heap.problems);
        assert!(extent.is_whole, "{name}");
    }
    let kinds: BTreeSet<_> = files("heap")
        .iter()
        .filter_map(|path| walk_heap(&bytes_of(path)))
        .map(|(extent, _)| format!("{:?}", extent.kind))
        .collect();
    for kind in [HeapKind::Nt, HeapKind::PageHeap, HeapKind::Segment, HeapKind::Unrecognised, HeapKind::NotInDump] {
        assert!(kinds.contains(&format!("{kind:?}")), "{kind:?}: {kinds:?}");
    }
}

#[test]
fn every_log_is_survived() {
    let read: Vec<bool> = files("umdh").iter().map(|path| read_as_log(&bytes_of(path))).collect();
    assert!(read.iter().filter(|is_log| **is_log).count() >= 12, "{} seeds", read.len());
}

#[test]
fn every_capsule_is_survived() {
    let text = |path: &PathBuf| String::from_utf8(bytes_of(path)).expect("text");
    let read: Vec<bool> = files("capsule").iter().map(|path| read_as_capsule(&text(path))).collect();
    assert_eq!(read.iter().filter(|is_capsule| **is_capsule).count(), 3, "{} seeds", read.len());
}

#[test]
fn healthy_stores_are_whole() {
    let is_proved = |store: &TraceStore| store.evidence.iter().all(|check| check.passed == Some(true));
    for (name, _) in LAYOUTS {
        let [store] = &stores_in("indexed_database", name)[..] else { panic!("{name}: one store") };
        assert!(is_proved(store) && store.problems.is_empty(), "{name}: {:#?} {:?}", store.evidence, store.problems);
        assert_eq!((store.entry_count, store.verified_entry_count), (ENTRY_COUNT, ENTRY_COUNT), "{name}");
    }
    for name in ["log-x64.bin", "log-x86.bin"] {
        let [store] = &stores_in("heap_log", name)[..] else { panic!("{name}: one store") };
        assert_eq!((store.entry_count, store.verified_entry_count), (RECORD_COUNT, RECORD_COUNT), "{name}");
        assert_eq!(store.header.found_by, FoundBy::Structure, "{name}");
    }
}

#[test]
fn damaged_stores_have_what_is_left() {
    let entries = |target: &str, name: &str| {
        let [store] = &stores_in(target, name)[..] else { panic!("{name}: one store") };
        (store.entry_count, store.free_entry_count)
    };
    for (name, expect) in [
        ("free-and-reused-blocks.bin", (58, 2)),
        ("damaged-middle.bin", (55, 0)),
        ("hash-chain-circle.bin", (60, 0)),
        ("lying-limits.bin", (60, 0)),
        ("lying-counts.bin", (60, 0)),
        ("lying-buckets.bin", (0, 0)),
    ] {
        assert_eq!(entries("indexed_database", name), expect, "{name}");
    }
    let (entry_count, _) = entries("indexed_database", "gap.bin");
    assert!((80..110).contains(&entry_count), "{entry_count} of 150 entries");
    for name in ["records-only-x64.bin", "records-only-x86.bin", "hash-is-no-sum.bin", "chain-circle.bin"] {
        assert_eq!(entries("heap_log", name).0, RECORD_COUNT, "{name}");
    }
    let (record_count, _) = entries("heap_log", "damaged-records.bin");
    assert!((33..RECORD_COUNT).contains(&record_count), "{record_count} records");
}

#[test]
fn entries_without_a_header_are_all_found() {
    for (name, shape) in WITHOUT_HEADER {
        let [store] = &stores_in("indexed_database", name)[..] else { panic!("{name}: one store") };
        assert_eq!((store.header.found_by, store.header.width), (FoundBy::Records, shape.width), "{name}");
        assert_eq!((store.entry_count, store.orphan_entry_count), (2 * ENTRY_COUNT, 2 * ENTRY_COUNT), "{name}");
    }
}

#[test]
fn the_seeds_are_what_the_builders_make() {
    for (target, seeds) in corpora() {
        if std::env::var_os("DUMPTREND_WRITE_SEEDS").is_some() {
            std::fs::create_dir_all(folder(target)).expect("the folder is made");
            for (name, file) in &seeds {
                std::fs::write(folder(target).join(name), file).expect("the seed is written");
            }
        }
        let found: BTreeSet<PathBuf> = files(target).into_iter().collect();
        for (name, file) in &seeds {
            assert!(file.len() < LARGEST_SEED_BYTES, "{name} has {} bytes", file.len());
            let path = folder(target).join(name);
            assert!(found.contains(&path), "{name} is not there; write it with DUMPTREND_WRITE_SEEDS=1");
            assert!(bytes_of(&path) == *file, "{name} is out of date; write it again with DUMPTREND_WRITE_SEEDS=1");
        }
    }
}

fn change(bytes: &mut [u8], changes: &[(prop::sample::Index, u8)]) {
    for (at, value) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *value;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// A little of what a fuzzer does, on each run of the tests.
    #[test]
    fn changed_seeds_are_survived(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let seeds = [database_seeds(), log_seeds()].concat();
        let (_, mut bytes) = which.get(&seeds).clone();
        change(&mut bytes, &changes);
        find_and_decode(&bytes);
    }

    #[test]
    fn changed_heaps_are_survived(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let (_, mut bytes) = which.get(&heap_seeds()).clone();
        change(&mut bytes, &changes);
        walk_heap(&bytes);
    }
}
