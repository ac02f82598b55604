//! Whatever a log holds, it is read to its end.

use std::path::Path;

use dumptrend::analysis::fuzz::read_as_log;
use dumptrend::base::progress::Progress;
use dumptrend::input::umdh::{self, Contents};
use proptest::prelude::*;

use crate::support::build_umdh::umdh_seeds;

#[test]
fn the_healthy_seeds_are_whole() {
    for (name, bytes) in umdh_seeds() {
        let file = umdh::open_bytes(Path::new(name), bytes).expect("a log");
        let problems = match umdh::read(&file, &Progress::default()).expect("nobody cancels") {
            Contents::Raw(log) => log.problems,
            Contents::Comparison(comparison) => comparison.problems,
        };
        let is_damaged = ["cut.log", "cut-comparison.txt", "garbage.log", "old.log"].contains(&name);
        assert_eq!(problems.has_damage(), is_damaged, "{name}: {problems:?}");
    }
}

#[test]
fn a_cancel_stops_reading() {
    let (_, bytes) = umdh_seeds().swap_remove(0);
    let long = [bytes.clone(), bytes.repeat(4000)].concat();
    let file = umdh::open_bytes(Path::new("a.log"), long).expect("a log");
    let progress = Progress::default();
    progress.cancel();
    assert!(umdh::read(&file, &progress).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_logs_are_survived(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let seeds = umdh_seeds();
        let (_, mut bytes) = which.get(&seeds).clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        read_as_log(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        read_as_log(&bytes);
    }

    /// Lines of logs in any order, with pieces of others in them.
    #[test]
    fn shuffled_lines_are_survived(picks in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8), 1..200)) {
        let seeds = umdh_seeds();
        let lines: Vec<&[u8]> = seeds.iter().flat_map(|(_, bytes)| bytes.split(|byte| *byte == b'\n')).collect();
        let mut text = b"// UMDH: version 1\n".to_vec();
        for (pick, how) in picks {
            let line = pick.get(&lines);
            text.extend_from_slice(if how == 1 { &line[line.len() / 2..] } else { line });
            if how < 2 {
                text.push(b'\n');
            }
        }
        read_as_log(&text);
    }
}
