//! An image's file, seen as it lies in memory: for export tables and unwind data that are not in the dump.
//!
//! Bytes are those of the file: pointers in it are not relocated, and what a section has beyond its bytes in the file is not
//! there. **Invariant:** the file is of the build that was loaded: time stamp and size of the image agree.

use std::io;
use std::path::Path;

use crate::base::addr::{Va, VaRange};
use crate::base::bytes;
use crate::base::memory::ReadMemory;
use crate::input::dump::mapping::Mapping;
use crate::input::dump::modules::ModuleRecord;

use super::code::section_headers;
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
    range: VaRange,
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
        let mut image = Self {
            file,
            range: module.range(),
            parts: vec![Part { rva: 0, file_offset: 0, size_bytes: headers_bytes }],
        };
        let headers = image.headers().ok_or(ImageFileError::NotImage)?;
        if headers.time_date_stamp != module.time_date_stamp {
            return Err(ImageFileError::OtherBuild { found: headers.time_date_stamp, wanted: module.time_date_stamp });
        }
        if u64::from(headers.size_bytes) != module.size_bytes {
            let found = u64::from(headers.size_bytes);
            return Err(ImageFileError::OtherSize { found, wanted: module.size_bytes });
        }
        image.parts = parts(&image, &headers);
        Ok(image)
    }

    /// Where the image lay.
    pub const fn range(&self) -> VaRange {
        self.range
    }

    /// The headers; `None` only before the file was found to be an image.
    pub fn headers(&self) -> Option<ImageHeaders> {
        read_headers(self, self.range.start)
    }
}

/// The headers and sections of an image's file, whose parts so far are the file as it lies.
fn parts(image: &ImageFile, headers: &ImageHeaders) -> Vec<Part> {
    /// The loader reads from whole sectors.
    const SECTOR_MASK: u32 = 0x1ff;
    let sections = section_headers(image, headers);
    // The headers lie at the start of both, up to the first section.
    let headers_bytes = sections.iter().map(|section| section.rva.0).min().unwrap_or_default();
    let mut parts = vec![Part { rva: 0, file_offset: 0, size_bytes: u64::from(headers_bytes) }];
    parts.extend(sections.iter().map(|section| {
        let is_sized = section.size_bytes > 0;
        let size_bytes = if is_sized { section.file_bytes.min(section.size_bytes) } else { section.file_bytes };
        Part {
            rva: u64::from(section.rva.0),
            file_offset: u64::from(section.file_offset & !SECTOR_MASK),
            size_bytes: u64::from(size_bytes),
        }
    }));
    parts.sort_by_key(|part| part.rva);
    parts
}

impl ReadMemory for ImageFile {
    fn bytes_at(&self, va: Va, length: u64) -> &[u8] {
        let found = || {
            let rva = va.offset_from(self.range.start)?;
            let after = self.parts.partition_point(|part| part.rva <= rva);
            let part = self.parts.get(after.checked_sub(1)?)?;
            let into = rva.checked_sub(part.rva)?;
            let left = part.size_bytes.checked_sub(into)?;
            Some(bytes::available_at(&self.file, part.file_offset.checked_add(into)?, length.min(left)))
        };
        found().unwrap_or_default()
    }
}
