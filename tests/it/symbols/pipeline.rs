//! Symbols through the whole pipeline: the third stage, reports, the console program.

use std::process::Command;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::run::{SymbolSearch, decode_traces, load_symbols};
use dumptrend::base::progress::Progress;
use dumptrend::report::json::json_report;
use serde_json::Value;
use std::sync::Arc;

use super::{pdb_bytes, write};
use crate::support::sample_series::sample_series;

/// A PDB of another program under the id of one of the sample's images: its names are wrong there, which shows where names come from.
pub fn disguised_pdb(analysis: &Analysis, image: &str) -> Option<(String, Vec<u8>)> {
    const GUID: [u8; 16] =
        [0x9e, 0x32, 0xc2, 0xc8, 0x99, 0x0e, 0xe6, 0x49, 0x8b, 0x6f, 0x13, 0x2b, 0xec, 0xa6, 0x9e, 0x7e];
    let mut pdb = pdb_bytes("seh-tests-x64/xcpt4.pdb")?;
    let modules = analysis.snapshots[0].dump.modules.as_ref().expect("modules");
    let own = modules.iter().find(|module| module.file_name() == image).expect("the image");
    let reference = own.pdb.as_ref().expect("a PDB");
    assert_eq!(reference.store_id.len(), 33);
    let digit = |index: usize| u8::from_str_radix(&reference.store_id[2 * index..2 * index + 2], 16).expect("digits");
    // The first three fields of a GUID are numbers, little-endian in files.
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let places: Vec<usize> = (0..pdb.len() - 16).filter(|at| pdb[*at..at + 16] == GUID).collect();
    assert!(!places.is_empty(), "the GUID is in its PDB");
    for at in places {
        for (place, index) in pdb[at..at + 16].iter_mut().zip(order) {
            *place = digit(index);
        }
    }
    let name = reference.path.rsplit('\\').next().expect("a name");
    Some((name.to_owned(), pdb))
}

fn frames(report: &Value) -> Vec<String> {
    let frames = report["traces"].as_array().expect("traces").iter().flat_map(|trace| trace["frames"].as_array());
    frames.flatten().filter_map(|frame| frame.as_str().map(str::to_owned)).collect()
}

#[test]
fn the_third_stage_names_stacks_without_decoding_again() {
    let series = sample_series();
    let decoded = decode_traces(&series.analysis, &Progress::default()).expect("not cancelled");
    let Some((name, pdb)) = disguised_pdb(&decoded, "AllocFree.exe") else { return };
    let temp = tempfile::tempdir().expect("a temporary folder");
    write(&temp.path().join(name), &pdb);
    let search = SymbolSearch { user_folders: vec![temp.path().to_owned()], ..SymbolSearch::default() };
    let named = load_symbols(&decoded, &search, &Progress::default()).expect("not cancelled");
    let traces = |analysis: &Analysis| Arc::clone(&analysis.traces.as_ref().expect("decoded")[0]);
    assert!(Arc::ptr_eq(&traces(&decoded).stacks, &traces(&named).stacks));
    assert!(Arc::ptr_eq(&traces(&decoded).stores, &traces(&named).stores));
    let report = |analysis: Analysis| -> Value {
        serde_json::from_str(&json_report(&Arc::new(analysis), None).expect("a report")).expect("JSON")
    };
    let (before, after) = (report(decoded), report(named));
    let of_program = |report: &Value| {
        let modules = report["dumps"][0]["modules"].as_array().expect("modules");
        let module = modules.iter().find(|module| module["name"] == "AllocFree.exe").expect("the program");
        (module["symbols"].clone(), module["symbols_note"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(of_program(&before).0, "exports");
    let (quality, note) = of_program(&after);
    assert_eq!(quality, "pdb", "{note}");
    assert!(note.starts_with("private symbols from "), "{note}");
    assert!(frames(&before).iter().any(|frame| frame == "AllocFree!foo20+0x15"));
    assert!(!frames(&after).iter().any(|frame| frame.starts_with("AllocFree!foo20")), "another program's names");
    assert!(frames(&after).iter().any(|frame| frame.starts_with("AllocFree!")));
}

#[test]
fn the_console_program_takes_a_symbol_path() {
    let series = sample_series();
    let Some((name, pdb)) = disguised_pdb(&series.analysis, "AllocFree.exe") else { return };
    let temp = tempfile::tempdir().expect("a temporary folder");
    write(&temp.path().join("pdbs").join(name), &pdb);
    let dump = series.analysis.snapshots[5].dump.path.clone();
    let run = |arguments: &[&str], path: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dumptrend-cli"));
        command.args(arguments).env("HOME", temp.path()).env_remove("XDG_CACHE_HOME").env_remove("_NT_SYMBOL_PATH");
        if let Some(path) = path {
            command.env("_NT_SYMBOL_PATH", path);
        }
        let output = command.output().expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let dump = dump.to_str().expect("a plain path");
    let pdbs = temp.path().join("pdbs");
    let pdbs = pdbs.to_str().expect("a plain path");
    let list = ["dps", dump, "188be00", "64"];
    let plain = run(&list, None);
    assert!(plain.contains("AllocFree!foo"), "{plain}");
    let by_option = run(&[&list[..], &["--symbol-path", pdbs]].concat(), None);
    assert!(by_option.contains("AllocFree!") && !by_option.contains("AllocFree!foo"), "{by_option}");
    assert_eq!(run(&list, Some(&format!("cache*;{pdbs}"))), by_option, "by the environment");
    let text = run(&["report", dump, "--symbol-path", pdbs], None);
    assert!(!text.contains("AllocFree!foo"), "{text}");
}
