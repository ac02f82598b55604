//! Walking a heap of 2 GB with 20 million blocks, held against reading the same file once with dd.
//!
//! `cargo bench --no-default-features --bench heap_walk`; see README.md in this folder.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::base::problems::Problems;
use dumptrend::base::progress::Progress;
use dumptrend::input::dump;
use dumptrend::process::heap::extent::{HeapPlace, read_extent};
use dumptrend::process::heap::lists::LINK_BUDGET;
use dumptrend::process::heap::{HeapHints, decode_heap};
use dumptrend::sample::heap_image::{
    BlockState, BuiltBlock, BusyBlock, CAPTURE_STACK_TRACES, FrontEnd, HeapGeneration, HeapPlan, PlannedBlock, RunPlan,
    SegmentPlan, Trace,
};
use dumptrend::sample::minidump_file::{MemoryRange, MinidumpFile, SystemInfo, flags};

const ROUNDS: usize = 11;
const PAGE_BYTES: u64 = 0x1000;
const HEAP: Va = Va(0x1_0000_0000);
const FIRST_SEGMENT: Va = Va(0x2_0000_0000);
/// Windows makes no segment of an NT heap larger.
const SEGMENT_BYTES: u64 = 16 << 20;
const SEGMENT_COUNT: u64 = 128;
const COMMITTED_PAGES: u64 = SEGMENT_BYTES / PAGE_BYTES - 16;
/// Header of a segment, and entry at the end of its committed run: x64.
const SEGMENT_HEAD_BYTES: usize = 0x70;
const END_BYTES: usize = 0x40;

/// A process of its own decodes one dump and says how much memory that took.
const MEMORY_OF: &str = "--memory-of";

type Case = (&'static str, fn(u64) -> PlannedBlock);

const CASES: [Case; 3] = [
    ("without stacks", |number| block(number, 120, Trace::None)),
    ("+ust, 200 stacks", |number| block(number, 96, record(number % 200))),
    ("+ust, 50,000 stacks", |number| block(number, 96, record(number % 50_000))),
];

/// Sizes as a program has them: small ones in no order, and every sixth block free.
fn block(number: u64, most_bytes: u64, trace: Trace) -> PlannedBlock {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    if number % 6 == 5 {
        return PlannedBlock::Free { block_bytes: 0x20 + mixed % 8 * 0x10 };
    }
    PlannedBlock::Busy(BusyBlock::traced(1 + mixed % most_bytes, trace))
}

fn record(number: u64) -> Trace {
    Trace::Pointer(Va(0x7_0000_0000 + number * 0xa0))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, path] = arguments.as_slice()
        && mode == MEMORY_OF
    {
        let peak = PeakMemory::watch();
        decode(Path::new(path));
        println!("{}", peak.end());
        return;
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    println!("{:<24} {:>9} {:>8} {:>8} {:>7} {:>10}", "2 GB, median of 11", "blocks", "dd", "walk", "ratio", "memory");
    for (name, block) in CASES {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            measure(name, block);
        }
    }
}

fn measure(name: &str, block: fn(u64) -> PlannedBlock) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("heap.dmp");
    write_dump(&path, block);
    // Into the page cache, and with all that a first run sets up.
    read_with_dd(&path);
    let block_count = decode(&path);
    // In turn, so that whatever else the machine does meets both alike.
    let (mut read, mut walked): (Vec<Duration>, Vec<Duration>) =
        (0..ROUNDS).map(|_| (time(|| read_with_dd(&path)), time(|| decode(&path)))).unzip();
    read.sort_unstable();
    walked.sort_unstable();
    let (read, walked) = (read[ROUNDS / 2].as_secs_f64(), walked[ROUNDS / 2].as_secs_f64());
    let memory_mb = memory_of(&path) as f64 / f64::from(1 << 20);
    println!("{name:<24} {block_count:>9} {read:>6.3} s {walked:>6.3} s {:>7.2} {memory_mb:>7.1} MB", walked / read);
}

