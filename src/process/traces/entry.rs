//! One `_RTL_STACK_TRACE_ENTRY` of an indexed database: its fields, and what must hold of them.
//!
//! **Invariant:** an entry that passes lies in the store's lower area as a whole.

use std::borrow::Cow;

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::bytes;

use super::frame_words::words;
use super::layouts::{self, BlockRule, MAX_DEPTH, SATURATED_COUNT};

/// Above this there are no user addresses, on any 64-bit Windows before 57-bit addresses.
const USER_END_64: u64 = 1 << 47;
/// No code lies in the first 64 KiB.
const USER_START: u64 = 0x1_0000;

/// How entries are read, and where they may lie. Small, and copied to every worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct EntryRule {
    pub width: PointerWidth,
    pub blocks: BlockRule,
    /// What block sizes are rounded up to.
    pub alignment: u64,
    /// Whether a BlockDepth that this rounding cannot give is damage.
    pub is_alignment_certain: bool,
    /// Entries from the first to NextFreeLowerMemory.
    pub area: VaRange,
    /// Where a HashChain may lead: into the area. All of the allocation where no header says how far that reaches.
    pub links: VaRange,
}

/// The fields of an entry, without its frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RawEntry {
    pub hash_chain: u64,
    pub count: u64,
    pub is_saturated: bool,
    /// Given back: TraceCount is 0, and `BackTrace[0]` is a link.
    pub is_free: bool,
    /// 0: none.
    pub index: u32,
    pub depth: u16,
    pub block_depth: Option<u8>,
    pub block_bytes: u64,
}

/// Why bytes are no entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("depth {0}, not 1 to 32")]
    Depth(u16),
    #[error("depth {depth} in a block for {slot_count} frames")]
    Slots { depth: u16, slot_count: u16 },
    #[error("block depth {0} gives a size that no block has")]
    BlockDepth(u8),
    #[error("goes on past the end of the entries")]
    PastEnd,
    #[error("its hash chain leads to {0:#x}, where no entry can be")]
    Link(u64),
    #[error("lies partly outside of the dump")]
    NotInDump,
    #[error("a frame is no address of user memory")]
    Frame,
    #[error("its place is not aligned")]
    Place,
}

impl EntryRule {
    /// Reads the entry at `va`; `bytes` go from there on. `Fault::NotInDump` when they end too early.
    #[inline]
    pub fn read(&self, va: u64, bytes: &[u8]) -> Result<RawEntry, Fault> {
        let entry = self.fields(va, bytes)?;
        if entry.depth == 0 || entry.depth > MAX_DEPTH {
            return Err(Fault::Depth(entry.depth));
        }
        let end = va.checked_add(entry.block_bytes).ok_or(Fault::PastEnd)?;
        if end > self.area.end.0 {
            return Err(Fault::PastEnd);
        }
        if entry.hash_chain != 0 && !self.may_link_to(entry.hash_chain) {
            return Err(Fault::Link(entry.hash_chain));
        }
        if (bytes.len() as u64) < entry.block_bytes {
            return Err(Fault::NotInDump);
        }
        Ok(entry)
    }

    #[inline]
    fn fields(&self, va: u64, bytes: &[u8]) -> Result<RawEntry, Fault> {
        let hash_chain = match self.width {
            PointerWidth::Bits32 => bytes::u32_at(bytes, 0).map(u64::from),
            PointerWidth::Bits64 => bytes::u64_at(bytes, 0),
        };
        let fields = bytes::u64_at(bytes, layouts::entry_fields_offset(self.width));
        let (Some(hash_chain), Some(fields)) = (hash_chain, fields) else {
            let room_bytes = self.area.end.0.saturating_sub(va);
            let is_at_end = room_bytes < layouts::entry_frames_offset(self.width);
            return Err(if is_at_end { Fault::PastEnd } else { Fault::NotInDump });
        };
        let [count_low, count_high, b2, b3, index_low, index_high, depth_low, depth_high] = fields.to_le_bytes();
        let depth = u16::from_le_bytes([depth_low, depth_high]);
        let entry = match self.blocks {
            BlockRule::ByDepth => RawEntry {
                hash_chain,
                count: u64::from(u32::from_le_bytes([count_low, count_high, b2, b3])),
                is_saturated: false,
                is_free: false,
                index: u32::from(u16::from_le_bytes([index_low, index_high])),
                depth,
                block_depth: None,
                block_bytes: self.block_bytes(u64::from(depth)),
            },
            BlockRule::ByBlockDepth => {
                let count = fields & SATURATED_COUNT;
                let block_depth = count_high >> 3;
                let slot_count = u16::from(block_depth).saturating_add(1);
                let is_free = count == 0;
                if !is_free && depth > slot_count && depth <= MAX_DEPTH {
                    return Err(Fault::Slots { depth, slot_count });
                }
                let block_bytes = self.block_bytes(u64::from(slot_count));
                if self.is_alignment_certain && block_depth != 31 && block_bytes != self.unrounded(slot_count.into()) {
                    return Err(Fault::BlockDepth(block_depth));
                }
                RawEntry {
                    hash_chain,
                    count,
                    is_saturated: count == SATURATED_COUNT,
                    is_free,
                    index: u32::from_le_bytes([index_low, index_high, b2, b3]),
                    depth,
                    block_depth: Some(block_depth),
                    block_bytes,
                }
            }
        };
        Ok(entry)
    }

