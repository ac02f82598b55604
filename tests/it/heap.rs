//! Process heaps decoded: figures, blocks, damage.

mod builder;
mod built;
mod damage;
mod free_list;
mod layouts;
mod lists;
mod lookaside;
mod other_kinds;
mod real;
mod regions;
mod stacks;
mod summary;

use dumptrend::base::addr::{PointerWidth, Va, VaRange};
use dumptrend::base::memory::ReadMemory;
use dumptrend::base::problems::Problems;
use dumptrend::base::progress::Progress;
use dumptrend::process::heap::block::{Block, BlockSink, Loss};
use dumptrend::process::heap::extent::{HeapExtent, HeapPlace, read_extent};
use dumptrend::process::heap::lists::LINK_BUDGET;
use dumptrend::process::heap::{DecodedHeap, HeapHints, decode_heap, visit_blocks};

/// One heap of a memory, with what was wrong with its lists.
fn extent_of(memory: &dyn ReadMemory, base: Va, width: PointerWidth) -> (HeapExtent, Problems) {
    let mut problems = Problems::default();
    let place = HeapPlace { base, width, position: None, os_build: None, pdb_layout: None };
    let extent = read_extent(memory, place, &mut LINK_BUDGET.clone(), &mut problems);
    (extent, problems)
}

fn decode(memory: &dyn ReadMemory, extent: &HeapExtent) -> DecodedHeap {
    decode_heap(memory, extent, HeapHints::default(), &Progress::default()).expect("not cancelled")
}

/// All blocks that a walk tells of, by address, and what it lost.
fn walked(memory: &dyn ReadMemory, extent: &HeapExtent) -> (Vec<Block>, Vec<(VaRange, Loss)>) {
    let sinks = visit_blocks(memory, extent, HeapHints::default(), Told::default, &Progress::default());
    let (mut blocks, mut lost) = (Vec::new(), Vec::new());
    for sink in sinks.expect("not cancelled") {
        blocks.extend(sink.blocks);
        lost.extend(sink.lost);
    }
    blocks.sort_unstable_by_key(|block| (block.entry, block.kind));
    lost.sort_unstable();
    (blocks, lost)
}

#[derive(Default)]
struct Told {
    blocks: Vec<Block>,
    lost: Vec<(VaRange, Loss)>,
}

impl BlockSink for Told {
    fn block(&mut self, block: &Block) {
        self.blocks.push(*block);
    }

    fn lost(&mut self, range: VaRange, loss: Loss) {
        self.lost.push((range, loss));
    }

    fn broken_chain(&mut self, entry: Va) {
        self.lost.push((VaRange { start: entry, end: entry }, Loss::BadHeader));
    }
}
