//! OrderServer.exe on Windows 10 x64 (19045): three short series that differ in what grows.
//!
//! - `HeapLeak`: one private heap grows by blocks of one size, which one stack allocates; allocations are traced.
//! - `RegionLeak`: private regions of one size gather, the heaps stay; nothing is traced.
//! - `Fluctuation`: the blocks of one heap go up and down; allocations are traced.

use super::OtherMoment;
use super::heaps::{BlockMix, pointers};
use super::process_plan::{PlannedHeap, ProcessPlan};
use super::process_space::{PlannedSpace, planned_space};
use super::ten_x64::{
    FIRST_ZONE, FRONT_END, INNERMOST, LOG_HEADER, MAIN_HEAP, around, database, empty_plan, modules_of, start_of_thread,
};
use crate::base::addr::Va;
use crate::sample::allocfree::case_functions::Framed;
use crate::sample::allocfree::figures::filetime;
use crate::sample::allocfree::live_stack::Site;
use crate::sample::allocfree::logged_stacks::logged_stack;
use crate::sample::allocfree::modules::ProcessModule;
use crate::sample::error::SampleError;
use crate::sample::heap_image::{
    BusyBlock, CAPTURE_STACK_TRACES, FrontEnd, PlannedBlock, RunPlan, SegmentPlan, SegmentRegion, Trace,
};
use crate::sample::heap_trace_log::HeapTraceLog;

/// What goes wrong in the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Story {
    HeapLeak,
    RegionLeak,
    Fluctuation,
}

/// Five dumps in four hours; `size` is the number of orders that the cache holds and never gives back.
pub const HEAP_LEAK_MOMENTS: [OtherMoment; 5] = [
    moment(36_060, 2_000, 4_100),
    moment(39_665, 9_100, 18_300),
    moment(43_258, 15_900, 32_050),
    moment(46_872, 23_200, 46_600),
    moment(50_471, 30_000, 60_400),
];

/// Five dumps; `size` is the number of pictures that are in memory.
pub const REGION_LEAK_MOMENTS: [OtherMoment; 5] = [
    moment(36_060, 20, 2_400),
    moment(39_662, 61, 6_950),
    moment(43_270, 100, 11_100),
    moment(46_868, 142, 15_800),
    moment(50_466, 180, 20_050),
];

/// Six dumps; `size` is the number of orders in work.
pub const FLUCTUATION_MOMENTS: [OtherMoment; 6] = [
    moment(36_060, 4_000, 9_800),
    moment(37_864, 9_000, 21_400),
    moment(39_660, 2_500, 28_900),
    moment(41_471, 8_000, 40_200),
    moment(43_259, 3_500, 47_100),
    moment(45_066, 4_100, 56_300),
];

const fn moment(second_of_day: u32, size: u32, user_ms: u64) -> OtherMoment {
    OtherMoment { second_of_day, size, user_ms, kernel_ms: user_ms / 6 }
}

/// 2024-03-12 00:00 UTC.
const DAY_UNIX_SECONDS: u32 = 1_710_201_600;
const CACHE_HEAP: Va = Va(0x1c8_a5d0_0000);
/// The cache's further segments, each twice as large as the one before.
const CACHE_SEGMENTS: [(Va, u64); 4] = [
    (Va(0x1c8_b000_0000), 0x200),
    (Va(0x1c8_b040_0000), 0x400),
    (Va(0x1c8_b0c0_0000), 0x800),
    (Va(0x1c8_b1c0_0000), 0x1000),
];
const CACHE_SEGMENT_PAGES: u64 = 0x100;
const SMALL_HEAP: Va = Va(0x1c8_a5c8_0000);
const PORT_HEAP: Va = Va(0x1c8_a597_0000);
/// An order in the cache.
const ORDER_BYTES: u64 = 0x148;
/// A picture: its pixels, in a region of its own.
const PICTURE_BYTES: u64 = 0x4_0000;
const FIRST_PICTURE: Va = Va(0x1c8_c000_0000);

const FUNCTIONS: [Framed; 14] = [
    ("dispatch", 0x1000, 0xa0, 0x48),
    ("handle_order", 0x10b0, 0x120, 0x68),
    ("parse_order", 0x11e0, 0x90, 0x48),
    ("cache_order", 0x1280, 0x80, 0x38),
    ("format_reply", 0x1310, 0xa0, 0x58),
    ("write_log", 0x13c0, 0x70, 0x48),
    ("load_picture", 0x1440, 0xd0, 0x68),
    ("wait_for_order", 0x1530, 0x60, 0x38),
    ("wmainCRTStartup", 0x15a0, 0x20, 0x28),
    ("wmain", 0x1600, 0xd0, 0x48),
    ("malloc", 0x1700, 0x80, 0x28),
    ("__scrt_common_main_seh", 0x1790, 0x170, 0x38),
    ("__scrt_initialize_crt", 0x1910, 0x80, 0x28),
    ("__acrt_initialize_heap", 0x19a0, 0x30, 0x28),
];

