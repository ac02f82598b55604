//! The export directory: addresses, names in byte order, ordinals, forwarders.

use super::{ExportTarget, PeImage, TablePlace, len_u32};
use crate::base::addr::Rva;
use crate::sample::le_bytes::LeBytes;

const DIRECTORY_BYTES: usize = 40;

/// Appends IMAGE_EXPORT_DIRECTORY and what it points to. The place covers all of it: a function address that lies inside
/// is a forwarder's text.
pub(super) fn append(image: &PeImage, read_only: Rva, tables: &mut LeBytes) -> TablePlace {
    if image.exports.is_empty() {
        return TablePlace::default();
    }
    let start = tables.align(16).len();
    let rva_of = |at: usize| read_only.0 + len_u32(at);
    let mut exports: Vec<_> = image.exports.iter().collect();
    // Loaders search the names by halving, so they are sorted as bytes.
    exports.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));

    let count = exports.len();
    let functions_at = start + DIRECTORY_BYTES;
    let names_at = functions_at + count * 4;
    let ordinals_at = names_at + count * 4;
    tables.push_zeros(DIRECTORY_BYTES + count * 10);
    let file_name_rva = push_text(tables, &image.file_name, read_only);
    for (index, export) in exports.iter().enumerate() {
        let name_rva = push_text(tables, &export.name, read_only);
        let function_rva = match &export.target {
            ExportTarget::At(rva) => rva.0,
            ExportTarget::Forward(text) => push_text(tables, text, read_only),
        };
        tables.put_u32(functions_at + index * 4, function_rva).put_u32(names_at + index * 4, name_rva);
        tables.put_u16(ordinals_at + index * 2, u16::try_from(index).unwrap_or(u16::MAX));
    }
    tables.put_u32(start + 4, image.time_date_stamp).put_u32(start + 0xc, file_name_rva).put_u32(start + 0x10, 1);
    tables.put_u32(start + 0x14, len_u32(count)).put_u32(start + 0x18, len_u32(count));
    tables.put_u32(start + 0x1c, rva_of(functions_at)).put_u32(start + 0x20, rva_of(names_at));
    tables.put_u32(start + 0x24, rva_of(ordinals_at));
    TablePlace { rva: rva_of(start), size_bytes: len_u32(tables.len() - start) }
}

fn push_text(tables: &mut LeBytes, text: &str, read_only: Rva) -> u32 {
    let rva = read_only.0 + len_u32(tables.len());
    tables.push(text.as_bytes()).push(&[0]);
    rva
}
