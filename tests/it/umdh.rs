//! The UMDH log of a dump: read back as its readers do, and held against the decoded store.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use dumptrend::analysis::run::decode_traces;
use dumptrend::analysis::snapshot::{Snapshot, take_snapshot};
use dumptrend::base::addr::Va;
use dumptrend::base::progress::Progress;
use dumptrend::input::dump::open_bytes;
use dumptrend::present::traces::stores_of;
use dumptrend::process::traces::{decode_store, entry_at};
use dumptrend::report::umdh::{UmdhError, Written, write_umdh};
use dumptrend::sample::{SampleOptions, Variant};

use crate::support::build_process::Process;
use crate::support::sample_series::{analyse, sample_series, write};

/// What a reader takes from a log.
#[derive(Default)]
struct Log {
    modules: Vec<(u64, u64, String)>,
    heaps: Vec<Heap>,
    /// Frames by id; a stack stands once in a log.
    stacks: BTreeMap<u64, Vec<u64>>,
}

#[derive(Default)]
struct Heap {
    base: u64,
    blocks: Vec<Block>,
}

struct Block {
    requested_bytes: u64,
    overhead_bytes: u64,
    address: u64,
    id: u64,
}

/// As UMDH writes it: without 0x, in capitals.
fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
}

fn hex(text: &str) -> u64 {
    assert!(is_hex(text), "{text}");
    u64::from_str_radix(text, 16).expect("64 bits")
}

/// `(hex) bytes + (hex) at (hex) by BackTrace(hex)`.
fn block_in(line: &str) -> Option<Block> {
    let (requested, rest) = line.split_once(" bytes + ")?;
    let (overhead, rest) = rest.split_once(" at ")?;
    let (address, id) = rest.split_once(" by BackTrace")?;
    let fields = [requested, overhead, address, id];
    let [requested_bytes, overhead_bytes, address, id] =
        fields.iter().all(|field| is_hex(field)).then_some(fields)?.map(hex);
    Some(Block { requested_bytes, overhead_bytes, address, id })
}

/// Reads as pyumdh does: modules from their head to the first heap, blocks from `Hogs` to `End`, and of a stack the line
/// behind it too, whatever stands there.
fn read_log(text: &str) -> Log {
    let mut log = Log::default();
    let mut lines = text.lines().skip_while(|line| !line.contains("Base Size Module")).skip(1).peekable();
    while let Some(line) = lines.next_if(|line| !line.starts_with("*-")) {
        let fields = line.trim_start_matches('/').trim_start().split_once(' ');
        let Some((base, (size, path))) =
            fields.and_then(|(base, rest)| Some((base, rest.trim_start().split_once(' ')?)))
        else {
            assert!(line.is_empty() || line == "//", "no module: {line}");
            continue;
        };
        log.modules.push((hex(base), hex(size), path.to_owned()));
    }
    while let Some(line) = lines.next() {
        let Some((base, _)) =
            line.strip_prefix("*- - - - - - - - - - Heap ").and_then(|rest| rest.split_once(" Hogs "))
        else {
            assert!(block_in(line).is_none(), "a block outside of a heap: {line}");
            continue;
        };
        let mut heap = Heap { base: hex(base), ..Heap::default() };
        while let Some(line) = lines.next_if(|line| !line.starts_with("*- - - - - - - - - - End of data for heap @ ")) {
            let Some(block) = block_in(line).filter(|_| !line.starts_with("//")) else {
                assert!(line.is_empty(), "neither block nor stack: {line}");
                continue;
            };
            let mut frames = Vec::new();
            while let Some(frame) = lines.peek().and_then(|line| line.strip_prefix('\t')) {
                frames.push(hex(frame));
                lines.next();
            }
            if !frames.is_empty() {
                assert_eq!(lines.next(), Some(""), "the line after a stack is lost to readers");
                assert_eq!(log.stacks.insert(block.id, frames), None, "{:X} has one stack", block.id);
            }
            assert!(log.stacks.contains_key(&block.id), "the stack of {:X} stands with its first block", block.id);
            heap.blocks.push(block);
        }
        log.heaps.push(heap);
    }
    log
}

