//! Where symbols are looked for: the places in their order, and the files that each may have.
//!
//! Names in a dump are hostile: they come through `safe_file_name`, so no file outside of a place is opened.

use std::path::{Path, PathBuf};

use crate::base::printable::printable_path;
use crate::input::dump::modules::ModuleRecord;

use super::download::POINTER_NAME;
use super::pdb_id::PdbId;
use super::safe_name::{local_folder, safe_file_name, with_case_variants};
use super::server::SymbolServers;
use super::symbol_path::{Place, effective_path, is_url, parse_symbol_path, shown_url};

/// Which servers may be asked. Without a word of the user no connection is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Downloads {
    /// None for now: what is on this machine comes first.
    NotYet,
    /// Those in the paths that the user gives to this program.
    #[default]
    UserServers,
    /// Those of `_NT_SYMBOL_PATH` too, which was written for other programs.
    AllServers,
}

/// Where to look for symbols, and where to keep what was transcoded. Nothing of it is read from the process's environment
/// here.
#[derive(Clone, Debug, Default)]
pub struct SymbolSearch {
    /// Folders that the user names; each may be a whole symbol path.
    pub user_folders: Vec<PathBuf>,
    /// The folders of the dumps.
    pub beside: Vec<PathBuf>,
    /// The value of `_NT_SYMBOL_PATH`.
    pub nt_symbol_path: Option<String>,
    /// Where transcoded PDBs are kept. Without one every start reads them anew.
    pub cache_folder: Option<PathBuf>,
    /// The local store of the debuggers, which an empty element of a symbol path means.
    pub default_store: Option<PathBuf>,
    pub downloads: Downloads,
    pub servers: SymbolServers,
}

impl SymbolSearch {
    /// All places but those beside images, in their order.
    pub fn places(&self) -> Vec<Place> {
        let beside = self.beside.iter().map(|folder| Place::Folder(folder.clone()));
        let of_path = self.nt_symbol_path.as_deref().map(|text| self.parse(text)).unwrap_or_default();
        let mut places: Vec<Place> = Vec::new();
        for place in self.places_of_user().into_iter().chain(beside).chain(of_path) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    fn places_of_user(&self) -> Vec<Place> {
        let places = self.user_folders.iter().flat_map(|folder| match folder.to_str() {
            Some(text) if (text.contains(['*', ';']) || is_url(text)) && !folder.is_dir() => self.parse(text),
            _ => vec![Place::Folder(folder.clone())],
        });
        places.collect()
    }

    fn parse(&self, text: &str) -> Vec<Place> {
        let mut places = parse_symbol_path(text, self.default_store.as_deref());
        let own_store = self.cache_folder.as_ref().map(|folder| folder.join("downloads"));
        for place in &mut places {
            if let Place::Server { keep_in: keep_in @ None, .. } = place {
                keep_in.clone_from(&own_store);
            }
        }
        places
    }

    /// Whether a server among the places may be asked.
    pub fn has_servers_to_ask(&self) -> bool {
        self.places().iter().any(|place| self.why_not_asked(place).is_none())
    }

    /// Why a server may not be asked; `None` where it may. Folders are no servers.
    pub(super) fn why_not_asked(&self, place: &Place) -> Option<&'static str> {
        match place {
            Place::Server { keep_in: None, .. } => Some("there is no folder to keep its files in"),
            Place::Server { .. } if self.downloads == Downloads::NotYet => Some("only this machine was looked at"),
            Place::Server { .. }
                if self.downloads == Downloads::AllServers || self.places_of_user().contains(place) =>
            {
                None
            }
            Place::Server { .. } => {
                Some("_NT_SYMBOL_PATH alone names it; --download or the Symbols tab switch downloading on")
            }
            Place::Folder(_) | Place::Store(_) => Some("it is a folder"),
        }
    }

    /// The places as one symbol path, for showing.
    pub fn effective_path(&self) -> String {
        effective_path(&self.places())
    }

    /// The places for one module: the image's own folder comes before those of `_NT_SYMBOL_PATH`.
    pub(super) fn places_for(&self, module: &ModuleRecord) -> Vec<Place> {
        let mut places = self.places();
        if let Some(folder) = module.path.as_deref().and_then(local_folder) {
            let own = Place::Folder(folder);
            let before = Self { nt_symbol_path: None, ..self.clone() }.places();
            if !before.contains(&own) {
                places.retain(|place| *place != own);
                places.insert(before.len().min(places.len()), own);
            }
        }
        places
    }
}

