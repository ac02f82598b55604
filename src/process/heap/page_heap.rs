//! Page heap (gflags +hpa, verifier): each block has pages of its own, with its size and stack in a node of a tree.
//!
//! The handle in the PEB's list is a stand-in; `DPH_HEAP_ROOT` lies one page behind it. Known from published readers and
//! header listings; no real dump was at hand. The heap's own counts prove what was found: a walk that gives another number of
//! nodes is told as incomplete.

use std::collections::BTreeSet;

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::memory::{self, ReadMemory};
use crate::base::problems::Problems;
use crate::base::progress::{Cancelled, Progress};

use super::block::{Block, BlockKind, Trace};
use super::extent::HeapPlace;

const PAGE_BYTES: u64 = 0x1000;
/// Stamps at the start of DPH_BLOCK_INFORMATION, directly before the user's memory.
const BUSY_STAMP: u32 = 0xabcd_bbbb;

/// Fields of `DPH_HEAP_ROOT` and `DPH_HEAP_BLOCK`.
struct Layout {
    storage_head: u64,
    storage_count: u64,
    /// BusyNodesTable: an RTL_AVL_TABLE, whose first links are the root's.
    busy_table: u64,
    busy_count: u64,
    free_head: u64,
    free_count: u64,
    normal_heap: u64,
    /// Of a node.
    user_allocation: u64,
    virtual_block: u64,
    virtual_bytes: u64,
    requested_bytes: u64,
    stack_trace: u64,
    /// `sizeof(DPH_BLOCK_INFORMATION)`.
    information_bytes: u64,
}

const fn layout(width: PointerWidth) -> &'static Layout {
    match width {
        PointerWidth::Bits32 => &Layout {
            storage_head: 0x10,
            storage_count: 0x18,
            busy_table: 0x20,
            busy_count: 0x5c,
            free_head: 0x64,
            free_count: 0x6c,
            normal_heap: 0xb4,
            user_allocation: 0x10,
            virtual_block: 0x14,
            virtual_bytes: 0x18,
            requested_bytes: 0x20,
            stack_trace: 0x30,
            information_bytes: 0x20,
        },
        PointerWidth::Bits64 => &Layout {
            storage_head: 0x18,
            storage_count: 0x28,
            busy_table: 0x38,
            busy_count: 0xa8,
            free_head: 0xb8,
            free_count: 0xc8,
            normal_heap: 0x150,
            user_allocation: 0x20,
            virtual_block: 0x28,
            virtual_bytes: 0x30,
            requested_bytes: 0x40,
            stack_trace: 0x60,
            information_bytes: 0x40,
        },
    }
}

/// Where the memory of a page heap lies.
pub(super) struct PageHeapParts {
    /// An address in each allocation.
    pub allocations: Vec<Va>,
    pub normal_heap: Option<Va>,
    pub is_whole: bool,
}

pub(super) fn read_extent(
    memory: &dyn ReadMemory,
    place: HeapPlace,
    link_budget: &mut usize,
    problems: &mut Problems,
) -> PageHeapParts {
    let root = Root::of(memory, place);
    let storage = root.list(root.layout.storage_head, link_budget);
    let normal_heap = root.pointer(root.layout.normal_heap);
    // Each page heap has storage, and a heap behind it: zeros are no root.
    let is_counted = root.u32(root.layout.storage_count).is_some_and(|count| u64::from(count) == storage.len() as u64);
    let is_whole = is_counted && !storage.is_empty() && normal_heap.is_some();
    if !is_whole {
        let text = format!("{} of its storage ranges are known; the size of the page heap is not", storage.len());
        problems.missing(format!("page heap {}", place.base), text);
    }
    let mut allocations: Vec<Va> =
        storage.iter().filter_map(|node| root.range_of(*node)).map(|range| range.start).collect();
    allocations.extend(root.base);
    PageHeapParts { allocations, normal_heap, is_whole }
}

/// What a page heap holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PageHeapBlocks {
    pub blocks: Vec<Block>,
    /// What the heap itself counts.
    pub busy_count: Option<u32>,
    pub freed_count: Option<u32>,
    /// Blocks whose stamp before the user's memory is not that of a block in use, or which is not in the dump.
    pub unproved_stamp_count: u64,
    /// Whether the walk found as many as the heap counts.
    pub is_whole: bool,
}

