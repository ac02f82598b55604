//! A real process whose stacks are known: the dumps that `.ci/real_process` makes of tests/real_process/chain.c.
//!
//! The truth lies beside each dump, written by the process itself. wine's full dumps have no memory info list and no
//! thread info list, so the partial map is looked at too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::run::{SymbolSearch, load_symbols, unwind_threads};
use dumptrend::analysis::snapshot::Snapshot;
use dumptrend::base::addr::Va;
use dumptrend::base::memory::slice_at;
use dumptrend::base::progress::Progress;
use dumptrend::process::regions::Completeness;
use dumptrend::report::json::json_report;
use serde_json::Value;

use crate::support::sample_series::analyse;

/// A dump and what lies beside it.
struct RealDump {
    path: PathBuf,
    chains: Vec<Chain>,
}

/// What one thread's stack holds, as the process noted it.
struct Chain {
    tid: u64,
    /// Which thread: main, spin, wait, heap.
    thread: String,
    /// Functions of the program, innermost first.
    functions: Vec<String>,
}

impl Chain {
    /// A line is `TID NAME FUNCTION FUNCTION …`.
    fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace().map(str::to_owned);
        let tid = words.next().expect("a thread id").parse().expect("a number");
        Self { tid, thread: words.next().expect("a name"), functions: words.collect() }
    }
}

/// The folder with the dumps. Without it there is nothing to look at and the test says so; under
/// `DUMPTREND_REQUIRE_REAL_PROCESS=1` that is a failure.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("DUMPTREND_REAL_PROCESS").map(PathBuf::from);
    if folder.is_none() {
        let is_required = std::env::var("DUMPTREND_REQUIRE_REAL_PROCESS").is_ok_and(|value| value == "1");
        assert!(!is_required, "DUMPTREND_REAL_PROCESS names no folder, and DUMPTREND_REQUIRE_REAL_PROCESS is set");
        println!("skipped: set DUMPTREND_REAL_PROCESS to the folder that .ci/real_process FOLDER filled");
    }
    folder
}

/// Every dump in the folder; one that should be there and is not fails the test.
fn real_dumps() -> Vec<RealDump> {
    let Some(folder) = folder() else { return Vec::new() };
    let of = |name: &str| {
        let path = folder.join(name).with_extension("dmp");
        assert!(path.is_file(), "{} is not there; make it with .ci/real_process FOLDER", path.display());
        let text = std::fs::read_to_string(path.with_extension("chain.txt")).expect("the chains beside the dump");
        RealDump { path, chains: text.lines().map(Chain::parse).collect() }
    };
    ["mingw/chain-1", "clang/chain-1", "clang/chain-2"].map(of).into()
}

/// The report with all stages done, as the console makes it. The PDB lies beside the dump.
fn report_of(analysis: &Arc<Analysis>) -> Value {
    let progress = Progress::default();
    let unwound = unwind_threads(analysis, &progress).expect("not cancelled");
    let named = load_symbols(&unwound, &SymbolSearch::default(), &progress).expect("not cancelled");
    serde_json::from_str(&json_report(&Arc::new(named), None).expect("a report")).expect("valid JSON")
}

/// Analyses each dump alone and hands it to `look` with its snapshot and its JSON.
fn check_each(look: impl Fn(&RealDump, &Snapshot, &Value)) {
    for dump in real_dumps() {
        let analysis = Arc::new(analyse(std::slice::from_ref(&dump.path)));
        assert_eq!(analysis.snapshots.len(), 1, "{}: {:?}", dump.path.display(), analysis.failures);
        look(&dump, &analysis.snapshots[0], &report_of(&analysis)["dumps"][0]);
    }
}

/// The table of pointers that the process keeps, and its pointers as offsets from the image's beginning.
struct Samples {
    table: Va,
    offsets: Vec<u64>,
}

fn samples_beside(dump: &Path) -> Samples {
    let text = std::fs::read_to_string(dump.with_file_name("samples.txt")).expect("the samples beside the dump");
    let mut lines = text.lines();
    let (table, count) = lines.next().and_then(|line| line.split_once(' ')).expect("a table and its length");
    let offsets: Vec<u64> = lines.map(hexadecimal).collect();
    assert_eq!(offsets.len().to_string(), count);
    Samples { table: Va(hexadecimal(table)), offsets }
}

fn hexadecimal(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("a hexadecimal number")
}

