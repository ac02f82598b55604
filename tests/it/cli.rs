//! The console program as others run it: arguments in, exit code and both streams out.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::build_process::Process;
use crate::support::sample_series::sample_series;
use crate::support::shared::bytes_of;

/// The program with a temporary folder of its own, since `--sample` writes there.
struct Program {
    scratch: TempDir,
}

/// What one run said.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Program {
    fn new() -> Self {
        Self { scratch: tempfile::tempdir().expect("a temporary folder") }
    }

    fn folder(&self) -> &Path {
        self.scratch.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dumptrend-cli"));
        command.args(arguments).current_dir(self.folder()).env("TMPDIR", self.folder()).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Run { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder().join(name), text).expect("written");
    }

    fn write_dump(&self, name: &str, hours: u32) {
        Process::after_hours(hours).dump().write_to(&self.folder().join(name)).expect("written");
    }

    /// Runs and compares the exit code, and how many lines went to standard error.
    fn check(&self, arguments: &[&str], code: i32, stderr_lines: usize) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(code), "{arguments:?}: {}", run.stderr);
        assert_eq!(run.stderr.lines().count(), stderr_lines, "{arguments:?}: {}", run.stderr);
        run
    }
}

#[test]
fn the_sample_is_reported_with_code_0() {
    let run = Program::new().check(&["report", "--sample"], 0, 0);
    assert!(run.stdout.starts_with("dumptrend "), "{}", run.stdout);
    assert!(run.stdout.contains("AllocFree.exe"));
}

