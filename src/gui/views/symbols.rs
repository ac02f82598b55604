//! Where the names come from: the symbol path, and for each module what was tried and found.

use std::sync::Arc;

use eframe::egui::{self, Frame, Key, Label, Margin, Panel, RichText, ScrollArea, TextEdit, Ui, WidgetInfo};

use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::present::symbols::{SymbolsTable, symbols_summary};
use crate::present::table::TableModel;

/// What the tab remembers.
#[derive(Default)]
pub struct SymbolsState {
    table: TableState,
    built: Option<(u64, Arc<SymbolsTable>)>,
    selected: Option<usize>,
    /// What is typed into the field of the path; `None` before it was touched.
    typed: Option<String>,
}

pub fn symbols_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut SymbolsState) {
    path_ui(ui, ctx, state);
    let Some(table) = build(ctx, state) else {
        ui.weak("There are no modules to name.");
        return;
    };
    let selected = state.selected.filter(|row| *row < table.row_count());
    if let Some(row) = selected {
        attempts_ui(ui, ctx, &table, row);
    }
    let model: Arc<dyn TableModel> = Arc::<SymbolsTable>::clone(&table);
    let options = TableOptions {
        id: "symbols",
        model_key: model_key(&ctx.session.generation),
        bar: Bar::Filter,
        is_sortable: true,
        selected_row: selected,
        reveal_selected: false,
    };
    let output = table_ui(ui, ctx.theme, &model, &mut state.table, &options);
    state.selected = output.clicked.or(state.selected);
    ctx.send_texts(output, || "symbols.csv".to_owned());
}

fn build(ctx: &ViewCtx<'_>, state: &mut SymbolsState) -> Option<Arc<SymbolsTable>> {
    let generation = ctx.session.generation;
    let known = state.built.take().filter(|(known, _)| *known == generation);
    let made = || {
        let group = ctx.session.group()?;
        let snapshot = ctx.session.analysis.snapshot(*group.dumps.last()?)?;
        Some((generation, Arc::new(SymbolsTable::new(Arc::clone(snapshot), ctx.session.analysis.symbols_of(group)))))
    };
    state.built = known.or_else(made);
    state.built.as_ref().map(|(_, table)| Arc::clone(table))
}

fn path_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut SymbolsState) {
    ui.horizontal(|ui| {
        ui.label("Look in");
        let typed = state.typed.get_or_insert_with(|| ctx.settings.symbol_path.clone());
        let hint = r"C:\symbols;srv*C:\store";
        let response = ui.add(TextEdit::singleline(typed).hint_text(hint).desired_width(420.0));
        response.widget_info(|| WidgetInfo::labeled(egui::Role::TextInput, true, "Symbol path"));
        let is_entered = response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        let is_asked = ui.button("Read symbols").on_hover_text("With this path, again (Enter)").clicked();
        if is_entered || is_asked {
            ctx.send(Command::SetSymbolPath(typed.clone()));
        }
    });
    let summary = ctx.session.group().map(|group| symbols_summary(&ctx.session.analysis.symbols_of(group)));
    let text = "Looked for there, then beside the dumps, beside each image's own path, and in _NT_SYMBOL_PATH. No server is asked.";
    ui.add(Label::new(RichText::new(format!("{text} {}", summary.unwrap_or_default())).weak()).wrap());
    ui.add_space(2.0);
}

/// What was tried for the selected module.
fn attempts_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, table: &SymbolsTable, row: usize) {
    let Some(module) = table.module(row) else { return };
    let lines = table.attempt_lines(row);
    Panel::bottom("attempts")
        .resizable(true)
        .default_size(150.0)
        .frame(Frame::new().inner_margin(Margin::symmetric(0, 6)))
        .show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.strong(&module.name);
                ui.label(&module.note);
                if ui.small_button("Copy").on_hover_text("What was tried").clicked() {
                    ctx.send(Command::CopyText(lines.join("\n")));
                }
            });
            ScrollArea::both().id_salt("attempts").auto_shrink(false).show(ui, |ui| {
                let text = if lines.is_empty() { "No file was looked for.".to_owned() } else { lines.join("\n") };
                ui.add(Label::new(RichText::new(text).monospace()).extend());
            });
        });
}
