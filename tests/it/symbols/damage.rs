//! Damaged PDBs give a reason or part of their names, never a panic, and never memory that they do not have.

use dumptrend::base::progress::Progress;
use dumptrend::input::symbols::SymbolQuality;
use dumptrend::input::symbols::pdb::{PdbError, PdbNames, raw_symbols, read_pdb};
use dumptrend::input::symbols::pdb_id::PdbId;
use proptest::prelude::*;

use super::{CRASH_ID, PDBS, crash_module, crash_pdb, in_folder, load, only, pdb_bytes};

fn read(bytes: &[u8], id: &str) -> Result<PdbNames, PdbError> {
    read_pdb(bytes, PdbId::parse(id).expect("an id"), &Progress::default()).expect("not cancelled")
}

fn reason(bytes: &[u8]) -> String {
    read(bytes, CRASH_ID).expect_err("unreadable").to_string()
}

#[test]
fn files_that_are_no_pdb_say_why() {
    assert_eq!(reason(b""), "is empty");
    assert_eq!(reason(b"hello"), "is no PDB");
    assert_eq!(reason(&[0; 5000]), "is no PDB");
    let Some(pdb) = crash_pdb() else { return };
    assert!(reason(&pdb[..3000]).starts_with("is "), "{}", reason(&pdb[..3000]));
    assert!(reason(&pdb[..8192]).starts_with("is damaged: "), "{}", reason(&pdb[..8192]));
}

#[test]
fn a_cut_pdb_never_gives_other_names() {
    let Some(pdb) = crash_pdb() else { return };
    let whole = read(&pdb, CRASH_ID).expect("readable");
    let names: Vec<_> = whole.names.iter().collect();
    for length in (0..pdb.len()).step_by(40_960) {
        let Ok(part) = read(&pdb[..length], CRASH_ID) else { continue };
        assert!(part.damaged_part_count > 0 || part == whole, "{length}");
        assert!(part.names.iter().all(|name| names.contains(&name)), "{length}");
    }
}

#[test]
fn a_huge_file_is_refused() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let path = temp.path().join("crash.pdb");
    let file = std::fs::File::create(&path).expect("created");
    // A hole: it takes no room on the disk. Where the file system has none, the test says nothing.
    if file.set_len(9 << 30).is_err() {
        println!("skipped: no sparse file of 9 GB can be made here");
        return;
    }
    let table = load(&crash_module(), &in_folder(temp.path()));
    assert_eq!(only(&table).quality, SymbolQuality::None);
    assert!(only(&table).note.ends_with("crash.pdb is larger than 8 GB"), "{}", only(&table).note);
}

/// One damaged spot: where, as a share of the file, and what stands there.
fn damage() -> impl Strategy<Value = Vec<(f64, Vec<u8>)>> {
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..8),
        Just(vec![0xff; 4]),
        Just(vec![0; 64]),
        Just(vec![0xff, 0xff, 0xff, 0x7f]),
    ];
    proptest::collection::vec((0.0..1.0, bytes), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// The panic hook is not reached through our own code; a part that panics in the reader beneath is caught and counted.
    #[test]
    fn no_damage_is_a_panic(which in 0..PDBS.len(), spots in damage(), in_directory in any::<bool>()) {
        let (name, id) = PDBS[which];
        let Some(mut pdb) = pdb_bytes(name) else { return Ok(()) };
        // Half of the cases hit the first pages: header, directory, and the streams that say where others lie.
        let reach = if in_directory { 0x4000.min(pdb.len()) } else { pdb.len() };
        for (share, bytes) in spots {
            let at = (share * reach as f64) as usize;
            for (place, byte) in pdb[at..].iter_mut().zip(bytes) {
                *place = byte;
            }
        }
        let read = read(&pdb, id);
        if let Ok(pdb) = &read {
            prop_assert!(pdb.names.iter().all(|(rva, _, _)| pdb.names.name_at(rva).is_some()));
        }
        drop(raw_symbols(&pdb));
    }
}