#[test]
fn a_wanted_finding_gives_code_4_and_another_does_not() {
    let program = Program::new();
    let run = program.check(&["report", "--sample", "--fail-on", "handle_leak,spiking_thread"], 4, 1);
    assert_eq!(run.stderr, "dumptrend: found spiking_thread\n");
    assert!(run.stdout.contains("Spiking Thread 53b8"), "the report is written all the same");
    program.check(&["report", "--sample", "--fail-on", "handle_leak", "--fail-on", "memory_leak_process_heap"], 0, 0);
    let run = program.run(&["report", "--sample", "--fail-on", "leak"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("possible values: instrumentation_side_effect, "), "{}", run.stderr);
}

#[test]
fn each_format_goes_to_standard_output() {
    let series = sample_series();
    let folder = series.folder().to_str().expect("a plain path");
    let program = Program::new();
    let json = program.check(&["report", folder, "--format", "json"], 0, 0);
    let report: Value = serde_json::from_str(&json.stdout).expect("valid JSON");
    assert_eq!(report["dumps"].as_array().map(Vec::len), Some(6));
    let csv = program.check(&["report", folder, "--format", "csv", "--table", "dumps"], 0, 0);
    assert_eq!(csv.stdout.lines().count(), 7);
    let text = program.check(&["report", folder, "--baseline", "3"], 0, 0);
    let row = text.stdout.lines().find(|line| line.contains("allocfree-3.dmp")).expect("a row");
    assert!(row.contains("baseline"), "{row}");
}

#[test]
fn only_bad_files_give_code_1_and_one_line_each() {
    let program = Program::new();
    program.write("notes.txt", "hello\n");
    program.write("empty.dmp", "");
    let run = program.check(&["report", "notes.txt", "empty.dmp", "gone.dmp"], 1, 3);
    assert_eq!(run.stdout, "");
    for name in ["notes.txt", "empty.dmp", "gone.dmp"] {
        assert_eq!(run.stderr.lines().filter(|line| line.ends_with(name)).count(), 1, "{}", run.stderr);
    }
}

#[test]
fn wrong_use_gives_code_2_and_a_reason() {
    let program = Program::new();
    program.write_dump("a.dmp", 1);
    for (arguments, reason) in [
        (vec!["report"], "name the dumps and UMDH logs, or the folder that holds them"),
        (vec!["report", "--colour", "a.dmp"], "--colour"),
        (vec!["report", "a.dmp", "--format", "xml"], "xml"),
        (vec!["report", "a.dmp", "--sample"], "cannot be used with"),
        (vec!["report", "a.dmp", "--baseline", "2"], "there is no dump 2: the series has 1 dumps"),
        (vec!["report", "a.dmp", "--baseline", "0"], "there is no dump 0"),
        (vec!["report", "a.dmp", "--table", "regions"], "add --format csv"),
        (vec!["sample", "out", "--variant", "other"], "there is series, case-a"),
        (vec!["sample", "out", "--size", "much"], "much"),
        (vec!["frobnicate"], "frobnicate"),
        (vec![], "Usage:"),
    ] {
        let run = program.run(&arguments);
        assert_eq!(run.code, Some(2), "{arguments:?}");
        assert_eq!(run.stdout, "", "{arguments:?}");
        assert!(run.stderr.contains(reason), "{arguments:?}: {}", run.stderr);
    }
    assert!(!program.folder().join("out").exists());
}

#[test]
fn one_unreadable_file_among_good_ones_gives_code_3() {
    let program = Program::new();
    program.write_dump("a.dmp", 1);
    program.write_dump("b.dmp", 2);
    program.write("c.dmp", "hello\n");
    let run = program.check(&["report", "."], 3, 1);
    assert!(run.stderr.contains("is a text file, not a user-mode minidump"), "{}", run.stderr);
    assert!(run.stdout.contains("a.dmp") && run.stdout.contains("b.dmp"));
}

#[test]
fn a_damaged_dump_gives_code_3_and_is_analysed() {
    let program = Program::new();
    let mut file = Process::default().dump().to_bytes().expect("a dump");
    file.truncate(file.len() - 10);
    std::fs::write(program.folder().join("cut.dmp"), file).expect("written");
    let run = program.check(&["report", "cut.dmp"], 3, 0);
    assert!(run.stdout.contains("damaged: stream 9 (memory64 list)"), "{}", run.stdout);
}

#[test]
fn output_goes_to_a_whole_file() {
    let program = Program::new();
    program.write_dump("a.dmp", 1);
    let to_stdout = program.check(&["report", "a.dmp"], 0, 0).stdout;
    program.write("report.txt", "an older and longer report, which must be gone afterwards\n".repeat(200).as_str());
    let run = program.check(&["report", "a.dmp", "-o", "report.txt"], 0, 0);
    assert_eq!(run.stdout, "");
    let written = std::fs::read_to_string(program.folder().join("report.txt")).expect("the report");
    assert_eq!(written, to_stdout);
    let mut names: Vec<_> = std::fs::read_dir(program.folder())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    names.sort();
    assert_eq!(names, ["a.dmp", "report.txt"]);
}

#[test]
fn an_output_that_cannot_be_written_is_told_in_one_line() {
    let program = Program::new();
    program.write_dump("a.dmp", 1);
    let run = program.check(&["report", "a.dmp", "-o", "no/such/folder/report.txt"], 1, 1);
    assert!(run.stderr.contains("cannot write the file"), "{}", run.stderr);
}

#[test]
fn help_and_version_are_no_wrong_use() {
    let program = Program::new();
    let help = program.check(&["--help"], 0, 0).stdout;
    for word in ["Exit codes:", "0 done", "1 nothing could be analysed", "2 wrong use", "3 analysed with damage"] {
        assert!(help.split_whitespace().collect::<Vec<_>>().join(" ").contains(word), "{help}");
    }
    assert!(help.contains("report") && help.contains("sample"));
    let version = program.check(&["--version"], 0, 0).stdout;
    assert!(version.contains(env!("CARGO_PKG_VERSION")));
    for command in ["report", "sample"] {
        program.check(&[command, "--help"], 0, 0);
    }
}

#[test]
fn sample_writes_its_files_and_names_them() {
    let program = Program::new();
    let run = program.check(&["sample", "series"], 0, 0);
    let listed: Vec<&str> = run.stdout.lines().collect();
    let named = |extension: &str| (1..=6).map(move |n| format!("series/allocfree-{n}.{extension}")).collect::<Vec<_>>();
    assert_eq!(listed, [named("dmp"), named("log")].concat());
    assert!(listed.iter().all(|path| program.folder().join(path).is_file()));
    let run = program.check(&["sample", "one", "--variant", "case-a", "--size", "64M"], 0, 0);
    let file = program.folder().join(run.stdout.trim_end());
    assert!(std::fs::metadata(file).expect("the file").len() >= 64 << 20);
}

#[test]
fn a_sample_that_cannot_be_written_is_told_in_one_line() {
    let program = Program::new();
    program.write("file", "in the way");
    let run = program.check(&["sample", "file/folder"], 1, 1);
    assert!(run.stderr.contains("cannot create the folder"), "{}", run.stderr);
}

/// A reader that closes the pipe at once, as `head` does, is no reason to fail.
#[test]
fn a_closed_pipe_is_no_failure() {
    let program = Program::new();
    program.write_dump("a.dmp", 1);
    for arguments in [["report", "a.dmp"], ["sample", "series"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = program.command(&arguments);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().expect("the program starts");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let program = Program::new();
    program.write_dump("a.dmp", 1);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("the device");
    let output = program.command(&["report", "a.dmp"]).stdout(full).output().expect("the program starts");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("dumptrend: cannot write to standard output: "), "{stderr}");
}

#[test]
fn stacks_are_listed_for_one_dump() {
    let series = sample_series();
    let program = Program::new();
    let dump = series.folder().join("allocfree-6.dmp");
    let dump = dump.to_str().expect("a plain path");
    let run = program.check(&["stacks", dump], 0, 0);
    assert_eq!(run.stdout.lines().count(), 33);
    assert!(run.stdout.contains("00000000`001af700 00000000`778834d8     ntdll!RtlpAllocateHeap+0x33bd\n"));
    let run = program.check(&["stacks", dump, "--form", "kc"], 0, 0);
    assert_eq!(run.stdout.lines().last(), Some("ntdll!RtlUserThreadStart"));
    // A folder without images is told, and the stacks are listed from the dump.
    let run = program.check(&["stacks", dump, "--images", "nowhere"], 0, 1);
    assert!(run.stderr.contains("no image of the dump's modules was found"), "{}", run.stderr);
    assert_eq!(run.stdout.lines().count(), 33);
}

#[test]
fn stacks_of_no_dump_or_of_several_are_refused() {
    let program = Program::new();
    program.write("notes.txt", "hello\n");
    program.check(&["stacks", "notes.txt"], 1, 1);
    program.check(&["stacks"], 2, program.run(&["stacks"]).stderr.lines().count());
    let series = sample_series();
    let run = program.check(&["stacks", series.folder().to_str().expect("a plain path")], 2, 1);
    assert!(run.stderr.contains("stacks are of one dump, this folder has 6"), "{}", run.stderr);
}

#[test]
fn an_output_never_replaces_a_dump() {
    let program = Program::new();
    program.write_dump("a.dmp", 1);
    let before = bytes_of(&program.folder().join("a.dmp"));
    let run = program.check(&["report", "a.dmp", "-o", "./a.dmp"], 2, 1);
    assert!(run.stderr.contains("the output would replace a dump"), "{}", run.stderr);
    assert!(bytes_of(&program.folder().join("a.dmp")) == before);
    program.check(&["report", "a.dmp", "-o", "b.txt"], 0, 0);
}

#[test]
fn a_case_capsule_tells_what_its_dumps_told_and_has_no_memory() {
    let program = Program::new();
    for (name, hours) in [("a.dmp", 1), ("b.dmp", 2), ("c.dmp", 3)] {
        program.write_dump(name, hours);
    }
    let findings = |run: &Run| {
        let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
        report["findings"].clone()
    };
    let of_dumps = program.run(&["report", ".", "--format", "json"]);
    let code = of_dumps.code.expect("an exit code");
    program.check(&["capsule", ".", "-o", "case.dumptrend"], code, 0);
    let of_capsule = program.check(&["report", "case.dumptrend", "--format", "json"], code, 0);
    assert_eq!(findings(&of_capsule), findings(&of_dumps));
    assert!(of_capsule.stdout.contains("from a case capsule"));
    for arguments in
        [&["dps", "case.dumptrend", "100000"][..], &["stacks", "case.dumptrend"], &["umdh", "case.dumptrend"]]
    {
        let run = program.check(arguments, 1, 1);
        assert!(run.stderr.contains("a case capsule holds no memory"), "{}", run.stderr);
    }
    program.check(&["report", "case.dumptrend", "a.dmp"], 3, 1);
    for (inputs, output) in [("a.dmp", "a.dmp"), ("case.dumptrend", "case.dumptrend")] {
        let run = program.check(&["capsule", inputs, "-o", output], 2, 1);
        assert!(run.stderr.contains("would replace"), "{}", run.stderr);
    }
    program.write("broken.dumptrend", "{}");
    program.check(&["report", "broken.dumptrend"], 1, 1);
    assert_eq!(program.run(&["capsule", "."]).code, Some(2), "no file to write was named");
}
