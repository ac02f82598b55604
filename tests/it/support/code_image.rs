//! A process for unwinding: one image with code and unwind data written by hand, and a stack. Layouts from Microsoft's
//! "PE Format" and "x64 exception handling".

use std::collections::BTreeMap;

use dumptrend::base::addr::{Va, VaRange};
use dumptrend::base::memory::ReadMemory;
use dumptrend::input::dump::contexts::{Registers, X64Registers, X86Registers};
use dumptrend::process::stacks::frame_data::FrameDataSource;
use dumptrend::process::stacks::images::StackImages;
use dumptrend::process::stacks::{Frame, Limits, ThreadStack, Trust, Unwinder};
use dumptrend::sample::LeBytes;

pub const IMAGE: u64 = 0x40_0000;
pub const IMAGE_BYTES: u64 = 0x1_0000;
/// Where code begins and ends, from the image's base.
pub const CODE: u32 = 0x1000;
const CODE_BYTES: u32 = 0x3000;
const TABLE: u32 = 0x5000;
const INFOS: u32 = 0x6000;
pub const STACK: u64 = 0x10_0000;
pub const STACK_BYTES: u64 = 0x1_0000;

pub const MACHINE_X64: u16 = 0x8664;
pub const MACHINE_X86: u16 = 0x14c;
pub const MACHINE_ARM64: u16 = 0xaa64;

/// Bytes at addresses; what no piece covers is not in the dump.
#[derive(Clone, Default)]
pub struct Pieces {
    pieces: BTreeMap<u64, Vec<u8>>,
}

impl Pieces {
    pub fn put(&mut self, va: u64, bytes: Vec<u8>) {
        self.pieces.insert(va, bytes);
    }
}

impl ReadMemory for Pieces {
    fn bytes_at(&self, va: Va, length: u64) -> &[u8] {
        let Some((start, bytes)) = self.pieces.range(..=va.0).next_back() else { return &[] };
        let from = usize::try_from(va.0 - start).unwrap_or(usize::MAX);
        let found = bytes.get(from..).unwrap_or_default();
        &found[..found.len().min(usize::try_from(length).unwrap_or(usize::MAX))]
    }
}

/// A function, or a part of one, for the exception directory.
#[derive(Clone, Debug)]
pub struct Function {
    pub begin: u32,
    pub end: u32,
    /// Its UNWIND_INFO, whole.
    pub info: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct CodeImage {
    pub machine: u16,
    /// From [`CODE`] on.
    pub code: Vec<u8>,
    pub functions: Vec<Function>,
    pub stack: Vec<u8>,
}

impl CodeImage {
    pub fn new(machine: u16) -> Self {
        Self {
            machine,
            code: vec![0x90; CODE_BYTES as usize],
            functions: Vec::new(),
            stack: vec![0; STACK_BYTES as usize],
        }
    }

    /// Writes code at an offset of the image; addresses behind a call are return addresses.
    pub fn code_at(&mut self, rva: u32, code: &[u8]) {
        let from = (rva - CODE) as usize;
        self.code[from..from + code.len()].copy_from_slice(code);
    }

    /// A call that returns to `rva`, and the address of that.
    pub fn call_before(&mut self, rva: u32) -> u64 {
        self.code_at(rva - 5, &[0xe8, 0, 0, 0, 0]);
        IMAGE + u64::from(rva)
    }

    pub fn function(&mut self, begin: u32, end: u32, info: Vec<u8>) -> &mut Self {
        self.functions.push(Function { begin, end, info });
        self
    }

    pub fn u64_at(&mut self, offset: u64, value: u64) -> &mut Self {
        let from = offset as usize;
        self.stack[from..from + 8].copy_from_slice(&value.to_le_bytes());
        self
    }

