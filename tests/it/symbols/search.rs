//! The search for PDBs: order of places, wrong builds, forms of files, hostile names, the cache.

use std::io::{Cursor, Write};
use std::path::Path;

use dumptrend::base::progress::Progress;
use dumptrend::input::symbols::SymbolQuality;
use dumptrend::input::symbols::loader::load_symbols;
use dumptrend::input::symbols::search::SymbolSearch;

use super::{CRASH_ID, NoMemory, attempts, bytes_of, crash_module, crash_pdb, in_folder, load, module, only, write};

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

pub fn pd_(pdb: &[u8]) -> Vec<u8> {
    let mut builder = cab::CabinetBuilder::new();
    builder.add_folder(cab::CompressionType::MsZip).add_file("crash.pdb");
    let mut writer = builder.build(Cursor::new(Vec::new())).expect("a cabinet");
    while let Some(mut file) = writer.next_file().expect("a file") {
        file.write_all(pdb).expect("written");
    }
    writer.finish().expect("finished").into_inner()
}

#[test]
fn places_are_searched_in_their_order() {
    let Some(pdb) = crash_pdb() else { return };
    let temp = folder();
    let at = |name: &str| temp.path().join(name);
    let store = at("store");
    let search = SymbolSearch {
        user_folders: vec![at("user"), format!("srv*{}", at("user store").display()).into()],
        beside: vec![at("dumps")],
        nt_symbol_path: Some(format!("{};cache*;srv*{}*https://x.example/y", at("plain").display(), store.display())),
        default_store: Some(at("default")),
        ..SymbolSearch::default()
    };
    let mut module = crash_module();
    let is_unix = !cfg!(windows);
    if is_unix {
        module.path = Some(format!("{}/crash.exe", at("own").display()));
    }
    let used = || {
        let table = load(&module, &search);
        let lines = attempts(only(&table), temp.path());
        let used: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("crash.pdb: used: ")).collect();
        used.first().map(|path| (*path).replace('\\', "/"))
    };
    let in_store = format!("crash.pdb/{CRASH_ID}/crash.pdb");
    // The last place first, so that each file hides those before it.
    let places = [
        (format!("store/{in_store}"), true),
        (format!("default/{in_store}"), true),
        ("plain/crash.pdb".to_owned(), true),
        ("own/crash.pdb".to_owned(), is_unix),
        ("dumps/crash.pdb".to_owned(), true),
        (format!("user store/{in_store}"), true),
        ("user/symbols/pdb/crash.pdb".to_owned(), true),
        ("user/pdb/crash.pdb".to_owned(), true),
        ("user/crash.pdb".to_owned(), true),
    ];
    assert_eq!(used(), None);
    let table = load(&module, &search);
    assert_eq!(only(&table).quality, SymbolQuality::None);
    let lines = attempts(only(&table), temp.path());
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("crash.pdb: ")).count(),
        if is_unix { 8 } else { 7 },
        "{lines:#?}"
    );
    let not_asked = "crash.pdb: server https://x.example/y: not asked: _NT_SYMBOL_PATH alone names it; --download or the \
                     Symbols tab switch downloading on";
    assert!(lines.contains(&not_asked.to_owned()), "{lines:#?}");
    assert!(lines.contains(&"crash.exe: not in T/user".replace('/', std::path::MAIN_SEPARATOR_STR)), "{lines:#?}");
    for (place, _) in places.iter().filter(|(_, is_here)| *is_here) {
        write(&at(place), &pdb);
        assert_eq!(used(), Some(format!("T/{place}")));
    }
}

