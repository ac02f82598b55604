//! A frame of x64 code: by the unwind data of its image, else by frame pointer, else by scan.
//!
//! The crate pe-unwind-info reads and applies the unwind codes. Its own walk over a function's data is not used: it follows
//! a chain of records without end, looks for the next record of a chain behind an odd number of codes two bytes too
//! early (version 0.6.1), and takes every `jmp` for the end of an epilogue.
//!
//! Format: Microsoft's documentation, "x64 exception handling".

use std::ops::ControlFlow;

use pe_unwind_info::x86_64::{
    FunctionEpilogInstruction, Register, UnwindInfo, UnwindInfoFlags, UnwindOperation, UnwindState, XmmRegister,
};

use crate::base::addr::{PointerWidth, Rva, Va};
use crate::base::memory::{self, ReadMemory};
use crate::input::dump::contexts::{Registers, X64Registers};

use super::images::{FunctionEntry, StackImage, TableMissing};
use super::x64_epilogue::{Place, epilogue_at};
use super::{Caller, Cursor, StackEnd, Step, Trust, Walk};

const WIDTH: PointerWidth = PointerWidth::Bits64;
/// A function split into parts has a record for each; compilers chain each part to the first.
const MAX_RECORDS: usize = 32;
/// Head, 255 codes and the padding, and a chained RUNTIME_FUNCTION.
const LONGEST_UNWIND_INFO_BYTES: u64 = 4 + 256 * 2 + 12;
/// Frames move a register by at most 4 GB; registers this far from both ends cannot overflow by that.
const SANE_POINTERS: std::ops::Range<u64> = 0x1000..u64::MAX - (1 << 34);

/// Why unwind data gives no caller.
enum Failure {
    /// The function has no entry: it has no frame, and calls nothing.
    Leaf,
    /// The data is not in the dump.
    Missing,
    Damaged,
    /// The stack is not in the dump at an address.
    Stack(Va),
}

impl From<TableMissing> for Failure {
    fn from(_: TableMissing) -> Self {
        Self::Missing
    }
}

impl Step for X64Registers {
    fn registers(self) -> Registers {
        Registers::X64(self)
    }

    fn caller(walk: &Walk<'_>, cursor: &Cursor<Self>) -> Result<Caller<Self>, StackEnd> {
        let ip = Va(cursor.registers.rip);
        let image = walk.unwinder.images.at(ip).or_else(|| {
            // The return address of a call at the very end of an image.
            let call = Va(ip.0.checked_sub(1)?);
            walk.unwinder.images.at(call).filter(|_| cursor.is_return_address)
        });
        let end = match image {
            None => StackEnd::OutsideModules { ip },
            Some(image) => match by_unwind_data(walk, image, cursor) {
                Ok(caller) => return Ok(caller),
                Err(Failure::Leaf) if !cursor.is_return_address => {
                    let mut registers = cursor.registers;
                    let return_slot = pop_return_address(walk, &mut registers)?;
                    return Ok(caller_of(registers, Trust::Unwind, true, return_slot));
                }
                Err(Failure::Stack(at)) => return Err(StackEnd::MemoryMissing { at }),
                Err(Failure::Leaf) => StackEnd::NotACaller { ip },
                Err(Failure::Missing) => StackEnd::NoUnwindData { ip },
                Err(Failure::Damaged) => StackEnd::DamagedUnwindData { ip },
            },
        };
        by_frame_pointer(walk, cursor).or_else(|| by_scan(walk, cursor)).ok_or(end)
    }
}

const fn caller_of(
    registers: X64Registers,
    trust: Trust,
    is_return_address: bool,
    return_slot: Va,
) -> Caller<X64Registers> {
    Caller { cursor: Cursor { registers, trust, is_return_address, callee_parameter_bytes: 0 }, return_slot }
}

/// Returns from a function whose frame is gone, and tells where the return address was.
fn pop_return_address(walk: &Walk<'_>, registers: &mut X64Registers) -> Result<Va, StackEnd> {
    let slot = Va(registers.rsp());
    registers.rip = walk.pointer_at(slot, WIDTH)?.0;
    registers.set_rsp(slot.checked_add(WIDTH.bytes()).ok_or(StackEnd::NoProgress { sp: slot })?.0);
    Ok(slot)
}

