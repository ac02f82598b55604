//! Whether an address is one that a call returns to. Encodings: Intel's manual, CALL, opcodes E8 and FF /2.

use crate::base::addr::{PointerWidth, Va};
use crate::base::memory::{self, ReadMemory};

use super::images::StackImages;

/// `call [reg + reg * scale + disp32]`; a REX prefix before it does not matter.
const LONGEST_CALL_BYTES: u64 = 7;

/// Whether `va` lies in the code of an image and a call instruction ends there. Where the code is not in the dump, lying in
/// an image's code must do.
pub fn is_return_address(images: &StackImages, code: &dyn ReadMemory, va: Va, width: PointerWidth) -> bool {
    let Some(image) = images.at(va).or_else(|| images.at(Va(va.0.saturating_sub(1)))) else { return false };
    if !image.may_be_code(va, width) {
        return false;
    }
    let before =
        va.0.checked_sub(LONGEST_CALL_BYTES).and_then(|start| memory::copy_at(code, Va(start), LONGEST_CALL_BYTES));
    before.is_none_or(|bytes| ends_with_call(&bytes))
}

/// Whether the last bytes can be a call: some false ones pass, no true one fails.
fn ends_with_call(bytes: &[u8]) -> bool {
    let tail = |length: usize| bytes.len().checked_sub(length).and_then(|start| bytes.get(start..));
    if tail(5).and_then(<[u8]>::first) == Some(&0xe8) {
        return true;
    }
    (2..=7).filter_map(tail).any(is_indirect_call)
}

/// FF /2 with its ModRM, SIB and displacement, and nothing behind.
fn is_indirect_call(bytes: &[u8]) -> bool {
    let [0xff, modrm, rest @ ..] = bytes else { return false };
    if modrm & 0x38 != 0x10 {
        return false;
    }
    let (form, operand) = (modrm >> 6, modrm & 7);
    let sib_bytes = usize::from(form != 3 && operand == 4);
    let displacement_bytes = match form {
        0 if operand == 5 => 4,
        0 if operand == 4 && rest.first().is_some_and(|sib| sib & 7 == 5) => 4,
        1 => 1,
        2 => 4,
        _ => 0,
    };
    rest.len() == sib_bytes.saturating_add(displacement_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_near_call_is_known() {
        for call in [
            &[0xe8, 1, 2, 3, 4][..],
            &[0xff, 0xd0],
            &[0x41, 0xff, 0xd3],
            &[0xff, 0x15, 1, 2, 3, 4],
            &[0x64, 0xff, 0x15, 0xc0, 0, 0, 0],
            &[0xff, 0x10],
            &[0xff, 0x50, 0x18],
            &[0xff, 0x90, 0, 1, 0, 0],
            &[0xff, 0x14, 0xc8],
            &[0xff, 0x54, 0x24, 0x20],
            &[0xff, 0x94, 0xc8, 1, 2, 3, 4],
            &[0xff, 0x14, 0x85, 1, 2, 3, 4],
        ] {
            let mut bytes = vec![0x90; 7];
            bytes.extend_from_slice(call);
            assert!(ends_with_call(&bytes), "{call:x?}");
        }
    }

    #[test]
    fn other_instructions_are_no_calls() {
        for other in
            [&[0x48, 0x83, 0xec, 0x28][..], &[0xff, 0x25, 1, 2, 3, 4], &[0xff, 0xe0], &[0xc3], &[0xff, 0x15, 1]]
        {
            let mut bytes = vec![0x90; 7];
            bytes.extend_from_slice(other);
            assert!(!ends_with_call(&bytes), "{other:x?}");
        }
    }
}
