//! Finds and reads the symbols of modules: the PDB of the right build in the places of a search, else the exports of the
//! image, in the dump or in a file. Each module says what was tried, where, and what came of it.
//!
//! Files are only read. What is written are the folder of transcoded PDBs and, where the user lets servers be asked, the
//! stores that their files belong in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::base::memory::ReadMemory;
use crate::base::printable::printable_path;
use crate::base::progress::{Cancelled, Progress};
use crate::input::dump::mapping::Mapping;
use crate::input::dump::modules::ModuleRecord;
use crate::input::image::exports::read_exports;
use crate::input::image::file::ImageFile;
use crate::input::image::read_headers;

use super::cache::{PdbVersion, read_cached, write_cached};
use super::compressed::unpack;
use super::deep_stack::on_deep_stack;
use super::demangle::Demangler;
use super::names::{ModuleNames, NameKind, NamesBuilder};
use super::pdb::{PdbNames, read_pdb};
use super::pdb_id::PdbId;
use super::search::{SymbolSearch, Target, is_compressed};
use super::struct_layout::{TypeLayout, read_type_layouts};
use super::symbol_path::Place;
use super::tried::Tried;
use super::{Attempt, ModuleSymbols, Outcome, SymbolQuality, SymbolTable, windbg_module_name};

/// Reads the symbols of the modules that are wanted; the others get the exports that are in the dump.
///
/// # Errors
/// Only when cancelled.
pub fn load_symbols(
    modules: &[ModuleRecord],
    memory: &dyn ReadMemory,
    search: &SymbolSearch,
    wanted: impl Fn(&ModuleRecord) -> bool + Sync,
    progress: &Progress,
) -> Result<SymbolTable, Cancelled> {
    progress.start("reading symbols", modules.len() as u64);
    let load = || {
        let of_module = |module| {
            progress.check()?;
            let symbols =
                if wanted(module) { load_one(module, memory, search, progress)? } else { without_pdb(module, memory) };
            progress.tick(1)?;
            Ok(symbols)
        };
        modules.par_iter().map(of_module).collect::<Result<Vec<ModuleSymbols>, Cancelled>>()
    };
    Ok(SymbolTable::new(if search.has_servers_to_ask() { beside_other_work(load)? } else { load()? }))
}

/// Threads that wait for servers must not be those that everything else is computed on.
fn beside_other_work<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    /// Servers answer several requests at once, and are not to be flooded.
    const FILES_AT_ONCE: usize = 8;
    match rayon::ThreadPoolBuilder::new().num_threads(FILES_AT_ONCE).build() {
        Ok(pool) => pool.install(work),
        Err(_) => work(),
    }
}

/// The exports of an image in the dump.
pub(super) fn without_pdb(module: &ModuleRecord, memory: &dyn ReadMemory) -> ModuleSymbols {
    let why = "no PDB was looked for";
    with_exports(module, memory).unwrap_or_else(|| nameless(module)).explained(Vec::new(), why)
}

fn load_one(
    module: &ModuleRecord,
    memory: &dyn ReadMemory,
    search: &SymbolSearch,
    progress: &Progress,
) -> Result<ModuleSymbols, Cancelled> {
    let places = search.places_for(module);
    let mut attempts = Vec::new();
    let why = match Target::pdb(module) {
        None if module.pdb.is_none() => "the image names no PDB".to_owned(),
        None => "the image names a PDB that cannot be a file".to_owned(),
        Some((target, id)) => {
            if let Some(found) = find_pdb(&target, id, &places, search, &mut attempts, progress)? {
                return Ok(found.symbols_of(module, attempts));
            }
            why_no_pdb(&target, id, &attempts)
        }
    };
    let found = match with_exports(module, memory) {
        Some(found) => Some(found),
        None => exports_of_file(module, &places, search, &mut attempts, progress)?,
    };
    Ok(found.unwrap_or_else(|| nameless(module)).explained(attempts, &why))
}

/// The symbols of a module's PDB alone; `None` without one.
///
/// # Errors
/// Only when cancelled.
pub fn pdb_symbols(
    module: &ModuleRecord,
    search: &SymbolSearch,
    progress: &Progress,
) -> Result<Option<ModuleSymbols>, Cancelled> {
    let Some((target, id)) = Target::pdb(module) else { return Ok(None) };
    let mut attempts = Vec::new();
    let found = find_pdb(&target, id, &search.places_for(module), search, &mut attempts, progress)?;
    Ok(found.map(|found| found.symbols_of(module, attempts)))
}

