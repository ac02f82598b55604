//! The names and source lines of one module in their compact form: sorted arrays and one text, no piece of memory per name.
//!
//! **Invariant:** entries are in the order of their places; of several at one place the last is the one to show.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::base::addr::Rva;

use super::SourceLine;

/// What gave a name. Of several names for one place the one of the later kind is shown: a private symbol has the name that
/// the programmer wrote.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[repr(u8)]
pub enum NameKind {
    Export = 1,
    PublicData,
    Data,
    PublicFunction,
    Thunk,
    LocalFunction,
    GlobalFunction,
}

impl NameKind {
    pub(super) const ALL: [Self; 7] = [
        Self::Export,
        Self::PublicData,
        Self::Data,
        Self::PublicFunction,
        Self::Thunk,
        Self::LocalFunction,
        Self::GlobalFunction,
    ];

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A name and its place; the text is a range of [`ModuleNames::texts`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct NameEntry {
    pub rva: u32,
    pub start: u32,
    pub end: u32,
    pub kind: NameKind,
}

/// From this place on, up to the next entry, code comes from this line; line 0 says that it comes from none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct LineEntry {
    pub rva: u32,
    pub file: u32,
    pub line: u32,
}

/// Names of one module.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ModuleNames {
    pub(super) texts: String,
    pub(super) entries: Vec<NameEntry>,
    /// Ranges of `texts`.
    pub(super) files: Vec<(u32, u32)>,
    pub(super) lines: Vec<LineEntry>,
}

impl ModuleNames {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn name_count(&self) -> usize {
        self.entries.len()
    }

    /// The number of places from which a source line is known.
    pub fn line_count(&self) -> usize {
        self.lines.iter().filter(|entry| entry.line > 0).count()
    }

    /// All names with their places and kinds, in the order of the places.
    pub fn iter(&self) -> impl Iterator<Item = (Rva, &str, NameKind)> {
        self.entries.iter().map(|entry| (Rva(entry.rva), self.text(entry.start, entry.end), entry.kind))
    }

    /// The name at or before a place, and where it begins.
    pub fn name_at(&self, rva: Rva) -> Option<(&str, Rva)> {
        let after = self.entries.partition_point(|entry| entry.rva <= rva.0);
        let entry = self.entries.get(after.checked_sub(1)?)?;
        let text = self.text(entry.start, entry.end);
        // An entry without a text stands where names were left out.
        (!text.is_empty()).then_some((text, Rva(entry.rva)))
    }

    /// The names and lines of some places, in ascending order, and of the byte before each: a return address is looked up there.
    pub(super) fn only_at(&self, places: &[Rva]) -> Self {
        let wanted = || places.iter().flat_map(|place| [place.0.saturating_sub(1), place.0]);
        let mut kept = Self::default();
        let mut names = BTreeMap::new();
        let mut lines = BTreeMap::new();
        for rva in wanted() {
            let after = self.entries.partition_point(|entry| entry.rva <= rva);
            if let Some(entry) = after.checked_sub(1).and_then(|at| self.entries.get(at)) {
                names.insert(entry.rva, Some(*entry));
            }
            if let Some(next) = self.entries.get(after) {
                names.entry(next.rva).or_insert(None);
            }
            let after = self.lines.partition_point(|entry| entry.rva <= rva);
            if let Some(entry) = after.checked_sub(1).and_then(|at| self.lines.get(at)) {
                lines.insert(entry.rva, Some(*entry));
            }
            if let Some(next) = self.lines.get(after) {
                lines.entry(next.rva).or_insert(None);
            }
        }
        for (rva, entry) in names {
            let text = entry.map(|entry| self.text(entry.start, entry.end)).unwrap_or_default();
            let Some((start, end)) = kept.push_text(text) else { break };
            let kind = entry.map_or(NameKind::Export, |entry| entry.kind);
            kept.entries.push(NameEntry { rva, start, end, kind });
        }
        let mut file_numbers = BTreeMap::new();
        for (rva, entry) in lines {
            let file = entry.filter(|entry| entry.line > 0).and_then(|entry| {
                if let Some(known) = file_numbers.get(&entry.file) {
                    return Some(*known);
                }
                let (start, end) = *self.files.get(usize::try_from(entry.file).ok()?)?;
                let number = u32::try_from(kept.files.len()).ok()?;
                let range = kept.push_text(self.text(start, end))?;
                kept.files.push(range);
                file_numbers.insert(entry.file, number);
                Some(number)
            });
            let line = entry.filter(|_| file.is_some()).map_or(0, |entry| entry.line);
            kept.lines.push(LineEntry { rva, file: file.unwrap_or_default(), line });
        }
        kept
    }

    /// Takes a text in; `None` when there is no room for more.
    fn push_text(&mut self, text: &str) -> Option<(u32, u32)> {
        let start = u32::try_from(self.texts.len()).ok()?;
        let end = start.checked_add(u32::try_from(text.len()).ok()?)?;
        self.texts.push_str(text);
        Some((start, end))
    }

    /// The place of a name. Walks all names: meant for a few variables, not for stacks.
    pub fn place_of(&self, name: &str) -> Option<Rva> {
        let is_named = |entry: &&NameEntry| self.text(entry.start, entry.end) == name;
        self.entries.iter().find(is_named).map(|entry| Rva(entry.rva))
    }

