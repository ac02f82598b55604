//! The stacks as a tree of calls, rows opened one by one.

use std::collections::BTreeSet;
use std::sync::Arc;

use eframe::egui::Ui;

use crate::analysis::series::call_tree::CallTree;
use crate::gui::ctx::ViewCtx;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::present::table::TableModel;
use crate::present::traces::tree::{TreeTable, first_open};

use super::{CallPanels, ShownStacks, TreeKey};

#[derive(Default)]
pub struct TreeState {
    table: TableState,
    /// Path hashes of the open nodes, and which tree they are of.
    open: BTreeSet<u64>,
    opened_for: Option<TreeKey>,
    built: Option<(TreeKey, u64, Arc<TreeTable>)>,
    /// Counts what was opened and closed, so that the rows are made again.
    change_count: u64,
    selected_path: Option<u64>,
}

pub fn tree_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, panels: &mut CallPanels, shown: &ShownStacks) {
    let Some((key, tree)) = panels.tree_of(ui, shown) else {
        ui.weak("Joining the stacks…");
        return;
    };
    let state = &mut panels.tree;
    let table = rows_of(state, shown, key, &tree);
    let selected_row =
        state.selected_path.and_then(|path| (0..table.row_count()).find(|row| path_of(&table, *row) == Some(path)));
    let model: Arc<dyn TableModel> = Arc::<TreeTable>::clone(&table);
    let options = TableOptions {
        id: "call tree",
        model_key: model_key(&(key, state.change_count)),
        bar: Bar::Rows,
        is_sortable: false,
        selected_row,
        reveal_selected: false,
    };
    let output = table_ui(ui, ctx.theme, &model, &mut state.table, &options);
    if let Some(row) = output.clicked {
        state.selected_path = path_of(&table, row);
    }
    let change = |state: &mut TreeState, row: usize, is_open: bool| {
        let Some(path) = path_of(&table, row) else { return };
        let is_changed = if is_open { state.open.insert(path) } else { state.open.remove(&path) };
        state.change_count += u64::from(is_changed);
        state.selected_path = Some(path);
    };
    if let Some((row, is_open)) = output.double_clicked.and_then(|at| Some((at, table.row(at)?.is_open))) {
        change(state, row, !is_open);
    }
    if let Some(row) = output.opened {
        change(state, row, true);
    }
    if let Some(row) = output.closed {
        if table.row(row).is_some_and(|row| row.is_open) {
            change(state, row, false);
        } else if let Some(parent) = table.parent_row(row) {
            change(state, parent, false);
        }
    }
    ctx.send_texts(output, || format!("call-tree-{}-{}.csv", shown.from, shown.to));
}

fn path_of(table: &TreeTable, row: usize) -> Option<u64> {
    table.row(row).map(|row| row.node.path_hash)
}

fn rows_of(state: &mut TreeState, shown: &ShownStacks, key: TreeKey, tree: &Arc<CallTree>) -> Arc<TreeTable> {
    // Another measure or interval keeps open what was open; other stacks or another direction begin anew.
    let is_same_shape = |other: &TreeKey| other.0 == key.0 && other.1.direction == key.1.direction;
    if !state.opened_for.as_ref().is_some_and(is_same_shape) {
        state.open = first_open(tree);
        state.change_count += 1;
    }
    state.opened_for = Some(key);
    let known = state.built.take().filter(|(k, count, _)| *k == key && *count == state.change_count);
    let built = known.unwrap_or_else(|| {
        let symbols = Arc::clone(&shown.naming.symbols);
        let table = TreeTable::new(Arc::clone(tree), symbols, key.1.measure, shown.amount_name, &state.open);
        (key, state.change_count, Arc::new(table))
    });
    let table = Arc::clone(&built.2);
    state.built = Some(built);
    table
}
