//! Stacks of threads: from the registers of a thread to the chain of its callers.
//!
//! Each frame says why it is believed, each stack why it ends. No names are known here, and no threads: what is unwound is
//! a set of registers over memory. Functions that a program generates at run time have no unwind data in an image; their
//! frames are found by frame pointer or by scan.
//!
//! **Invariant:** the stack pointer grows from frame to frame (it may stay where it is once, behind the innermost) and
//! [`Limits`] bounds their number, so that nothing loops, whatever the stack and the unwind data say.

mod arm64;
mod call_sites;
pub mod frame_data;
pub mod images;
mod x64;
mod x64_epilogue;
mod x86;
mod x86_instructions;

use serde::{Deserialize, Serialize};

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::memory::{self, ReadMemory};
use crate::input::dump::contexts::Registers;

use frame_data::FrameDataSource;
use images::StackImages;

/// One call in progress.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Frame {
    /// Where the function is executing: in the innermost frame and in one that an exception interrupted the instruction
    /// itself, else the address that its callee returns to.
    pub ip: Va,
    /// The stack pointer in this function: Child-SP of WinDbg's `k`.
    pub sp: Va,
    /// x64 and ARM64: the register that may be a frame pointer. x86: where the function has or would have saved ebp, right
    /// below its return address, which is ChildEBP of WinDbg's `k`; ebp itself in a frame that could not be unwound.
    pub fp: Va,
    /// Where this function returns to; `None` in the last frame of a stack that ends too early.
    pub return_address: Option<Va>,
    pub trust: Trust,
    pub width: PointerWidth,
}

/// Why a frame is believed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Trust {
    /// Found on the stack by looking for return addresses: it may be left over from a call that is over.
    Scan,
    /// By a chain of saved frame pointers, whose return addresses follow calls.
    FramePointer,
    /// By unwind data of the image, by frame data of the PDB, or by the rest of the function's own epilogue.
    Unwind,
    /// The registers of the thread.
    Context,
}

impl Frame {
    fn innermost(registers: &Registers) -> Self {
        Self {
            ip: registers.ip(),
            sp: registers.sp(),
            fp: registers.fp(),
            return_address: None,
            trust: Trust::Context,
            width: registers.width(),
        }
    }
}

impl Trust {
    /// As in the JSON report.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Context => "context",
            Self::Unwind => "unwind",
            Self::FramePointer => "frame_pointer",
            Self::Scan => "scan",
        }
    }
}

/// Why a stack has no more frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StackEnd {
    /// The last function returns to address 0: threads begin so.
    Outermost,
    /// The dump has no registers of the thread.
    NoContext,
    /// The stack goes on where the dump has no memory.
    MemoryMissing { at: Va },
    /// The last frame lies in no module, and nothing on the stack looks like its caller.
    OutsideModules { ip: Va },
    /// The unwind data of the last frame's image is not in the dump, and nothing on the stack looks like its caller.
    NoUnwindData { ip: Va },
    /// The same for unwind data that contradicts itself.
    DamagedUnwindData { ip: Va },
    /// By the unwind data the last frame's function cannot have called anything, yet it is said to have.
    NotACaller { ip: Va },
    /// Neither frame pointer nor scan found a caller.
    NoCallerFound { sp: Va },
    /// Going on would not lead further up the stack.
    NoProgress { sp: Va },
    /// The next frame would lie beyond the stack of the thread.
    OutsideStack { sp: Va },
    /// The thread runs the 32-bit code of a WOW64 process; where its 64-bit stack goes on is not known then.
    In32BitCode { ip: Va },
    /// More frames than [`Limits::frame_count`].
    FrameLimit,
}

/// The frames of one stack, innermost first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ThreadStack {
    pub frames: Vec<Frame>,
    pub end: StackEnd,
}

impl ThreadStack {
    /// The 64-bit half of a thread that runs 32-bit code.
    pub fn in_32_bit_code(registers: &Registers) -> Self {
        let end = StackEnd::In32BitCode { ip: registers.ip() };
        Self { frames: vec![Frame::innermost(registers)], end }
    }

    /// Of a thread whose registers the dump does not have.
    pub const fn without_context() -> Self {
        Self { frames: Vec::new(), end: StackEnd::NoContext }
    }
}

/// All stacks of one thread.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ThreadStacks {
    /// In the bitness of the dump; of a WOW64 thread what happens below the 32-bit program.
    pub native: ThreadStack,
    /// The 32-bit stack of a WOW64 thread.
    pub wow64: Option<ThreadStack>,
    /// Where the exception happened, when the thread has gone elsewhere since: usually to where the dump is written.
    pub exception: Option<ThreadStack>,
}

/// Bounds of the work on one stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub frame_count: usize,
    /// How far a scan looks for the next return address.
    pub scan_bytes: u64,
}

impl Default for Limits {
    /// A stack of a megabyte holds some ten thousand small frames; the innermost thousand tell what recurses. Frames above
    /// 2 KB are rare, and each further word makes a false return address more likely.
    fn default() -> Self {
        Self { frame_count: 1024, scan_bytes: 0x800 }
    }
}