#[test]
fn a_store_of_two_tiers_and_small_letters_is_known() {
    let Some(pdb) = crash_pdb() else { return };
    for path in
        [format!("cr/crash.pdb/{CRASH_ID}/crash.pdb"), format!("crash.pdb/{}/crash.pdb", CRASH_ID.to_lowercase())]
    {
        let temp = folder();
        write(&temp.path().join("index2.txt"), b"");
        write(&temp.path().join(&path), &pdb);
        let search =
            SymbolSearch { nt_symbol_path: Some(format!("srv*{}", temp.path().display())), ..SymbolSearch::default() };
        assert_eq!(only(&load(&crash_module(), &search)).quality, SymbolQuality::Pdb, "{path}");
    }
}

#[test]
fn a_compressed_pdb_is_unpacked() {
    let Some(pdb) = crash_pdb() else { return };
    let temp = folder();
    write(&temp.path().join(format!("crash.pdb/{CRASH_ID}/crash.pd_")), &pd_(&pdb));
    let table = load(&crash_module(), &in_folder(temp.path()));
    assert_eq!(only(&table).quality, SymbolQuality::Pdb, "{:?}", only(&table).attempts);
    write(&temp.path().join("crash.pd_"), &pd_(&pdb)[..5000]);
    let table = load(&crash_module(), &in_folder(temp.path()));
    let lines = attempts(only(&table), temp.path());
    assert!(lines[0].contains("crash.pd_ cannot be unpacked: "), "{lines:?}");
    assert!(lines[1].contains("used: "), "{lines:?}");
}

#[test]
fn a_mismatch_is_named_and_the_search_goes_on() {
    let Some(pdb) = crash_pdb() else { return };
    let temp = folder();
    write(&temp.path().join("crash.pdb"), &pdb);
    let other_age = module("crash.pdb", "3249D99D0C4049318610F4E4FB0B69362");
    let other_build = module("crash.pdb", "3249D99D0C4049318610F4E4FB0B69371");
    let old_form = module("crash.pdb", "4A5BDFDB1");
    let note = |module| {
        let table = load(module, &in_folder(temp.path()));
        assert_eq!(only(&table).quality, SymbolQuality::None);
        only(&table).note.replace(&temp.path().display().to_string(), "T").replace('\\', "/")
    };
    assert_eq!(note(&other_age), "no exports are in the dump; no PDB: T/crash.pdb has the age 1, the image wants 2");
    assert_eq!(
        note(&other_build),
        "no exports are in the dump; no PDB: T/crash.pdb belongs to another build: it is \
         3249D99D0C4049318610F4E4FB0B6936, the image wants 3249D99D0C4049318610F4E4FB0B6937"
    );
    assert!(note(&old_form).ends_with("it is 5AB38077, the image wants 4A5BDFDB"), "{}", note(&old_form));
    // The right one behind it is found all the same.
    let right = temp.path().join("right");
    write(&right.join("crash.pdb"), &pdb);
    let mut damaged = pdb;
    damaged.truncate(100_000);
    write(&temp.path().join("crash.pdb"), &damaged);
    let search = SymbolSearch { beside: vec![right], ..in_folder(temp.path()) };
    let table = load(&crash_module(), &search);
    assert_eq!(only(&table).quality, SymbolQuality::Pdb);
    assert_eq!(only(&table).attempts.len(), 2);
}

#[test]
fn a_module_without_a_pdb_says_so() {
    let temp = folder();
    let mut nameless = crash_module();
    nameless.pdb = None;
    nameless.path = None;
    let table = load(&nameless, &in_folder(temp.path()));
    assert_eq!(only(&table).note, "no exports are in the dump; the image names no PDB");
    assert_eq!(only(&table).attempts, []);
    let table = load(&crash_module(), &SymbolSearch::default());
    let id = CRASH_ID;
    let note = format!("no exports are in the dump; no PDB: there is no place to look for crash.pdb {id}");
    assert_eq!(only(&table).note, note);
    let table = load_symbols(&[crash_module()], &NoMemory, &in_folder(temp.path()), |_| false, &Progress::default())
        .expect("done");
    assert_eq!(only(&table).note, "no exports are in the dump; no PDB was looked for");
}

