//! The sections of an image, and which of them are code.

use crate::base::addr::{Rva, VaRange};
use crate::base::memory::{self, ReadMemory};

use super::ImageHeaders;

/// The loader of Windows takes no image with more sections.
const MAX_SECTIONS: u16 = 96;
const SECTION_HEADER_BYTES: u64 = 40;
const IMAGE_SCN_MEM_EXECUTE: u32 = 0x2000_0000;

/// IMAGE_SECTION_HEADER: where a section lies in memory and in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SectionHeader {
    pub rva: Rva,
    pub size_bytes: u32,
    pub file_offset: u32,
    pub file_bytes: u32,
    pub characteristics: u32,
}

/// The section headers that are in the dump.
pub fn section_headers(memory: &dyn ReadMemory, image: &ImageHeaders) -> Vec<SectionHeader> {
    (0..u64::from(image.section_count.min(MAX_SECTIONS)))
        .filter_map(|index| {
            let header = image.section_table.checked_add(index.checked_mul(SECTION_HEADER_BYTES)?)?;
            let field = |offset: u64| memory::u32_at(memory, header.checked_add(offset)?);
            Some(SectionHeader {
                size_bytes: field(8)?,
                rva: Rva(field(0xc)?),
                file_bytes: field(0x10)?,
                file_offset: field(0x14)?,
                characteristics: field(0x24)?,
            })
        })
        .collect()
}

/// The executable sections; empty when the headers are not in the dump.
pub fn read_code_ranges(memory: &dyn ReadMemory, image: &ImageHeaders) -> Vec<VaRange> {
    let image_range = VaRange::from_size(image.base, u64::from(image.size_bytes));
    section_headers(memory, image)
        .into_iter()
        .filter(|section| section.characteristics & IMAGE_SCN_MEM_EXECUTE != 0)
        .filter_map(|section| {
            let start = image.base.checked_add(u64::from(section.rva.0))?;
            VaRange::from_size(start, u64::from(section.size_bytes)).intersection(image_range)
        })
        .collect()
}
