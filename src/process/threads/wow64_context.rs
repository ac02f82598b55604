//! The 32-bit registers of a WOW64 thread, which lie in the process's memory while the thread runs 64-bit code.

use crate::base::addr::Va;
use crate::base::memory::{self, ReadMemory};
use crate::input::dump::contexts::{Registers, X86Registers, parse_context};
use crate::input::dump::system::Architecture;

/// `TlsSlots[1]` of the 64-bit TEB, WOW64_TLS_CPURESERVED.
const CPU_RESERVED_SLOT: u64 = 0x1480 + 8;
/// WOW64_CPURESERVED: two 16-bit fields, then the context.
const CONTEXT_OFFSET: u64 = 4;
/// Up to and with Esp and SegSs; the extended registers behind them are not needed.
const CONTEXT_BYTES: u64 = 0xcc;

/// Reads the registers that the 32-bit code has when the thread comes back to it.
///
/// A thread that waits in the kernel is in 64-bit code, and the 32-bit registers are saved. A thread that was interrupted in
/// 32-bit code has them in the dump's own context; what is saved is then older.
// Seen: Windows 7, build 7601, x64, fizzbuzz_wow64.dmp.
// Handled: the flags of the context prove it; a slot that points elsewhere gives nothing.
// Test: `the_32_bit_half_of_a_wow64_thread_is_found`.
pub fn read_wow64_registers(memory: &dyn ReadMemory, teb64: Va) -> Option<X86Registers> {
    let reserved = Va(memory::u64_at(memory, teb64.checked_add(CPU_RESERVED_SLOT)?)?);
    let record = memory::copy_at(memory, reserved.checked_add(CONTEXT_OFFSET)?, CONTEXT_BYTES)?;
    match parse_context(&record, Architecture::X86)? {
        Registers::X86(registers) => Some(registers),
        Registers::X64(_) | Registers::Arm64(_) => None,
    }
}
