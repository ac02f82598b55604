//! The rows of the matrix of threads: each thread's CPU time, and what its stacks tell, over the compared dumps.

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::thread_doing::thread_doing;
use crate::analysis::series::thread_stacks::{SeriesThreadStacks, StackChange};
use crate::analysis::series::threads::{ThreadHistory, thread_histories};
use crate::analysis::snapshot::Snapshot;
use crate::base::ids::DumpIdx;
use crate::input::symbols::SymbolTable;

use super::thread_matrix::{ThreadMarks, ThreadMatrix, over_dumps_text};
use super::value::StackMark;

/// The matrix of the dumps of a series from one position to another.
pub fn thread_matrix(
    analysis: &Analysis,
    dumps: &[DumpIdx],
    (from, to): (usize, usize),
    threads: Option<&SeriesThreadStacks>,
    symbols: Arc<SymbolTable>,
) -> ThreadMatrix {
    let all: Vec<Arc<Snapshot>> = dumps.iter().filter_map(|dump| analysis.snapshot(*dump).map(Arc::clone)).collect();
    // Over the whole series, so that a thread that is older than the interval is known to be.
    let histories = thread_histories(&all);
    let marks = histories.iter().map(|history| marks_of(history, from, to, &all, threads, &symbols)).collect();
    let snapshots = all.get(from..=to).unwrap_or_default().to_vec();
    let cut = histories.into_iter().map(|history| cut_to(history, from, to)).collect();
    ThreadMatrix::new(snapshots, dumps.get(from..=to).unwrap_or_default().to_vec(), symbols, cut, marks)
}

fn cut_to(history: ThreadHistory, from: usize, to: usize) -> ThreadHistory {
    ThreadHistory {
        positions: history.positions.get(from..=to).unwrap_or_default().to_vec(),
        cpu_per_interval: history.cpu_per_interval.get(from..to).unwrap_or_default().to_vec(),
        ..history
    }
}

fn marks_of(
    history: &ThreadHistory,
    from: usize,
    to: usize,
    snapshots: &[Arc<Snapshot>],
    threads: Option<&SeriesThreadStacks>,
    symbols: &SymbolTable,
) -> ThreadMarks {
    let Some(threads) = threads else { return ThreadMarks::default() };
    let mark = |dump: usize| match threads.change(history, dump) {
        None => StackMark::Unknown,
        Some(StackChange::Same) => StackMark::Same,
        Some(StackChange::Changed) => StackMark::Changed,
        Some(StackChange::New) => StackMark::New,
    };
    let newest = (from..=to).rev().find_map(|dump| {
        let thread = history.positions.get(dump).copied().flatten()?;
        snapshots.get(dump)?;
        threads.stacks(dump, thread)
    });
    let doing = newest.and_then(|stacks| thread_doing(stacks, symbols));
    ThreadMarks {
        stacks: (from..=to).map(mark).collect(),
        doing: doing.map(|doing| doing.text()),
        is_suspicious: doing.is_some_and(|doing| doing.is_suspicious()),
        over_dumps: threads.common_and_varying(history).map(|stacks| over_dumps_text(&stacks, symbols)),
    }
}
