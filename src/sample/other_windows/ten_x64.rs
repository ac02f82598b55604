//! TreeReader as a process of Windows 10 x64 (19045): heap allocations are logged into the heap trace log, whose zones of 64 KiB
//! are what grows. The indexed database is there too and holds a few stacks of critical sections and heaps.

use super::OtherMoment;
use super::heaps::{BlockMix, pointers};
use super::process_plan::{Places, PlannedHeap, ProcessPlan, SystemTexts, TRACES_ON};
use super::process_space::{PlannedSpace, planned_space};
use super::system_images::{Functions, kernel32, kernelbase, ntdll, program};
use super::tree_reader::{FUNCTIONS, StackMaker, calls};
use crate::base::addr::{Va, VaRange};
use crate::sample::address_space::AddressSpace;
use crate::sample::allocfree::case_functions::Framed;
use crate::sample::allocfree::figures::filetime;
use crate::sample::allocfree::live_stack::Site;
use crate::sample::allocfree::logged_stacks::logged_stack;
use crate::sample::allocfree::modules::ProcessModule;
use crate::sample::error::SampleError;
use crate::sample::heap_image::{FrontEnd, Trace, VirtualBlock};
use crate::sample::heap_trace_log::HeapTraceLog;
use crate::sample::process_memory::Windows;
use crate::sample::trace_database::{DatabaseShape, TraceDatabase, TraceEntry};

/// Three dumps with 40, 400 and 1200 zones.
pub const TEN_X64_MOMENTS: [OtherMoment; 3] = [
    OtherMoment { second_of_day: 32_460, size: 40, user_ms: 8_140, kernel_ms: 1_260 },
    OtherMoment { second_of_day: 34_270, size: 400, user_ms: 83_900, kernel_ms: 12_450 },
    OtherMoment { second_of_day: 38_025, size: 1_200, user_ms: 251_300, kernel_ms: 37_610 },
];

/// 2023-05-17 00:00 UTC.
const DAY_UNIX_SECONDS: u32 = 1_684_281_600;
pub const LOG_HEADER: Va = Va(0x1c8_a5a8_0000);
pub const FIRST_ZONE: Va = Va(0x1c8_a600_0000);
const DATABASE: Va = Va(0x1c8_ab00_0000);
pub const MAIN_HEAP: Va = Va(0x1c8_a5b6_0000);
pub const RUNTIME_HEAP: Va = Va(0x1c8_a5c8_0000);
/// The low fragmentation heap's own reservation: 200 KB, as with eight affinity slots.
pub const FRONT_END: Va = Va(0x1c8_a5ca_0000);
const LARGE_BLOCK: Va = Va(0x1c8_a5d0_0000);
/// Records that blocks name.
const OLD_RECORD_COUNT: u32 = 150;
/// The innermost function of a logged heap allocation; RtlAllocateHeap jumps into it and has no frame.
pub const INNERMOST: &str = "RtlpAllocateHeapInternal";

const NTDLL: [Framed; 8] = [
    ("RtlUserThreadStart", 0x6_0000, 0x60, 0x78),
    ("RtlpAllocateHeapInternal", 0x6_1000, 0x2000, 0x118),
    ("RtlAllocateHeap", 0x6_4000, 0x40, 0x28),
    ("RtlpCallInterceptRoutine", 0x7_0000, 0x180, 0x58),
    ("RtlpStackTraceDatabaseLogPrefix", 0x7_0200, 0x100, 0x128),
    ("RtlpRegisterStackTrace", 0x7_0400, 0x200, 0x58),
    ("RtlpAddDebugInfoToCriticalSection", 0x7_1000, 0x100, 0x38),
    ("LdrpInitializeProcess", 0x7_4000, 0x1c00, 0x4b8),
];
const KERNEL32: [Framed; 1] = [("BaseThreadInitThunk", 0x1_7000, 0x30, 0x28)];
const KERNELBASE: [Framed; 2] = [
    ("InitializeCriticalSectionAndSpinCount", 0x1_0000, 0x20, 0x28),
    ("InitializeCriticalSectionEx", 0x1_0040, 0x40, 0x38),
];

pub fn modules() -> Vec<ProcessModule> {
    modules_of("TreeReader.exe", r"C:\TreeReader\x64\Release\TreeReader.pdb", &FUNCTIONS)
}

