//! A frame of ARM64 code: by the chain of x29, else by scan. The packed and full unwind data of ARM64 images is not read:
//! no crate does (pe-unwind-info 0.6 has no ARM64, framehop 0.16 refuses such images).

use crate::base::addr::{PointerWidth, Va};
use crate::base::memory;
use crate::input::dump::contexts::{Arm64Registers, Registers};

use super::{Caller, Cursor, StackEnd, Step, Trust, Walk};

const WIDTH: PointerWidth = PointerWidth::Bits64;
/// Pointer authentication may sign the bits above those of user addresses.
const ADDRESS_BITS: u64 = (1 << 47) - 1;
const RET: u32 = 0xd65f_03c0;

impl Step for Arm64Registers {
    fn registers(self) -> Registers {
        Registers::Arm64(self)
    }

    fn caller(walk: &Walk<'_>, cursor: &Cursor<Self>) -> Result<Caller<Self>, StackEnd> {
        let found =
            at_return(walk, cursor).or_else(|| by_frame_pointer(walk, cursor)).or_else(|| by_scan(walk, cursor));
        found.ok_or_else(|| {
            let (ip, sp) = (Va(cursor.registers.pc), Va(cursor.registers.sp));
            if memory::u64_at(walk.unwinder.memory, sp).is_none() {
                StackEnd::MemoryMissing { at: sp }
            } else if walk.unwinder.images.at(ip).is_none() {
                StackEnd::OutsideModules { ip }
            } else {
                StackEnd::NoCallerFound { sp }
            }
        })
    }
}

const fn caller_of(registers: Arm64Registers, trust: Trust, return_slot: Va) -> Caller<Arm64Registers> {
    Caller { cursor: Cursor { registers, trust, is_return_address: true, callee_parameter_bytes: 0 }, return_slot }
}

/// Instructions have no marks of calls here as on x86; lying in an image's code must do.
fn is_code(walk: &Walk<'_>, va: Va) -> bool {
    va.0.is_multiple_of(4) && walk.unwinder.images.at(va).is_some_and(|image| image.may_be_code(va, WIDTH))
}

/// At `ret` the frame is gone and x30 holds the return address: so it is in all system calls. The stack pointer is then the
/// caller's already; it grows with the next frame.
fn at_return(walk: &Walk<'_>, cursor: &Cursor<Arm64Registers>) -> Option<Caller<Arm64Registers>> {
    let mut registers = cursor.registers;
    let is_at_return = !cursor.is_return_address && memory::u32_at(walk.unwinder.code, Va(registers.pc)) == Some(RET);
    registers.pc = registers.lr & ADDRESS_BITS;
    (is_at_return && is_code(walk, Va(registers.pc))).then(|| caller_of(registers, Trust::Unwind, Va(registers.sp)))
}

fn by_frame_pointer(walk: &Walk<'_>, cursor: &Cursor<Arm64Registers>) -> Option<Caller<Arm64Registers>> {
    let (sp, fp) = (Va(cursor.registers.sp), Va(cursor.registers.fp));
    if !walk.is_in_stack(fp, sp) || !fp.0.is_multiple_of(WIDTH.bytes()) {
        return None;
    }
    let slot = fp.checked_add(8)?;
    let (saved, return_address) =
        (memory::u64_at(walk.unwinder.memory, fp)?, memory::u64_at(walk.unwinder.memory, slot)? & ADDRESS_BITS);
    if return_address != 0 && !is_code(walk, Va(return_address)) {
        return None;
    }
    let registers = Arm64Registers { pc: return_address, sp: slot.checked_add(8)?.0, fp: saved, lr: return_address };
    Some(caller_of(registers, Trust::FramePointer, slot))
}

fn by_scan(walk: &Walk<'_>, cursor: &Cursor<Arm64Registers>) -> Option<Caller<Arm64Registers>> {
    let sp = Va(cursor.registers.sp);
    let start = sp.0.checked_add(7)? & !7;
    for index in 0..walk.scanned_slots(WIDTH) {
        let slot = Va(start.checked_add(index.checked_mul(WIDTH.bytes())?)?);
        if !walk.is_in_stack(slot, sp) {
            return None;
        }
        let value = Va(memory::u64_at(walk.unwinder.memory, slot)? & ADDRESS_BITS);
        if is_code(walk, value) {
            let registers = Arm64Registers { pc: value.0, sp: slot.checked_add(8)?.0, lr: value.0, ..cursor.registers };
            return Some(caller_of(registers, Trust::Scan, slot));
        }
    }
    None
}
