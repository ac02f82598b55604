//! Replays the seeds of fuzz/corpus/dump/, and holds them to the builders that make them.
//!
//! `DUMPTREND_WRITE_SEEDS=1 cargo test seeds` writes them again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dumptrend::analysis::fuzz::open_and_walk;

use crate::support::seeds::seeds;
use crate::support::shared::bytes_of;

const LARGEST_SEED_BYTES: usize = 20_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/dump")
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("the corpus is in the repository");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn every_seed_is_survived() {
    let opened: Vec<bool> = files().iter().map(|path| open_and_walk(&bytes_of(path))).collect();
    assert!(opened.iter().filter(|is_dump| **is_dump).count() >= 15, "{} seeds", opened.len());
}

#[test]
fn the_seeds_are_what_the_builders_make() {
    let seeds = seeds();
    if std::env::var_os("DUMPTREND_WRITE_SEEDS").is_some() {
        std::fs::create_dir_all(folder()).expect("the folder is made");
        for (name, file) in &seeds {
            std::fs::write(folder().join(name), file).expect("the seed is written");
        }
    }
    let found: BTreeSet<PathBuf> = files().into_iter().collect();
    for (name, file) in &seeds {
        assert!(file.len() < LARGEST_SEED_BYTES, "{name} has {} bytes", file.len());
        let path = folder().join(name);
        assert!(found.contains(&path), "{name} is not there; write it with DUMPTREND_WRITE_SEEDS=1");
        assert!(bytes_of(&path) == *file, "{name} is out of date; write it again with DUMPTREND_WRITE_SEEDS=1");
    }
}
