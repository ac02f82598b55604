//! A frame of x86 code: by what is left of the function's prologue or epilogue, by the PDB's frame data, by the chain of
//! saved ebp, else by scan. 32-bit images carry no unwind data.

use crate::base::addr::{PointerWidth, Va};
use crate::base::memory;
use crate::input::dump::contexts::{Registers, X86Registers};

use super::frame_data::caller_registers;
use super::x86_instructions::leave_function;
use super::{Caller, Cursor, StackEnd, Step, Trust, Walk};

const WIDTH: PointerWidth = PointerWidth::Bits32;

impl Step for X86Registers {
    fn registers(self) -> Registers {
        Registers::X86(self)
    }

    fn caller(walk: &Walk<'_>, cursor: &Cursor<Self>) -> Result<Caller<Self>, StackEnd> {
        // Frame data speaks of the whole function, also where ebp is not its own yet or any more.
        let found = by_instructions(walk, cursor)
            .or_else(|| by_frame_data(walk, cursor))
            .or_else(|| by_frame_pointer(walk, cursor))
            .or_else(|| by_scan(walk, cursor));
        found.ok_or_else(|| {
            let (ip, sp) = (va(cursor.registers.eip), va(cursor.registers.esp));
            if memory::u32_at(walk.unwinder.memory, sp).is_none() {
                StackEnd::MemoryMissing { at: sp }
            } else if walk.unwinder.images.at(ip).is_none() {
                StackEnd::OutsideModules { ip }
            } else {
                StackEnd::NoCallerFound { sp }
            }
        })
    }
}

fn va(pointer: u32) -> Va {
    Va(u64::from(pointer))
}

const fn caller_of(registers: X86Registers, trust: Trust, return_slot: Va) -> Caller<X86Registers> {
    Caller { cursor: Cursor { registers, trust, is_return_address: true, callee_parameter_bytes: 0 }, return_slot }
}

/// Whether an address may be where a function returns to; 0 is where a thread's first one does.
fn is_plausible(walk: &Walk<'_>, return_address: u32) -> bool {
    return_address == 0 || walk.is_return_address(va(return_address), WIDTH)
}

fn by_frame_data(walk: &Walk<'_>, cursor: &Cursor<X86Registers>) -> Option<Caller<X86Registers>> {
    let ip = va(cursor.registers.eip);
    // A return address belongs to the call before it.
    let at = if cursor.is_return_address { Va(ip.0.checked_sub(1)?) } else { ip };
    let data = walk.unwinder.frame_data?.frame_data(at)?;
    let (registers, return_slot) = caller_registers(walk, &data, &cursor.registers, cursor.callee_parameter_bytes)?;
    if !is_plausible(walk, registers.eip) || registers.esp <= cursor.registers.esp {
        return None;
    }
    let mut caller = caller_of(registers, Trust::Unwind, return_slot);
    // The caller's arguments to this function are still on the stack, below what the caller itself has pushed.
    caller.cursor.callee_parameter_bytes = data.parameter_bytes;
    Some(caller)
}

/// The innermost function may not have a frame yet or any more: then ebp is its caller's, and following it would lose that
/// caller. So it is in all system calls.
fn by_instructions(walk: &Walk<'_>, cursor: &Cursor<X86Registers>) -> Option<Caller<X86Registers>> {
    if cursor.is_return_address || walk.unwinder.images.at(va(cursor.registers.eip)).is_none() {
        return None;
    }
    let (registers, return_slot) = leave_function(walk, &cursor.registers)?;
    is_plausible(walk, registers.eip).then(|| caller_of(registers, Trust::Unwind, return_slot))
}

/// ebp points up the stack at the ebp of the caller, with the return address above it.
fn by_frame_pointer(walk: &Walk<'_>, cursor: &Cursor<X86Registers>) -> Option<Caller<X86Registers>> {
    let (esp, ebp) = (va(cursor.registers.esp), va(cursor.registers.ebp));
    if !walk.is_in_stack(ebp, esp) || !ebp.0.is_multiple_of(WIDTH.bytes()) {
        return None;
    }
    let mut registers = cursor.registers;
    let return_slot = cursor.registers.ebp.checked_add(4)?;
    registers.ebp = memory::u32_at(walk.unwinder.memory, ebp)?;
    registers.eip = memory::u32_at(walk.unwinder.memory, va(return_slot))?;
    registers.esp = return_slot.checked_add(4)?;
    is_plausible(walk, registers.eip).then(|| caller_of(registers, Trust::FramePointer, va(return_slot)))
}

fn by_scan(walk: &Walk<'_>, cursor: &Cursor<X86Registers>) -> Option<Caller<X86Registers>> {
    let esp = va(cursor.registers.esp);
    let (return_address, slot) = walk.scan(esp, WIDTH)?;
    let mut registers = cursor.registers;
    registers.eip = u32::try_from(return_address.0).ok()?;
    registers.esp = u32::try_from(slot.0).ok()?.checked_add(4)?;
    // Most functions push ebp right after they are called: the chain may go on from there.
    let below = Va(slot.0.checked_sub(4)?);
    if let Some(saved) = memory::u32_at(walk.unwinder.memory, below).filter(|_| below >= esp)
        && va(saved) > slot
        && walk.is_in_stack(va(saved), slot)
    {
        registers.ebp = saved;
    }
    Some(caller_of(registers, Trust::Scan, slot))
}