    fn unrounded(&self, slot_count: u64) -> u64 {
        layouts::entry_frames_offset(self.width).saturating_add(slot_count.saturating_mul(self.width.bytes()))
    }

    fn block_bytes(&self, slot_count: u64) -> u64 {
        let mask = self.alignment.saturating_sub(1);
        self.unrounded(slot_count).saturating_add(mask) & !mask
    }

    /// Whether an entry can lie at `va`: in the area, at the distance from its start that blocks keep.
    #[inline]
    pub fn may_begin_at(&self, va: u64) -> bool {
        let mask = self.alignment.saturating_sub(1);
        va >= self.area.start.0 && va < self.area.end.0 && va.wrapping_sub(self.area.start.0) & mask == 0
    }

    /// Whether a HashChain may lead to `va`.
    #[inline]
    fn may_link_to(&self, va: u64) -> bool {
        let mask = self.alignment.saturating_sub(1);
        self.links.contains(Va(va)) && va.wrapping_sub(self.area.start.0) & mask == 0
    }

    /// The lowest place that a HashChain may lead to.
    pub fn links_start(&self) -> Va {
        let mask = self.alignment.saturating_sub(1);
        let distance = self.area.start.0.saturating_sub(self.links.start.0) & !mask;
        Va(self.area.start.0.saturating_sub(distance))
    }

    /// The first place from `va` on where an entry can begin.
    pub fn next_place(&self, va: u64) -> u64 {
        let mask = self.alignment.saturating_sub(1);
        let start = self.area.start.0;
        let distance = va.saturating_sub(start).saturating_add(mask) & !mask;
        start.saturating_add(distance)
    }

    /// The bytes of an entry's frames. `bytes` go from its start on.
    #[inline]
    pub fn frames<'b>(&self, entry: &RawEntry, bytes: &'b [u8]) -> &'b [u8] {
        let length = u64::from(entry.depth).saturating_mul(self.width.bytes());
        bytes::slice_at(bytes, layouts::entry_frames_offset(self.width), length).unwrap_or_default()
    }

    /// The same, borrowed where the bytes are.
    #[inline]
    pub fn frames_of<'b>(&self, entry: &RawEntry, bytes: Cow<'b, [u8]>) -> Cow<'b, [u8]> {
        match bytes {
            Cow::Borrowed(bytes) => Cow::Borrowed(self.frames(entry, bytes)),
            Cow::Owned(bytes) => Cow::Owned(self.frames(entry, &bytes).to_vec()),
        }
    }

    /// As `read`, with more doubt: for a place where nothing but these bytes says that an entry is there.
    pub fn read_doubted(&self, va: u64, bytes: &[u8]) -> Result<RawEntry, Fault> {
        if !self.may_begin_at(va) {
            return Err(Fault::Place);
        }
        let entry = self.read(va, bytes)?;
        let is_plausible = if entry.is_free {
            // A free block's link is null or leads into the store; the rest is what the last stack left there.
            words(bytes.get(..self.link_end()).unwrap_or_default(), self.width)
                .last()
                .is_none_or(|link| link == 0 || self.links.contains(Va(link)))
        } else {
            words(self.frames(&entry, bytes), self.width).all(|frame| is_user_address(frame, self.width))
        };
        if is_plausible { Ok(entry) } else { Err(Fault::Frame) }
    }

    /// Where `BackTrace[0]` ends.
    fn link_end(&self) -> usize {
        match self.width {
            PointerWidth::Bits32 => 0x10,
            PointerWidth::Bits64 => 0x18,
        }
    }
}

/// Whether code of user mode can lie there.
pub(super) fn is_user_address(va: u64, width: PointerWidth) -> bool {
    match width {
        PointerWidth::Bits32 => va >= USER_START,
        PointerWidth::Bits64 => (USER_START..USER_END_64).contains(&va),
    }
}
