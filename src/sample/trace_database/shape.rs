//! Where the fields of the database lie, for each Windows that the samples know.
//!
//! Source: offsets of `_STACK_TRACE_DATABASE` and `_RTL_STACK_TRACE_ENTRY` in public symbols of ntdll: Windows XP SP3 x86;
//! Windows Vista x86 and x64; Windows 7 SP1 x86 and x64, whose layout all later builds up to 22000 keep.

use crate::base::addr::PointerWidth;

/// Which layout, apart from the width of a pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Generation {
    /// Windows XP and Server 2003: whole counts, 16-bit indexes, blocks as long as their stack.
    Xp,
    /// Windows Vista: the entries of Windows 7 behind a header of its own, whose buckets have no locks.
    Vista,
    /// Windows 7 to 11: counts of 11 bits, block depths, 32-bit indexes.
    Seven,
}

/// One layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DatabaseShape {
    pub generation: Generation,
    pub width: PointerWidth,
}

/// The offsets in the header that do not follow from each other.
pub(super) struct HeaderPlaces {
    /// CommitBase; seven more fields follow it without gaps.
    pub commit_base: usize,
    /// PeakHashCollisionListLength and LowerMemoryStart.
    pub since_seven: Option<(usize, usize)>,
    pub bucket_count: usize,
    pub buckets: usize,
    pub bucket_bytes: usize,
}

impl DatabaseShape {
    pub const SEVEN_X64: Self = Self { generation: Generation::Seven, width: PointerWidth::Bits64 };
    pub const SEVEN_X86: Self = Self { generation: Generation::Seven, width: PointerWidth::Bits32 };
    pub const VISTA_X64: Self = Self { generation: Generation::Vista, width: PointerWidth::Bits64 };
    pub const VISTA_X86: Self = Self { generation: Generation::Vista, width: PointerWidth::Bits32 };
    pub const XP_X64: Self = Self { generation: Generation::Xp, width: PointerWidth::Bits64 };
    pub const XP_X86: Self = Self { generation: Generation::Xp, width: PointerWidth::Bits32 };

    pub(super) const fn header(self) -> HeaderPlaces {
        match (self.generation, self.width) {
            (Generation::Seven, PointerWidth::Bits64) => HeaderPlaces {
                commit_base: 0x88,
                since_seven: Some((0x70, 0x78)),
                bucket_count: 0x2d0,
                buckets: 0x2d8,
                bucket_bytes: 16,
            },
            (Generation::Seven, PointerWidth::Bits32) => HeaderPlaces {
                commit_base: 0x48,
                since_seven: Some((0x3c, 0x40)),
                bucket_count: 0x178,
                buckets: 0x17c,
                bucket_bytes: 8,
            },
            (Generation::Vista, PointerWidth::Bits64) => HeaderPlaces {
                commit_base: 0x88,
                since_seven: None,
                bucket_count: 0x1d0,
                buckets: 0x1d8,
                bucket_bytes: 8,
            },
            (Generation::Vista, PointerWidth::Bits32) => HeaderPlaces {
                commit_base: 0x48,
                since_seven: None,
                bucket_count: 0xf8,
                buckets: 0xfc,
                bucket_bytes: 4,
            },
            (Generation::Xp, PointerWidth::Bits32) => HeaderPlaces {
                commit_base: 0x48,
                since_seven: None,
                bucket_count: 0x68,
                buckets: 0x6c,
                bucket_bytes: 4,
            },
            // No public symbols with offsets; fields as in the listing of Server 2003 x64, each after the one before.
            (Generation::Xp, PointerWidth::Bits64) => HeaderPlaces {
                commit_base: 0x88,
                since_seven: None,
                bucket_count: 0xc0,
                buckets: 0xc8,
                bucket_bytes: 8,
            },
        }
    }

    /// From the base of the database to its first entry.
    pub const fn first_entry_offset(self, bucket_count: u32) -> u64 {
        let bucket_count = bucket_count as u64;
        match (self.generation, self.width) {
            (Generation::Seven, PointerWidth::Bits64) => 16 * (bucket_count + 47),
            (Generation::Seven, PointerWidth::Bits32) => 8 * bucket_count + 396,
            // That the first entry follows the last bucket at once is not confirmed.
            (Generation::Xp | Generation::Vista, _) => {
                let places = self.header();
                (places.buckets + places.bucket_bytes * bucket_count as usize) as u64
            }
        }
    }

    /// The fields of an entry before its addresses.
    pub const fn entry_header_bytes(self) -> u64 {
        match self.width {
            PointerWidth::Bits64 => 16,
            PointerWidth::Bits32 => 12,
        }
    }

    /// How long the block of a stack of `depth` frames is. That XP does not round, and that Vista rounds as Windows 7
    /// does, is not confirmed.
    pub const fn entry_bytes(self, depth: u64) -> u64 {
        match (self.generation, self.width) {
            (Generation::Vista | Generation::Seven, PointerWidth::Bits64) => (8 * depth + 31) & !15,
            (Generation::Vista | Generation::Seven, PointerWidth::Bits32) => (4 * depth + 19) & !7,
            (Generation::Xp, width) => self.entry_header_bytes() + depth * width.bytes(),
        }
    }

    /// The field BlockDepth: one less than the slots in the block, at most 31.
    pub const fn block_depth(self, depth: u64) -> u64 {
        let slots = (self.entry_bytes(depth) - self.entry_header_bytes()) / self.width.bytes();
        let block_depth = slots.saturating_sub(1);
        if block_depth < 31 { block_depth } else { 31 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_the_case_have_their_sizes() {
        let x64 = DatabaseShape::SEVEN_X64;
        let shown: Vec<_> = [8, 9, 27].iter().map(|depth| (x64.entry_bytes(*depth), x64.block_depth(*depth))).collect();
        assert_eq!(shown, [(0x50, 7), (0x60, 9), (0xf0, 27)]);
        // Block depths are odd on x64 and even on x86, but for the largest.
        let x86 = DatabaseShape::SEVEN_X86;
        assert!((1..=31).all(|depth| x64.block_depth(depth) % 2 == 1 && x86.block_depth(depth).is_multiple_of(2)));
        assert_eq!((x64.block_depth(32), x86.block_depth(32)), (31, 31));
    }

    #[test]
    fn first_entries_lie_where_listings_have_them() {
        assert_eq!(DatabaseShape::SEVEN_X64.first_entry_offset(9551), 0x2_57e0);
        assert_eq!(DatabaseShape::SEVEN_X64.first_entry_offset(5569), 0x1_5f00);
        assert_eq!(DatabaseShape::SEVEN_X86.first_entry_offset(9551), 0x1_2c04);
        assert_eq!(DatabaseShape::SEVEN_X86.first_entry_offset(5569), 0xaf94);
    }
}
