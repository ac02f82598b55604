//! Steps through the entries of an indexed database, block by block, over damage and gaps.
//!
//! After damage or a gap it goes on at the next place where two entries follow each other, or where the index array
//! says that one begins.
//!
//! **Invariant:** each step ends further on than it began, so that a walk is linear in the area whatever lies in it.

use std::borrow::Cow;

use super::area::{Area, Run, bytes_from};
use super::entry::{EntryRule, Fault, RawEntry};
use super::layouts::MAX_BLOCK_BYTES;

pub(super) enum Step<'a> {
    Entry {
        va: u64,
        entry: RawEntry,
        /// From the entry's start on: all of the entry, and perhaps more.
        bytes: Cow<'a, [u8]>,
    },
    Loss(Loss),
}

/// A stretch in which no entry was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Loss {
    pub start: u64,
    pub end: u64,
    pub fault: Fault,
}

/// Where a walk stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Position {
    /// At the end of the last entry.
    At(u64),
    /// Past damage, before any further entry.
    Searching,
}

pub(super) struct Steps<'a, 'w> {
    area: &'w Area<'a>,
    rule: EntryRule,
    known: &'w KnownEntries,
    run: Option<&'w Run<'a>>,
    at: u64,
    to: u64,
    is_searching: bool,
}

/// First entries after gaps, from the index array: (where the dump goes on, the entry). Sorted.
#[derive(Default)]
pub(super) struct KnownEntries(pub Vec<(u64, u64)>);

impl KnownEntries {
    fn after_gap(&self, gap_end: u64) -> Option<u64> {
        let at = self.0.binary_search_by_key(&gap_end, |(end, _)| *end).ok()?;
        self.0.get(at).map(|(_, entry)| *entry)
    }
}

impl<'a, 'w> Steps<'a, 'w> {
    /// Entries that begin from `from` on and before `to`; `from` must be where an entry begins.
    pub fn new(area: &'w Area<'a>, rule: EntryRule, known: &'w KnownEntries, from: u64, to: u64) -> Self {
        let to = to.min(area.range.end.0);
        Self { area, rule, known, run: area.run_from(from), at: from, to, is_searching: false }
    }

    /// The same for a place that may be in the midst of an entry: begins at the first entry that can be made out.
    /// The second value is where that is.
    pub fn searched(
        area: &'w Area<'a>,
        rule: EntryRule,
        known: &'w KnownEntries,
        from: u64,
        to: u64,
    ) -> (Self, Option<u64>) {
        let mut steps = Self::new(area, rule, known, from, to);
        let found = steps.search(from);
        steps.at = found.unwrap_or(steps.to);
        steps.is_searching = found.is_none();
        (steps, found)
    }

    pub fn position(&self) -> Position {
        if self.is_searching { Position::Searching } else { Position::At(self.at) }
    }

    #[inline]
    fn bytes_at(&mut self, va: u64) -> Cow<'a, [u8]> {
        if let Some(run) = self.run {
            let bytes = bytes_from(run, va);
            if bytes.len() as u64 >= MAX_BLOCK_BYTES {
                return Cow::Borrowed(bytes);
            }
        }
        self.run = self.area.run_from(va);
        self.area.entry_bytes(va)
    }

    /// The next place before the end of the walk where an entry can be made out.
    fn search(&mut self, from: u64) -> Option<u64> {
        let mut at = self.rule.next_place(from);
        let mut known = None;
        while at < self.to {
            let present = self.area.present_from(at);
            if present > at {
                known = self.known.after_gap(present);
                at = self.rule.next_place(present);
                continue;
            }
            if self.is_entry(at, known == Some(at)) {
                return Some(at);
            }
            at = at.saturating_add(self.rule.alignment);
        }
        None
    }

    fn is_entry(&mut self, va: u64, is_known: bool) -> bool {
        let rule = self.rule;
        let bytes = self.bytes_at(va);
        let Ok(entry) = rule.read_doubted(va, &bytes) else { return false };
        let follower = va.saturating_add(entry.block_bytes);
        if is_known || follower == rule.area.end.0 {
            return true;
        }
        let bytes = self.bytes_at(follower);
        matches!(rule.read_doubted(follower, &bytes), Ok(_) | Err(Fault::NotInDump))
    }
}

impl<'a> Iterator for Steps<'a, '_> {
    type Item = Step<'a>;

    #[inline]
    fn next(&mut self) -> Option<Step<'a>> {
        if self.at >= self.to {
            return None;
        }
        let va = self.at;
        let bytes = self.bytes_at(va);
        match self.rule.read(va, &bytes) {
            Ok(entry) => {
                self.at = va.saturating_add(entry.block_bytes);
                Some(Step::Entry { va, entry, bytes })
            }
            Err(fault) => {
                let found = self.search(va.saturating_add(self.rule.alignment));
                self.at = found.unwrap_or(self.to);
                self.is_searching = found.is_none();
                Some(Step::Loss(Loss { start: va, end: self.at, fault }))
            }
        }
    }
}