fn memory_of(path: &Path) -> u64 {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program).arg(MEMORY_OF).arg(path).output().expect("it runs again");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number of bytes")
}

fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

fn read_with_dd(path: &Path) {
    let input = format!("if={}", path.display());
    let status = Command::new("dd").args([input.as_str(), "of=/dev/null", "bs=1M", "status=none"]).status();
    assert!(status.is_ok_and(|status| status.success()), "dd reads the dump");
}

/// Opens the dump, follows the heap's lists, and adds up all its blocks. How many they are.
fn decode(path: &Path) -> u64 {
    let dump = dump::open(path).expect("the dump opens");
    let place = HeapPlace {
        base: HEAP,
        width: PointerWidth::Bits64,
        position: Some(0),
        os_build: Some(19045),
        pdb_layout: None,
    };
    let mut problems = Problems::default();
    let extent = read_extent(&dump.memory, place, &mut LINK_BUDGET.clone(), &mut problems);
    let heap = decode_heap(&dump.memory, &extent, HeapHints::default(), &Progress::default()).expect("nobody cancels");
    let (totals, figures) = (heap.totals.expect("totals"), heap.figures.expect("figures"));
    assert_eq!(figures.free_list_length, Some(totals.free().block_count));
    assert!(totals.is_whole(), "{:?} {problems:?}", heap.problems);
    totals.entries().block_count
}

/// A heap whose segments have the same blocks at different addresses: one of them is built block by block, and its bytes, in
/// which nothing is an address of the segment, are put into the frame of each.
fn write_dump(path: &Path, block: fn(u64) -> PlannedBlock) {
    let flags_of_heap = if matches!(block(0), PlannedBlock::Busy(BusyBlock { trace: Trace::None, .. })) {
        0x2
    } else {
        0x2 | CAPTURE_STACK_TRACES
    };
    let pattern = plan(1, flags_of_heap, blocks_that_fit(block)).build().expect("the blocks fit");
    let (_, bytes) = pattern.writes.iter().find(|(va, _)| *va == FIRST_SEGMENT).expect("the segment");
    // The largest blocks that a heap keeps in a segment.
    let large: Vec<PlannedBlock> = (0..16).map(|_| PlannedBlock::Busy(BusyBlock::new(0xf_dff0))).collect();
    let frame = plan(SEGMENT_COUNT, flags_of_heap, [large, vec![PlannedBlock::BusyRest(Trace::None)]].concat());
    let mut pieces: BTreeMap<Va, Vec<u8>> = frame.build().expect("the blocks fit").writes.into_iter().collect();
    for (_, piece) in pieces.range_mut(FIRST_SEGMENT..) {
        let end = piece.len() - END_BYTES;
        piece[SEGMENT_HEAD_BYTES..end].copy_from_slice(&bytes[SEGMENT_HEAD_BYTES..end]);
        // The header at the end of the run knows the size of the block before.
        piece[end..end + 0x10].copy_from_slice(&bytes[end..end + 0x10]);
    }
    let free = pattern.truth.of_state(BlockState::Free).filter(|block| block.entry >= FIRST_SEGMENT);
    put_free_list(&mut pieces, free);
    let ranges = pieces.into_iter().map(|(va, bytes)| MemoryRange::of_bytes(va, bytes));
    let system =
        SystemInfo { processor_architecture: SystemInfo::ARCHITECTURE_AMD64, platform_id: 2, ..SystemInfo::default() };
    MinidumpFile::new(flags::WITH_FULL_MEMORY, 1_300_000_000)
        .system_info(system)
        .memory64(ranges.collect())
        .write_to(path)
        .expect("there is room for 2 GB");
}