/// The images of a process that runs a program with `functions`.
pub fn modules_of(file_name: &'static str, pdb_name: &'static str, functions: &[Framed]) -> Vec<ProcessModule> {
    let windows = Windows::TenX64;
    vec![
        program(windows, file_name, pdb_name, Va(0x7ff6_3a1c_0000), Functions::framed(functions)),
        ntdll(windows, Va(0x7ffb_4d2b_0000), &NTDLL),
        kernel32(windows, Va(0x7ffb_4c8d_0000), &KERNEL32),
        kernelbase(windows, Va(0x7ffb_4abc_0000), &KERNELBASE),
    ]
}

pub fn start_of_thread() -> Vec<Site> {
    vec![
        Site::new("RtlUserThreadStart", 0x21),
        Site::new("BaseThreadInitThunk", 0x14),
        Site::new("__scrt_common_main_seh", 0x10c),
    ]
}

/// A live stack that logs an allocation, outermost first, around the calls of the program.
pub fn around(calls: Vec<Site>) -> Vec<Site> {
    let mut sites = start_of_thread();
    sites.extend(calls);
    sites.extend([
        Site::new("RtlpAllocateHeapInternal", 0x947),
        Site::new("RtlpCallInterceptRoutine", 0x8f),
        Site::new("RtlpStackTraceDatabaseLogPrefix", 0x74),
        Site::new("RtlpRegisterStackTrace", 0xa6),
    ]);
    sites
}

/// The stacks of the indexed database with their counts, outermost first: start-up, locks of the runtime, heaps.
fn database_stacks() -> Vec<(Vec<Site>, u32)> {
    let start = || vec![Site::new("LdrInitializeThunk", 0xe), Site::new("LdrpInitializeProcess", 0x9a7)];
    let crt = |site: Site| {
        let mut sites = start_of_thread();
        sites.extend([Site::new("__scrt_initialize_crt", 0x2e), site]);
        sites
    };
    let lock = |mut sites: Vec<Site>| {
        sites.push(Site::new("InitializeCriticalSectionAndSpinCount", 0xa));
        sites
    };
    let with = |mut sites: Vec<Site>, last: Site| {
        sites.push(last);
        sites
    };
    let heap = |mut sites: Vec<Site>| {
        sites.extend([Site::new("HeapCreate", 0x4b), Site::new("RtlCreateHeap", 0x9f)]);
        sites
    };
    vec![
        (with(start(), Site::new("RtlCreateHeap", 0x9f)), 1),
        (with(start(), Site::new("RtlInitializeCriticalSection", 0x41)), 3),
        (with(vec![Site::new("LdrInitializeThunk", 0xe)], Site::new("LdrpInitializeProcess", 0x12c4)), 2),
        (lock(crt(Site::new("__acrt_initialize_locks", 0x31))), 14),
        (heap(crt(Site::new("__acrt_initialize_heap", 0x12))), 1),
        (lock(crt(Site::new("__acrt_initialize_lowio", 0x49))), 3),
        (lock(with(with(start_of_thread(), Site::new("wmain", 0x31)), Site::new("log_open", 0x52))), 1),
        (heap(with(start_of_thread(), Site::new("wmain", 0x46))), 1),
    ]
}

/// The indexed database, with the stacks of the start of a process.
pub fn database(modules: &[ProcessModule]) -> TraceDatabase {
    let known = database_stacks();
    let logged = |sites: &[Site]| logged_stack(modules, sites, sites.last().map_or("", |site| &site.function));
    let entries = known.iter().enumerate();
    let entries: Vec<_> =
        entries.map(|(stack_index, (_, count))| TraceEntry { stack_index, use_count: *count }).collect();
    TraceDatabase {
        base: DATABASE,
        reserved_bytes: 0x180_0000,
        shape: DatabaseShape::SEVEN_X64,
        bucket_count: 9551,
        stacks: known.iter().map(|(sites, _)| logged(sites)).collect(),
        lookup_count: entries.iter().map(|entry| entry.use_count).sum(),
        entries,
        failure_count: 0,
    }
}

/// The default heap: the nodes that the program keeps, in blocks and in containers, and one large table. The same in each
/// dump: what grows is the log.
pub fn main_heap(traces: &[Trace]) -> PlannedHeap {
    let mix = BlockMix { traces, overhead_bytes: 0x28 };
    let mut blocks = mix.back_end(0, 420);
    blocks.extend([mix.container(0x50, 40, 31), mix.container(0x60, 41, 41), mix.container(0x140, 12, 5)]);
    blocks.extend(mix.back_end(500, 200));
    let large = traces.first().copied().unwrap_or(Trace::None);
    PlannedHeap {
        blocks,
        front_end: FrontEnd::LfhAt { base: FRONT_END, reserved_pages: 50 },
        virtual_blocks: vec![VirtualBlock { base: LARGE_BLOCK, user_bytes: 0x10_0100, trace: large }],
        lock_collisions: 3,
        ..PlannedHeap::private(MAIN_HEAP, 2, 0x100, 0x9c)
    }
}

