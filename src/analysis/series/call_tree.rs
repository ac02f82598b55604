//! Stacks as a tree of calls, from the outermost callers down or from the innermost callees up.
//!
//! The tree is not built: the stacks are sorted by their frames, so that each node is a run of them, and the children of
//! a node are found when they are asked for. What it takes grows with the stacks, not with the nodes.

use std::ops::Range;
use std::sync::Arc;

use crate::base::addr::Va;
use crate::base::progress::{Cancelled, Progress};
use crate::input::symbols::SymbolTable;

use super::outstanding::SeriesOutstanding;
use super::stacks::{AddressIdx, SeriesStacks};

/// Which end of the stacks is the root.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Direction {
    /// From the start of the thread to the allocator.
    #[default]
    CallerFirst,
    /// From the allocator to the start of the thread.
    CalleeFirst,
}

/// What a node counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Measure {
    /// Entries of the stores.
    #[default]
    Entries,
    /// Memory of the stores that the entries take.
    StoreBytes,
    /// Uses logged in them: at least so many, because the counts of an entry stop.
    Uses,
    /// What the program holds of the memory that the stack asked for.
    OutstandingBytes,
    /// Blocks that the program holds.
    OutstandingBlocks,
}

impl Measure {
    /// What a store alone tells.
    pub const LOGGED: [Self; 3] = [Self::Entries, Self::StoreBytes, Self::Uses];
    /// What heaps tell too.
    pub const ALL: [Self; 5] =
        [Self::Entries, Self::StoreBytes, Self::Uses, Self::OutstandingBytes, Self::OutstandingBlocks];

    fn of(self, stacks: &SeriesStacks, outstanding: Option<&SeriesOutstanding>, stack: usize, dump: usize) -> u64 {
        let counts = || stacks.counts(stack, dump).unwrap_or_default();
        let held = || outstanding.and_then(|held| held.of(stack, dump)).unwrap_or_default();
        match self {
            Self::Entries => counts().entry_count,
            Self::StoreBytes => counts().store_bytes,
            Self::Uses => counts().use_count,
            Self::OutstandingBytes => held().user_bytes,
            Self::OutstandingBlocks => held().block_count,
        }
    }
}

/// What a tree is made of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TreeSpec {
    pub direction: Direction,
    pub measure: Measure,
    /// Positions of the two compared dumps in the series.
    pub from: usize,
    pub to: usize,
}

/// What stands at a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NodeName {
    Root,
    /// A function, by one of the addresses in it; where no function is known, the address alone.
    Frame(AddressIdx),
    /// The outer frames of stacks that had more than a store keeps.
    CutOff,
}

/// A node: a run of sorted stacks that are equal down to its level.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    pub name: NodeName,
    /// 0 for the root.
    pub level: u16,
    /// The same for the same path in trees of one direction over the same stacks.
    pub path_hash: u64,
    stacks: Range<u32>,
}

/// What lies below a node, the node itself included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Weight {
    pub from: u64,
    pub to: u64,
}

/// See the file's head.
#[derive(Debug)]
pub struct CallTree {
    stacks: Arc<SeriesStacks>,
    direction: Direction,
    /// For each address, the number of its function.
    keys: Vec<u32>,
    /// Stacks by their keys from the root on.
    order: Vec<u32>,
    /// Sums of the weights of the stacks before each position of `order`, and of all.
    sums: Vec<Weight>,
}

/// Sorts behind every function.
const CUT_OFF_KEY: u32 = u32::MAX;

impl CallTree {
    /// The tree of `rows` (stacks by their position); `outstanding` must be of the same stacks. Stacks that neither dump has are left out.
    ///
    /// # Errors
    /// Only when cancelled.
    pub fn new(
        stacks: Arc<SeriesStacks>,
        symbols: &SymbolTable,
        rows: &[u32],
        outstanding: Option<&SeriesOutstanding>,
        spec: TreeSpec,
        progress: &Progress,
    ) -> Result<Self, Cancelled> {
        let keys = function_keys(stacks.addresses(), symbols);
        let weight = |row: u32| {
            let of = |dump| spec.measure.of(&stacks, outstanding, row as usize, dump);
            Weight { from: of(spec.from), to: of(spec.to) }
        };
        progress.check()?;
        let mut order: Vec<u32> = rows.iter().copied().filter(|row| weight(*row) != Weight::default()).collect();
        order.sort_unstable_by(|a, b| {
            let path = |row: u32| path_of(&stacks, &keys, spec.direction, row as usize);
            path(*a).cmp(path(*b)).then(a.cmp(b))
        });
        progress.check()?;
        let mut sum = Weight::default();
        let mut sums = Vec::with_capacity(order.len() + 1);
        sums.push(sum);
        for row in &order {
            let more = weight(*row);
            sum = Weight { from: sum.from.saturating_add(more.from), to: sum.to.saturating_add(more.to) };
            sums.push(sum);
        }
        Ok(Self { direction: spec.direction, stacks, keys, order, sums })
    }

