//! The case before it was modelled: a process that grows from 200 MB to 3.9 GB while its heaps stand still, because its threads
//! allocate and free, and each allocation's stack is logged.
//!
//! What is known of that process is what the analyst told: sizes, equal heaps, busy threads of which one was met while it
//! logged, and a large number of consecutive regions of one size that hold stack traces. That these were the 64 KiB zones of the
//! heap trace log is likely and not confirmed; they are known best on Windows 10, so the sample is one of Windows 10.
//!
//! The zones hold a few records each, and a hole: gigabytes of memory, and some hundred megabytes of files.

use super::OtherMoment;
use super::heaps::pointers;
use super::process_plan::{PlannedHeap, PlannedThread, ProcessPlan};
use super::process_space::{PlannedSpace, planned_space};
use super::ten_x64::{
    FIRST_ZONE, INNERMOST, LOG_HEADER, MAIN_HEAP, RUNTIME_HEAP, around, database, empty_plan, main_heap, modules_of,
    runtime_heap, start_of_thread,
};
use super::tree_reader::{FUNCTIONS, StackMaker, calls};
use crate::base::addr::Va;
use crate::sample::address_space::AddressSpace;
use crate::sample::allocfree::figures::filetime;
use crate::sample::allocfree::live_stack::Site;
use crate::sample::allocfree::modules::ProcessModule;
use crate::sample::error::SampleError;
use crate::sample::heap_trace_log::HeapTraceLog;
use crate::sample::umdh_log::{FluctuatingBlocks, LogHeap, LogModule, Tools, UmdhLog};

/// Four dumps of some 200 MB, 600 MB, 1.4 GB and 3.9 GB: so many zones. The times are those of the first thread, which is the
/// busy one before the others join it.
pub const ORIGINAL_MOMENTS: [OtherMoment; 4] = [
    OtherMoment { second_of_day: 30_600, size: 1_180, user_ms: 61_000, kernel_ms: 7_400 },
    OtherMoment { second_of_day: 32_400, size: 7_560, user_ms: 1_546_000, kernel_ms: 188_000 },
    OtherMoment { second_of_day: 39_605, size: 20_380, user_ms: 3_120_000, kernel_ms: 379_000 },
    OtherMoment { second_of_day: 57_612, size: 61_300, user_ms: 7_160_000, kernel_ms: 871_000 },
];

/// What each of the other threads has used by then, user and kernel time together, but for some seconds that differ.
const WORKER_MS: [u64; 4] = [12_000, 96_000, 2_010_000, 6_860_000];
const WORKER_COUNT: u32 = 8;
const PROCESS_ID: u32 = 0x24b8;
const PORT_HEAP: Va = Va(0x1c8_a597_0000);
/// 2024-06-03 00:00 UTC.
const DAY_UNIX_SECONDS: u32 = 1_717_372_800;
const FIRST_STACK: Va = Va(0x6d_4e30_0000);
/// What the program itself keeps, the same in each dump.
const DOCUMENT: (Va, u64) = (Va(0x1d0_0000_0000), 118 << 20);
/// Of so many records is each zone's page in the file made.
const RECORDS_PER_ZONE: u32 = 3;
const OLD_RECORD_COUNT: u32 = 2_000;

fn modules() -> Vec<ProcessModule> {
    modules_of("DocServer.exe", r"C:\DocServer\x64\Release\DocServer.pdb", &FUNCTIONS)
}

/// The process at `moment`.
pub fn process(moment: &OtherMoment) -> Result<(ProcessPlan, PlannedSpace), SampleError> {
    let modules = modules();
    let maker = StackMaker::new(&modules, around, INNERMOST);
    let log = trace_log(moment);
    let database = database(&modules);
    let mut stores = AddressSpace::default();
    let trace_count = log.add_to(&mut stores, |number| maker.stack(number));
    database.add_to(&mut stores)?;
    let plan = ProcessPlan {
        process_id: PROCESS_ID,
        thread_id: 0x24e4,
        create_filetime: filetime(DAY_UNIX_SECONDS, 30_411_218),
        dump_unix_seconds: DAY_UNIX_SECONDS + moment.second_of_day,
        is_in_central_europe: true,
        user_ms: moment.user_ms,
        kernel_ms: moment.kernel_ms,
        sites: around(calls(trace_count)),
        more_threads: (0..WORKER_COUNT).map(|number| worker(number, moment, trace_count)).collect(),
        heaps: vec![
            main_heap(&pointers(log.places(OLD_RECORD_COUNT, |number| maker.stack(number)))),
            PlannedHeap::mapped(PORT_HEAP, 0x8000, 16, 16),
            runtime_heap(&pointers(log.places(20, |number| maker.stack(number)))),
        ],
        buffers: vec![DOCUMENT],
        ..empty_plan(modules)
    };
    let mut planned = planned_space(&plan)?;
    planned.space.append(stores);
    Ok((plan, planned))
}

fn trace_log(moment: &OtherMoment) -> HeapTraceLog {
    HeapTraceLog {
        header: LOG_HEADER,
        first_zone: FIRST_ZONE_OF_MANY,
        zone_count: u64::from(moment.size),
        largest_count: u32::MAX,
        largest_zone_count: RECORDS_PER_ZONE,
    }
}

