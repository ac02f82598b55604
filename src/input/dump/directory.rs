//! The header and stream directory of a minidump, read entry by entry so that a cut directory still gives what it has.
//!
//! Layout: minidumpapiset.h, MINIDUMP_HEADER (32 bytes) and MINIDUMP_DIRECTORY (12 bytes).

use serde::{Deserialize, Serialize};

use crate::base::addr::FileOffset;
use crate::base::bytes;
use crate::base::problems::Problems;
use crate::base::time::UtcTime;

use super::stream_kind::StreamKind;

const SIGNATURE: u32 = 0x504d_444d; // "MDMP"
const VERSION: u16 = 0xa793;
const HEADER_BYTES: u64 = 32;
const ENTRY_BYTES: u64 = 12;
/// Real dumps have at most a few dozen streams; Windows itself defines 25.
const MAX_STREAMS: u64 = 4096;

/// The fixed head of the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// MINIDUMP_TYPE bits that the writer was asked for.
    pub flags: u64,
    /// When the dump was written, to the second.
    pub time: Option<UtcTime>,
    pub stream_count: u32,
    pub directory_offset: FileOffset,
}

impl Header {
    /// MiniDumpWithFullMemory: all committed readable memory was asked for.
    pub const fn has_full_memory(&self) -> bool {
        self.flags & 0x2 != 0
    }
}

/// Where one stream lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StreamEntry {
    pub kind: StreamKind,
    pub offset: FileOffset,
    pub size_bytes: u64,
}

/// Reads the header; `None` when the file does not start as a minidump of the known version does.
pub fn read_header(file: &[u8]) -> Option<Header> {
    bytes::slice_at(file, 0, HEADER_BYTES)?;
    // The high half of the version is the writer's own and may be anything.
    if bytes::u32_at(file, 0)? != SIGNATURE || bytes::u16_at(file, 4)? != VERSION {
        return None;
    }
    Some(Header {
        stream_count: bytes::u32_at(file, 8)?,
        directory_offset: FileOffset(u64::from(bytes::u32_at(file, 12)?)),
        time: UtcTime::from_unix_seconds(bytes::u32_at(file, 20)?),
        flags: bytes::u64_at(file, 24)?,
    })
}

/// Reads the directory. Of several streams of one kind the last holds, as in the minidump crate and in breakpad.
pub fn read_directory(file: &[u8], header: &Header, problems: &mut Problems) -> Vec<StreamEntry> {
    let mut entries: Vec<StreamEntry> = Vec::new();
    let count = u64::from(header.stream_count).min(MAX_STREAMS);
    for index in 0..count {
        let entry = header
            .directory_offset
            .0
            .checked_add(index.saturating_mul(ENTRY_BYTES))
            .and_then(|offset| bytes::slice_at(file, offset, ENTRY_BYTES));
        let fields = entry.and_then(|e| Some((bytes::u32_at(e, 0)?, bytes::u32_at(e, 4)?, bytes::u32_at(e, 8)?)));
        let Some((kind, size_bytes, offset)) = fields else {
            problems.damage(
                "stream directory",
                format!("is cut off: it names {} streams, the file holds {index} of its entries", header.stream_count),
            );
            return entries;
        };
        let entry = StreamEntry {
            kind: StreamKind(kind),
            offset: FileOffset(u64::from(offset)),
            size_bytes: u64::from(size_bytes),
        };
        if entry.kind.is_unused() {
            continue;
        }
        if let Some(earlier) = entries.iter_mut().find(|earlier| earlier.kind == entry.kind) {
            problems.damage(entry.kind.to_string(), "is in the directory more than once; the last one is used");
            *earlier = entry;
        } else {
            entries.push(entry);
        }
    }
    if u64::from(header.stream_count) > MAX_STREAMS {
        problems.damage(
            "stream directory",
            format!("names {} streams; only the first {MAX_STREAMS} are looked at", header.stream_count),
        );
    }
    entries
}

/// The bytes of one stream; what there is of them when the file ends too early. `None` without such a stream.
pub fn stream_bytes<'a>(
    file: &'a [u8],
    entries: &[StreamEntry],
    kind: StreamKind,
    problems: &mut Problems,
) -> Option<&'a [u8]> {
    let entry = entries.iter().find(|entry| entry.kind == kind)?;
    let found = bytes::available_at(file, entry.offset.0, entry.size_bytes);
    if (found.len() as u64) < entry.size_bytes {
        problems.damage(
            kind.to_string(),
            format!(
                "needs {} bytes at offset {}, the file holds {} of them; it is cut off or damaged",
                entry.size_bytes,
                entry.offset,
                found.len()
            ),
        );
    }
    Some(found)
}
