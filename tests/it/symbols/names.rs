//! Names, places and lines of the real PDBs: against LLVM's reader where it is installed, and a few of them always.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use dumptrend::base::addr::{Rva, Va};
use dumptrend::base::progress::Progress;
use dumptrend::input::symbols::NameKind;
use dumptrend::input::symbols::pdb::{PdbNames, RawSymbol, id_of, raw_symbols, read_pdb};
use dumptrend::input::symbols::pdb_id::PdbId;

use super::{BASE, PDBS, crash_module, in_folder, load, pdb_bytes};
use crate::support::shared::shared_file;

fn read(name: &str, id: &str) -> Option<PdbNames> {
    let id = PdbId::parse(id).expect("an id");
    Some(read_pdb(&pdb_bytes(name)?, id, &Progress::default()).expect("not cancelled").expect("readable"))
}

/// Compares with a text among the other snapshots.
fn assert_listing(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "../snapshots" }, { insta::assert_snapshot!(name, text) });
}

const fn is_public(kind: NameKind) -> bool {
    matches!(kind, NameKind::PublicFunction | NameKind::PublicData)
}

const fn is_function(kind: NameKind) -> bool {
    matches!(kind, NameKind::GlobalFunction | NameKind::LocalFunction)
}

#[test]
fn figures_of_the_real_pdbs() {
    let mut text = String::new();
    for (name, id) in PDBS {
        let (Some(pdb), Some(bytes)) = (read(name, id), pdb_bytes(name)) else { return };
        assert_eq!(id_of(&bytes).expect("an id").to_string(), id);
        let raw = raw_symbols(&bytes).expect("readable");
        let count = |is: fn(NameKind) -> bool| raw.iter().filter(|symbol| is(symbol.kind)).count();
        let (publics, functions) = (count(is_public), count(is_function));
        let (lines, damaged) = (pdb.names.line_count(), pdb.damaged_part_count);
        let private = pdb.has_private_symbols;
        writeln!(
            text,
            "{name}: {publics} public, {functions} functions, {lines} line places, {damaged} damaged, {private}"
        )
        .expect("text");
        let functions: Vec<_> = pdb.names.iter().filter(|(_, _, kind)| is_function(*kind)).collect();
        for (rva, name, _) in functions.iter().step_by(functions.len() / 6) {
            let line = pdb.names.line_at(*rva);
            let line = line.map_or_else(|| "no line".to_owned(), |line| format!("{}:{}", line.file, line.line));
            writeln!(text, "  {:#x} {name} {line}", rva.0).expect("text");
        }
    }
    assert_listing("figures_of_the_real_pdbs", &text);
}

/// One name for one function, whether private symbols are there or not. Where the linker folded equal functions into one,
/// each has the name of some.
#[test]
fn public_names_are_demangled_as_msvc_writes_private_ones() {
    let mut same_count = 0;
    let mut others = Vec::new();
    for (name, id) in PDBS {
        let Some(pdb) = read(name, id) else { return };
        let mut by_place: BTreeMap<Rva, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
        for (rva, name, kind) in pdb.names.iter() {
            let (public, private) = by_place.entry(rva).or_default();
            match kind {
                NameKind::PublicFunction => public.push(name),
                NameKind::GlobalFunction | NameKind::LocalFunction => private.push(name),
                _ => {}
            }
        }
        for (public, private) in by_place.values().filter(|(public, private)| public.len() == 1 && private.len() == 1) {
            if public == private {
                same_count += 1;
            } else {
                others.push(format!("{name}: {} / {}", public[0], private[0]));
            }
        }
    }
    let text = format!("{same_count} are the same, others (public / private):\n{}", others.join("\n"));
    assert_listing("public_and_private_names", &text);
}

