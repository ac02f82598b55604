//! Which parts of an image are code, by its section headers.

use crate::base::addr::VaRange;
use crate::base::memory::{self, ReadMemory};

use super::ImageHeaders;

/// The loader of Windows takes no image with more sections.
const MAX_SECTIONS: u16 = 96;
const SECTION_HEADER_BYTES: u64 = 40;
const IMAGE_SCN_MEM_EXECUTE: u32 = 0x2000_0000;

/// The executable sections, in the order of the headers; empty when the headers are not in the dump.
pub fn read_code_ranges(memory: &dyn ReadMemory, image: &ImageHeaders) -> Vec<VaRange> {
    let image_range = VaRange::from_size(image.base, u64::from(image.size_bytes));
    (0..u64::from(image.section_count.min(MAX_SECTIONS)))
        .filter_map(|index| {
            let header = image.section_table.checked_add(index.checked_mul(SECTION_HEADER_BYTES)?)?;
            let field = |offset: u64| memory::u32_at(memory, header.checked_add(offset)?);
            let (size_bytes, rva, flags) = (field(8)?, field(0xc)?, field(0x24)?);
            if flags & IMAGE_SCN_MEM_EXECUTE == 0 {
                return None;
            }
            let start = image.base.checked_add(u64::from(rva))?;
            VaRange::from_size(start, u64::from(size_bytes)).intersection(image_range)
        })
        .collect()
}
