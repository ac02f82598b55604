//! The real dumps: both halves of a WOW64 thread, and why stacks end where the dump is small.

use dumptrend::analysis::series::traces::symbols_of;
use dumptrend::analysis::snapshot::Snapshot;
use dumptrend::analysis::snapshot::thread_stacks::{UnwindHelp, thread_stacks};
use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::base::progress::Progress;
use dumptrend::present::stacks::{StackForm, end_text, stack_text, thread_text};
use dumptrend::process::stacks::{StackEnd, ThreadStack, ThreadStacks, Trust};
use dumptrend::process::threads::wow64_context::read_wow64_registers;

use crate::support::build_dump::{open_bytes, snapshot_of};
use crate::support::sample_series::analyse;
use crate::support::shared::{READABLE_DUMPS, bytes_of, shared_file};

fn check(name: &str, look: impl FnOnce(&Snapshot, &[(u32, ThreadStacks)])) {
    let Some(path) = shared_file(name) else { return };
    let analysis = analyse(&[path]);
    let snapshot = &analysis.snapshots[0];
    look(snapshot, &thread_stacks(snapshot, UnwindHelp::default(), &Progress::default()).expect("nobody cancels"));
}

#[test]
fn the_64_bit_half_of_a_wow64_thread_is_found() {
    check("dumps/fizzbuzz_wow64.dmp", |snapshot, stacks| {
        let stack = &stacks[0].1.native;
        let symbols = symbols_of(snapshot);
        let modules: Vec<_> =
            stack.frames.iter().map(|frame| symbols.name_of(frame.ip).expect("a module").module).collect();
        assert_eq!(modules, ["wow64cpu", "wow64cpu", "wow64", "wow64", "ntdll", "ntdll", "ntdll"]);
        assert_eq!(stack.end, StackEnd::Outermost);
        assert!(stack.frames[1..].iter().all(|frame| frame.trust == Trust::Unwind));
        let last = symbols.name_of(stack.frames[6].ip).expect("a name");
        assert_eq!(last.to_string(), "ntdll!LdrInitializeThunk+0xe");
    });
}

#[test]
fn the_32_bit_half_of_a_wow64_thread_is_found() {
    check("dumps/fizzbuzz_wow64.dmp", |snapshot, stacks| {
        let stack = stacks[0].1.wow64.as_ref().expect("a 32-bit half");
        let symbols = symbols_of(snapshot);
        assert!(stack.frames.iter().all(|frame| frame.width == PointerWidth::Bits32));
        assert!(stack.frames.iter().all(|frame| symbols.name_of(frame.ip).is_some()));
        let trusts: Vec<Trust> = stack.frames.iter().map(|frame| frame.trust).collect();
        // The system call's stub is left by its own last instructions, the rest by saved ebp.
        assert_eq!(trusts[..2], [Trust::Context, Trust::Unwind]);
        assert!(trusts[2..].iter().all(|trust| *trust == Trust::FramePointer));
        assert_eq!(stack.end, StackEnd::Outermost);
        let expect = "ChildEBP RetAddr      Call Site\n\
                      0037f5b8 7647170b     ntdll!NtWaitForMultipleObjects+0x15\n\
                      0037f654 76151a0c     KERNELBASE!WaitForMultipleObjectsEx+0x100\n\
                      WARNING: Stack unwind information not available. Following frames may be wrong.\n\
                      0037f69c 76154200     kernel32!WaitForMultipleObjectsEx+0x8e\n\
                      0037f6b8 761780bc     kernel32!WaitForMultipleObjects+0x18\n\
                      0037f724 76177f7b     kernel32!GetApplicationRecoveryCallback+0x2a7\n\
                      0037f738 76177870     kernel32!GetApplicationRecoveryCallback+0x166\n\
                      0037f748 761777ef     kernel32!UnhandledExceptionFilter+0x161\n\
                      0037f7d4 77d36637     kernel32!UnhandledExceptionFilter+0xe0\n\
                      0037fe78 77cf99d5     ntdll!RtlKnownExceptionFilter+0xb7\n\
                      0037fe90 00000000     ntdll!RtlInitializeExceptionChain+0x36\n";
        assert_eq!(stack_text(stack, &symbols, StackForm::Plain), expect);
    });
}

