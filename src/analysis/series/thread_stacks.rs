//! The stacks of all threads over the dumps of one process: which are equal, and which changed from dump to dump.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::analysis::snapshot::Snapshot;
use crate::analysis::snapshot::thread_stacks::{UnwindHelp, thread_stacks};
use crate::base::addr::{PointerWidth, Va};
use crate::base::progress::{Cancelled, Progress};
use crate::process::stacks::{ThreadStack, ThreadStacks};

use super::stacks::{Found, Joining, SeriesStacks, StackCounts};
use super::threads::ThreadHistory;

/// See the file's head.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SeriesThreadStacks {
    /// For each dump, beside its threads; `None` for a thread that ended.
    pub of_dumps: Vec<Vec<Option<ThreadStacks>>>,
    /// The different stacks. What they count are threads, and their frames are where each function was executing.
    pub unique: Arc<SeriesStacks>,
    /// For each dump, beside its threads: the position of the stack among `unique`.
    unique_of: Vec<Vec<Option<u32>>>,
}

/// A thread's stack in a dump, as against the dump before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StackChange {
    Same,
    Changed,
    /// The dump before does not have the thread.
    New,
}

impl SeriesThreadStacks {
    /// The stacks of a thread, by the positions of dump and thread.
    pub fn stacks(&self, dump: usize, thread: usize) -> Option<&ThreadStacks> {
        self.of_dumps.get(dump)?.get(thread)?.as_ref()
    }

    fn unique_of(&self, dump: usize, history: &ThreadHistory) -> Option<u32> {
        let thread = history.positions.get(dump).copied().flatten()?;
        self.unique_of.get(dump)?.get(thread).copied().flatten()
    }

    /// How a thread's stack compares with the one in the dump before; `None` where one of them is not known.
    pub fn change(&self, history: &ThreadHistory, dump: usize) -> Option<StackChange> {
        let now = self.unique_of(dump, history)?;
        let before = dump.checked_sub(1)?;
        if history.positions.get(before).copied().flatten().is_none() {
            return Some(StackChange::New);
        }
        let before = self.unique_of(before, history)?;
        Some(if before == now { StackChange::Same } else { StackChange::Changed })
    }

    /// What the thread's stacks have in common in all dumps that have it, and what not; `None` with fewer than two.
    pub fn common_and_varying(&self, history: &ThreadHistory) -> Option<CommonAndVarying> {
        let stacks = (0..history.positions.len()).filter_map(|dump| self.unique_of(dump, history));
        let stacks: Vec<Vec<Va>> = stacks.map(|stack| self.unique.frames(stack as usize).collect()).collect();
        let (first, others) = stacks.split_first().filter(|(_, others)| !others.is_empty())?;
        let equal_count =
            |other: &Vec<Va>| first.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
        let common_count = others.iter().map(equal_count).min().unwrap_or_default();
        let above = |stack: &Vec<Va>| stack.iter().take(stack.len().saturating_sub(common_count)).copied().collect();
        Some(CommonAndVarying { common_count, varying: stacks.iter().map(above).collect() })
    }
}

impl SeriesThreadStacks {
    /// Where all functions on all stacks were executing.
    pub fn addresses(&self) -> impl Iterator<Item = Va> + '_ {
        self.of_dumps.iter().flatten().flatten().flat_map(stack_addresses)
    }
}

/// The stacks of one thread over the dumps that have it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommonAndVarying {
    /// Outer frames that all of them have.
    pub common_count: usize,
    /// For each dump the frames above those, innermost first.
    pub varying: Vec<Vec<Va>>,
}

/// The stack that shows what the program does: the 32-bit one of a WOW64 thread.
pub fn main_stack(stacks: &ThreadStacks) -> &ThreadStack {
    stacks.wow64.as_ref().filter(|stack| !stack.frames.is_empty()).unwrap_or(&stacks.native)
}

/// Where all functions on a thread's stacks were executing.
pub fn stack_addresses(stacks: &ThreadStacks) -> impl Iterator<Item = Va> + '_ {
    let all = [Some(&stacks.native), stacks.wow64.as_ref(), stacks.exception.as_ref()];
    all.into_iter().flatten().flat_map(|stack| stack.frames.iter().map(|frame| frame.ip))
}

/// Unwinds the threads of all dumps of one process. `help` is for each dump what there is besides it, and may be empty.
///
/// # Errors
/// Only when cancelled.
pub fn unwind_series(
    snapshots: &[Arc<Snapshot>],
    help: &[UnwindHelp<'_>],
    progress: &Progress,
) -> Result<SeriesThreadStacks, Cancelled> {
    let mut of_dumps = Vec::with_capacity(snapshots.len());
    for (dump, snapshot) in snapshots.iter().enumerate() {
        let help = help.get(dump).copied().unwrap_or_default();
        let mut by_tid: HashMap<u32, ThreadStacks> = thread_stacks(snapshot, help, progress)?.into_iter().collect();
        of_dumps.push(snapshot.threads.iter().map(|thread| by_tid.remove(&thread.tid)).collect());
    }
    let unique = Arc::new(join(&of_dumps));
    let positions: HashMap<Vec<Va>, u32> = (0..u32::try_from(unique.len()).unwrap_or(u32::MAX))
        .map(|at| (unique.frames(at as usize).collect(), at))
        .collect();
    let unique_of = of_dumps
        .iter()
        .map(|threads| threads.iter().map(|stacks| positions.get(&frames_of(stacks.as_ref()?)).copied()).collect())
        .collect();
    Ok(SeriesThreadStacks { of_dumps, unique, unique_of })
}

fn join(of_dumps: &[Vec<Option<ThreadStacks>>]) -> SeriesStacks {
    let hasher = RandomState::new();
    let mut joining = Joining::new(of_dumps.len(), None);
    for (dump, threads) in of_dumps.iter().enumerate().rev() {
        joining.cover(dump, 0);
        for stacks in threads.iter().flatten() {
            let frames = frames_of(stacks);
            if frames.is_empty() {
                continue;
            }
            let width = main_stack(stacks).frames.first().map_or(PointerWidth::Bits64, |frame| frame.width);
            let counts = StackCounts { entry_count: 1, ..StackCounts::default() };
            joining.add(dump, &Found { hash: hasher.hash_one(&frames), frames: &frames, width, counts });
        }
    }
    joining.finish()
}

fn frames_of(stacks: &ThreadStacks) -> Vec<Va> {
    main_stack(stacks).frames.iter().map(|frame| frame.ip).collect()
}
