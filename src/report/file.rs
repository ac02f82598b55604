//! Files that appear whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};

/// A file could not be written; nothing was left behind, and what was there before is still there.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the file: {source}; choose a folder that you may write to: {}", path.display())]
pub struct WriteError {
    path: PathBuf,
    source: std::io::Error,
}

/// Writes beside the target first and renames when all is written.
///
/// # Errors
/// When the folder cannot be written to, or the disk is full.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let failed = |source| WriteError { path: path.to_owned(), source };
    let mut name = path.file_name().map(std::ffi::OsStr::to_os_string).unwrap_or_default();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = std::fs::File::create(&part)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&part, path));
    written.map_err(|source| {
        // The first failure is the one to tell; the part may not even exist.
        drop(std::fs::remove_file(&part));
        failed(source)
    })
}