/// A private heap without a front end.
pub fn runtime_heap(traces: &[Trace]) -> PlannedHeap {
    let blocks = BlockMix { traces, overhead_bytes: 0x28 }.back_end(0, 20);
    PlannedHeap { blocks, ..PlannedHeap::private(RUNTIME_HEAP, 0x1002, 16, 4) }
}

/// A process of this system without heaps, whose thread stands nowhere yet.
pub fn empty_plan(modules: Vec<ProcessModule>) -> ProcessPlan {
    ProcessPlan {
        windows: Windows::TenX64,
        system: SystemTexts {
            build_number: 19045,
            service_pack: 0,
            service_pack_text: "",
            build_texts: Some(("19041.1.amd64fre.vb_release.191206-1406", "dbgcore.amd64,10.0.19041.1")),
        },
        places: Places {
            top: Va(0x7fff_ffff_0000),
            peb: Va(0x6d_4e1a_2000),
            teb: Va(0x6d_4e1a_3000),
            peb_and_teb: Some(VaRange { start: Va(0x6d_4e00_0000), end: Va(0x6d_4e20_0000) }),
            stack_bottom: Va(0x6d_4e20_0000),
            parameters: Va(0x1c8_a595_0000),
            loader_entries: Va(0x1c8_a596_0000),
            activation_context: Va(0x1c8_a593_0000),
            api_set_map: Some(Va(0x1c8_a594_0000)),
            read_only_shared_memory: Va(0x7ff4_f1a3_0000),
            nls_tables: Va(0x7ff4_f1b5_0000),
            free: VaRange { start: Va(0x200_0000_0000), end: Va(0x7000_0000_0000) },
        },
        process_id: 0,
        thread_id: 0,
        create_filetime: 0,
        dump_unix_seconds: 0,
        is_in_central_europe: false,
        user_ms: 0,
        kernel_ms: 0,
        modules,
        sites: Vec::new(),
        heaps: Vec::new(),
        nt_global_flag: TRACES_ON,
        more_threads: Vec::new(),
        buffers: Vec::new(),
        variables: vec![
            ("RtlpStackTraceDatabase", DATABASE),
            ("RtlpHeapStackTraceLog", LOG_HEADER),
            ("RtlpLFHKey", Va(0x7d81_43a0_5c9e_1f02)),
            ("RtlpDisableBreakOnFailureCookie", Va(0)),
        ],
    }
}

/// The process at `moment`, with its log and its database.
pub fn process(moment: &OtherMoment) -> Result<(ProcessPlan, PlannedSpace), SampleError> {
    let modules = modules();
    let maker = StackMaker::new(&modules, around, INNERMOST);
    let log = HeapTraceLog {
        header: LOG_HEADER,
        first_zone: FIRST_ZONE,
        zone_count: u64::from(moment.size),
        largest_count: u32::MAX,
        largest_zone_count: u32::MAX,
    };
    let database = database(&modules);
    let mut plan = ProcessPlan {
        process_id: 0x2f64,
        thread_id: 0x2f68,
        create_filetime: filetime(DAY_UNIX_SECONDS, 32_276_902),
        dump_unix_seconds: DAY_UNIX_SECONDS + moment.second_of_day,
        user_ms: moment.user_ms,
        kernel_ms: moment.kernel_ms,
        heaps: vec![
            main_heap(&pointers(log.places(OLD_RECORD_COUNT, |number| maker.stack(number)))),
            PlannedHeap::mapped(Va(0x1c8_a597_0000), 0x8000, 16, 16),
            runtime_heap(&pointers(log.places(20, |number| maker.stack(number)))),
        ],
        ..empty_plan(modules)
    };
    // The log is filled first, so that the thread can be met at the next place of the tree.
    let mut stores = AddressSpace::default();
    let trace_count = log.add_to(&mut stores, |number| maker.stack(number));
    database.add_to(&mut stores)?;
    plan.sites = around(calls(trace_count));
    let mut planned = planned_space(&plan)?;
    planned.space.append(stores);
    Ok((plan, planned))
}
