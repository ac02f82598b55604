//! One block of a heap, as the walk tells of it.

use serde::{Deserialize, Serialize};

use crate::base::addr::{Va, VaRange};

/// What a block is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum BlockKind {
    /// In use by the program, from the heap's own lists.
    Busy,
    Free,
    /// The entry behind the last block of a committed run: Windows' own.
    EndOfRun,
    /// Holds the blocks of one size of the low-fragmentation heap.
    LfhContainer,
    LfhBusy,
    LfhFree,
    /// Has an allocation of its own (`!heap` calls it a virtual block).
    Large,
    /// Given back, and kept ready in a lookaside list (XP, 2003). Its header still says busy, which is what `!heap` shows.
    Lookaside,
}

impl BlockKind {
    pub const ALL: [Self; 8] = [
        Self::Busy,
        Self::Free,
        Self::EndOfRun,
        Self::LfhContainer,
        Self::LfhBusy,
        Self::LfhFree,
        Self::Large,
        Self::Lookaside,
    ];

    /// Whether the program holds it.
    pub const fn is_in_use(self) -> bool {
        matches!(self, Self::Busy | Self::LfhBusy | Self::Large)
    }

    /// Whether it can be handed out again.
    pub const fn is_free(self) -> bool {
        matches!(self, Self::Free | Self::LfhFree | Self::Lookaside)
    }
}

/// Which stack allocated a block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Trace {
    /// The heap does not keep stacks.
    NotKept,
    /// The heap keeps stacks, and this block has none.
    Missing,
    /// Where the stack's record should lie.
    At(Va),
    /// Its number in the database, modulo 65,536 (XP, 2003).
    Index(u16),
}

/// One block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Block {
    /// Where its header (`_HEAP_ENTRY`) begins.
    pub entry: Va,
    /// All of it: header, prefix, user's memory, rest. Of a large block: committed.
    pub size_bytes: u64,
    pub kind: BlockKind,
    /// Of a block in use: where the user's memory begins.
    pub user: Option<Va>,
    /// Of a block in use: what was asked for.
    pub user_bytes: Option<u64>,
    pub trace: Trace,
}

/// Why a stretch of a segment could not be read as blocks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Loss {
    /// A header's checksum is wrong, or it cannot be one.
    BadHeader,
    /// A header's size leads past the end of the committed run.
    PastEnd,
    /// The dump does not have the memory.
    NotInDump,
    /// A container of the low-fragmentation heap whose blocks cannot be made out.
    UnknownContainer,
}

/// What the walk of a heap tells of.
pub trait BlockSink: Send {
    fn block(&mut self, block: &Block);
    /// Bytes that are no blocks, or not in the dump; the walk goes on behind them.
    fn lost(&mut self, range: VaRange, loss: Loss);
    /// A header whose PreviousSize is not the size of the block before.
    fn broken_chain(&mut self, entry: Va);
}