fn by_unwind_data(
    walk: &Walk<'_>,
    image: &StackImage,
    cursor: &Cursor<X64Registers>,
) -> Result<Caller<X64Registers>, Failure> {
    let code = walk.unwinder.code;
    let ip = image.rva(Va(cursor.registers.rip)).ok_or(Failure::Damaged)?;
    let entry = function_of(image, code, ip, cursor.is_return_address)?;
    let mut state = State { memory: walk.unwinder.memory, registers: cursor.registers, missing: None };
    let mut record = entry;
    let (mut is_first, mut records_left) = (true, MAX_RECORDS);
    loop {
        records_left = records_left.checked_sub(1).ok_or(Failure::Damaged)?;
        // An entry may stand for another one: RUNTIME_FUNCTION_INDIRECT.
        if record.unwind_info.0 & 1 == 1 {
            let va = image.va(Rva(record.unwind_info.0 & !1)).ok_or(Failure::Damaged)?;
            record = FunctionEntry::read(code, va).ok_or(Failure::Missing)?;
            continue;
        }
        let va = image.va(record.unwind_info).ok_or(Failure::Damaged)?;
        let bytes = code.bytes_at(va, LONGEST_UNWIND_INFO_BYTES);
        if bytes.is_empty() {
            return Err(Failure::Missing);
        }
        let info = UnwindInfo::parse(bytes).ok_or(Failure::Damaged)?;
        // In a part of a chained function the other parts' codes have all been carried out.
        let prologue_offset = if is_first { ip.0.saturating_sub(record.begin.0) } else { u32::MAX };
        if is_first && prologue_offset >= u32::from(info.prolog_size) {
            let place = Place { image, code, ip, entry: record };
            if let Some(instructions) = epilogue_at(&place, info.frame_register()) {
                state.leave(&instructions, info.frame_register())?;
                break;
            }
        }
        if let ControlFlow::Break(rip) = state.undo(&info, prologue_offset)? {
            // The frame of an exception or of an interrupt: what it interrupted is no call.
            state.registers.rip = rip;
            let slot = Va(state.registers.rsp());
            return Ok(caller_of(state.registers, Trust::Unwind, false, slot));
        }
        if !info.flags().contains(UnwindInfoFlags::CHAININFO) {
            break;
        }
        // The codes are padded to an even number.
        let codes_bytes = u64::from(info.unwind_codes_len).next_multiple_of(2).saturating_mul(2);
        let next = va.checked_add(codes_bytes.saturating_add(4)).ok_or(Failure::Damaged)?;
        record = FunctionEntry::read(code, next).ok_or(Failure::Missing)?;
        is_first = false;
    }
    let mut registers = state.registers;
    let at = Va(registers.rsp());
    let slot = pop_return_address(walk, &mut registers).map_err(|_end| Failure::Stack(at))?;
    Ok(caller_of(registers, Trust::Unwind, true, slot))
}

/// The entry of the function that executes at `ip`. A return address belongs to the call before it: behind a call that
/// never returns another function may begin.
fn function_of(
    image: &StackImage,
    code: &dyn ReadMemory,
    ip: Rva,
    is_return_address: bool,
) -> Result<FunctionEntry, Failure> {
    if is_return_address && let Some(entry) = image.function_at(code, Rva(ip.0.saturating_sub(1)))? {
        return Ok(entry);
    }
    image.function_at(code, ip)?.ok_or(Failure::Leaf)
}

/// Registers on the way out of one frame.
struct State<'a> {
    memory: &'a dyn ReadMemory,
    registers: X64Registers,
    /// Where the stack could not be read.
    missing: Option<Va>,
}

impl UnwindState for State<'_> {
    fn read_register(&mut self, register: Register) -> u64 {
        self.registers.general.get(register as usize).copied().unwrap_or_default()
    }

    fn read_stack(&mut self, address: u64) -> Option<u64> {
        let value = memory::u64_at(self.memory, Va(address));
        if value.is_none() {
            self.missing = Some(Va(address));
        }
        value
    }

    fn write_register(&mut self, register: Register, value: u64) {
        self.registers.set(register as usize, value);
    }

    fn write_xmm_register(&mut self, _register: XmmRegister, _value: u128) {}
}