/// Chains the free blocks of all segments in the order of their sizes, as the heap does, and counts them: FreeLists and
/// TotalFreeSize of `_HEAP`.
fn put_free_list<'b>(pieces: &mut BTreeMap<Va, Vec<u8>>, pattern: impl Iterator<Item = &'b BuiltBlock>) {
    const FREE_LISTS: u64 = 0x150;
    const TOTAL_FREE_SIZE: u64 = 0xc0;
    let mut of_pattern: Vec<&BuiltBlock> = pattern.collect();
    of_pattern.sort_by_key(|block| (block.block_bytes, block.entry));
    let link_of = |block: &BuiltBlock, segment: u64| Va(block.entry.0 + 0x10 + segment * SEGMENT_BYTES);
    let mut put = |va: Va, value: u64| {
        let (start, bytes) = pieces.range_mut(..=va).next_back().expect("memory");
        let at = usize::try_from(va.0 - start.0).expect("a small offset");
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    };
    let head = Va(HEAP.0 + FREE_LISTS);
    let mut last = head;
    for block in &of_pattern {
        for segment in 0..SEGMENT_COUNT {
            let link = link_of(block, segment);
            put(last, link.0);
            put(Va(link.0 + 8), last.0);
            last = link;
        }
    }
    put(last, head.0);
    put(Va(head.0 + 8), last.0);
    let bytes: u64 = of_pattern.iter().map(|block| block.block_bytes).sum();
    put(Va(HEAP.0 + TOTAL_FREE_SIZE), bytes * SEGMENT_COUNT / 0x10);
}

/// As many blocks as a segment has room for, but for a last one that takes the rest.
fn blocks_that_fit(block: fn(u64) -> PlannedBlock) -> Vec<PlannedBlock> {
    let size = |block: &PlannedBlock| match block {
        PlannedBlock::Free { block_bytes } => *block_bytes,
        PlannedBlock::Busy(BusyBlock { user_bytes, trace, .. }) => {
            let prefix_bytes = if *trace == Trace::None { 0 } else { 0x20 };
            (user_bytes + 8 + prefix_bytes).next_multiple_of(0x10).max(0x20)
        }
        _ => 0,
    };
    let mut left = COMMITTED_PAGES * PAGE_BYTES - 0x1000;
    let mut blocks: Vec<PlannedBlock> = (0..)
        .map(block)
        .take_while(|block| {
            left = left.saturating_sub(size(block));
            left > 0
        })
        .collect();
    blocks.push(PlannedBlock::BusyRest(Trace::None));
    blocks
}

fn plan(segment_count: u64, flags_of_heap: u32, blocks: Vec<PlannedBlock>) -> HeapPlan {
    let segment = |number: u64| SegmentPlan {
        base: Va(FIRST_SEGMENT.0 + number * SEGMENT_BYTES),
        runs: vec![RunPlan { committed_pages: COMMITTED_PAGES, uncommitted_pages: 16, blocks: blocks.clone() }],
        ..SegmentPlan::default()
    };
    let mut plan = HeapPlan::new(HeapGeneration::Ten1809, PointerWidth::Bits64, HEAP);
    plan.flags = flags_of_heap;
    plan.front_end = FrontEnd::LfhAt { base: Va(HEAP.0 + 0x100_0000), reserved_pages: 50 };
    // Nothing free where the heap's head lies.
    plan.segments[0].runs[0].blocks.push(PlannedBlock::BusyRest(Trace::None));
    plan.segments.extend((0..segment_count).map(segment));
    plan
}

/// Memory of this process that is no file's: what the walk takes beyond the mapped dump.
struct PeakMemory {
    before_bytes: u64,
    is_over: Arc<AtomicBool>,
    watcher: std::thread::JoinHandle<u64>,
}

impl PeakMemory {
    fn watch() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let watch = move || {
            let mut peak = anonymous_bytes();
            while !seen.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
                peak = peak.max(anonymous_bytes());
            }
            peak
        };
        let watcher = std::thread::Builder::new().name("memory".to_owned()).spawn(watch).expect("a thread");
        Self { before_bytes: anonymous_bytes(), is_over, watcher }
    }

    fn end(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.watcher.join().expect("the watcher ends").saturating_sub(self.before_bytes)
    }
}

/// 0 where the system does not tell.
fn anonymous_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kb = line.and_then(|line| line.trim().strip_suffix("kB")).and_then(|number| number.trim().parse::<u64>().ok());
    kb.unwrap_or(0) * 1024
}