/// How many blocks a stack has in turn, and where in that turn each log is; the last is where the first was. So the analyst
/// told it: the logs that were taken with the dumps only fluctuated.
const BLOCK_COUNTS: [u64; 5] = [14, 3, 22, 9, 31];
const TURNS: [usize; 4] = [0, 2, 3, 0];
/// Stacks of the log, which are the first of the heap trace log.
const LOGGED_STACK_COUNT: u32 = 24;
/// Local time is two hours ahead.
const LOCAL_OFFSET_SECONDS: u32 = 2 * 3600;

/// The UMDH log that was taken with the dump at `moment`. An id is the address of the stack's record in the heap trace log.
pub fn umdh_log(moment: &OtherMoment) -> UmdhLog {
    let modules = modules();
    let maker = StackMaker::new(&modules, around, INNERMOST);
    let dump = ORIGINAL_MOMENTS.iter().position(|other| other == moment).unwrap_or(0);
    let fluctuating = FluctuatingBlocks {
        counts: &BLOCK_COUNTS,
        turn: TURNS.get(dump).copied().unwrap_or(0),
        first_bytes: 0x180,
        bytes_per_stack: 0x48,
        // In the end each stack has a little less than in the beginning.
        less_bytes: if dump + 1 == TURNS.len() { 0x10 } else { 0 },
    };
    let ids = trace_log(moment).places(LOGGED_STACK_COUNT, |number| maker.stack(number));
    let with_ids = (0..LOGGED_STACK_COUNT).zip(ids).map(|(stack, id)| (id.0, maker.stack(stack)));
    let blocks = fluctuating.blocks(MAIN_HEAP, with_ids);
    UmdhLog {
        tools: Tools::Ten,
        local_unix_seconds: DAY_UNIX_SECONDS + moment.second_of_day + LOCAL_OFFSET_SECONDS,
        machine: "DOCS-01".to_owned(),
        process_id: PROCESS_ID,
        modules: modules
            .iter()
            .map(|module| LogModule {
                base: module.image.base,
                size_bytes: u64::from(module.image.size_bytes),
                path: module.path.clone(),
            })
            .collect(),
        heaps: vec![
            LogHeap { base: MAIN_HEAP, blocks },
            LogHeap { base: PORT_HEAP, blocks: Vec::new() },
            LogHeap { base: RUNTIME_HEAP, blocks: Vec::new() },
        ],
    }
}

/// Behind the other samples' zone, with room for four gigabytes.
const FIRST_ZONE_OF_MANY: Va = Va(FIRST_ZONE.0 + 0x1_0000_0000);

/// A thread that allocates like the first; most are met while they log.
fn worker(number: u32, moment: &OtherMoment, trace_count: u32) -> PlannedThread {
    let dump = ORIGINAL_MOMENTS.iter().position(|other| other == moment).unwrap_or(0);
    let used_ms = WORKER_MS.get(dump).copied().unwrap_or(0);
    // A few percent more or less for each of them.
    let used_ms = used_ms + used_ms / 100 * u64::from(number * 7 % 10);
    let sites = if number % 3 == 2 {
        let mut sites = start_of_thread();
        sites.extend(calls(trace_count / 2 + number).into_iter().take(4 + number as usize));
        sites.push(Site::new("parse_value", 0x2b));
        sites
    } else {
        around(calls(trace_count + 1 + number))
    };
    PlannedThread {
        thread_id: 0x2500 + number * 0x1c,
        create_filetime: filetime(DAY_UNIX_SECONDS, 30_412_000 + u64::from(number) * 40),
        user_ms: used_ms * 9 / 10,
        kernel_ms: used_ms / 10,
        stack_bottom: Va(FIRST_STACK.0 + u64::from(number) * 0x20_0000),
        sites,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_are_those_that_were_told() {
        let sizes: Vec<u64> = ORIGINAL_MOMENTS
            .iter()
            .map(|moment| process(moment).unwrap().1.space.committed_bytes(None) >> 20)
            .collect();
        assert!((195..=205).contains(&sizes[0]) && (3_900..=3_994).contains(&sizes[3]), "{sizes:?}");
    }

    #[test]
    fn no_stack_of_the_logs_has_more_in_the_end() {
        let sums: Vec<Vec<u64>> = ORIGINAL_MOMENTS
            .iter()
            .map(|moment| {
                let log = umdh_log(moment);
                let ids = trace_log(moment).places(LOGGED_STACK_COUNT, |number| maker().stack(number));
                let sum = |id: Va| {
                    let blocks = log.heaps[0].blocks.iter().filter(|block| block.trace_id == id.0);
                    blocks.map(|block| block.requested_bytes).sum()
                };
                ids.into_iter().map(sum).collect()
            })
            .collect();
        assert!(sums[0].iter().zip(&sums[3]).all(|(first, last)| *last + 0x10 == *first), "{sums:?}");
        assert!(sums[0].iter().zip(&sums[1]).all(|(first, second)| first != second), "{sums:?}");
    }

    fn maker() -> StackMaker {
        StackMaker::new(&modules(), around, INNERMOST)
    }

    #[test]
    fn every_thread_stands_in_named_functions_on_a_stack_of_its_own() {
        let (plan, planned) = process(&ORIGINAL_MOMENTS[0]).unwrap();
        assert_eq!(planned.more_stacks.len(), 8);
        for (thread, (stack, base)) in plan.more_threads.iter().zip(&planned.more_stacks) {
            assert!(stack.rsp < *base && stack.rsp > thread.stack_bottom);
            for site in &thread.sites {
                let is_known = plan.modules.iter().any(|module| module.image.export_va(&site.function).is_some());
                assert!(is_known, "no {}", site.function);
            }
        }
    }
}
