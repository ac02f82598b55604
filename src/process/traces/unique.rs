//! Merges equal stacks. What is kept is bounded, whatever the store holds.
//!
//! Frames are not copied: a stack is where its first entry lies. And when a store has more different stacks than one pass
//! may hold, the stacks are divided into classes by their hash and the store is walked once for each class, so that every
//! count is exact; of such a store the stacks with most entries are kept, and the others counted.
//!
//! **Invariant:** two stacks are one only when all their frames are equal; the hash only says where to look.

use std::borrow::Cow;
use std::cmp::Reverse;

use crate::base::addr::{PointerWidth, Va};
use crate::base::memory::{ReadMemory, copy_at};
use crate::base::progress::Cancelled;

use super::frame_words::{hash_bytes, sum_of, words};
use super::hash_table::Table;
use super::layouts::MAX_DEPTH;

/// Stacks of one store that are kept: 40 MB. A table of more helps nobody; what is left out is counted.
const MOST_KEPT: usize = 1 << 19;
/// Stacks that the workers of one pass hold together, at about 100 bytes each.
const MOST_COLLECTED: usize = 1 << 20;
/// And one worker at least, so that many cores do not make many passes.
const LEAST_COLLECTED: usize = 1 << 17;

/// One stack, and what the entries with it say together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UniqueStack {
    /// Where the lowest of its entries lies.
    pub first_entry: Va,
    depth: u16,
    /// Of its frames: equal for equal stacks, in one run of the program.
    pub hash: u64,
    /// Entries (records, in a heap log) with these frames. Only entries in use count.
    pub entry_count: u64,
    /// Sum of TraceCount: at least so many uses, see `saturated_entry_count`. 0 in a heap log, which counts none.
    pub use_count: u64,
    /// Entries whose count has stopped at 0x7ff.
    pub saturated_entry_count: u64,
    /// Lowest and highest index of its entries; entries that nobody asked for an index have none.
    pub first_index: Option<u32>,
    pub last_index: Option<u32>,
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

/// Stacks that were counted and not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LeftOut {
    pub stack_count: u64,
    pub entry_count: u64,
    pub use_count: u64,
}

/// The different stacks of a store, by the address of their lowest entry.
#[derive(Clone, Debug)]
pub struct UniqueStacks {
    pub width: PointerWidth,
    /// From an entry's start to its frames.
    frames_offset: u64,
    stacks: Vec<UniqueStack>,
    pub left_out: LeftOut,
    /// Stacks with as many frames as fit, those left out among them.
    pub truncated_count: u64,
}

impl UniqueStacks {
    /// All different stacks, those left out among them.
    pub fn count(&self) -> u64 {
        (self.stacks.len() as u64).saturating_add(self.left_out.stack_count)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &UniqueStack> {
        self.stacks.iter()
    }

    pub fn get(&self, position: usize) -> Option<&UniqueStack> {
        self.stacks.get(position)
    }

    /// Return addresses, innermost first. `memory` must be that of the store, `stack` one of this store.
    pub fn frames(&self, memory: &dyn ReadMemory, stack: &UniqueStack) -> Vec<Va> {
        let length = u64::from(stack.depth).saturating_mul(self.width.bytes());
        let at = stack.first_entry.checked_add(self.frames_offset);
        let bytes = at.and_then(|at| copy_at(memory, at, length)).unwrap_or_default();
        words(&bytes, self.width).map(Va).collect()
    }
}

/// Walks a store as often as its number of different stacks asks for. `pass` walks it once and gives what its workers
/// collected of one class of stacks; it is called at least once.
pub(super) fn collect_stacks<'a>(
    width: PointerWidth,
    frames_offset: u64,
    mut pass: impl FnMut(StackClass) -> Result<Vec<Collector<'a>>, Cancelled>,
) -> Result<UniqueStacks, Cancelled> {
    let first = joined(pass(StackClass::FIRST)?, width, StackClass::FIRST);
    let mask = first.class.mask;
    let mut kept = Kept::default();
    kept.take(first, width);
    for value in 1..=mask {
        let class = StackClass { mask, value, may_shrink: false };
        kept.take(joined(pass(class)?, width, class), width);
    }
    kept.cut(MOST_KEPT);
    kept.stacks.sort_unstable_by_key(|stack| stack.first_entry);
    kept.stacks.shrink_to_fit();
    Ok(UniqueStacks {
        width,
        frames_offset,
        stacks: kept.stacks,
        left_out: kept.left_out,
        truncated_count: kept.truncated_count,
    })
}

/// What all workers of a pass have. The result does not depend on who had what.
fn joined<'a>(collectors: Vec<Collector<'a>>, width: PointerWidth, class: StackClass) -> Collector<'a> {
    let mut joined = Collector::new(width, class);
    for collector in collectors {
        joined.absorb(collector);
    }
    joined
}

