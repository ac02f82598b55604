//! The heaps of these processes, from what is planned for them.

use super::process_plan::{PlannedHeap, ProcessPlan};
use crate::base::addr::Va;
use crate::sample::address_space::AddressSpace;
use crate::sample::error::SampleError;
use crate::sample::heap_image::{
    BuiltHeap, BusyBlock, CAPTURE_STACK_TRACES, HeapGeneration, HeapPlan, LfhBlocks, PlannedBlock, RunPlan,
    SegmentPlan, SegmentRegion, Trace,
};
use crate::sample::process_memory::Windows;

/// Adds the regions and blocks of all heaps of `plan`, and tells what was built.
pub fn add_heaps(space: &mut AddressSpace, plan: &ProcessPlan) -> Result<Vec<BuiltHeap>, SampleError> {
    let mut built = Vec::with_capacity(plan.heaps.len());
    for (heap, list_index) in plan.heaps.iter().zip(1..) {
        let image = heap_plan(plan, heap, list_index).build()?;
        image.add_to(space);
        built.push(image.truth);
    }
    Ok(built)
}

fn heap_plan(plan: &ProcessPlan, heap: &PlannedHeap, list_index: u16) -> HeapPlan {
    let (generation, has_guard_page) = match plan.windows {
        Windows::XpX86 => (HeapGeneration::Xp, false),
        Windows::SevenX86 | Windows::SevenX64 => (HeapGeneration::Seven, false),
        Windows::TenX64 => (HeapGeneration::Ten1809, true),
    };
    let run = RunPlan {
        committed_pages: u64::from(heap.committed_pages),
        uncommitted_pages: u64::from(heap.page_count - heap.committed_pages),
        blocks: heap.blocks.clone(),
    };
    let first = SegmentPlan {
        base: heap.base,
        runs: vec![run],
        region: if heap.is_mapped { SegmentRegion::Mapped } else { SegmentRegion::Private },
        has_guard_page: has_guard_page && !heap.is_mapped,
    };
    let traced = heap.flags & CAPTURE_STACK_TRACES;
    let lfh_key = plan.variables.iter().find(|(name, _)| *name == "RtlpLFHKey").map_or(0, |(_, value)| value.0);
    HeapPlan {
        flags: heap.flags,
        force_flags: traced,
        list_index,
        lfh_key,
        front_end: heap.front_end,
        segments: [first].into_iter().chain(heap.more_segments.iter().cloned()).collect(),
        virtual_blocks: heap.virtual_blocks.clone(),
        lock_collisions: heap.lock_collisions,
        interceptor: u32::from(traced != 0),
        ..HeapPlan::new(generation, plan.windows.width(), heap.base)
    }
}

/// Blocks of mixed sizes whose stacks are taken in turn from `traces`.
#[derive(Clone, Copy, Debug)]
pub struct BlockMix<'a> {
    pub traces: &'a [Trace],
    /// Bytes of a block of the front end that are not the user's: header and prefix.
    pub overhead_bytes: u64,
}

impl BlockMix<'_> {
    fn trace(&self, number: u64) -> Trace {
        let count = self.traces.len().max(1) as u64;
        // Some stacks hold more blocks than others.
        let place = (number * number + number * 5) % count;
        self.traces.get(usize::try_from(place).unwrap_or_default()).copied().unwrap_or_default()
    }

    /// Blocks of the back end, number `first` and the following ones; every 23rd is free.
    pub fn back_end(&self, first: u64, count: u64) -> Vec<PlannedBlock> {
        (first..first + count)
            .map(|number| match number % 23 {
                11 => PlannedBlock::Free { block_bytes: 0x40 + number % 5 * 0x20 },
                _ => PlannedBlock::Busy(BusyBlock::traced(0x14 + number * 53 % 0x2c0, self.trace(number))),
            })
            .collect()
    }

    /// A container of the front end, with `in_use` of its `count` blocks in use.
    pub fn container(&self, block_bytes: u64, count: u64, in_use: u64) -> PlannedBlock {
        let slot = |number: u64| {
            let user_bytes = block_bytes - self.overhead_bytes - number % 7;
            // A step that has no factor in common with the counts used here spreads them.
            (number * 7 % count < in_use).then(|| BusyBlock::traced(user_bytes, self.trace(number + block_bytes)))
        };
        PlannedBlock::Lfh(LfhBlocks { block_bytes, blocks: (0..count).map(slot).collect() })
    }
}

/// Traces that name the records at `vas`.
pub fn pointers(vas: impl IntoIterator<Item = Va>) -> Vec<Trace> {
    vas.into_iter().map(Trace::Pointer).collect()
}
