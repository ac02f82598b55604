//! Decoding a stack trace database of 1 GiB, held against reading the same file once with dd.
//!
//! `cargo bench --no-default-features --bench decode_traces`; see README.md in this folder.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dumptrend::analysis::series::traces::decode_series;
use dumptrend::analysis::snapshot::take_snapshot;
use dumptrend::base::addr::Va;
use dumptrend::base::progress::Progress;
use dumptrend::input::dump;
use dumptrend::sample::address_space::AddressSpace;
use dumptrend::sample::heap_trace_log::{HeapTraceLog, ZONE_BYTES};
use dumptrend::sample::minidump_file::{MinidumpFile, SystemInfo, flags};
use dumptrend::sample::trace_database::{DatabaseShape, SATURATED_COUNT, TraceDatabase, TraceEntry};

const STORE_BYTES: u64 = 1 << 30;
const ROUNDS: usize = 11;
const BASE: Va = Va(0x1_0000_0000);
const TOP: Va = Va(0x7fff_0000_0000);

/// A process of its own decodes one dump and says how much memory that took: what earlier runs left to the allocator
/// would hide it.
const MEMORY_OF: &str = "--memory-of";

type Case = (&'static str, fn(&Path));

const CASES: [Case; 5] = [
    ("20 stacks, as in the case", |path| write_database(path, 20)),
    ("10,000 stacks", |path| write_database(path, 10_000)),
    ("100,000 stacks", |path| write_database(path, 100_000)),
    ("all stacks different", |path| write_database(path, usize::MAX)),
    ("heap log, all stacks different", write_heap_log),
];

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
    println!(
        "{:<32} {:>8} {:>8} {:>8} {:>7} {:>10}",
        "1 GiB, median of 11", "entries", "dd", "decode", "ratio", "memory"
    );
    for (name, write) in CASES {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            measure(name, write);
        }
    }
}

fn measure(name: &str, write: fn(&Path)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("database.dmp");
    write(&path);
    // Into the page cache, and with all that a first run sets up.
    read_with_dd(&path);
    let entry_count = decode(&path);
    // In turn, so that whatever else the machine does meets both alike.
    let (mut read, mut decoded): (Vec<Duration>, Vec<Duration>) =
        (0..ROUNDS).map(|_| (time(|| read_with_dd(&path)), time(|| decode(&path)))).unzip();
    read.sort_unstable();
    decoded.sort_unstable();
    let (read, decoded) = (read[ROUNDS / 2].as_secs_f64(), decoded[ROUNDS / 2].as_secs_f64());
    let memory_mb = memory_of(&path) / (1 << 20);
    println!("{name:<32} {entry_count:>8} {read:>6.3} s {decoded:>6.3} s {:>7.2} {memory_mb:>7} MB", decoded / read);
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

/// What the window does with a dump: opens it, finds its stores, decodes them, merges their stacks. How many entries.
fn decode(path: &Path) -> u64 {
    let dump = dump::open(path).expect("the dump opens");
    let snapshot = Arc::new(take_snapshot(dump, &Progress::default()).expect("nobody cancels"));
    let traces = decode_series(std::slice::from_ref(&snapshot), &Progress::default()).expect("nobody cancels");
    let entry_count = traces.stores.iter().flatten().map(|store| store.entry_count).sum();
    assert!(entry_count > 1_000_000, "the store was found and decoded");
    black_box(traces);
    entry_count
}

/// The stack number `number`: 8 to 27 frames, as deep as in the case. No two numbers have the same.
fn stack(number: u64) -> Vec<Va> {
    let frame = |level: u64| match level {
        3 => 0x1_0000 + number % 4096 * 0x35,
        4 => 0x8_0000 + number / 4096 * 0x4_2f47,
        _ => level * 0x40,
    };
    (0..8 + number % 20).map(|level| Va(0x7ff9_0000_0000 + frame(level))).collect()
}

fn write_database(path: &Path, stack_count: usize) {
    let shape = DatabaseShape::SEVEN_X64;
    let bytes_per_20: u64 = (8..28).map(|depth| shape.entry_bytes(depth) + 8).sum();
    let entry_count = (STORE_BYTES - (1 << 20)) / bytes_per_20 * 20;
    let stack_count = stack_count.min(entry_count as usize);
    let mut database = TraceDatabase {
        base: BASE,
        reserved_bytes: STORE_BYTES,
        shape,
        bucket_count: 9551,
        stacks: (0..stack_count as u64).map(stack).collect(),
        entries: Vec::new(),
        lookup_count: 0,
        failure_count: 0,
    };
    database.entries = (0..entry_count)
        .map(|position| TraceEntry { stack_index: position as usize % stack_count, use_count: SATURATED_COUNT })
        .collect();
    let mut space = AddressSpace::default();
    database.add_to(&mut space).expect("the database fits its reservation");
    drop(database);
    write_dump(path, &space);
}

fn write_heap_log(path: &Path) {
    let log = HeapTraceLog {
        header: BASE,
        first_zone: Va(BASE.0 + 0x10_0000),
        zone_count: STORE_BYTES / ZONE_BYTES,
        largest_zone_count: u32::MAX,
        largest_count: u32::MAX,
    };
    let mut space = AddressSpace::default();
    log.add_to(&mut space, |number| stack(u64::from(number)));
    write_dump(path, &space);
}

fn write_dump(path: &Path, space: &AddressSpace) {
    let system =
        SystemInfo { processor_architecture: SystemInfo::ARCHITECTURE_AMD64, platform_id: 2, ..SystemInfo::default() };
    MinidumpFile::new(flags::WITH_FULL_MEMORY | flags::WITH_FULL_MEMORY_INFO, 1_300_000_000)
        .system_info(system)
        .memory64(space.memory_ranges().expect("the pieces lie in their runs"))
        .memory_infos(space.memory_infos(TOP).expect("no overlap"))
        .write_to(path)
        .expect("there is room for 1 GiB");
}

/// Memory of this process that is no file's: what decoding takes beyond the mapped dump.
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
