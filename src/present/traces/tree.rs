//! The tree of calls as the rows of a table, and as the rectangles of a flame graph.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::analysis::series::call_tree::{CallTree, Measure, Node, NodeName, Weight};
use crate::input::symbols::SymbolTable;
use crate::present::table::{Align, Cell, Column, TableModel};
use crate::present::value::Value;

use super::leading::function_text;

/// What a measure is called over a column.
pub const fn measure_name(measure: Measure) -> &'static str {
    match measure {
        Measure::Entries => "entries",
        Measure::StoreBytes => "store memory",
        Measure::Uses => "logged",
        Measure::OutstandingBytes => "outstanding",
        Measure::OutstandingBlocks => "blocks held",
    }
}

/// What a node is called.
pub fn node_text(tree: &CallTree, symbols: &SymbolTable, node: &Node) -> String {
    match node.name {
        NodeName::Root => "all stacks".to_owned(),
        NodeName::CutOff => "(outer frames cut off at 32)".to_owned(),
        NodeName::Frame(id) => function_text(symbols, tree.address(id), tree.width(node)),
    }
}

/// How much a node grew between the two dumps: -1 all gone, 0 as it was, 1 all new. `None` for nothing in both.
pub fn growth_share(weight: Weight) -> Option<f32> {
    let most = weight.from.max(weight.to);
    (most > 0).then(|| ((weight.to as f64 - weight.from as f64) / most as f64) as f32)
}

/// One row of the open tree.
pub struct TreeRow {
    pub node: Node,
    pub is_open: bool,
    pub has_children: bool,
}

/// The nodes in sight of an open tree, heaviest first under each parent.
pub struct TreeTable {
    pub tree: Arc<CallTree>,
    symbols: Arc<SymbolTable>,
    measure: Measure,
    columns: Vec<Column>,
    rows: Vec<TreeRow>,
    total: Weight,
}

/// Rows that an open tree has at most: nobody reads more, and each costs a search.
const MOST_ROWS: usize = 100_000;
/// A tree is first shown open as far as so many rows go.
const FIRST_ROWS: usize = 60;
/// And only where a node has at least this share of all.
const FIRST_SHARE: f64 = 0.1;

fn columns(amount_name: &'static str) -> Vec<Column> {
    let column = |title, align, width_chars, hint| Column { title, align, width_chars, hint };
    vec![
        column("function", Align::Left, 64, "Enter, Left and Right open and close"),
        column(amount_name, Align::Right, 13, "In the second dump, with all that lies below"),
        column("share", Align::Right, 8, "Of all stacks shown, in the second dump"),
        column("growth", Align::Right, 12, "In the second dump less that in the first"),
        column("stacks", Align::Right, 9, "Different stacks that go through here"),
    ]
}

impl TreeTable {
    /// The rows that are in sight when the nodes with these path hashes are open.
    pub fn new(
        tree: Arc<CallTree>,
        symbols: Arc<SymbolTable>,
        measure: Measure,
        amount_name: &'static str,
        open: &BTreeSet<u64>,
    ) -> Self {
        let total = tree.weight(&tree.root());
        let mut rows = Vec::new();
        let mut waiting = by_weight(&tree, tree.children(&tree.root()));
        waiting.reverse();
        while let Some(node) = waiting.pop() {
            if rows.len() >= MOST_ROWS {
                break;
            }
            let is_open = open.contains(&node.path_hash);
            let children = by_weight(&tree, tree.children(&node));
            let has_children = !children.is_empty();
            if is_open {
                waiting.extend(children.into_iter().rev());
            }
            rows.push(TreeRow { node, is_open, has_children });
        }
        Self { tree, symbols, measure, columns: columns(amount_name), rows, total }
    }

    pub fn row(&self, row: usize) -> Option<&TreeRow> {
        self.rows.get(row)
    }

    /// The row of the node above.
    pub fn parent_row(&self, row: usize) -> Option<usize> {
        let level = self.rows.get(row)?.node.level;
        (0..row).rev().find(|above| self.rows.get(*above).is_some_and(|above| above.node.level < level))
    }
}