fn run_program(arguments: &[&str], code: i32) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dumptrend-cli"));
    let output = command.args(arguments).stdin(Stdio::null()).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn chains_are_as_deep_as_the_program_says() {
    for dump in real_dumps() {
        let threads: Vec<_> = dump.chains.iter().map(|chain| chain.thread.as_str()).collect();
        assert_eq!(threads, ["main", "spin", "wait", "heap"]);
        for Chain { thread, functions, .. } in &dump.chains {
            let levels: BTreeSet<_> = functions.iter().collect();
            assert!((1..=20).all(|level| levels.contains(&format!("{thread}_{level:02}"))), "{functions:?}");
        }
    }
}

#[test]
fn its_modules_and_threads_are_listed() {
    check_each(|dump, snapshot, report| {
        let of = dump.path.display();
        let modules = report["modules"].as_array().expect("modules");
        for name in ["chain.exe", "ntdll.dll", "kernel32.dll", "kernelbase.dll", "dbghelp.dll"] {
            assert!(modules.iter().any(|module| module["name"] == name), "{of}: {name} is missing");
        }
        let threads = report["threads"].as_array().expect("threads");
        let listed: BTreeSet<_> = threads.iter().filter_map(|thread| thread["tid"].as_u64()).collect();
        assert_eq!(listed, dump.chains.iter().map(|chain| chain.tid).collect(), "{of}");
        assert_eq!((report["arch"].as_str(), report["wow64"].as_bool()), (Some("x64"), Some(false)), "{of}");
        let teb_count = report["tebs"].as_array().map(Vec::len);
        assert_eq!((snapshot.pebs.len(), teb_count), (1, Some(4)), "{of}");
        assert!(report["command_line"].as_str().is_some_and(|line| line.contains("chain.exe")), "{of}");
        let writer = u64::from(snapshot.dump.exception.as_ref().expect("the writer's context").tid);
        assert_eq!(writer, dump.chains[0].tid, "{of}");
        for thread in snapshot.dump.threads.iter().flatten() {
            assert_eq!(thread.context.size_bytes, 1232, "{of}: thread {}", thread.tid);
        }
    });
}

#[test]
fn its_map_is_partial_and_nothing_is_damaged() {
    check_each(|dump, snapshot, report| {
        let of = dump.path.display();
        assert_eq!(snapshot.address_space.completeness, Completeness::Partial, "{of}");
        let space = &report["address_space"];
        assert_eq!(space["map"], "partial", "{of}");
        for total in ["region_count", "committed_bytes", "reserved_bytes", "free_bytes", "largest_free_bytes"] {
            assert_eq!(space[total], Value::Null, "{of}: {total}");
        }
        let problems = report["problems"].as_array().expect("a list");
        let missing: Vec<_> = problems.iter().map(|problem| (&problem["kind"], &problem["where"])).collect();
        assert_eq!(missing.len(), 2, "{of}: {missing:?}");
        for (stream, (kind, place)) in ["memory info list", "thread info list"].iter().zip(missing) {
            assert_eq!(kind, "missing", "{of}");
            assert!(place.as_str().is_some_and(|place| place.contains(stream)), "{of}: {place}");
        }
        assert_eq!(report["threads"][0]["user_ns"], Value::Null, "{of}");
    });
}