#[test]
fn hostile_names_open_nothing() {
    let Some(pdb) = crash_pdb() else { return };
    let temp = folder();
    let inner = temp.path().join("inner");
    write(&temp.path().join("crash.pdb"), &pdb);
    write(&inner.join("con.pdb"), &pdb);
    write(&inner.join("x"), &pdb);
    let absolute = temp.path().join("crash.pdb").display().to_string();
    for name in
        ["..", "../..", "../crash.pdb", r"..\crash.pdb", "con.pdb", "x\0", "", ".", &"y".repeat(5000), &absolute]
    {
        let table = load(&module(name, CRASH_ID), &in_folder(&inner));
        assert_eq!(only(&table).quality, SymbolQuality::None, "{name:?}: {:?}", only(&table).attempts);
    }
    // An id that leads out of the store is none.
    let table = load(&module("crash.pdb", "../../.."), &in_folder(&inner));
    assert!(only(&table).note.ends_with("a PDB that cannot be a file"), "{}", only(&table).note);
}

#[test]
fn loading_again_finds_what_came_since() {
    let Some(pdb) = crash_pdb() else { return };
    let temp = folder();
    let search = in_folder(temp.path());
    assert_eq!(only(&load(&crash_module(), &search)).quality, SymbolQuality::None);
    write(&temp.path().join("crash.pdb"), &pdb);
    assert_eq!(only(&load(&crash_module(), &search)).quality, SymbolQuality::Pdb);
}

#[test]
fn the_second_start_reads_the_cache_and_damage_there_is_mended() {
    let Some(pdb) = crash_pdb() else { return };
    let temp = folder();
    let cache = temp.path().join("cache");
    let path = temp.path().join("crash.pdb");
    write(&path, &pdb);
    let search = SymbolSearch { cache_folder: Some(cache.clone()), ..in_folder(temp.path()) };
    let first = load(&crash_module(), &search);
    let kept = cache.join(format!("{CRASH_ID}.names"));
    let bytes = bytes_of(&kept);
    // The PDB's content is not looked at again: garbage of the same size and time changes nothing.
    let time = std::fs::metadata(&path).and_then(|file| file.modified()).expect("a time");
    write(&path, &vec![0; pdb.len()]);
    set_time(&path, time);
    assert_eq!(load(&crash_module(), &search), first);
    // With another time it is read.
    set_time(&path, time + std::time::Duration::from_secs(1));
    assert_eq!(only(&load(&crash_module(), &search)).quality, SymbolQuality::None);
    write(&path, &pdb);
    set_time(&path, time);
    for damage in [&b""[..], b"garbage", &bytes[..bytes.len() / 2]] {
        write(&kept, damage);
        assert_eq!(load(&crash_module(), &search), first);
        assert_eq!(bytes_of(&kept), bytes);
    }
}

#[test]
fn a_cache_that_cannot_be_written_costs_no_names() {
    let Some(pdb) = crash_pdb() else { return };
    let temp = folder();
    write(&temp.path().join("crash.pdb"), &pdb);
    write(&temp.path().join("file"), b"");
    let search = SymbolSearch { cache_folder: Some(temp.path().join("file/cache")), ..in_folder(temp.path()) };
    let table = load(&crash_module(), &search);
    assert_eq!(only(&table).quality, SymbolQuality::Pdb);
    assert!(attempts(only(&table), temp.path())[0].contains("cannot be kept for the next start"));
}

fn set_time(path: &Path, time: std::time::SystemTime) {
    let file = std::fs::File::options().write(true).open(path).expect("opens");
    file.set_modified(time).expect("a time is set");
}

#[test]
fn a_cancelled_search_ends() {
    let progress = Progress::default();
    progress.cancel();
    let loaded = load_symbols(&[crash_module()], &NoMemory, &SymbolSearch::default(), |_| true, &progress);
    assert!(loaded.is_err());
}
