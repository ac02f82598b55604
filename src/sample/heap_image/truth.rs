//! What a built heap holds, for tests that compare.

use super::plan::{FrontEnd, Trace};
use crate::base::addr::{Va, VaRange};

/// What a block is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum BlockState {
    Busy,
    Free,
    /// Inside of a container of the low fragmentation heap.
    LfhBusy,
    LfhFree,
    /// With an allocation of its own.
    Virtual,
    /// A block of the back end that the low fragmentation heap has cut up.
    LfhContainer,
    /// A block of the back end that the heap uses for itself: its front end.
    Internal,
    /// The end of a committed run (Vista and later).
    Sentinel,
}

/// One block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BuiltBlock {
    /// Where its header lies; of a virtual one, the base of its allocation.
    pub entry: Va,
    pub user: Va,
    /// 0 of free blocks.
    pub user_bytes: u64,
    pub block_bytes: u64,
    pub state: BlockState,
    pub trace: Trace,
}

/// One segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuiltSegment {
    /// What the heap counts as the segment, without the guard page.
    pub range: VaRange,
    pub committed: Vec<VaRange>,
    /// What the segment knows as uncommitted.
    pub uncommitted: Vec<VaRange>,
}

/// The columns of `!heap -s`, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeapTotals {
    pub flags: u32,
    pub reserved_bytes: u64,
    pub committed_bytes: u64,
    pub virtual_bytes: u64,
    pub free_bytes: u64,
    pub free_list_length: u64,
    pub ucr_count: u32,
    pub virtual_block_count: u64,
    pub virtual_block_bytes: u64,
    pub lock_collisions: u32,
    pub front_end: FrontEnd,
}

impl HeapTotals {
    /// Reserv, Commit, Virt, Free in KiB, then list length, UCR, virtual blocks, lock contention.
    pub fn columns(&self) -> [u64; 8] {
        [
            self.reserved_bytes >> 10,
            self.committed_bytes >> 10,
            self.virtual_bytes >> 10,
            self.free_bytes >> 10,
            self.free_list_length,
            u64::from(self.ucr_count),
            self.virtual_block_count,
            u64::from(self.lock_collisions),
        ]
    }
}

/// The truth about a heap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuiltHeap {
    pub base: Va,
    pub list_index: u16,
    /// In the order of their addresses within each segment; then the virtual ones. The heap's own head and the heads of
    /// segments are not among them.
    pub blocks: Vec<BuiltBlock>,
    pub segments: Vec<BuiltSegment>,
    pub totals: HeapTotals,
}

impl BuiltHeap {
    pub fn of_state(&self, state: BlockState) -> impl Iterator<Item = &BuiltBlock> {
        self.blocks.iter().filter(move |block| block.state == state)
    }

    /// What the program holds: blocks in use of the back end, the front end and of their own.
    pub fn outstanding(&self) -> impl Iterator<Item = &BuiltBlock> {
        let states = [BlockState::Busy, BlockState::LfhBusy, BlockState::Virtual];
        self.blocks.iter().filter(move |block| states.contains(&block.state))
    }
}
