//! Blocks in use by the stack that allocated them, for each dump of a series: what is outstanding, beside what was logged.
//!
//! A block of Vista and later has the address of its stack's record, one of XP and 2003 a number modulo 65,536. Both are
//! looked up in the stores of the same dump; a number that several entries may have is counted as that, and not guessed.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::analysis::snapshot::Snapshot;
use crate::base::addr::Va;
use crate::base::pairs;
use crate::base::progress::{Cancelled, Progress};
use crate::process::heap::block::Trace;
use crate::process::heap::totals::Amount;
use crate::process::traces::{Entry, StoreHeader, entries_of_index, entry_at};

use super::heaps::SeriesHeaps;
use super::stacks::SeriesStacks;

/// What is outstanding of one stack in one dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Outstanding {
    pub block_count: u64,
    /// What was asked for.
    pub user_bytes: u64,
    /// With headers and rests.
    pub block_bytes: u64,
}

impl Outstanding {
    const fn add(&mut self, amount: &Amount) {
        self.block_count = self.block_count.saturating_add(amount.block_count);
        self.user_bytes = self.user_bytes.saturating_add(amount.user_bytes);
        self.block_bytes = self.block_bytes.saturating_add(amount.block_bytes);
    }
}

/// What one dump says in all.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DumpOutstanding {
    /// Blocks whose stack is known.
    pub traced: Outstanding,
    /// Blocks of heaps that keep stacks, without one.
    pub untraced: Outstanding,
    /// Blocks of heaps that keep no stacks.
    pub not_kept: Outstanding,
    /// Blocks with a number that several stacks may have (XP, 2003).
    pub ambiguous: Outstanding,
    /// Blocks whose record is in no store of this dump, or which is no entry.
    pub unresolved: Outstanding,
    /// Blocks of stacks that were not kept apart, in the heap or in the stores.
    pub left_out: Outstanding,
    /// Whether all blocks of all heaps were read.
    pub is_whole: bool,
    #[serde(with = "pairs")]
    by_stack: HashMap<u32, Outstanding>,
}

/// See the file's head. Stacks are those of the series, by their position.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SeriesOutstanding {
    /// `None` for a dump of which no block with a stack could be read.
    pub dumps: Vec<Option<DumpOutstanding>>,
}

impl SeriesOutstanding {
    /// What a dump has of a stack; `None` where that is not known.
    pub fn of(&self, stack: usize, dump: usize) -> Option<Outstanding> {
        let dump = self.dumps.get(dump)?.as_ref()?;
        let found = u32::try_from(stack).ok().and_then(|stack| dump.by_stack.get(&stack)).copied();
        // Of a dump with unread blocks, what is not there is not known.
        found.or_else(|| dump.is_whole.then(Outstanding::default))
    }

    /// Whether any block of any dump has a stack.
    pub fn has_stacks(&self) -> bool {
        self.dumps.iter().flatten().any(|dump| !dump.by_stack.is_empty())
    }
}