fn written_of(snapshot: &Snapshot) -> (Written, String) {
    let mut out = Vec::new();
    let written = write_umdh(snapshot, &Progress::default(), &mut out).expect("written");
    (written, String::from_utf8(out).expect("UTF-8"))
}

/// Stores of a dump by their kind, each with its blocks and its stacks.
fn check(variant: Variant, dump: usize, expect: &[(usize, usize)]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = write(folder.path(), SampleOptions { variant, ..SampleOptions::default() });
    check_dump(&files[dump], expect);
}

/// The log of a dump has the blocks and stacks of `expect`, store by store, and says of each stack what the store says.
fn check_dump(path: &Path, expect: &[(usize, usize)]) {
    let analysis = decode_traces(&analyse(&[path.to_owned()]), &Progress::default()).expect("not cancelled");
    let snapshot = &analysis.snapshots[0];
    let (written, text) = written_of(snapshot);
    let log = read_log(&text);
    let stores = stores_of(&analysis, dumptrend::base::ids::DumpIdx(0)).expect("decoded");
    assert_eq!(
        log.heaps.iter().map(|heap| heap.blocks.len()).collect::<Vec<_>>(),
        expect.iter().map(|e| e.0).collect::<Vec<_>>()
    );
    assert_eq!(log.stacks.len(), expect.iter().map(|e| e.1).sum::<usize>());
    let block_count: usize = expect.iter().map(|e| e.0).sum();
    assert_eq!(
        written,
        Written { block_count: block_count as u64, stack_count: log.stacks.len() as u64, damaged_place_count: 0 }
    );
    for ((heap, store), (_, stack_count)) in log.heaps.iter().zip(stores).zip(expect) {
        assert_eq!(Va(heap.base), store.header.base);
        assert!(heap.blocks.iter().all(|block| block.overhead_bytes == 0));
        assert!(heap.blocks.is_sorted_by_key(|block| block.address));
        let mut sums: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for block in &heap.blocks {
            let sum = sums.entry(block.id).or_default();
            *sum = (sum.0 + 1, sum.1 + block.requested_bytes);
        }
        let (_, unique) =
            decode_store(&snapshot.dump.memory, &store.header, &Progress::default()).expect("not cancelled");
        let of_store: BTreeMap<u64, (u64, u64)> = unique
            .iter()
            .map(|stack| {
                let first = entry_at(&snapshot.dump.memory, &store.header, stack.first_entry).expect("an entry");
                let id = first.index.map_or(first.va.0, u64::from);
                let frames: Vec<u64> = unique.frames(&snapshot.dump.memory, stack).iter().map(|va| va.0).collect();
                assert_eq!(log.stacks.get(&id), Some(&frames), "{id:X}");
                (id, (stack.entry_count, stack.store_bytes))
            })
            .collect();
        assert_eq!((sums.len(), sums == of_store), (*stack_count, true));
    }
}

#[test]
fn dump_b_has_a_block_for_each_entry_and_20_stacks() {
    let series = sample_series();
    check_dump(&series.folder().join("allocfree-6.dmp"), &[(148_863, 20)]);
    let (_, text) = written_of(&series.analysis.snapshots[5]);
    assert!(text.contains("\n60 bytes + 0 at 188BE50 by BackTrace"), "its third last entry");
    assert_eq!(
        text.lines().filter(|line| line.contains("by BackTrace") && line.contains(" bytes + 0 at ")).count(),
        148_863
    );
}

#[test]
fn an_id_is_the_same_in_all_dumps_of_the_series() {
    let series = sample_series();
    let stacks = |dump: usize| read_log(&written_of(&series.analysis.snapshots[dump]).1).stacks;
    let first = stacks(0);
    assert_eq!(first.len(), 20);
    assert_eq!(first, stacks(5));
}

#[test]
fn windows_7_x86_has_its_entries() {
    check(Variant::SevenX86, 2, &[(61_463, 20)]);
}

#[test]
fn windows_xp_has_its_entries() {
    check(Variant::XpX86, 1, &[(31_000, 31_000)]);
}

