//! The three process heaps: their regions, and all of their blocks.
//!
//! Figures: `!heap -s` of the case. That the two small heaps are mapped sections of 64 KB, and that one of them counts an
//! uncommitted range without having one, is so in a real Windows 7 SP1 dump; their commit figure is the heap's own, not the
//! region's. Which blocks the main heap holds is made up: they carry entries of the database that every dump of the run has,
//! and their number goes up and down a little, as in the case, where comparing two logs showed "only fluctuation".

use super::figures::{DATABASE_BUCKETS, Moment, ProcessRun};
use super::logged_stacks::entries_bytes;
use crate::base::addr::{PointerWidth, Va};
use crate::sample::address_space::AddressSpace;
use crate::sample::error::SampleError;
use crate::sample::heap_image::{
    BuiltHeap, BusyBlock, CAPTURE_STACK_TRACES, FrontEnd, HeapGeneration, HeapPlan, LfhBlocks, PlannedBlock, RunPlan,
    SegmentPlan, SegmentRegion, Trace,
};
use crate::sample::trace_database::DatabaseShape;

/// The pages of the main heap in turn: committed, uncommitted, ... 361 of 1024 are committed, in 3 uncommitted ranges.
pub const MAIN_HEAP_PAGE_RUNS: [(u64, u64); 3] = [(128, 221), (160, 221), (73, 221)];
/// Free in the main heap, in four blocks: 1164 K and a half.
const MAIN_HEAP_FREE_BYTES: u64 = 1164 * 1024 + 512;
/// What ntdll takes for "no trace".
const NO_TRACE: Trace = Trace::Pointer(Va(0x0101_0000_0000_0000));
/// Entries of the database that were there before the first dump.
const OLD_ENTRY_COUNT: u64 = 60;
const LARGEST_BUFFER_BYTES: u64 = 0x2000;

/// The heaps of the process in the order of the PEB's array: their addresses.
pub fn heap_bases(run: &ProcessRun) -> [Va; 3] {
    [run.main_heap, Va(0x1_0000), Va(0x2_0000)]
}

/// Adds the regions and the blocks of all heaps, and tells what was built.
pub fn add_heaps(space: &mut AddressSpace, run: &ProcessRun, moment: &Moment) -> Result<Vec<BuiltHeap>, SampleError> {
    let plans = [main_heap(run, moment)?, small_heap(run, Va(0x1_0000), 2, 1), small_heap(run, Va(0x2_0000), 3, 16)];
    let mut built = Vec::with_capacity(plans.len());
    for plan in plans {
        let image = plan.build()?;
        image.add_to(space);
        built.push(image.truth);
    }
    Ok(built)
}

fn traced_heap(run: &ProcessRun, base: Va, flags: u32, list_index: u16) -> HeapPlan {
    HeapPlan {
        flags: CAPTURE_STACK_TRACES | flags,
        force_flags: CAPTURE_STACK_TRACES,
        list_index,
        lfh_key: run.lfh_key,
        interceptor: 1,
        ..HeapPlan::new(HeapGeneration::Seven, PointerWidth::Bits64, base)
    }
}

/// A heap in a section of another process, without blocks in use.
fn small_heap(run: &ProcessRun, base: Va, list_index: u16, committed_pages: u64) -> HeapPlan {
    let pages = RunPlan { committed_pages, uncommitted_pages: 16 - committed_pages, blocks: Vec::new() };
    let segment = SegmentPlan { base, runs: vec![pages], region: SegmentRegion::MappedWhole, ..SegmentPlan::default() };
    HeapPlan { segments: vec![segment], ..traced_heap(run, base, 0x8000, list_index) }
}

/// The growable heap. What its other blocks leave in use goes to buffers, so that the free bytes are those of the case.
fn main_heap(run: &ProcessRun, moment: &Moment) -> Result<HeapPlan, SampleError> {
    let free_without_buffers = main_heap_with(run, moment, 0).build()?.truth.totals.free_bytes;
    Ok(main_heap_with(run, moment, free_without_buffers - MAIN_HEAP_FREE_BYTES))
}

fn main_heap_with(run: &ProcessRun, moment: &Moment, buffer_bytes: u64) -> HeapPlan {
    let mut blocks = [Vec::new(), Vec::new(), Vec::new()];
    let [first, second, third] = &mut blocks;
    start_up_blocks(first);
    first.extend(front_end_blocks(run, moment));
    // What a start-up block of 0x230 bytes left behind; then blocks of the loop's callers.
    first.push(PlannedBlock::Free { block_bytes: 0x240 });
    first.extend(small_blocks(run, 0, 40));
    // They come and go: of 12 places some are in use.
    second.extend(small_blocks(run, 40, 30 + u64::from(moment.first_call_depth % 12)));
    third.extend(small_blocks(run, 90, 20));
    second.extend(buffers(run, buffer_bytes));

    let runs = MAIN_HEAP_PAGE_RUNS.iter().zip(blocks);
    let runs = runs.map(|((committed_pages, uncommitted_pages), blocks)| RunPlan {
        committed_pages: *committed_pages,
        uncommitted_pages: *uncommitted_pages,
        blocks,
    });
    let segment = SegmentPlan { base: run.main_heap, runs: runs.collect(), ..SegmentPlan::default() };
    HeapPlan { front_end: FrontEnd::Lfh, segments: vec![segment], ..traced_heap(run, run.main_heap, 2, 1) }
}

