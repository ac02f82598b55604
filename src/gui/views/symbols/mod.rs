//! The modules: where their names come from, what was tried and found; and what became of them over the series.

mod modules;

use std::sync::Arc;

use eframe::egui::{self, Frame, Key, Label, Margin, Panel, RichText, ScrollArea, TextEdit, Ui, WidgetInfo};

use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::present::symbols::{SymbolsTable, server_lines, symbols_summary};
use crate::present::table::TableModel;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Mode {
    #[default]
    Symbols,
    Modules,
}

const MODES: [(Mode, &str, &str); 2] = [
    (Mode::Symbols, "Sources of names", "Where the names of each module come from, and what was tried"),
    (Mode::Modules, "Modules compared", "As lm lists them: loaded, unloaded, moved or replaced between the two dumps"),
];

/// What the tab remembers.
#[derive(Default)]
pub struct SymbolsState {
    mode: Mode,
    modules: modules::ModulesState,
    table: TableState,
    built: Option<(u64, Arc<SymbolsTable>)>,
    selected: Option<usize>,
    /// What is typed into the field of the path; `None` before it was touched.
    typed: Option<String>,
}

pub fn symbols_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut SymbolsState) {
    ui.horizontal(|ui| {
        for (mode, name, hint) in MODES {
            ui.selectable_value(&mut state.mode, mode, name).on_hover_text(hint);
        }
    });
    if state.mode == Mode::Modules {
        modules::modules_ui(ui, ctx, &mut state.modules);
        return;
    }
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
        let hint = r"C:\symbols;srv*C:\store*https://server/symbols";
        let response = ui.add(TextEdit::singleline(typed).hint_text(hint).desired_width(420.0));
        response.widget_info(|| WidgetInfo::labeled(egui::Role::TextInput, true, "Symbol path"));
        let is_entered = response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        let is_asked = ui.button("Read symbols").on_hover_text("With this path, again (Enter)").clicked();
        if is_entered || is_asked {
            ctx.send(Command::SetSymbolPath(typed.clone()));
        }
    });
    ui.horizontal(|ui| {
        let mut is_on = ctx.settings.is_download_on;
        let text = "Download from the servers of _NT_SYMBOL_PATH";
        let hint = "Servers in the path above are asked in any case, because you gave them to this program. srv* is Microsoft's \
                    server with the debuggers' own store.";
        if ui.checkbox(&mut is_on, text).on_hover_text(hint).changed() {
            ctx.send(Command::SetDownload(is_on));
        }
    });
    let symbols = ctx.session.group().map(|group| ctx.session.analysis.symbols_of(group));
    let mut text =
        "Looked for there, then beside the dumps, beside each image's own path, and in _NT_SYMBOL_PATH. Servers are \
                    asked for what is not on this machine, and only for modules that occur in stacks."
            .to_owned();
    for line in symbols.iter().flat_map(|symbols| server_lines(symbols)) {
        text = format!("{text}\n{line}");
    }
    if let Some(symbols) = &symbols {
        text = format!("{text}\n{}", symbols_summary(symbols));
    }
    ui.add(Label::new(RichText::new(text).weak()).wrap());
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
