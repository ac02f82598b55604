//! Image files beneath the memory of a dump: code and unwind data of modules that the dump does not hold.
//!
//! A file is taken when its time stamp and image size are those of the module; these two are what symbol servers know an
//! image by. It stands at the module's base as its sections say. Relocations are not applied: code and unwind data of x64
//! images speak of offsets, and nothing else is read here.

use std::path::Path;

use crate::base::addr::{FileOffset, Rva, Va, VaRange};
use crate::base::bytes;
use crate::base::memory::ReadMemory;
use crate::input::dump::mapping::Mapping;

use super::code::section_headers;
use super::read_headers;

/// A module whose image is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WantedImage<'a> {
    pub file_name: &'a str,
    pub range: VaRange,
    pub time_date_stamp: u32,
}

/// Memory of a process, and image files where it has none.
pub struct MemoryWithImages<'a> {
    memory: &'a dyn ReadMemory,
    /// In the order of addresses.
    images: Vec<PlacedImage>,
}

struct PlacedImage {
    range: VaRange,
    file: Mapping,
    parts: Vec<Part>,
}

/// Bytes of the file and where the loader puts them.
struct Part {
    rva: Rva,
    offset: FileOffset,
    size_bytes: u64,
}

impl<'a> MemoryWithImages<'a> {
    /// Looks in `folder` for the images, by name and as symbol stores lay them out: `ntdll.dll/4CE7C0DE1A9000/ntdll.dll`.
    /// What is not found, cannot be opened, or is another version is left out.
    pub fn open<'b>(
        memory: &'a dyn ReadMemory,
        folder: &Path,
        wanted: impl IntoIterator<Item = WantedImage<'b>>,
    ) -> Self {
        let mut images: Vec<PlacedImage> = wanted.into_iter().filter_map(|wanted| find(folder, &wanted)).collect();
        images.sort_by_key(|image| image.range.start);
        Self { memory, images }
    }

    pub fn image_count(&self) -> usize {
        self.images.len()
    }
}

impl ReadMemory for MemoryWithImages<'_> {
    fn bytes_at(&self, va: Va, length: u64) -> &[u8] {
        let found = self.memory.bytes_at(va, length);
        if !found.is_empty() {
            return found;
        }
        let after = self.images.partition_point(|image| image.range.start <= va);
        let image = after.checked_sub(1).and_then(|index| self.images.get(index));
        image.map_or(&[], |image| image.bytes_at(va, length))
    }
}

impl PlacedImage {
    fn place(wanted: &WantedImage<'_>, file: Mapping) -> Option<Self> {
        let flat = FlatFile { base: wanted.range.start, bytes: &file };
        let headers = read_headers(&flat, wanted.range.start)?;
        let is_same = headers.time_date_stamp == wanted.time_date_stamp
            && u64::from(headers.size_bytes) == wanted.range.size_bytes();
        if !is_same {
            return None;
        }
        let sections = section_headers(&flat, &headers);
        // The headers lie at the start of both, up to the first section.
        let header_bytes = sections.iter().map(|section| section.rva.0).min().unwrap_or_default();
        let mut parts = vec![Part { rva: Rva(0), offset: FileOffset(0), size_bytes: u64::from(header_bytes) }];
        parts.extend(sections.iter().map(|section| Part {
            rva: section.rva,
            offset: FileOffset(u64::from(section.file_offset)),
            size_bytes: u64::from(section.size_bytes.min(section.file_bytes)),
        }));
        Some(Self { range: wanted.range, file, parts })
    }

    fn bytes_at(&self, va: Va, length: u64) -> &[u8] {
        let found = self.parts.iter().find_map(|part| {
            let into_part = va.offset_from(self.range.start)?.checked_sub(u64::from(part.rva.0))?;
            let left_bytes = part.size_bytes.checked_sub(into_part).filter(|left| *left > 0)?;
            Some(bytes::available_at(&self.file, part.offset.0.checked_add(into_part)?, length.min(left_bytes)))
        });
        found.unwrap_or_default()
    }
}

/// The head of a file, read as if it were mapped as it lies.
struct FlatFile<'a> {
    base: Va,
    bytes: &'a [u8],
}

impl ReadMemory for FlatFile<'_> {
    fn bytes_at(&self, va: Va, length: u64) -> &[u8] {
        va.offset_from(self.base).map_or(&[], |offset| bytes::available_at(self.bytes, offset, length))
    }
}

fn find(folder: &Path, wanted: &WantedImage<'_>) -> Option<PlacedImage> {
    // Names come from the dump: none may lead out of the folder.
    let name = wanted.file_name;
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', ':', '\0']) {
        return None;
    }
    let identity = format!("{:08X}{:x}", wanted.time_date_stamp, wanted.range.size_bytes());
    [folder.join(name), folder.join(name).join(identity).join(name)]
        .iter()
        .find_map(|path| PlacedImage::place(wanted, Mapping::open(path).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory;

    struct Nothing;

    impl ReadMemory for Nothing {
        fn bytes_at(&self, _va: Va, _length: u64) -> &[u8] {
            &[]
        }
    }

    #[test]
    fn names_cannot_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for file_name in ["..", "../a.dll", r"..\a.dll", "c:a.dll", "", "/etc/passwd"] {
            let wanted = WantedImage { file_name, range: VaRange::default(), time_date_stamp: 0 };
            let memory = MemoryWithImages::open(&Nothing, folder.path(), [wanted]);
            assert_eq!(memory.image_count(), 0, "{file_name}");
            assert!(memory::u8_at(&memory, Va(0)).is_none());
        }
    }
}
