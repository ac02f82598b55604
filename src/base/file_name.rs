//! Paths in files that are sent to others: the name alone, because folders name people and places.

use std::path::{Path, PathBuf};

use serde::Serializer;

/// For `#[serde(serialize_with)]`: the last part of a path.
///
/// # Errors
/// Those of the writer.
#[expect(clippy::ptr_arg, reason = "serde hands over the field itself")]
pub fn serialize<S: Serializer>(path: &PathBuf, target: S) -> Result<S::Ok, S::Error> {
    target.serialize_str(&name_of(path))
}

/// The last part of a path; of one that has none, a folder's root, nothing.
pub fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
