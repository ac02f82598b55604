//! Stacks that are unwound again once symbols are there: a small x86 dump without code, whose program's PDB has frame data.

use std::sync::Arc;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::run::{SymbolSearch, load_symbols, run, unwind_threads};
use dumptrend::base::addr::Va;
use dumptrend::base::progress::Progress;
use dumptrend::process::stacks::Trust;
use dumptrend::process::stacks::Trust::{Context, FramePointer, Unwind};
use dumptrend::sample::LeBytes;
use dumptrend::sample::minidump_file::{
    MemoryRange, MinidumpFile, Module, StackMemory, SystemInfo, Thread, rsds_record,
};

use crate::support::build_dump::{bytes, module, windows_7};
use crate::support::shared::{bytes_of, shared_file};

const BASE: u32 = 0x40_0000;
const STACK: u32 = 0x12_0000;
/// In no record of the PDB.
const CALLER: u32 = BASE + 0x5000;
const CALLERS_CALLER: u32 = BASE + 0x5100;

/// The GUID of crash.pdb as it lies in files.
const GUID: [u8; 16] = [0x9d, 0xd9, 0x49, 0x32, 0x40, 0x0c, 0x31, 0x49, 0x86, 0x10, 0xf4, 0xe4, 0xfb, 0x0b, 0x69, 0x36];

fn dump() -> MinidumpFile {
    let mut context = LeBytes::zeroed(716);
    // ContextFlags, ebp, eip, esp. The function at 1030 has 12 bytes of locals and has saved 8 bytes of registers, not ebp.
    context.put_u32(0, 0x1_0007).put_u32(0xb4, STACK + 0x80).put_u32(0xb8, BASE + 0x1040).put_u32(0xc4, STACK);
    let mut stack = LeBytes::zeroed(0x200);
    stack.put_u32(20, CALLER);
    // The chain of ebp leads past the caller, which has a frame there.
    stack.put_u32(0x80, STACK + 0xc0).put_u32(0x84, CALLERS_CALLER);
    let thread = Thread {
        id: 7,
        stack: StackMemory::InMemoryList { start: Va(u64::from(STACK)), size_bytes: 0x200 },
        context: context.into_vec(),
        ..Thread::default()
    };
    let program = Module {
        code_view: rsds_record(GUID, 1, r"C:\projects\crash\Release\crash.pdb"),
        ..module(u64::from(BASE), 0x10_0000, r"C:\app\crash.exe")
    };
    MinidumpFile::new(0, 1_577_836_800)
        .system_info(windows_7(SystemInfo::ARCHITECTURE_X86))
        .modules(vec![program])
        .threads(vec![thread])
        .memory(vec![MemoryRange::hole(Va(u64::from(STACK)), 0x200).with(0, stack.into_vec())])
}

fn frames(analysis: &Analysis) -> Vec<(u32, Trust)> {
    let stacks = &analysis.thread_stacks.as_ref().expect("unwound")[0];
    let frames = &stacks.stacks(0, 0).expect("a thread").native.frames;
    frames.iter().map(|frame| (u32::try_from(frame.ip.0).expect("32 bits"), frame.trust)).collect()
}

#[test]
fn frame_data_that_arrives_later_makes_stacks_whole() {
    let Some(path) = shared_file("symbols/crash-x86/crash.pdb") else { return };
    let temp = tempfile::tempdir().expect("a temporary folder");
    let file = temp.path().join("a.dmp");
    std::fs::write(&file, bytes(&dump())).expect("written");
    let progress = Progress::default();
    let opened = run(&[file], &progress).expect("nobody cancels");
    let unwound = unwind_threads(&opened, &progress).expect("nobody cancels");
    let by_chain = [(BASE + 0x1040, Context), (CALLERS_CALLER, FramePointer)];
    assert_eq!(frames(&unwound), by_chain);
    let search = SymbolSearch { user_folders: vec![temp.path().join("pdbs")], ..SymbolSearch::default() };
    let without = load_symbols(&unwound, &search, &progress).expect("nobody cancels");
    assert_eq!(frames(&without), by_chain);
    let stacks = |analysis: &Analysis| Arc::clone(&analysis.thread_stacks.as_ref().expect("unwound")[0]);
    assert!(Arc::ptr_eq(&stacks(&unwound), &stacks(&without)), "nothing new, nothing done");
    std::fs::create_dir(temp.path().join("pdbs")).expect("made");
    std::fs::write(temp.path().join("pdbs/crash.pdb"), bytes_of(&path)).expect("written");
    let named = load_symbols(&unwound, &search, &progress).expect("nobody cancels");
    assert_eq!(frames(&named), [(BASE + 0x1040, Context), (CALLER, Unwind), (CALLERS_CALLER, FramePointer)]);
    // Threads alone are unwound by this: without them there is nothing to do again.
    let named = load_symbols(&opened, &search, &progress).expect("nobody cancels");
    assert!(named.thread_stacks.is_none());
}
