//! Stacks as WinDbg writes them, and the names of functions that log traces.

use dumptrend::analysis::series::thread_doing::is_logging_trace;
use dumptrend::analysis::series::traces::symbols_of;
use dumptrend::analysis::snapshot::thread_stacks::{UnwindHelp, thread_stacks};
use dumptrend::base::progress::Progress;
use dumptrend::input::symbols::SymbolName;
use dumptrend::present::stacks::{StackForm, current_thread, end_text, stack_text, thread_line};
use dumptrend::process::stacks::ThreadStack;
use dumptrend::sample::minidump_file::{Exception, Thread};

use crate::support::build_dump::{snapshot, x64_dump};
use crate::support::sample_series::sample_series;

#[test]
fn the_listings_have_windbgs_columns() {
    let series = sample_series();
    let snapshot = &series.analysis.snapshots[5];
    let stacks = thread_stacks(snapshot, UnwindHelp::default(), &Progress::default()).expect("nobody cancels");
    let symbols = symbols_of(snapshot);
    let lines =
        |form| -> Vec<String> { stack_text(&stacks[0].1.native, &symbols, form).lines().map(str::to_owned).collect() };
    let plain = lines(StackForm::Plain);
    assert_eq!(plain[0], "Child-SP          RetAddr               Call Site");
    assert_eq!(plain[4], "00000000`001af700 00000000`778834d8     ntdll!RtlpAllocateHeap+0x33bd");
    assert_eq!(plain[31], "00000000`001aff90 00000000`00000000     ntdll!RtlUserThreadStart+0x1d");
    let full = lines(StackForm::Full);
    assert_eq!(full[0], "Child-SP          RetAddr               Trust          Call Site");
    assert_eq!(full[4], "00000000`001af700 00000000`778834d8     unwind         ntdll!RtlpAllocateHeap+0x33bd");
    assert_eq!(lines(StackForm::CallSites)[4], "ntdll!RtlpAllocateHeap");
}

#[test]
fn threads_are_marked_as_windbg_marks_them() {
    let thread = |id| Thread { id, ..Thread::default() };
    let file = x64_dump().threads(vec![thread(0x10), thread(0x20), thread(0x30)]);
    let of_first = snapshot(&file);
    assert_eq!(current_thread(&of_first), Some(0x10));
    let with_event = snapshot(&file.exception(Exception { thread_id: 0x20, ..Exception::default() }));
    assert_eq!(current_thread(&with_event), Some(0x20));
    let line = |index: usize, current| thread_line(&with_event, &with_event.threads[index], Some(current));
    assert_eq!(line(1, 0x20), ".  1  Id: ?.20 Suspend: 0 Teb: ????????`???????? Unfrozen");
    assert!(line(1, 0x30).starts_with("#  1  Id: ") && line(0, 0x30).starts_with("   0  Id: "));
    let series = sample_series();
    let sample = &series.analysis.snapshots[5];
    let expect = ".  0  Id: 53b4.53b8 Suspend: 0 Teb: 000007ff`fffdd000 Unfrozen";
    assert_eq!(thread_line(sample, &sample.threads[0], current_thread(sample)), expect);
}

#[test]
fn a_thread_without_registers_says_so() {
    let stack = ThreadStack::without_context();
    assert_eq!(end_text(&stack).as_deref(), Some("the dump has no registers of the thread"));
}

#[test]
fn functions_that_log_traces_are_known_by_name() {
    let logging = |names: &[(&'static str, &'static str, u64)]| {
        is_logging_trace(names.iter().map(|(module, function, offset)| SymbolName {
            module,
            function: Some(function),
            offset: *offset,
        }))
    };
    let heap = ("ntdll", "RtlAllocateHeap", 0x16c);
    assert_eq!(logging(&[heap, ("ntdll", "RtlUserThreadStart", 0x1d)]), None);
    assert_eq!(
        logging(&[("ntdll", "RtlpExtendStackTraceDataBase", 8), ("ntdll", "RtlLogStackBackTrace", 4), heap]),
        Some("RtlpExtendStackTraceDataBase")
    );
    assert_eq!(
        logging(&[("ntdll", "ZwWriteFile", 0x14), ("ntdll_77ca0000", "RtlpRegisterStackTrace", 4)]),
        Some("RtlpRegisterStackTrace")
    );
    // Another module's function of that name, code far behind an export, and a program's own stack trace.
    assert_eq!(logging(&[("app", "RtlStdLogStackTrace", 4), ("ntdll", "RtlLogStackBackTrace", 0x1_0000)]), None);
    assert_eq!(logging(&[("ntdll", "RtlCaptureStackBackTrace", 0x20)]), None);
}
