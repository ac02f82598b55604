//! Everything that was wrong or noteworthy.

use std::sync::Arc;

use eframe::egui::Ui;

use crate::gui::ctx::ViewCtx;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::present::log::{LogEntry, LogTable};
use crate::present::table::TableModel;

/// The table as last built.
#[derive(Default)]
pub struct LogState {
    table: TableState,
    built: Option<Built>,
}

struct Built {
    generation: u64,
    message_count: usize,
    model: Arc<dyn TableModel>,
}

pub fn log_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut LogState, messages: &[LogEntry]) {
    let (generation, message_count) = (ctx.session.generation, messages.len());
    let is_current = |built: &Built| (built.generation, built.message_count) == (generation, message_count);
    let built = state.built.take().filter(is_current).unwrap_or_else(|| Built {
        generation,
        message_count,
        model: Arc::new(LogTable::new(&ctx.session.analysis, messages)),
    });
    if built.model.row_count() == 0 {
        ui.weak("Nothing was missing or damaged, and there are no messages.");
    }
    let options = TableOptions {
        id: "log",
        model_key: model_key(&(generation, message_count)),
        bar: Bar::Filter,
        is_sortable: true,
        selected_row: None,
        reveal_selected: false,
    };
    let output = table_ui(ui, ctx.theme, &built.model, &mut state.table, &options);
    ctx.send_texts(output, || "log.csv".to_owned());
    state.built = Some(built);
}