/// The records of the log have no index: their ids are addresses.
#[test]
fn windows_10_has_the_database_and_the_heap_log() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = write(folder.path(), SampleOptions { variant: Variant::TenX64, ..SampleOptions::default() });
    let analysis = decode_traces(&analyse(&files[..1]), &Progress::default()).expect("not cancelled");
    let stores = stores_of(&analysis, dumptrend::base::ids::DumpIdx(0)).expect("decoded");
    let counts: Vec<_> =
        stores.iter().map(|store| (store.entry_count as usize, store.unique_stack_count as usize)).collect();
    assert_eq!((counts.len(), counts[0]), (2, (8, 8)));
    assert!(counts[1].0 > 10_000, "{counts:?}");
    check_dump(&files[0], &counts);
    let (_, text) = written_of(&analysis.snapshots[0]);
    let log = read_log(&text);
    assert!(log.heaps[1].blocks.iter().all(|block| block.id == block.address));
}

#[test]
fn the_head_says_what_wrote_it_and_what_the_blocks_are() {
    let series = sample_series();
    let snapshot = &series.analysis.snapshots[5];
    let (_, text) = written_of(snapshot);
    let head: Vec<&str> = text.lines().take_while(|line| !line.starts_with("*-")).collect();
    let time = snapshot.time().expect("a time").table_text();
    let pid = snapshot.identity.pid.expect("a pid");
    let (minute, version) = (&time[..16], env!("CARGO_PKG_VERSION"));
    assert_eq!(head[1], format!("// UMDH: version {version}.0: Logtime {minute} - Machine=MODEL - PID={pid}"));
    for line in [
        format!("// Written by dumptrend {version}, whose version stands above."),
        format!("// From the dump {}", snapshot.dump.path.display()),
        "// Logtime is when the dump was written, in UTC.".to_owned(),
        "//     1B0000: stack trace database, 64-bit".to_owned(),
        "// Loaded modules: ".to_owned(),
        "//     Base Size Module".to_owned(),
    ] {
        assert!(head.contains(&line.as_str()), "{line}: {head:#?}");
    }
    assert!(text.contains("Heaps are not decoded by this version"));
    let modules = snapshot.dump.modules.as_deref().expect("modules");
    let expect: Vec<_> = modules.iter().map(|m| (m.base.0, m.size_bytes, m.path.clone().expect("a path"))).collect();
    assert_eq!(read_log(&text).modules, expect);
}

#[test]
fn a_store_stands_in_the_form_of_a_heap() {
    let series = sample_series();
    let (_, text) = written_of(&series.analysis.snapshots[0]);
    let expect = "\
*- - - - - - - - - - Start of data for heap @ 1B0000 - - - - - - - - - -

REQUESTED bytes + OVERHEAD at ADDRESS by BackTraceID
     STACK if not already dumped.

*- - - - - - - - - - Heap 1B0000 Hogs - - - - - - - - - -

";
    assert!(text.contains(expect));
    assert!(text.ends_with("\n\n*- - - - - - - - - - End of data for heap @ 1B0000 - - - - - - - - - -\n\n"));
}

/// The bytes of dump B's file, and where in them an address of its memory lies.
fn dump_b() -> (Vec<u8>, impl Fn(u64) -> usize) {
    let series = sample_series();
    let snapshot = Arc::clone(&series.analysis.snapshots[5]);
    let bytes = snapshot.dump.memory.file_bytes().to_vec();
    let at = move |va: u64| {
        let range =
            snapshot.dump.memory.ranges().iter().find(|range| range.range.contains(Va(va))).expect("in the dump");
        usize::try_from(range.offset.0 + (va - range.range.start.0)).expect("in the file")
    };
    (bytes, at)
}

fn snapshot_of(bytes: Vec<u8>) -> Snapshot {
    let dump = open_bytes(Path::new("a\nb.dmp"), bytes).expect("a dump");
    take_snapshot(dump, &Progress::default()).expect("not cancelled")
}

