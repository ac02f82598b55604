//! Where the fields of both stores lie, by generation and pointer width. Data only; nothing is read here.
//!
//! Sources: `_STACK_TRACE_DATABASE` and `_RTL_STACK_TRACE_ENTRY` in the public symbols of ntdll: XP SP3 x86, Vista x86
//! and x64, 7 SP1 to 11 (22000) x86 and x64. Server 2003 x86 and x64 (= XP x64): the symbols' list of fields, offsets
//! computed. Sizes of blocks and the first entry's place: ntdll of Windows 10 and 11; the listing of a Windows 7 x64
//! database (2457D, 2457E, 2457F) agrees. The heap log has no public type: ntdll of Windows 10 and 11, x86 computed.

use serde::{Deserialize, Serialize};

use crate::base::addr::PointerWidth;

/// Versions of Windows that share a layout of the indexed database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Generation {
    /// XP and Server 2003.
    Xp,
    /// Vista and Server 2008.
    Vista,
    /// 7 to 11.
    Seven,
}

/// `RtlCaptureStackBackTrace` is asked for 32 frames in every generation: a stack of 32 is most likely cut off.
pub const MAX_DEPTH: u16 = 32;

/// TraceCount has 11 bits and stays at this value.
pub(super) const SATURATED_COUNT: u64 = 0x7ff;

/// The largest block, `sizeof(_RTL_STACK_TRACE_ENTRY)` on x64.
pub(super) const MAX_BLOCK_BYTES: u64 = 0x110;

/// Where ntdll's PDB says that the fields of `_STACK_TRACE_DATABASE` lie. What it does not have is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DatabaseFields {
    pub lower_memory_start: Option<u64>,
    pub pre_committed: u64,
    pub commit_base: u64,
    pub looked_up_count: u64,
    pub index_array: u64,
    pub allocated_count: Option<u64>,
    pub failure_count: Option<u64>,
    pub bucket_count: u64,
    pub buckets: u64,
    /// Whether entries say the size of their block (`_RTL_STACK_TRACE_ENTRY.BlockDepth`).
    pub has_block_depth: bool,
}

impl DatabaseFields {
    /// The row of the tables that is nearest, with these places.
    pub(super) fn layout(self, width: PointerWidth) -> Option<DatabaseLayout> {
        let blocks = if self.has_block_depth { BlockRule::ByBlockDepth } else { BlockRule::ByDepth };
        let row = DATABASES.iter().find(|row| {
            row.width == width
                && row.blocks == blocks
                && row.lower_memory_start.is_some() == self.lower_memory_start.is_some()
        })?;
        // The first entry's distance is known for the rows' own headers only.
        let gap_after_buckets = row.gap_after_buckets.filter(|_| row.buckets == self.buckets);
        Some(DatabaseLayout {
            lower_memory_start: self.lower_memory_start,
            pre_committed: self.pre_committed,
            commit_base: self.commit_base,
            looked_up_count: self.looked_up_count,
            index_array: self.index_array,
            allocated_count: self.allocated_count,
            failure_count: self.failure_count,
            bucket_count: self.bucket_count,
            buckets: self.buckets,
            gap_after_buckets,
            ..*row
        })
    }
}

/// `_STACK_TRACE_DATABASE`.
#[derive(Clone, Copy)]
pub(super) struct DatabaseLayout {
    pub generation: Generation,
    pub width: PointerWidth,
    /// LowerMemoryStart: the first entry.
    pub lower_memory_start: Option<u64>,
    /// DumpInProgress is the byte after it.
    pub pre_committed: u64,
    /// CommitBase; CurrentLowerCommitLimit, CurrentUpperCommitLimit, NextFreeLowerMemory and NextFreeUpperMemory follow.
    pub commit_base: u64,
    /// NumberOfEntriesLookedUp; NumberOfEntriesAdded follows.
    pub looked_up_count: u64,
    pub index_array: u64,
    /// NumberOfEntriesAllocated.
    pub allocated_count: Option<u64>,
    /// NumberOfAllocationFailures.
    pub failure_count: Option<u64>,
    pub bucket_count: u64,
    pub buckets: u64,
    /// From one bucket's head to the next.
    pub bucket_bytes: u64,
    /// Between the last bucket and the first entry, where that is known.
    pub gap_after_buckets: Option<u64>,
    pub blocks: BlockRule,
    /// What a block's size is rounded up to; the first that fits the entries there is taken. Confirmed for 7 and later.
    pub alignments: &'static [u64],
}

/// How an entry says its block's size: header and address slots, rounded up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BlockRule {
    /// TraceCount is a u32 after HashChain, then Index and Depth. No BlockDepth: as many slots as frames.
    ByDepth,
    /// A u16 TraceCount:11 and BlockDepth:5 after HashChain, then IndexHigh, Index, Depth. BlockDepth + 1 slots: a reused
    /// block keeps its size, whatever stack is in it now.
    ByBlockDepth,
}

