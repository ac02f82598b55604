//! TreeReader as a process of Windows XP SP3 x86: heap allocations are logged into the indexed database, whose entries there
//! have no block depth, whole counts and 16-bit indexes.
//!
//! How many buckets XP has and whether it rounds entries is not known from public sources; the header's field tells the first,
//! and entries here are as long as their stacks.

use super::OtherMoment;
use super::heaps::BlockMix;
use super::process_plan::{Places, PlannedHeap, ProcessPlan, SystemTexts, TRACES_ON};
use super::process_space::{PlannedSpace, planned_space};
use super::system_images::{Functions, kernel32, ntdll, program};
use super::tree_reader::{FUNCTIONS, StackMaker, calls};
use crate::base::addr::{Va, VaRange};
use crate::sample::allocfree::case_functions::Framed;
use crate::sample::allocfree::figures::filetime;
use crate::sample::allocfree::live_stack::Site;
use crate::sample::allocfree::modules::ProcessModule;
use crate::sample::error::SampleError;
use crate::sample::heap_image::{FrontEnd, Trace, VirtualBlock};
use crate::sample::process_memory::Windows;
use crate::sample::trace_database::{DatabaseShape, TraceDatabase, TraceEntry};

/// Two dumps.
pub const XP_X86_MOMENTS: [OtherMoment; 2] = [
    OtherMoment { second_of_day: 50_520, size: 4_200, user_ms: 6_210, kernel_ms: 940 },
    OtherMoment { second_of_day: 54_135, size: 31_000, user_ms: 45_800, kernel_ms: 6_930 },
];

/// 2009-09-22 00:00 UTC.
const DAY_UNIX_SECONDS: u32 = 1_253_577_600;
const DATABASE: Va = Va(0x50_0000);
const MAIN_HEAP: Va = Va(0x14_0000);
/// A block of more than 508 KB, which has an allocation of its own.
const LARGE_BLOCK: Va = Va(0xd4_0000);
const INNERMOST: &str = "RtlDebugAllocateHeap";

const NTDLL: [Framed; 5] = [
    ("RtlAllocateHeap", 0x6_1000, 0xa00, 0),
    ("RtlAllocateHeapSlowly", 0x6_2000, 0x800, 0),
    ("RtlDebugAllocateHeap", 0x6_3000, 0x200, 0),
    ("RtlLogStackBackTrace", 0x7_0000, 0xc0, 0),
    ("RtlpExtendStackTraceDataBase", 0x7_0100, 0x180, 0),
];
const KERNEL32: [Framed; 1] = [("BaseProcessStart", 0x1_7000, 0x40, 0)];

fn modules() -> Vec<ProcessModule> {
    let windows = Windows::XpX86;
    let pdb_name = r"c:\TreeReader\Release\TreeReader.pdb";
    vec![
        program(windows, "TreeReader.exe", pdb_name, Va(0x40_0000), Functions::framed(&FUNCTIONS)),
        ntdll(windows, Va(0x7c90_0000), &NTDLL),
        kernel32(windows, Va(0x7c80_0000), &KERNEL32),
    ]
}

fn around(calls: Vec<Site>) -> Vec<Site> {
    let mut sites = vec![Site::new("BaseProcessStart", 0x23), Site::new("wmainCRTStartup", 0xfe)];
    sites.extend(calls);
    sites.extend([
        Site::new("RtlAllocateHeap", 0x808),
        Site::new("RtlAllocateHeapSlowly", 0x5a),
        Site::new("RtlDebugAllocateHeap", 0xfd),
        Site::new("RtlLogStackBackTrace", 0x5c),
        Site::new("RtlpExtendStackTraceDataBase", 0x3a),
    ]);
    sites
}

/// The default heap. Its blocks name their stacks by index; there are more of them in the later dump, in the same pages.
fn main_heap(moment: &OtherMoment) -> PlannedHeap {
    let traces: Vec<_> = (1..=120).map(|number: u16| Trace::Index(number * 34)).collect();
    let mix = BlockMix { traces: &traces, overhead_bytes: 0 };
    PlannedHeap {
        blocks: mix.back_end(0, 260 + u64::from(moment.size / 400)),
        front_end: FrontEnd::Lookaside,
        virtual_blocks: vec![VirtualBlock { base: LARGE_BLOCK, user_bytes: 0x9_0000, trace: Trace::Index(17) }],
        ..PlannedHeap::private(MAIN_HEAP, 2, 0x100, 0x42)
    }
}

/// The process at `moment`, with its database.
pub fn process(moment: &OtherMoment) -> Result<(ProcessPlan, PlannedSpace), SampleError> {
    let modules = modules();
    let maker = StackMaker::new(&modules, around, INNERMOST);
    // Older stacks were met more often.
    let entry = |position: u32| TraceEntry {
        stack_index: position as usize,
        use_count: 1 + (moment.size - 1 - position) / (3 + position % 29),
    };
    let entries: Vec<_> = (0..moment.size).map(entry).collect();
    let database = TraceDatabase {
        base: DATABASE,
        reserved_bytes: 0x80_0000,
        shape: DatabaseShape::XP_X86,
        bucket_count: 1021,
        stacks: (0..moment.size).map(|number| maker.stack(number)).collect(),
        lookup_count: entries.iter().map(|entry| entry.use_count).sum(),
        entries,
        failure_count: 0,
    };
    let plan = ProcessPlan {
        windows: Windows::XpX86,
        system: SystemTexts {
            build_number: 2600,
            service_pack: 3,
            service_pack_text: "Service Pack 3",
            build_texts: None,
        },
        places: Places {
            top: Va(0x7fff_0000),
            peb: Va(0x7ffd_7000),
            teb: Va(0x7ffd_f000),
            peb_and_teb: None,
            stack_bottom: Va(0x3_0000),
            parameters: Va(0x2_0000),
            loader_entries: Va(0x2d_0000),
            activation_context: Va(0x13_0000),
            api_set_map: None,
            read_only_shared_memory: Va(0x7f6f_0000),
            nls_tables: Va(0x7ffa_0000),
            free: VaRange { start: Va(0x1000_0000), end: Va(0x7000_0000) },
        },
        process_id: 0x6d0,
        thread_id: 0x6d4,
        create_filetime: filetime(DAY_UNIX_SECONDS, 50_211_453),
        dump_unix_seconds: DAY_UNIX_SECONDS + moment.second_of_day,
        is_in_central_europe: false,
        user_ms: moment.user_ms,
        kernel_ms: moment.kernel_ms,
        modules,
        sites: around(calls(moment.size)),
        heaps: vec![
            main_heap(moment),
            PlannedHeap::private(Va(0x24_0000), 0x1002, 16, 6),
            PlannedHeap::mapped(Va(0x25_0000), 0x8000, 16, 3),
        ],
        nt_global_flag: TRACES_ON,
        more_threads: Vec::new(),
        buffers: Vec::new(),
        variables: vec![("RtlpStackTraceDataBase", DATABASE)],
    };
    let mut planned = planned_space(&plan)?;
    database.add_to(&mut planned.space)?;
    Ok((plan, planned))
}
