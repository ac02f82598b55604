//! Where symbols are looked for on this machine: what the user names, `_NT_SYMBOL_PATH`, and the folders that each system
//! has for stores and caches.

use std::env::var_os;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::search::{Downloads, SymbolSearch};
use super::server::SymbolServers;

/// `user_folders` come first; each may be a whole symbol path.
pub fn symbol_search(user_folders: Vec<PathBuf>, downloads: Downloads) -> SymbolSearch {
    /// What a server does not have is asked for once as long as the program runs.
    static SERVERS: OnceLock<SymbolServers> = OnceLock::new();
    SymbolSearch {
        downloads,
        servers: SERVERS.get_or_init(SymbolServers::default).clone(),
        user_folders,
        beside: Vec::new(),
        nt_symbol_path: std::env::var("_NT_SYMBOL_PATH").ok(),
        cache_folder: own_cache_folder().map(|folder| folder.join("symbols")),
        default_store: default_store(),
    }
}

fn folder_of(variable: &str) -> Option<PathBuf> {
    var_os(variable).map(PathBuf::from).filter(|folder| folder.is_absolute())
}

fn cache_folder() -> Option<PathBuf> {
    if cfg!(windows) {
        return folder_of("LOCALAPPDATA");
    }
    folder_of("XDG_CACHE_HOME").or_else(|| folder_of("HOME").map(|home| home.join(".cache")))
}

/// Everything in it can be deleted at any time.
fn own_cache_folder() -> Option<PathBuf> {
    cache_folder().map(|folder| folder.join("dumptrend"))
}

/// Deletes whatever this user's starts have kept to be quicker the next time. Settings are not there.
///
/// # Errors
/// When something cannot be deleted; the rest is.
pub fn remove_caches() -> std::io::Result<()> {
    match own_cache_folder().map(std::fs::remove_dir_all) {
        Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Where WinDbg keeps what it downloads, `C:\ProgramData\Dbg\sym`; elsewhere `~/sym`, as other tools have it.
fn default_store() -> Option<PathBuf> {
    if cfg!(windows) {
        return folder_of("ProgramData").map(|folder| folder.join("Dbg").join("sym"));
    }
    folder_of("HOME").map(|home| home.join("sym"))
}
