//! The part of a store that holds its entries, as runs of bytes that the dump has, and the gaps between them.
//!
//! **Invariant:** runs are in order, lie in the range, and are borrowed; only an entry that lies across two runs which
//! follow each other in memory but not in the file is copied.

use std::borrow::Cow;

use crate::base::addr::{Va, VaRange};
use crate::base::memory::ReadMemory;

use super::layouts::MAX_BLOCK_BYTES;

/// Memory comes and goes in pages: after a gap the next byte is looked for at the next one.
pub(super) const PAGE_BYTES: u64 = 0x1000;

pub(super) struct Run<'a> {
    pub start: u64,
    pub bytes: &'a [u8],
}

impl Run<'_> {
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }
}

pub(super) struct Area<'a> {
    pub range: VaRange,
    runs: Vec<Run<'a>>,
}

impl<'a> Area<'a> {
    pub fn new(memory: &'a dyn ReadMemory, range: VaRange) -> Self {
        let mut runs: Vec<Run<'a>> = Vec::new();
        let end = range.end.0;
        let mut at = range.start.0;
        while at < end {
            let bytes = memory.bytes_at(Va(at), end.saturating_sub(at));
            if bytes.is_empty() {
                at = next_page(at);
            } else {
                let run = Run { start: at, bytes };
                at = run.end();
                runs.push(run);
            }
        }
        Self { range, runs }
    }

    /// The run that holds `va`, else the first one after it.
    pub fn run_from(&self, va: u64) -> Option<&Run<'a>> {
        self.runs.get(self.runs.partition_point(|run| run.end() <= va))
    }

    /// The first address from `va` on that the dump has; the end of the area if there is none.
    pub fn present_from(&self, va: u64) -> u64 {
        self.run_from(va).map_or(self.range.end.0, |run| run.start.max(va))
    }

    /// Bytes from `va` on: enough for any entry, or up to the next gap or the area's end.
    pub fn entry_bytes(&self, va: u64) -> Cow<'a, [u8]> {
        let first = self.runs.partition_point(|run| run.end() <= va);
        let Some(run) = self.runs.get(first).filter(|run| run.start <= va) else { return Cow::Borrowed(&[]) };
        let found = bytes_from(run, va);
        let is_enough = found.len() as u64 >= MAX_BLOCK_BYTES || run.end() == self.range.end.0;
        let goes_on = |run: &Run<'_>, next: Option<&Run<'_>>| next.is_some_and(|next| next.start == run.end());
        if is_enough || !goes_on(run, self.runs.get(first.saturating_add(1))) {
            return Cow::Borrowed(found);
        }
        let mut joined = found.to_vec();
        let mut end = run.end();
        for next in self.runs.iter().skip(first.saturating_add(1)) {
            if next.start != end || joined.len() as u64 >= MAX_BLOCK_BYTES {
                break;
            }
            let wanted = MAX_BLOCK_BYTES.saturating_sub(joined.len() as u64);
            joined.extend(next.bytes.iter().take(usize::try_from(wanted).unwrap_or(usize::MAX)));
            end = next.end();
        }
        Cow::Owned(joined)
    }

    /// Bytes of the range from `start` to `end` that the dump does not have.
    pub fn missing_bytes(&self, start: u64, end: u64) -> u64 {
        let first = self.runs.partition_point(|run| run.end() <= start);
        let runs = self.runs.iter().skip(first).take_while(|run| run.start < end);
        let present: u64 =
            runs.map(|run| run.end().min(end).saturating_sub(run.start.max(start))).fold(0, u64::saturating_add);
        end.saturating_sub(start).saturating_sub(present)
    }

    /// Where the dump goes on after each gap, in order.
    pub fn ends_of_gaps(&self) -> Vec<u64> {
        let mut previous_end = self.range.start.0;
        let mut ends = Vec::new();
        for run in &self.runs {
            if run.start != previous_end {
                ends.push(run.start);
            }
            previous_end = run.end();
        }
        ends
    }
}

/// What `run` holds from `va` on.
pub(super) fn bytes_from<'a>(run: &Run<'a>, va: u64) -> &'a [u8] {
    let offset = va.checked_sub(run.start).and_then(|offset| usize::try_from(offset).ok());
    offset.and_then(|offset| run.bytes.get(offset..)).unwrap_or_default()
}

/// The start of the page after the one that `va` lies in.
pub(super) fn next_page(va: u64) -> u64 {
    (va | (PAGE_BYTES - 1)).saturating_add(1)
}