/// Layouts of types from the PDB of a module, where one of the places of `search` on this machine has it. Types that it does
/// not have are left out.
///
/// # Errors
/// Only when cancelled.
pub fn pdb_types(
    module: &ModuleRecord,
    search: &SymbolSearch,
    names: &[&str],
    progress: &Progress,
) -> Result<BTreeMap<String, TypeLayout>, Cancelled> {
    let Some((target, id)) = Target::pdb(module) else { return Ok(BTreeMap::new()) };
    for path in search.places_for(module).iter().flat_map(|place| target.files_in(place)) {
        progress.check()?;
        if !path.is_file() {
            continue;
        }
        let Ok(bytes) = open(&path) else { continue };
        if let Ok(layouts) = read_type_layouts(&bytes, id, names, progress)? {
            return Ok(layouts);
        }
    }
    Ok(BTreeMap::new())
}

impl FoundPdb {
    fn symbols_of(self, module: &ModuleRecord, attempts: Vec<Attempt>) -> ModuleSymbols {
        let Self { pdb, path } = self;
        ModuleSymbols {
            quality: SymbolQuality::Pdb,
            attempts,
            note: pdb_note(&pdb, &path),
            names: Arc::new(pdb.names),
            frames: Arc::new(pdb.frames),
            ..nameless(module)
        }
    }
}

fn nameless(module: &ModuleRecord) -> ModuleSymbols {
    ModuleSymbols {
        range: module.range(),
        name: windbg_module_name(module.file_name()),
        quality: SymbolQuality::None,
        attempts: Vec::new(),
        note: "no exports are in the dump".to_owned(),
        names: Arc::default(),
        frames: Arc::default(),
    }
}

impl ModuleSymbols {
    fn explained(mut self, attempts: Vec<Attempt>, why_no_pdb: &str) -> Self {
        self.attempts = attempts;
        self.note = format!("{}; {why_no_pdb}", self.note);
        self
    }
}

fn pdb_note(pdb: &PdbNames, path: &str) -> String {
    let kind = if pdb.has_private_symbols { "private" } else { "public" };
    let damage = match pdb.damaged_part_count {
        0 => String::new(),
        1 => "; one part of it is damaged and was left out".to_owned(),
        count => format!("; {count} parts of it are damaged and were left out"),
    };
    format!("{kind} symbols from {path}{damage}")
}

/// The reason that says most: a file of the wrong build, else that there was none; and what was not asked.
fn why_no_pdb(target: &Target, id: PdbId, attempts: &[Attempt]) -> String {
    let refused = attempts.iter().find_map(|attempt| match &attempt.outcome {
        Outcome::Refused(reason) => Some(reason),
        _ => None,
    });
    let count = attempts.iter().filter(|attempt| attempt.outcome == Outcome::NotThere).count();
    let (name, servers) = (target.name(), silent_servers(attempts));
    let text = match (refused, count) {
        (Some(reason), _) => format!("no PDB: {reason}"),
        (None, 0) if servers.is_empty() => format!("no PDB: there is no place to look for {name} {id}"),
        (None, 0) => format!("no PDB: {name} {id}"),
        (None, 1) => format!("no PDB: {name} {id} is not in the one place that was looked at"),
        (None, count) => format!("no PDB: {name} {id} is in none of {count} places"),
    };
    text + &servers
}

/// Servers that were not asked or gave no answer, as the end of a sentence.
fn silent_servers(attempts: &[Attempt]) -> String {
    let texts = attempts.iter().filter_map(|attempt| match &attempt.outcome {
        Outcome::NotAsked(why) => Some(format!("; {} was not asked: {why}", attempt.place)),
        Outcome::NoAnswer(why) => Some(format!("; {} gave no answer: {why}", attempt.place)),
        _ => None,
    });
    texts.collect()
}

struct FoundPdb {
    pdb: PdbNames,
    path: String,
}

