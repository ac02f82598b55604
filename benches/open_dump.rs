//! Opening dumps and mapping their address space: it must not take longer because a dump is larger.
//!
//! `cargo bench --no-default-features --bench open_dump`; see README.md in this folder.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion};
use dumptrend::analysis::run::run;
use dumptrend::analysis::snapshot::{Snapshot, take_snapshot};
use dumptrend::base::addr::Va;
use dumptrend::base::progress::Progress;
use dumptrend::input::dump;
use dumptrend::sample::address_space::winnt::{MEM_COMMIT, MEM_FREE, MEM_PRIVATE, MEM_RESERVE, PAGE_READWRITE};
use dumptrend::sample::minidump_file::{MemoryInfo, MinidumpFile, SystemInfo};
use dumptrend::sample::{SampleOptions, Variant, write_sample};

const SMALL_BYTES: u64 = 40 << 20;
const LARGE_BYTES: u64 = 4 << 30;
/// As many as the largest real dump that we have.
const REGION_COUNT: u64 = 22_000;
const RATIO_ROUNDS: usize = 301;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let small = one_dump(&folder.path().join("small"), SMALL_BYTES);
    let large = one_dump(&folder.path().join("large"), LARGE_BYTES);
    let mut criterion = Criterion::default().configure_from_args().measurement_time(Duration::from_secs(3));
    bench_scales(&mut criterion, &small, &large);
    bench_series(&mut criterion, folder.path());
    bench_regions(&mut criterion);
    criterion.final_summary();
    print_ratio(&small, &large);
}

/// One dump of the sample of the given size; its file is sparse.
fn one_dump(folder: &Path, size_bytes: u64) -> PathBuf {
    let options = SampleOptions { variant: Variant::CaseA, size_bytes_per_dump: Some(size_bytes) };
    let files = write_sample(folder, &options, &Progress::default()).expect("the sample is written");
    files.into_iter().next().expect("one file")
}

fn open(path: &Path) -> Snapshot {
    let dump = dump::open(path).expect("the sample opens");
    take_snapshot(dump, &Progress::default()).expect("nobody cancels")
}

fn bench_scales(criterion: &mut Criterion, small: &Path, large: &Path) {
    let mut group = criterion.benchmark_group("open one dump");
    for (name, path) in [("40 MB", small), ("4 GB", large)] {
        group.bench_function(name, |bencher| bencher.iter(|| open(black_box(path))));
    }
    group.finish();
}

fn bench_series(criterion: &mut Criterion, folder: &Path) {
    let series = folder.join("series");
    write_sample(&series, &SampleOptions::default(), &Progress::default()).expect("the sample is written");
    let inputs = [series];
    criterion.bench_function("analyse the sample series", |bencher| {
        bencher.iter(|| run(black_box(&inputs), &Progress::default()));
    });
}

fn bench_regions(criterion: &mut Criterion) {
    let file = many_regions().to_bytes().expect("the dump fits its format");
    let opened = || dump::open_bytes(Path::new("many.dmp"), file.clone()).expect("the dump opens");
    criterion.bench_function("map 22,000 regions", |bencher| {
        bencher.iter_batched(opened, |dump| take_snapshot(dump, &Progress::default()), BatchSize::LargeInput);
    });
}

/// Free, committed and reserved regions in turn.
fn many_regions() -> MinidumpFile {
    let infos = (0..REGION_COUNT).map(|index| {
        let (state, kind) = [(MEM_FREE, 0), (MEM_COMMIT, MEM_PRIVATE), (MEM_RESERVE, MEM_PRIVATE)][index as usize % 3];
        let base = Va(index * 0x1_0000);
        MemoryInfo {
            base,
            allocation_base: base,
            size_bytes: 0x1_0000,
            state,
            protect: PAGE_READWRITE,
            kind,
            ..MemoryInfo::default()
        }
    });
    let system =
        SystemInfo { processor_architecture: SystemInfo::ARCHITECTURE_AMD64, platform_id: 2, ..SystemInfo::default() };
    MinidumpFile::default().system_info(system).memory_infos(infos.collect())
}

/// Both scales in turn, so that whatever else the machine does meets both alike.
fn print_ratio(small: &Path, large: &Path) {
    let time = |path: &Path| {
        let start = Instant::now();
        black_box(open(path));
        start.elapsed()
    };
    let (mut small_times, mut large_times): (Vec<Duration>, Vec<Duration>) =
        (0..RATIO_ROUNDS).map(|_| (time(small), time(large))).unzip();
    small_times.sort_unstable();
    large_times.sort_unstable();
    let (small, large) = (small_times[RATIO_ROUNDS / 2], large_times[RATIO_ROUNDS / 2]);
    println!("median of {RATIO_ROUNDS}: 40 MB {small:?}, 4 GB {large:?}");
    println!("4 GB / 40 MB ratio: {:.2}", large.as_secs_f64() / small.as_secs_f64());
}