/// An entry of the database.
fn entry_trace(run: &ProcessRun, position: u64) -> Trace {
    let first = DatabaseShape::SEVEN_X64.first_entry_offset(DATABASE_BUCKETS);
    Trace::Pointer(Va(run.database.0 + first + entries_bytes(position)))
}

/// What the start of the process left: the first blocks lie there since before traces were taken, the next have none.
fn start_up_blocks(blocks: &mut Vec<PlannedBlock>) {
    let sizes =
        [0x850, 0x120, 0x2b50, 0x1146, 0x3c, 0x40, 0x28, 0xe0, 0xe0, 0x230, 0x24, 0x400, 0x4c, 0x1000, 0x18, 0x68];
    for (number, user_bytes) in sizes.into_iter().enumerate() {
        let trace = if number < 3 { Trace::None } else { NO_TRACE };
        blocks.push(PlannedBlock::Busy(BusyBlock::traced(user_bytes, trace)));
    }
}

/// Containers for three sizes. How many of their blocks are in use differs between the dumps.
fn front_end_blocks(run: &ProcessRun, moment: &Moment) -> Vec<PlannedBlock> {
    let container = |block_bytes: u64, count: u64, in_use: u64| {
        let slot = |number: u64| {
            // 8 bytes of the header are the only other overhead of a block of the front end.
            let user_bytes = block_bytes - 0x28 - number % 5;
            let trace = entry_trace(run, (number * 7 + block_bytes) % OLD_ENTRY_COUNT);
            // Those in use are spread over the container.
            (number * 5 % count < in_use).then_some(BusyBlock::traced(user_bytes, trace))
        };
        PlannedBlock::Lfh(LfhBlocks { block_bytes, blocks: (0..count).map(slot).collect() })
    };
    let turn = u64::from(moment.first_call_depth);
    vec![container(0x50, 23, 15 + turn % 5), container(0x70, 17, 17), container(0xc0, 9, 3 + turn % 4)]
}

/// Small blocks of the back end with the stacks of the loop.
fn small_blocks(run: &ProcessRun, first: u64, count: u64) -> impl Iterator<Item = PlannedBlock> {
    (first..first + count).map(|number| {
        let user_bytes = 0x18 + number * 37 % 0x1f0;
        PlannedBlock::Busy(BusyBlock::traced(user_bytes, entry_trace(run, number * 11 % OLD_ENTRY_COUNT)))
    })
}

/// Blocks of at most 8 KB that take exactly `bytes` with their headers.
fn buffers(run: &ProcessRun, bytes: u64) -> Vec<PlannedBlock> {
    let count = bytes.div_ceil(LARGEST_BUFFER_BYTES);
    let mut left_bytes = bytes;
    let mut blocks = Vec::new();
    for number in 0..count {
        let block_bytes = (left_bytes / (count - number)).next_multiple_of(16).min(left_bytes);
        left_bytes -= block_bytes;
        let trace = entry_trace(run, number * 3 % OLD_ENTRY_COUNT);
        blocks.push(PlannedBlock::Busy(BusyBlock::traced(block_bytes - 0x28, trace)));
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::super::figures::{CASE_A_MOMENT, CASE_A_RUN, SERIES_MOMENTS, SERIES_RUN};
    use super::*;
    use crate::sample::heap_image::BlockState;

    #[test]
    fn the_heaps_have_the_figures_of_the_case_in_every_dump() {
        let series = SERIES_MOMENTS.iter().map(|moment| (&SERIES_RUN, moment));
        for (run, moment) in series.chain([(&CASE_A_RUN, &CASE_A_MOMENT)]) {
            let heaps = add_heaps(&mut AddressSpace::default(), run, moment).unwrap();
            let shown: Vec<_> = heaps.iter().map(|heap| (heap.totals.flags, heap.totals.columns())).collect();
            assert_eq!(
                shown,
                [
                    (0x0800_0002, [4096, 1444, 4096, 1164, 4, 3, 0, 0]),
                    (0x0800_8000, [64, 4, 64, 1, 1, 1, 0, 0]),
                    (0x0800_8000, [64, 64, 64, 61, 1, 1, 0, 0]),
                ]
            );
            let main = &heaps[0];
            assert!(main.of_state(BlockState::LfhBusy).count() > 30);
            assert!(main.of_state(BlockState::LfhFree).count() > 0);
            assert!(main.outstanding().all(|block| block.user_bytes <= 0x2b50));
        }
    }

    #[test]
    fn blocks_come_and_go_between_dumps() {
        let counts: Vec<_> = SERIES_MOMENTS
            .iter()
            .map(|moment| {
                add_heaps(&mut AddressSpace::default(), &SERIES_RUN, moment).unwrap()[0].outstanding().count()
            })
            .collect();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(most > least && most - least < 20, "{counts:?}");
        assert_ne!(most, counts.last().unwrap(), "{counts:?}");
    }
}