    pub fn u32_at(&mut self, offset: u64, value: u32) -> &mut Self {
        let from = offset as usize;
        self.stack[from..from + 4].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Where the UNWIND_INFO of each function lies, from the image's base.
    pub fn info_rva(index: u32) -> u32 {
        INFOS + index * 0x400
    }

    pub fn memory(&self) -> Pieces {
        let mut memory = Pieces::default();
        memory.put(IMAGE, self.headers());
        memory.put(IMAGE + u64::from(CODE), self.code.clone());
        let mut table = LeBytes::default();
        for (index, function) in self.functions.iter().enumerate() {
            let info = Self::info_rva(u32::try_from(index).expect("few"));
            table.push_u32(function.begin).push_u32(function.end).push_u32(info);
            let mut padded = function.info.clone();
            padded.resize(padded.len().max(0x40), 0xcc);
            memory.put(IMAGE + u64::from(info), padded);
        }
        memory.put(IMAGE + u64::from(TABLE), table.into_vec());
        memory.put(STACK, self.stack.clone());
        memory
    }

    fn headers(&self) -> Vec<u8> {
        let is_wide = self.machine != MACHINE_X86;
        let (optional, directories) = (0x98, if is_wide { 0x98 + 0x70 } else { 0x98 + 0x60 });
        let optional_bytes: u16 = if is_wide { 0xf0 } else { 0xe0 };
        let mut head = LeBytes::zeroed(0x400);
        head.put(0, b"MZ").put_u32(0x3c, 0x80).put(0x80, b"PE\0\0").put_u16(0x84, self.machine).put_u16(0x86, 1);
        head.put_u16(0x94, optional_bytes).put_u16(optional, if is_wide { 0x20b } else { 0x10b });
        head.put_u32(optional + 0x38, IMAGE_BYTES as u32).put_u32(directories - 4, 16);
        if is_wide {
            let table_bytes = u32::try_from(self.functions.len() * 12).expect("few");
            head.put_u32(directories + 24, TABLE).put_u32(directories + 28, table_bytes);
        }
        let section = optional + usize::from(optional_bytes);
        head.put(section, b".text").put_u32(section + 8, CODE_BYTES).put_u32(section + 0xc, CODE);
        head.put_u32(section + 0x24, 0x6000_0020);
        head.into_vec()
    }

    pub fn unwind(&self, registers: Registers) -> ThreadStack {
        unwind(&self.memory(), registers, None)
    }

    pub fn unwind_with(&self, registers: Registers, frame_data: &dyn FrameDataSource) -> ThreadStack {
        unwind(&self.memory(), registers, Some(frame_data))
    }
}

pub fn unwind(memory: &Pieces, registers: Registers, frame_data: Option<&dyn FrameDataSource>) -> ThreadStack {
    let images = StackImages::read(memory, [VaRange::from_size(Va(IMAGE), IMAGE_BYTES)]);
    let unwinder = Unwinder { memory, code: memory, images: &images, frame_data, limits: Limits::default() };
    unwinder.unwind(registers, Some(VaRange::from_size(Va(STACK), STACK_BYTES)))
}

/// Registers of x64 code at an offset of the image, with the stack pointer at an offset of the stack.
pub fn x64_at(rva: u32, stack_offset: u64) -> X64Registers {
    let mut registers = X64Registers { rip: IMAGE + u64::from(rva), ..X64Registers::default() };
    registers.set_rsp(STACK + stack_offset);
    registers
}

pub fn x86_at(rva: u32, stack_offset: u64, ebp: u64) -> Registers {
    let low = |value: u64| u32::try_from(value).expect("below 4 GB");
    Registers::X86(X86Registers {
        eip: low(IMAGE + u64::from(rva)),
        esp: low(STACK + stack_offset),
        ebp: low(ebp),
        ..X86Registers::default()
    })
}

/// UNWIND_INFO: version and flags, size of the prologue, frame register with its offset, slots, and what follows them.
pub fn unwind_info(version_and_flags: u8, prologue: u8, frame: u8, slots: &[[u8; 2]], tail: &[u32]) -> Vec<u8> {
    let count = u8::try_from(slots.len()).expect("few slots");
    let mut info = vec![version_and_flags, prologue, count, frame];
    info.extend(slots.iter().flatten());
    if slots.len() % 2 == 1 {
        info.extend([0, 0]);
    }
    info.extend(tail.iter().flat_map(|word| word.to_le_bytes()));
    info
}

/// `sub rsp, bytes` with UWOP_ALLOC_SMALL, done at offset 4.
pub fn small_frame(bytes: u8) -> Vec<u8> {
    unwind_info(1, 4, 0, &[[4, (bytes / 8 - 1) << 4 | 2]], &[])
}

/// Offset of the instruction pointer from the image, offset of the stack pointer from the stack, and trust of each frame.
pub fn frames_of(stack: &ThreadStack) -> Vec<(u64, u64, Trust)> {
    let place = |frame: &Frame| (frame.ip.0.wrapping_sub(IMAGE), frame.sp.0.wrapping_sub(STACK), frame.trust);
    stack.frames.iter().map(place).collect()
}
