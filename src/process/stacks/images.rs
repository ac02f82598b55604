//! The images of a process as unwinding sees them: where they lie, which parts are code, where their function tables are.
//! Read once for all threads.

use crate::base::addr::{PointerWidth, Rva, Va, VaRange};
use crate::base::memory::{self, ReadMemory};
use crate::input::image::code::read_code_ranges;
use crate::input::image::{ImageHeaders, read_headers};

const IMAGE_FILE_MACHINE_AMD64: u16 = 0x8664;
const RUNTIME_FUNCTION_BYTES: u32 = 12;

/// All images of one dump.
///
/// **Invariant:** in the order of addresses, each base once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StackImages {
    images: Vec<StackImage>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct StackImage {
    pub range: VaRange,
    /// `None` where the headers cannot be read.
    pub width: Option<PointerWidth>,
    /// The x64 function table; `None` where it is not known whether there is one.
    pub functions: Option<FunctionTable>,
    /// The executable sections; empty where they are not known.
    pub code: Vec<VaRange>,
}

/// Where the table of RUNTIME_FUNCTIONs lies. Its entries are read where they are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FunctionTable {
    pub start: Va,
    pub count: u32,
}

/// RUNTIME_FUNCTION: from where to where a function, or a part of one, goes, and where its UNWIND_INFO lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FunctionEntry {
    pub begin: Rva,
    pub end: Rva,
    pub unwind_info: Rva,
}

/// A part of a function table that is not in the dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TableMissing;

impl StackImages {
    /// Reads the headers of the images at these places from `code`; those that cannot be read count as modules of which
    /// nothing more is known.
    pub fn read(code: &dyn ReadMemory, modules: impl IntoIterator<Item = VaRange>) -> Self {
        let mut images: Vec<StackImage> = modules.into_iter().map(|range| StackImage::read(code, range)).collect();
        images.sort_by_key(|image| image.range.start);
        images.dedup_by_key(|image| image.range.start);
        Self { images }
    }

    /// The bitness of the image at an address, where its headers tell.
    pub fn width_at(&self, va: Va) -> Option<PointerWidth> {
        self.at(va)?.width
    }

    pub(super) fn at(&self, va: Va) -> Option<&StackImage> {
        let after = self.images.partition_point(|image| image.range.start <= va);
        self.images.get(after.checked_sub(1)?).filter(|image| image.range.contains(va))
    }
}

impl StackImage {
    fn read(code: &dyn ReadMemory, range: VaRange) -> Self {
        let Some(headers) = read_headers(code, range.start) else {
            return Self { range, width: None, functions: None, code: Vec::new() };
        };
        Self {
            range,
            width: Some(headers.width),
            functions: function_table(&headers),
            code: read_code_ranges(code, &headers),
        }
    }

    /// Whether code of that bitness can lie at `va`, as far as the headers tell. The page of the headers holds none.
    pub fn may_be_code(&self, va: Va, width: PointerWidth) -> bool {
        const HEADER_BYTES: u64 = 0x1000;
        if self.width.is_some_and(|own| own != width) {
            return false;
        }
        if self.code.is_empty() {
            return va.offset_from(self.range.start).is_some_and(|offset| offset >= HEADER_BYTES);
        }
        // A call that never returns may be the last instruction of a section.
        self.code.iter().any(|code| code.contains(va) || code.end == va)
    }

    pub fn rva(&self, va: Va) -> Option<Rva> {
        u32::try_from(va.offset_from(self.range.start)?).ok().map(Rva)
    }

    pub fn va(&self, rva: Rva) -> Option<Va> {
        self.range.start.checked_add(u64::from(rva.0))
    }

    /// The entry that an address lies in; `None` where no function has one, as leaf functions have not.
    pub fn function_at(&self, code: &dyn ReadMemory, rva: Rva) -> Result<Option<FunctionEntry>, TableMissing> {
        let table = self.functions.ok_or(TableMissing)?;
        // The entries before `low` begin at or below the address, those from `high` on above it.
        let (mut low, mut high) = (0, table.count);
        while low < high {
            let middle = low.midpoint(high);
            if table.entry(code, middle)?.begin <= rva {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        let Some(index) = low.checked_sub(1) else { return Ok(None) };
        Ok(Some(table.entry(code, index)?).filter(|entry| rva < entry.end))
    }
}

impl FunctionTable {
    fn entry(&self, code: &dyn ReadMemory, index: u32) -> Result<FunctionEntry, TableMissing> {
        let offset = u64::from(index).saturating_mul(u64::from(RUNTIME_FUNCTION_BYTES));
        let va = self.start.checked_add(offset).ok_or(TableMissing)?;
        FunctionEntry::read(code, va).ok_or(TableMissing)
    }
}

impl FunctionEntry {
    pub fn read(code: &dyn ReadMemory, va: Va) -> Option<Self> {
        let bytes = memory::copy_at(code, va, u64::from(RUNTIME_FUNCTION_BYTES))?;
        let at = |offset| crate::base::bytes::u32_at(&bytes, offset).map(Rva);
        Some(Self { begin: at(0)?, end: at(4)?, unwind_info: at(8)? })
    }
}

/// An image without the directory has no function with a frame.
fn function_table(headers: &ImageHeaders) -> Option<FunctionTable> {
    if headers.machine != IMAGE_FILE_MACHINE_AMD64 {
        return None;
    }
    let directory = headers.exception_directory;
    let start = headers.base.checked_add(u64::from(directory.rva.0))?;
    Some(FunctionTable { start, count: directory.size_bytes / RUNTIME_FUNCTION_BYTES })
}
