//! Writes an indexed database as each generation lays it out. Offsets of `_STACK_TRACE_DATABASE` and
//! `_RTL_STACK_TRACE_ENTRY`: public symbols of ntdll, XP SP3 to 11.

use super::{Memory, put, put_pointer, put_u16, put_u32, range};
use crate::base::addr::VaRange;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Windows {
    Xp,
    Vista,
    Seven,
}

/// One block, as it is to be written.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub frames: Vec<u64>,
    pub count: u32,
    /// 0: none.
    pub index: u32,
    /// Slots of the block, if more than the frames need.
    pub slot_count: Option<u64>,
    pub is_free: bool,
}

impl Block {
    pub fn of(frames: Vec<u64>, count: u32, index: u32) -> Self {
        Self { frames, count, index, slot_count: None, is_free: false }
    }
}

pub(super) struct Database {
    pub windows: Windows,
    pub pointer_bytes: u64,
    pub base: u64,
    pub reserved_bytes: u64,
    pub bucket_count: u32,
    pub blocks: Vec<Block>,
}

/// The written database, and where things lie in it.
pub(super) struct Written {
    pub memory: Memory,
    pub extent: VaRange,
    pub places: Vec<u64>,
    pub next_free_lower: u64,
}

/// Offsets of one layout.
struct Offsets {
    lower_start: Option<u64>,
    flags: u64,
    commit_base: u64,
    added: u64,
    index_array: u64,
    allocated: Option<u64>,
    bucket_count: u64,
    buckets: u64,
    bucket_bytes: u64,
    gap: u64,
}

impl Database {
    fn offsets(&self) -> Offsets {
        let is_wide = self.pointer_bytes == 8;
        let (flags, commit_base, added, index_array) =
            if is_wide { (0x80, 0x88, 0xb4, 0xb8) } else { (0x44, 0x48, 0x60, 0x64) };
        let (lower_start, allocated, bucket_count, buckets, bucket_bytes, gap) = match (self.windows, is_wide) {
            (Windows::Seven, true) => (Some(0x78), Some(0xc0), 0x2d0, 0x2d8, 16, 0x18),
            (Windows::Seven, false) => (Some(0x40), Some(0x68), 0x178, 0x17c, 8, 0x10),
            (Windows::Vista, true) => (None, None, 0x1d0, 0x1d8, 8, 8),
            (Windows::Vista, false) => (None, None, 0xf8, 0xfc, 4, 4),
            (Windows::Xp, true) => (None, None, 0xc0, 0xc8, 8, 8),
            (Windows::Xp, false) => (None, None, 0x68, 0x6c, 4, 4),
        };
        Offsets {
            lower_start,
            flags,
            commit_base,
            added,
            index_array,
            allocated,
            bucket_count,
            buckets,
            bucket_bytes,
            gap,
        }
    }

    fn block_bytes(&self, block: &Block) -> u64 {
        let slot_count = block.slot_count.unwrap_or(block.frames.len() as u64);
        match (self.windows, self.pointer_bytes) {
            (Windows::Xp, 8) => 16 + 8 * slot_count,
            (Windows::Xp, _) => 12 + 4 * slot_count,
            (_, 8) => (8 * slot_count + 31) & !15,
            _ => (4 * slot_count + 19) & !7,
        }
    }

    pub fn write(&self) -> Written {
        let at = self.offsets();
        let width = self.pointer_bytes;
        let first = at.buckets + u64::from(self.bucket_count) * at.bucket_bytes + at.gap;
        let mut bytes = vec![0; self.reserved_bytes as usize];
        let mut heads = vec![0; self.bucket_count as usize];
        let mut places = Vec::new();
        let mut offset = first;
        for block in &self.blocks {
            places.push(self.base + offset);
            let block_bytes = self.block_bytes(block);
            self.write_block(&mut bytes, offset, block, block_bytes, &mut heads);
            offset += block_bytes;
        }
        for (bucket, head) in heads.iter().enumerate() {
            put_pointer(&mut bytes, at.buckets + bucket as u64 * at.bucket_bytes, width, *head);
        }
        let added = self.blocks.iter().map(|block| block.index).max().unwrap_or(0);
        for (block, place) in self.blocks.iter().zip(&places).filter(|(block, _)| block.index != 0) {
            put_pointer(&mut bytes, self.reserved_bytes - u64::from(block.index) * width, width, *place);
        }
        let array_bytes = u64::from(added) * width;
        let upper = self.reserved_bytes - array_bytes;
        let limits = [
            self.base,
            self.base + offset.next_multiple_of(0x1000),
            self.base + (upper & !0xfff),
            self.base + offset,
            self.base + upper,
        ];
        put(&mut bytes, at.flags, &[0, 0]);
        for (index, value) in limits.iter().enumerate() {
            put_pointer(&mut bytes, at.commit_base + index as u64 * width, width, *value);
        }
        put_u32(&mut bytes, at.added, added);
        put_pointer(&mut bytes, at.index_array, width, self.base + self.reserved_bytes);
        if let Some(lower_start) = at.lower_start {
            put_pointer(&mut bytes, lower_start, width, self.base + first);
        }
        if let Some(allocated) = at.allocated {
            put_u32(&mut bytes, allocated, self.blocks.len() as u32);
        }
        put_u32(&mut bytes, at.bucket_count, self.bucket_count);
        let (lower_end, upper_start) = (limits[1], limits[2]);
        let memory = Memory::default().with(self.base, bytes).without(lower_end, upper_start);
        let extent = range(self.base, self.base + self.reserved_bytes);
        Written { memory, extent, places, next_free_lower: self.base + offset }
    }

    fn write_block(&self, bytes: &mut [u8], offset: u64, block: &Block, block_bytes: u64, heads: &mut [u64]) {
        let width = self.pointer_bytes;
        let frames_at = if width == 8 { 0x10 } else { 0xc };
        for (frame, address) in block.frames.iter().enumerate() {
            put_pointer(bytes, offset + frames_at + frame as u64 * width, width, *address);
        }
        put_u16(bytes, offset + frames_at - 2, block.frames.len() as u16);
        if self.windows == Windows::Xp {
            put_u32(bytes, offset + width, block.count);
            put_u16(bytes, offset + width + 4, block.index as u16);
        } else {
            let slots = (block_bytes - frames_at) / width;
            let block_depth = (slots - 1).min(31) as u16;
            put_u16(bytes, offset + width, (block.count.min(0x7ff) as u16) | (block_depth << 11));
            put_u16(bytes, offset + width + 2, (block.index >> 16) as u16);
            put_u16(bytes, offset + width + 4, block.index as u16);
        }
        if block.is_free {
            put_u16(bytes, offset + width, 0);
            let slots = (block_bytes - frames_at) / width;
            put_u16(bytes, offset + width, ((slots - 1).min(31) as u16) << 11);
            put_pointer(bytes, offset + frames_at, width, 0);
            return;
        }
        let sum = block.frames.iter().fold(0_u32, |sum, frame| sum.wrapping_add(*frame as u32));
        let head = &mut heads[(sum % self.bucket_count) as usize];
        put_pointer(bytes, offset, width, *head);
        *head = self.base + offset;
    }
}
