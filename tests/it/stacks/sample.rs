//! The sample: the stack of the case, and dumps made from the same images.

use std::sync::Arc;

use dumptrend::analysis::names::named_stacks;
use dumptrend::analysis::run::SymbolSearch;
use dumptrend::analysis::run::unwind_threads;
use dumptrend::analysis::series::group::group_by_process;
use dumptrend::analysis::series::thread_doing::logging_function;
use dumptrend::analysis::series::traces::symbols_of;
use dumptrend::analysis::snapshot::Snapshot;
use dumptrend::analysis::snapshot::thread_stacks::{UnwindHelp, thread_stacks};
use dumptrend::base::addr::{Va, VaRange};
use dumptrend::base::bytes::slice_at as slice_in;
use dumptrend::base::memory::slice_at;
use dumptrend::base::progress::{Cancelled, Progress};
use dumptrend::present::stacks::{StackForm, stack_text};
use dumptrend::process::stacks::{StackEnd, ThreadStacks, Trust};
use dumptrend::report::json::json_report;
use dumptrend::sample::minidump_file::{MemoryRange, MinidumpFile, Module, Thread, flags};
use serde_json::Value;

use crate::support::build_dump::{NEW_YEAR_UNIX_SECONDS, snapshot, windows_7};
use crate::support::sample_series::sample_series;
use crate::support::shared::shared_file;

fn stacks_of(snapshot: &Snapshot) -> Vec<(u32, ThreadStacks)> {
    thread_stacks(snapshot, UnwindHelp::default(), &Progress::default()).expect("nobody cancels")
}

#[test]
fn the_stack_of_the_case_is_found_frame_by_frame() {
    let series = sample_series();
    let snapshot = &series.analysis.snapshots[5];
    let stacks = stacks_of(snapshot);
    let [(0x53b8, ThreadStacks { native, wow64: None, exception: None })] = &stacks[..] else {
        panic!("one thread with one stack: {stacks:?}");
    };
    assert_eq!((native.frames.len(), native.end), (31, StackEnd::Outermost));
    assert_eq!(native.frames[0].trust, Trust::Context);
    assert!(native.frames[1..].iter().all(|frame| frame.trust == Trust::Unwind));
    let symbols = symbols_of(snapshot);
    let text = stack_text(native, &symbols, StackForm::CallSites);
    assert!(text.starts_with("Call Site\nntdll!RtlpStdLogCapturedStackTrace\nntdll!RtlStdLogStackTrace\n"), "{text}");
    assert_eq!(logging_function(&stacks[0].1, &symbols), Some("RtlpStdLogCapturedStackTrace"));
    let Some(expect) = shared_file("facts/case-allocfree/kc.txt") else { return };
    let expect = std::fs::read_to_string(expect).expect("text");
    let lines =
        |text: &str| text.lines().skip_while(|line| *line != "Call Site").map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&text), lines(&expect));
}

#[test]
fn the_json_report_has_the_stacks() {
    let analysis = unwind_threads(&sample_series().analysis, &Progress::default()).expect("not cancelled");
    let report: Value =
        serde_json::from_str(&json_report(&Arc::new(analysis), None).expect("a report")).expect("valid JSON");
    let thread = &report["dumps"][5]["threads"][0];
    let stack = thread["stack"].as_array().expect("a stack");
    assert_eq!(stack.len(), 31);
    assert_eq!(stack[3]["symbol"], "ntdll!RtlpAllocateHeap+0x33bd");
    assert_eq!((&stack[3]["address"], &stack[3]["sp"]), (&"0x77891142".into(), &"0x1af700".into()));
    assert_eq!((&stack[0]["trust"], &stack[30]["trust"]), (&"context".into(), &"unwind".into()));
    assert_eq!((&thread["logging_trace"], &thread["stack_end"]), (&true.into(), &Value::Null));
    assert_eq!((&thread["wow64_stack_end"], &thread["exception_stack"]), (&Value::Null, &Value::Null));
    assert_eq!((&thread["waiting"], &stack[0]["pointer_bits"]), (&false.into(), &64.into()));
    let sizes = (&thread["stack_committed_bytes"], &thread["stack_reserved_bytes"], &thread["last_error"]);
    assert_eq!(sizes, (&0x6000.into(), &0x10_0000.into(), &0.into()));
    // The stack begins at 1b0000, and the innermost frame's stack pointer is as above.
    assert_eq!(
        thread["stack_used_bytes"],
        0x1b_0000 - u64::from_str_radix(&stack[0]["sp"].as_str().expect("sp")[2..], 16).expect("hex")
    );
    assert_eq!(report["dumps"][5]["stacks_left_out_count"], 0);
}

/// The bytes of the sample's dump from `range` on, as far as it has them; holes are zero.
fn bytes_of(snapshot: &Snapshot, range: VaRange) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(range.size_bytes()).expect("small")];
    for part in snapshot.dump.memory.ranges().iter().filter_map(|part| part.range.intersection(range)) {
        let found = slice_at(&snapshot.dump.memory, part.start, part.size_bytes()).expect("a range of the dump");
        let from = usize::try_from(part.start.0 - range.start.0).expect("small");
        bytes[from..from + found.len()].copy_from_slice(found);
    }
    bytes
}

