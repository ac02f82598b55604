//! The stacks of threads in the JSON report.
//!
//! **Invariant:** a dump of thousands of threads gets at most [`MOST_FRAMES`] frames and a few more, those of the first
//! threads; the others' stacks are `null` and counted.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::analysis::series::traces::symbols_of;
use crate::analysis::snapshot::Snapshot;
use crate::analysis::snapshot::thread_stacks::thread_stacks;
use crate::base::progress::Progress;
use crate::input::symbols::SymbolTable;
use crate::present::stacks::{end_text, frame_symbol, logging_function};
use crate::process::stacks::{Frame, StackEnd, ThreadStack, ThreadStacks};

/// Some ten megabytes of JSON.
const MOST_FRAMES: usize = 50_000;

/// The stacks of one thread; `null` where there is none.
#[derive(Serialize, Default)]
pub(super) struct JsonStacks {
    /// Innermost first.
    stack: Option<Vec<JsonFrame>>,
    /// Why the stack ends where it does; `null` when it is whole.
    stack_end: Option<String>,
    /// The 32-bit stack of a WOW64 thread.
    wow64_stack: Option<Vec<JsonFrame>>,
    wow64_stack_end: Option<String>,
    /// Where the exception happened, if the thread is elsewhere.
    exception_stack: Option<Vec<JsonFrame>>,
}

#[derive(Serialize)]
struct JsonFrame {
    address: String,
    symbol: String,
    /// `context`, `unwind`, `frame_pointer` or `scan`.
    trust: &'static str,
    sp: String,
}

/// The stacks of one dump on their way into its report.
pub(super) struct DumpStacks {
    stacks: BTreeMap<u32, ThreadStacks>,
    symbols: SymbolTable,
    frames_left: usize,
    pub left_out_count: u64,
}

impl DumpStacks {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        // Nobody cancels a report's own progress.
        let stacks = thread_stacks(snapshot, None, &Progress::default()).unwrap_or_default();
        let symbols = symbols_of(snapshot);
        Self { stacks: stacks.into_iter().collect(), symbols, frames_left: MOST_FRAMES, left_out_count: 0 }
    }

    pub(super) fn is_logging_trace(&self, tid: u32) -> Option<bool> {
        let stacks = self.stacks.get(&tid).filter(|stacks| stacks.native.end != StackEnd::NoContext)?;
        Some(logging_function(stacks, &self.symbols).is_some())
    }

    pub(super) fn take(&mut self, tid: u32) -> JsonStacks {
        let Some(stacks) = self.stacks.remove(&tid) else { return JsonStacks::default() };
        if self.frames_left == 0 {
            self.left_out_count += 1;
            return JsonStacks::default();
        }
        let ThreadStacks { native, wow64, exception } = &stacks;
        let all = [Some(native), wow64.as_ref(), exception.as_ref()];
        let frame_count = all.into_iter().flatten().map(|stack| stack.frames.len()).sum();
        self.frames_left = self.frames_left.saturating_sub(frame_count);
        JsonStacks {
            stack: self.frames(Some(native)),
            stack_end: end_text(native),
            wow64_stack: self.frames(wow64.as_ref()),
            wow64_stack_end: wow64.as_ref().and_then(end_text),
            exception_stack: self.frames(exception.as_ref()),
        }
    }

    fn frames(&self, stack: Option<&ThreadStack>) -> Option<Vec<JsonFrame>> {
        let stack = stack.filter(|stack| stack.end != StackEnd::NoContext)?;
        let frame = |frame: &Frame| JsonFrame {
            address: frame.ip.to_string(),
            symbol: frame_symbol(&self.symbols, frame),
            trust: frame.trust.key(),
            sp: frame.sp.to_string(),
        };
        Some(stack.frames.iter().map(frame).collect())
    }
}
