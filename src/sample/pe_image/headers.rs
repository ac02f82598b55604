//! The headers of an image and its debug directory.

use super::{PeImage, TablePlace, len_u32, section_kind};
use crate::base::addr::{PointerWidth, Rva};
use crate::sample::le_bytes::LeBytes;

const PE_HEADER_AT: usize = 0xe0;
const PAGE_BYTES: u32 = 0x1000;
const DEBUG_TYPE_CODEVIEW: u32 = 2;
const DEBUG_ENTRY_BYTES: u32 = 28;

/// Appends IMAGE_DEBUG_DIRECTORY with one CodeView entry, and the record behind it.
pub(super) fn debug_directory(image: &PeImage, read_only: Rva, tables: &mut LeBytes) -> TablePlace {
    if read_only == Rva(0) || image.code_view.pdb_name.is_empty() {
        return TablePlace::default();
    }
    let at = tables.align(16).len();
    let rva = read_only.0 + len_u32(at);
    let record = image.code_view.record();
    let record_rva = rva + DEBUG_ENTRY_BYTES;
    tables.push_u32(0).push_u32(image.time_date_stamp).push_u32(0).push_u32(DEBUG_TYPE_CODEVIEW);
    // Address and file position are equal in this image.
    tables.push_u32(len_u32(record.len())).push_u32(record_rva).push_u32(record_rva).push(&record);
    TablePlace { rva, size_bytes: DEBUG_ENTRY_BYTES }
}

/// DOS header, PE signature, file header, optional header, section table: one page.
pub(super) fn headers(image: &PeImage, export: TablePlace, exception: TablePlace, debug: TablePlace) -> LeBytes {
    let is_64 = image.width == PointerWidth::Bits64;
    let optional_header_bytes: u16 = if is_64 { 0xf0 } else { 0xe0 };
    let mut head = LeBytes::zeroed(PE_HEADER_AT);
    head.put(0, b"MZ").put_u32(0x3c, PE_HEADER_AT as u32);

    // IMAGE_FILE_HEADER: executable, large addresses or 32-bit machine, DLL.
    let characteristics = 0x0002 | if is_64 { 0x0020 } else { 0x0100 } | if image.is_dll { 0x2000 } else { 0 };
    head.push(b"PE\0\0").push_u16(image.machine).push_u16(u16::try_from(image.sections.len()).unwrap_or(u16::MAX));
    head.push_u32(image.time_date_stamp).push_u32(0).push_u32(0);
    head.push_u16(optional_header_bytes).push_u16(characteristics);

    push_optional_header(image, &mut head, [export, exception, debug]);
    for section in &image.sections {
        let mut entry = LeBytes::zeroed(40);
        entry.put(0, section.name.as_bytes().get(..8).unwrap_or(section.name.as_bytes()));
        entry.put_u32(8, section.size_bytes).put_u32(0xc, section.rva.0);
        entry.put_u32(0x10, section.size_bytes.next_multiple_of(PAGE_BYTES)).put_u32(0x14, section.rva.0);
        entry.put_u32(0x24, section.characteristics);
        head.push(entry.as_slice());
    }
    head
}

fn push_optional_header(image: &PeImage, head: &mut LeBytes, [export, exception, debug]: [TablePlace; 3]) {
    let is_64 = image.width == PointerWidth::Bits64;
    let code = image.sections.iter().find(|section| section.characteristics == section_kind::CODE);
    let (code_rva, code_bytes) = code.map_or((0, 0), |section| (section.rva.0, section.size_bytes));
    head.push_u16(if is_64 { 0x20b } else { 0x10b });
    // Linker 9.0, then sizes of code and data.
    head.push(&[9, 0]).push_u32(code_bytes).push_u32(image.size_bytes - code_bytes - PAGE_BYTES).push_u32(0);
    head.push_u32(image.entry_point.0).push_u32(code_rva);
    if is_64 {
        head.push_va(image.base);
    } else {
        let base = u32::try_from(image.base.0).unwrap_or(u32::MAX);
        head.push_u32(code_rva + code_bytes).push_u32(base);
    }
    // Alignments; versions of the system, the image and the subsystem: 6.1, as linked for Windows 7.
    head.push_u32(PAGE_BYTES).push_u32(PAGE_BYTES);
    head.push_u16(6).push_u16(1).push_u16(6).push_u16(1).push_u16(6).push_u16(1).push_u32(0);
    head.push_u32(image.size_bytes).push_u32(PAGE_BYTES).push_u32(image.checksum);
    // Dynamic base, NX compatible, terminal server aware.
    head.push_u16(image.subsystem).push_u16(0x8140);
    // Stack and heap: reserve, commit.
    for value in [0x10_0000, 0x1000, 0x10_0000, 0x1000] {
        if is_64 {
            head.push_u64(value);
        } else {
            head.push_u32(u32::try_from(value).unwrap_or(u32::MAX));
        }
    }
    head.push_u32(0).push_u32(16);
    let mut directories = [TablePlace::default(); 16];
    directories[0] = export;
    directories[3] = exception;
    directories[6] = debug;
    for place in directories {
        head.push_u32(place.rva).push_u32(place.size_bytes);
    }
}