/// The calls of the program that allocate, outermost first. The first one is what a full cache is made of.
const CALLS: [&[(&str, u64)]; 6] = [
    &[("wmain", 0x8a), ("dispatch", 0x5d), ("handle_order", 0xb2), ("cache_order", 0x41)],
    &[("wmain", 0x8a), ("dispatch", 0x5d), ("handle_order", 0x4c), ("parse_order", 0x39), ("malloc", 0x1b)],
    &[("wmain", 0x8a), ("dispatch", 0x5d), ("handle_order", 0xe1), ("format_reply", 0x62), ("malloc", 0x1b)],
    &[("wmain", 0x8a), ("dispatch", 0x81), ("write_log", 0x2e), ("malloc", 0x1b)],
    &[("wmain", 0x52), ("malloc", 0x1b)],
    &[("wmain", 0x8a), ("dispatch", 0x22), ("malloc", 0x1b)],
];

fn modules() -> Vec<ProcessModule> {
    modules_of("OrderServer.exe", r"C:\OrderServer\x64\Release\OrderServer.pdb", &FUNCTIONS)
}

/// A stack of the heap trace log, innermost first; empty past the last.
fn stack(modules: &[ProcessModule], number: u32) -> Vec<Va> {
    let Some(calls) = CALLS.get(number as usize) else { return Vec::new() };
    let sites = calls.iter().map(|(function, offset)| Site::new(function, *offset)).collect();
    logged_stack(modules, &around(sites), INNERMOST)
}

/// The process at `moment`.
pub fn process(story: Story, moment: &OtherMoment) -> Result<(ProcessPlan, PlannedSpace), SampleError> {
    let modules = modules();
    let log = HeapTraceLog {
        header: LOG_HEADER,
        first_zone: FIRST_ZONE,
        zone_count: 1,
        largest_count: CALLS.len() as u32,
        largest_zone_count: u32::MAX,
    };
    let is_traced = story != Story::RegionLeak;
    let traces = if is_traced {
        pointers(log.places(CALLS.len() as u32, |number| stack(&modules, number)))
    } else {
        vec![Trace::None; CALLS.len()]
    };
    let mut sites = start_of_thread();
    sites.extend([Site::new("wmain", 0x8a), Site::new("dispatch", 0x96), Site::new("wait_for_order", 0x33)]);
    let mut plan = ProcessPlan {
        process_id: 0x1b9c,
        thread_id: 0x1ba0,
        create_filetime: filetime(DAY_UNIX_SECONDS, 34_212_640),
        dump_unix_seconds: DAY_UNIX_SECONDS + moment.second_of_day,
        user_ms: moment.user_ms,
        kernel_ms: moment.kernel_ms,
        sites,
        heaps: heaps(story, moment, &traces),
        ..empty_plan(modules.clone())
    };
    if story == Story::RegionLeak {
        let pictures =
            (0..u64::from(moment.size)).map(|number| (Va(FIRST_PICTURE.0 + number * PICTURE_BYTES), PICTURE_BYTES));
        plan.buffers = pictures.collect();
    }
    if !is_traced {
        plan.nt_global_flag = 0;
        plan.variables.retain(|(name, _)| !name.contains("StackTrace"));
        for heap in &mut plan.heaps {
            heap.flags &= !CAPTURE_STACK_TRACES;
        }
    }
    let mut planned = planned_space(&plan)?;
    if is_traced {
        log.add_to(&mut planned.space, |number| stack(&modules, number));
        database(&modules).add_to(&mut planned.space)?;
    }
    Ok((plan, planned))
}

/// The default heap, the port's, one of the runtime, and the cache.
fn heaps(story: Story, moment: &OtherMoment, traces: &[Trace]) -> Vec<PlannedHeap> {
    let leaking = traces.first().copied().unwrap_or_default();
    let others = traces.get(1..).unwrap_or_default();
    let mix = BlockMix { traces: others, overhead_bytes: if leaking == Trace::None { 0x8 } else { 0x28 } };
    // A few blocks more or less of the stacks that do not leak.
    let turn = u64::from(moment.size / 100 * 7 % 11);
    let mut blocks = mix.back_end(0, 300 + turn);
    blocks.extend([mix.container(0x50, 23, 9 + turn), mix.container(0x80, 15, 15)]);
    blocks.extend(mix.back_end(400, 120));
    let main = PlannedHeap {
        blocks,
        front_end: FrontEnd::LfhAt { base: FRONT_END, reserved_pages: 50 },
        ..PlannedHeap::private(MAIN_HEAP, 2, 0x100, 0x70)
    };
    let small = PlannedHeap {
        blocks: BlockMix { traces: others, ..mix }.back_end(0, 12),
        ..PlannedHeap::private(SMALL_HEAP, 0x1002, 16, 3)
    };
    let port = PlannedHeap::mapped(PORT_HEAP, 0x8000, 16, 16);
    let cache = match story {
        Story::HeapLeak => cache_heap(moment.size, |_| BusyBlock::traced(ORDER_BYTES, leaking)),
        Story::RegionLeak => cache_heap(40, |_| BusyBlock::traced(ORDER_BYTES, leaking)),
        Story::Fluctuation => cache_heap(moment.size, |number| {
            let trace = others.get(number as usize % others.len().max(1)).copied().unwrap_or_default();
            BusyBlock::traced(0x60 + u64::from(number) * 29 % 0x180, trace)
        }),
    };
    vec![main, port, small, cache]
}

