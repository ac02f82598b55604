//! `_HEAP_ENTRY`: the header in front of each block, unmasked, and what it says of the user's memory behind it.

use serde::{Deserialize, Serialize};

use crate::base::addr::{PointerWidth, Va};
use crate::base::bytes;

use super::block::Trace;
use super::head::{Encoding, HeapHead};
use super::layouts::HeapGeneration;

/// Flags of a header.
pub const BUSY: u8 = 0x01;
pub const EXTRA_PRESENT: u8 = 0x02;
/// In a segment: the block belongs to the front end, whose blocks lie in it.
pub const INTERNAL: u8 = 0x08;

/// UnusedBytes of the entry behind the last block of a committed run; the descriptor of the hole follows it.
const END_OF_RUN: u8 = 0x03;
const END_OF_RUN_GRANULES: u16 = 4;
/// UnusedBytes too large for the byte: the number itself lies at the block's end.
const UNUSED_ELSEWHERE: u8 = 0x3f;
/// In UnusedBytes of blocks of the low-fragmentation heap.
pub const FRONT_END_BLOCK: u8 = 0x80;
/// Bytes from a block's start on that headers and prefixes take, on x64.
pub const LONGEST_PREFIX_BYTES: u64 = 0x30;

/// How headers of one heap are read. Small, and copied to every worker.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct EntryRule {
    pub width: PointerWidth,
    pub is_xp: bool,
    /// The unit of sizes, and the size of a header.
    pub granule_bytes: u64,
    pub header_offset: u64,
    encoding: Option<Encoding>,
    /// Whether blocks carry the stack that allocated them.
    captures_stacks: bool,
}

/// A header in clear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct EntryFields {
    pub size_granules: u16,
    pub previous_granules: u16,
    pub flags: u8,
    pub unused: u8,
    /// XP: SegmentIndex.
    pub segment: u8,
    /// Whether its checksum is right; where there is none, whether it can be a header.
    pub is_intact: bool,
}

impl EntryFields {
    pub const fn is_busy(&self) -> bool {
        self.flags & BUSY != 0
    }

    /// The entry behind the last block of a committed run: four granules, as many as it and the description of the hole
    /// take. No block has so few unused bytes, because its own header counts among them.
    pub const fn is_end_of_run(&self) -> bool {
        self.flags == BUSY && self.unused == END_OF_RUN && self.size_granules == END_OF_RUN_GRANULES
    }
}

impl EntryRule {
    pub const fn of(head: &HeapHead) -> Self {
        let layout = head.layout;
        Self {
            width: layout.width,
            is_xp: matches!(layout.generation, HeapGeneration::Xp),
            granule_bytes: layout.granule_bytes(),
            header_offset: layout.header_offset(),
            encoding: head.encoding,
            captures_stacks: head.captures_stacks(),
        }
    }

    /// Reads the 8 bytes of a header, as a little-endian number.
    ///
    /// Situation: Vista and later mask headers with a key of the heap; the byte behind size and flags is their checksum.
    /// A header that lacks the bit of EncodeFlagMask is in clear. Seen: Windows 7 build 7601, both widths (165 entries
    /// of one heap without a failure), and in the published example of Windows 10 that the test has. Test:
    /// `the_published_example_reads_as_printed`.
    #[inline]
    pub fn read(&self, raw: u64) -> EntryFields {
        if self.is_xp {
            let [size_low, size_high, previous_low, previous_high, _, flags, unused, segment] = raw.to_le_bytes();
            let size_granules = u16::from_le_bytes([size_low, size_high]);
            return EntryFields {
                size_granules,
                previous_granules: u16::from_le_bytes([previous_low, previous_high]),
                flags,
                unused,
                segment,
                is_intact: size_granules > 0 && segment < 64,
            };
        }
        let encoding = self.encoding.filter(|encoding| raw & u64::from(encoding.flag_mask) != 0);
        let clear = encoding.map_or(raw, |encoding| raw ^ encoding.key);
        let [size_low, size_high, flags, checksum, previous_low, previous_high, segment, unused] = clear.to_le_bytes();
        let size_granules = u16::from_le_bytes([size_low, size_high]);
        let is_masked = self.encoding.is_some_and(|encoding| encoding.flag_mask != 0);
        EntryFields {
            size_granules,
            previous_granules: u16::from_le_bytes([previous_low, previous_high]),
            flags,
            unused,
            segment,
            is_intact: size_granules > 0 && (!is_masked || size_low ^ size_high ^ flags == checksum),
        }
    }

    /// The header of the block at the start of `block`.
    #[inline]
    pub fn read_at(&self, block: &[u8]) -> Option<EntryFields> {
        bytes::u64_at(block, self.header_offset).map(|raw| self.read(raw))
    }

    /// What lies behind the header of a block in use that begins `block`: where the user's memory begins, how large it is,
    /// and the stack that allocated it. `unused` comes without the mark of the front end. `None` for a size that cannot
    /// be.
    #[inline]
    pub fn user_part(&self, block: &[u8], size_bytes: u64, flags: u8, unused: u8) -> Option<UserPart> {
        if self.is_xp {
            let user_bytes = size_bytes.checked_sub(u64::from(unused))?;
            return Some(UserPart {
                offset: self.granule_bytes,
                user_bytes,
                trace: self.xp_trace(block, size_bytes, flags),
            });
        }
        if self.captures_stacks
            && let Some(part) = self.with_prefix(block, size_bytes)
        {
            return Some(part);
        }
        let unused_bytes = if unused == UNUSED_ELSEWHERE {
            self.word_at(block, size_bytes.checked_sub(self.width.bytes())?)?
        } else {
            u64::from(unused)
        };
        let trace = if self.captures_stacks { Trace::Missing } else { Trace::NotKept };
        Some(UserPart { offset: self.granule_bytes, user_bytes: size_bytes.checked_sub(unused_bytes)?, trace })
    }