/// All blocks of a page heap: those in use from its tree, and those given back from the list where they wait.
///
/// # Errors
/// Only when cancelled.
pub fn read_blocks(
    memory: &dyn ReadMemory,
    place: HeapPlace,
    link_budget: &mut usize,
    progress: &Progress,
) -> Result<PageHeapBlocks, Cancelled> {
    let root = Root::of(memory, place);
    let mut found = PageHeapBlocks {
        busy_count: root.u32(root.layout.busy_count),
        freed_count: root.u32(root.layout.free_count),
        ..PageHeapBlocks::default()
    };
    let busy = root.tree(link_budget, progress)?;
    for node in &busy {
        let Some(block) = root.block_of(*node, BlockKind::Busy) else { continue };
        let stamp = memory::u32_at(memory, block.entry);
        found.unproved_stamp_count = found.unproved_stamp_count.saturating_add(u64::from(stamp != Some(BUSY_STAMP)));
        found.blocks.push(block);
    }
    let busy_found = found.blocks.len();
    let freed = root.list(root.layout.free_head, link_budget);
    found.blocks.extend(freed.iter().filter_map(|node| root.block_of(*node, BlockKind::Free)));
    let freed_found = found.blocks.len().saturating_sub(busy_found);
    let counts = |count: Option<u32>, found: usize| count.is_some_and(|count| u64::from(count) == found as u64);
    found.is_whole = counts(found.busy_count, busy_found) && counts(found.freed_count, freed_found);
    Ok(found)
}

struct Root<'a> {
    memory: &'a dyn ReadMemory,
    width: PointerWidth,
    layout: &'static Layout,
    base: Option<Va>,
}

impl<'a> Root<'a> {
    fn of(memory: &'a dyn ReadMemory, place: HeapPlace) -> Self {
        Self { memory, width: place.width, layout: layout(place.width), base: place.base.checked_add(PAGE_BYTES) }
    }

    fn u32(&self, offset: u64) -> Option<u32> {
        memory::u32_at(self.memory, self.base?.checked_add(offset)?)
    }

    fn pointer(&self, offset: u64) -> Option<Va> {
        self.pointer_of(self.base?, offset).filter(|va| !va.is_null())
    }

    fn pointer_of(&self, node: Va, offset: u64) -> Option<Va> {
        memory::pointer_at(self.memory, node.checked_add(offset)?, self.width)
    }

    /// Nodes of a list, linked by their first field.
    fn list(&self, head_offset: u64, link_budget: &mut usize) -> Vec<Va> {
        let mut seen = BTreeSet::new();
        let mut nodes = Vec::new();
        let mut next = self.pointer(head_offset);
        while let Some(node) = next.filter(|node| !node.is_null() && seen.insert(*node)) {
            let Some(budget) = link_budget.checked_sub(1) else { break };
            *link_budget = budget;
            if self.range_of(node).is_none() {
                break;
            }
            nodes.push(node);
            next = self.pointer_of(node, 0);
        }
        nodes
    }

    /// Nodes of the tree of blocks in use.
    fn tree(&self, link_budget: &mut usize, progress: &Progress) -> Result<Vec<Va>, Cancelled> {
        let mut seen = BTreeSet::new();
        let mut nodes = Vec::new();
        let Some(root) = self.base.and_then(|base| base.checked_add(self.layout.busy_table)) else { return Ok(nodes) };
        let step = self.width.bytes();
        // Parent comes first, then Left and Right; the table's own links hold the tree's root.
        let children = |node: Va| [step, step.wrapping_mul(2)].map(|offset| self.pointer_of(node, offset));
        let mut waiting: Vec<Va> = children(root).into_iter().flatten().collect();
        while let Some(node) = waiting.pop() {
            if node.is_null() || node == root || !seen.insert(node) {
                continue;
            }
            let Some(budget) = link_budget.checked_sub(1) else { break };
            *link_budget = budget;
            if budget & 0xfff == 0 {
                progress.check()?;
            }
            nodes.push(node);
            waiting.extend(children(node).into_iter().flatten());
        }
        nodes.sort_unstable();
        Ok(nodes)
    }

    /// The pages of a node's block.
    fn range_of(&self, node: Va) -> Option<VaRange> {
        let start = self.pointer_of(node, self.layout.virtual_block)?;
        let bytes = self.pointer_of(node, self.layout.virtual_bytes)?.0;
        let is_one =
            !start.is_null() && start.0.is_multiple_of(PAGE_BYTES) && bytes > 0 && bytes.is_multiple_of(PAGE_BYTES);
        is_one.then(|| VaRange::from_size(start, bytes))
    }

    fn block_of(&self, node: Va, kind: BlockKind) -> Option<Block> {
        let range = self.range_of(node)?;
        let user = self.pointer_of(node, self.layout.user_allocation)?;
        let user_bytes = self.pointer_of(node, self.layout.requested_bytes)?.0;
        let end = user.checked_add(user_bytes)?;
        (range.start <= user && end <= range.end).then_some(())?;
        let record = self.pointer_of(node, self.layout.stack_trace)?;
        Some(Block {
            entry: Va(user.0.checked_sub(self.layout.information_bytes)?),
            size_bytes: range.size_bytes(),
            kind,
            user: Some(user),
            user_bytes: Some(user_bytes),
            trace: if record.is_null() { Trace::Missing } else { Trace::At(record) },
        })
    }
}