impl State<'_> {
    /// Undoes what the prologue has done up to `prologue_offset`. Breaks with the interrupted address at a machine frame.
    fn undo(&mut self, info: &UnwindInfo<'_>, prologue_offset: u32) -> Result<ControlFlow<u64>, Failure> {
        let mut operations = info.unwind_operations();
        loop {
            let is_at_end = operations.unwind_code().is_none();
            let Some((offset, operation)) = operations.next() else {
                // Codes are left that nobody knows, or of which a part is cut off.
                return if is_at_end { Ok(ControlFlow::Continue(())) } else { Err(Failure::Damaged) };
            };
            let pointer = match operation {
                // No stack is found by these, and where registers were saved matters only when they are read.
                UnwindOperation::EpilogInformation(_) | UnwindOperation::ReadXMM(..) => continue,
                UnwindOperation::RestoreSPFromFP | UnwindOperation::ReadNonVolatile(..) => {
                    info.frame_register().unwrap_or(Register::RSP)
                }
                _ => Register::RSP,
            };
            if u32::from(offset) > prologue_offset {
                continue;
            }
            self.check(pointer)?;
            match info.resolve_operation(self, &operation) {
                Some(ControlFlow::Continue(())) => {}
                Some(broken) => return Ok(broken),
                None => return Err(self.missing.map_or(Failure::Damaged, Failure::Stack)),
            }
        }
    }

    /// Carries out the rest of an epilogue up to its `ret`.
    fn leave(
        &mut self,
        instructions: &[FunctionEpilogInstruction],
        frame_register: Option<Register>,
    ) -> Result<(), Failure> {
        for instruction in instructions {
            let (from, bytes) = match instruction {
                FunctionEpilogInstruction::AddSP(bytes) => (Register::RSP, *bytes),
                FunctionEpilogInstruction::AddSPFromFP(bytes) => (frame_register.ok_or(Failure::Damaged)?, *bytes),
                FunctionEpilogInstruction::Pop(register) => {
                    let rsp = self.read_register(Register::RSP);
                    let value = self.read_stack(rsp).ok_or(Failure::Stack(Va(rsp)))?;
                    self.write_register(*register, value);
                    (Register::RSP, 8)
                }
            };
            self.check(from)?;
            let rsp = self.read_register(from).checked_add(u64::from(bytes)).ok_or(Failure::Damaged)?;
            self.write_register(Register::RSP, rsp);
        }
        Ok(())
    }

    /// The arithmetic on a register must not overflow, whatever the codes and the stack say.
    fn check(&mut self, register: Register) -> Result<(), Failure> {
        if SANE_POINTERS.contains(&self.read_register(register)) { Ok(()) } else { Err(Failure::Damaged) }
    }
}

/// rbp as a frame pointer, which code without unwind data may have: it must point up the stack at a saved one, with a return
/// address above it.
fn by_frame_pointer(walk: &Walk<'_>, cursor: &Cursor<X64Registers>) -> Option<Caller<X64Registers>> {
    let (sp, rbp) = (Va(cursor.registers.rsp()), Va(cursor.registers.rbp()));
    if !walk.is_in_stack(rbp, sp) || !rbp.0.is_multiple_of(WIDTH.bytes()) {
        return None;
    }
    let saved = memory::u64_at(walk.unwinder.memory, rbp)?;
    let slot = rbp.checked_add(WIDTH.bytes())?;
    let return_address = Va(memory::u64_at(walk.unwinder.memory, slot)?);
    if !walk.is_return_address(return_address, WIDTH) || !(saved == 0 || walk.is_in_stack(Va(saved), slot)) {
        return None;
    }
    let mut registers = cursor.registers;
    registers.rip = return_address.0;
    registers.set_rbp(saved);
    registers.set_rsp(slot.checked_add(WIDTH.bytes())?.0);
    Some(caller_of(registers, Trust::FramePointer, true, slot))
}

fn by_scan(walk: &Walk<'_>, cursor: &Cursor<X64Registers>) -> Option<Caller<X64Registers>> {
    let (return_address, slot) = walk.scan(Va(cursor.registers.rsp()), WIDTH)?;
    let mut registers = cursor.registers;
    registers.rip = return_address.0;
    registers.set_rsp(slot.checked_add(WIDTH.bytes())?.0);
    Some(caller_of(registers, Trust::Scan, true, slot))
}
