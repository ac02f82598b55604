//! Why the console program could not do its work.

use std::io;
use std::path::Path;

use crate::analysis::capsule::CapsuleError;
use crate::base::progress::Cancelled;
use crate::report::file::WriteError;
use crate::report::umdh::UmdhError;
use crate::sample::SampleError;

/// One line, for standard error. Wrong use is no error of ours: clap tells it, or an outcome does.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error("the sample cannot be written: {0}")]
    Sample(SampleError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the JSON report cannot be made: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Umdh(UmdhError),
    #[error("the caches cannot be deleted: {0}")]
    RemoveCaches(io::Error),
    #[error("cannot write to standard output: {0}")]
    StandardOutput(io::Error),
}

impl CliError {
    /// What stopped a UMDH log; `unwritten` says of an error of the output where that was.
    pub fn of_log(error: UmdhError, unwritten: impl FnOnce(io::Error) -> Self) -> Self {
        match error {
            UmdhError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            UmdhError::Write(source) => unwritten(source),
            UmdhError::NoStore { .. } => Self::Umdh(error),
        }
    }

    /// What stopped a case capsule.
    pub fn of_capsule(error: CapsuleError, path: &Path) -> Self {
        match error {
            CapsuleError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            CapsuleError::Io(source) => WriteError::new(path, source).into(),
            other => WriteError::new(path, io::Error::other(other)).into(),
        }
    }
}

impl From<SampleError> for CliError {
    fn from(error: SampleError) -> Self {
        match error {
            SampleError::Cancelled => Self::Cancelled(Cancelled),
            other => Self::Sample(other),
        }
    }
}
