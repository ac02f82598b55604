//! Merges equal stacks. What is kept grows with the different stacks, never with the entries.
//!
//! While a store is walked, a [`Collector`] per worker refers to frames where they lie in the dump; [`UniqueStacks`] is
//! made of the collectors at the end and has copied each stack once.
//!
//! **Invariant:** two stacks are one only when all their frames are equal; the hash only says where to look.

use std::borrow::Cow;

use crate::base::addr::{PointerWidth, Va};

use super::frame_words::{hash_and_sum, hash_of, words};
use super::hash_table::{Table, position_in};
use super::layouts::MAX_DEPTH;

/// One stack, and what the entries with it say together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UniqueStack {
    frames_start: u32,
    depth: u16,
    /// Entries (records, in a heap log) with these frames. Only entries in use count.
    pub entry_count: u64,
    /// Sum of TraceCount: at least so many uses, see `saturated_entry_count`. 0 in a heap log, which counts none.
    pub use_count: u64,
    /// Entries whose count has stopped at 0x7ff.
    pub saturated_entry_count: u64,
    /// Lowest and highest index of its entries; entries that nobody asked for an index have none.
    pub first_index: Option<u32>,
    pub last_index: Option<u32>,
    /// Where the lowest of its entries lies.
    pub first_entry: Va,
    /// Memory of the store that its entries take.
    pub store_bytes: u64,
}

impl UniqueStack {
    pub const fn depth(&self) -> u16 {
        self.depth
    }

    /// Whether the stack has as many frames as fit, so that its outer end is most likely cut off.
    pub const fn is_truncated(&self) -> bool {
        self.depth >= MAX_DEPTH
    }
}

/// The different stacks of a store, by the address of their lowest entry.
#[derive(Clone, Debug, Default)]
pub struct UniqueStacks {
    frames: Vec<Va>,
    stacks: Vec<UniqueStack>,
    table: Table,
}

impl UniqueStacks {
    pub fn len(&self) -> usize {
        self.stacks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &UniqueStack> {
        self.stacks.iter()
    }

    pub fn get(&self, position: usize) -> Option<&UniqueStack> {
        self.stacks.get(position)
    }

    /// Return addresses, innermost first. `stack` must be one of this store.
    pub fn frames(&self, stack: &UniqueStack) -> &[Va] {
        frames_of(&self.frames, stack)
    }

    /// The position of the stack with exactly these frames: how the same stack is found in another dump.
    pub fn position(&self, frames: &[Va]) -> Option<usize> {
        let hash = hash_of(frames.iter().map(|va| va.0));
        let is_equal = |at: usize| self.stacks.get(at).is_some_and(|stack| self.frames(stack) == frames);
        self.table.find(hash, is_equal)
    }

    /// Joins what the workers have. The result does not depend on who had what.
    pub(super) fn from_collectors(collectors: Vec<Collector<'_>>, width: PointerWidth) -> Self {
        let mut merged = Collector::new(width);
        for collector in collectors {
            merged.absorb(collector);
        }
        let Collector { stacks, totals, .. } = merged;
        let mut ordered: Vec<(Collected<'_>, Totals)> = stacks.into_iter().zip(totals).collect();
        ordered.sort_unstable_by_key(|(_, totals)| totals.first_entry);
        let frames_bytes = ordered.iter().map(|(stack, _)| stack.frames.len()).fold(0, usize::saturating_add);
        let mut result = Self {
            frames: Vec::with_capacity(frames_bytes.checked_div(pointer_bytes(width)).unwrap_or(0)),
            stacks: Vec::with_capacity(ordered.len()),
            table: Table::with_room_for(ordered.len()),
        };
        for (stack, totals) in &ordered {
            result.push(stack, totals, width);
        }
        result
    }

    fn push(&mut self, stack: &Collected<'_>, totals: &Totals, width: PointerWidth) {
        let Ok(frames_start) = u32::try_from(self.frames.len()) else { return };
        self.frames.extend(words(&stack.frames, width).map(Va));
        let depth = self.frames.len().saturating_sub(frames_start as usize);
        self.table.insert(stack.hash, self.stacks.len());
        self.stacks.push(UniqueStack {
            frames_start,
            depth: u16::try_from(depth).unwrap_or(u16::MAX),
            entry_count: totals.entry_count,
            use_count: totals.use_count,
            saturated_entry_count: totals.saturated_entry_count,
            first_index: (totals.last_index > 0).then_some(totals.first_index),
            last_index: (totals.last_index > 0).then_some(totals.last_index),
            first_entry: Va(totals.first_entry),
            store_bytes: totals.store_bytes,
        });
    }
}

const fn pointer_bytes(width: PointerWidth) -> usize {
    match width {
        PointerWidth::Bits32 => 4,
        PointerWidth::Bits64 => 8,
    }
}

fn frames_of<'a>(frames: &'a [Va], stack: &UniqueStack) -> &'a [Va] {
    let start = stack.frames_start as usize;
    frames.get(start..start.saturating_add(usize::from(stack.depth))).unwrap_or_default()
}