#[derive(Default)]
struct Kept {
    stacks: Vec<UniqueStack>,
    left_out: LeftOut,
    truncated_count: u64,
}

impl Kept {
    fn take(&mut self, collector: Collector<'_>, width: PointerWidth) {
        let Collector { stacks, totals, .. } = collector;
        self.stacks.reserve_exact(stacks.len());
        for (stack, totals) in stacks.iter().zip(&totals) {
            let stack = stack.finished(totals, width);
            self.truncated_count = self.truncated_count.saturating_add(u64::from(stack.is_truncated()));
            self.stacks.push(stack);
        }
        if self.stacks.len() > MOST_KEPT.saturating_mul(2) {
            self.cut(MOST_KEPT);
        }
    }

    /// Keeps the `most` stacks with most entries; of equal ones, those that came first.
    fn cut(&mut self, most: usize) {
        if self.stacks.len() <= most {
            return;
        }
        self.stacks.select_nth_unstable_by_key(most, |stack| (Reverse(stack.entry_count), stack.first_entry));
        for stack in self.stacks.drain(most..) {
            self.left_out.stack_count = self.left_out.stack_count.saturating_add(1);
            self.left_out.entry_count = self.left_out.entry_count.saturating_add(stack.entry_count);
            self.left_out.use_count = self.left_out.use_count.saturating_add(stack.use_count);
        }
    }
}

/// Which stacks a pass collects: those whose hash has this value under the mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StackClass {
    mask: u64,
    value: u64,
    /// The first pass begins with all stacks and halves its class whenever it holds too many.
    may_shrink: bool,
}

impl StackClass {
    pub const FIRST: Self = Self { mask: 0, value: 0, may_shrink: true };

    const fn has(self, hash: u64) -> bool {
        hash & self.mask == self.value
    }
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

#[derive(Clone, Copy)]
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
    sum: u32,
}

impl Collected<'_> {
    fn finished(&self, totals: &Totals, width: PointerWidth) -> UniqueStack {
        let depth = (self.frames.len() as u64).checked_div(width.bytes()).unwrap_or(0);
        UniqueStack {
            first_entry: Va(totals.first_entry),
            depth: u16::try_from(depth).unwrap_or(u16::MAX),
            hash: self.hash,
            entry_count: totals.entry_count,
            use_count: totals.use_count,
            saturated_entry_count: totals.saturated_entry_count,
            first_index: (totals.last_index > 0).then_some(totals.first_index),
            last_index: (totals.last_index > 0).then_some(totals.last_index),
            store_bytes: totals.store_bytes,
        }
    }
}

/// An entry that waits for its batch.
struct Waiting<'a> {
    sum: u32,
    frames: Cow<'a, [u8]>,
    totals: Totals,
}

/// Entries that are looked up together. With many different stacks each look-up waits for memory several times; side by
/// side they wait at the same time.
const BATCH: usize = 32;
const FIRST_RECENT_COUNT: usize = 256;

/// Stacks of the part that one worker walks.
pub(super) struct Collector<'a> {
    width: PointerWidth,
    class: StackClass,
    /// Side by side with `totals`.
    stacks: Vec<Collected<'a>>,
    totals: Vec<Totals>,
    /// By our own hash, which no dump can aim at.
    table: Table,
    /// Position + 1 of the last stack with this sum, by the sum. Most entries are found here, for the
    /// price of an addition for each frame; where sums were made to collide, the table answers.
    recent: Vec<u32>,
    waiting: Vec<Waiting<'a>>,
}

impl<'a> Collector<'a> {
    pub fn new(width: PointerWidth, class: StackClass) -> Self {
        Self {
            width,
            class,
            stacks: Vec::new(),
            totals: Vec::new(),
            table: Table::default(),
            recent: vec![0; FIRST_RECENT_COUNT],
            waiting: Vec::with_capacity(BATCH),
        }
    }

    /// Counts one entry. Returns the sum of the low dwords of its frames, which is what Windows hashes stacks by.
    #[inline]
    pub fn add(&mut self, frames: Cow<'a, [u8]>, addition: &Addition) -> u32 {
        let sum = sum_of(&frames, self.width);
        self.waiting.push(Waiting { sum, frames, totals: Totals::of(addition) });
        if self.waiting.len() >= BATCH {
            self.settle();
        }
        sum
    }

    fn recent_slot(&self, sum: u32) -> usize {
        spread(sum) & self.recent.len().wrapping_sub(1)
    }

