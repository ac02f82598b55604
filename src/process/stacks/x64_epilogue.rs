//! Whether x64 code is in the epilogue of its function, where unwind codes no longer hold, and what of it is left to do.
//!
//! The crate pe-unwind-info reads the instructions; what ends an epilogue is decided here, because a `jmp` within the
//! function is none.

use pe_unwind_info::x86_64::{FUNCTION_EPILOG_LIMIT, FunctionEpilogInstruction, Register};

use crate::base::addr::Rva;
use crate::base::bytes;
use crate::base::memory::{self, ReadMemory};

use super::images::{FunctionEntry, StackImage};

/// Twelve instructions of at most eight bytes, and the last.
const LONGEST_EPILOGUE_BYTES: u64 = 12 * 8 + 8;

/// Where the code is, and in which function.
pub(super) struct Place<'a> {
    pub image: &'a StackImage,
    pub code: &'a dyn ReadMemory,
    pub ip: Rva,
    pub entry: FunctionEntry,
}

/// The instructions up to the end of the epilogue that `ip` is in; `None` when it is in none, or the code is not in the dump.
pub(super) fn epilogue_at(
    place: &Place<'_>,
    frame_register: Option<Register>,
) -> Option<Vec<FunctionEpilogInstruction>> {
    let left_bytes = u64::from(place.entry.end.0.checked_sub(place.ip.0)?);
    let code = place.code.bytes_at(place.image.va(place.ip)?, left_bytes.min(LONGEST_EPILOGUE_BYTES));
    let mut instructions = Vec::new();
    let mut rest = code;
    loop {
        if is_other_return(rest) {
            return Some(instructions);
        }
        let is_first = instructions.is_empty();
        match FunctionEpilogInstruction::parse(rest, frame_register, is_first) {
            Ok(Some((instruction, next))) if instructions.len() < FUNCTION_EPILOG_LIMIT => {
                instructions.push(instruction);
                rest = next;
            }
            Ok(None) => return leaves_function(place, code, rest, is_first).then_some(instructions),
            _ => return None,
        }
    }
}

/// Ends that the crate does not know: `rep ret`, which compilers wrote for old AMD processors, and `rex.w jmp reg`, by which
/// they mark tail calls.
const fn is_other_return(code: &[u8]) -> bool {
    matches!(code, [0xf3, 0xc3, ..] | [0x48, 0xff, 0xe0..=0xe7, ..])
}

/// Whether the `ret` or `jmp` that `rest` begins with ends the function. A jump to its own code does not, nor one to a part
/// of a function: the other half of a function that was split.
fn leaves_function(place: &Place<'_>, code: &[u8], rest: &[u8], is_first: bool) -> bool {
    let (length, distance) = match rest {
        [0xeb, distance, ..] => (2, i64::from(distance.cast_signed())),
        [0xe9, ..] => match bytes::i32_at(rest, 1) {
            Some(distance) => (5, i64::from(distance)),
            None => return false,
        },
        // An indirect jump alone may be one into a table of a switch.
        [0xff, modrm, ..] => return !is_first || *modrm == 0x25,
        _ => return true,
    };
    let done_bytes = code.len().saturating_sub(rest.len()) as u64;
    let target = i64::from(place.ip.0)
        .checked_add_unsigned(done_bytes)
        .and_then(|at| at.checked_add(length))
        .and_then(|at| at.checked_add(distance));
    let Some(target) = target.and_then(|target| u32::try_from(target).ok()).map(Rva) else { return false };
    let entry = place.entry;
    if target == entry.begin {
        return true;
    }
    if entry.begin < target && target < entry.end {
        return false;
    }
    match place.image.function_at(place.code, target) {
        // A leaf function, or a jump through the import table.
        Ok(None) => true,
        Ok(Some(function)) => function.begin == target && !is_part(place, function),
        Err(_) => !is_first,
    }
}

/// Whether the unwind data of an entry goes on in that of another: it is a part of a function, not its beginning.
fn is_part(place: &Place<'_>, entry: FunctionEntry) -> bool {
    const UNW_FLAG_CHAININFO: u8 = 4;
    let head = place.image.va(entry.unwind_info).and_then(|va| memory::u8_at(place.code, va));
    head.is_some_and(|head| head >> 3 & UNW_FLAG_CHAININFO != 0)
}
