//! AllocFree as a 32-bit process of Windows 7 SP1 x86: the same twenty stacks in the 32-bit layout, in a database of 8 MB.
//!
//! As `gflags /i AllocFree.exe /tracedb 8` would set it: less than 16 MB has 5569 buckets.

use super::OtherMoment;
use super::heaps::{BlockMix, pointers};
use super::process_plan::{Places, PlannedHeap, ProcessPlan, SystemTexts, TRACES_ON};
use super::process_space::{PlannedSpace, planned_space};
use super::system_images::{Functions, kernel32, kernelbase, ntdll, program};
use crate::base::addr::{Va, VaRange};
use crate::sample::allocfree::case_functions::Framed;
use crate::sample::allocfree::figures::filetime;
use crate::sample::allocfree::live_stack::Site;
use crate::sample::allocfree::logged_stacks::{entries_of, logged_stack};
use crate::sample::allocfree::modules::{ProcessModule, allocfree_functions};
use crate::sample::error::SampleError;
use crate::sample::heap_image::{FrontEnd, Trace, VirtualBlock};
use crate::sample::process_memory::Windows;
use crate::sample::trace_database::{DatabaseShape, TraceDatabase};

/// Three dumps with more and more entries.
pub const SEVEN_X86_MOMENTS: [OtherMoment; 3] = [
    OtherMoment { second_of_day: 33_600, size: 3_063, user_ms: 247_200, kernel_ms: 25_740 },
    OtherMoment { second_of_day: 37_215, size: 24_463, user_ms: 1_974_100, kernel_ms: 205_600 },
    OtherMoment { second_of_day: 41_020, size: 61_463, user_ms: 4_959_800, kernel_ms: 516_600 },
];

/// 2012-03-14 00:00 UTC.
const DAY_UNIX_SECONDS: u32 = 1_331_683_200;
const DATABASE: Va = Va(0x1c_0000);
const DATABASE_BYTES: u64 = 0x80_0000;
const MAIN_HEAP: Va = Va(0x9d_0000);
/// A block of more than 508 KB, which has an allocation of its own.
const LARGE_BLOCK: Va = Va(0xb0_0000);
/// Entries that are in the database of each dump.
const OLD_ENTRY_COUNT: usize = 60;

const NTDLL: [Framed; 7] = [
    ("_RtlUserThreadStart", 0x6_0000, 0x30, 0),
    ("__RtlUserThreadStart", 0x6_0040, 0x90, 0),
    ("RtlAllocateHeap", 0x6_1000, 0x400, 0),
    ("RtlpAllocateHeap", 0x6_2000, 0x1800, 0),
    ("RtlLogStackBackTraceEx", 0x7_0000, 0x60, 0),
    ("RtlStdLogStackTrace", 0x7_0100, 0x100, 0),
    ("RtlpStdLogCapturedStackTrace", 0x7_0300, 0x400, 0),
];
const KERNEL32: [Framed; 1] = [("BaseThreadInitThunk", 0x1_5000, 0x20, 0)];

pub fn modules() -> Vec<ProcessModule> {
    let windows = Windows::SevenX86;
    let (exports, _) = allocfree_functions();
    let functions = Functions { framed: &[], exports, unwind: Vec::new() };
    vec![
        program(windows, "AllocFree.exe", r"C:\AllocFree\Release\AllocFree.pdb", Va(0xed_0000), functions),
        ntdll(windows, Va(0x77a6_0000), &NTDLL),
        kernel32(windows, Va(0x76a1_0000), &KERNEL32),
        kernelbase(windows, Va(0x75c2_0000), &[]),
    ]
}

/// The live stack, outermost first, of a call that came in through `foo` number `first`.
pub fn sites(first: u32) -> Vec<Site> {
    let mut sites = vec![
        Site::new("_RtlUserThreadStart", 0x1b),
        Site::new("__RtlUserThreadStart", 0x70),
        Site::new("BaseThreadInitThunk", 0xe),
        Site::new("__tmainCRTStartup", 0x10f),
        Site::new("wmain", 0x3a),
    ];
    sites.extend((first..20).map(|number| Site::new(&format!("foo{number}"), 0x8)));
    sites.extend([
        Site::new("foo20", 0xd),
        Site::new("malloc", 0x43),
        Site::new("_heap_alloc", 0x2a),
        Site::new("RtlAllocateHeap", 0x23a),
        Site::new("RtlpAllocateHeap", 0xe73),
        Site::new("RtlLogStackBackTraceEx", 0x2a),
        Site::new("RtlStdLogStackTrace", 0x59),
        Site::new("RtlpStdLogCapturedStackTrace", 0x7d),
    ]);
    sites
}

