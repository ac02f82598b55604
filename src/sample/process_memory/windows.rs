//! Which Windows a process runs on, as far as its structures depend on it.
//!
//! Offsets in this folder: public symbols of ntdll and ntoskrnl, Windows XP SP3 x86 (5.1.2600), Windows 7 SP1 x86 and x64
//! (6.1.7601), Windows 10 x64 (10.0.19045), unless a line names another source.

use crate::base::addr::PointerWidth;

/// One of the systems that the samples know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Windows {
    XpX86,
    SevenX86,
    SevenX64,
    TenX64,
}

impl Windows {
    pub const fn width(self) -> PointerWidth {
        match self {
            Self::XpX86 | Self::SevenX86 => PointerWidth::Bits32,
            Self::SevenX64 | Self::TenX64 => PointerWidth::Bits64,
        }
    }

    /// Major and minor version.
    pub const fn version(self) -> (u32, u32) {
        match self {
            Self::XpX86 => (5, 1),
            Self::SevenX86 | Self::SevenX64 => (6, 1),
            Self::TenX64 => (10, 0),
        }
    }

    /// `narrow` in a 32-bit process, `wide` in a 64-bit one.
    pub(super) const fn at(self, narrow: usize, wide: usize) -> usize {
        match self.width() {
            PointerWidth::Bits32 => narrow,
            PointerWidth::Bits64 => wide,
        }
    }

    pub const fn peb_bytes(self) -> usize {
        match self {
            Self::XpX86 => 0x210,
            Self::SevenX86 => 0x248,
            Self::SevenX64 => 0x380,
            Self::TenX64 => 0x7c8,
        }
    }

    pub const fn teb_bytes(self) -> usize {
        match self {
            Self::XpX86 => 0xfb8,
            Self::SevenX86 => 0xfe4,
            Self::SevenX64 => 0x1818,
            Self::TenX64 => 0x1838,
        }
    }
}
