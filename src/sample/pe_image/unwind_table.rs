//! The exception directory of an x64 image: RUNTIME_FUNCTION and UNWIND_INFO, and the prologues they describe.

use super::{ImagePiece, PeImage, UnwindFunction, len_u32};
use crate::base::addr::Rva;
use crate::sample::le_bytes::LeBytes;

/// The largest frame that `sub rsp, imm8` and UWOP_ALLOC_SMALL can make.
const LARGEST_IMM8_FRAME_BYTES: u32 = 0x78;

/// A function and where its UNWIND_INFO lies.
pub(super) struct Described {
    function: UnwindFunction,
    info_rva: u32,
}

/// Appends one UNWIND_INFO a function: version 1, one prologue operation.
pub(super) fn append_infos(image: &PeImage, read_only: Rva, tables: &mut LeBytes) -> Vec<Described> {
    let mut functions = image.functions.clone();
    functions.sort_by_key(|function| function.start);
    let mut described = Vec::with_capacity(functions.len());
    for function in functions {
        let info_rva = read_only.0 + len_u32(tables.align(4).len());
        let frame = function.frame_bytes;
        if frame <= LARGEST_IMM8_FRAME_BYTES {
            // UWOP_ALLOC_SMALL (2): size = operation info * 8 + 8. The prologue is the 4-byte `sub rsp, imm8`.
            let code = 2 | u8::try_from((frame / 8).saturating_sub(1)).unwrap_or(0xf) << 4;
            tables.push(&[1, 4, 1, 0, 4, code, 0, 0]);
        } else {
            // UWOP_ALLOC_LARGE (1), operation info 0: the next slot holds size / 8. The prologue takes 7 bytes.
            tables.push(&[1, 7, 2, 0, 7, 1]).push_u16(u16::try_from(frame / 8).unwrap_or(u16::MAX));
        }
        described.push(Described { function, info_rva });
    }
    described
}

/// The contents of `.pdata`, ascending.
pub(super) fn function_table(described: &[Described]) -> LeBytes {
    let mut table = LeBytes::default();
    for Described { function, info_rva } in described {
        let end = function.start.0.saturating_add(function.size_bytes);
        table.push_u32(function.start.0).push_u32(end).push_u32(*info_rva);
    }
    table
}

/// `sub rsp, frame` at the start of each function.
pub(super) fn prologues(image: &PeImage) -> impl Iterator<Item = ImagePiece> {
    image.functions.iter().map(|function| {
        let mut code = LeBytes::default();
        match u8::try_from(function.frame_bytes) {
            Ok(frame) if u32::from(frame) <= LARGEST_IMM8_FRAME_BYTES => code.push(&[0x48, 0x83, 0xec, frame]),
            _ => code.push(&[0x48, 0x81, 0xec]).push_u32(function.frame_bytes),
        };
        ImagePiece { rva: function.start, bytes: code.into_vec() }
    })
}
