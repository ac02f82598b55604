//! Symbols: PDBs read and checked against another reader, the search for them, damage, images in files, the pipeline.

mod damage;
mod frames;
mod hints;
mod images;
mod layouts;
mod names;
mod pipeline;
mod search;
mod server;

use std::path::Path;

use dumptrend::base::addr::Va;
use dumptrend::base::memory::ReadMemory;
use dumptrend::base::progress::Progress;
use dumptrend::input::dump::modules::{ModuleRecord, PdbReference};
use dumptrend::input::symbols::loader::load_symbols;
use dumptrend::input::symbols::search::SymbolSearch;
use dumptrend::input::symbols::{ModuleSymbols, SymbolTable};

use crate::support::shared::{bytes_of, shared_file};

/// Real PDBs of MSVC (x86, x64) and of clang-cl with lld, with their ids.
const PDBS: [(&str, &str); 6] = [
    ("crash-x86/crash.pdb", CRASH_ID),
    ("seh-tests-x64/nested_collided.pdb", "C0612E0E06364D5B956711A9C95291C81"),
    ("seh-tests-x64/xcpt4.pdb", "C8C2329E0E9949E68B6F132BECA69E7E1"),
    ("seh-tests-x86/nested_collided.pdb", "FCC1F26536FD47B3A6F1F0F86A9B3CD61"),
    ("seh-tests-x86/xcpt4.pdb", "45F3D6F7BD6A4EE2B56A5C6BFE3AE3781"),
    ("writeargument-x64/WriteArgument.pdb", "DF5016E17D4C30144C4C44205044422E1"),
];

const CRASH_ID: &str = "3249D99D0C4049318610F4E4FB0B69361";

const BASE: Va = Va(0x40_0000);

fn pdb_bytes(name: &str) -> Option<Vec<u8>> {
    Some(bytes_of(&shared_file(&format!("symbols/{name}"))?))
}

fn crash_pdb() -> Option<Vec<u8>> {
    pdb_bytes("crash-x86/crash.pdb")
}

/// A dump without memory.
struct NoMemory;

impl ReadMemory for NoMemory {
    fn bytes_at(&self, _: Va, _: u64) -> &[u8] {
        &[]
    }
}

/// A module whose image names a PDB.
fn module(pdb: &str, id: &str) -> ModuleRecord {
    ModuleRecord {
        base: BASE,
        size_bytes: 0x10_0000,
        checksum: 0,
        time_date_stamp: 0x1234_5678,
        path: Some(r"C:\app\crash.exe".to_owned()),
        file_version: None,
        pdb: Some(PdbReference { path: pdb.to_owned(), store_id: id.to_owned() }),
    }
}

fn crash_module() -> ModuleRecord {
    module(r"C:\projects\crash\Release\crash.pdb", CRASH_ID)
}

fn in_folder(folder: &Path) -> SymbolSearch {
    SymbolSearch { user_folders: vec![folder.to_owned()], ..SymbolSearch::default() }
}

fn load(module: &ModuleRecord, search: &SymbolSearch) -> SymbolTable {
    load_symbols(std::slice::from_ref(module), &NoMemory, search, |_| true, &Progress::default())
        .expect("nobody cancels")
}

fn only(table: &SymbolTable) -> &ModuleSymbols {
    let [module] = table.modules() else { panic!("one module") };
    module
}

/// What was tried, a line each, with the temporary folder as `T`.
fn attempts(module: &ModuleSymbols, folder: &Path) -> Vec<String> {
    let folder = folder.to_str().expect("a plain path");
    module.attempts.iter().map(|attempt| attempt.to_string().replace(folder, "T")).collect()
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    std::fs::write(path, bytes).expect("written");
}