/// A file to look for: by its name, and by the folder that a store has for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    name: String,
    store_ids: Vec<String>,
    /// Which of them servers are asked for.
    server_id: usize,
}

impl Target {
    /// The PDB of a module; `None` when it has none, or its name is none for a file.
    pub fn pdb(module: &ModuleRecord) -> Option<(Self, PdbId)> {
        let reference = module.pdb.as_ref()?;
        let id = PdbId::of(reference)?;
        let name = safe_file_name(&reference.path)?.to_owned();
        // Stores of the debuggers write the age in small letters.
        let store_ids = distinct([id.to_string(), format!("{}{:x}", id.build, id.age), id.to_string().to_lowercase()]);
        let asked = format!("{}{:x}", id.build, id.age);
        let server_id = store_ids.iter().position(|store_id| *store_id == asked).unwrap_or(0);
        Some((Self { name, store_ids, server_id }, id))
    }

    /// The image of a module.
    pub fn image(module: &ModuleRecord) -> Option<Self> {
        let name = safe_file_name(module.path.as_deref()?)?.to_owned();
        let (stamp, size_bytes) = (module.time_date_stamp, module.size_bytes);
        let store_ids = distinct([
            format!("{stamp:08X}{size_bytes:x}"),
            format!("{stamp:08X}{size_bytes:X}"),
            format!("{stamp:08x}{size_bytes:x}"),
        ]);
        Some(Self { name, store_ids, server_id: 0 })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder that servers have for it; they tell small from large letters, and get what the debuggers ask for.
    pub fn server_id(&self) -> &str {
        self.store_ids.get(self.server_id).map_or("", String::as_str)
    }

    /// The pointer files that a store may have instead of it.
    pub fn pointers_in(&self, place: &Place) -> Vec<PathBuf> {
        let (Place::Folder(root) | Place::Store(root)) = place else { return Vec::new() };
        let folders = with_case_variants(root, &self.name);
        let pointer = |folder: &PathBuf, id: &String| folder.join(id).join(POINTER_NAME);
        folders.iter().flat_map(|folder| self.store_ids.iter().map(move |id| pointer(folder, id))).collect()
    }

    /// The files of a place that may be the one, the likeliest first. Those with `_` at the end are compressed.
    pub fn files_in(&self, place: &Place) -> Vec<PathBuf> {
        match place {
            // What it gave before.
            Place::Server { keep_in, .. } => keep_in.as_ref().map(|root| self.files_in_store(root)).unwrap_or_default(),
            Place::Store(root) => self.files_in_store(root),
            Place::Folder(folder) => {
                let extension = self.name.rsplit_once('.').map_or("", |(_, extension)| extension);
                let folders = [folder.clone(), folder.join(extension), folder.join("symbols").join(extension)];
                let mut files: Vec<PathBuf> =
                    distinct(folders).iter().flat_map(|folder| self.both_forms(folder)).collect();
                files.extend(self.files_in_store(folder));
                files
            }
        }
    }

    fn files_in_store(&self, root: &Path) -> Vec<PathBuf> {
        let mut roots = vec![root.to_owned()];
        // A store with this file has its folders in folders of their first two letters.
        if root.join("index2.txt").is_file() {
            let letters: String = self.name.chars().take(2).collect();
            roots.insert(0, root.join(letters));
        }
        let folders = roots.iter().flat_map(|root| with_case_variants(root, &self.name));
        let ids = |folder: PathBuf| self.store_ids.iter().map(move |id| folder.join(id)).collect::<Vec<_>>();
        folders.flat_map(ids).flat_map(|folder| self.both_forms(&folder)).collect()
    }

    fn both_forms(&self, folder: &Path) -> Vec<PathBuf> {
        let mut files = with_case_variants(folder, &self.name);
        let mut packed = self.name.clone();
        // `ntdll.pdb` becomes `ntdll.pd_`.
        if packed.pop().is_some() {
            packed.push('_');
            files.extend(with_case_variants(folder, &packed));
        }
        files
    }
}

/// Whether a file is compressed, by its name.
pub(super) fn is_compressed(path: &Path) -> bool {
    path.to_string_lossy().ends_with('_')
}

/// A place as people read it.
pub(super) fn place_text(place: &Place) -> String {
    match place {
        Place::Folder(folder) => printable_path(folder),
        Place::Store(folder) => format!("store {}", printable_path(folder)),
        Place::Server { url, .. } => format!("server {}", shown_url(url)),
    }
}

fn distinct<T: PartialEq, const N: usize>(items: [T; N]) -> Vec<T> {
    let mut kept = Vec::new();
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}