/// Dump B with other bytes from `start` to `end`, two places where an entry begins: the blocks then, and the damaged places.
fn check_changed(start: u64, end: u64, change: impl Fn(&mut [u8]), expect: (u64, u64)) {
    let (mut bytes, at) = dump_b();
    change(&mut bytes[at(start)..at(start) + usize::try_from(end - start).expect("small")]);
    let (written, text) = written_of(&snapshot_of(bytes));
    assert_eq!((written.block_count, written.damaged_place_count), expect);
    assert_eq!(read_log(&text).heaps[0].blocks.len() as u64, expect.0);
    let line = format!("\n// damaged: places in 1B0000 that hold no entry where one should be: {}\n", expect.1);
    assert_eq!(text.contains(&line), expect.1 > 0);
}

#[test]
fn damaged_entries_are_left_out_and_counted() {
    let fill = |bytes: &mut [u8]| bytes.fill(0xcc);
    // The last three entries but one, and the last.
    check_changed(0x188_be50, 0x188_bf00, fill, (148_861, 1));
    check_changed(0x188_bf00, 0x188_bff0, fill, (148_862, 1));
}

#[test]
fn entries_that_were_given_back_are_left_out() {
    // TraceCount is the low 11 bits at +8, and 0 in a free block.
    let give_back = |bytes: &mut [u8]| {
        bytes[8] = 0;
        bytes[9] &= 0xf8;
    };
    check_changed(0x188_be50, 0x188_beb0, give_back, (148_862, 0));
}

#[test]
fn an_index_that_two_stacks_have_is_the_id_of_one() {
    let (mut bytes, at) = dump_b();
    let stacks = |bytes: Vec<u8>| read_log(&written_of(&snapshot_of(bytes)).1).stacks;
    let (first, second) = (0x1, 0x2);
    let before = stacks(bytes.clone());
    // The low half of the second entry's index.
    let place = at(0x1d_5880) + 12;
    assert_eq!(bytes[place], 2);
    bytes[place] = 1;
    let after = stacks(bytes);
    assert_eq!((after.len(), after.get(&first), after.get(&second)), (20, before.get(&first), None));
    assert_eq!(after.get(&0x1d_5880), before.get(&second));
}

#[test]
fn names_from_the_dump_stay_on_their_line() {
    let mut snapshot = snapshot_of(dump_b().0);
    let module = &mut snapshot.dump.modules.as_mut().expect("modules")[0];
    module.path = Some("C:\\a\n*- b\u{1b}[31m.exe".to_owned());
    let (_, text) = written_of(&snapshot);
    assert_eq!(read_log(&text).modules[0].2, "C:\\a\u{fffd}*- b\u{fffd}[31m.exe");
    assert!(text.contains("// From the dump a\u{fffd}b.dmp\n"));
}

#[test]
fn what_the_dump_does_not_say_is_unknown() {
    let mut snapshot = snapshot_of(dump_b().0);
    snapshot.pebs.clear();
    snapshot.identity.pid = None;
    snapshot.dump.header.time = None;
    snapshot.dump.modules = None;
    let (_, text) = written_of(&snapshot);
    assert!(text.contains("Logtime unknown - Machine=unknown - PID=unknown\n"), "{}", &text[..300]);
    assert!(text.contains("// The dump has no module list.\n// Loaded modules: \n//     Base Size Module\n//\n"));
    assert_eq!(read_log(&text).heaps[0].blocks.len(), 148_863);
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_cancel_and_a_full_disk_end_the_log() {
    let series = sample_series();
    let snapshot = &series.analysis.snapshots[0];
    let progress = Progress::default();
    assert!(matches!(write_umdh(snapshot, &progress, &mut Full), Err(UmdhError::Write(_))));
    progress.cancel();
    assert!(matches!(write_umdh(snapshot, &progress, &mut io::sink()), Err(UmdhError::Cancelled(_))));
}

/// Runs the program in `folder` and compares the exit code, and how many lines went to standard error.
fn check_run(folder: &Path, arguments: &[&str], code: i32, stderr_lines: usize) -> (Vec<u8>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dumptrend-cli"));
    command.arg("umdh").args(arguments).current_dir(folder).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let stderr = String::from_utf8(stderr).expect("UTF-8");
    assert_eq!((status.code(), stderr.lines().count()), (Some(code), stderr_lines), "{arguments:?}: {stderr}");
    (stdout, stderr)
}

fn file_names(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).expect("the folder");
    let mut names: Vec<String> =
        names.map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name")).collect();
    names.sort();
    names
}

