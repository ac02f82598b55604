//! Puts an image together from what differs between the modules of the case.

use super::case_functions::Framed;
use crate::base::addr::{PointerWidth, Rva, Va};
use crate::sample::address_space::Run;
use crate::sample::pe_image::{
    CodeView, Export, ExportTarget, MACHINE_AMD64, MACHINE_I386, PeImage, Section, UnwindFunction, section_kind,
};

pub fn at(name: &str, rva: u32) -> Export {
    Export { name: name.to_owned(), target: ExportTarget::At(Rva(rva)) }
}

pub fn spread(names: &[&str], first_rva: u32, stride_bytes: u32) -> Vec<Export> {
    names.iter().zip((first_rva..).step_by(stride_bytes as usize)).map(|(name, rva)| at(name, rva)).collect()
}

pub fn add_framed(framed: &[Framed], exports: &mut Vec<Export>, functions: &mut Vec<UnwindFunction>) {
    for &(name, rva, size_bytes, frame_bytes) in framed {
        exports.push(at(name, rva));
        functions.push(UnwindFunction { start: Rva(rva), size_bytes, frame_bytes });
    }
}

pub fn section(name: &'static str, rva: u32, size_bytes: u32, characteristics: u32) -> Section {
    Section { name, rva: Rva(rva), size_bytes, characteristics }
}

/// The sections of an image, one behind the other: `sizes` of .text, .rdata, .data, .pdata, .rsrc, .reloc; 0 for none.
pub fn sections(sizes: [u32; 6]) -> Vec<Section> {
    const KINDS: [(&str, u32); 6] = [
        (".text", section_kind::CODE),
        (".rdata", section_kind::READ_ONLY_DATA),
        (".data", section_kind::DATA),
        (".pdata", section_kind::READ_ONLY_DATA),
        (".rsrc", section_kind::READ_ONLY_DATA),
        (".reloc", section_kind::RELOCATIONS),
    ];
    let mut rva = 0x1000;
    let mut sections = Vec::with_capacity(KINDS.len());
    for ((name, characteristics), size_bytes) in KINDS.into_iter().zip(sizes) {
        if size_bytes > 0 {
            sections.push(section(name, rva, size_bytes, characteristics));
        }
        rva += size_bytes;
    }
    sections
}

pub fn data_runs(pages: &[(u64, u32)]) -> Vec<Run> {
    pages.iter().map(|(page_count, protect)| Run::committed(page_count * 0x1000, *protect)).collect()
}

/// What differs between the images and is not in their sections.
pub struct Identity {
    pub file_name: &'static str,
    pub base: Va,
    pub time_date_stamp: u32,
    pub pdb_name: &'static str,
    /// Repeated, it is the GUID of the PDB.
    pub pdb_mark: u8,
    pub is_dll: bool,
    pub entry_point: u32,
}

/// A 64-bit image.
pub fn image(identity: &Identity, sizes: [u32; 6], exports: Vec<Export>, functions: Vec<UnwindFunction>) -> PeImage {
    image_of(PointerWidth::Bits64, identity, sizes, exports, functions)
}

/// An image as wide as `width`. The functions of a 32-bit one have no unwind data, so there should be none.
pub fn image_of(
    width: PointerWidth,
    identity: &Identity,
    sizes: [u32; 6],
    exports: Vec<Export>,
    functions: Vec<UnwindFunction>,
) -> PeImage {
    PeImage {
        file_name: identity.file_name.to_owned(),
        width,
        machine: if width == PointerWidth::Bits64 { MACHINE_AMD64 } else { MACHINE_I386 },
        is_dll: identity.is_dll,
        subsystem: 3,
        base: identity.base,
        size_bytes: 0x1000 + sizes.iter().sum::<u32>(),
        time_date_stamp: identity.time_date_stamp,
        checksum: 0,
        entry_point: Rva(identity.entry_point),
        sections: sections(sizes),
        exports,
        functions,
        code_view: CodeView {
            guid: [identity.pdb_mark; 16],
            age: if identity.is_dll { 2 } else { 1 },
            pdb_name: identity.pdb_name.to_owned(),
        },
    }
}
