//! An image's file, seen as it lies in memory: for export tables and unwind data that are not in the dump.
//!
//! Bytes are those of the file: pointers in it are not relocated, and what a section has beyond its bytes in the file is not
//! there. **Invariant:** the file is of the build that was loaded: time stamp and size of the image agree.

use std::io;
use std::path::Path;

use crate::base::addr::Va;
use crate::base::bytes::{self, u16_at, u32_at};
use crate::base::memory::ReadMemory;
use crate::input::dump::mapping::Mapping;
use crate::input::dump::modules::ModuleRecord;

use super::{ImageHeaders, read_headers};

/// Why a file is not the image.
#[derive(Debug, thiserror::Error)]
pub enum ImageFileError {
    #[error("cannot be opened: {0}")]
    Open(#[from] io::Error),
    #[error("is no image")]
    NotImage,
    #[error("belongs to another build: its time stamp is {found:#010x}, that of the image was {wanted:#010x}")]
    OtherBuild { found: u32, wanted: u32 },
    #[error("belongs to another build: it takes {found:#x} bytes, the image took {wanted:#x}")]
    OtherSize { found: u64, wanted: u64 },
}

/// A stretch of the image that the file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Part {
    rva: u64,
    file_offset: u64,
    size_bytes: u64,
}

/// The file of a loaded image, at the address where it was loaded.
#[derive(Debug)]
pub struct ImageFile {
    file: Mapping,
    base: Va,
    /// In the order of their places.
    parts: Vec<Part>,
}

impl ImageFile {
    /// Maps the file of a module.
    ///
    /// # Errors
    /// When it cannot be opened, is no image, or is of another build.
    pub fn open(path: &Path, module: &ModuleRecord) -> Result<Self, ImageFileError> {
        Self::new(Mapping::open(path)?, module)
    }

    /// As [`Self::open`], from bytes that were unpacked.
    ///
    /// # Errors
    /// When they are no image, or one of another build.
    pub fn new(file: Mapping, module: &ModuleRecord) -> Result<Self, ImageFileError> {
        // The headers alone, to begin with: they say where the sections lie.
        let headers_bytes = file.len() as u64;
        let mut image =
            Self { file, base: module.base, parts: vec![Part { rva: 0, file_offset: 0, size_bytes: headers_bytes }] };
        let headers = image.headers().ok_or(ImageFileError::NotImage)?;
        if headers.time_date_stamp != module.time_date_stamp {
            return Err(ImageFileError::OtherBuild { found: headers.time_date_stamp, wanted: module.time_date_stamp });
        }
        if u64::from(headers.size_bytes) != module.size_bytes {
            let found = u64::from(headers.size_bytes);
            return Err(ImageFileError::OtherSize { found, wanted: module.size_bytes });
        }
        image.parts = parts(&image.file).ok_or(ImageFileError::NotImage)?;
        Ok(image)
    }

    /// The headers; `None` only before the file was found to be an image.
    pub fn headers(&self) -> Option<ImageHeaders> {
        read_headers(self, self.base)
    }
}

/// The headers and sections of an image's file.
fn parts(file: &[u8]) -> Option<Vec<Part>> {
    /// The loader reads from whole sectors.
    const SECTOR_MASK: u64 = 0x1ff;
    const SECTION_BYTES: u64 = 40;
    let pe = u64::from(u32_at(file, 0x3c)?);
    let field = |offset: u64| pe.checked_add(offset);
    let section_count = u16_at(file, field(6)?)?;
    let optional_bytes = u64::from(u16_at(file, field(0x14)?)?);
    let headers_bytes = u64::from(u32_at(file, field(0x54)?)?);
    let table = field(0x18)?.checked_add(optional_bytes)?;
    let mut parts = vec![Part { rva: 0, file_offset: 0, size_bytes: headers_bytes }];
    for index in 0..u64::from(section_count) {
        let section = table.checked_add(index.checked_mul(SECTION_BYTES)?)?;
        let number = |offset: u64| section.checked_add(offset).and_then(|at| u32_at(file, at)).map(u64::from);
        let (Some(virtual_bytes), Some(rva), Some(raw_bytes), Some(raw_offset)) =
            (number(8), number(12), number(16), number(20))
        else {
            break;
        };
        let size_bytes = if virtual_bytes == 0 { raw_bytes } else { raw_bytes.min(virtual_bytes) };
        parts.push(Part { rva, file_offset: raw_offset & !SECTOR_MASK, size_bytes });
    }
    parts.sort_by_key(|part| part.rva);
    Some(parts)
}

impl ReadMemory for ImageFile {
    fn bytes_at(&self, va: Va, length: u64) -> &[u8] {
        let found = || {
            let rva = va.offset_from(self.base)?;
            let after = self.parts.partition_point(|part| part.rva <= rva);
            let part = self.parts.get(after.checked_sub(1)?)?;
            let into = rva.checked_sub(part.rva)?;
            let left = part.size_bytes.checked_sub(into)?;
            Some(bytes::available_at(&self.file, part.file_offset.checked_add(into)?, length.min(left)))
        };
        found().unwrap_or_default()
    }
}
