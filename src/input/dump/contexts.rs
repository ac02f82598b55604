//! CPU contexts of threads: the registers that finding a stack needs. Layouts: winnt.h, CONTEXT of x64 (1232 bytes), of x86
//! (716 bytes; WOW64_CONTEXT is the same) and of ARM64 (912 bytes).
//!
//! Not read by the minidump crate: it wants the dump's system info beside each context, which the 32-bit context in a WOW64
//! thread's memory does not have, and refuses a record whose floating-point part the end of the file cuts off. A test
//! holds both against each other on every real dump.

use crate::base::addr::{PointerWidth, Va};
use crate::base::bytes;

use super::system::Architecture;
use super::threads::ContextPlace;

/// The integer registers of one thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Registers {
    X86(X86Registers),
    X64(X64Registers),
    Arm64(Arm64Registers),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct X86Registers {
    pub eip: u32,
    pub esp: u32,
    pub ebp: u32,
    pub ebx: u32,
    pub esi: u32,
    pub edi: u32,
}

/// **Invariant:** `general` is in the order in which instructions and unwind codes number registers: rax, rcx, rdx, rbx,
/// rsp, rbp, rsi, rdi, r8 to r15.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct X64Registers {
    pub rip: u64,
    pub general: [u64; 16],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Arm64Registers {
    pub pc: u64,
    pub sp: u64,
    /// x29.
    pub fp: u64,
    /// x30, the address that the function returns to unless it saved it.
    pub lr: u64,
}

const RSP: usize = 4;
const RBP: usize = 5;

impl X64Registers {
    /// What 32-bit code sees of them; `None` when the instruction or stack pointer is no 32-bit one.
    pub fn narrow(&self) -> Option<X86Registers> {
        let [_, _, _, rbx, rsp, rbp, rsi, rdi, ..] = self.general;
        // 32-bit code leaves the upper halves as they are, which mean nothing to it.
        let low = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default();
        Some(X86Registers {
            eip: u32::try_from(self.rip).ok()?,
            esp: u32::try_from(rsp).ok()?,
            ebp: low(rbp),
            ebx: low(rbx),
            esi: low(rsi),
            edi: low(rdi),
        })
    }

    pub const fn rsp(&self) -> u64 {
        let [_, _, _, _, rsp, ..] = self.general;
        rsp
    }

    pub const fn rbp(&self) -> u64 {
        let [_, _, _, _, _, rbp, ..] = self.general;
        rbp
    }

    pub fn set_rsp(&mut self, value: u64) {
        self.set(RSP, value);
    }

    pub fn set_rbp(&mut self, value: u64) {
        self.set(RBP, value);
    }

    /// The register of that number; numbers above 15 do not exist.
    pub fn set(&mut self, number: usize, value: u64) {
        if let Some(register) = self.general.get_mut(number) {
            *register = value;
        }
    }
}

impl Registers {
    /// The instruction pointer.
    pub fn ip(&self) -> Va {
        match self {
            Self::X86(registers) => Va(u64::from(registers.eip)),
            Self::X64(registers) => Va(registers.rip),
            Self::Arm64(registers) => Va(registers.pc),
        }
    }

    /// The stack pointer.
    pub fn sp(&self) -> Va {
        match self {
            Self::X86(registers) => Va(u64::from(registers.esp)),
            Self::X64(registers) => Va(registers.rsp()),
            Self::Arm64(registers) => Va(registers.sp),
        }
    }

    /// The register that functions with a frame pointer use for it.
    pub fn fp(&self) -> Va {
        match self {
            Self::X86(registers) => Va(u64::from(registers.ebp)),
            Self::X64(registers) => Va(registers.rbp()),
            Self::Arm64(registers) => Va(registers.fp),
        }
    }

    pub const fn width(&self) -> PointerWidth {
        match self {
            Self::X86(_) => PointerWidth::Bits32,
            Self::X64(_) | Self::Arm64(_) => PointerWidth::Bits64,
        }
    }
}

/// The context at its place in the file. `None` when it is not there, is of another processor, or leaves out the registers
/// that tell where the thread was (CONTEXT_CONTROL).
pub fn read_context(file: &[u8], place: ContextPlace, architecture: Architecture) -> Option<Registers> {
    parse_context(bytes::available_at(file, place.offset.0, place.size_bytes), architecture)
}

/// The context that `record` begins with.
pub fn parse_context(record: &[u8], architecture: Architecture) -> Option<Registers> {
    /// The bit of CONTEXT_CONTROL is the same on all processors.
    const CONTROL: u32 = 1;
    let (flags_at, processor) = match architecture {
        Architecture::X86 => (0, 0x1_0000),
        Architecture::X64 => (0x30, 0x10_0000),
        Architecture::Arm64 => (0, 0x40_0000),
        Architecture::Arm | Architecture::Unknown(_) => return None,
    };
    let flags = bytes::u32_at(record, flags_at)?;
    if flags & processor == 0 || flags & CONTROL == 0 {
        return None;
    }
    match architecture {
        Architecture::X86 => x86(record).map(Registers::X86),
        Architecture::X64 => x64(record).map(Registers::X64),
        _ => arm64(record).map(Registers::Arm64),
    }
}

fn x86(record: &[u8]) -> Option<X86Registers> {
    let at = |offset| bytes::u32_at(record, offset);
    Some(X86Registers {
        edi: at(0x9c)?,
        esi: at(0xa0)?,
        ebx: at(0xa4)?,
        ebp: at(0xb4)?,
        eip: at(0xb8)?,
        esp: at(0xc4)?,
    })
}

fn x64(record: &[u8]) -> Option<X64Registers> {
    // Rax to R15 stand in the order of their numbers, Rip behind them.
    let mut general = [0; 16];
    for (register, offset) in general.iter_mut().zip((0x78..0xf8).step_by(8)) {
        *register = bytes::u64_at(record, offset)?;
    }
    Some(X64Registers { rip: bytes::u64_at(record, 0xf8)?, general })
}

fn arm64(record: &[u8]) -> Option<Arm64Registers> {
    let at = |offset| bytes::u64_at(record, offset);
    Some(Arm64Registers { fp: at(0xf0)?, lr: at(0xf8)?, sp: at(0x100)?, pc: at(0x108)? })
}