/// What one entry adds to its stack.
#[derive(Clone, Copy)]
pub(super) struct Addition {
    pub va: u64,
    pub store_bytes: u64,
    pub use_count: u64,
    pub is_saturated: bool,
    /// 0: none.
    pub index: u32,
}

struct Totals {
    entry_count: u64,
    use_count: u64,
    saturated_entry_count: u64,
    store_bytes: u64,
    first_entry: u64,
    first_index: u32,
    last_index: u32,
}

struct Collected<'a> {
    hash: u64,
    frames: Cow<'a, [u8]>,
}

/// An entry that waits for its batch.
struct Waiting<'a> {
    hash: u64,
    frames: Cow<'a, [u8]>,
    totals: Totals,
}

/// Entries that are looked up together. With many different stacks each look-up waits for memory several times; side by
/// side they wait at the same time.
const BATCH: usize = 64;

/// Stacks of the part that one worker walks.
pub(super) struct Collector<'a> {
    width: PointerWidth,
    /// Side by side with `totals`.
    stacks: Vec<Collected<'a>>,
    totals: Vec<Totals>,
    table: Table,
    waiting: Vec<Waiting<'a>>,
}

impl<'a> Collector<'a> {
    pub fn new(width: PointerWidth) -> Self {
        Self {
            width,
            stacks: Vec::new(),
            totals: Vec::new(),
            table: Table::default(),
            waiting: Vec::with_capacity(BATCH),
        }
    }

    /// Counts one entry. Returns the sum of the low dwords of its frames, which is what Windows hashes stacks by.
    #[inline]
    pub fn add(&mut self, frames: Cow<'a, [u8]>, addition: &Addition) -> u32 {
        let (hash, sum) = hash_and_sum(&frames, self.width);
        self.waiting.push(Waiting { hash, frames, totals: Totals::of(addition) });
        if self.waiting.len() >= BATCH {
            self.settle();
        }
        sum
    }

    /// Counts what waits. Each loop does one step of all look-ups.
    fn settle(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut slots = [0; BATCH];
        for (slot, entry) in slots.iter_mut().zip(&waiting) {
            *slot = self.table.first_slot(entry.hash);
        }
        let mut likely = [None; BATCH];
        for ((likely, slot), entry) in likely.iter_mut().zip(slots).zip(&waiting) {
            *likely =
                position_in(slot, entry.hash).filter(|at| self.stacks.get(*at).is_some_and(|s| s.hash == entry.hash));
        }
        for (likely, entry) in likely.iter_mut().zip(&waiting) {
            *likely = likely.filter(|at| self.stacks.get(*at).is_some_and(|stack| *stack.frames == *entry.frames));
        }
        for (entry, likely) in waiting.drain(..).zip(likely) {
            match likely.and_then(|at| self.totals.get_mut(at)) {
                Some(totals) => totals.add(&entry.totals),
                None => self.merge(entry.hash, entry.frames, entry.totals),
            }
        }
        self.waiting = waiting;
    }

    fn merge(&mut self, hash: u64, frames: Cow<'a, [u8]>, totals: Totals) {
        let stacks = &self.stacks;
        let is_equal = |at: usize| stacks.get(at).is_some_and(|stack| stack.hash == hash && *stack.frames == *frames);
        let found = self.table.find(hash, is_equal);
        if let Some(mine) = found.and_then(|at| self.totals.get_mut(at)) {
            mine.add(&totals);
        } else {
            self.table.insert(hash, self.stacks.len());
            self.stacks.push(Collected { hash, frames });
            self.totals.push(totals);
        }
    }

    fn absorb(&mut self, mut other: Self) {
        other.settle();
        if self.stacks.is_empty() {
            *self = other;
            return;
        }
        for (stack, totals) in other.stacks.into_iter().zip(other.totals) {
            self.merge(stack.hash, stack.frames, totals);
        }
    }
}

impl Totals {
    fn of(addition: &Addition) -> Self {
        Self {
            entry_count: 1,
            use_count: addition.use_count,
            saturated_entry_count: u64::from(addition.is_saturated),
            store_bytes: addition.store_bytes,
            first_entry: addition.va,
            first_index: if addition.index == 0 { u32::MAX } else { addition.index },
            last_index: addition.index,
        }
    }

    fn add(&mut self, other: &Self) {
        self.entry_count = self.entry_count.saturating_add(other.entry_count);
        self.use_count = self.use_count.saturating_add(other.use_count);
        self.saturated_entry_count = self.saturated_entry_count.saturating_add(other.saturated_entry_count);
        self.store_bytes = self.store_bytes.saturating_add(other.store_bytes);
        self.first_entry = self.first_entry.min(other.first_entry);
        self.first_index = self.first_index.min(other.first_index);
        self.last_index = self.last_index.max(other.last_index);
    }
}
