//! What is left to do of an x86 function that has not set up its frame yet, or has begun to leave it.
//!
//! Encodings: Intel's manual; prologues and the ends of system calls as compilers and ntdll have them.

use crate::base::addr::Va;
use crate::base::bytes;
use crate::base::memory::{self, ReadMemory};
use crate::input::dump::contexts::X86Registers;

use super::Walk;

/// Pops of all registers, an `add esp` and a `leave` stay below this.
const MOST_INSTRUCTIONS: usize = 10;
const LONGEST_TAIL_BYTES: u64 = 48;

/// The registers once the function has returned, and where the return address lay. `None` when `eip` is neither at the
/// function's `push ebp` or `mov ebp, esp`, nor in its epilogue.
pub(super) fn leave_function(walk: &Walk<'_>, registers: &X86Registers) -> Option<(X86Registers, Va)> {
    let memory = walk.unwinder.memory;
    let code = walk.unwinder.code.bytes_at(Va(u64::from(registers.eip)), LONGEST_TAIL_BYTES);
    let mut registers = *registers;
    let has_pushed_ebp = || {
        let before = Va(u64::from(registers.eip).saturating_sub(1));
        memory::u8_at(walk.unwinder.code, before) == Some(0x55)
    };
    match code {
        // [mov edi, edi] push ebp; mov ebp, esp
        [0x55, 0x8b, 0xec, ..] | [0x8b, 0xff, 0x55, 0x8b, 0xec, ..] => {
            return take_return_address(memory, registers, 0);
        }
        [0x8b, 0xec, ..] if has_pushed_ebp() => {
            registers.ebp = pop(memory, &mut registers)?;
            return take_return_address(memory, registers, 0);
        }
        _ => {}
    }
    let mut rest = code;
    for _ in 0..MOST_INSTRUCTIONS {
        rest = match rest {
            [0xc3, ..] => return take_return_address(memory, registers, 0),
            [0xc2, low, high, ..] => {
                return take_return_address(memory, registers, u32::from(u16::from_le_bytes([*low, *high])));
            }
            // leave
            [0xc9, rest @ ..] => {
                registers.esp = registers.ebp;
                registers.ebp = pop(memory, &mut registers)?;
                rest
            }
            // add esp, imm8
            [0x83, 0xc4, count, rest @ ..] => {
                registers.esp = registers.esp.checked_add_signed(i32::from(count.cast_signed()))?;
                rest
            }
            // add esp, imm32
            [0x81, 0xc4, rest @ ..] => {
                registers.esp = registers.esp.checked_add_signed(bytes::i32_at(rest, 0)?)?;
                rest.get(4..)?
            }
            // mov esp, ebp
            [0x8b, 0xe5, rest @ ..] => {
                registers.esp = registers.ebp;
                rest
            }
            [operation @ (0x58..=0x5b | 0x5d..=0x5f), rest @ ..] => {
                let value = pop(memory, &mut registers)?;
                match operation {
                    0x5b => registers.ebx = value,
                    0x5d => registers.ebp = value,
                    0x5e => registers.esi = value,
                    0x5f => registers.edi = value,
                    _ => {}
                }
                rest
            }
            _ => return None,
        };
    }
    None
}

fn pop(memory: &dyn ReadMemory, registers: &mut X86Registers) -> Option<u32> {
    let value = memory::u32_at(memory, Va(u64::from(registers.esp)))?;
    registers.esp = registers.esp.checked_add(4)?;
    Some(value)
}

/// `ret`, which may remove arguments.
fn take_return_address(
    memory: &dyn ReadMemory,
    mut registers: X86Registers,
    parameter_bytes: u32,
) -> Option<(X86Registers, Va)> {
    let slot = Va(u64::from(registers.esp));
    registers.eip = pop(memory, &mut registers)?;
    registers.esp = registers.esp.checked_add(parameter_bytes)?;
    Some((registers, slot))
}
