//! The entries of a trace store one by one, for outputs that list them all. What only counts stacks decodes the store.

use crate::base::addr::{Va, VaRange};
use crate::base::memory::ReadMemory;
use crate::process::traces::{Entry, StoreHeader, StoreKind, entries_in};

use super::Snapshot;

/// No entry is longer. Windows 7 to 11, x64: 0x10 bytes and 32 frames.
const LONGEST_ENTRY_BYTES: u64 = 0x110;

const EVERYWHERE: VaRange = VaRange { start: Va(0), end: Va(u64::MAX) };

/// Entries of a store in the order of their addresses, those that were given back too.
pub struct TraceEntries<'s> {
    entries: Box<dyn Iterator<Item = Entry> + 's>,
    memory: &'s dyn ReadMemory,
    header: &'s StoreHeader,
    /// Where the last entry ended: in an indexed database the next one begins there.
    end: Option<Va>,
    block_count: u64,
    damaged_place_count: u64,
    missing_place_count: u64,
}

/// All entries of a store. They are read while the iterator goes on; what it holds does not grow with the store.
pub fn trace_entries<'s>(snapshot: &'s Snapshot, header: &'s StoreHeader) -> TraceEntries<'s> {
    let memory = &snapshot.dump.memory;
    TraceEntries {
        entries: entries_in(memory, header, EVERYWHERE),
        memory,
        header,
        end: None,
        block_count: 0,
        damaged_place_count: 0,
        missing_place_count: 0,
    }
}

impl TraceEntries<'_> {
    /// Places so far where an entry should be, and the dump has bytes that are none.
    pub const fn damaged_place_count(&self) -> u64 {
        self.damaged_place_count
    }

    /// Places so far where an entry should be, which are not in the dump.
    pub const fn missing_place_count(&self) -> u64 {
        self.missing_place_count
    }

    /// Before an entry at `next`.
    fn note_gap(&mut self, next: Va) {
        let gap_bytes = self.end.and_then(|end| next.offset_from(end));
        if let Some((end, gap_bytes)) = self.end.zip(gap_bytes).filter(|(_, gap_bytes)| *gap_bytes > 0) {
            self.note_place(end, gap_bytes);
        }
    }

    /// What is lost behind the last entry shows in the header's count alone.
    fn note_end(&mut self) {
        let place_count = self.damaged_place_count.saturating_add(self.missing_place_count);
        let Some(counts) = self.header.counts.filter(|_| place_count == 0) else { return };
        if counts.allocated_count.is_some_and(|carved_count| self.block_count < u64::from(carved_count)) {
            let end = self.end.unwrap_or(self.header.base);
            self.note_place(end, counts.lower_commit_limit.offset_from(end).unwrap_or(0));
        }
    }

    fn note_place(&mut self, va: Va, size_bytes: u64) {
        let looked_at_bytes = size_bytes.min(LONGEST_ENTRY_BYTES);
        let is_in_dump = self.memory.bytes_at(va, looked_at_bytes).len() as u64 == looked_at_bytes;
        let count = if is_in_dump { &mut self.damaged_place_count } else { &mut self.missing_place_count };
        *count = count.saturating_add(1);
    }
}

impl Iterator for TraceEntries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let Some(entry) = self.entries.next() else {
            self.note_end();
            return None;
        };
        self.note_gap(entry.va);
        self.end = entry.va.checked_add(entry.size_bytes).filter(|_| self.header.kind == StoreKind::Indexed);
        self.block_count = self.block_count.saturating_add(1);
        Some(entry)
    }
}