/// What stacks of one dump are read from.
#[derive(Clone, Copy)]
pub struct Unwinder<'a> {
    /// The memory of the process, for the stacks.
    pub memory: &'a dyn ReadMemory,
    /// Where code and unwind data are read: the same memory, or one with image files beneath it.
    pub code: &'a dyn ReadMemory,
    pub images: &'a StackImages,
    /// Frame data of PDBs, for x86.
    pub frame_data: Option<&'a dyn FrameDataSource>,
    pub limits: Limits,
}

/// One frame on the way: registers, and how they were come by.
#[derive(Clone, Copy)]
struct Cursor<R> {
    registers: R,
    trust: Trust,
    /// Whether the instruction pointer is where the function goes on after a call, not where it was interrupted.
    is_return_address: bool,
    /// x86: bytes of arguments that the function's callee was given and removes itself.
    callee_parameter_bytes: u32,
}

/// The caller of a frame, and where the return address to it lies.
struct Caller<R> {
    cursor: Cursor<R>,
    return_slot: Va,
}

/// What a frame's walk needs besides the registers.
#[derive(Clone, Copy)]
struct Walk<'a> {
    unwinder: Unwinder<'a>,
    stack: Option<VaRange>,
}

/// Registers of one architecture that can be taken a frame further.
trait Step: Copy {
    fn registers(self) -> Registers;

    /// The caller of the frame at `cursor`.
    fn caller(walk: &Walk<'_>, cursor: &Cursor<Self>) -> Result<Caller<Self>, StackEnd>;
}

impl Unwinder<'_> {
    /// The stack that `start` is the innermost frame of. `stack` is the thread's stack, where it is known; a thread that
    /// runs on another one, for instance a fiber's, is followed without it.
    pub fn unwind(&self, start: Registers, stack: Option<VaRange>) -> ThreadStack {
        let sp = start.sp();
        let stack = stack.filter(|stack| stack.contains(sp));
        let walk = Walk { unwinder: *self, stack };
        match start {
            Registers::X64(registers) => walk.run(registers),
            Registers::X86(registers) => walk.run(registers),
            Registers::Arm64(registers) => walk.run(registers),
        }
    }
}

impl Walk<'_> {
    fn run<R: Step>(&self, start: R) -> ThreadStack {
        let mut frames: Vec<Frame> = Vec::new();
        let mut cursor =
            Cursor { registers: start, trust: Trust::Context, is_return_address: false, callee_parameter_bytes: 0 };
        let end = loop {
            let registers = cursor.registers.registers();
            let mut frame = Frame { trust: cursor.trust, ..Frame::innermost(&registers) };
            if frames.len() >= self.unwinder.limits.frame_count {
                break StackEnd::FrameLimit;
            }
            let caller = match R::caller(self, &cursor) {
                Ok(caller) => caller,
                Err(end) => {
                    frames.push(frame);
                    break end;
                }
            };
            let next = caller.cursor.registers.registers();
            // A leaf function on ARM64 has taken nothing off the stack; only the innermost one can be such.
            let is_leaf = frames.is_empty() && next.sp() == frame.sp;
            if next.sp() <= frame.sp && !is_leaf {
                frames.push(frame);
                break StackEnd::NoProgress { sp: next.sp() };
            }
            if self.stack.is_some_and(|stack| next.sp() > stack.end) {
                frames.push(frame);
                break StackEnd::OutsideStack { sp: next.sp() };
            }
            frame.return_address = Some(next.ip());
            if frame.width == PointerWidth::Bits32 {
                frame.fp = Va(caller.return_slot.0.saturating_sub(PointerWidth::Bits32.bytes()));
            }
            frames.push(frame);
            if next.ip().is_null() {
                break StackEnd::Outermost;
            }
            cursor = caller.cursor;
        };
        ThreadStack { frames, end }
    }

    fn pointer_at(&self, va: Va, width: PointerWidth) -> Result<Va, StackEnd> {
        memory::pointer_at(self.unwinder.memory, va, width).ok_or(StackEnd::MemoryMissing { at: va })
    }

    /// Whether a pointer into the stack could be one of a frame above `sp`.
    fn is_in_stack(&self, va: Va, sp: Va) -> bool {
        va >= sp && self.stack.is_none_or(|stack| stack.contains(va))
    }

    /// Whether code could return to `va`: it lies in an image's code, behind a call.
    fn is_return_address(&self, va: Va, width: PointerWidth) -> bool {
        call_sites::is_return_address(self.unwinder.images, self.unwinder.code, va, width)
    }

    fn scanned_slots(&self, width: PointerWidth) -> u64 {
        self.unwinder.limits.scan_bytes.checked_div(width.bytes()).unwrap_or_default()
    }

    /// Looks from `sp` upwards for the first return address: its value and its place.
    fn scan(&self, sp: Va, width: PointerWidth) -> Option<(Va, Va)> {
        let mask = width.bytes().saturating_sub(1);
        let start = Va(sp.0.checked_add(mask)? & !mask);
        for index in 0..self.scanned_slots(width) {
            let slot = start.checked_add(index.checked_mul(width.bytes())?)?;
            if !self.is_in_stack(slot, sp) {
                return None;
            }
            let value = memory::pointer_at(self.unwinder.memory, slot, width)?;
            if self.is_return_address(value, width) {
                return Some((value, slot));
            }
        }
        None
    }
}
