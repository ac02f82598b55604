//! A 64-bit process small enough for a test: one thread with TEB and stack, a PEB, one heap.

use dumptrend::base::addr::Va;
use dumptrend::sample::minidump_file::{
    MemoryInfo, MemoryRange, MinidumpFile, MiscInfo, ProcessTimes, Thread, ThreadInfo, flags,
};
use dumptrend::sample::process_memory::{
    PEB_BYTES, ParameterTexts, PebFields, TEB_BYTES, TebFields, peb, process_parameters, teb,
};
use dumptrend::sample::{LeBytes, allocfree::figures::filetime};

use super::build_dump::{NEW_YEAR_UNIX_SECONDS, free, image, module, private, private_of, reserved_of, windows_7};

pub const HEAP: u64 = 0x10_0000;
pub const STACK: u64 = 0x20_0000;
pub const STACK_BYTES: u64 = 0x10_0000;
pub const PARAMETERS: u64 = 0x40_0000;
pub const EXE: u64 = 0x1_4000_0000;
pub const TEB: u64 = 0x7ff_fffd_e000;
pub const PEB: u64 = 0x7ff_fffd_d000;
const PAGE_BYTES: u64 = 0x1000;

/// What differs between the dumps of a test. The rest is the same process each time.
#[derive(Clone)]
pub struct Process {
    pub image: &'static str,
    /// `None` leaves out the misc info stream.
    pub pid: Option<u32>,
    pub created_unix_seconds: u32,
    pub dump_unix_seconds: u32,
    pub thread_id: u32,
    pub user_100ns: u64,
    pub nt_global_flag: u32,
    /// Regions besides those of the process's own structures.
    pub regions: Vec<MemoryInfo>,
    pub heap_pages: u64,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            image: "app.exe",
            pid: Some(0x1234),
            created_unix_seconds: NEW_YEAR_UNIX_SECONDS,
            dump_unix_seconds: NEW_YEAR_UNIX_SECONDS + 3600,
            thread_id: 0x88,
            user_100ns: 0,
            nt_global_flag: 0,
            regions: Vec::new(),
            heap_pages: 4,
        }
    }
}

impl Process {
    /// The same process `hours` after its start.
    pub fn after_hours(hours: u32) -> Self {
        Self { dump_unix_seconds: NEW_YEAR_UNIX_SECONDS + hours * 3600, ..Self::default() }
    }

    #[must_use]
    pub fn with_regions(mut self, regions: Vec<MemoryInfo>) -> Self {
        self.regions = regions;
        self
    }

    /// What VirtualQueryEx says of it; free memory only below the first region.
    pub fn memory_infos(&self) -> Vec<MemoryInfo> {
        let stack_top = STACK + STACK_BYTES;
        let mut infos = vec![
            free(0, HEAP),
            private_of(HEAP, HEAP, self.heap_pages * PAGE_BYTES),
            reserved_of(HEAP, HEAP + self.heap_pages * PAGE_BYTES, (0x40 - self.heap_pages) * PAGE_BYTES),
            reserved_of(STACK, STACK, STACK_BYTES - 4 * PAGE_BYTES),
            private_of(STACK, stack_top - 4 * PAGE_BYTES, 4 * PAGE_BYTES),
            private(PARAMETERS, PAGE_BYTES),
            image(EXE, 0x1_0000),
            private(PEB, PAGE_BYTES),
            private(TEB, 2 * PAGE_BYTES),
        ];
        infos.extend(&self.regions);
        infos.sort_by_key(|info| info.base);
        infos
    }

