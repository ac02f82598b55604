//! Whatever is done to a dump, the reader and the map keep their promises.

use std::sync::LazyLock;

use dumptrend::analysis::fuzz::open_and_walk;
use proptest::prelude::*;

use crate::support::all_streams::all_streams;
use crate::support::build_dump::bytes;
use crate::support::build_process::Process;
use crate::support::build_wow64;
use crate::support::shared::{bytes_of, shared_file};

const CASES: u32 = 64;

static ALL_STREAMS: LazyLock<Vec<u8>> = LazyLock::new(|| bytes(&all_streams()));
static PROCESS: LazyLock<Vec<u8>> = LazyLock::new(|| bytes(&Process::default().dump()));
static WOW64_PROCESS: LazyLock<Vec<u8>> = LazyLock::new(|| bytes(&build_wow64::dump()));
static REAL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let names = ["dumps/test.dmp", "dumps/invalid-range.dmp", "dumps/invalid-record-count.dmp"];
    names.iter().filter_map(|name| shared_file(name)).map(|path| bytes_of(&path)).collect()
});

fn flipped(file: &[u8], flips: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    let mut file = file.to_vec();
    for (index, value) in flips {
        let at = index.index(file.len());
        file[at] ^= value;
    }
    file
}

/// Bytes to change, and what to exclusive-or them with.
fn flips() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..24)
}

/// As [`flips`], but only in the head of a file, where the lists are.
fn head_flips(head_bytes: usize) -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((0..head_bytes, 1_u8..), 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cut_file_gives_what_it_has(at in any::<prop::sample::Index>()) {
        for file in [&*ALL_STREAMS, &*PROCESS, &*WOW64_PROCESS] {
            open_and_walk(&file[..at.index(file.len())]);
        }
    }

    #[test]
    fn changed_bytes_never_break_the_map(flips in flips()) {
        open_and_walk(&flipped(&ALL_STREAMS, &flips));
    }

    #[test]
    fn changed_lists_never_break_the_map_of_a_process(flips in head_flips(1500)) {
        for file in [&*PROCESS, &*WOW64_PROCESS] {
            let mut file = file.clone();
            for (at, value) in &flips {
                file[*at] ^= value;
            }
            open_and_walk(&file);
        }
    }

    #[test]
    fn changed_process_structures_never_break_the_map(flips in flips()) {
        for file in [&*PROCESS, &*WOW64_PROCESS] {
            open_and_walk(&flipped(file, &flips));
        }
    }

    #[test]
    fn changed_bytes_of_small_real_dumps_never_break_the_map(flips in flips()) {
        for file in &*REAL {
            open_and_walk(&flipped(file, &flips));
        }
    }
}

#[test]
fn the_unchanged_dumps_of_these_tests_are_dumps() {
    for file in [&*ALL_STREAMS, &*PROCESS, &*WOW64_PROCESS] {
        assert!(open_and_walk(file));
    }
}

/// Every cut of the part with the lists, not a sample of them.
#[test]
fn every_cut_of_the_lists_is_survived() {
    let opened_count = (0..ALL_STREAMS.len()).filter(|length| open_and_walk(&ALL_STREAMS[..*length])).count();
    assert!(opened_count > ALL_STREAMS.len() / 2, "{opened_count}");
}
