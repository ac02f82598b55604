//! The modules of the process compared over the chosen dumps.

use std::sync::Arc;

use eframe::egui::{Frame, Label, Margin, Panel, RichText, ScrollArea, Ui};

use crate::base::ids::DumpIdx;
use crate::gui::background::Background;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::present::diagnosis::sentence;
use crate::present::modules::{ModuleTable, change_lines, lm_lines, summary};
use crate::present::table::TableModel;

/// What the list of modules remembers.
#[derive(Default)]
pub struct ModulesState {
    table: TableState,
    /// The table with the sentences about it.
    built: Background<Key, Option<Arc<Compared>>>,
    /// A row, and of which comparison.
    selected: Option<(Key, usize)>,
    is_changed_only: bool,
}

type Key = (u64, DumpIdx, DumpIdx);

struct Compared {
    table: Arc<ModuleTable>,
    /// The rows that changed, as a table of their own.
    changed: Arc<ChangedModules>,
    lines: Vec<String>,
    summary: String,
}

/// The rows of a table that changed.
struct ChangedModules {
    table: Arc<ModuleTable>,
    rows: Vec<usize>,
}

impl TableModel for ChangedModules {
    fn columns(&self) -> &[crate::present::table::Column] {
        self.table.columns()
    }

    fn row_count(&self) -> usize {
        self.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> crate::present::table::Cell {
        self.table.cell(self.rows.get(row).copied().unwrap_or(usize::MAX), column)
    }
}

pub fn modules_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut ModulesState) {
    let Some((from, to)) = ctx.session.ends() else { return };
    let key = (ctx.session.generation, from, to);
    let analysis = Arc::clone(&ctx.session.analysis);
    let made = state.built.get_current(ui.ctx(), &key, move |_| {
        Ok(ModuleTable::new(&analysis, from, to).map(|table| {
            let table = Arc::new(table);
            let rows = table.changed_rows();
            Arc::new(Compared {
                lines: change_lines(&table),
                summary: summary(&table),
                changed: Arc::new(ChangedModules { table: Arc::clone(&table), rows }),
                table,
            })
        }))
    });
    let Some(made) = made.cloned() else {
        ui.weak("Comparing…");
        return;
    };
    let Some(compared) = made.filter(|compared| compared.table.row_count() > 0) else {
        ui.weak("No dump of this process has a module list.");
        return;
    };
    changes_ui(ui, state, &compared);
    let is_changed_only = state.is_changed_only && !compared.changed.rows.is_empty();
    let model: Arc<dyn TableModel> = if is_changed_only {
        Arc::<ChangedModules>::clone(&compared.changed)
    } else {
        Arc::<ModuleTable>::clone(&compared.table)
    };
    let row_of = |shown: usize| if is_changed_only { compared.changed.rows.get(shown).copied() } else { Some(shown) };
    let shown_of = |row: usize| match is_changed_only {
        true => compared.changed.rows.binary_search(&row).ok(),
        false => (row < compared.table.row_count()).then_some(row),
    };
    let selected = state.selected.filter(|(of, _)| *of == key).map(|(_, row)| row);
    let selected_row = selected.and_then(shown_of);
    if let Some(row) = selected_row.and_then(row_of) {
        detail_ui(ui, ctx, &compared.table, row);
    }
    let options = TableOptions {
        id: "modules",
        model_key: model_key(&(key, is_changed_only)),
        bar: Bar::Filter,
        is_sortable: true,
        selected_row,
        reveal_selected: false,
    };
    let output = table_ui(ui, ctx.theme, &model, &mut state.table, &options);
    state.selected = output.clicked.and_then(row_of).map(|row| (key, row)).or(state.selected);
    ctx.send_texts(output, || format!("modules-{from}-{to}.csv"));
}

/// What changed, in sentences.
fn changes_ui(ui: &mut Ui, state: &mut ModulesState, compared: &Compared) {
    ui.horizontal(|ui| {
        ui.label(&compared.summary);
        ui.add_enabled_ui(!compared.changed.rows.is_empty(), |ui| {
            ui.checkbox(&mut state.is_changed_only, "Only changed ones")
                .on_hover_text("Modules that are not the same in both dumps, or were unloaded again and again")
                .on_disabled_hover_text("All modules are the same in both dumps");
        });
    });
    for line in &compared.lines {
        ui.add(Label::new(RichText::new(sentence(line))).truncate()).on_hover_text(line);
    }
}

/// The selected module as `lmv` shows it, and what it was in each dump.
fn detail_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, table: &ModuleTable, row: usize) {
    let Some(history) = table.history(row) else { return };
    let lines = table.detail_lines(row);
    Panel::bottom("module details")
        .resizable(true)
        .default_size(186.0)
        .frame(Frame::new().inner_margin(Margin::symmetric(0, 6)))
        .show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.strong(&history.name);
                if ui.small_button("Copy as WinDbg text").on_hover_text("The line that lm shows").clicked() {
                    ctx.send(Command::CopyText(lm_lines(table, &[row], 1).join("\n")));
                }
                if ui.small_button("Copy").on_hover_text("The lines below").clicked() {
                    ctx.send(Command::CopyText(lines.join("\n")));
                }
            });
            ScrollArea::both().id_salt("module details").auto_shrink(false).show(ui, |ui| {
                ui.add(Label::new(RichText::new(lines.join("\n")).monospace()).extend());
            });
        });
}