#[test]
fn the_command_writes_the_same_to_a_file_and_to_standard_output() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let series = sample_series();
    let dump = series.folder().join("allocfree-1.dmp");
    let dump = dump.to_str().expect("a plain path");
    let (stdout, _) = check_run(folder.path(), &[dump], 0, 0);
    let (nothing, _) = check_run(folder.path(), &[dump, "-o", "one.log"], 0, 0);
    assert!(nothing.is_empty() && !stdout.is_empty());
    assert!(std::fs::read_to_string(folder.path().join("one.log")).expect("the log").into_bytes() == stdout);
    assert_eq!(file_names(folder.path()), ["one.log"]);
}

#[test]
fn the_command_says_why_there_is_no_log() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    std::fs::write(folder.join("notes.txt"), "hello\n").expect("written");
    Process::after_hours(1).dump().write_to(&folder.join("a.dmp")).expect("written");
    Process::after_hours(2).dump().write_to(&folder.join("b.dmp")).expect("written");
    let names = file_names(folder);
    for (arguments, code, reason) in [
        (vec!["a.dmp"], 1, "holds no stack trace database to list; switch it on with gflags /i IMAGE.exe +ust"),
        (vec!["a.dmp", "-o", "a.log"], 1, "take a dump of all memory with procdump -ma: a.dmp"),
        (vec!["a.dmp", "-o", "no/folder/a.log"], 1, "cannot write the file"),
        (vec!["notes.txt", "-o", "a.log"], 1, "is a text file"),
        (vec!["gone.dmp"], 1, "gone.dmp"),
        (vec!["."], 2, "a log is of one dump, this folder has 2; name one of them: ."),
    ] {
        let (stdout, stderr) = check_run(folder, &arguments, code, 1);
        assert!(stdout.is_empty() && stderr.contains(reason), "{arguments:?}: {stderr}");
    }
    assert_eq!(file_names(folder), names);
}

#[test]
fn a_cut_dump_gives_what_it_has_and_code_3() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut bytes, at) = dump_b();
    bytes.truncate(at(0x100_0000));
    std::fs::write(folder.path().join("cut.dmp"), bytes).expect("written");
    check_run(folder.path(), &["cut.dmp", "-o", "cut.log"], 3, 0);
    let text = std::fs::read_to_string(folder.path().join("cut.log")).expect("the log");
    let log = read_log(&text);
    // The next entry, of at most 0x110 bytes, is cut.
    let last = log.heaps[0].blocks.last().map(|block| block.address + block.requested_bytes).expect("blocks");
    assert!((0x100_0000 - 0x110..0x100_0000).contains(&last), "{last:x}");
    assert!(text.contains("\n// missing: places in 1B0000 that are not in the dump: 1\n"));
    assert!(
        text.contains("Machine=unknown") && text.contains("\n// damaged: stream 9 (memory64 list)"),
        "{}",
        &text[..900]
    );
}

#[test]
fn damage_in_the_store_gives_code_3() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut bytes, at) = dump_b();
    bytes[at(0x188_be50)..at(0x188_bf00)].fill(0xcc);
    std::fs::write(folder.path().join("damaged.dmp"), bytes).expect("written");
    check_run(folder.path(), &["damaged.dmp", "-o", "damaged.log"], 3, 0);
}

/// A reader that closes the pipe at once, as `head` does, is no reason to fail.
#[test]
fn a_closed_pipe_is_no_failure() {
    let series = sample_series();
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dumptrend-cli"));
    command.arg("umdh").arg(series.folder().join("allocfree-1.dmp")).stdin(Stdio::null());
    let output = command.stdout(writer).stderr(Stdio::piped()).output().expect("the program starts");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""));
}
