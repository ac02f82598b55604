//! Why a sample could not be written.

use std::io;
use std::path::PathBuf;

use crate::base::addr::Va;
use crate::base::progress;

/// The one error of this module.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    #[error("cannot create the folder {path}: {source}", path = path.display())]
    CreateFolder { path: PathBuf, source: io::Error },
    #[error("cannot write {path}: {source}", path = path.display())]
    WriteFile { path: PathBuf, source: io::Error },
    #[error("cannot rename {from} to {to}: {source}", from = from.display(), to = to.display())]
    RenameFile { from: PathBuf, to: PathBuf, source: io::Error },
    /// A structure has no room for what it should hold, for instance a 32-bit file position.
    #[error("{what} needs {needed_bytes} bytes, and only {available_bytes} fit")]
    DoesNotFit { what: String, needed_bytes: u64, available_bytes: u64 },
    #[error("two regions of the address space overlap at {va}")]
    RegionsOverlap { va: Va },
    #[error("bytes are written at {va}, where no readable memory is committed")]
    NotCommitted { va: Va },
    /// The user stopped the work; no file is left half written.
    #[error("cancelled")]
    Cancelled,
}

impl From<progress::Cancelled> for SampleError {
    fn from(_: progress::Cancelled) -> Self {
        Self::Cancelled
    }
}
