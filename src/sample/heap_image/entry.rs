//! The headers in front of blocks (`_HEAP_ENTRY`).
//!
//! Source: published layouts of `_HEAP_ENTRY`, and bytes of a real dump of Windows 7 (x64 and x86), whose checksum byte is the
//! XOR of the three before it.

use super::plan::HeapGeneration;
use crate::base::addr::PointerWidth;

pub const BUSY: u8 = 0x01;
pub const EXTRA_PRESENT: u8 = 0x02;
/// Belongs to the front end, or has an allocation of its own.
pub const INTERNAL: u8 = 0x08;
pub const LAST_ENTRY: u8 = 0x10;

/// The 8 bytes of a header that say what the block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// In granules; of a virtual block, its unused bytes.
    pub size: u16,
    pub previous_size: u16,
    pub flags: u8,
    pub unused_bytes: u8,
}

impl Entry {
    /// The bytes as they lie in memory.
    pub fn encoded(self, generation: HeapGeneration, key: Option<[u8; 8]>) -> [u8; 8] {
        let [size_low, size_high] = self.size.to_le_bytes();
        let [previous_low, previous_high] = self.previous_size.to_le_bytes();
        if generation == HeapGeneration::Xp {
            return [size_low, size_high, previous_low, previous_high, 0, self.flags, self.unused_bytes, 0];
        }
        let checksum = if key.is_some() { size_low ^ size_high ^ self.flags } else { 0 };
        let mut bytes = [size_low, size_high, self.flags, checksum, previous_low, previous_high, 0, self.unused_bytes];
        for (byte, key_byte) in bytes.iter_mut().zip(key.unwrap_or_default()) {
            *byte ^= key_byte;
        }
        bytes
    }
}

/// The second header in front of traced user bytes: `01 00 00 00 LL LL 02 05`. It is never encoded.
pub fn extended_header(unused_bytes: u64) -> [u8; 8] {
    let [low, high] = u16::try_from(unused_bytes).unwrap_or(u16::MAX).to_le_bytes();
    [1, 0, 0, 0, low, high, 2, 5]
}

/// Sizes that follow from the width of a pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Granule {
    pub width: PointerWidth,
}

impl Granule {
    /// sizeof(_HEAP_ENTRY), which sizes of blocks are counted in.
    pub const fn bytes(self) -> u64 {
        2 * self.width.bytes()
    }

    /// From the start of a block to the 8 bytes of its header: on x64 the first half belongs to the block before.
    pub const fn header_offset(self) -> u64 {
        self.bytes() - 8
    }

    /// The size of the block for `payload_bytes` behind its header. On x64 the payload may reach into the next block's first
    /// 8 bytes.
    pub const fn block_bytes(self, payload_bytes: u64) -> u64 {
        let block_bytes = (payload_bytes + 8).next_multiple_of(self.bytes());
        if block_bytes < 2 * self.bytes() { 2 * self.bytes() } else { block_bytes }
    }

    /// What a trace pointer and a second header take in front of the user's bytes.
    pub const fn prefix_bytes(self) -> u64 {
        2 * self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_comes_out() {
        // Windows Internals, 7th edition, part 1: a block of 0x7e granules behind one of 0x48, with 0x10 bytes unused, reads
        // 2FB514DC 1000021F in memory and 7F01007E 10000048 decoded.
        let [raw, decoded] = [[0x2fb5_14dc_u32, 0x1000_021f], [0x7f01_007e, 0x1000_0048]];
        let mut key = [0; 8];
        for (half, (raw, decoded)) in key.chunks_mut(4).zip(raw.iter().zip(decoded)) {
            half.copy_from_slice(&(raw ^ decoded).to_le_bytes());
        }
        let entry = Entry { size: 0x7e, previous_size: 0x48, flags: BUSY, unused_bytes: 0x10 };
        let expect: Vec<u8> = raw.iter().flat_map(|half| half.to_le_bytes()).collect();
        assert_eq!(entry.encoded(HeapGeneration::Ten1607, Some(key)).to_vec(), expect);
    }

    #[test]
    fn blocks_have_the_sizes_of_a_real_dump() {
        let x86 = Granule { width: PointerWidth::Bits32 };
        let x64 = Granule { width: PointerWidth::Bits64 };
        // Windows 7: user bytes 0x10 in a block of 0x18; 0xe0 in one of 0xf0; 0x1c in one of 0x30, 0x14 unused.
        assert_eq!((x86.block_bytes(0x10), x64.block_bytes(0xe0), x64.block_bytes(0x1c)), (0x18, 0xf0, 0x30));
        // A traced block of 0x28 bytes on Windows 10: Size 5.
        assert_eq!(x64.block_bytes(0x28 + x64.prefix_bytes()), 0x50);
    }
}
