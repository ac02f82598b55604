//! All stacks of full dumps, held against LLDB listing the same.
//!
//! `cargo bench --no-default-features --bench stacks`; see README.md in this folder.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dumptrend::analysis::snapshot::Snapshot;
use dumptrend::analysis::snapshot::take_snapshot;
use dumptrend::analysis::snapshot::thread_stacks::{UnwindHelp, thread_stacks};
use dumptrend::base::progress::Progress;
use dumptrend::input::dump;
use dumptrend::sample::{SampleOptions, write_sample};

const ROUNDS: usize = 11;
/// Newest first; Debian has no plain name for them.
const LLDB_NAMES: [&str; 4] = ["lldb", "lldb-19", "lldb-16", "lldb-14"];

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sample = write_sample(folder.path(), &SampleOptions::default(), &Progress::default()).expect("the sample");
    let mut dumps: Vec<(&str, PathBuf)> = sample.into_iter().skip(5).map(|path| ("sample, dump 6", path)).collect();
    match real_dump() {
        Some(path) => dumps.push(("fizzbuzz_wow64", path)),
        None => println!("fizzbuzz_wow64.dmp is not there; set DUMPTREND_SHARED to the folder with the real dumps"),
    }
    let lldb = LLDB_NAMES.into_iter().find(|name| runs(Command::new(name).arg("--version")));
    if lldb.is_none() {
        println!("no LLDB is installed (Debian: lldb-19 or lldb-14): nothing to compare with");
    }
    println!(
        "{:<20} {:>7} {:>12} {:>12} {:>12} {:>8}",
        "median of 11", "frames", "stacks alone", "program", "lldb", "ratio"
    );
    for (name, path) in &dumps {
        measure(name, path, lldb);
    }
}

fn real_dump() -> Option<PathBuf> {
    let folder = std::env::var_os("DUMPTREND_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    Some(folder.join("dumps/fizzbuzz_wow64.dmp")).filter(|path| path.is_file())
}

fn measure(name: &str, path: &Path, lldb: Option<&str>) {
    let dump = dump::open(path).expect("the dump opens");
    let snapshot = take_snapshot(dump, &Progress::default()).expect("nobody cancels");
    let frame_count = unwind(&snapshot);
    // LLDB takes unwind data from image files alone: without them it finds one frame.
    let their_count = lldb.map(|lldb| frames_listed(&mut lldb_command(lldb, path)));
    // In turn, so that whatever else the machine does meets all alike.
    let (mut alone, mut program, mut other) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(time(|| unwind(&snapshot)));
        program.push(time(|| {
            let ours = runs(Command::new(env!("CARGO_BIN_EXE_dumptrend-cli")).arg("stacks").arg(path));
            assert!(ours, "the program lists the stacks");
        }));
        if let Some(lldb) = lldb {
            other.push(time(|| assert!(runs(&mut lldb_command(lldb, path)), "LLDB lists the stacks")));
        }
    }
    let (alone, program, other) = (median(&mut alone), median(&mut program), median(&mut other));
    let ms = |time: Option<Duration>| {
        time.map_or_else(|| "-".to_owned(), |time| format!("{:.3} ms", time.as_secs_f64() * 1e3))
    };
    let ratio = program.zip(other).map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64());
    let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
    let their_count = their_count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    println!(
        "{name:<20} {frame_count:>7} {:>12} {:>12} {:>12} {ratio:>8} {their_count:>12}",
        ms(alone),
        ms(program),
        ms(other)
    );
}

fn lldb_command(lldb: &str, path: &Path) -> Command {
    let mut command = Command::new(lldb);
    command.arg("-c").arg(path).args(["-b", "-o", "thread backtrace all"]).stdin(Stdio::null());
    command
}

fn frames_listed(command: &mut Command) -> usize {
    let output = command.output().expect("LLDB runs");
    String::from_utf8_lossy(&output.stdout).matches("frame #").count()
}

/// All stacks, images read anew. How many frames they have.
fn unwind(snapshot: &Snapshot) -> usize {
    let stacks = thread_stacks(snapshot, UnwindHelp::default(), &Progress::default()).expect("nobody cancels");
    let count = stacks
        .iter()
        .flat_map(|(_, stacks)| [Some(&stacks.native), stacks.wow64.as_ref()])
        .flatten()
        .map(|stack| stack.frames.len())
        .sum();
    black_box(stacks);
    count
}

fn runs(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

fn median(times: &mut [Duration]) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}
