//! The unique stacks as a table, and the selected one beside it.

use std::sync::Arc;

use eframe::egui::{Frame, Margin, Panel, Ui};

use crate::gui::ctx::ViewCtx;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::present::table::TableModel;
use crate::present::traces::stack_table::{FIRST_SORT, StackInterval, StackTable};

use super::{RowsKey, Shown, TracesState, go_to_memory, stack};

pub(super) struct StacksState {
    table: TableState,
    built: Option<Built>,
    selected_stack: Option<usize>,
}

impl Default for StacksState {
    fn default() -> Self {
        Self { table: TableState::sorted(FIRST_SORT), built: None, selected_stack: None }
    }
}

struct Built {
    rows_key: RowsKey,
    interval: StackInterval,
    rules: Arc<crate::present::traces::leading::SkipRules>,
    table: Arc<StackTable>,
    key: u64,
}

pub(super) fn stacks_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut TracesState, shown: &Shown) {
    let built = build(state, shown);
    let frames_width = (ui.available_width() * 0.37).clamp(200.0, 900.0);
    let selected = state.stacks.selected_stack;
    Panel::right("frames")
        .resizable(true)
        .default_size(frames_width)
        .min_size(160.0)
        .frame(Frame::new().inner_margin(Margin { left: 8, right: 0, top: 0, bottom: 0 }))
        .show(ui, |ui| stack::stack_ui(ui, ctx, state, shown, selected));
    let model: Arc<dyn TableModel> = Arc::<StackTable>::clone(&built.table);
    let options = TableOptions {
        id: "stacks",
        model_key: built.key,
        bar: Bar::Rows,
        is_sortable: true,
        selected_row: selected.and_then(|stack| built.table.row_of(stack)),
        reveal_selected: false,
    };
    let output = table_ui(ui, ctx.theme, &model, &mut state.stacks.table, &options);
    if let Some(stack) = output.clicked.and_then(|row| built.table.stack(row)) {
        state.stacks.selected_stack = Some(stack);
    }
    let opened = output.double_clicked.and_then(|row| built.table.stack(row));
    let first_entry = opened.and_then(|stack| shown.stacks.counts(stack, shown.interval.to)).map(|c| c.first_entry);
    if let Some(va) = first_entry.filter(|va| !va.is_null()) {
        go_to_memory(state, va);
    }
    ctx.send_texts(output, || format!("stacks-{}-{}.csv", shown.from, shown.to));
    state.stacks.built = Some(built);
}

fn build(state: &mut TracesState, shown: &Shown) -> Built {
    let is_current = |built: &Built| {
        built.rows_key == shown.rows_key
            && built.interval == shown.interval
            && Arc::ptr_eq(&built.rules, &shown.naming.rules)
            && Arc::ptr_eq(&built.table.stacks, &shown.stacks)
            && built.table.has_outstanding() == shown.outstanding.is_some()
    };
    if let Some(built) = state.stacks.built.take().filter(is_current) {
        return built;
    }
    let (stacks, rows) = (Arc::clone(&shown.stacks), Arc::clone(&shown.rows));
    let outstanding = shown.outstanding.clone();
    let table = StackTable::new(stacks, outstanding, shown.naming.clone(), rows, shown.interval.clone());
    let selected = state.stacks.selected_stack.filter(|stack| table.row_of(*stack).is_some());
    state.stacks.selected_stack = selected.or_else(|| table.stack(0));
    let has_outstanding = shown.outstanding.is_some();
    let key = model_key(&(&shown.rows_key, &shown.interval, &*shown.naming.rules, has_outstanding));
    Built {
        rows_key: shown.rows_key.clone(),
        interval: shown.interval.clone(),
        rules: Arc::clone(&shown.naming.rules),
        table: Arc::new(table),
        key,
    }
}
