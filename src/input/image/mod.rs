//! Images (programs and libraries) as they lie in the memory of the dumped process, or in their files.
//!
//! Layout: the PE format of the Microsoft documentation, "PE Format". Only headers that are in the dump are read; a page
//! that is missing gives nothing, never an error.

pub mod code;
pub mod debug;
pub mod exports;
pub mod file;
pub mod files;

use crate::base::addr::{PointerWidth, Rva, Va};
use crate::base::memory::{self, ReadMemory};

/// What the headers of an image say that others build on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ImageHeaders {
    pub base: Va,
    pub width: PointerWidth,
    /// IMAGE_FILE_MACHINE_*: 0x8664 for x64, 0x14c for x86, 0xaa64 for ARM64.
    pub machine: u16,
    pub size_bytes: u32,
    /// IMAGE_FILE_LARGE_ADDRESS_AWARE: a 32-bit program that takes addresses above 2 GB.
    pub is_large_address_aware: bool,
    /// Written by the linker: a time, or a number that tells builds apart.
    pub time_date_stamp: u32,
    pub export_directory: DirectoryEntry,
    /// The functions with their unwind data; 32-bit images have none.
    pub exception_directory: DirectoryEntry,
    /// Where the linker says which PDB it wrote.
    pub debug_directory: DirectoryEntry,
    /// Where the section headers lie, and how many the file header names.
    pub section_table: Va,
    pub section_count: u16,
}

/// Where a data directory lies; size 0 when the image has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DirectoryEntry {
    pub rva: Rva,
    pub size_bytes: u32,
}

impl DirectoryEntry {
    pub fn contains(&self, rva: Rva) -> bool {
        rva.0.checked_sub(self.rva.0).is_some_and(|offset| offset < self.size_bytes)
    }
}

/// Reads the headers of the image at `base`; `None` when they are not in the dump or are none.
pub fn read_headers(memory: &dyn ReadMemory, base: Va) -> Option<ImageHeaders> {
    const DOS_SIGNATURE: u16 = 0x5a4d; // "MZ"
    const PE_SIGNATURE: u32 = 0x4550; // "PE\0\0"
    /// The headers of a real image end within its first page; e_lfanew beyond this is damage.
    const MOST_HEADER_BYTES: u32 = 0x1000;
    if memory::u16_at(memory, base)? != DOS_SIGNATURE {
        return None;
    }
    let pe_offset = memory::u32_at(memory, base.checked_add(0x3c)?)?;
    if pe_offset > MOST_HEADER_BYTES {
        return None;
    }
    let pe = base.checked_add(u64::from(pe_offset))?;
    if memory::u32_at(memory, pe)? != PE_SIGNATURE {
        return None;
    }
    let optional = pe.checked_add(0x18)?;
    let (width, directories) = match memory::u16_at(memory, optional)? {
        0x10b => (PointerWidth::Bits32, 0x60),
        0x20b => (PointerWidth::Bits64, 0x70),
        _ => return None,
    };
    let directory_count = memory::u32_at(memory, optional.checked_add(directories)?.0.checked_sub(4).map(Va)?)?;
    let directory = |index: u64| -> Option<DirectoryEntry> {
        if u64::from(directory_count) <= index {
            return Some(DirectoryEntry::default());
        }
        let at = optional.checked_add(directories)?.checked_add(index.checked_mul(8)?)?;
        Some(DirectoryEntry {
            rva: Rva(memory::u32_at(memory, at)?),
            size_bytes: memory::u32_at(memory, at.checked_add(4)?)?,
        })
    };
    let optional_bytes = memory::u16_at(memory, pe.checked_add(0x14)?)?;
    Some(ImageHeaders {
        base,
        width,
        machine: memory::u16_at(memory, pe.checked_add(4)?)?,
        is_large_address_aware: memory::u16_at(memory, pe.checked_add(0x16)?)? & 0x20 != 0,
        time_date_stamp: memory::u32_at(memory, pe.checked_add(8)?)?,
        size_bytes: memory::u32_at(memory, optional.checked_add(0x38)?)?,
        export_directory: directory(0)?,
        exception_directory: directory(3)?,
        debug_directory: directory(6)?,
        section_table: optional.checked_add(u64::from(optional_bytes))?,
        section_count: memory::u16_at(memory, pe.checked_add(6)?)?,
    })
}
