//! Finds and reads the symbols of modules: the PDB of the right build in the places of a search, else the exports of the
//! image, in the dump or in a file. Each module says what was tried, where, and what came of it.
//!
//! Files are only read; the one folder written to is that of transcoded PDBs. No server is asked.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
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
use super::search::{SymbolSearch, Target, is_compressed, place_text};
use super::symbol_path::Place;
use super::{Attempt, ModuleSymbols, Outcome, SymbolQuality, SymbolTable, module_name};

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
    let loaded: Vec<ModuleSymbols> = modules
        .par_iter()
        .map(|module| {
            progress.check()?;
            let symbols =
                if wanted(module) { load_one(module, memory, search, progress)? } else { without_pdb(module, memory) };
            progress.tick(1)?;
            Ok(symbols)
        })
        .collect::<Result<_, Cancelled>>()?;
    Ok(SymbolTable::new(loaded))
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
                let FoundPdb { pdb, path } = found;
                return Ok(ModuleSymbols {
                    quality: SymbolQuality::Pdb,
                    attempts,
                    note: pdb_note(&pdb, &path),
                    names: Arc::new(pdb.names),
                    ..nameless(module)
                });
            }
            why_no_pdb(&target, id, &attempts)
        }
    };
    let found = with_exports(module, memory).or_else(|| exports_of_file(module, &places, &mut attempts));
    Ok(found.unwrap_or_else(|| nameless(module)).explained(attempts, &why))
}

fn nameless(module: &ModuleRecord) -> ModuleSymbols {
    ModuleSymbols {
        range: module.range(),
        name: module_name(module.file_name()),
        quality: SymbolQuality::None,
        attempts: Vec::new(),
        note: "no exports are in the dump".to_owned(),
        names: Arc::default(),
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

/// The reason that says most: a file of the wrong build, else that there was none.
fn why_no_pdb(target: &Target, id: PdbId, attempts: &[Attempt]) -> String {
    let refused = attempts.iter().find_map(|attempt| match &attempt.outcome {
        Outcome::Refused(reason) => Some(reason),
        _ => None,
    });
    let count = attempts.iter().filter(|attempt| attempt.outcome == Outcome::NotThere).count();
    match (refused, count) {
        (Some(reason), _) => format!("no PDB: {reason}"),
        (None, 0) => format!("no PDB: there is no place to look for {} {id}", target.name()),
        (None, 1) => format!("no PDB: {} {id} is not in the one place that was looked at", target.name()),
        (None, count) => format!("no PDB: {} {id} is in none of {count} places", target.name()),
    }
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
    let mut found = None;
    for place in places {
        let mut tried = Tried::new(target, place);
        for path in target.files_in(place) {
            progress.check()?;
            let Some(file) = tried.file(&path) else { continue };
            let version = PdbVersion::of(id, &file);
            let cache = search.cache_folder.as_deref();
            let path_text = printable_path(&path);
            if let Some(pdb) = cache.and_then(|folder| read_cached(folder, version)) {
                found = Some(FoundPdb { pdb, path: path_text });
            } else {
                match transcode(&path, id, progress)? {
                    Err(reason) => tried.refuse(format!("{path_text} {reason}")),
                    Ok(pdb) => {
                        if let Some(Err(error)) = cache.map(|folder| write_cached(folder, version, &pdb)) {
                            let folder = cache.map(printable_path).unwrap_or_default();
                            tried.remark(folder, format!("cannot be kept for the next start: {error}"));
                        }
                        found = Some(FoundPdb { pdb, path: path_text });
                    }
                }
            }
            if found.is_some() {
                break;
            }
        }
        attempts.extend(tried.finish(found.as_ref().map(|found| found.path.clone())));
        if found.is_some() {
            break;
        }
    }
    Ok(found)
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

/// What was tried in one place.
struct Tried<'a> {
    target: &'a Target,
    place: &'a Place,
    attempts: Vec<Attempt>,
}

impl<'a> Tried<'a> {
    fn new(target: &'a Target, place: &'a Place) -> Self {
        Self { target, place, attempts: Vec::new() }
    }

    /// What the file system says of a file; `None` when there is none, or it cannot be looked at.
    fn file(&mut self, path: &Path) -> Option<fs::Metadata> {
        match fs::metadata(path) {
            Ok(file) => file.is_file().then_some(file),
            // A part of the path may be a file, or longer than the system takes.
            Err(error) if !matches!(error.kind(), ErrorKind::PermissionDenied) => None,
            Err(error) => {
                self.refuse(format!("{} cannot be looked at: {error}", printable_path(path)));
                None
            }
        }
    }

    fn refuse(&mut self, reason: String) {
        self.push(place_text(self.place), Outcome::Refused(reason));
    }

    fn remark(&mut self, place: String, text: String) {
        self.push(place, Outcome::Remark(text));
    }

    fn push(&mut self, place: String, outcome: Outcome) {
        self.attempts.push(Attempt { file: self.target.name().to_owned(), place, outcome });
    }

    fn finish(mut self, used: Option<String>) -> Vec<Attempt> {
        if let Some(path) = used {
            self.push(path, Outcome::Used);
        } else if let Place::Server { .. } = self.place {
            // Where the download comes in: what it brings is a file like any other.
            self.push(place_text(self.place), Outcome::NotAsked("no download in this run".to_owned()));
        } else if self.attempts.is_empty() {
            self.push(place_text(self.place), Outcome::NotThere);
        }
        self.attempts
    }
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

fn exports_of_file(module: &ModuleRecord, places: &[Place], attempts: &mut Vec<Attempt>) -> Option<ModuleSymbols> {
    let target = Target::image(module)?;
    for place in places {
        let mut tried = Tried::new(&target, place);
        let mut found = None;
        for path in target.files_in(place) {
            if tried.file(&path).is_none() {
                continue;
            }
            let opened = open(&path).and_then(|file| ImageFile::new(file, module).map_err(|error| error.to_string()));
            let names = opened.map(|image| export_names(module, &image));
            match names {
                Err(reason) => tried.refuse(format!("{} {reason}", printable_path(&path))),
                Ok(None) => tried.refuse(format!("{} exports nothing", printable_path(&path))),
                Ok(Some(names)) => {
                    found = Some((names, printable_path(&path)));
                    break;
                }
            }
        }
        attempts.extend(tried.finish(found.as_ref().map(|(_, path)| path.clone())));
        if let Some((names, path)) = found {
            return Some(ModuleSymbols {
                quality: SymbolQuality::Exports,
                note: format!("exports of {path}"),
                names: Arc::new(names),
                ..nameless(module)
            });
        }
    }
    None
}

/// Finds the file of a module's image, of the right build, for what is not in the dump.
pub fn find_image(module: &ModuleRecord, search: &SymbolSearch) -> Option<ImageFile> {
    let target = Target::image(module)?;
    let places = search.places_for(module);
    let mut files = places.iter().flat_map(|place| target.files_in(place)).filter(|path| path.is_file());
    files.find_map(|path| ImageFile::new(open(&path).ok()?, module).ok())
}
