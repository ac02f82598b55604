//! Files that appear whole or not at all.

use std::fs::{File, remove_file, rename};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file could not be written; nothing was left behind, and what was there before is still there.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the file: {source}; choose a folder that you may write to: {}", path.display())]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

impl WriteError {
    pub fn new(path: &Path, source: io::Error) -> Self {
        Self { path: path.to_owned(), source }
    }
}

/// Writes beside the target first and renames when all is written.
///
/// # Errors
/// When the folder cannot be written to, or the disk is full.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_whole_with(path, |out| out.write_all(bytes)).map_err(|source| WriteError::new(path, source))
}

/// As [`write_whole`], for what `write` gives piece by piece. Its errors, too, leave nothing behind.
///
/// # Errors
/// Those of `write`, and those of the file, which do not name it: a [`WriteError`] does.
pub fn write_whole_with<T, E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, E>,
) -> Result<T, E> {
    let mut name = path.file_name().map(std::ffi::OsStr::to_os_string).unwrap_or_default();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = write_part(&part, write).and_then(|value| {
        rename(&part, path)?;
        Ok(value)
    });
    written.inspect_err(|_| {
        // The first failure is the one to tell; the part may not even exist.
        drop(remove_file(&part));
    })
}

fn write_part<T, E: From<io::Error>>(part: &Path, write: impl FnOnce(&mut dyn Write) -> Result<T, E>) -> Result<T, E> {
    let mut out = BufWriter::new(File::create(part)?);
    let value = write(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(value)
}
