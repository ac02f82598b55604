//! Why a file could not be opened as a dump: what, where, and what to do.

use std::io;
use std::path::PathBuf;

use crate::base::printable::printable_path;

use super::file_kind::FileKind;

/// A file of which nothing can be said. Damage that leaves something readable is a problem record instead.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    #[error(
        "cannot be read: {source}; check that the file is still there and that you may read it: {}",
        printable_path(path)
    )]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("is empty; the tool that wrote it was probably stopped, take the dump again: {}", printable_path(path))]
    Empty { path: PathBuf },
    #[error("is {kind}, not a user-mode minidump; {}: {}", kind.what_to_do(), printable_path(path))]
    NotADump { path: PathBuf, kind: FileKind },
    #[error(
        "has a minidump header but no stream directory at offset {offset:#x} (the file has {available} bytes); it is cut off or damaged, copy or take it again: {}",
        printable_path(path)
    )]
    NoDirectory { path: PathBuf, offset: u64, available: u64 },
    #[error(
        "is a minidump of {system}, not of Windows; dumptrend reads dumps of Windows processes: {}",
        printable_path(path)
    )]
    NotWindows { path: PathBuf, system: String },
    #[error(
        "holds nothing of a process: none of its {stream_count} streams has modules, threads or memory that can be read; copy or take the dump again: {}",
        printable_path(path)
    )]
    NothingReadable { path: PathBuf, stream_count: usize },
}
