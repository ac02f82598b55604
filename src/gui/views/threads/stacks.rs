//! The stacks of the selected thread, side by side in two dumps.

use eframe::egui::{Label, RichText, ScrollArea, Ui};

use crate::analysis::series::thread_stacks::{SeriesThreadStacks, main_stack};
use crate::analysis::snapshot::Snapshot;
use crate::base::ids::DumpIdx;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::present::stacks::{StackForm, end_text, stack_lines, thread_list_text};
use crate::present::thread_matrix::{ThreadMatrix, thread_name};
use crate::present::traces::stack_table::frame_lines;
use crate::process::stacks::{ThreadStack, Trust};

use super::Shown;

#[derive(Default)]
pub(super) struct StacksState {
    form: StackForm,
}

const FORMS: [(StackForm, &str, &str); 3] = [
    (StackForm::Calls, "kc", "The call sites only"),
    (StackForm::Pointers, "k", "With stack pointers and return addresses"),
    (StackForm::Full, "full", "With the reason why each frame is believed"),
];

pub(super) fn stacks_ui(
    ui: &mut Ui,
    ctx: &ViewCtx<'_>,
    state: &mut StacksState,
    shown: &Shown,
    matrix: &ThreadMatrix,
    row: Option<usize>,
) {
    let Some((row, history)) = row.and_then(|row| Some((row, matrix.history(row)?))) else {
        ui.weak("Choose a thread to see its stacks.");
        return;
    };
    ui.horizontal(|ui| {
        ui.strong(format!("Thread {:x}", history.tid));
        for (form, name, hint) in FORMS {
            ui.selectable_value(&mut state.form, form, name).on_hover_text(hint);
        }
        let Some(threads) = &shown.threads else { return };
        let snapshot = ctx.session.analysis.snapshot(shown.to);
        if let Some(snapshot) = snapshot
            && ui.small_button("Copy as ~*k").on_hover_text("All threads of the second dump, in WinDbg's form").clicked()
        {
            let all = threads.of_dumps.get(shown.interval.to).map(Vec::as_slice).unwrap_or_default();
            ctx.send(Command::CopyText(thread_list_text(snapshot, all, &shown.naming.symbols)));
        }
        if let Some(count) = common_count(threads, shown, history.tid, matrix, row) {
            ui.weak(format!("The {count} outer frames are the same in all dumps that have the thread."));
        }
    });
    let last = matrix_last(matrix, row);
    let ends = if shown.interval.from == shown.interval.to { vec![(0, shown.to)] } else { vec![(0, shown.from), (last, shown.to)] };
    ui.columns(ends.len(), |columns| {
        for (ui, (position, dump)) in columns.iter_mut().zip(ends) {
            side_ui(ui, ctx, state.form, shown, matrix, row, position, dump);
        }
    });
}