#[test]
fn addresses_have_names_and_lines() {
    let Some(path) = shared_file("symbols/crash-x86/crash.pdb") else { return };
    let table = load(&crash_module(), &in_folder(path.parent().expect("a folder")));
    let at = |rva: u64| Va(BASE.0 + rva);
    let name = |rva| table.name_of(at(rva)).map(|name| name.to_string());
    // 0001:0000 and 0001:0120 of the first code section at 0x1000: llvm-pdbutil dump -symbols, -l.
    assert_eq!(name(0x1000).as_deref(), Some("crash!google_breakpad::CrashGenerationClient::RequestDump"));
    assert_eq!(name(0x1017).as_deref(), Some("crash!google_breakpad::CrashGenerationClient::RequestDump+0x17"));
    assert_eq!(table.function_start(at(0x1017)), Some(at(0x1000)));
    assert_eq!(name(0x10).as_deref(), Some("crash+0x10"));
    assert_eq!(table.name_of(Va(BASE.0 - 1)), None);
    let line = |rva| table.line_of(at(rva)).map(|line| line.line);
    assert_eq!([0x1000, 0x1010, 0x1011, 0x1113, 0x1114].map(line), [Some(323), Some(323), Some(324), Some(338), None]);
    let file = table.line_of(at(0x1000)).expect("a line").file;
    assert_eq!(
        file,
        r"c:\projects\breakpad-tools\deps\breakpad\src\client\windows\crash_generation\crash_generation_client.cc"
    );
    // `___scrt_native_startup_lock` at 0003:0944, the third section at 0x6000.
    assert_eq!(table.address_of("CRASH", "__scrt_native_startup_lock"), Some(at(0x6000 + 944)));
    assert_eq!(table.address_of("crash", "no such name"), None);
    assert_eq!(table.address_of("other", "__scrt_native_startup_lock"), None);
}

