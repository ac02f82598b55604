//! What a heap is to hold.

use super::build::{HeapImage, build};
use crate::base::addr::{PointerWidth, Va};
use crate::sample::error::SampleError;

/// HEAP_CAPTURE_STACK_BACKTRACES: set in every heap while allocations are traced (gflags +ust).
pub const CAPTURE_STACK_TRACES: u32 = 0x0800_0000;

/// Which layout, apart from the width of a pointer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum HeapGeneration {
    /// XP and Server 2003: segments apart from the heap, 128 free lists, nothing encoded.
    Xp,
    Vista,
    Seven,
    /// 8.0: front end with plain offsets.
    Eight,
    /// 8.1 and 10 up to 10586: front end with encoded offsets.
    EightOne,
    /// 10, builds 14393 to 17134.
    Ten1607,
    /// 10 since build 17763, and 11.
    Ten1809,
}

impl HeapGeneration {
    pub const ALL: [Self; 7] =
        [Self::Xp, Self::Vista, Self::Seven, Self::Eight, Self::EightOne, Self::Ten1607, Self::Ten1809];
}

/// The front end of a heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FrontEnd {
    #[default]
    None,
    /// XP: lists of freed blocks, which the back end takes for busy.
    Lookaside,
    /// The low fragmentation heap. Its structure lies in a block of the heap.
    Lfh,
    /// The same, with its structure in a reservation of its own, as since Windows 8. Two pages of it are committed, and the
    /// heap counts it among its reserved and committed bytes.
    LfhAt { base: Va, reserved_pages: u64 },
}

impl FrontEnd {
    pub const fn is_lfh(self) -> bool {
        matches!(self, Self::Lfh | Self::LfhAt { .. })
    }
}

/// How a block names the stack that allocated it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Trace {
    /// Nothing in the block has room for one.
    #[default]
    None,
    /// Vista and later: an address in front of the user's bytes.
    Pointer(Va),
    /// XP and Server 2003: the lower 16 bits of an index at the end of the block.
    Index(u16),
}

/// A block in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BusyBlock {
    pub user_bytes: u64,
    /// Whole granules that the block is larger than it needs to be.
    pub slack_bytes: u64,
    pub trace: Trace,
}

impl BusyBlock {
    pub const fn new(user_bytes: u64) -> Self {
        Self { user_bytes, slack_bytes: 0, trace: Trace::None }
    }

    pub const fn traced(user_bytes: u64, trace: Trace) -> Self {
        Self { user_bytes, slack_bytes: 0, trace }
    }
}

/// A container of the low fragmentation heap with blocks of one size.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LfhBlocks {
    /// With the header: whole granules.
    pub block_bytes: u64,
    /// `None` is a free one.
    pub blocks: Vec<Option<BusyBlock>>,
}

/// One block of the back end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PlannedBlock {
    Busy(BusyBlock),
    /// A free block of this size, header included.
    Free {
        block_bytes: u64,
    },
    /// Takes what is left of the run, in use.
    BusyRest(Trace),
    Lfh(LfhBlocks),
}

/// Committed pages and the uncommitted ones behind them. What `blocks` leave of the committed ones is a free block.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RunPlan {
    pub committed_pages: u64,
    pub uncommitted_pages: u64,
    pub blocks: Vec<PlannedBlock>,
}

/// Which regions a segment makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SegmentRegion {
    /// Private memory, as committed as the runs say.
    #[default]
    Private,
    /// A section of which as much is committed as the runs say.
    Mapped,
    /// A section that is committed as a whole, whatever the heap says.
    MappedWhole,
}

/// One segment: runs from its base on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SegmentPlan {
    pub base: Va,
    pub runs: Vec<RunPlan>,
    pub region: SegmentRegion,
    /// The last of the uncommitted pages does not belong to the heap, as in Windows 10 and later.
    pub has_guard_page: bool,
}

/// A block with an allocation of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VirtualBlock {
    /// Where its allocation begins.
    pub base: Va,
    pub user_bytes: u64,
    pub trace: Trace,
}

/// A heap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeapPlan {
    pub generation: HeapGeneration,
    pub width: PointerWidth,
    pub flags: u32,
    pub force_flags: u32,
    /// Its place in the array of the PEB, counted from 1.
    pub list_index: u16,
    /// What the header bytes of blocks are XORed with, from Size to UnusedBytes; the last two are 0. `None` switches the
    /// encoding off. XP never has one.
    pub encoding: Option<[u8; 8]>,
    /// `ntdll!RtlpLFHKey`.
    pub lfh_key: u64,
    pub front_end: FrontEnd,
    /// The first is the heap itself.
    pub segments: Vec<SegmentPlan>,
    pub virtual_blocks: Vec<VirtualBlock>,
    pub lock_collisions: u32,
    /// Uncommitted bytes that the heap counts as large: `!heap -s` takes them off its column "Virt".
    pub large_ucr_bytes: u64,
    /// The index of the interceptor that logs stack traces, in the heaps that have one.
    pub interceptor: u32,
}

impl HeapPlan {
    /// A growable heap of one segment of 64 KiB, of which 16 KiB are committed. No front end.
    pub fn new(generation: HeapGeneration, width: PointerWidth, base: Va) -> Self {
        let run = RunPlan { committed_pages: 4, uncommitted_pages: 12, blocks: Vec::new() };
        Self {
            generation,
            width,
            flags: 2,
            force_flags: 0,
            list_index: 1,
            encoding: Some(encoding_key(base)),
            lfh_key: 0x7d81_43a0_5c9e_1f02,
            front_end: FrontEnd::None,
            segments: vec![SegmentPlan { base, runs: vec![run], ..SegmentPlan::default() }],
            virtual_blocks: Vec::new(),
            lock_collisions: 0,
            large_ucr_bytes: 0,
            interceptor: 0,
        }
    }

    /// The address of the heap.
    pub fn base(&self) -> Va {
        self.segments.first().map_or(Va(0), |segment| segment.base)
    }

    /// Bytes, regions and truth.
    pub fn build(&self) -> Result<HeapImage, SampleError> {
        build(self)
    }

    /// Whether this heap has a lock: not with HEAP_NO_SERIALIZE.
    pub(super) const fn has_lock(&self) -> bool {
        self.flags & 1 == 0
    }
}

/// A key that differs between heaps. Bit 20 is set in each, for the encode flag mask, and the last two bytes are 0.
pub fn encoding_key(base: Va) -> [u8; 8] {
    let mixed = (base.0 >> 12).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8;
    let [b0, b1, b2, b3, b4, b5, ..] = mixed.to_le_bytes();
    [b0, b1, b2 | 0x10, b3, b4, b5, 0, 0]
}