/// The default heap: blocks of the loop, a few in containers, one large. About as many in each dump.
fn main_heap(moment: &OtherMoment, database: &TraceDatabase) -> PlannedHeap {
    let traces = pointers(database.places(OLD_ENTRY_COUNT));
    let mix = BlockMix { traces: &traces, overhead_bytes: 0x18 };
    let turn = u64::from(moment.size % 7);
    let mut blocks = mix.back_end(0, 280 + turn);
    blocks.extend([mix.container(0x30, 20, 11 + turn), mix.container(0x58, 23, 23)]);
    blocks.extend(mix.back_end(300, 90));
    PlannedHeap {
        blocks,
        front_end: FrontEnd::Lfh,
        virtual_blocks: vec![VirtualBlock {
            base: LARGE_BLOCK,
            user_bytes: 0x8_0120,
            trace: traces.first().copied().unwrap_or(Trace::None),
        }],
        lock_collisions: 2,
        ..PlannedHeap::private(MAIN_HEAP, 2, 0x100, 0x9d)
    }
}

/// The process at `moment`, with its database.
pub fn process(moment: &OtherMoment) -> Result<(ProcessPlan, PlannedSpace), SampleError> {
    let modules = modules();
    let stacks = (1..=20).map(|first| logged_stack(&modules, &sites(first), "RtlpAllocateHeap")).collect();
    let entries = entries_of(u64::from(moment.size), false);
    let database = TraceDatabase {
        base: DATABASE,
        reserved_bytes: DATABASE_BYTES,
        shape: DatabaseShape::SEVEN_X86,
        bucket_count: 5569,
        stacks,
        lookup_count: entries.iter().map(|entry| entry.use_count).sum(),
        entries,
        failure_count: 0,
    };
    let plan = ProcessPlan {
        windows: Windows::SevenX86,
        system: SystemTexts {
            build_number: 7601,
            service_pack: 1,
            service_pack_text: "Service Pack 1",
            build_texts: Some(("7601.17514.x86fre.win7sp1_rtm.101119-1850", "dbghelp.i386,6.2.9200")),
        },
        places: Places {
            top: Va(0x7fff_0000),
            peb: Va(0x7ffd_f000),
            teb: Va(0x7ffd_e000),
            peb_and_teb: None,
            stack_bottom: Va(0xb_0000),
            parameters: Va(0x5_0000),
            loader_entries: Va(0x6_0000),
            activation_context: Va(0x3_0000),
            api_set_map: Some(Va(0x4_0000)),
            read_only_shared_memory: Va(0x7f6f_0000),
            nls_tables: Va(0x7ffb_0000),
            free: VaRange { start: Va(0x1000_0000), end: Va(0x7000_0000) },
        },
        process_id: 0xe2c,
        thread_id: 0xe30,
        create_filetime: filetime(DAY_UNIX_SECONDS, 33_247_518),
        dump_unix_seconds: DAY_UNIX_SECONDS + moment.second_of_day,
        is_in_central_europe: false,
        user_ms: moment.user_ms,
        kernel_ms: moment.kernel_ms,
        modules,
        sites: sites(moment.size % 20 + 1),
        heaps: vec![
            main_heap(moment, &database),
            PlannedHeap::mapped(Va(0x1_0000), 0x8000, 16, 16),
            PlannedHeap::mapped(Va(0x2_0000), 0x8000, 16, 16),
        ],
        nt_global_flag: TRACES_ON,
        more_threads: Vec::new(),
        buffers: Vec::new(),
        variables: vec![
            ("RtlpStackTraceDatabase", DATABASE),
            ("RtlpLFHKey", Va(0x6573_276f)),
            ("RtlpDisableBreakOnFailureCookie", Va(0)),
        ],
    };
    let mut planned = planned_space(&plan)?;
    database.add_to(&mut planned.space)?;
    Ok((plan, planned))
}