/// The nodes to open at first: the heaviest paths.
pub fn first_open(tree: &CallTree) -> BTreeSet<u64> {
    let total = tree.weight(&tree.root());
    let least = (total.to.max(total.from) as f64 * FIRST_SHARE) as u64;
    let mut open = BTreeSet::new();
    let mut row_count = 0;
    let mut waiting = vec![tree.root()];
    while let Some(node) = waiting.pop() {
        let children = by_weight(tree, tree.children(&node));
        row_count += children.len();
        if row_count > FIRST_ROWS && node.level > 0 {
            break;
        }
        open.insert(node.path_hash);
        let is_heavy = |child: &Node| tree.weight(child).to.max(tree.weight(child).from) > least;
        waiting.extend(children.into_iter().filter(is_heavy).rev());
    }
    open
}

fn by_weight(tree: &CallTree, mut nodes: Vec<Node>) -> Vec<Node> {
    nodes.sort_by_key(|node| {
        let Weight { from, to } = tree.weight(node);
        std::cmp::Reverse((to, from))
    });
    nodes
}

impl TableModel for TreeTable {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn row_count(&self) -> usize {
        self.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let Some(TreeRow { node, is_open, has_children }) = self.row(row) else { return Cell::new(Value::Absent) };
        let weight = self.tree.weight(node);
        let amount = |number: u64| match self.measure {
            Measure::StoreBytes | Measure::OutstandingBytes => Value::Bytes(number),
            Measure::Entries | Measure::Uses | Measure::OutstandingBlocks => Value::Count(number),
        };
        match column {
            0 => {
                let mark = match (has_children, is_open) {
                    (false, _) => "  ",
                    (true, true) => "▾ ",
                    (true, false) => "▸ ",
                };
                let indent = "    ".repeat(usize::from(node.level.saturating_sub(1)));
                Cell::new(Value::Text(format!("{indent}{mark}{}", node_text(&self.tree, &self.symbols, node))))
            }
            1 => Cell::new(amount(weight.to)),
            2 => {
                let share = (self.total.to > 0).then(|| weight.to as f64 * 100.0 / self.total.to as f64);
                Cell::new(share.map_or(Value::Absent, Value::Percent))
            }
            3 => {
                let delta = i128::from(weight.to) - i128::from(weight.from);
                Cell::delta(match self.measure {
                    Measure::StoreBytes | Measure::OutstandingBytes => Value::BytesDelta(delta),
                    Measure::Entries | Measure::Uses | Measure::OutstandingBlocks => Value::CountDelta(delta),
                })
            }
            _ => Cell::new(Value::Count(self.tree.stack_count(node))),
        }
    }
}

/// One rectangle of a flame graph.
#[derive(Clone, PartialEq, Debug)]
pub struct FlameRect {
    pub node: Node,
    /// From the left edge to the right one, 0 to 1.
    pub left: f32,
    pub right: f32,
    /// 0 for the node that the graph begins with.
    pub level: u16,
    pub text: String,
    pub weight: Weight,
}

/// The rectangles of the tree below `base`, those narrower than `least_share` of it left out: so many stacks do not make
/// more rectangles than a screen has room for. The nodes above `base` lie over the whole width.
pub fn flame_rects(tree: &CallTree, symbols: &SymbolTable, base: &[Node], least_share: f64) -> Vec<FlameRect> {
    let mut rects = Vec::new();
    let mut level = 0;
    let rect = |node: &Node, left: f64, right: f64, level: u16| FlameRect {
        text: node_text(tree, symbols, node),
        weight: tree.weight(node),
        node: node.clone(),
        left: left as f32,
        right: right as f32,
        level,
    };
    for node in base {
        rects.push(rect(node, 0.0, 1.0, level));
        level += 1;
    }
    let Some(zoomed) = base.last() else { return rects };
    let total = tree.weight(zoomed).to as f64;
    let mut waiting = vec![(zoomed.clone(), 0.0, level)];
    while let Some((node, left, level)) = waiting.pop() {
        let mut at = left;
        for child in tree.children(&node) {
            let share = tree.weight(&child).to as f64 / total;
            if share >= least_share {
                rects.push(rect(&child, at, at + share, level));
                waiting.push((child, at, level.saturating_add(1)));
            }
            at += share;
        }
    }
    rects
}
