//! ARM64 by the chain of x29, and contexts of all processors against the minidump crate.

use dumptrend::base::addr::FileOffset;
use dumptrend::input::dump::contexts::{Arm64Registers, Registers, parse_context, read_context};
use dumptrend::input::dump::system::Architecture;
use dumptrend::input::dump::{self, Dump};
use dumptrend::process::stacks::StackEnd;
use dumptrend::process::stacks::Trust::{Context, FramePointer, Scan, Unwind};
use dumptrend::sample::LeBytes;
use minidump::{Minidump, MinidumpSystemInfo, MinidumpThreadList};

use crate::support::code_image::{CodeImage, IMAGE, MACHINE_ARM64, STACK, frames_of};
use crate::support::shared::{READABLE_DUMPS, bytes_of, shared_file};

#[test]
fn arm64_frames_are_followed_by_x29() {
    let mut image = CodeImage::new(MACHINE_ARM64);
    image.u64_at(0x110, STACK + 0x140).u64_at(0x118, IMAGE + 0x3020);
    // A return address that is signed by pointer authentication, and the end of the chain.
    image.u64_at(0x140, STACK + 0x180).u64_at(0x148, 0x1234_0000_0000_0000 + IMAGE + 0x3040);
    image.u64_at(0x180, 0).u64_at(0x188, 0);
    let registers = Arm64Registers { pc: IMAGE + 0x2050, sp: STACK + 0x100, fp: STACK + 0x110, lr: 0 };
    let stack = image.unwind(Registers::Arm64(registers));
    let above = [(0x3020, 0x120, FramePointer), (0x3040, 0x150, FramePointer)];
    assert_eq!(frames_of(&stack), [&[(0x2050, 0x100, Context)], &above[..]].concat());
    assert_eq!(stack.end, StackEnd::Outermost);
    // svc has returned and ret follows: the caller is in x30, and nothing is on the stack.
    image.code_at(0x2050, &0xd65f_03c0_u32.to_le_bytes());
    let stack = image.unwind(Registers::Arm64(Arm64Registers { lr: IMAGE + 0x3000, ..registers }));
    assert_eq!(frames_of(&stack)[1..], [&[(0x3000, 0x100, Unwind)], &above[..]].concat());
    // Without a chain the stack is searched.
    let stack = image.unwind(Registers::Arm64(Arm64Registers { fp: 0, lr: 0, ..registers }));
    assert_eq!(frames_of(&stack)[1], (0x3020, 0x120, Scan));
}

#[test]
fn an_arm64_context_gives_its_registers() {
    let mut record = LeBytes::zeroed(912);
    record.put_u32(0, 0x40_0007).put_u64(0xf0, 1).put_u64(0xf8, 2).put_u64(0x100, 3).put_u64(0x108, 4);
    let registers = Arm64Registers { fp: 1, lr: 2, sp: 3, pc: 4 };
    assert_eq!(parse_context(record.as_slice(), Architecture::Arm64), Some(Registers::Arm64(registers)));
    for architecture in [Architecture::X86, Architecture::X64, Architecture::Arm, Architecture::Unknown(77)] {
        assert_eq!(parse_context(record.as_slice(), architecture), None);
    }
    // Without CONTEXT_CONTROL it does not say where the thread was.
    record.put_u32(0, 0x40_0006);
    assert_eq!(parse_context(record.as_slice(), Architecture::Arm64), None);
    assert_eq!(parse_context(&[], Architecture::X64), None);
}

fn registers_of(dump: &Dump) -> Vec<Option<(u64, u64)>> {
    let architecture = dump.system.as_ref().expect("system info").architecture;
    let threads = dump.threads.as_deref().expect("threads");
    let registers = threads.iter().map(|thread| read_context(dump.memory.file_bytes(), thread.context, architecture));
    registers.map(|registers| registers.map(|registers| (registers.ip().0, registers.sp().0))).collect()
}

#[test]
fn contexts_agree_with_the_minidump_crate() {
    for name in READABLE_DUMPS {
        let Some(path) = shared_file(name) else { return };
        let theirs = Minidump::read(bytes_of(&path)).expect("the crate opens it");
        let system = theirs.get_stream::<MinidumpSystemInfo>().expect("system info");
        let threads = theirs.get_stream::<MinidumpThreadList<'_>>().expect("threads");
        let expect: Vec<_> = threads
            .threads
            .iter()
            .map(|thread| {
                let context = thread.context(&system, None)?;
                Some((context.get_instruction_pointer(), context.get_stack_pointer()))
            })
            .collect();
        assert!(expect.iter().any(Option::is_some), "{name}");
        assert_eq!(registers_of(&dump::open(&path).expect("we open it")), expect, "{name}");
    }
}

#[test]
fn the_whole_file_bounds_a_context() {
    let place = dump::threads::ContextPlace { offset: FileOffset(u64::MAX), size_bytes: u64::MAX };
    assert_eq!(read_context(&[0; 64], place, Architecture::X64), None);
}
