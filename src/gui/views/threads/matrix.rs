//! Threads by intervals, and the stacks of the selected one below.

use std::sync::Arc;

use eframe::egui::{Frame, Margin, Panel, Ui};

use crate::base::time::UtcTime;
use crate::gui::background::Background;
use crate::gui::ctx::ViewCtx;
use crate::gui::selection::Item;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::present::table::TableModel;
use crate::present::thread_matrix::{FIRST_SORT, ThreadMatrix};
use crate::present::thread_matrix_rows::thread_matrix;

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
        let symbols = Arc::clone(&naming.symbols);
        Ok(Arc::new(thread_matrix(&analysis, &dumps, (from, to), threads.as_deref(), symbols)))
    });
    made.map(Arc::clone)
}
