//! ntdll's user-mode stack trace database (gflags +ust): finds its stores in a process's memory and decodes them.
//!
//! Two kinds: the *indexed database*, one reservation with entries from below and an array of pointers from above, and
//! the *heap trace log* of Windows 10 and 11, records in zones of 64 KiB. Finding is cheap and says which memory a store
//! has; decoding reads all of it.
//!
//! **Invariant:** nothing outside of a store is taken for one of its entries, and the work is linear in the store's size,
//! whatever its header says.

mod area;
mod chain_sums;
mod details;
mod entry;
mod find;
mod find_heap_log;
mod find_indexed;
mod find_orphans;
mod frame_words;
mod hash_table;
mod health;
mod heap_log;
mod indexed;
mod indexed_store;
mod layouts;
mod record;
mod unique;
mod walk;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::memory::ReadMemory;
use crate::base::problems::Problems;
use crate::base::progress::{Cancelled, Progress};

use entry::EntryRule;

pub use details::{Entry, entries_in, entries_of_index, entry_around, entry_at, unique_stacks_in};
pub use find::{Found, Hints, find_stores};
pub use health::Health;
pub use layouts::{DatabaseFields, Generation, MAX_DEPTH};
pub use unique::{UniqueStack, UniqueStacks};

/// Which kind of store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum StoreKind {
    /// `_STACK_TRACE_DATABASE`.
    Indexed,
    /// `RtlpHeapStackTraceLog`.
    HeapLog,
}

/// How a store was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum FoundBy {
    /// ntdll's pointer variable, and then by structure too.
    Symbol,
    Structure,
    /// Records of a heap log, or entries of an indexed database, that no header was found for.
    Records,
}

/// One thing that must hold if a store is what it is taken for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at, said as it should be.
    pub text: String,
    /// `None` when the dump lacks what would tell.
    pub passed: Option<bool>,
}

impl Check {
    pub(self) fn new(text: impl Into<String>, passed: bool) -> Self {
        Self { text: text.into(), passed: Some(passed) }
    }

    pub(self) fn has_passed(&self) -> bool {
        self.passed == Some(true)
    }
}

/// Counters and limits in the header of an indexed database.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IndexedCounts {
    /// CurrentLowerCommitLimit: entries and header are committed up to here.
    pub lower_commit_limit: Va,
    /// CurrentUpperCommitLimit: the index array is committed from here on.
    pub upper_commit_limit: Va,
    /// NumberOfEntriesLookedUp: how often a stack was logged (modulo 2^32).
    pub looked_up_count: u32,
    /// NumberOfEntriesAdded: how many indexes were issued.
    pub added_count: u32,
    /// NumberOfEntriesAllocated: how many blocks were carved (7 and later).
    pub allocated_count: Option<u32>,
    /// NumberOfAllocationFailures: stacks that found no room (Vista and later).
    pub failure_count: Option<u32>,
    pub bucket_count: u32,
    /// The whole reservation was committed at the start. Both limits then are where the free room ends.
    pub is_pre_committed: bool,
}

/// A store that was found, not decoded yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoreHeader {
    pub kind: StoreKind,
    pub width: PointerWidth,
    /// Of an indexed database. The heap log's layout tells no version, and entries without a header tell only XP's.
    pub generation: Option<Generation>,
    /// Of the header; without one, of the allocation (indexed) or the first zone (heap log).
    pub base: Va,
    /// All of an indexed database; the header of a heap log, empty where none was found.
    pub reserved: VaRange,
    /// Of a heap log, in order.
    pub zones: Vec<VaRange>,
    pub found_by: FoundBy,
    pub evidence: Vec<Check>,
    /// Of an indexed database whose header was read.
    pub counts: Option<IndexedCounts>,
    /// Whether the fields of its header lie where ntdll's PDB says.
    pub is_layout_from_pdb: bool,
    #[serde(skip)]
    pub(self) body: StoreBody,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum StoreBody {
    Indexed(indexed::IndexedHeader),
    HeapLog(heap_log::LogHeader),
}

/// Of a store in a case capsule, which has no memory to walk: one without entries.
impl Default for StoreBody {
    fn default() -> Self {
        let nowhere = VaRange::default();
        let rule = EntryRule {
            width: PointerWidth::Bits64,
            blocks: layouts::BlockRule::ByBlockDepth,
            alignment: 16,
            is_alignment_certain: false,
            area: nowhere,
            links: nowhere,
        };
        Self::Indexed(indexed::IndexedHeader {
            rule,
            next_free_upper: Va::default(),
            index_array: Va::default(),
            buckets: Va::default(),
            bucket_count: 0,
            bucket_bytes: 0,
        })
    }
}

impl StoreHeader {
    /// Allocations, or parts of such, that belong to this store.
    pub fn regions(&self) -> Vec<VaRange> {
        match self.kind {
            StoreKind::Indexed => vec![self.reserved],
            StoreKind::HeapLog => self.zones.clone(),
        }
    }
}

/// A store and what is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TraceStore {
    pub header: StoreHeader,
    /// What the header shows, and what the walk of all entries adds to it.
    pub evidence: Vec<Check>,
    /// Different stacks, as far as the dump has them.
    pub unique_stack_count: u64,
    /// Of those, with 32 frames: most likely cut off.
    pub truncated_stack_count: u64,
    /// Entries in use, as far as the dump has them.
    pub entry_count: u64,
    /// Entries that were given back and wait for another stack.
    pub free_entry_count: u64,
    pub free_block_bytes: u64,
    /// Entries whose count has stopped at 0x7ff.
    pub saturated_entry_count: u64,
    /// Entries with 32 frames: most likely cut off.
    pub truncated_entry_count: u64,
    /// Entries that nobody asked for an index.
    pub unindexed_entry_count: u64,
    /// Sum of TraceCount.
    pub use_count: u64,
    /// Entries that lie in hash chains which are whole.
    pub verified_entry_count: u64,
    /// Entries that the index array knows and the dump has not.
    pub missing_entry_count: u64,
    /// Records of a heap log in zones that its header does not reach; all entries of a database without a header.
    pub orphan_entry_count: u64,
    pub orphan_zones: Vec<VaRange>,
    /// Memory of the store that the dump has (indexed: committed by its limits, where its header was read).
    pub committed_bytes: u64,
    /// Header, entries and pointers (indexed); records (heap log).
    pub used_bytes: u64,
    /// Stretches in which no entry could be made out: damage, or not in the dump.
    pub lost_bytes: u64,
    pub missing_bytes: u64,
    pub problems: Problems,
}

impl TraceStore {
    /// Reserved, but not committed: between the entries and the index array.
    pub fn room_left_bytes(&self) -> Option<u64> {
        self.header.counts.and_then(|counts| counts.upper_commit_limit.offset_from(counts.lower_commit_limit))
    }
}

/// Reads all of a store: what it is like, and its different stacks. Asks `progress` only whether to stop.
pub fn decode_store(
    memory: &dyn ReadMemory,
    header: &StoreHeader,
    progress: &Progress,
) -> Result<(TraceStore, UniqueStacks), Cancelled> {
    match &header.body {
        StoreBody::Indexed(body) => {
            let totals = indexed::decode(memory, body, progress)?;
            Ok(indexed_store::finish(memory, header, body, totals))
        }
        StoreBody::HeapLog(body) => heap_log::decode(memory, header, body, progress),
    }
}
