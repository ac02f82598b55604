//! Frame data of real x86 PDBs, checked against LLVM's reader, and stacks that it makes whole.

use std::collections::BTreeMap;
use std::path::Path;

use dumptrend::base::addr::Rva;
use dumptrend::input::symbols::{FrameTable, FrameWay, ModuleSymbols};

use super::names::pdbutil;
use super::{BASE, PDBS, in_folder, load, module, only, pdb_bytes, write};
use crate::support::shared::shared_file;

fn symbols(name: &str, id: &str) -> Option<ModuleSymbols> {
    let bytes = pdb_bytes(name)?;
    let temp = super::search::folder();
    let file = Path::new(name).file_name().expect("a name").to_str().expect("a plain name");
    write(&temp.path().join(file), &bytes);
    Some(only(&load(&module(file, id), &in_folder(temp.path()))).clone())
}

/// One line of LLVM's listing: RVA and what follows.
fn record_fields(line: &str) -> Option<(u32, Vec<&str>)> {
    let mut fields = line.split('|').map(str::trim);
    let first = fields.next()?;
    let rva = u32::from_str_radix(first, 16).ok().filter(|_| first.len() == 8)?;
    Some((rva, fields.collect()))
}

fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}

/// Whether the table says at the first byte of a record of LLVM's listing what that record says.
fn agrees(frames: &FrameTable, rva: u32, fields: &[&str]) -> bool {
    let found = frames.record_at(Rva(rva)).expect("a record");
    let sizes =
        [found.size_bytes, found.local_bytes, found.parameter_bytes, found.prologue_bytes, found.saved_register_bytes];
    match fields {
        // The fourth is the largest stack, those after the sizes are SEH, C++ EH, and whether a function begins.
        [code, locals, params, _, prolog, saved, _, _, _, program] => {
            sizes == [code, locals, params, prolog, saved].map(|text| number(text))
                && frames.program(found).is_some_and(|own| own.trim() == *program)
        }
        // Locals, parameters and registers in words.
        [code, locals, params, prolog, saved, uses_bp, _, "FPO"] => {
            sizes == [number(code), number(locals) * 4, number(params) * 4, number(prolog), number(saved) * 4]
                && found.way == FrameWay::Fpo { saves_ebp: *uses_bp == "true" }
        }
        other => panic!("an unknown line: {other:?}"),
    }
}

#[test]
fn every_record_agrees_with_llvm() {
    let mut compared_count = 0;
    for (name, id) in PDBS.iter().filter(|(name, _)| name.contains("x86")) {
        let Some(symbols) = symbols(name, id) else { return };
        assert!(!symbols.frames().is_empty());
        let path = shared_file(&format!("symbols/{name}")).expect("it was there");
        let Some(listing) = pdbutil(&["dump", "--fpo"], &path) else { return };
        // Functions that the linker found to be equal are one, with the records of each.
        let mut at_places: BTreeMap<u32, Vec<Vec<&str>>> = BTreeMap::new();
        for (rva, fields) in listing.lines().filter_map(record_fields) {
            at_places.entry(rva).or_default().push(fields);
        }
        for (rva, records) in at_places {
            assert!(records.iter().any(|fields| agrees(symbols.frames(), rva, fields)), "{name} {rva:#x}: {records:?}");
            compared_count += 1;
        }
    }
    assert!(compared_count > 500, "{compared_count}");
}

#[test]
fn pdbs_of_x64_have_none() {
    let Some(symbols) = symbols("seh-tests-x64/xcpt4.pdb", "C8C2329E0E9949E68B6F132BECA69E7E1") else { return };
    assert!(symbols.frames().is_empty());
}

#[test]
fn frame_data_survives_the_cache() {
    let Some(bytes) = super::crash_pdb() else { return };
    let temp = super::search::folder();
    write(&temp.path().join("crash.pdb"), &bytes);
    let search = dumptrend::input::symbols::search::SymbolSearch {
        cache_folder: Some(temp.path().join("cache")),
        ..in_folder(temp.path())
    };
    let first = load(&super::crash_module(), &search);
    let second = load(&super::crash_module(), &search);
    assert_eq!(only(&first).frames(), only(&second).frames());
    let at = |rva: u64| second.frame_at(dumptrend::base::addr::Va(BASE.0 + rva)).map(|(_, record, _)| record.rva.0);
    // Four records lie in each other there.
    assert_eq!(
        [0x1000, 0x100e, 0x100f, 0x1030, 0x1048, 0x1052, 0x1103, 0x1104].map(at),
        [0x1000, 0x1000, 0x100f, 0x1030, 0x1048, 0x1030, 0x100f, 0x1000].map(Some)
    );
}
