//! UMDH logs: raw ones (`umdh -p:PID`), which list the blocks of each heap by the stack that allocated them, and
//! comparisons (`umdh before after`), which list how much each stack grew.
//!
//! Opening reads the head; [`read`] reads the rest, line by line from the mapped file, and keeps sums by stack, never a list
//! of blocks. Forms: Microsoft's debugger documentation (UMDH), a log of Windows 7 (facts: 6.1.7650), a comparison of
//! Windows 10.
//!
//! **Invariant:** what is kept of a log is bounded whatever it holds: frames and names (`frames`), stacks (`raw`,
//! `comparison`), heaps, modules.

mod comparison;
mod fields;
pub mod frames;
pub mod header;
mod kind;
mod lines;
mod noise;
mod radix;
mod raw;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::file_name;
use crate::base::printable::printable_path;
use crate::base::problems::Problems;
use crate::base::progress::{Cancelled, Progress};
use crate::input::dump::mapping::Mapping;

pub use comparison::{Comparison, ComparisonEntry, Totals};
pub use kind::LogKind;
pub use lines::Encoding;
pub use radix::Radix;
pub use raw::{Amounts, LogHeap, LogStack, RawLog};

use header::{HeaderReader, LogHeader, LogModule};
use kind::{Mark, mark_of};
use lines::{Lines, Place};

/// As much as is looked at to know a log.
pub const HEAD_BYTES: usize = 16 << 10;
/// Lines in front of the first known one that are passed over: a tool's banner.
const MOST_UNKNOWN_LINES: u32 = 2;
/// Different stacks of one log that are kept, those with most bytes; the others are counted.
pub const MAX_STACKS: usize = 1 << 17;
/// Frames of one stack. ntdll keeps 32, its newer stores 192.
const MAX_DEPTH: usize = 256;
/// How many bytes are read between two looks at whether to go on.
const TICK_BYTES: u64 = 1 << 20;

/// A log whose head was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UmdhFile {
    #[serde(serialize_with = "file_name::serialize")]
    pub path: PathBuf,
    pub file_bytes: u64,
    pub encoding: Encoding,
    pub kind: LogKind,
    pub header: LogHeader,
    pub modules: Vec<LogModule>,
    /// Of a log in a case capsule there is none: what it says was read before.
    #[serde(skip, default = "no_mapping")]
    mapping: Arc<Mapping>,
    /// Where the data begins.
    #[serde(skip)]
    body: Place,
    pub problems: Problems,
}

fn no_mapping() -> Arc<Mapping> {
    Arc::new(Mapping::nothing())
}

/// What a log holds behind its head.
#[derive(Debug)]
pub enum Contents {
    Raw(RawLog),
    Comparison(Comparison),
}

/// Why a file could not be opened as a log.
#[derive(Debug, thiserror::Error)]
pub enum UmdhError {
    #[error(
        "cannot be read: {source}; check that the file is still there and that you may read it: {}",
        printable_path(path)
    )]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error(
        "is no UMDH log: none of its first lines is one of a log (umdh -p:PID -f:FILE) or of a comparison (umdh BEFORE AFTER); choose another file: {}",
        printable_path(path)
    )]
    NotALog { path: PathBuf },
}

/// Whether `bytes` begin as a UMDH log does.
pub fn is_log(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(HEAD_BYTES)).unwrap_or_default();
    let mut lines = Lines::new(head, Encoding::of(head));
    let mut unknown_count = 0_u32;
    while let Some(line) = lines.next_line() {
        match mark_of(line.bytes) {
            Mark::Raw | Mark::Comparison | Mark::Either => return true,
            Mark::Comment => {}
            Mark::Unknown if unknown_count < MOST_UNKNOWN_LINES => unknown_count = unknown_count.saturating_add(1),
            Mark::Unknown => return false,
        }
    }
    false
}

/// Maps a file and reads its head.
///
/// # Errors
/// When the file cannot be read, or is no log.
pub fn open(path: &Path) -> Result<UmdhFile, UmdhError> {
    let unreadable = |source| UmdhError::Unreadable { path: path.to_owned(), source };
    open_mapped(path, Mapping::open(path).map_err(unreadable)?)
}

/// The same for bytes that are in memory.
///
/// # Errors
/// When they are no log.
pub fn open_bytes(path: &Path, bytes: Vec<u8>) -> Result<UmdhFile, UmdhError> {
    open_mapped(path, Mapping::Bytes(bytes))
}

fn open_mapped(path: &Path, mapping: Mapping) -> Result<UmdhFile, UmdhError> {
    if !is_log(&mapping) {
        return Err(UmdhError::NotALog { path: path.to_owned() });
    }
    let encoding = Encoding::of(&mapping);
    let mut lines = Lines::new(&mapping, encoding);
    let mut reader = HeaderReader::default();
    let mut kind = None;
    let mut body = lines.place();
    while let Some(line) = lines.next_line() {
        let mark = mark_of(line.bytes);
        let is_version = line.bytes.trim_ascii().starts_with(b"// UMDH: version");
        match mark {
            Mark::Raw if !is_version => {
                kind = Some(LogKind::Raw);
                break;
            }
            Mark::Comparison => {
                kind = Some(LogKind::Comparison);
                break;
            }
            _ => reader.take(line.bytes),
        }
        body = lines.place();
    }
    // Nothing but a head: the version stands in raw logs only.
    let by_head = if reader.header.version.is_some() { LogKind::Raw } else { LogKind::Comparison };
    let mut problems = Problems::default();
    if reader.left_out_module_count > 0 {
        problems.damage(
            "list of modules",
            format!("names {} modules more than a process has; they are left out", reader.left_out_module_count),
        );
    }
    Ok(UmdhFile {
        path: path.to_owned(),
        file_bytes: mapping.len() as u64,
        encoding,
        kind: kind.unwrap_or(by_head),
        header: reader.header,
        modules: reader.modules,
        mapping: Arc::new(mapping),
        body,
        problems,
    })
}

impl UmdhFile {
    /// The bytes of the whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.mapping
    }

    /// The file's name, made safe to show.
    pub fn file_name(&self) -> String {
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        crate::base::printable::printable(&name)
    }

    /// The image that the process was started from: the first module that a log lists. A comparison has no extension.
    pub fn image(&self) -> Option<&str> {
        self.modules.first().map(|first| crate::base::printable::file_name(&first.path))
    }

    fn lines(&self) -> Lines<'_> {
        Lines::from_place(&self.mapping, self.encoding, self.body)
    }
}

/// Reads the data. Each MB is a step of progress.
///
/// # Errors
/// Only when cancelled.
pub fn read(file: &UmdhFile, progress: &Progress) -> Result<Contents, Cancelled> {
    Ok(match file.kind {
        LogKind::Raw => Contents::Raw(raw::read_raw(file, progress)?),
        LogKind::Comparison => Contents::Comparison(comparison::read_comparison(file, progress)?),
    })
}

/// Reports progress by the bytes that were passed.
struct Ticker<'a> {
    progress: &'a Progress,
    ticked_bytes: u64,
}

impl<'a> Ticker<'a> {
    const fn new(progress: &'a Progress) -> Self {
        Self { progress, ticked_bytes: 0 }
    }

    fn pass(&mut self, offset_bytes: u64) -> Result<(), Cancelled> {
        while offset_bytes.saturating_sub(self.ticked_bytes) >= TICK_BYTES {
            self.ticked_bytes = self.ticked_bytes.saturating_add(TICK_BYTES);
            self.progress.tick(1)?;
        }
        Ok(())
    }
}
