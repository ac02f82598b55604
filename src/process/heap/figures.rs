//! The figures of one line of `!heap -s`.

use serde::{Deserialize, Serialize};

use crate::base::memory::ReadMemory;
use crate::base::problems::Problems;

use super::head::{FrontEnd, HeapHead};
use super::layouts::HeapGeneration;
use super::lists::ListReader;
use super::segments::Segment;

/// Lists of free blocks are followed for their length only, so they have a budget of their own.
const FREE_LIST_BUDGET: u64 = 1 << 24;
/// See [`free_list_length`].
const FOLLOWED_LINKS: u64 = 1 << 16;

/// What `!heap -s` shows of an NT heap. Sizes in bytes; WinDbg prints them in KB.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeapFigures {
    pub flags: u32,
    pub reserved_bytes: u64,
    pub committed_bytes: u64,
    /// Reserved without large uncommitted ranges.
    pub virtual_bytes: u64,
    pub free_bytes: u64,
    /// Blocks in the lists of free blocks; `None` where these could not be followed to their end.
    pub free_list_length: Option<u64>,
    pub ucr_count: u64,
    pub virtual_block_count: u64,
    /// `None` for a heap without a lock, and before Vista, whose heaps do not count it.
    pub lock_contention: Option<u32>,
    pub has_lock: bool,
    pub front_end: FrontEnd,
    /// Whether these are the heap's own counters; else sums over its segments.
    pub are_counters: bool,
}

/// A remark that `!heap -s` prints below the line of a heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragmentation {
    pub percent: u64,
    /// Free blocks, or uncommitted ranges.
    pub count: u64,
}

impl HeapFigures {
    /// Free share of the committed memory, in whole percent as WinDbg cuts it.
    pub const fn external_fragmentation_percent(&self) -> Option<u64> {
        self.free_bytes.saturating_mul(100).checked_div(self.committed_bytes)
    }

    /// Uncommitted share of the virtual size, in whole percent.
    pub const fn virtual_fragmentation_percent(&self) -> Option<u64> {
        self.virtual_bytes.saturating_sub(self.committed_bytes).saturating_mul(100).checked_div(self.virtual_bytes)
    }

    /// Situation: WinDbg prints the line only for some heaps, by a rule that is not published. Seen: printed with 11,919 KB
    /// free and 83 %, 1,164 KB and 80 %; not with 257 KB and 46 %, 479 KB and 2 %. Handled: more than 1 MB and more than
    /// 10 % fits all that was seen. Test: `external_fragmentation_is_that_of_published_listings`.
    pub fn external_fragmentation(&self) -> Option<Fragmentation> {
        let percent = self.external_fragmentation_percent()?;
        let is_told = self.free_bytes > 1 << 20 && percent > 10;
        is_told.then_some(Fragmentation { percent, count: self.free_list_length? })
    }

    /// Seen: printed with 532 uncommitted ranges and 84 %; not with 9 and 54 %, 40 and 8 %. Handled: more than 32 and more
    /// than 10 %. Test: `virtual_fragmentation_is_that_of_published_listings`.
    pub fn virtual_fragmentation(&self) -> Option<Fragmentation> {
        let percent = self.virtual_fragmentation_percent()?;
        (self.ucr_count > 32 && percent > 10).then_some(Fragmentation { percent, count: self.ucr_count })
    }
}

/// The figures of a heap but for the length of its list of free blocks; `None` where neither counters nor segments tell its
/// size.
pub(super) fn read_figures(head: &HeapHead, segments: &[Segment], large_block_count: usize) -> Option<HeapFigures> {
    let sum = |of: &dyn Fn(&Segment) -> u64| segments.iter().map(of).fold(0_u64, u64::saturating_add);
    let reserved = sum(&|segment| segment.range.size_bytes());
    let uncommitted = sum(&|segment| segment.uncommitted_bytes);
    let largest = sum(&|segment| segment.largest_uncommitted_bytes.unwrap_or(0));
    let by_segments = || {
        (!segments.is_empty()).then_some(HeapFigures {
            flags: head.flags,
            reserved_bytes: reserved,
            committed_bytes: reserved.saturating_sub(uncommitted),
            virtual_bytes: reserved.saturating_sub(largest),
            free_bytes: head.free_bytes,
            free_list_length: None,
            ucr_count: sum(&|segment| u64::from(segment.uncommitted_range_count)),
            virtual_block_count: large_block_count as u64,
            lock_contention: None,
            has_lock: head.has_lock(),
            front_end: head.front_end,
            are_counters: false,
        })
    };
    match head.counters {
        None => by_segments(),
        Some(counters) => Some(HeapFigures {
            flags: head.flags,
            reserved_bytes: counters.reserved_bytes,
            committed_bytes: counters.committed_bytes,
            virtual_bytes: counters.reserved_bytes.saturating_sub(counters.large_ucr_bytes),
            free_bytes: head.free_bytes,
            free_list_length: None,
            ucr_count: u64::from(counters.ucr_count),
            virtual_block_count: large_block_count as u64,
            lock_contention: head.has_lock().then_some(counters.lock_collisions),
            has_lock: head.has_lock(),
            front_end: head.front_end,
            are_counters: true,
        }),
    }
}

/// What a walk found free in the segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct WalkedFree {
    pub block_count: u64,
    pub block_bytes: u64,
    /// Whether no block was lost.
    pub is_whole: bool,
}

/// Blocks in all lists of free blocks: one list, before Vista 128.
///
/// A list of up to [`FOLLOWED_LINKS`] is followed to its end. Of a longer one each link waits for memory, in the order of
/// sizes; there the walk's count is taken where its bytes are those that the heap counts itself, because every free block
/// is in the list (seen on Windows 7 build 7601: in all five heaps of a process both counts are equal. Test:
/// `what_the_walk_finds_free_is_what_the_heap_counts`). Else it is followed.
pub(super) fn free_list_length(
    memory: &dyn ReadMemory,
    head: &HeapHead,
    walked: WalkedFree,
    problems: &mut Problems,
) -> Option<u64> {
    let list_count: u64 = if head.layout.generation == HeapGeneration::Xp { 128 } else { 1 };
    let is_proved = walked.is_whole && walked.block_bytes == head.free_bytes;
    if is_proved && walked.block_count > FOLLOWED_LINKS {
        return Some(walked.block_count);
    }
    let mut budget = 0;
    let mut list =
        ListReader { memory, width: head.width(), heap: head.base, link_budget: &mut budget, is_whole: true };
    let mut length = 0_u64;
    for number in 0..list_count {
        let offset = head.layout.free_lists.checked_add(number.checked_mul(head.layout.granule_bytes())?)?;
        let left = FREE_LIST_BUDGET.saturating_sub(length);
        let more = list.length(head.base.checked_add(offset)?, "list of free blocks", left, problems)?;
        length = length.saturating_add(more);
    }
    Some(length)
}