/// Looks up the stacks of all blocks.
///
/// # Errors
/// Only when cancelled.
pub fn join_outstanding(
    snapshots: &[Arc<Snapshot>],
    heaps: &SeriesHeaps,
    stacks: &SeriesStacks,
    progress: &Progress,
) -> Result<SeriesOutstanding, Cancelled> {
    let finder = StackFinder::new(stacks);
    let mut dumps = Vec::with_capacity(snapshots.len());
    for (snapshot, decoded) in snapshots.iter().zip(&heaps.dumps) {
        let totals: Vec<_> = decoded.heaps.iter().filter_map(|heap| heap.totals.as_ref()).collect();
        if totals.is_empty() {
            dumps.push(None);
            continue;
        }
        let mut found = DumpOutstanding {
            is_whole: decoded.heaps.iter().all(|heap| heap.totals.as_ref().is_some_and(|totals| totals.is_whole())),
            ..DumpOutstanding::default()
        };
        // Heaps share stacks: each is looked up once.
        let mut by_trace: BTreeMap<Trace, Amount> = BTreeMap::new();
        for totals in totals {
            found.left_out.add(&totals.other_stacks);
            let with_stack: u64 = totals.stacks.values().map(|amount| amount.block_count).fold(0, u64::saturating_add);
            let in_use = totals.in_use();
            if with_stack == 0 && totals.other_stacks.is_zero() {
                found.not_kept.add(&in_use);
            }
            totals.add_stacks_to(&mut by_trace);
        }
        for (number, (trace, amount)) in by_trace.iter().enumerate() {
            if number & 0xfff == 0 {
                progress.check()?;
            }
            match look_up(snapshot, *trace) {
                LookedUp::NotKept => found.not_kept.add(amount),
                LookedUp::Missing => found.untraced.add(amount),
                LookedUp::Ambiguous => found.ambiguous.add(amount),
                LookedUp::Nothing => found.unresolved.add(amount),
                LookedUp::Entry(entry) => match finder.position(&entry.frames) {
                    Some(stack) => {
                        found.traced.add(amount);
                        found.by_stack.entry(stack).or_default().add(amount);
                    }
                    None => found.left_out.add(amount),
                },
            }
        }
        dumps.push(Some(found));
    }
    Ok(SeriesOutstanding { dumps })
}

/// What a block's trace leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LookedUp {
    NotKept,
    Missing,
    /// Several entries may be meant.
    Ambiguous,
    /// No store of the dump has such an entry.
    Nothing,
    Entry(Box<Entry>),
}

/// Looks up the stack of one block in the stores of its dump.
pub fn look_up(snapshot: &Snapshot, trace: Trace) -> LookedUp {
    let memory = &snapshot.dump.memory;
    match trace {
        Trace::NotKept => LookedUp::NotKept,
        Trace::Missing => LookedUp::Missing,
        Trace::At(va) => {
            let holds = |header: &&StoreHeader| header.regions().iter().any(|region| region.contains(va));
            let found = snapshot.trace_stores.iter().filter(holds).find_map(|header| entry_at(memory, header, va));
            found.filter(|entry| !entry.is_free).map_or(LookedUp::Nothing, |entry| LookedUp::Entry(Box::new(entry)))
        }
        Trace::Index(index) => {
            let mut candidates: Vec<Entry> =
                snapshot.trace_stores.iter().flat_map(|header| entries_of_index(memory, header, index)).collect();
            candidates.dedup_by(|a, b| a.frames == b.frames);
            match candidates.len() {
                0 => LookedUp::Nothing,
                1 => candidates.pop().map_or(LookedUp::Nothing, |entry| LookedUp::Entry(Box::new(entry))),
                _ => LookedUp::Ambiguous,
            }
        }
    }
}

/// Finds a stack of the series by its frames.
struct StackFinder<'s> {
    stacks: &'s SeriesStacks,
    hasher: std::hash::RandomState,
    by_hash: HashMap<u64, Vec<u32>>,
}

impl<'s> StackFinder<'s> {
    fn new(stacks: &'s SeriesStacks) -> Self {
        let hasher = std::hash::RandomState::new();
        let mut by_hash: HashMap<u64, Vec<u32>> = HashMap::with_capacity(stacks.len());
        for stack in 0..stacks.len() {
            let frames: Vec<Va> = stacks.frames(stack).collect();
            if let Ok(number) = u32::try_from(stack) {
                by_hash.entry(hasher.hash_one(&frames)).or_default().push(number);
            }
        }
        Self { stacks, hasher, by_hash }
    }

    fn position(&self, frames: &[Va]) -> Option<u32> {
        let candidates = self.by_hash.get(&self.hasher.hash_one(frames))?;
        candidates.iter().copied().find(|stack| self.stacks.frames(*stack as usize).eq(frames.iter().copied()))
    }
}