#[test]
fn its_memory_is_read_where_it_lies() {
    check_each(|dump, snapshot, _| {
        let memory = &snapshot.dump.memory;
        let modules = snapshot.dump.modules.as_deref().expect("modules");
        let is_program = |path: &String| path.ends_with("chain.exe");
        let program = modules.iter().find(|module| module.path.as_ref().is_some_and(is_program));
        let image = program.expect("the program").base;
        assert_eq!(slice_at(memory, image, 2), Some(b"MZ".as_slice()));
        let samples = samples_beside(&dump.path);
        let table = slice_at(memory, samples.table, samples.offsets.len() as u64 * 8).expect("the table");
        let pointers = table.chunks_exact(8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
        assert!(pointers.eq(samples.offsets.iter().map(|offset| image.0 + offset)), "{}", dump.path.display());
        for thread in snapshot.dump.threads.iter().flatten() {
            assert!(slice_at(memory, thread.teb, 0x1000).is_some(), "the TEB of thread {}", thread.tid);
        }
    });
}

/// Two dumps, a second apart.
#[test]
fn its_series_is_one_process() {
    let Some(folder) = folder() else { return };
    let analysis = Arc::new(analyse(&[folder.join("clang")]));
    assert_eq!((analysis.groups.len(), analysis.snapshots.len()), (1, 2), "{:?}", analysis.failures);
    let report = report_of(&analysis);
    let files: Vec<_> = report["dumps"].as_array().expect("dumps").iter().map(|dump| &dump["file"]).collect();
    assert_eq!(files, ["chain-1.dmp", "chain-2.dmp"]);
}

#[test]
fn the_console_program_reports_it_with_code_0() {
    for dump in real_dumps() {
        let path = dump.path.to_str().expect("a plain path");
        let text = run_program(&["report", path], 0);
        assert!(text.contains("partial: the dump has no whole memory info list"), "{text}");
        let report: Value = serde_json::from_str(&run_program(&["report", path, "--format", "json"], 0)).expect("JSON");
        assert_eq!(report["dumps"][0]["threads"].as_array().map(Vec::len), Some(dump.chains.len()));
    }
}

/// Frames of this module are the program's own.
const PROGRAM: &str = "chain!";

/// A frame of the JSON report without the offset: `chain!spin_20` of `chain!spin_20+0x4d`.
fn function_of(frame: &Value) -> &str {
    let symbol = frame["symbol"].as_str().unwrap_or_default();
    symbol.split_once('+').map_or(symbol, |(function, _)| function)
}

/// What is wrong with a stack of the JSON report: it must hold the whole chain frame by frame, reached by unwinding
/// alone, and go on to where every thread begins. The innermost frame stands on the context.
fn stack_fault(stack: &Value, chain: &Chain) -> Option<String> {
    let Some(frames) = stack.as_array() else { return Some(format!("is {stack}")) };
    let trusts: Vec<_> = frames.iter().map(|frame| frame["trust"].as_str().unwrap_or_default()).collect();
    if let Some(at) =
        trusts.iter().enumerate().position(|(at, trust)| *trust != "unwind" && (at, *trust) != (0, "context"))
    {
        return Some(format!("frame {at}, {}, has the trust {:?}", function_of(&frames[at]), trusts[at]));
    }
    let functions: Vec<&str> = frames.iter().map(function_of).collect();
    let own: Vec<&str> = functions.iter().filter_map(|function| function.strip_prefix(PROGRAM)).collect();
    if !own.iter().take(chain.functions.len()).eq(chain.functions.iter()) {
        return Some(format!("has {own:?} in place of {:?}", chain.functions));
    }
    // What stands further out is the runtime library, whose names only some builds have.
    let outer = &own[chain.functions.len()..];
    if let Some(level) = outer.iter().find(|function| chain.functions.iter().any(|level| level == *function)) {
        return Some(format!("has {level} once too often"));
    }
    let end = functions.iter().rev().take(2).rev().copied().collect::<Vec<_>>();
    if end != ["kernel32!BaseThreadInitThunk", "ntdll!RtlUserThreadStart"] {
        return Some(format!("ends in {end:?}"));
    }
    // The system calls the program back between two levels, and is called by those that wait.
    let is_system = |at: usize| functions.get(at).is_some_and(|function| !function.starts_with(PROGRAM));
    let once = functions.iter().position(|function| function.ends_with("_11_once"));
    if !once.is_some_and(|at| is_system(at + 1) && is_system(at + 2)) {
        return Some("has no frames of the system around the callback".to_owned());
    }
    let called = match chain.thread.as_str() {
        "wait" => "kernelbase!WaitForSingleObject",
        "heap" => "ntdll!RtlAllocateHeap",
        _ => {
            return (functions[0].strip_prefix(PROGRAM) != Some(own[0])).then(|| format!("begins in {}", functions[0]));
        }
    };
    let innermost = functions.iter().position(|function| function.starts_with(PROGRAM)).unwrap_or_default();
    let caller = innermost.checked_sub(1).map(|at| functions[at]);
    (caller != Some(called)).then(|| format!("calls {caller:?} in place of {called}"))
}

#[test]
fn every_chain_comes_out_frame_by_frame() {
    check_each(|dump, _, report| {
        for chain in &dump.chains {
            let of = format!("{}, thread {} ({})", dump.path.display(), chain.tid, chain.thread);
            let threads = report["threads"].as_array().expect("threads");
            let thread = threads.iter().find(|thread| thread["tid"] == chain.tid).expect("the thread");
            if let Some(fault) = stack_fault(&thread["stack"], chain) {
                panic!("{of}: the stack {fault}");
            }
        }
    });
}

/// Makes a right stack wrong.
type Change<'a> = &'a dyn Fn(&mut Vec<Value>);

/// A stack that is right, and each way to be wrong.
#[test]
fn a_wrong_stack_is_found_out() {
    let chain = Chain::parse("8 wait wait_20 wait_12 wait_11_once wait_11 wait_10 wait_10 wait_thread");
    let symbols = [
        "ntdll!NtWaitForMultipleObjects+0x14",
        "kernelbase!WaitForSingleObject+0x2e",
        "chain!wait_20+0x3f",
        "chain!wait_12+0x3e",
        "chain!wait_11_once+0x36",
        "ntdll!RtlRunOnceExecuteOnce+0x30",
        "kernelbase!InitOnceExecuteOnce+0x12",
        "chain!wait_11+0x3d",
        "chain!wait_10+0x2d",
        "chain!wait_10+0x51",
        "chain!wait_thread+0x2b",
        "kernel32!BaseThreadInitThunk+0x9",
        "ntdll!RtlUserThreadStart+0x88",
    ];
    let frame = |symbol: &str| serde_json::json!({ "address": "0x1", "symbol": symbol, "trust": "unwind" });
    let mut right: Vec<Value> = symbols.iter().copied().map(frame).collect();
    right[0]["trust"] = "context".into();
    let fault = |change: Change<'_>| {
        let mut frames = right.clone();
        change(&mut frames);
        stack_fault(&Value::Array(frames), &chain)
    };
    assert_eq!(fault(&|_| ()), None);
    assert_eq!(stack_fault(&Value::Null, &chain), Some("is null".to_owned()));
    let wrong: [(Change<'_>, &str); 12] = [
        (&|frames| frames[4]["trust"] = "scan".into(), "has the trust \"scan\""),
        (&|frames| frames[4]["trust"] = "context".into(), "frame 4"),
        (&|frames| frames[3]["trust"] = Value::Null, "frame 3"),
        (&|frames| frames[3]["symbol"] = Value::Null, "in place of"),
        (&|frames| drop(frames.remove(3)), "in place of"),
        (&|frames| drop(frames.remove(9)), "in place of"),
        (&|frames| frames.swap(8, 7), "in place of"),
        (&|frames| frames.insert(11, frame("chain!wait_10+0x51")), "once too often"),
        (&|frames| frames.truncate(11), "ends in"),
        (&|frames| frames.clear(), "in place of"),
        (&|frames| drop(frames.remove(5)), "around the callback"),
        (&|frames| drop(frames.drain(..2)), "calls None"),
    ];
    for (change, reason) in wrong {
        let fault = fault(change).unwrap_or_else(|| panic!("nothing is found that {reason}"));
        assert!(fault.contains(reason), "{fault}");
    }
}

/// Names by the PDB against llvm-symbolizer's, for every sample in the program's own source. Lines are not compared:
/// dumptrend prints none.
#[test]
fn names_of_the_pdb_are_those_of_llvm_symbolizer() {
    let Some(folder) = folder() else { return };
    let dump = folder.join("clang/chain-1.dmp");
    let samples = samples_beside(&dump);
    let known = std::fs::read_to_string(dump.with_file_name("symbols.txt")).expect("llvm-symbolizer's answers");
    let clang = folder.join("clang");
    let [dump, symbol_path] = [&dump, &clang].map(|path| path.to_str().expect("a plain path"));
    let (table, count) = (samples.table.to_string(), samples.offsets.len().to_string());
    let text = run_program(&["dps", dump, &table, &count, "--symbol-path", symbol_path], 0);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), samples.offsets.len());
    // The function of the sample before, and where it begins: all samples of a function must agree on that.
    let mut before: Option<(&str, u64)> = None;
    let mut compared_count = 0;
    for line in known.lines() {
        let mut words = line.split(' ');
        let (offset, function) = (hexadecimal(words.next().expect("an offset")), words.next().expect("a function"));
        let at = samples.offsets.binary_search(&offset).expect("a sample");
        let symbol = lines[at].split_whitespace().nth(2).unwrap_or_default();
        let (name, into_function) = symbol.split_once('+').unwrap_or((symbol, "0x0"));
        assert_eq!(name.strip_prefix(PROGRAM), Some(function), "{}", lines[at]);
        let begin = offset.checked_sub(hexadecimal(into_function)).expect("within the image");
        if let Some((_, other)) = before.filter(|(other, _)| *other == function) {
            assert_eq!(begin, other, "{}", lines[at]);
        }
        before = Some((function, begin));
        compared_count += 1;
    }
    assert!(compared_count > 500, "only {compared_count} samples were compared");
}
