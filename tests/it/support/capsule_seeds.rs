//! The seeds of the fuzz target `capsule`: what is under the gzip of capsules of small dumps and logs.

use std::io::Read;
use std::path::PathBuf;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::capsule::write_capsule;
use dumptrend::analysis::run::{SymbolSearch, load_symbols, read_logs, run, unwind_threads};
use dumptrend::base::progress::Progress;
use dumptrend::base::version::VERSION;
use flate2::read::GzDecoder;

use super::build_umdh::umdh_seeds;
use super::sample_series::decode_all;
use super::seeds::seeds;

/// All stages but the verdicts, as the console program runs them.
pub fn all_stages(inputs: &[PathBuf]) -> Analysis {
    let progress = Progress::default();
    let opened = run(inputs, &progress).expect("nobody cancels");
    let decoded = read_logs(&decode_all(&opened), &progress).expect("nobody cancels");
    let unwound = unwind_threads(&decoded, &progress).expect("nobody cancels");
    load_symbols(&unwound, &SymbolSearch::default(), &progress).expect("nobody cancels")
}

pub fn capsule_of(analysis: &Analysis) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_capsule(analysis, &Progress::default(), &mut bytes).expect("memory takes it");
    bytes
}

pub fn text_of(capsule: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(capsule).read_to_string(&mut text).expect("a whole capsule");
    text
}

/// Each seed with the name of its file.
pub fn capsule_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let of = |files: Vec<(&'static str, Vec<u8>)>, wanted: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (name, bytes) = files.into_iter().find(|(name, _)| *name == wanted).expect("a seed of this name");
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a folder to write to");
        // The version names the commit that it was built from.
        text_of(&capsule_of(&all_stages(&[path]))).replacen(VERSION, "0", 1)
    };
    let process = of(seeds(), "process.dmp");
    let streams = of(seeds(), "all-streams.dmp");
    let log = of(umdh_seeds(), "raw.log");
    let lying = process.replace("\"dumps\":[0]", "\"dumps\":[9]");
    let newer = log.replacen("\"dumptrend_capsule\":1", "\"dumptrend_capsule\":2", 1);
    let named = [
        ("process.json", process),
        ("all-streams.json", streams),
        ("log.json", log),
        ("no-such-dump.json", lying),
        ("other-form.json", newer),
    ];
    named.map(|(name, text)| (name, text.into_bytes())).to_vec()
}
