//! The layout tables against a listing of public symbols: each field that is read lies where each build has it.

use std::collections::{BTreeMap, BTreeSet};

use dumptrend::base::addr::PointerWidth;
use dumptrend::process::heap::layouts::{HeapGeneration, LayoutProof, layout_from_pdb, layouts, named_fields};
use dumptrend::process::{peb, threads::teb};

use crate::support::shared::shared_file;

/// Fields that no build of a generation has in the listing, with the reason.
const NOT_LISTED: [(HeapGeneration, &str, &str); 6] = [
    // The listing is of ntoskrnl, which from Windows 8 on has no low-fragmentation heap; these are from ntdll's symbols.
    (HeapGeneration::Eight, "_HEAP_SUBSEGMENT", "ntdll only"),
    (HeapGeneration::Eight, "_HEAP_USERDATA_HEADER", "ntdll only"),
    (HeapGeneration::Ten1607, "_HEAP_SUBSEGMENT", "ntdll only"),
    (HeapGeneration::Ten1607, "_HEAP_USERDATA_HEADER", "ntdll only"),
    (HeapGeneration::Ten1809, "_HEAP_SUBSEGMENT", "ntdll only"),
    (HeapGeneration::Ten1809, "_HEAP_USERDATA_HEADER", "ntdll only"),
];

/// Fields that were added in the middle of a row's builds, with the first build that has them.
const ADDED_LATER: [(&str, &str, u32); 4] = [
    ("_PEB", "ApiSetMap", 7600),
    ("_PEB", "CsrServerReadOnlySharedMemoryBase", 9200),
    ("_RTL_USER_PROCESS_PARAMETERS", "EnvironmentSize", 6000),
    ("_TEB", "WowTebOffset", 10240),
];

type Fields = Vec<(&'static str, &'static str, u64)>;

/// One build and width of the listing: the offsets of each structure's fields, in Windows' names. A field of a union can have
/// several rows.
#[derive(Default)]
struct Listed {
    fields: BTreeMap<(String, String), BTreeSet<u64>>,
    structures: BTreeSet<String>,
}

/// By the three numbers of the version and its build, and the width.
fn listing() -> Option<BTreeMap<(String, PointerWidth), Listed>> {
    let path = shared_file("facts/struct-offsets.tsv")?;
    let text = std::fs::read_to_string(path).expect("the listing can be read");
    let mut builds: BTreeMap<(String, PointerWidth), Listed> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let [build, width, structure, _, field, offset] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("six columns: {line}")
        };
        let width = if width == "x64" { PointerWidth::Bits64 } else { PointerWidth::Bits32 };
        let offset = u64::from_str_radix(offset.trim_start_matches("0x"), 16).expect("an offset");
        let listed = builds.entry((build.to_owned(), width)).or_default();
        listed.fields.entry((structure.to_owned(), field.to_owned())).or_default().insert(offset);
        listed.structures.insert(structure.to_owned());
    }
    Some(builds)
}

fn build_number(version: &str) -> u32 {
    version.split('.').nth(2).and_then(|number| number.parse().ok()).expect("a build number")
}

/// Which row of the tables a build must have: by what Windows it is, not by the decoder's own rule.
fn generation(version: &str) -> HeapGeneration {
    match build_number(version) {
        2600 | 3790 => HeapGeneration::Xp,
        6000..=7601 => HeapGeneration::Seven,
        9200..=10586 => HeapGeneration::Eight,
        14393..=17134 => HeapGeneration::Ten1607,
        17763..=22631 => HeapGeneration::Ten1809,
        other => panic!("build {other} is new in the listing: which row does it have?"),
    }
}

