//! The two shapes of lists in a minidump, and strings, read with bounds.
//!
//! The minidump crate refuses a whole list for one odd size, drops a module of size 0 without a word, and copies names and
//! CodeView records as large as the file says they are. Lists are therefore read here; a test holds both against each
//! other on real dumps.

use std::cell::Cell;

use crate::base::bytes;
use crate::base::printable::printable;
use crate::base::problems::Problems;

use super::stream_kind::StreamKind;

/// The entries of a list that lie in the file.
#[derive(Clone, Copy)]
pub struct List<'a> {
    bytes: &'a [u8],
    entry_bytes: u64,
    count: u64,
    is_whole: bool,
}

/// What a reader of one kind of list knows about it.
#[derive(Clone, Copy)]
pub struct ListShape {
    pub kind: StreamKind,
    /// The size of an entry, or for a list that states its own, the least that we can use.
    pub entry_bytes: u64,
    /// More entries than this are not kept: they would take memory in proportion to a hostile file.
    pub max_entries: u64,
}

impl<'a> List<'a> {
    const fn nothing(entry_bytes: u64) -> Self {
        Self { bytes: &[], entry_bytes, count: 0, is_whole: false }
    }

    /// Whether every entry that the list names is here.
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (bytes, entry_bytes) = (self.bytes, self.entry_bytes);
        (0..self.count).map_while(move |index| bytes::slice_at(bytes, index.checked_mul(entry_bytes)?, entry_bytes))
    }
}

/// A list that starts with a 32-bit count: threads, modules, memory, thread names. Some writers align its entries to 8
/// bytes with 4 bytes of padding behind the count.
pub fn counted_list<'a>(stream: &'a [u8], shape: ListShape, problems: &mut Problems) -> List<'a> {
    let Some(count) = bytes::u32_at(stream, 0).map(u64::from) else {
        problems.damage(shape.kind.to_string(), "has no room for its count; it is left out");
        return List::nothing(shape.entry_bytes);
    };
    let padded_bytes = count.saturating_mul(shape.entry_bytes).saturating_add(8);
    let head_bytes = if stream.len() as u64 == padded_bytes { 8 } else { 4 };
    list_after_head(stream, head_bytes, count, shape, problems)
}

/// A list that states the sizes of its head and entries, and its count in 32 bits: unloaded modules, thread info, handles.
pub fn sized_list<'a>(stream: &'a [u8], shape: ListShape, problems: &mut Problems) -> List<'a> {
    let count = bytes::u32_at(stream, 8).map(u64::from);
    sized_list_of(stream, count, 12, shape, problems)
}

/// As [`sized_list`], with a 64-bit count: memory info.
pub fn sized_list_with_wide_count<'a>(stream: &'a [u8], shape: ListShape, problems: &mut Problems) -> List<'a> {
    let count = bytes::u64_at(stream, 8);
    sized_list_of(stream, count, 16, shape, problems)
}

fn sized_list_of<'a>(
    stream: &'a [u8],
    count: Option<u64>,
    least_head_bytes: u64,
    shape: ListShape,
    problems: &mut Problems,
) -> List<'a> {
    let empty = List::nothing(shape.entry_bytes);
    let (Some(head_bytes), Some(entry_bytes), Some(count)) =
        (bytes::u32_at(stream, 0), bytes::u32_at(stream, 4), count)
    else {
        problems.damage(shape.kind.to_string(), "has no room for its head; it is left out");
        return empty;
    };
    let (head_bytes, entry_bytes) = (u64::from(head_bytes), u64::from(entry_bytes));
    if head_bytes < least_head_bytes || entry_bytes < shape.entry_bytes {
        if count > 0 {
            problems.damage(
                shape.kind.to_string(),
                format!(
                    "states a head of {head_bytes} and entries of {entry_bytes} bytes, less than the {least_head_bytes} and {} that they need; it is left out",
                    shape.entry_bytes
                ),
            );
        }
        return empty;
    }
    list_after_head(stream, head_bytes, count, ListShape { entry_bytes, ..shape }, problems)
}

fn list_after_head<'a>(
    stream: &'a [u8],
    head_bytes: u64,
    count: u64,
    shape: ListShape,
    problems: &mut Problems,
) -> List<'a> {
    let bytes = bytes::available_at(stream, head_bytes, u64::MAX);
    let fitting_count = (bytes.len() as u64).checked_div(shape.entry_bytes).unwrap_or(0);
    if count > fitting_count {
        problems.damage(
            shape.kind.to_string(),
            format!("names {count} entries, {fitting_count} of them are in the file; those are used"),
        );
    }
    let found_count = count.min(fitting_count);
    if found_count > shape.max_entries {
        problems.damage(
            shape.kind.to_string(),
            format!("has {found_count} entries; the first {} are used", shape.max_entries),
        );
    }
    let used_count = found_count.min(shape.max_entries);
    List { bytes, entry_bytes: shape.entry_bytes, count: used_count, is_whole: used_count == count }
}

/// Reads MINIDUMP_STRINGs: a 32-bit length in bytes, then UTF-16.
///
/// **Invariant:** all the strings of one dump together take at most [`Texts::BUDGET_BYTES`]; many entries may point at the
/// same long string.
pub struct Texts<'a> {
    file: &'a [u8],
    budget_bytes: Cell<u64>,
}

impl<'a> Texts<'a> {
    pub const BUDGET_BYTES: u64 = 64 << 20;
    const MAX_STRING_BYTES: u64 = 2 * crate::base::printable::MAX_TEXT_CHARS as u64;

    pub const fn new(file: &'a [u8]) -> Self {
        Self { file, budget_bytes: Cell::new(Self::BUDGET_BYTES) }
    }

    pub const fn file(&self) -> &'a [u8] {
        self.file
    }

    /// The string at a file offset, made printable. `None` when it lies outside the file or the budget is used up. An
    /// offset of 0 means that there is no string.
    pub fn string_at(&self, offset: u64) -> Option<String> {
        if offset == 0 {
            return None;
        }
        let stated_bytes = u64::from(bytes::u32_at(self.file, offset)?);
        let bytes = bytes::slice_at(self.file, offset.checked_add(4)?, stated_bytes.min(Self::MAX_STRING_BYTES))?;
        self.spend(bytes.len() as u64)?;
        Some(printable(bytes::utf16_text(bytes).trim_end_matches('\0')))
    }

    /// Bytes up to the first NUL as UTF-8, at most `max_bytes` of them, made printable.
    pub fn narrow_text(&self, bytes: &[u8], max_bytes: u64) -> Option<String> {
        let bytes = bytes::available_at(bytes, 0, max_bytes);
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        self.spend(text.len() as u64)?;
        Some(printable(&String::from_utf8_lossy(text)))
    }

    fn spend(&self, bytes: u64) -> Option<()> {
        self.budget_bytes.set(self.budget_bytes.get().checked_sub(bytes)?);
        Some(())
    }
}
