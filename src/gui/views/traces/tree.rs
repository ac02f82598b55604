//! The stacks as a tree of calls, rows opened one by one.

use std::collections::BTreeSet;
use std::sync::Arc;

use eframe::egui::Ui;

use crate::analysis::series::call_tree::{CallTree, TreeSpec};
use crate::gui::background::Background;
use crate::gui::ctx::ViewCtx;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::present::table::TableModel;
use crate::present::traces::tree::{TreeTable, first_open};

use super::{RowsKey, Shown, TracesState};

/// What a tree is made of.
pub(super) type TreeKey = (RowsKey, TreeSpec);

#[derive(Default)]
pub(super) struct TreeState {
    trees: Background<TreeKey, Arc<CallTree>>,
    table: TableState,
    /// Path hashes of the open nodes, and which tree they are of.
    open: BTreeSet<u64>,
    opened_for: Option<TreeKey>,
    built: Option<(TreeKey, u64, Arc<TreeTable>)>,
    /// Counts what was opened and closed, so that the rows are made again.
    change_count: u64,
    selected_path: Option<u64>,
}

/// The tree for what is shown; `None` while it is made.
pub(super) fn tree_of(ui: &Ui, state: &mut TracesState, shown: &Shown) -> Option<(TreeKey, Arc<CallTree>)> {
    let spec = TreeSpec {
        direction: state.direction,
        measure: state.measure,
        from: shown.interval.from,
        to: shown.interval.to,
    };
    let key = (shown.rows_key.clone(), spec);
    let (stacks, rows) = (Arc::clone(&shown.stacks), Arc::clone(&shown.rows));
    let symbols = Arc::clone(&shown.naming.symbols);
    let made = state.tree.trees.get_current(ui.ctx(), &key, move |progress| {
        CallTree::new(stacks, &symbols, &rows, spec, progress).map(Arc::new)
    });
    made.map(|tree| (key, Arc::clone(tree)))
}

pub(super) fn tree_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut TracesState, shown: &Shown) {
    let Some((key, tree)) = tree_of(ui, state, shown) else {
        ui.weak("Joining the stacks…");
        return;
    };
    let table = rows_of(state, shown, key, &tree);
    let selected_row = state
        .tree
        .selected_path
        .and_then(|path| (0..table.row_count()).find(|row| path_of(&table, *row) == Some(path)));
    let model: Arc<dyn TableModel> = Arc::<TreeTable>::clone(&table);
    let options = TableOptions {
        id: "call tree",
        model_key: model_key(&(
            &shown.rows_key,
            state.direction,
            state.measure,
            &shown.interval,
            state.tree.change_count,
        )),
        bar: Bar::Rows,
        is_sortable: false,
        selected_row,
        reveal_selected: false,
    };
    let output = table_ui(ui, ctx.theme, &model, &mut state.tree.table, &options);
    if let Some(row) = output.clicked {
        state.tree.selected_path = path_of(&table, row);
    }
    let change = |state: &mut TracesState, row: usize, is_open: bool| {
        let Some(path) = path_of(&table, row) else { return };
        let is_changed = if is_open { state.tree.open.insert(path) } else { state.tree.open.remove(&path) };
        state.tree.change_count += u64::from(is_changed);
        state.tree.selected_path = Some(path);
    };
    if let Some(row) = output.double_clicked.and_then(|at| Some((at, table.row(at)?))) {
        change(state, row.0, !row.1.is_open);
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

fn rows_of(state: &mut TracesState, shown: &Shown, key: TreeKey, tree: &Arc<CallTree>) -> Arc<TreeTable> {
    let tree_state = &mut state.tree;
    // Another measure or interval keeps open what was open; other stacks or another direction begin anew.
    let is_same_shape = |other: &TreeKey| other.0 == key.0 && other.1.direction == key.1.direction;
    if !tree_state.opened_for.as_ref().is_some_and(is_same_shape) {
        tree_state.open = first_open(tree);
        tree_state.change_count += 1;
    }
    tree_state.opened_for = Some(key.clone());
    let known = tree_state.built.take().filter(|(k, count, _)| *k == key && *count == tree_state.change_count);
    let built = known.unwrap_or_else(|| {
        let symbols = Arc::clone(&shown.naming.symbols);
        let table = TreeTable::new(Arc::clone(tree), symbols, key.1.measure, &tree_state.open);
        (key, tree_state.change_count, Arc::new(table))
    });
    let table = Arc::clone(&built.2);
    tree_state.built = Some(built);
    table
}
