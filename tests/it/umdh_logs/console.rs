//! `dumptrend-cli report` on logs: alone, beside dumps, in folders with other texts, damaged.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::build_umdh::{APP, NTDLL, RawLog, umdh_seeds};
use crate::support::sample_series::sample_series;

fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dumptrend-cli"));
    let Output { status, stdout, stderr } = command.args(arguments).current_dir(folder).output().expect("it starts");
    (status.code(), String::from_utf8(stdout).expect("UTF-8"), String::from_utf8(stderr).expect("UTF-8"))
}

fn log(minute: u32) -> String {
    let stacks = vec![(0x40, u64::from(minute), vec![0x7770_1234, 0x40_1000])];
    RawLog { minute, pid: 7696, modules: &[APP, NTDLL], stacks }.text()
}

#[test]
fn a_folder_stands_for_its_logs_and_other_texts_are_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [("1.log", log(1)), ("2.TXT", log(2)), ("notes.txt", "// UMDH\nnotes\n".to_owned())] {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let (code, stdout, stderr) = run(folder.path(), &["report", "."]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("UMDH logs of app.exe (pid 7696)") && stdout.contains("2.TXT"), "{stdout}");
    // Named, the other text gets one line.
    let (code, _, stderr) = run(folder.path(), &["report", "1.log", "notes.txt"]);
    assert_eq!((code, stderr.lines().count()), (Some(3), 1));
    assert!(
        stderr.contains("is a text file, not a user-mode minidump; choose a .dmp, .mdmp or .hdmp file, or a UMDH log")
    );
    let (code, _, stderr) = run(folder.path(), &["report", "notes.txt"]);
    assert_eq!((code, stderr.lines().count()), (Some(1), 1));
}

#[test]
fn a_log_is_known_whatever_its_extension() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, wide) = umdh_seeds().swap_remove(2);
    std::fs::write(folder.path().join("first.dmp"), wide).expect("written");
    let (code, stdout, _) = run(folder.path(), &["report", "first.dmp", "--format", "csv", "--table", "umdh"]);
    assert_eq!((code, stdout.lines().count()), (Some(0), 3), "{stdout}");
}

#[test]
fn a_damaged_log_gives_what_it_has_and_code_3() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = log(3);
    std::fs::write(folder.path().join("cut.log"), &text[..text.len() - 90]).expect("written");
    let (code, stdout, stderr) = run(folder.path(), &["report", "cut.log"]);
    assert_eq!((code, stderr.as_str()), (Some(3), ""));
    assert!(stdout.contains("cut.log, damaged: end of the file"), "{stdout}");
}

#[test]
fn commands_for_dumps_say_that_a_log_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("1.log"), log(1)).expect("written");
    for arguments in [&["umdh", "1.log"][..], &["stacks", "1.log"], &["dps", "1.log", "400000"]] {
        let (code, stdout, stderr) = run(folder.path(), arguments);
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(1), "", 1), "{arguments:?}: {stderr}");
        assert!(stderr.contains("name a dump: 1.log"), "{stderr}");
    }
    let (code, _, stderr) = run(folder.path(), &["report", "1.log", "-o", "1.log"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("the output would replace a UMDH log"), "{stderr}");
}

#[test]
fn dumps_and_logs_are_one_series() {
    let series = sample_series();
    let (code, stdout, stderr) =
        run(series.folder(), &["report", "allocfree-1.dmp", "allocfree-2.log", "--format", "json"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let report: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(report["umdh"][0]["entries"][0]["frames"][1], "ntdll!RtlAllocateHeap+0x16c");
    assert_eq!(report["umdh"][0]["time"], "2011-05-12T12:04:00Z");
}
