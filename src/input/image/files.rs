//! Image files beneath the memory of a dump: code and unwind data of modules that the dump does not hold.

use crate::base::addr::Va;
use crate::base::memory::{self, ReadMemory};

use super::file::ImageFile;
use super::read_headers;

/// Memory of a process, and image files where it has none.
pub struct MemoryWithImages<'a> {
    memory: &'a dyn ReadMemory,
    /// In the order of addresses.
    images: Vec<&'a ImageFile>,
}

impl<'a> MemoryWithImages<'a> {
    pub fn new(memory: &'a dyn ReadMemory, images: &'a [ImageFile]) -> Self {
        let mut images: Vec<&ImageFile> = images.iter().collect();
        images.sort_by_key(|image| image.range().start);
        Self { memory, images }
    }
}

impl ReadMemory for MemoryWithImages<'_> {
    fn bytes_at(&self, va: Va, length: u64) -> &[u8] {
        let found = self.memory.bytes_at(va, length);
        if !found.is_empty() {
            return found;
        }
        let after = self.images.partition_point(|image| image.range().start <= va);
        let image = after.checked_sub(1).and_then(|index| self.images.get(index));
        image.filter(|image| image.range().contains(va)).map_or(&[], |image| image.bytes_at(va, length))
    }
}

/// Whether memory holds what unwinding a frame at `ip` takes: the headers of the image at `base`, its unwind data, and the
/// code there.
pub fn has_unwind_data(memory: &dyn ReadMemory, base: Va, ip: Va) -> bool {
    let Some(headers) = read_headers(memory, base) else { return false };
    let directory = headers.exception_directory;
    let is_there = |offset: u64| {
        base.checked_add(u64::from(directory.rva.0))
            .and_then(|start| start.checked_add(offset))
            .is_some_and(|va| memory::u8_at(memory, va).is_some())
    };
    let has_directory = match directory.size_bytes.checked_sub(1) {
        None => true,
        Some(last) => is_there(0) && is_there(u64::from(last)),
    };
    has_directory && memory::u8_at(memory, ip).is_some()
}
