//! The stacks of all threads of one dump. Not part of a snapshot: whoever wants stacks asks for them.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::Snapshot;
use crate::base::addr::{PointerWidth, Va};
use crate::base::memory::ReadMemory;
use crate::base::progress::{Cancelled, Progress};
use crate::input::dump::contexts::{Registers, X86Registers, read_context};
use crate::input::dump::system::Architecture;
use crate::input::dump::threads::ThreadRecord;
use crate::input::image::file::ImageFile;
use crate::input::image::files::MemoryWithImages;
use crate::process::stacks::frame_data::FrameDataSource;
use crate::process::stacks::images::StackImages;
use crate::process::stacks::{Limits, ThreadStack, ThreadStacks, Unwinder};
use crate::process::threads::teb::Teb;
use crate::process::threads::wow64_context::read_wow64_registers;

/// What unwinding may take besides the dump.
#[derive(Clone, Copy, Default)]
pub struct UnwindHelp<'a> {
    /// Files of images that the dump does not hold.
    pub images: &'a [ImageFile],
    /// What PDBs tell of x86 functions.
    pub frame_data: Option<&'a dyn FrameDataSource>,
}

/// The stacks of the threads in the thread list, in its order, by thread id.
///
/// # Errors
/// Only when cancelled.
pub fn thread_stacks(
    snapshot: &Snapshot,
    help: UnwindHelp<'_>,
    progress: &Progress,
) -> Result<Vec<(u32, ThreadStacks)>, Cancelled> {
    let with_images = MemoryWithImages::new(&snapshot.dump.memory, help.images);
    let (code, frame_data): (&dyn ReadMemory, _) = (&with_images, help.frame_data);
    let dump = &snapshot.dump;
    let threads = dump.threads.as_deref().unwrap_or_default();
    progress.start("unwinding stacks", threads.len() as u64);
    let images = StackImages::read(code, dump.modules.iter().flatten().map(|module| module.range()));
    let unwinder = Unwinder { memory: &dump.memory, code, images: &images, frame_data, limits: Limits::default() };
    let process = Process { snapshot, unwinder, tebs: Tebs::new(&snapshot.tebs) };
    threads
        .par_iter()
        .map(|thread| {
            progress.tick(1)?;
            Ok((thread.tid, process.stacks_of(thread)))
        })
        .collect()
}

struct Process<'a> {
    snapshot: &'a Snapshot,
    unwinder: Unwinder<'a>,
    tebs: Tebs<'a>,
}

/// TEBs by what leads to them.
struct Tebs<'a> {
    by_base: BTreeMap<Va, &'a Teb>,
    /// 32-bit ones of WOW64 threads, by thread id.
    narrow: BTreeMap<u32, &'a Teb>,
}

impl<'a> Tebs<'a> {
    fn new(tebs: &'a [Teb]) -> Self {
        Self {
            by_base: tebs.iter().map(|teb| (teb.base, teb)).collect(),
            narrow: tebs.iter().filter(|teb| teb.width == PointerWidth::Bits32).map(|teb| (teb.tid, teb)).collect(),
        }
    }
}

impl Process<'_> {
    fn stacks_of(&self, thread: &ThreadRecord) -> ThreadStacks {
        let dump = &self.snapshot.dump;
        let architecture = dump.system.as_ref().map_or(Architecture::X64, |system| system.architecture);
        let registers = read_context(dump.memory.file_bytes(), thread.context, architecture);
        let exception = dump
            .exception
            .as_ref()
            .filter(|exception| exception.tid == thread.tid)
            .and_then(|exception| read_context(dump.memory.file_bytes(), exception.context, architecture))
            .filter(|at_exception| Some(*at_exception) != registers);
        let bounds = self.tebs.by_base.get(&thread.teb).and_then(|teb| teb.stack);
        let saved = Some(thread.saved_stack).filter(|stack| !stack.is_empty());
        let narrow_bounds = self.tebs.narrow.get(&thread.tid).and_then(|teb| teb.stack);
        let unwind = |registers: Registers| self.unwinder.unwind(registers, bounds.or(saved));
        let unwind_narrow = |registers: X86Registers| self.unwinder.unwind(Registers::X86(registers), narrow_bounds);
        let exception = exception.map(|registers| match self.registers_in_32_bit_code(&registers) {
            Some(narrow) => unwind_narrow(narrow),
            None => unwind(registers),
        });
        let has_two_halves = self.snapshot.is_wow64() && self.snapshot.pointer_width() == PointerWidth::Bits64;
        match registers.and_then(|registers| Some((registers, self.registers_in_32_bit_code(&registers)?))) {
            // What the thread has saved of its 32-bit registers is older than these.
            Some((registers, narrow)) => ThreadStacks {
                native: ThreadStack::in_32_bit_code(&registers),
                wow64: Some(unwind_narrow(narrow)),
                exception,
            },
            None => ThreadStacks {
                native: registers.map_or_else(ThreadStack::without_context, unwind),
                wow64: has_two_halves.then(|| {
                    let registers = read_wow64_registers(&self.snapshot.dump.memory, thread.teb);
                    registers.map_or_else(ThreadStack::without_context, unwind_narrow)
                }),
                exception,
            },
        }
    }

    /// The registers of a thread of a WOW64 process that executes its 32-bit code.
    fn registers_in_32_bit_code(&self, registers: &Registers) -> Option<X86Registers> {
        let Registers::X64(wide) = registers else { return None };
        let width = self.unwinder.images.width_at(registers.ip());
        wide.narrow().filter(|_| self.snapshot.is_wow64() && width == Some(PointerWidth::Bits32))
    }
}
