//! The trace stores of a process are found by ntdll's own variables where its PDB is at hand.

use dumptrend::analysis::run::{SymbolSearch, run_with_symbols};
use dumptrend::base::addr::Va;
use dumptrend::base::memory::{ReadMemory, u64_at};
use dumptrend::base::problems::ProblemKind;
use dumptrend::base::progress::Progress;
use dumptrend::input::dump::modules::{ModuleRecord, PdbReference};
use dumptrend::process::traces::FoundBy;

use super::pipeline::disguised_pdb;
use super::write;
use crate::support::sample_series::sample_series;

/// A name of the same length in the PDB that stands in for ntdll's, and where it lies in its third section.
const RENAMED: &[u8; 22] = b"__imp_RtlVirtualUnwind";
const VARIABLE: &[u8; 22] = b"RtlpStackTraceDatabase";

#[test]
fn ntdlls_variable_leads_to_the_database() {
    let series = sample_series();
    let dump = &series.analysis.snapshots[5].dump;
    let Some((name, mut pdb)) = disguised_pdb(&series.analysis, "ntdll.dll") else { return };
    let places: Vec<usize> = (0..pdb.len() - 22).filter(|at| &pdb[*at..at + 22] == RENAMED).collect();
    assert!(!places.is_empty());
    for at in places {
        pdb[at..at + 22].copy_from_slice(VARIABLE);
    }
    let temp = tempfile::tempdir().expect("a temporary folder");
    write(&temp.path().join("pdbs").join(&name), &pdb);
    let search = SymbolSearch { user_folders: vec![temp.path().join("pdbs")], ..SymbolSearch::default() };
    let ntdll = dump.modules.iter().flatten().find(|module| module.file_name() == "ntdll.dll").expect("ntdll");
    // The sample's ntdll has a PDB of age 2, this one is of age 1.
    let reference = ntdll.pdb.as_ref().expect("a PDB");
    let store_id = format!("{}1", &reference.store_id[..32]);
    let pdb = Some(PdbReference { store_id, ..reference.clone() });
    let table = super::load(&ModuleRecord { pdb, ..ntdll.clone() }, &search);
    let variable = table.address_of("ntdll", "RtlpStackTraceDatabase").expect("the variable");
    let store = &series.analysis.snapshots[5].trace_stores[0];
    assert_eq!(store.found_by, FoundBy::Structure);
    // The sample has no variable there: it is written into the file, where the dump has that memory.
    let place = dump.memory.bytes_at(variable, 8);
    assert_eq!(place.len(), 8);
    let at = place.as_ptr() as usize - dump.memory.file_bytes().as_ptr() as usize;
    let found = |value: u64| {
        let mut bytes = dump.memory.file_bytes().to_vec();
        let head = [b"RSDS".as_slice(), &[0xa2; 16], &[2, 0, 0, 0]].concat();
        let records: Vec<usize> = (0..bytes.len() - 24).filter(|at| bytes[*at..at + 24] == head).collect();
        assert!(!records.is_empty());
        for record in records {
            bytes[record + 20] = 1;
        }
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        let path = temp.path().join("a.dmp");
        write(&path, &bytes);
        let analysis = run_with_symbols(&[path], &search, &Progress::default()).expect("nobody cancels");
        let snapshot = &analysis.snapshots[0];
        assert_eq!(u64_at(&snapshot.dump.memory, variable), Some(value));
        let problems = snapshot.problems.iter().filter(|problem| problem.kind == ProblemKind::Damage);
        let problems: Vec<String> = problems.map(|problem| problem.text.clone()).collect();
        let stores: Vec<(Va, FoundBy)> =
            snapshot.trace_stores.iter().map(|store| (store.base, store.found_by)).collect();
        (stores, problems)
    };
    assert_eq!(found(store.base.0), (vec![(store.base, FoundBy::Symbol)], Vec::new()));
    assert_eq!(found(0), (vec![(store.base, FoundBy::Structure)], Vec::new()));
    // A variable that leads elsewhere is told, and hides nothing.
    let (stores, problems) = found(0x1234_0000);
    assert_eq!(stores, [(store.base, FoundBy::Structure)]);
    assert!(problems[0].starts_with("ntdll's pointer leads here"), "{problems:?}");
}
