//! The logs as a table; a click makes one the second point, or shows the comparison.

use std::sync::Arc;

use eframe::egui::{RichText, ScrollArea, Ui};

use crate::analysis::series::umdh_group::LogGroup;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::selection::Item;
use crate::gui::widgets::table::{Bar, TableOptions, model_key, table_ui};
use crate::present::table::{TableModel, to_csv, to_tsv};
use crate::present::umdh::log_table::UmdhLogTable;

use super::UmdhState;

const FILE_NAME: &str = "umdh-logs.csv";

pub(super) fn logs_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut UmdhState, group: &LogGroup) {
    let table = Arc::new(UmdhLogTable::new(Arc::clone(&ctx.session.analysis), group));
    let model: Arc<dyn TableModel> = Arc::<UmdhLogTable>::clone(&table);
    ui.horizontal(|ui| {
        ui.strong("Logs");
        let rows = || (0..model.row_count()).collect::<Vec<_>>();
        if ui.small_button("Copy").on_hover_text("Copy the table").clicked() {
            ctx.send(Command::CopyText(to_tsv(model.as_ref(), &rows())));
        }
        if ui.small_button("CSV…").on_hover_text("Save the table as CSV, with plain numbers").clicked() {
            let text = to_csv(model.as_ref(), &rows());
            ctx.send(Command::SaveText { file_name: FILE_NAME.to_owned(), text });
        }
        ui.label(RichText::new("A click compares with that log.").weak());
    });
    let selected_row = match ctx.session.selected {
        Some(Item::Log(log)) => group.logs.iter().position(|other| *other == log),
        _ => None,
    };
    let options = TableOptions {
        id: "umdh logs",
        model_key: model_key(&(ctx.session.generation, group.logs.first())),
        bar: Bar::None,
        is_sortable: true,
        selected_row,
        reveal_selected: false,
    };
    ScrollArea::vertical().id_salt("umdh logs down").auto_shrink(false).show(ui, |ui| {
        let output = table_ui(ui, ctx.theme, &model, &mut state.logs, &options);
        if let Some(log) = output.clicked.and_then(|row| table.log(row)) {
            ctx.send(Command::Select(Item::Log(log)));
        }
        ctx.send_texts(output, || FILE_NAME.to_owned());
    });
}