    pub fn root(&self) -> Node {
        let end = u32::try_from(self.order.len()).unwrap_or(u32::MAX);
        Node { name: NodeName::Root, level: 0, path_hash: 0, stacks: 0..end }
    }

    pub fn weight(&self, node: &Node) -> Weight {
        let sum = |at: u32| self.sums.get(at as usize).copied().unwrap_or_default();
        let (before, after) = (sum(node.stacks.start), sum(node.stacks.end));
        Weight { from: after.from.saturating_sub(before.from), to: after.to.saturating_sub(before.to) }
    }

    /// How many different stacks go through a node.
    pub fn stack_count(&self, node: &Node) -> u64 {
        u64::from(node.stacks.end.saturating_sub(node.stacks.start))
    }

    /// The first stack that goes through a node, by its position.
    pub fn first_stack(&self, node: &Node) -> Option<usize> {
        self.order.get(node.stacks.start as usize).map(|row| *row as usize)
    }

    /// The address that names a frame.
    pub fn address(&self, id: AddressIdx) -> Va {
        self.stacks.addresses().get(id.position()).copied().unwrap_or_default()
    }

    /// The width of the addresses below a node.
    pub fn width(&self, node: &Node) -> crate::base::addr::PointerWidth {
        self.stacks.width(self.first_stack(node).unwrap_or(usize::MAX))
    }

    /// The nodes one level below, in the order of their functions. Costs a search for each of them.
    pub fn children(&self, node: &Node) -> Vec<Node> {
        let mut children = Vec::new();
        let mut at = node.stacks.start;
        while at < node.stacks.end {
            let key = self.key(at, node.level);
            let end = self.run_end(at, node.stacks.end, node.level, key);
            // Stacks that end here come first: they are the node's own weight.
            if let Some(key) = key {
                children.push(Node {
                    name: self.name(at, node.level, key),
                    level: node.level.saturating_add(1),
                    path_hash: child_hash(node.path_hash, key),
                    stacks: at..end,
                });
            }
            at = end;
        }
        children
    }

    /// Where the run of stacks with this key ends. Doubles its steps, then halves them.
    fn run_end(&self, start: u32, end: u32, level: u16, key: Option<u32>) -> u32 {
        let is_same = |at: u32| self.key(at, level) == key;
        let mut step: u32 = 1;
        let mut last_same = start;
        while last_same.saturating_add(step) < end && is_same(last_same.saturating_add(step)) {
            last_same = last_same.saturating_add(step);
            step = step.saturating_mul(2);
        }
        let (mut same, mut other) = (last_same, last_same.saturating_add(step).min(end));
        while other.saturating_sub(same) > 1 {
            let middle = same + (other - same) / 2;
            if is_same(middle) {
                same = middle;
            } else {
                other = middle;
            }
        }
        other
    }

    fn key(&self, at: u32, level: u16) -> Option<u32> {
        let row = *self.order.get(at as usize)?;
        path_of(&self.stacks, &self.keys, self.direction, row as usize).nth(usize::from(level))
    }

    fn name(&self, at: u32, level: u16, key: u32) -> NodeName {
        if key == CUT_OFF_KEY {
            return NodeName::CutOff;
        }
        let row = self.order.get(at as usize).map_or(0, |row| *row as usize);
        let ids = self.stacks.frame_ids(row);
        let level = usize::from(level);
        let id = match self.direction {
            Direction::CalleeFirst => ids.get(level),
            // The mark of a stack that is cut off takes the first level.
            Direction::CallerFirst => {
                ids.iter().rev().nth(level.saturating_sub(usize::from(self.stacks.is_cut_off(row))))
            }
        };
        id.map_or(NodeName::CutOff, |id| NodeName::Frame(*id))
    }
}

fn child_hash(parent: u64, key: u32) -> u64 {
    (parent ^ u64::from(key).wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// The keys of a stack from the root on.
fn path_of<'a>(
    stacks: &'a SeriesStacks,
    keys: &'a [u32],
    direction: Direction,
    row: usize,
) -> impl Iterator<Item = u32> + 'a {
    let ids = stacks.frame_ids(row);
    let mark = stacks.is_cut_off(row).then_some(CUT_OFF_KEY);
    let key = |id: &AddressIdx| keys.get(id.position()).copied().unwrap_or(CUT_OFF_KEY);
    let (before, after) = match direction {
        Direction::CallerFirst => (mark, None),
        Direction::CalleeFirst => (None, mark),
    };
    let count = ids.len();
    let frames = (0..count).filter_map(move |level| {
        let at = match direction {
            Direction::CallerFirst => count - 1 - level,
            Direction::CalleeFirst => level,
        };
        ids.get(at).map(key)
    });
    before.into_iter().chain(frames).chain(after)
}

