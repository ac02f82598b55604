//! Layouts of types from PDBs, against those that winnt.h gives.

use dumptrend::base::progress::Progress;
use dumptrend::input::symbols::pdb_id::PdbId;
use dumptrend::input::symbols::struct_layout::{TypeLayout, read_type_layouts};

use super::{CRASH_ID, crash_pdb, pdb_bytes};

fn layout(pdb: &[u8], id: &str, name: &str) -> Option<TypeLayout> {
    let id = PdbId::parse(id).expect("an id");
    let found = read_type_layouts(pdb, id, &[name, "_NO_SUCH_TYPE"], &Progress::default()).expect("nobody cancels");
    found.expect("types").remove(name)
}

fn fields(layout: &TypeLayout) -> Vec<(&str, u64)> {
    let mut fields: Vec<_> = layout.fields.iter().map(|(name, offset)| (name.as_str(), *offset)).collect();
    fields.sort_by_key(|(_, offset)| *offset);
    fields
}

#[test]
fn fields_lie_where_the_headers_have_them() {
    let Some(x86) = crash_pdb() else { return };
    let Some(x64) = pdb_bytes("seh-tests-x64/xcpt4.pdb") else { return };
    let x64_id = "C8C2329E0E9949E68B6F132BECA69E7E1";
    let record = layout(&x86, CRASH_ID, "_EXCEPTION_RECORD").expect("a layout");
    assert_eq!((record.name.as_str(), record.size_bytes), ("_EXCEPTION_RECORD", 0x50));
    assert_eq!(
        fields(&record),
        [
            ("ExceptionCode", 0),
            ("ExceptionFlags", 4),
            ("ExceptionRecord", 8),
            ("ExceptionAddress", 12),
            ("NumberParameters", 16),
            ("ExceptionInformation", 20)
        ]
    );
    let record = layout(&x64, x64_id, "_EXCEPTION_RECORD").expect("a layout");
    assert_eq!((record.size_bytes, record.offset_of("ExceptionInformation")), (0x98, Some(0x20)));
    // An unnamed union lies side by side with the other fields.
    let context = layout(&x64, x64_id, "_CONTEXT").expect("a layout");
    assert_eq!((context.size_bytes, context.offset_of("Rip")), (0x4d0, Some(0xf8)));
    assert_eq!((context.offset_of("Rsp"), context.offset_of("no such field")), (Some(0x98), None));
    let list = layout(&x86, CRASH_ID, "_LIST_ENTRY").expect("a layout");
    assert_eq!((fields(&list), list.size_bytes), (vec![("Flink", 0), ("Blink", 4)], 8));
    assert_eq!(layout(&x86, CRASH_ID, "_NO_SUCH_TYPE"), None);
}

#[test]
fn a_wrong_or_damaged_pdb_says_so() {
    let Some(pdb) = crash_pdb() else { return };
    let read = |bytes: &[u8], id: &str| {
        let id = PdbId::parse(id).expect("an id");
        let read = read_type_layouts(bytes, id, &["_CONTEXT", "_LIST_ENTRY"], &Progress::default());
        read.expect("nobody cancels")
    };
    let other = read(&pdb, "3249D99D0C4049318610F4E4FB0B69371").expect_err("another build");
    assert!(other.to_string().starts_with("belongs to another build"), "{other}");
    let whole = read(&pdb, CRASH_ID).expect("types");
    // Whatever is damaged: no panic, and a type that is read is one of these.
    for at in (0..pdb.len()).step_by(pdb.len() / 97) {
        let mut damaged = pdb.clone();
        let end = (at + 64).min(damaged.len());
        damaged[at..end].fill(0xff);
        if let Ok(found) = read(&damaged, CRASH_ID) {
            assert!(found.len() <= whole.len());
        }
        drop(read(&pdb[..at], CRASH_ID));
    }
    let progress = Progress::default();
    progress.cancel();
    let id = PdbId::parse(CRASH_ID).expect("an id");
    assert!(read_type_layouts(&pdb, id, &["_NO_SUCH_TYPE"], &progress).is_err());
}
