//! Builds a PE image as it lies in memory: headers, sections, exports, debug directory, unwind data.
//!
//! File positions equal RVAs, so the same bytes are also a valid file. Layouts: Microsoft's public "PE Format" document and
//! "x64 exception handling". Code is only hinted at: a function has its prologue, the rest is zero.

mod export_table;
mod headers;
mod unwind_table;

use super::error::SampleError;
use super::le_bytes::LeBytes;
use super::minidump_file::rsds_record;
use crate::base::addr::{PointerWidth, Rva, Va};

pub const MACHINE_I386: u16 = 0x14c;
pub const MACHINE_AMD64: u16 = 0x8664;

/// IMAGE_SCN_ bits, joined as linkers join them.
pub mod section_kind {
    pub const CODE: u32 = 0x6000_0020;
    pub const READ_ONLY_DATA: u32 = 0x4000_0040;
    pub const DATA: u32 = 0xc000_0040;
    pub const RELOCATIONS: u32 = 0x4200_0040;
}

/// One section. It takes whole pages: `size_bytes` is rounded up where the next begins.
#[derive(Clone, Debug)]
pub struct Section {
    pub name: &'static str,
    pub rva: Rva,
    pub size_bytes: u32,
    pub characteristics: u32,
}

/// A name in the export directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    pub name: String,
    pub target: ExportTarget,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportTarget {
    At(Rva),
    /// `OTHERDLL.Function`.
    Forward(String),
}

/// A function with a frame, for the exception directory (x64 only).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnwindFunction {
    pub start: Rva,
    pub size_bytes: u32,
    /// What the prologue subtracts from RSP: a multiple of 8, and of 16 once the return address is added.
    pub frame_bytes: u32,
}

/// What the CodeView record in the debug directory says.
#[derive(Clone, Debug, Default)]
pub struct CodeView {
    pub guid: [u8; 16],
    pub age: u32,
    pub pdb_name: String,
}

impl CodeView {
    pub fn record(&self) -> Vec<u8> {
        rsds_record(self.guid, self.age, &self.pdb_name)
    }
}

/// Everything that the bytes of an image are made from.
#[derive(Clone, Debug)]
pub struct PeImage {
    pub file_name: String,
    pub width: PointerWidth,
    pub machine: u16,
    pub is_dll: bool,
    /// 2 window, 3 console.
    pub subsystem: u16,
    pub base: Va,
    pub size_bytes: u32,
    pub time_date_stamp: u32,
    pub checksum: u32,
    pub entry_point: Rva,
    /// In ascending order. The tables go to `.rdata` and `.pdata`; both may be missing when there is nothing for them.
    pub sections: Vec<Section>,
    pub exports: Vec<Export>,
    pub functions: Vec<UnwindFunction>,
    pub code_view: CodeView,
}

/// Bytes at an offset of the image; what no piece covers is zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePiece {
    pub rva: Rva,
    pub bytes: Vec<u8>,
}

/// Where a table of the image lies, for a data directory.
#[derive(Clone, Copy, Debug, Default)]
struct TablePlace {
    rva: u32,
    size_bytes: u32,
}

impl PeImage {
    /// The export of that name, where it is not forwarded.
    pub fn export_rva(&self, name: &str) -> Option<Rva> {
        self.exports.iter().find(|export| export.name == name).and_then(|export| match export.target {
            ExportTarget::At(rva) => Some(rva),
            ExportTarget::Forward(_) => None,
        })
    }

    /// The address of that export.
    pub fn export_va(&self, name: &str) -> Option<Va> {
        self.export_rva(name).and_then(|rva| self.base.checked_add(u64::from(rva.0)))
    }

    fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The parts of the image that are not zero, in the order to write them.
    pub fn pieces(&self) -> Result<Vec<ImagePiece>, SampleError> {
        let read_only = self.section(".rdata").map_or(Rva(0), |section| section.rva);
        let mut tables = LeBytes::default();

        let debug = headers::debug_directory(self, read_only, &mut tables);
        let export = export_table::append(self, read_only, &mut tables);
        let unwind_infos = unwind_table::append_infos(self, read_only, &mut tables);
        let exception_rva = self.section(".pdata").map_or(Rva(0), |section| section.rva);
        let exception = unwind_table::function_table(&unwind_infos);

        self.check_room(".rdata", tables.len())?;
        self.check_room(".pdata", exception.len())?;
        let exception_place = TablePlace {
            rva: if exception.is_empty() { 0 } else { exception_rva.0 },
            size_bytes: len_u32(exception.len()),
        };
        let head = headers::headers(self, export, exception_place, debug);
        let mut pieces = vec![
            ImagePiece { rva: Rva(0), bytes: head.into_vec() },
            ImagePiece { rva: read_only, bytes: tables.into_vec() },
            ImagePiece { rva: exception_rva, bytes: exception.into_vec() },
        ];
        pieces.extend(unwind_table::prologues(self));
        pieces.retain(|piece| !piece.bytes.is_empty());
        Ok(pieces)
    }

    /// The whole image.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SampleError> {
        let mut image = LeBytes::zeroed(self.size_bytes as usize);
        for piece in self.pieces()? {
            image.put(piece.rva.0 as usize, &piece.bytes);
        }
        Ok(image.into_vec())
    }

    fn check_room(&self, section_name: &str, needed: usize) -> Result<(), SampleError> {
        let available_bytes = self.section(section_name).map_or(0, |section| u64::from(section.size_bytes));
        let needed_bytes = needed as u64;
        if needed_bytes <= available_bytes {
            return Ok(());
        }
        Err(SampleError::DoesNotFit {
            what: format!("{section_name} of {}", self.file_name),
            needed_bytes,
            available_bytes,
        })
    }
}

fn len_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::bytes::{u16_at, u32_at};

    fn small_image(width: PointerWidth) -> PeImage {
        let section = |name, rva, characteristics| Section { name, rva: Rva(rva), size_bytes: 0x1000, characteristics };
        PeImage {
            file_name: "small.dll".to_owned(),
            width,
            machine: if width == PointerWidth::Bits64 { MACHINE_AMD64 } else { MACHINE_I386 },
            is_dll: true,
            subsystem: 3,
            base: Va(0x1000_0000),
            size_bytes: 0x4000,
            time_date_stamp: 1,
            checksum: 0,
            entry_point: Rva(0x1000),
            sections: vec![
                section(".text", 0x1000, section_kind::CODE),
                section(".rdata", 0x2000, section_kind::READ_ONLY_DATA),
                section(".pdata", 0x3000, section_kind::READ_ONLY_DATA),
            ],
            exports: vec![
                Export { name: "b".to_owned(), target: ExportTarget::At(Rva(0x1010)) },
                Export { name: "a".to_owned(), target: ExportTarget::Forward("OTHER.f".to_owned()) },
            ],
            functions: Vec::new(),
            code_view: CodeView { guid: [7; 16], age: 1, pdb_name: "small.pdb".to_owned() },
        }
    }

    #[test]
    fn a_forwarder_lies_inside_the_export_directory_and_names_are_sorted() {
        for (width, directories_at) in [(PointerWidth::Bits64, 0x70), (PointerWidth::Bits32, 0x60)] {
            let bytes = small_image(width).to_bytes().unwrap();
            let optional_at = u64::from(u32_at(&bytes, 0x3c).unwrap()) + 24;
            let export_at = u32_at(&bytes, optional_at + directories_at).unwrap();
            let export_size = u32_at(&bytes, optional_at + directories_at + 4).unwrap();
            let functions_at = u32_at(&bytes, u64::from(export_at) + 0x1c).unwrap();
            let forwarder = u32_at(&bytes, u64::from(functions_at)).unwrap();
            assert!((export_at..export_at + export_size).contains(&forwarder));
            assert_eq!(u32_at(&bytes, u64::from(functions_at) + 4), Some(0x1010));
            assert_eq!(u16_at(&bytes, 0), Some(0x5a4d));
        }
    }

    #[test]
    fn tables_that_do_not_fit_are_refused() {
        let mut image = small_image(PointerWidth::Bits64);
        image.exports[0].name = "x".repeat(0x1000);
        assert!(matches!(image.to_bytes(), Err(SampleError::DoesNotFit { .. })));
    }
}