    /// Counts what waits. Each loop does one step of all look-ups.
    fn settle(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut likely = [usize::MAX; BATCH];
        for (likely, entry) in likely.iter_mut().zip(&waiting) {
            let position = self.recent.get(self.recent_slot(entry.sum)).copied().unwrap_or(0);
            *likely = (position as usize).wrapping_sub(1);
        }
        for (likely, entry) in likely.iter_mut().zip(&waiting) {
            let is_likely = self.stacks.get(*likely).is_some_and(|stack| stack.sum == entry.sum);
            *likely = if is_likely { *likely } else { usize::MAX };
        }
        for (likely, entry) in likely.iter().zip(waiting.drain(..)) {
            let is_it = self.stacks.get(*likely).is_some_and(|stack| *stack.frames == *entry.frames);
            match self.totals.get_mut(*likely).filter(|_| is_it) {
                Some(totals) => totals.add(&entry.totals),
                None => {
                    let hash = hash_bytes(&entry.frames, self.width);
                    self.merge(hash, entry.sum, entry.frames, entry.totals);
                }
            }
        }
        self.waiting = waiting;
    }

    fn merge(&mut self, hash: u64, sum: u32, frames: Cow<'a, [u8]>, totals: Totals) {
        if !self.class.has(hash) {
            return;
        }
        let stacks = &self.stacks;
        let is_equal = |at: usize| stacks.get(at).is_some_and(|stack| stack.hash == hash && *stack.frames == *frames);
        let found = self.table.find(hash, is_equal);
        let position = found.unwrap_or(self.stacks.len());
        if let Some(mine) = self.totals.get_mut(position) {
            mine.add(&totals);
        } else {
            self.table.insert(hash, position);
            self.stacks.push(Collected { hash, frames, sum });
            self.totals.push(totals);
        }
        self.remember(sum, position);
        if found.is_none() {
            self.shrink_if_full();
        }
    }

    fn remember(&mut self, sum: u32, position: usize) {
        if self.stacks.len() > self.recent.len() / 2 {
            self.rebuild_recent();
        }
        let slot = self.recent_slot(sum);
        if let Some(slot) = self.recent.get_mut(slot) {
            *slot = u32::try_from(position.saturating_add(1)).unwrap_or(0);
        }
    }

    fn rebuild_recent(&mut self) {
        let wanted = self.stacks.len().saturating_mul(4).checked_next_power_of_two().unwrap_or(FIRST_RECENT_COUNT);
        let mut recent = vec![0; wanted.max(FIRST_RECENT_COUNT)];
        let mask = recent.len().wrapping_sub(1);
        for (position, stack) in (1_u32..).zip(&self.stacks) {
            if let Some(slot) = recent.get_mut(spread(stack.sum) & mask) {
                *slot = position;
            }
        }
        self.recent = recent;
    }

    fn shrink_if_full(&mut self) {
        let most = MOST_COLLECTED.checked_div(rayon::current_num_threads()).unwrap_or(0).max(LEAST_COLLECTED);
        while self.class.may_shrink && self.stacks.len() > most {
            self.shrink_to(self.class.mask << 1 | 1);
        }
    }

    /// Drops the stacks that are not of value 0 under a longer mask; a later pass collects them.
    fn shrink_to(&mut self, mask: u64) {
        self.class.mask |= mask;
        let class = self.class;
        let stacks = std::mem::take(&mut self.stacks);
        let totals = std::mem::take(&mut self.totals);
        let of_class = |(stack, _): &(Collected<'_>, Totals)| class.has(stack.hash);
        (self.stacks, self.totals) = stacks.into_iter().zip(totals).filter(of_class).unzip();
        self.table = Table::with_room_for(self.stacks.len());
        for (position, stack) in self.stacks.iter().enumerate() {
            self.table.insert(stack.hash, position);
        }
        self.rebuild_recent();
    }

    fn absorb(&mut self, mut other: Self) {
        other.settle();
        if self.class.mask | other.class.mask != self.class.mask {
            self.shrink_to(other.class.mask);
        }
        if self.stacks.is_empty() {
            other.shrink_to_mask_of(self.class);
            *self = other;
            return;
        }
        for (stack, totals) in other.stacks.into_iter().zip(other.totals) {
            self.merge(stack.hash, stack.sum, stack.frames, totals);
        }
    }

    fn shrink_to_mask_of(&mut self, class: StackClass) {
        if self.class.mask | class.mask != self.class.mask {
            self.shrink_to(class.mask);
        }
    }
}

/// Spreads sums over the slots: those of stacks that differ in one frame lie close together.
fn spread(sum: u32) -> usize {
    let product = u64::from(sum).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (product >> 40) as usize
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

    /// Sums of what lies in a mapped file cannot pass 64 bits.
    #[inline]
    fn add(&mut self, other: &Self) {
        self.entry_count = self.entry_count.wrapping_add(other.entry_count);
        self.use_count = self.use_count.wrapping_add(other.use_count);
        self.saturated_entry_count = self.saturated_entry_count.wrapping_add(other.saturated_entry_count);
        self.store_bytes = self.store_bytes.wrapping_add(other.store_bytes);
        self.first_entry = self.first_entry.min(other.first_entry);
        self.first_index = self.first_index.min(other.first_index);
        self.last_index = self.last_index.max(other.last_index);
    }
}
