//! Addresses of the dumped process, offsets in files, and how WinDbg writes them.
//!
//! Each space has its own type, so that an offset cannot be used as an address by mistake.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A virtual address of the dumped process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Va(pub u64);

/// An offset from the base of an image.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Rva(pub u32);

/// An offset from the start of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct FileOffset(pub u64);

/// How wide a pointer of the described structure is. A WOW64 process has both kinds at once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum PointerWidth {
    Bits32,
    Bits64,
}

impl PointerWidth {
    /// Size of one pointer in bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Bits32 => 4,
            Self::Bits64 => 8,
        }
    }

    /// 32 or 64.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bits32 => 32,
            Self::Bits64 => 64,
        }
    }
}

impl Va {
    /// The address `bytes` further on; `None` past the end of the address space.
    pub fn checked_add(self, bytes: u64) -> Option<Self> {
        self.0.checked_add(bytes).map(Self)
    }

    /// The distance in bytes from `start` up to this address; `None` when this address lies below it.
    pub fn offset_from(self, start: Self) -> Option<u64> {
        self.0.checked_sub(start.0)
    }

    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// WinDbg's form: ``00007ff9`6bb40770`` with 64-bit pointers, `7efdf000` with 32-bit ones.
    pub fn windbg(self, width: PointerWidth) -> String {
        match width {
            PointerWidth::Bits32 if self.0 <= u64::from(u32::MAX) => format!("{:08x}", self.0),
            _ => format!("{:08x}`{:08x}", self.0 >> 32, self.0 & 0xffff_ffff),
        }
    }

    /// Reads an address as people paste it: with or without a backtick, `0x`, or a trailing `h`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        let text = text.strip_suffix(['h', 'H']).unwrap_or(text);
        let digits: String = text.chars().filter(|c| *c != '`').collect();
        if digits.is_empty() || digits.len() > 16 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u64::from_str_radix(&digits, 16).ok().map(Self)
    }
}

impl fmt::Display for Va {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

impl fmt::Debug for Va {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for FileOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

/// Addresses from `start` up to, not including, `end`.
///
/// **Invariant:** `start <= end`; the constructors see to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(into = "(Va, Va)", try_from = "(Va, Va)")]
pub struct VaRange {
    pub start: Va,
    pub end: Va,
}

impl From<VaRange> for (Va, Va) {
    fn from(range: VaRange) -> Self {
        (range.start, range.end)
    }
}

impl TryFrom<(Va, Va)> for VaRange {
    type Error = &'static str;

    fn try_from((start, end): (Va, Va)) -> Result<Self, Self::Error> {
        Self::new(start, end).ok_or("a range of addresses ends before it begins")
    }
}

impl VaRange {
    /// The range between two addresses; `None` when they are the wrong way round.
    pub fn new(start: Va, end: Va) -> Option<Self> {
        (start <= end).then_some(Self { start, end })
    }

    /// `size_bytes` from `start` on; a size that would pass the end of the address space is cut there.
    pub fn from_size(start: Va, size_bytes: u64) -> Self {
        Self { start, end: Va(start.0.saturating_add(size_bytes)) }
    }

    pub const fn size_bytes(self) -> u64 {
        self.end.0 - self.start.0
    }

    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    pub fn contains(self, va: Va) -> bool {
        self.start <= va && va < self.end
    }

    /// The part that both ranges have; `None` when they do not touch.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start < end).then_some(Self { start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_people_paste_them() {
        for text in ["00007ff9`6bb40770", "0x7ff96bb40770", "7FF96BB40770h", " 7ff96bb40770 "] {
            assert_eq!(Va::parse(text), Some(Va(0x7ff9_6bb4_0770)), "{text}");
        }
        for text in ["", "0x", "xyz", "11112222333344445", "12 34"] {
            assert_eq!(Va::parse(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_print_as_windbg_does() {
        assert_eq!(Va(0x7ff9_6bb4_0770).windbg(PointerWidth::Bits64), "00007ff9`6bb40770");
        assert_eq!(Va(0x7efd_f000).windbg(PointerWidth::Bits32), "7efdf000");
        assert_eq!(Va(0x1_0000_0000).windbg(PointerWidth::Bits32), "00000001`00000000");
    }

    #[test]
    fn a_range_past_the_end_of_the_address_space_is_cut() {
        assert_eq!(VaRange::from_size(Va(u64::MAX - 1), 16).size_bytes(), 1);
    }
}