/// What LLVM's reader prints of a PDB; `None` where it is not installed.
pub fn pdbutil(arguments: &[&str], path: &Path) -> Option<String> {
    const TOOL: &str = "llvm-pdbutil-19";
    let Ok(output) = Command::new(TOOL).args(arguments).arg(path).output() else {
        let is_required = std::env::var("DUMPTREND_REQUIRE_LLVM").is_ok_and(|value| value == "1");
        assert!(!is_required, "{TOOL} is not installed, and DUMPTREND_REQUIRE_LLVM is set");
        println!("skipped: {TOOL} is not installed (Debian package llvm-19)");
        return None;
    };
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_name_and_place_agrees_with_llvm() {
    for (name, _) in PDBS {
        let Some(path) = shared_file(&format!("symbols/{name}")) else { return };
        if pdbutil(&["--version"], Path::new(".")).is_none() {
            return;
        }
        let dump = |options: &[&str]| pdbutil(&[&["dump"], options].concat(), &path).expect("it was there");
        let sections: Vec<u32> = dump(&["-section-headers"])
            .lines()
            .filter_map(|line| u32::from_str_radix(line.trim().strip_suffix("virtual address")?.trim(), 16).ok())
            .collect();
        let ours = raw_symbols(&super::bytes_of(&path)).expect("readable");
        for (option, words, is_kind) in [
            ("-publics", &["S_PUB32"][..], is_public as fn(NameKind) -> bool),
            ("-symbols", &["S_GPROC32", "S_LPROC32", "S_GPROC32_ID", "S_LPROC32_ID"], is_function),
            ("-symbols", &["S_THUNK32"], |kind| kind == NameKind::Thunk),
        ] {
            let theirs = symbols_in(&dump(&[option]), words, &sections);
            let is_of = |symbol: &&RawSymbol| is_kind(symbol.kind);
            let ours: BTreeSet<(u32, String)> =
                ours.iter().filter(is_of).map(|symbol| (symbol.rva.0, symbol.name.clone())).collect();
            let missing: Vec<_> = theirs.difference(&ours).collect();
            let surplus: Vec<_> = ours.difference(&theirs).collect();
            assert!(missing.is_empty() && surplus.is_empty(), "{name} {option}: {missing:?} {surplus:?}");
            println!("{name}: {} of {words:?} agree", ours.len());
        }
        let lines = lines_in(&dump(&["-l"]), &sections);
        let id = PDBS.iter().find(|(of, _)| *of == name).expect("its id").1;
        let names = read(name, id).expect("readable").names;
        let other: Vec<_> = lines
            .iter()
            .map(|(rva, line)| (rva, line, names.line_at(Rva(*rva)).map(|line| line.line)))
            .filter(|(_, line, ours)| *ours != Some(**line))
            .collect();
        assert!(other.is_empty(), "{name}: {} of {} lines differ: {other:x?}", other.len(), lines.len());
        println!("{name}: {} lines agree", lines.len());
    }
}

/// Names and places of LLVM's listing: a line with kind and name, then one with `addr = 0001:7982`.
fn symbols_in(listing: &str, kinds: &[&str], sections: &[u32]) -> BTreeSet<(u32, String)> {
    let mut found = BTreeSet::new();
    let mut name = None;
    for line in listing.lines() {
        let kind = line.split_once(" | ").and_then(|(_, rest)| rest.split_once(' ')).map(|(kind, _)| kind);
        if let Some(kind) = kind {
            let text = line.split_once('`').and_then(|(_, rest)| rest.rsplit_once('`')).map(|(name, _)| name);
            name = text.filter(|_| kinds.contains(&kind));
        }
        let address = line.split_once("addr = ").map(|(_, rest)| rest.split(',').next().unwrap_or(rest));
        if let (Some(text), Some((section, offset))) = (name, address.and_then(|address| address.split_once(':'))) {
            let (section, offset): (usize, u32) =
                (section.parse().expect("a section"), offset.trim().parse().expect("an offset"));
            if let Some(base) = section.checked_sub(1).and_then(|index| sections.get(index)) {
                found.insert((base + offset, text.to_owned()));
            }
            name = None;
        }
    }
    found
}

/// Places and lines of LLVM's listing: `0001:00000120-00000174, line/addr entries = 4`, then pairs of line and place. A place
/// with several lines is left out.
fn lines_in(listing: &str, sections: &[u32]) -> BTreeMap<u32, u32> {
    let mut found: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    let mut base = None;
    for line in listing.lines() {
        if let Some((place, _)) = line.split_once(", line/addr entries") {
            let section: usize = place.trim().split(':').next().and_then(|text| text.parse().ok()).expect("a section");
            base = section.checked_sub(1).and_then(|index| sections.get(index));
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let pairs = words.chunks(2).map(|pair| match pair {
            [line, place] if place.len() == 8 => {
                Some((line.trim_end_matches('!').parse::<u32>().ok()?, u32::from_str_radix(place, 16).ok()?))
            }
            _ => None,
        });
        let (Some(pairs), Some(base)) = (pairs.collect::<Option<Vec<_>>>(), base) else { continue };
        for (line, place) in pairs.into_iter().filter(|(line, _)| *line < 0xf0_0f00) {
            found.entry(base + place).or_default().insert(line);
        }
    }
    let only = |lines: BTreeSet<u32>| lines.first().copied().filter(|_| lines.len() == 1);
    found.into_iter().filter_map(|(rva, lines)| Some((rva, only(lines)?))).collect()
}

#[test]
fn a_public_pdb_of_another_reader_is_no_surprise() {
    // The file name in a store is the one that the image names, wherever the PDB was built.
    let Some(bytes) = pdb_bytes("crash-x86/crash.pdb") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(Path::new("CRASH.PDB"));
    std::fs::write(path, bytes).expect("written");
    let mut module = crash_module();
    module.pdb.as_mut().expect("a PDB").path = "D:/x/CRASH.PDB".to_owned();
    assert!(load(&module, &in_folder(folder.path())).line_of(Va(BASE.0 + 0x1000)).is_some());
}