/// Holds fields against one build; `found` gathers those that it has. Returns how many were compared.
fn check(build: &str, listed: &Listed, fields: &Fields, found: &mut BTreeSet<(&'static str, &'static str)>) -> usize {
    let mut compared = 0;
    for (structure, field, offset) in fields {
        match listed.fields.get(&((*structure).to_owned(), (*field).to_owned())) {
            Some(offsets) => {
                assert!(offsets.contains(offset), "{build} {structure}.{field}: {offset:#x}, listed {offsets:x?}");
                found.insert((*structure, *field));
                compared += 1;
            }
            None => {
                let is_later = ADDED_LATER
                    .iter()
                    .any(|(s, f, first)| s == structure && f == field && build_number(build) < *first);
                let is_unlisted = !listed.structures.contains(*structure);
                assert!(is_later || is_unlisted, "{build} has {structure} and no {structure}.{field}");
            }
        }
    }
    compared
}

#[test]
fn heap_layouts_are_those_of_every_listed_build() {
    let Some(builds) = listing() else { return };
    let fields_of = |generation, width| -> Fields {
        named_fields(generation, width).into_iter().map(|f| (f.structure, f.field, f.offset)).collect()
    };
    let mut found: BTreeMap<(HeapGeneration, PointerWidth), BTreeSet<_>> = BTreeMap::new();
    let mut compared = 0;
    for ((build, width), listed) in &builds {
        let row = (generation(build), *width);
        compared += check(build, listed, &fields_of(row.0, row.1), found.entry(row).or_default());
    }
    assert!(builds.len() >= 40 && compared > 1500, "{} builds, {compared} fields", builds.len());
    for (row, found) in &found {
        for (structure, field, _) in fields_of(row.0, row.1) {
            let is_explained = NOT_LISTED.iter().any(|(generation, s, _)| *generation == row.0 && *s == structure);
            assert_ne!(found.contains(&(structure, field)), is_explained, "{row:?} {structure}.{field}");
        }
    }
    assert_eq!(found.len(), 10, "every row of the tables has a build");
}

#[test]
fn process_and_thread_blocks_are_those_of_every_listed_build() {
    let Some(builds) = listing() else { return };
    for width in [PointerWidth::Bits32, PointerWidth::Bits64] {
        let parts = [peb::named_fields(width), peb::parameters::named_fields(width), teb::named_fields(width)];
        let fields: Fields = parts.concat();
        let mut found = BTreeSet::new();
        for ((build, _), listed) in builds.iter().filter(|((_, of), _)| *of == width) {
            check(build, listed, &fields, &mut found);
        }
        for (structure, field, _) in &fields {
            assert!(found.contains(&(*structure, *field)), "no build has {structure}.{field}");
        }
    }
}

/// The offsets that the tables have are those that a PDB would give: then the row comes out, with its proof.
#[test]
fn a_pdb_gives_the_layout_of_its_build() {
    for width in [PointerWidth::Bits32, PointerWidth::Bits64] {
        for row in layouts(width) {
            let fields = named_fields(row.generation, width);
            let offset_of = |structure: &str, field: &str| {
                // What tells the generations apart, and is not read.
                let is_marked = row.generation >= HeapGeneration::Eight
                    && matches!((structure, field), ("_HEAP_USERDATA_HEADER", "EncodedOffsets"));
                let found = fields.iter().find(|known| known.structure == structure && known.field == field);
                found.map(|known| known.offset).or(is_marked.then_some(0x18))
            };
            let layout = layout_from_pdb(width, &offset_of).expect("a layout");
            assert_eq!(layout.proof, LayoutProof::Pdb);
            let expected_generation = row.generation.min(HeapGeneration::Eight);
            assert_eq!(layout.generation, expected_generation);
            // The size of the head is the only number that is not a field.
            let same = dumptrend::process::heap::layouts::HeapLayout {
                proof: row.proof,
                generation: row.generation,
                head_bytes: row.head_bytes,
                ..layout
            };
            assert_eq!(same, *row);
            let without =
                |structure: &str, field: &str| offset_of(structure, field).filter(|_| field != "VirtualAllocdBlocks");
            assert_eq!(layout_from_pdb(width, &without), None);
        }
    }
}
