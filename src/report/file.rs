//! Files that appear whole or not at all. A pipe or a device (`/dev/null`, `NUL`) is no file: it stays, and is written to.

use std::fs::{self, File, OpenOptions, remove_file, rename};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf, Prefix};

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
    if is_pipe_or_device(path) {
        return write_into(OpenOptions::new().write(true).open(path)?, write).map(|(value, _)| value);
    }
    // A link stays one: the file that it leads to is replaced. One that leads nowhere becomes the file.
    let resolved = if path.is_symlink() { path.canonicalize().ok() } else { None };
    let path = resolved.as_deref().unwrap_or(path);
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
    let (value, file) = write_into(File::create(part)?, write)?;
    file.sync_all()?;
    Ok(value)
}

fn write_into<T, E: From<io::Error>>(
    file: File,
    write: impl FnOnce(&mut dyn Write) -> Result<T, E>,
) -> Result<(T, File), E> {
    let mut out = BufWriter::new(file);
    let value = write(&mut out)?;
    Ok((value, out.into_inner().map_err(io::IntoInnerError::into_error)?))
}

/// Links are followed, for `/dev/stdout` is one.
fn is_pipe_or_device(path: &Path) -> bool {
    let is_by_kind = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
    is_by_kind || is_device_of_windows(path)
}

/// Windows tells a device by its name alone: it makes `\\.\NUL` of `NUL`, and before Windows 11 of `C:\folder\NUL.json` too.
fn is_device_of_windows(path: &Path) -> bool {
    let Ok(absolute) = std::path::absolute(path) else { return false };
    match absolute.components().next() {
        Some(Component::Prefix(prefix)) => matches!(prefix.kind(), Prefix::DeviceNS(_)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("the folder can be listed");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("report.json");
        write_whole(&path, b"old").expect("the first is written");
        let failed: io::Result<()> = write_whole_with(&path, |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&path).expect("the file"), "old");
        assert_eq!(names_in(folder.path()), ["report.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_written_to_and_stays_a_pipe() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).expect("a link");
        for target in [&pipe, &link] {
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| fs::read_to_string(&pipe));
                write_whole(target, b"through the pipe").expect("it is written");
                assert_eq!(reader.join().expect("no panic").expect("it is read"), "through the pipe");
            });
        }
        assert!(fs::metadata(&pipe).expect("it is there").file_type().is_fifo());
        assert!(link.is_symlink());
        assert_eq!(names_in(folder.path()), ["link", "pipe"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_file_stays_a_link() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let elsewhere = tempfile::tempdir().expect("another temporary folder");
        let file = elsewhere.path().join("report.json");
        fs::write(&file, b"old").expect("the old file");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        write_whole(&link, b"new").expect("it is written");
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).expect("the file"), "new");
        assert_eq!(
            (names_in(folder.path()), names_in(elsewhere.path())),
            (vec!["link".into()], vec!["report.json".into()])
        );
    }

    #[cfg(windows)]
    #[test]
    fn windows_names_its_devices() {
        assert!(is_pipe_or_device(Path::new("NUL")));
        assert!(is_pipe_or_device(Path::new(r"\\.\pipe\any")));
        assert!(!is_pipe_or_device(Path::new("NULL.json")));
    }
}
