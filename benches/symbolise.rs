//! Names and source lines for a million distinct addresses in 200 modules, each with the names of a real PDB.
//!
//! `cargo bench --no-default-features --bench symbolise`; see README.md in this folder.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dumptrend::base::addr::Va;
use dumptrend::base::memory::ReadMemory;
use dumptrend::base::progress::Progress;
use dumptrend::input::dump::modules::{ModuleRecord, PdbReference};
use dumptrend::input::symbols::SymbolTable;
use dumptrend::input::symbols::loader::load_symbols;
use dumptrend::input::symbols::search::SymbolSearch;

const ADDRESS_COUNT: u64 = 1_000_000;
const MODULE_COUNT: u64 = 200;
/// Of the code in crash.pdb.
const CODE_BYTES: u64 = 0x2900;

struct NoMemory;

impl ReadMemory for NoMemory {
    fn bytes_at(&self, _: Va, _: u64) -> &[u8] {
        &[]
    }
}

fn main() {
    let shared = std::env::var_os("DUMPTREND_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let folder = shared.join("symbols/crash-x86");
    if !folder.join("crash.pdb").is_file() {
        println!("skipped: {} has no crash.pdb; set DUMPTREND_SHARED", folder.display());
        return;
    }
    let cache = tempfile::tempdir().expect("a temporary folder");
    let search = SymbolSearch {
        user_folders: vec![folder],
        cache_folder: Some(cache.path().to_owned()),
        ..SymbolSearch::default()
    };
    let start = Instant::now();
    load(&search, 1);
    println!("one PDB of 1 MB, transcoded: {:.2} ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    load(&search, 1);
    println!("the same from the cache: {:.2} ms", start.elapsed().as_secs_f64() * 1e3);
    let table = load(&search, MODULE_COUNT);
    for (what, look_up) in [
        ("names", (|table, va| table.name_of(va).is_some()) as fn(&SymbolTable, Va) -> bool),
        ("lines", |table, va| table.line_of(va).is_some()),
        ("names as text", |table, va| table.name_of(va).is_some_and(|name| !name.to_string().is_empty())),
    ] {
        let start = Instant::now();
        let found = (0..ADDRESS_COUNT).filter(|index| black_box(look_up(&table, address(*index)))).count();
        let rate = ADDRESS_COUNT as f64 / start.elapsed().as_secs_f64();
        println!("{what}: {found} of {ADDRESS_COUNT} distinct addresses, {:.1} million a second", rate / 1e6);
    }
}

/// Distinct, from one module to the next.
fn address(index: u64) -> Va {
    let (module, place) = (index % MODULE_COUNT, index / MODULE_COUNT);
    Va(base(module).0 + 0x1000 + place * 7919 % CODE_BYTES)
}

fn base(module: u64) -> Va {
    Va(0x7ff0_0000_0000 + module * 0x10_0000)
}

fn load(search: &SymbolSearch, module_count: u64) -> SymbolTable {
    let modules: Vec<ModuleRecord> = (0..module_count)
        .map(|module| ModuleRecord {
            base: base(module),
            size_bytes: 0x1_0000,
            checksum: 0,
            time_date_stamp: 0,
            path: Some(format!(r"C:\app\crash{module}.exe")),
            file_version: None,
            pdb: Some(PdbReference {
                path: "crash.pdb".to_owned(),
                store_id: "3249D99D0C4049318610F4E4FB0B69361".to_owned(),
            }),
        })
        .collect();
    load_symbols(&modules, &NoMemory, search, |_| true, &Progress::default()).expect("nobody cancels")
}
