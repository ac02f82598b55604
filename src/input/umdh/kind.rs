//! Which kind of log a line belongs to.

use serde::{Deserialize, Serialize};

use super::comparison::entry_line;
use super::fields::{after, has_word, take_hex, trim};
use super::raw::{block_line, heap_line};

/// The two kinds of logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum LogKind {
    /// The blocks of a process at one moment.
    Raw,
    /// The difference of two raw logs.
    Comparison,
}

impl LogKind {
    /// The word of the JSON report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Comparison => "comparison",
        }
    }
}

/// What a line says of the file that it stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    Raw,
    Comparison,
    /// A log, but of either kind.
    Either,
    /// A comment or an empty line.
    Comment,
    Unknown,
}

pub(super) fn mark_of(line: &[u8]) -> Mark {
    let text = trim(line);
    if text.is_empty() {
        return Mark::Comment;
    }
    if let Some(comment) = after(text, b"//").map(trim) {
        return match comment {
            _ if comment.starts_with(b"UMDH: version") => Mark::Raw,
            _ if comment.starts_with(b"Each log entry has the following syntax") => Mark::Either,
            _ if comment.starts_with(b"Debug library initialized") => Mark::Either,
            _ => Mark::Comment,
        };
    }
    if heap_line(text).is_some() || block_line(text).is_some() {
        return Mark::Raw;
    }
    if entry_line(text).is_some() || text.starts_with(b"Total increase ==") || text.starts_with(b"Total decrease ==") {
        return Mark::Comparison;
    }
    let is_module = || {
        let (_, rest) = take_hex(text)?;
        let (_, rest) = take_hex(after(rest, b"-")?)?;
        has_word(rest, b"DBGHELP: ").then_some(())
    };
    if is_module().is_some() { Mark::Either } else { Mark::Unknown }
}