/// In the order in which they are tried: where two fit, the newer has more to prove.
pub(super) static DATABASES: [DatabaseLayout; 6] = [
    DatabaseLayout {
        generation: Generation::Seven,
        width: PointerWidth::Bits64,
        lower_memory_start: Some(0x78),
        pre_committed: 0x80,
        commit_base: 0x88,
        looked_up_count: 0xb0,
        index_array: 0xb8,
        allocated_count: Some(0xc0),
        failure_count: Some(0xc8),
        bucket_count: 0x2d0,
        buckets: 0x2d8,
        bucket_bytes: 16,
        gap_after_buckets: Some(0x18),
        blocks: BlockRule::ByBlockDepth,
        alignments: &[16],
    },
    DatabaseLayout {
        generation: Generation::Seven,
        width: PointerWidth::Bits32,
        lower_memory_start: Some(0x40),
        pre_committed: 0x44,
        commit_base: 0x48,
        looked_up_count: 0x5c,
        index_array: 0x64,
        allocated_count: Some(0x68),
        failure_count: Some(0x70),
        bucket_count: 0x178,
        buckets: 0x17c,
        bucket_bytes: 8,
        gap_after_buckets: Some(0x10),
        blocks: BlockRule::ByBlockDepth,
        alignments: &[8],
    },
    DatabaseLayout {
        generation: Generation::Vista,
        width: PointerWidth::Bits64,
        lower_memory_start: None,
        pre_committed: 0x80,
        commit_base: 0x88,
        looked_up_count: 0xb0,
        index_array: 0xb8,
        allocated_count: None,
        failure_count: Some(0xcc),
        bucket_count: 0x1d0,
        buckets: 0x1d8,
        bucket_bytes: 8,
        gap_after_buckets: None,
        blocks: BlockRule::ByBlockDepth,
        alignments: &[16, 8],
    },
    DatabaseLayout {
        generation: Generation::Vista,
        width: PointerWidth::Bits32,
        lower_memory_start: None,
        pre_committed: 0x44,
        commit_base: 0x48,
        looked_up_count: 0x5c,
        index_array: 0x64,
        allocated_count: None,
        failure_count: Some(0x74),
        bucket_count: 0xf8,
        buckets: 0xfc,
        bucket_bytes: 4,
        gap_after_buckets: None,
        blocks: BlockRule::ByBlockDepth,
        alignments: &[8, 4],
    },
    DatabaseLayout {
        generation: Generation::Xp,
        width: PointerWidth::Bits64,
        lower_memory_start: None,
        pre_committed: 0x80,
        commit_base: 0x88,
        looked_up_count: 0xb0,
        index_array: 0xb8,
        allocated_count: None,
        failure_count: None,
        bucket_count: 0xc0,
        buckets: 0xc8,
        bucket_bytes: 8,
        gap_after_buckets: None,
        blocks: BlockRule::ByDepth,
        alignments: &[8, 16],
    },
    DatabaseLayout {
        generation: Generation::Xp,
        width: PointerWidth::Bits32,
        lower_memory_start: None,
        pre_committed: 0x44,
        commit_base: 0x48,
        looked_up_count: 0x5c,
        index_array: 0x64,
        allocated_count: None,
        failure_count: None,
        bucket_count: 0x68,
        buckets: 0x6c,
        bucket_bytes: 4,
        gap_after_buckets: None,
        blocks: BlockRule::ByDepth,
        alignments: &[4, 8],
    },
];

/// `_RTL_STACK_TRACE_ENTRY`: HashChain, eight bytes of fields, BackTrace.
pub(super) const fn entry_fields_offset(width: PointerWidth) -> u64 {
    width.bytes()
}

/// Of BackTrace, in an entry of the database.
pub(super) const fn entry_frames_offset(width: PointerWidth) -> u64 {
    match width {
        PointerWidth::Bits32 => 0xc,
        PointerWidth::Bits64 => 0x10,
    }
}

/// The heap trace log (`ntdll!RtlpHeapStackTraceLog`) and its records.
pub(super) struct HeapLogLayout {
    pub width: PointerWidth,
    pub trace_count: u64,
    /// {newest record, last hit} for each bucket.
    pub buckets: u64,
    pub bucket_bytes: u64,
    pub header_bytes: u64,
    pub record_hash: u64,
    pub record_depth: u64,
    pub record_frames: u64,
}

pub(super) const HEAP_LOG_BUCKETS: u32 = 401;

/// `RtlExtendMemoryZone` is asked for this much each time: an allocation of its own.
pub(super) const ZONE_BYTES: u64 = 0x1_0000;

pub(super) static HEAP_LOGS: [HeapLogLayout; 2] = [
    HeapLogLayout {
        width: PointerWidth::Bits64,
        trace_count: 8,
        buckets: 0x10,
        bucket_bytes: 16,
        header_bytes: 0x1920,
        record_hash: 8,
        record_depth: 0xc,
        record_frames: 0x10,
    },
    HeapLogLayout {
        width: PointerWidth::Bits32,
        trace_count: 4,
        buckets: 8,
        bucket_bytes: 8,
        header_bytes: 0xc90,
        record_hash: 4,
        record_depth: 8,
        record_frames: 0xc,
    },
];

impl HeapLogLayout {
    pub(super) const fn of(width: PointerWidth) -> &'static Self {
        let [wide, narrow] = &HEAP_LOGS;
        match width {
            PointerWidth::Bits64 => wide,
            PointerWidth::Bits32 => narrow,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_pdb_make_the_nearest_row() {
        for row in &DATABASES {
            let fields = DatabaseFields {
                lower_memory_start: row.lower_memory_start,
                pre_committed: row.pre_committed,
                commit_base: row.commit_base,
                looked_up_count: row.looked_up_count,
                index_array: row.index_array,
                allocated_count: row.allocated_count,
                failure_count: row.failure_count,
                bucket_count: row.bucket_count,
                buckets: row.buckets,
                has_block_depth: row.blocks == BlockRule::ByBlockDepth,
            };
            let same = fields.layout(row.width).expect("a row");
            assert_eq!(
                (same.generation, same.buckets, same.index_array),
                (row.generation, row.buckets, row.index_array)
            );
            assert_eq!(same.gap_after_buckets, row.gap_after_buckets);
            // A header that grew has its first entry elsewhere.
            let grown =
                DatabaseFields { buckets: row.buckets.saturating_add(8), ..fields }.layout(row.width).expect("a row");
            assert_eq!((grown.buckets, grown.gap_after_buckets), (row.buckets.saturating_add(8), None));
        }
    }
}