fn find_pdb(
    target: &Target,
    id: PdbId,
    places: &[Place],
    search: &SymbolSearch,
    attempts: &mut Vec<Attempt>,
    progress: &Progress,
) -> Result<Option<FoundPdb>, Cancelled> {
    for place in places {
        let mut tried = Tried::new(target, place);
        let mut found = None;
        for path in target.files_in(place) {
            progress.check()?;
            let Some(file) = tried.file(&path) else { continue };
            let version = PdbVersion::of(id, &file);
            let path_text = printable_path(&path);
            if let Some(pdb) = search.cache_folder.as_deref().and_then(|folder| read_cached(folder, version)) {
                found = Some(FoundPdb { pdb, path: path_text });
                break;
            }
            match transcode(&path, id, progress)? {
                Err(reason) => tried.refuse(format!("{path_text} {reason}")),
                Ok(pdb) => {
                    keep_transcoded(&pdb, version, search, &mut tried);
                    found = Some(FoundPdb { pdb, path: path_text });
                    break;
                }
            }
        }
        if found.is_none()
            && let Some((path, pdb)) = tried.download(search, &|path| transcode(path, id, progress), progress)?
        {
            if let Ok(file) = fs::metadata(&path) {
                keep_transcoded(&pdb, PdbVersion::of(id, &file), search, &mut tried);
            }
            found = Some(FoundPdb { pdb, path: printable_path(&path) });
        }
        attempts.extend(tried.finish(found.as_ref().map(|found| found.path.clone()), search));
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn keep_transcoded(pdb: &PdbNames, version: PdbVersion, search: &SymbolSearch, tried: &mut Tried<'_>) {
    let Some(folder) = &search.cache_folder else { return };
    if let Err(error) = write_cached(folder, version, pdb) {
        tried.remark(printable_path(folder), format!("cannot be kept for the next start: {error}"));
    }
}

/// Reads a PDB, or the one in a cabinet. The reason of a failure reads on after the path.
fn transcode(path: &Path, id: PdbId, progress: &Progress) -> Result<Result<PdbNames, String>, Cancelled> {
    let bytes = match open(path) {
        Ok(bytes) => bytes,
        Err(reason) => return Ok(Err(reason)),
    };
    Ok(read_pdb(&bytes, id, progress)?.map_err(|error| error.to_string()))
}

fn open(path: &Path) -> Result<Mapping, String> {
    let file = Mapping::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    if !is_compressed(path) {
        return Ok(file);
    }
    unpack(&file).map(Mapping::Bytes).map_err(|error| error.to_string())
}

/// The exports of an image that is in the dump.
fn with_exports(module: &ModuleRecord, memory: &dyn ReadMemory) -> Option<ModuleSymbols> {
    let names = export_names(module, memory)?;
    Some(ModuleSymbols {
        quality: SymbolQuality::Exports,
        note: "exports of the image in the dump".to_owned(),
        names: Arc::new(names),
        ..nameless(module)
    })
}

fn export_names(module: &ModuleRecord, memory: &dyn ReadMemory) -> Option<ModuleNames> {
    let exports = read_exports(memory, &read_headers(memory, module.base)?)?;
    if exports.is_empty() {
        return None;
    }
    // Names in a dump are as hostile as those in a PDB.
    let names = on_deep_stack(|| {
        let mut demangler = Demangler::default();
        let mut builder = NamesBuilder::default();
        for export in &exports {
            builder.add(export.rva, &demangler.name(&export.name), NameKind::Export);
        }
        builder.finish()
    });
    names.ok()
}

fn exports_of_file(
    module: &ModuleRecord,
    places: &[Place],
    search: &SymbolSearch,
    attempts: &mut Vec<Attempt>,
    progress: &Progress,
) -> Result<Option<ModuleSymbols>, Cancelled> {
    let take = |image: &ImageFile| export_names(module, image).ok_or_else(|| "exports nothing".to_owned());
    let found = find_image_with(module, places, search, attempts, progress, &take)?;
    Ok(found.map(|(names, path)| ModuleSymbols {
        quality: SymbolQuality::Exports,
        note: format!("exports of {}", printable_path(&path)),
        names: Arc::new(names),
        ..nameless(module)
    }))
}

/// Finds the file of a module's image, of the right build, for what is not in the dump.
///
/// # Errors
/// Only when cancelled.
pub fn find_image(
    module: &ModuleRecord,
    search: &SymbolSearch,
    progress: &Progress,
) -> Result<Option<PathBuf>, Cancelled> {
    let places = search.places_for(module);
    let found = find_image_with(module, &places, search, &mut Vec::new(), progress, &|_| Ok(()))?;
    Ok(found.map(|(_, path)| path))
}

/// The first image file of a module that gives something, and its path.
fn find_image_with<T>(
    module: &ModuleRecord,
    places: &[Place],
    search: &SymbolSearch,
    attempts: &mut Vec<Attempt>,
    progress: &Progress,
    take: &dyn Fn(&ImageFile) -> Result<T, String>,
) -> Result<Option<(T, PathBuf)>, Cancelled> {
    let Some(target) = Target::image(module) else { return Ok(None) };
    let read = |path: &Path| {
        let image = open(path).and_then(|file| ImageFile::new(file, module).map_err(|error| error.to_string()));
        image.and_then(|image| take(&image))
    };
    for place in places {
        let mut tried = Tried::new(&target, place);
        let mut found = None;
        for path in target.files_in(place) {
            progress.check()?;
            if tried.file(&path).is_none() {
                continue;
            }
            match read(&path) {
                Err(reason) => tried.refuse(format!("{} {reason}", printable_path(&path))),
                Ok(value) => {
                    found = Some((value, path));
                    break;
                }
            }
        }
        if found.is_none() {
            let downloaded = tried.download(search, &|path| Ok(read(path)), progress)?;
            found = downloaded.map(|(path, value)| (value, path));
        }
        attempts.extend(tried.finish(found.as_ref().map(|(_, path)| printable_path(path)), search));
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