    /// Situation: with gflags +ust a block of Vista and later has a prefix: the address of its stack's record, and a second
    /// header directly before the user's memory that ends with 02 05. Known from: published readers for Windows 7 to 11.
    /// Example, x64: record at 10, second header at 20 with `01 00 00 00 LL LL 02 05` at 28, user's memory at 30. Handled: a
    /// block without that second header has no prefix. Test: `blocks_of_windows_10_are_tied_to_records_of_the_heap_log`.
    #[inline]
    pub fn with_prefix(&self, block: &[u8], size_bytes: u64) -> Option<UserPart> {
        let second_header = self.granule_bytes.wrapping_mul(2);
        let tail = bytes::u64_at(block, second_header.wrapping_add(self.header_offset))?.to_le_bytes();
        let [1, 0, 0, 0, length_low, length_high, 2, 5] = tail else { return None };
        let unused_bytes = u64::from(u16::from_le_bytes([length_low, length_high]));
        let record = self.word_at(block, self.granule_bytes)?;
        Some(UserPart {
            offset: self.granule_bytes.wrapping_mul(3),
            user_bytes: size_bytes.checked_sub(unused_bytes)?,
            trace: trace_of_record(record, self.width),
        })
    }

    /// XP and 2003: `_HEAP_ENTRY_EXTRA` in the block's last bytes begins with the number of its stack.
    fn xp_trace(&self, block: &[u8], size_bytes: u64, flags: u8) -> Trace {
        if !self.captures_stacks {
            return Trace::NotKept;
        }
        let at = size_bytes.checked_sub(self.granule_bytes).filter(|_| flags & EXTRA_PRESENT != 0);
        match at.and_then(|at| bytes::u16_at(block, at)) {
            None | Some(0) => Trace::Missing,
            Some(index) => Trace::Index(index),
        }
    }

    /// Whether blocks may carry the stack that allocated them.
    pub const fn captures_stacks(&self) -> bool {
        self.captures_stacks
    }

    /// Of a large block: from its header (`busy_block`, which `entry` holds at its end) to the user's memory, and its stack.
    /// `None` where it has no prefix.
    pub fn large_prefix(&self, busy_block: &[u8], entry: &[u8], extra_stuff: u64) -> Option<(u64, Trace)> {
        if !self.captures_stacks {
            return None;
        }
        if self.is_xp {
            let index = bytes::u16_at(entry, extra_stuff).filter(|index| *index != 0)?;
            return Some((self.granule_bytes, Trace::Index(index)));
        }
        self.with_prefix(busy_block, u64::MAX).map(|part| (part.offset, part.trace))
    }

    fn word_at(&self, block: &[u8], offset: u64) -> Option<u64> {
        match self.width {
            PointerWidth::Bits32 => bytes::u32_at(block, offset).map(u64::from),
            PointerWidth::Bits64 => bytes::u64_at(block, offset),
        }
    }
}

/// Two values stand for "no stack" (known from a published reader): 01 01 in the highest bytes.
fn trace_of_record(record: u64, width: PointerWidth) -> Trace {
    let none = match width {
        PointerWidth::Bits32 => 0x0101_0000,
        PointerWidth::Bits64 => 0x0101_0000_0000_0000,
    };
    if record == 0 || record == none { Trace::Missing } else { Trace::At(Va(record)) }
}

/// See [`EntryRule::user_part`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct UserPart {
    /// From the block's start.
    pub offset: u64,
    pub user_bytes: u64,
    pub trace: Trace,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(width: PointerWidth, encoding: Option<Encoding>) -> EntryRule {
        let (granule_bytes, header_offset) = match width {
            PointerWidth::Bits32 => (8, 0),
            PointerWidth::Bits64 => (16, 8),
        };
        EntryRule { width, is_xp: false, granule_bytes, header_offset, encoding, captures_stacks: false }
    }

    /// Of Windows Internals, 7th edition, part 1: the header of an allocation of 7d0 bytes as `!heap -i` decodes it.
    #[test]
    fn the_published_example_reads_as_printed() {
        let raw = 0x1000_021f_2fb5_14dc;
        let clear = 0x1000_0048_7f01_007e;
        let encoding = Encoding { flag_mask: 0x0010_0000, key: raw ^ clear };
        let rule = rule(PointerWidth::Bits64, Some(encoding));
        let fields = rule.read(raw);
        assert_eq!(
            fields,
            EntryFields {
                size_granules: 0x7e,
                previous_granules: 0x48,
                flags: BUSY,
                unused: 0x10,
                segment: 0,
                is_intact: true
            }
        );
        let part = rule.user_part(&[0; 0x10], 0x7e0, fields.flags, fields.unused).unwrap();
        assert_eq!((part.offset, part.user_bytes), (0x10, 0x7d0));
        // One wrong bit of size, flags or checksum is found.
        for bit in 0..32 {
            assert!(!rule.read(raw ^ (1 << bit)).is_intact || bit == 20, "bit {bit}");
        }
    }

    #[test]
    fn a_large_rest_lies_at_the_end_of_the_block() {
        let mut block = vec![0; 0x200];
        block.splice(0x1f8.., 0x150_u64.to_le_bytes());
        let part = rule(PointerWidth::Bits64, None).user_part(&block, 0x200, BUSY, UNUSED_ELSEWHERE).unwrap();
        assert_eq!(part.user_bytes, 0xb0);
    }

    #[test]
    fn a_rest_larger_than_the_block_is_damage() {
        assert_eq!(rule(PointerWidth::Bits32, None).user_part(&[0; 16], 8, BUSY, 9), None);
    }
}