/// Many threads on one stack: that of the case. `has_images` puts the images in the dump.
fn threads_of_the_case(thread_count: u32, has_images: bool) -> MinidumpFile {
    let series = sample_series();
    let sample = &series.analysis.snapshots[5];
    let thread = &sample.dump.threads.as_ref().expect("threads")[0];
    let place = thread.context;
    let context =
        slice_in(sample.dump.memory.file_bytes(), place.offset.0, place.size_bytes).expect("a context").to_vec();
    let modules = sample.dump.modules.as_deref().expect("modules");
    let stack = sample.tebs[0].stack.expect("bounds");
    let stack = VaRange { start: Va(stack.end.0 - 0x2000), end: stack.end };
    let images = modules.iter().map(|module| module.range()).filter(|_| has_images);
    let ranges = [stack]
        .into_iter()
        .chain(images)
        .map(|range| MemoryRange::hole(range.start, range.size_bytes()).with(0, bytes_of(sample, range)));
    let listed = modules.iter().map(|module| Module {
        base: module.base,
        size_bytes: u32::try_from(module.size_bytes).expect("32 bits"),
        time_date_stamp: module.time_date_stamp,
        path: module.path.clone().expect("a path"),
        ..Module::default()
    });
    let threads = (1..=thread_count).map(|id| Thread { id, context: context.clone(), ..Thread::default() });
    MinidumpFile::new(flags::WITH_FULL_MEMORY, NEW_YEAR_UNIX_SECONDS)
        .system_info(windows_7(9))
        .modules(listed.collect())
        .threads(threads.collect())
        .memory64(ranges.collect())
}

#[test]
fn thousands_of_threads_keep_their_order_and_the_report_stays_bounded() {
    let snapshot = snapshot(&threads_of_the_case(4000, true));
    let stacks = stacks_of(&snapshot);
    assert_eq!(stacks.iter().map(|(tid, _)| *tid).collect::<Vec<_>>(), (1..=4000).collect::<Vec<_>>());
    assert!(stacks.iter().all(|(_, stacks)| stacks.native.frames.len() == 31));
    let mut analysis = dumptrend::analysis::Analysis::default();
    analysis.snapshots.push(Arc::new(snapshot));
    analysis.groups = group_by_process(&analysis.snapshots);
    let analysis = unwind_threads(&analysis, &Progress::default()).expect("not cancelled");
    let report: Value = serde_json::from_str(&json_report(&Arc::new(analysis), None).expect("a report")).expect("JSON");
    // 50,000 frames are 1612 whole stacks.
    assert_eq!(report["dumps"][0]["stacks_left_out_count"], 4000 - 1612);
    assert!(report["dumps"][0]["threads"][1611]["stack"].is_array());
    assert!(report["dumps"][0]["threads"][1612]["stack"].is_null());
}

#[test]
fn a_cancel_stops_the_unwinding() {
    let snapshot = snapshot(&threads_of_the_case(8, true));
    let progress = Progress::default();
    progress.cancel();
    assert_eq!(thread_stacks(&snapshot, UnwindHelp::default(), &progress), Err(Cancelled));
}

#[test]
fn image_files_stand_in_for_images_that_are_not_in_the_dump() {
    let snapshot = Arc::new(snapshot(&threads_of_the_case(1, false)));
    let without = &stacks_of(&snapshot)[0].1.native;
    assert!(without.frames[1..].iter().all(|frame| frame.trust == Trust::Scan));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let with_images = || {
        let search = SymbolSearch { user_folders: vec![folder.path().to_owned()], ..SymbolSearch::default() };
        let named = named_stacks(&snapshot, &search, &Progress::default()).expect("nobody cancels");
        (named.stacks[0].1.native.clone(), named.image_count)
    };
    assert_eq!(with_images(), (without.clone(), 0));
    let series = sample_series();
    let sample = &series.analysis.snapshots[5];
    for (index, module) in sample.dump.modules.iter().flatten().enumerate() {
        // In the sample's images file positions equal addresses.
        let mut bytes = bytes_of(sample, module.range());
        let name = module.file_name();
        let store = folder.path().join(name).join(format!("{:08X}{:x}", module.time_date_stamp, module.size_bytes));
        let path = if index % 2 == 0 { folder.path().join(name) } else { store.join(name) };
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        if index == 3 {
            // Another version of the same library is not taken; nothing of it is on the stack.
            let at = bytes.windows(4).position(|word| word == module.time_date_stamp.to_le_bytes()).expect("a stamp");
            bytes[at] ^= 1;
        }
        std::fs::write(path, bytes).expect("written");
    }
    let (stack, image_count) = with_images();
    assert_eq!((stack.frames.len(), stack.end, image_count), (31, StackEnd::Outermost, 3));
    assert!(stack.frames[1..].iter().all(|frame| frame.trust == Trust::Unwind));
}
