//! Stacks as a tree of calls and as a flame graph, for each view that has stacks.

pub mod flame;
pub mod tree;

use std::sync::Arc;

use eframe::egui::Ui;

use crate::analysis::series::call_tree::{CallTree, TreeSpec};
use crate::analysis::series::outstanding::SeriesOutstanding;
use crate::analysis::series::stacks::SeriesStacks;
use crate::base::ids::DumpIdx;
use crate::present::traces::leading::Naming;

use super::background::Background;

/// Which stacks, and how they are joined.
pub struct ShownStacks {
    pub stacks: Arc<SeriesStacks>,
    /// Positions of those to show.
    pub rows: Arc<Vec<u32>>,
    /// Differs when the two above do.
    pub rows_key: u64,
    /// What heaps hold by these stacks, where that is known.
    pub outstanding: Option<Arc<SeriesOutstanding>>,
    pub naming: Naming,
    pub spec: TreeSpec,
    /// What is counted: entries, threads.
    pub amount_name: &'static str,
    /// The dumps at the two positions of `spec`.
    pub from: DumpIdx,
    pub to: DumpIdx,
}

type TreeKey = (u64, TreeSpec);

/// The trees of one view, made on a thread.
#[derive(Default)]
pub struct CallPanels {
    trees: Background<TreeKey, Arc<CallTree>>,
    pub(super) tree: tree::TreeState,
    pub(super) flame: flame::FlameState,
}

impl CallPanels {
    /// The tree for what is shown; `None` while it is made.
    fn tree_of(&mut self, ui: &Ui, shown: &ShownStacks) -> Option<(TreeKey, Arc<CallTree>)> {
        let key = (shown.rows_key, shown.spec);
        let (stacks, rows) = (Arc::clone(&shown.stacks), Arc::clone(&shown.rows));
        let (symbols, spec) = (Arc::clone(&shown.naming.symbols), shown.spec);
        let outstanding = shown.outstanding.clone();
        let made = self.trees.get_current(ui.ctx(), &key, move |progress| {
            CallTree::new(stacks, &symbols, &rows, outstanding.as_deref(), spec, progress).map(Arc::new)
        });
        made.map(|tree| (key, Arc::clone(tree)))
    }
}
