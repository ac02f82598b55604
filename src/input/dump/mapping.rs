//! The bytes of a file, mapped into memory. The package's only `unsafe`.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

/// A whole file as a slice of bytes, read from disk page by page as it is touched.
#[derive(Debug)]
pub enum Mapping {
    File(memmap2::Mmap),
    /// Bytes that are already in memory: tests and fuzzing.
    Bytes(Vec<u8>),
}

impl Mapping {
    /// A file that is not there.
    pub const fn nothing() -> Self {
        Self::Bytes(Vec::new())
    }

    /// Maps `path` for reading. An empty file gives an empty mapping.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Opening a pipe would wait for somebody to write to it.
        let kind = std::fs::metadata(path)?;
        if !kind.is_file() {
            let reason = if kind.is_dir() { "it is a folder" } else { "it is no file but a pipe or a device" };
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let file = open_for_reading(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Self::nothing());
        }
        map(&file).map(Self::File)
    }
}

/// Nobody else may write to the file while it is open, not from another machine either: what cannot be shortened cannot be
/// lost under the mapping. Deleting and renaming stay possible. A dump that is still being written has a writer: it opens
/// as far as it is.
#[cfg(windows)]
fn open_for_reading(path: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    const FILE_SHARE_READ: u32 = 1;
    const FILE_SHARE_DELETE: u32 = 4;
    const ERROR_SHARING_VIOLATION: i32 = 32;
    match File::options().read(true).share_mode(FILE_SHARE_READ | FILE_SHARE_DELETE).open(path) {
        Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => File::open(path),
        opened => opened,
    }
}

#[cfg(not(windows))]
fn open_for_reading(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[expect(unsafe_code, reason = "mapping a file is unsafe by nature; everything else goes through this one function")]
fn map(file: &File) -> io::Result<memmap2::Mmap> {
    // SAFETY: the mapping is private to this process and read-only. Who shortens the file while it is open, or unplugs
    // the disk or the network that it is on, can make a later read fault; a copy would cost the size of the dump, which
    // this program exists to avoid.
    unsafe { memmap2::Mmap::map(file) }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::File(map) => map,
            Self::Bytes(bytes) => bytes,
        }
    }
}
