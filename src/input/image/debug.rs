//! Which PDB belongs to an image, by the image itself: for dumps whose module list does not say.
//!
//! Wine 8's MiniDumpWriteDump writes modules without CodeView records; the record is in the image's debug directory.

use crate::base::memory::{self, ReadMemory};
use crate::input::dump::modules::{PdbReference, pdb_reference_of};

use super::ImageHeaders;

/// IMAGE_DEBUG_DIRECTORY.
const ENTRY_BYTES: u64 = 28;
const TYPE_CODE_VIEW: u32 = 2;
/// Linkers write a handful.
const MOST_ENTRIES: u64 = 64;
/// A GUID, an age and a path.
const MOST_RECORD_BYTES: u64 = 0x1000;

/// The CodeView record of the image's debug directory; `None` when it has none, or not in the dump.
pub fn read_pdb_reference(memory: &dyn ReadMemory, image: &ImageHeaders) -> Option<PdbReference> {
    let start = image.base.checked_add(u64::from(image.debug_directory.rva.0))?;
    let entry_count = (u64::from(image.debug_directory.size_bytes) / ENTRY_BYTES).min(MOST_ENTRIES);
    (0..entry_count).find_map(|index| {
        let entry = start.checked_add(index.checked_mul(ENTRY_BYTES)?)?;
        let kind = memory::u32_at(memory, entry.checked_add(0xc)?)?;
        let size_bytes = memory::u32_at(memory, entry.checked_add(0x10)?)?;
        let rva = memory::u32_at(memory, entry.checked_add(0x14)?)?;
        (kind == TYPE_CODE_VIEW && rva < image.size_bytes).then_some(())?;
        let record = image.base.checked_add(u64::from(rva))?;
        pdb_reference_of(memory.bytes_at(record, u64::from(size_bytes).min(MOST_RECORD_BYTES)))
    })
}
