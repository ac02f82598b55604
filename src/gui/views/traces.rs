//! The unique stacks of the trace stores over the series, and the frames of the selected one.

use std::sync::Arc;

use eframe::egui::{Frame, Label, Margin, Panel, RichText, ScrollArea, Ui};

use crate::base::ids::DumpIdx;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::widgets::table::{TableOptions, TableState, model_key, table_ui};
use crate::present::table::{Sort, TableModel};
use crate::present::traces::{StackTable, store_lines};

/// What the tab remembers.
pub struct TracesState {
    table: TableState,
    built: Option<Built>,
    selected_row: Option<usize>,
}

impl Default for TracesState {
    fn default() -> Self {
        // What grew most comes first.
        const GROWTH: Sort = Sort { column: 3, descending: true };
        Self { table: TableState::sorted(GROWTH), built: None, selected_row: None }
    }
}

struct Built {
    key: (u64, DumpIdx, DumpIdx),
    table: Arc<StackTable>,
}

pub fn traces_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut TracesState) {
    let Some((from, to)) = ctx.session.ends() else { return };
    let Some(built) = build(ctx, state, from, to) else {
        nothing_ui(ui, ctx);
        return;
    };
    for line in store_lines(&ctx.session.analysis, to) {
        ui.add(Label::new(format!("Dump {to}: {line}.")).wrap());
    }
    ui.add_space(4.0);
    let frames_width = (ui.available_width() * 0.4).clamp(200.0, 900.0);
    Panel::right("frames")
        .resizable(true)
        .default_size(frames_width)
        .min_size(160.0)
        .frame(Frame::new().inner_margin(Margin { left: 8, right: 0, top: 0, bottom: 0 }))
        .show(ui, |ui| frames_ui(ui, ctx, &built.table, state.selected_row));
    let model: Arc<dyn TableModel> = Arc::<StackTable>::clone(&built.table);
    let options = TableOptions {
        id: "stacks",
        model_key: model_key(&built.key),
        has_bar: true,
        selected_row: state.selected_row,
        reveal_selected: false,
    };
    let output = table_ui(ui, ctx.theme, &model, &mut state.table, &options);
    state.selected_row = output.clicked.or(state.selected_row).filter(|row| *row < model.row_count());
    ctx.send_texts(output, || format!("stacks-{from}-{to}.csv"));
    state.built = Some(built);
}

/// The table for the two ends; `None` when there are no decoded stores.
fn build(ctx: &ViewCtx<'_>, state: &mut TracesState, from: DumpIdx, to: DumpIdx) -> Option<Built> {
    let key = (ctx.session.generation, from, to);
    if let Some(built) = state.built.take().filter(|built| built.key == key) {
        return Some(built);
    }
    let group = ctx.session.group()?;
    let traces = Arc::clone(ctx.session.analysis.traces_of(group)?);
    let width = traces.stores.iter().flatten().next()?.header.width;
    let table = StackTable::new(traces, width, group.dumps.clone(), from, to)?;
    state.selected_row = (table.row_count() > 0).then_some(0);
    Some(Built { key, table: Arc::new(table) })
}

/// The selected stack: return addresses and their names, innermost first.
fn frames_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, table: &StackTable, row: Option<usize>) {
    let Some(row) = row else {
        ui.weak("Choose a stack to see its frames.");
        return;
    };
    let lines = table.frame_lines(row);
    ui.horizontal(|ui| {
        ui.strong(format!("Stack {}", row + 1));
        if ui.small_button("Copy").on_hover_text("Copy the stack").clicked() {
            ctx.send(Command::CopyText(lines.join("\n")));
        }
    });
    ui.weak("Innermost first; each name is of the caller that is returned into.");
    ScrollArea::both().id_salt("frames").auto_shrink(false).show(ui, |ui| {
        for line in &lines {
            ui.add(Label::new(RichText::new(line).monospace()).extend());
        }
    });
}

/// Why there is nothing to show.
fn nothing_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    let has_stores = ctx.session.analysis.snapshots.iter().any(|snapshot| !snapshot.trace_stores.is_empty());
    let is_decoded = ctx.session.analysis.traces.is_some();
    let text = if has_stores && !is_decoded {
        "The stack traces are being decoded. When that was cancelled, F5 reads the files again."
    } else {
        "No stack trace database was found in the dumps of this process. It is there when the process was started under \
         gflags +ust and the dump has full memory (procdump -ma)."
    };
    ui.vertical_centered(|ui| {
        ui.set_max_width(560.0);
        ui.add_space(ui.available_height() * 0.25);
        ui.heading("Traces");
        ui.add_space(8.0);
        ui.add(Label::new(text).wrap());
    });
}