/// For each address the number of its function among all that occur; an address without one stands for itself.
fn function_keys(addresses: &[Va], symbols: &SymbolTable) -> Vec<u32> {
    let place = |va: &Va| symbols.function_start(*va).unwrap_or(*va);
    let mut places: Vec<Va> = addresses.iter().map(place).collect();
    places.sort_unstable();
    places.dedup();
    let number = |va: &Va| places.binary_search(&place(va)).ok().and_then(|at| u32::try_from(at).ok());
    addresses.iter().map(|va| number(va).unwrap_or(CUT_OFF_KEY - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::stacks::StackCounts;
    use super::*;
    use crate::analysis::series::stacks::{Found, Joining};
    use crate::base::addr::PointerWidth;

    /// Stacks, innermost frame first, with their entries in two dumps.
    fn tree(rows: &[(&[u64], u64, u64)], direction: Direction) -> CallTree {
        let mut joining = Joining::new(2, Some(32));
        joining.cover(0, 0);
        joining.cover(1, 0);
        for (number, (frames, from, to)) in rows.iter().enumerate() {
            let frames: Vec<Va> = frames.iter().copied().map(Va).collect();
            for (dump, entry_count) in [*from, *to].into_iter().enumerate() {
                let counts = StackCounts { entry_count, ..StackCounts::default() };
                joining.add(dump, &Found { hash: number as u64, frames: &frames, width: PointerWidth::Bits64, counts });
            }
        }
        let stacks = Arc::new(joining.finish());
        let all: Vec<u32> = (0..u32::try_from(stacks.len()).unwrap()).collect();
        let spec = TreeSpec { direction, measure: Measure::Entries, from: 0, to: 1 };
        CallTree::new(stacks, &SymbolTable::default(), &all, None, spec, &Progress::default()).unwrap()
    }

    /// `address: from→to` of a node's children.
    fn shown(tree: &CallTree, node: &Node) -> Vec<String> {
        let text = |child: &Node| {
            let Weight { from, to } = tree.weight(child);
            match child.name {
                NodeName::Frame(id) => format!("{:x}: {from}→{to}", tree.address(id).0),
                NodeName::CutOff => format!("cut off: {from}→{to}"),
                NodeName::Root => "root".to_owned(),
            }
        };
        tree.children(node).iter().map(text).collect()
    }

    #[test]
    fn callers_first() {
        let tree = tree(
            &[(&[0xa, 0xb, 0x1], 1, 2), (&[0xc, 0x1], 0, 5), (&[0x1], 3, 3), (&[0xd, 0x2], 0, 0)],
            Direction::CallerFirst,
        );
        let root = tree.root();
        assert_eq!(tree.weight(&root), Weight { from: 4, to: 10 });
        assert_eq!(shown(&tree, &root), ["1: 4→10"], "what no dump has is left out");
        let one = &tree.children(&root)[0];
        assert_eq!(shown(&tree, one), ["b: 1→2", "c: 0→5"], "3 entries end at 1 itself");
        assert_eq!(shown(&tree, &tree.children(one)[0]), ["a: 1→2"]);
    }

    #[test]
    fn callees_first() {
        let tree = tree(&[(&[0xa, 0xb, 0x1], 1, 2), (&[0xa, 0x1], 0, 5)], Direction::CalleeFirst);
        let a = &tree.children(&tree.root())[0];
        assert_eq!(shown(&tree, &tree.root()), ["a: 1→7"]);
        assert_eq!(shown(&tree, a), ["1: 0→5", "b: 1→2"]);
    }

    #[test]
    fn stacks_that_are_cut_off_say_so() {
        let deep: Vec<u64> = (1..=32).collect();
        let tree = tree(&[(&deep, 0, 4), (&[0x20], 0, 1)], Direction::CallerFirst);
        assert_eq!(shown(&tree, &tree.root()), ["20: 0→1", "cut off: 0→4"]);
        let cut = &tree.children(&tree.root())[1];
        assert_eq!(shown(&tree, cut), ["20: 0→4"]);
    }

    #[test]
    fn paths_keep_their_name_when_the_tree_is_made_again() {
        let rows: Vec<(Vec<u64>, u64, u64)> = (0..300).map(|n| (vec![n % 7 + 1, n / 7 + 100, 0x500], 1, n)).collect();
        let rows: Vec<(&[u64], u64, u64)> =
            rows.iter().map(|(frames, from, to)| (frames.as_slice(), *from, *to)).collect();
        let (all, some) = (tree(&rows, Direction::CallerFirst), tree(&rows[..200], Direction::CallerFirst));
        let first = |tree: &CallTree| tree.children(&tree.children(&tree.root())[0])[0].clone();
        assert_eq!(all.address_of(&first(&all)), some.address_of(&first(&some)));
        let sum: u64 = all.children(&all.children(&all.root())[0]).iter().map(|node| all.weight(node).to).sum();
        assert_eq!(sum, all.weight(&all.root()).to);
    }

    impl CallTree {
        fn address_of(&self, node: &Node) -> Option<Va> {
            match node.name {
                NodeName::Frame(id) => Some(self.address(id)),
                _ => None,
            }
        }
    }
}