    pub fn memory_ranges(&self) -> Vec<MemoryRange> {
        let heap_list = PARAMETERS + 0xf00;
        let peb_fields = PebFields {
            image_base: Va(EXE),
            process_parameters: Va(PARAMETERS),
            process_heap: Va(HEAP),
            process_heaps: Va(heap_list),
            heap_count: 1,
            largest_heap_count: 16,
            processor_count: 4,
            nt_global_flag: self.nt_global_flag,
            build_number: 7601,
            ..PebFields::default()
        };
        let teb_fields = TebFields {
            teb: Va(TEB),
            peb: Va(PEB),
            process_id: self.pid.unwrap_or_default(),
            thread_id: self.thread_id,
            stack_base: Va(STACK + STACK_BYTES),
            stack_limit: Va(STACK + STACK_BYTES - 4 * PAGE_BYTES),
            deallocation_stack: Va(STACK),
        };
        let texts = ParameterTexts {
            image_path: format!(r"C:\{}", self.image),
            command_line: self.image.to_owned(),
            environment: vec!["A=1".to_owned()],
            ..ParameterTexts::default()
        };
        vec![
            MemoryRange::hole(Va(HEAP), self.heap_pages * PAGE_BYTES).with(0, heap_64(HEAP, &[], &[])),
            MemoryRange::hole(Va(STACK + STACK_BYTES - 4 * PAGE_BYTES), 4 * PAGE_BYTES),
            MemoryRange::hole(Va(PARAMETERS), PAGE_BYTES)
                .with(0, process_parameters(Va(PARAMETERS), &texts))
                .with(0xf00, HEAP.to_le_bytes().to_vec()),
            MemoryRange::hole(Va(PEB), PAGE_BYTES.max(PEB_BYTES as u64)).with(0, peb(&peb_fields)),
            MemoryRange::hole(Va(TEB), (2 * PAGE_BYTES).max(TEB_BYTES as u64)).with(0, teb(&teb_fields)),
        ]
    }

    /// The dump but for its two memory streams.
    pub fn dump_without_memory(&self) -> MinidumpFile {
        let created = filetime(self.created_unix_seconds, 0);
        let file = MinidumpFile::new(flags::WITH_FULL_MEMORY | flags::WITH_FULL_MEMORY_INFO, self.dump_unix_seconds)
            .system_info(windows_7(9))
            .modules(vec![module(EXE, 0x1_0000, &format!(r"C:\{}", self.image))])
            .threads(vec![Thread { id: self.thread_id, teb: Va(TEB), ..Thread::default() }])
            .thread_infos(vec![ThreadInfo {
                thread_id: self.thread_id,
                create_filetime: created,
                user_100ns: self.user_100ns,
                ..ThreadInfo::default()
            }]);
        match self.pid {
            None => file,
            Some(pid) => file.misc_info(MiscInfo {
                version: 2,
                process_id: Some(pid),
                times: Some(ProcessTimes { create_unix_seconds: self.created_unix_seconds, ..ProcessTimes::default() }),
                ..MiscInfo::default()
            }),
        }
    }

    pub fn dump(&self) -> MinidumpFile {
        self.dump_without_memory().memory_infos(self.memory_infos()).memory64(self.memory_ranges())
    }
}

/// The head of an NT heap of Windows 7, 64-bit, with further segments and large blocks. Each of those must be a page in the
/// dump that starts with what [`segment_link_64`] or [`large_block_link`] gives.
pub fn heap_64(base: u64, segments: &[u64], large_blocks: &[u64]) -> Vec<u8> {
    let segment_head = base + 0x128;
    let first_segment_link = segments.first().map_or(segment_head, |segment| segment + 0x18);
    let mut head = LeBytes::zeroed(0x208);
    head.put_u32(0x10, 0xffee_ffee)
        .put_list_entry(0x18, Va(first_segment_link), Va(segment_head))
        .put_va(0x28, Va(base));
    head.put_va(0x30, Va(base)).put_u32(0x38, 4);
    // No block: the first entry would lie where the last one ends.
    head.put_va(0x40, Va(base + 0x4000)).put_va(0x48, Va(base + 0x4000));
    head.put_list_entry(0x60, Va(base + 0x60), Va(base + 0x60));
    head.put_u32(0x70, 2).put_u32(0xa0, 0xeeff_eeff);
    for list in [0xf8, 0x158] {
        head.put_list_entry(list, Va(base + list as u64), Va(base + list as u64));
    }
    let block_head = base + 0x118;
    head.put_list_entry(0x118, Va(large_blocks.first().copied().unwrap_or(block_head)), Va(block_head));
    head.put_list_entry(segment_head.abs_diff(base) as usize, Va(base + 0x18), Va(base + 0x18));
    head.into_vec()
}

/// The start of a further segment of the heap at `heap`.
pub fn segment_link_64(next_link: u64) -> Vec<u8> {
    let mut bytes = LeBytes::zeroed(0x70);
    bytes.put_u32(0x10, 0xffee_ffee).put_list_entry(0x18, Va(next_link), Va(0));
    bytes.into_vec()
}

/// The start of a large block.
pub fn large_block_link(next_link: u64) -> Vec<u8> {
    let mut bytes = LeBytes::zeroed(0x40);
    bytes.put_list_entry(0, Va(next_link), Va(0));
    bytes.into_vec()
}
