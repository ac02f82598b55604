//! Threads by intervals, and the stacks of the selected one below.

use std::sync::Arc;

use eframe::egui::{Frame, Margin, Panel, Ui};

use crate::analysis::series::thread_doing::thread_doing;
use crate::analysis::series::thread_stacks::{SeriesThreadStacks, StackChange};
use crate::analysis::series::threads::{ThreadHistory, thread_histories};
use crate::analysis::snapshot::Snapshot;
use crate::base::time::UtcTime;
use crate::gui::background::Background;
use crate::gui::ctx::ViewCtx;
use crate::gui::selection::Item;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::present::table::TableModel;
use crate::present::thread_matrix::{FIRST_SORT, ThreadMarks, ThreadMatrix, over_dumps_text};
use crate::present::traces::leading::Naming;
use crate::present::value::StackMark;

use super::{Shown, ThreadsState, stacks};

pub(super) struct MatrixState {
    table: TableState,
    built: Background<(u64, usize, usize), Arc<ThreadMatrix>>,
    selected: Option<(u32, Option<UtcTime>)>,
    /// The thread of the session's selection that was shown last.
    asked: Option<u32>,
}

impl Default for MatrixState {
    fn default() -> Self {
        Self { table: TableState::sorted(FIRST_SORT), built: Background::default(), selected: None, asked: None }
    }
}

pub(super) fn matrix_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut ThreadsState, shown: &Shown) {
    let Some(matrix) = build(ui, ctx, state, shown) else {
        ui.weak("Following the threads…");
        return;
    };
    let row_of = |selected: (u32, Option<UtcTime>)| {
        (0..matrix.row_count())
            .find(|row| matrix.history(*row).is_some_and(|history| (history.tid, history.created) == selected))
    };
    // A thread that something else asked for, as a finding does.
    if let Some(Item::Thread { tid, .. }) = ctx.session.selected
        && state.matrix.asked != Some(tid)
    {
        state.matrix.asked = Some(tid);
        let mut histories = (0..matrix.row_count()).rev().filter_map(|row| matrix.history(row));
        let asked = histories.find(|history| history.tid == tid).map(|history| (history.tid, history.created));
        state.matrix.selected = asked.or(state.matrix.selected);
    }
    let busiest = || (0..matrix.row_count()).max_by_key(|row| matrix.newest(*row).and_then(|(_, t)| t.times.user_ns));
    let selected_row = state.matrix.selected.and_then(row_of).or_else(busiest);
    let below = (ui.available_height() * 0.6).max(120.0);
    Panel::bottom("thread stacks")
        .resizable(true)
        .default_size(below)
        .min_size(120.0)
        .frame(Frame::new().inner_margin(Margin { left: 0, right: 0, top: 6, bottom: 0 }))
        .show(ui, |ui| stacks::stacks_ui(ui, ctx, &mut state.stacks, shown, &matrix, selected_row));
    let model: Arc<dyn TableModel> = Arc::<ThreadMatrix>::clone(&matrix);
    let options = TableOptions {
        id: "threads",
        model_key: model_key(&(ctx.session.generation, shown.interval.from, shown.interval.to)),
        bar: Bar::Filter,
        is_sortable: true,
        selected_row,
        reveal_selected: false,
    };
    let output = table_ui(ui, ctx.theme, &model, &mut state.matrix.table, &options);
    if let Some(history) = output.clicked.and_then(|row| matrix.history(row)) {
        state.matrix.selected = Some((history.tid, history.created));
    }
    ctx.send_texts(output, || format!("threads-{}-{}.csv", shown.from, shown.to));
}

/// The matrix over the compared dumps; `None` while it is made.
fn build(ui: &Ui, ctx: &ViewCtx<'_>, state: &mut ThreadsState, shown: &Shown) -> Option<Arc<ThreadMatrix>> {
    let (from, to) = (shown.interval.from, shown.interval.to);
    let key = (ctx.session.generation, from, to);
    let analysis = Arc::clone(&ctx.session.analysis);
    let dumps = shown.interval.dumps.clone();
    let (threads, naming) = (shown.threads.clone(), shown.naming.clone());
    let made = state.matrix.built.get_current(ui.ctx(), &key, move |_| {
        let all: Vec<Arc<Snapshot>> =
            dumps.iter().filter_map(|dump| analysis.snapshot(*dump).map(Arc::clone)).collect();
        // Over the whole series, so that a thread that is older than the interval is known to be.
        let histories = thread_histories(&all);
        let marks = histories.iter().map(|history| marks_of(history, from, to, &all, threads.as_deref(), &naming));
        let marks = marks.collect();
        let snapshots = all.get(from..=to).unwrap_or_default().to_vec();
        let cut = histories.into_iter().map(|history| cut_to(history, from, to)).collect();
        let dumps = dumps.get(from..=to).unwrap_or_default().to_vec();
        Ok(Arc::new(ThreadMatrix::new(snapshots, dumps, Arc::clone(&naming.symbols), cut, marks)))
    });
    made.map(Arc::clone)
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
    naming: &Naming,
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
    let doing = newest.and_then(|stacks| thread_doing(stacks, &naming.symbols));
    ThreadMarks {
        stacks: (from..=to).map(mark).collect(),
        doing: doing.map(|doing| doing.text()),
        is_suspicious: doing.is_some_and(|doing| doing.is_suspicious()),
        over_dumps: threads.common_and_varying(history).map(|stacks| over_dumps_text(&stacks, &naming.symbols)),
    }
}
