//! Threads and their stacks in the JSON report.

use serde::Serialize;

use crate::analysis::Analysis;
use crate::analysis::series::thread_doing::{Doing, logging_function, thread_doing};
use crate::analysis::snapshot::{Snapshot, Thread};
use crate::base::ids::DumpIdx;
use crate::input::symbols::SymbolTable;
use crate::present::stacks::{end_text, frame_symbol};
use crate::present::thread_matrix::{thread_stack_use, thread_teb};
use crate::process::stacks::{ThreadStack, ThreadStacks};

/// Frames of one dump that are written out; a program with thousands of deep stacks would make gigabytes of them.
const MOST_FRAMES: usize = 50_000;

#[derive(Serialize)]
pub(super) struct ThreadEntry {
    tid: u32,
    name: Option<String>,
    created: Option<String>,
    start_address: Option<String>,
    start_symbol: Option<String>,
    user_ns: Option<u64>,
    kernel_ns: Option<u64>,
    elapsed_ns: Option<u64>,
    last_error: Option<u32>,
    /// From the stack pointer to the stack's base.
    stack_used_bytes: Option<u64>,
    stack_committed_bytes: Option<u64>,
    stack_reserved_bytes: Option<u64>,
    waiting: Option<bool>,
    logging_trace: Option<bool>,
    /// Innermost first. Of a WOW64 thread first the 64-bit frames, then those of the 32-bit program.
    stack: Option<Vec<StackFrame>>,
    /// Why the stack has no more frames; `null` for one that is whole.
    stack_end: Option<String>,
    wow64_stack_end: Option<String>,
    /// Where an exception happened, when the thread has gone elsewhere since.
    exception_stack: Option<Vec<StackFrame>>,
}

#[derive(Serialize)]
pub(super) struct StackFrame {
    address: String,
    pointer_bits: u32,
    symbol: String,
    sp: String,
    return_address: Option<String>,
    trust: &'static str,
    source: Option<String>,
}

/// The threads of one dump, and how many stacks were left out because there are too many of them. Stacks are `null`
/// before they were unwound, too.
pub(super) fn threads(
    analysis: &Analysis,
    dump: DumpIdx,
    snapshot: &Snapshot,
    symbols: &SymbolTable,
) -> (Vec<ThreadEntry>, usize) {
    let group = analysis.group_of(dump);
    let position = group.and_then(|group| group.dumps.iter().position(|other| *other == dump));
    let unwound = group.and_then(|group| analysis.thread_stacks_of(group));
    let mut frames_left = MOST_FRAMES;
    let mut left_out_count = 0;
    let entry = |(index, thread): (usize, &Thread)| {
        let stacks = unwound.zip(position).and_then(|(unwound, dump)| unwound.stacks(dump, index));
        let frame_count = stacks.map_or(0, frame_count);
        let written = stacks.filter(|_| frame_count <= frames_left);
        frames_left = if written.is_some() { frames_left.saturating_sub(frame_count) } else { frames_left };
        left_out_count += usize::from(stacks.is_some() && written.is_none());
        entry(snapshot, thread, stacks, written, symbols)
    };
    let entries = snapshot.threads.iter().enumerate().map(entry).collect();
    (entries, left_out_count)
}

fn frame_count(stacks: &ThreadStacks) -> usize {
    let all = [Some(&stacks.native), stacks.wow64.as_ref(), stacks.exception.as_ref()];
    all.into_iter().flatten().map(|stack| stack.frames.len()).sum()
}

fn entry(
    snapshot: &Snapshot,
    thread: &Thread,
    stacks: Option<&ThreadStacks>,
    written: Option<&ThreadStacks>,
    symbols: &SymbolTable,
) -> ThreadEntry {
    let teb = thread_teb(snapshot, thread);
    let stack_use = thread_stack_use(snapshot, thread, stacks);
    let doing = stacks.and_then(|stacks| thread_doing(stacks, symbols));
    let frames = |stack: &ThreadStack| frames(stack, symbols);
    ThreadEntry {
        tid: thread.tid,
        name: thread.name.clone(),
        created: thread.created.map(|time| time.to_string()),
        start_address: thread.start_address.map(|va| va.to_string()),
        start_symbol: thread.start_address.and_then(|va| symbols.name_of(va)).map(|name| name.to_string()),
        user_ns: thread.times.user_ns,
        kernel_ns: thread.times.kernel_ns,
        elapsed_ns: thread.times.elapsed_ns,
        last_error: teb.and_then(|teb| teb.last_error),
        stack_used_bytes: stack_use.and_then(|stack_use| stack_use.used_bytes),
        stack_committed_bytes: stack_use.map(|stack_use| stack_use.committed_bytes),
        stack_reserved_bytes: stack_use.map(|stack_use| stack_use.reserved_bytes),
        waiting: doing.map(|doing| doing == Doing::Waiting),
        logging_trace: stacks.filter(|_| doing.is_some()).map(|stacks| logging_function(stacks, symbols).is_some()),
        stack: written.map(|stacks| {
            let halves = [Some(&stacks.native), stacks.wow64.as_ref()];
            halves.into_iter().flatten().flat_map(frames).collect()
        }),
        stack_end: written.and_then(|stacks| end_text(&stacks.native)),
        wow64_stack_end: written.and_then(|stacks| end_text(stacks.wow64.as_ref()?)),
        exception_stack: written.and_then(|stacks| stacks.exception.as_ref()).map(frames),
    }
}

fn frames(stack: &ThreadStack, symbols: &SymbolTable) -> Vec<StackFrame> {
    let frame = |(index, frame): (usize, &crate::process::stacks::Frame)| {
        // The line of a caller is that of its call: the byte before the one that is returned to.
        let back = u64::from(index > 0);
        let at_call = crate::base::addr::Va(frame.ip.0.saturating_sub(back));
        StackFrame {
            address: frame.ip.to_string(),
            pointer_bits: frame.width.bits(),
            symbol: frame_symbol(symbols, frame),
            sp: frame.sp.to_string(),
            return_address: frame.return_address.map(|va| va.to_string()),
            trust: frame.trust.key(),
            source: symbols.line_of(at_call).map(|line| format!("{}:{}", line.file, line.line)),
        }
    };
    stack.frames.iter().enumerate().map(frame).collect()
}