/// A heap that holds `count` blocks in as many segments as it needs, each committed as far as its blocks reach.
fn cache_heap(count: u32, block: impl Fn(u32) -> BusyBlock) -> PlannedHeap {
    let mut numbers = 0..count;
    let mut places = [(CACHE_HEAP, CACHE_SEGMENT_PAGES)].into_iter().chain(CACHE_SEGMENTS);
    let mut next_segment = || {
        let (base, page_count) = places.next()?;
        // Room for the head, the end and the guard page.
        let mut room_bytes = (page_count - 1) * 0x1000 - 0x1000;
        let mut used_bytes = 0x1000;
        let mut blocks = Vec::new();
        while let Some(number) = numbers.clone().next() {
            let busy = block(number);
            // At most: header, prefix, rounding.
            let block_bytes = busy.user_bytes + 0x40;
            if block_bytes > room_bytes {
                break;
            }
            numbers.next();
            room_bytes -= block_bytes;
            used_bytes += block_bytes;
            blocks.push(PlannedBlock::Busy(busy));
        }
        let committed_pages = used_bytes.div_ceil(0x1000).min(page_count - 1);
        Some((base, page_count, committed_pages, blocks))
    };
    let (_, page_count, committed_pages, blocks) = next_segment().unwrap_or_default();
    let mut heap =
        PlannedHeap { blocks, ..PlannedHeap::private(CACHE_HEAP, 0x1002, page_count as u32, committed_pages as u32) };
    while let Some((base, page_count, committed_pages, blocks)) = next_segment() {
        if blocks.is_empty() {
            break;
        }
        let run = RunPlan { committed_pages, uncommitted_pages: page_count - committed_pages, blocks };
        heap.more_segments.push(SegmentPlan {
            base,
            runs: vec![run],
            region: SegmentRegion::Private,
            has_guard_page: true,
        });
    }
    heap
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::heap_image::{BlockState, BuiltHeap};

    fn heaps_of(story: Story, moments: &[OtherMoment]) -> Vec<Vec<BuiltHeap>> {
        moments.iter().map(|moment| process(story, moment).unwrap().1.heaps).collect()
    }

    /// Committed KiB of each heap in each dump.
    fn committed(dumps: &[Vec<BuiltHeap>]) -> Vec<Vec<u64>> {
        dumps.iter().map(|heaps| heaps.iter().map(|heap| heap.totals.committed_bytes >> 10).collect()).collect()
    }

    #[test]
    fn one_heap_leaks_blocks_of_one_stack() {
        let dumps = heaps_of(Story::HeapLeak, &HEAP_LEAK_MOMENTS);
        for (heaps, moment) in dumps.iter().zip(&HEAP_LEAK_MOMENTS) {
            let cache: Vec<_> = heaps[3].of_state(BlockState::Busy).collect();
            assert_eq!(cache.len(), moment.size as usize);
            assert!(cache.iter().all(|block| (block.user_bytes, block.trace) == (ORDER_BYTES, cache[0].trace)));
            let elsewhere = heaps[..3].iter().flat_map(BuiltHeap::outstanding);
            assert!(elsewhere.into_iter().all(|block| block.trace != cache[0].trace));
        }
        let columns = committed(&dumps);
        assert!(columns.iter().all(|heaps| heaps[..3] == columns[0][..3]));
        assert!(columns.windows(2).all(|pair| pair[0][3] + 2000 < pair[1][3]), "{columns:?}");
    }

    #[test]
    fn regions_gather_and_heaps_stay() {
        let columns = committed(&heaps_of(Story::RegionLeak, &REGION_LEAK_MOMENTS));
        assert!(columns.iter().all(|heaps| *heaps == columns[0]));
        let (plan, planned) = process(Story::RegionLeak, &REGION_LEAK_MOMENTS[4]).unwrap();
        assert_eq!((plan.nt_global_flag, plan.buffers.len()), (0, 180));
        let flags: Vec<_> = planned.heaps.iter().map(|heap| heap.totals.flags).collect();
        assert_eq!(flags, [2, 0x8000, 0x1002, 0x1002]);
        assert!(planned.heaps.iter().flat_map(|heap| &heap.blocks).all(|block| block.trace == Trace::None));
    }

    #[test]
    fn blocks_go_up_and_down() {
        let dumps = heaps_of(Story::Fluctuation, &FLUCTUATION_MOMENTS);
        let busy: Vec<u64> =
            dumps.iter().map(|heaps| heaps[3].outstanding().map(|block| block.user_bytes).sum::<u64>() >> 10).collect();
        let signs: Vec<_> = busy.windows(2).map(|pair| pair[0] < pair[1]).collect();
        assert_eq!(signs, [true, false, true, false, true], "{busy:?}");
        assert!(busy[5] < busy[0] * 11 / 10, "{busy:?}");
    }
}