    pub fn line_at(&self, rva: Rva) -> Option<SourceLine<'_>> {
        let after = self.lines.partition_point(|entry| entry.rva <= rva.0);
        let entry = self.lines.get(after.checked_sub(1)?).filter(|entry| entry.line > 0)?;
        let (start, end) = *self.files.get(usize::try_from(entry.file).ok()?)?;
        Some(SourceLine { file: self.text(start, end), line: entry.line })
    }

    fn text(&self, start: u32, end: u32) -> &str {
        let range = usize::try_from(start).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX);
        self.texts.get(range).unwrap_or_default()
    }
}

/// A stretch of code from one source line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct LineStretch {
    rva: u32,
    end: u32,
    file: u32,
    line: u32,
}

/// Collects names in any order.
#[derive(Debug, Default)]
pub(super) struct NamesBuilder {
    names: ModuleNames,
    stretches: Vec<LineStretch>,
    file_numbers: HashMap<String, u32>,
}

impl NamesBuilder {
    /// Names beyond 4 GB of text are left out.
    pub fn add(&mut self, rva: Rva, name: &str, kind: NameKind) {
        if let Some((start, end)) = self.names.push_text(name) {
            self.names.entries.push(NameEntry { rva: rva.0, start, end, kind });
        }
    }

    /// The number of a source file, the same for each of its names.
    pub fn file(&mut self, name: &str) -> Option<u32> {
        if let Some(number) = self.file_numbers.get(name) {
            return Some(*number);
        }
        let number = u32::try_from(self.names.files.len()).ok()?;
        let range = self.names.push_text(name)?;
        self.names.files.push(range);
        self.file_numbers.insert(name.to_owned(), number);
        Some(number)
    }

    /// `length` bytes of code come from a line.
    pub fn add_line(&mut self, rva: Rva, length: u32, file: u32, line: u32) {
        let end = rva.0.saturating_add(length);
        if end > rva.0 && line > 0 {
            self.stretches.push(LineStretch { rva: rva.0, end, file, line });
        }
    }

    pub fn finish(self) -> ModuleNames {
        let Self { mut names, mut stretches, .. } = self;
        let texts = std::mem::take(&mut names.texts);
        let text = |entry: &NameEntry| {
            let range = usize::try_from(entry.start).unwrap_or(0)..usize::try_from(entry.end).unwrap_or(0);
            texts.get(range).unwrap_or_default()
        };
        // Of equal kinds the first of the alphabet is shown, so it comes last.
        names.entries.sort_unstable_by(|a, b| (a.rva, a.kind).cmp(&(b.rva, b.kind)).then_with(|| text(b).cmp(text(a))));
        names.entries.dedup_by(|a, b| a.rva == b.rva && a.kind == b.kind && text(a) == text(b));
        names.texts = texts;
        stretches.sort_by_key(|stretch| stretch.rva);
        names.lines = without_overlaps(&stretches);
        names
    }
}

/// Each stretch ends where the next begins; where none begins, an entry without a line.
fn without_overlaps(stretches: &[LineStretch]) -> Vec<LineEntry> {
    let mut lines: Vec<LineEntry> = Vec::new();
    let mut starts = stretches.iter().skip(1).map(|next| next.rva);
    for stretch in stretches {
        let next_start = starts.next();
        if next_start == Some(stretch.rva) {
            continue;
        }
        let LineStretch { rva, end, file, line } = *stretch;
        let is_same = lines.last().is_some_and(|last| (last.file, last.line) == (file, line));
        if !is_same {
            lines.push(LineEntry { rva, file, line });
        }
        if next_start.is_none_or(|start| start > end) {
            lines.push(LineEntry { rva: end, file: 0, line: 0 });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_names_the_private_one_is_shown() {
        let mut builder = NamesBuilder::default();
        builder.add(Rva(0x20), "b", NameKind::PublicFunction);
        builder.add(Rva(0x10), "Class::f", NameKind::GlobalFunction);
        builder.add(Rva(0x10), "a_public", NameKind::PublicFunction);
        builder.add(Rva(0x20), "a", NameKind::PublicFunction);
        builder.add(Rva(0x20), "a", NameKind::PublicFunction);
        let names = builder.finish();
        assert_eq!(names.name_count(), 4);
        assert_eq!(names.name_at(Rva(0x0f)), None);
        assert_eq!(names.name_at(Rva(0x1f)), Some(("Class::f", Rva(0x10))));
        assert_eq!(names.name_at(Rva(0x99)), Some(("a", Rva(0x20))));
        assert_eq!(names.place_of("b"), Some(Rva(0x20)));
        assert_eq!(names.place_of("c"), None);
    }

    #[test]
    fn lines_end_where_their_code_ends() {
        let mut builder = NamesBuilder::default();
        let file = builder.file("a.c").expect("a number");
        assert_eq!(builder.file("a.c"), Some(file));
        builder.add_line(Rva(0x10), 8, file, 1);
        builder.add_line(Rva(0x18), 8, file, 2);
        builder.add_line(Rva(0x30), 0x100, file, 3);
        builder.add_line(Rva(0x40), 4, file, 4);
        let names = builder.finish();
        let line = |rva| names.line_at(Rva(rva)).map(|line| line.line);
        let found = [0xf, 0x10, 0x17, 0x18, 0x1f, 0x20, 0x30, 0x3f, 0x43, 0x44].map(line);
        assert_eq!(found, [None, Some(1), Some(1), Some(2), Some(2), None, Some(3), Some(3), Some(4), None]);
    }
}
