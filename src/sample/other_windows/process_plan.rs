//! What differs between the processes of these samples.

use crate::base::addr::{Va, VaRange};
use crate::sample::allocfree::live_stack::Site;
use crate::sample::allocfree::modules::ProcessModule;
use crate::sample::heap_image::{CAPTURE_STACK_TRACES, FrontEnd, PlannedBlock, SegmentPlan, VirtualBlock};
use crate::sample::process_memory::Windows;

/// A process at the time of its dump.
#[derive(Clone, Debug)]
pub struct ProcessPlan {
    pub windows: Windows,
    pub system: SystemTexts,
    pub places: Places,
    pub process_id: u32,
    pub thread_id: u32,
    pub create_filetime: u64,
    pub dump_unix_seconds: u32,
    /// In summer time by one hour, of a zone one hour ahead of UTC; else the dump tells no zone.
    pub is_in_central_europe: bool,
    pub user_ms: u64,
    pub kernel_ms: u64,
    /// The program first, then the libraries in the order of their loading, ntdll first.
    pub modules: Vec<ProcessModule>,
    /// The stack of the one thread, outermost first.
    pub sites: Vec<Site>,
    /// Threads besides that one, on Windows 10 only, whose TEBs lie one behind the other.
    pub more_threads: Vec<PlannedThread>,
    /// In the order of the PEB's array.
    pub heaps: Vec<PlannedHeap>,
    pub nt_global_flag: u32,
    /// Private regions of the program: base and committed bytes.
    pub buffers: Vec<(Va, u64)>,
    /// Exported variables of ntdll that hold pointers.
    pub variables: Vec<(&'static str, Va)>,
}

/// A thread besides the first.
#[derive(Clone, Debug)]
pub struct PlannedThread {
    pub thread_id: u32,
    pub create_filetime: u64,
    pub user_ms: u64,
    pub kernel_ms: u64,
    pub stack_bottom: Va,
    /// Outermost first.
    pub sites: Vec<Site>,
}

/// How the system names itself.
#[derive(Clone, Copy, Debug)]
pub struct SystemTexts {
    pub build_number: u16,
    pub service_pack: u16,
    pub service_pack_text: &'static str,
    /// Of MINIDUMP_MISC_INFO_4, where the dump has it: the system and the library that wrote the dump.
    pub build_texts: Option<(&'static str, &'static str)>,
}

/// Where the parts of the process lie.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// One past the highest address that a process can have.
    pub top: Va,
    pub peb: Va,
    pub teb: Va,
    /// The reservation that PEB and TEB lie in, since Windows 10; before, each is an allocation of its own.
    pub peb_and_teb: Option<VaRange>,
    pub stack_bottom: Va,
    pub parameters: Va,
    pub loader_entries: Va,
    pub activation_context: Va,
    /// Since Windows 7.
    pub api_set_map: Option<Va>,
    pub read_only_shared_memory: Va,
    pub nls_tables: Va,
    /// Free: room for the region that makes a dump large.
    pub free: VaRange,
}

/// FLG_USER_STACK_TRACE_DB.
pub const TRACES_ON: u32 = 0x1000;

/// A heap. Its first segment is one committed run.
#[derive(Clone, Debug)]
pub struct PlannedHeap {
    pub base: Va,
    pub flags: u32,
    pub page_count: u32,
    pub committed_pages: u32,
    /// A section that another process made, not memory of its own.
    pub is_mapped: bool,
    /// Of the first segment; what they leave is free.
    pub blocks: Vec<PlannedBlock>,
    pub more_segments: Vec<SegmentPlan>,
    pub front_end: FrontEnd,
    pub virtual_blocks: Vec<VirtualBlock>,
    pub lock_collisions: u32,
}

impl PlannedHeap {
    /// An empty heap of its own memory.
    pub fn untraced(base: Va, flags: u32, page_count: u32, committed_pages: u32) -> Self {
        Self {
            base,
            flags,
            page_count,
            committed_pages,
            is_mapped: false,
            blocks: Vec::new(),
            more_segments: Vec::new(),
            front_end: FrontEnd::None,
            virtual_blocks: Vec::new(),
            lock_collisions: 0,
        }
    }

    /// The same, with the flag that the stack trace database sets in every heap.
    pub fn private(base: Va, flags: u32, page_count: u32, committed_pages: u32) -> Self {
        Self::untraced(base, CAPTURE_STACK_TRACES | flags, page_count, committed_pages)
    }

    /// A heap in a section; otherwise as [`PlannedHeap::private`].
    pub fn mapped(base: Va, flags: u32, page_count: u32, committed_pages: u32) -> Self {
        Self { is_mapped: true, ..Self::private(base, flags, page_count, committed_pages) }
    }
}