/// All stacks of a thread.
fn all(stacks: &ThreadStacks) -> impl Iterator<Item = &ThreadStack> {
    [Some(&stacks.native), stacks.wow64.as_ref(), stacks.exception.as_ref()].into_iter().flatten()
}

#[test]
fn every_stack_has_an_end_with_a_reason() {
    for name in READABLE_DUMPS {
        check(name, |snapshot, stacks| {
            assert_eq!(Some(stacks.len()), snapshot.dump.threads.as_ref().map(Vec::len), "{name}");
            let symbols = symbols_of(snapshot);
            for (thread, (tid, stacks)) in snapshot.threads.iter().zip(stacks) {
                assert_eq!(thread.tid, *tid);
                for stack in all(stacks) {
                    assert_eq!(end_text(stack).is_none(), stack.end == StackEnd::Outermost);
                    assert!(stack.frames.windows(2).all(|pair| pair[0].sp < pair[1].sp), "{name}: {stack:?}");
                    // Only a full dump holds unwind data.
                    let is_full = name.contains("fizzbuzz");
                    assert!(is_full || snapshot.pointer_width() == PointerWidth::Bits32 || stack.frames.len() < 1024);
                }
                assert!(thread_text(snapshot, thread, stacks, &symbols, StackForm::Full).lines().count() > 2);
            }
        });
    }
}

#[test]
fn the_thread_of_an_exception_has_the_stack_of_it() {
    check("dumps/null_write_av.dmp", |snapshot, stacks| {
        let exception = snapshot.dump.exception.as_ref().expect("an exception");
        let with: Vec<u32> =
            stacks.iter().filter(|(_, stacks)| stacks.exception.is_some()).map(|(tid, _)| *tid).collect();
        assert_eq!(with, [exception.tid]);
        let stack = stacks[0].1.exception.as_ref().expect("checked");
        assert_eq!((stack.frames[0].ip, stack.end), (exception.address, StackEnd::Outermost));
        assert_eq!(stack.frames[0].trust, Trust::Context);
    });
}

#[test]
fn a_wow64_thread_in_32_bit_code_has_its_registers_in_the_dump() {
    let Some(path) = shared_file("dumps/fizzbuzz_wow64.dmp") else { return };
    let mut bytes = bytes_of(&path);
    let real = snapshot_of(open_bytes(bytes.clone()));
    let saved = read_wow64_registers(&real.dump.memory, real.dump.threads.as_ref().expect("threads")[0].teb);
    let saved = saved.expect("32-bit registers");
    let stacks_of =
        |snapshot| thread_stacks(snapshot, UnwindHelp::default(), &Progress::default()).expect("nobody cancels");
    // The dump's own context gets them: Rsp, Rbp and Rip; rbp with an upper half that 32-bit code does not see.
    let context = real.dump.threads.as_ref().expect("threads")[0].context.offset.0 as usize;
    for (at, value) in
        [(0x98, u64::from(saved.esp)), (0xa0, u64::from(saved.ebp) | 0xdead_0000_0000), (0xf8, u64::from(saved.eip))]
    {
        bytes[context + at..context + at + 8].copy_from_slice(&value.to_le_bytes());
    }
    let changed = snapshot_of(open_bytes(bytes));
    let (before, after) = (stacks_of(&real), stacks_of(&changed));
    assert_eq!(before[0].1.wow64, after[0].1.wow64);
    let native = &after[0].1.native;
    assert_eq!((native.frames.len(), native.end), (1, StackEnd::In32BitCode { ip: Va(u64::from(saved.eip)) }));
    assert!(end_text(native).expect("a reason").starts_with("the thread runs 32-bit code at 00000000`77"));
}
