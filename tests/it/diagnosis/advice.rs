//! Advice for each Windows and bitness, and for names that must not get into a command.

use dumptrend::analysis::advice::{Advice, Target, advice};
use dumptrend::analysis::diagnosis::pattern::PatternId;
use dumptrend::analysis::diagnosis::{Finding, NextDumpKind, Verdict};

fn found(pattern: PatternId) -> Finding {
    Finding::new(pattern, Verdict::Found, "")
}

/// AllocFree of the case, on Windows 7 x64.
fn case_target() -> Target {
    Target {
        image: Some("AllocFree.exe".to_owned()),
        pid: Some(21_428),
        os_build: Some(7601),
        nt_global_flag: Some(0x1000),
        database_bytes: Some(24 << 20),
        ..Target::default()
    }
}

fn commands(advice: &[Advice]) -> Vec<&str> {
    advice.iter().flat_map(|advice| &advice.commands).map(String::as_str).collect()
}

fn all_text(advice: &[Advice]) -> String {
    advice.iter().flat_map(|advice| &advice.remarks).map(|remark| format!("{remark}\n")).collect()
}

#[test]
fn the_case_is_switched_off_limited_or_set_back_each_with_its_undo() {
    let given = advice(&found(PatternId::InstrumentationSideEffect), &case_target());
    assert_eq!(
        commands(&given),
        ["gflags /i AllocFree.exe -ust", "gflags /i AllocFree.exe /tracedb 8", "gflags /i AllocFree.exe -FFFFFFFF"]
    );
    let undo: Vec<_> = given.iter().flat_map(|advice| &advice.undo).collect();
    assert_eq!(
        undo,
        ["gflags /i AllocFree.exe +ust", "gflags /i AllocFree.exe /tracedb 0", "gflags /i AllocFree.exe +ust"]
    );
    assert!(
        given.iter().all(|advice| advice.needs_administrator && advice.takes_effect.starts_with("at the next start"))
    );
    assert!(all_text(&given).contains("24.0 MB reserved (EntryIndexArray - CommitBase)"));
    assert!(all_text(&given).contains("not confirmed"));

    let files = given[0].registry.as_ref().expect("a registry file");
    let key =
        r"[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Image File Execution Options\AllocFree.exe]";
    assert_eq!(files.apply, format!("Windows Registry Editor Version 5.00\r\n\r\n{key}\r\n\"GlobalFlag\"=-\r\n"));
    assert!(files.undo.ends_with("\"GlobalFlag\"=dword:00001000\r\n"));
    let size = given[1].registry.as_ref().expect("a registry file");
    assert!(size.apply.ends_with("\"StackTraceDatabaseSizeInMb\"=dword:00000008\r\n"));
    assert!(size.undo.ends_with("\"StackTraceDatabaseSizeInMb\"=-\r\n"));

    let script = given[0].script().expect("a script");
    assert!(
        script.starts_with("@echo off\r\n") && script.contains("\r\ngflags /i AllocFree.exe -ust || exit /b 1\r\n")
    );
    assert!(given[0].undo_script().expect("a script").contains("\r\ngflags /i AllocFree.exe +ust || exit /b 1\r\n"));
}

#[test]
fn other_flags_of_the_dump_stay() {
    let target = Target { nt_global_flag: Some(0x1070), ..case_target() };
    let given = advice(&found(PatternId::InstrumentationSideEffect), &target);
    let files = given[0].registry.as_ref().expect("a registry file");
    assert!(
        files.apply.ends_with("\"GlobalFlag\"=dword:00000070\r\n")
            && files.undo.ends_with("\"GlobalFlag\"=dword:00001070\r\n")
    );
    assert!(all_text(&given[..1]).contains("htc - enable heap tail checking"));
    assert_eq!(given[2].undo, ["gflags /i AllocFree.exe +htc +hfc +hpc +ust"]);
}

#[test]
fn windows_10_says_that_a_smaller_size_changes_nothing() {
    let target = Target { os_build: Some(19_045), has_heap_log: true, ..case_target() };
    let given = advice(&found(PatternId::InstrumentationSideEffect), &target);
    assert_eq!(commands(&given)[..2], ["gflags /i AllocFree.exe -ust", "gflags /i AllocFree.exe /tracedb 24"]);
    let text = all_text(&given);
    assert!(
        text.contains("raise less than 24 MB to 24") && text.contains("it changes nothing for this program"),
        "{text}"
    );
    assert!(text.contains("the heap trace log") && text.contains("no limit"));
    let narrow = Target { is_32_bit: true, is_wow64: true, ..target };
    let given = advice(&found(PatternId::InstrumentationSideEffect), &narrow);
    assert_eq!(commands(&given)[1], "gflags /i AllocFree.exe /tracedb 16");
    let files = given[0].registry.as_ref().expect("a registry file");
    assert!(files.apply.contains(r"SOFTWARE\Wow6432Node\Microsoft") && files.apply.matches("GlobalFlag").count() == 2);
    assert!(all_text(&given).contains("both registry views"));
}

#[test]
fn a_full_database_is_switched_off_or_made_larger() {
    let given = advice(&found(PatternId::InsufficientMemoryStackTraceDatabase), &case_target());
    assert_eq!(commands(&given)[..2], ["gflags /i AllocFree.exe -ust", "gflags /i AllocFree.exe /tracedb 128"]);
}

#[test]
fn each_next_dump_has_its_exact_line() {
    let line = |kind| {
        let finding = Finding::new(PatternId::SpikingThread, Verdict::Undecided, "").next(kind, "more");
        let given = advice(&finding, &Target { nt_global_flag: Some(0), ..case_target() });
        commands(&given).join("; ")
    };
    assert_eq!(line(NextDumpKind::Series), "procdump -accepteula -ma -s 3600 -n 3 AllocFree.exe");
    assert_eq!(line(NextDumpKind::Full), "procdump -accepteula -ma AllocFree.exe");
    assert_eq!(
        line(NextDumpKind::Baseline),
        "procdump -accepteula -ma -w AllocFree.exe; procdump -accepteula -ma -s 3600 -n 3 AllocFree.exe"
    );
    assert_eq!(line(NextDumpKind::BusyCpu), "procdump -accepteula -ma -c 80 -u -s 10 -n 3 AllocFree.exe");
    assert_eq!(line(NextDumpKind::Exception), "procdump -accepteula -ma -e AllocFree.exe");
    assert_eq!(
        line(NextDumpKind::WithStacks),
        "gflags /i AllocFree.exe +ust; procdump -accepteula -ma -s 3600 -n 3 AllocFree.exe"
    );
}

#[test]
fn stacks_are_not_asked_for_where_they_are_on_and_bstr_caching_is_named_where_they_are_not() {
    let finding =
        Finding::new(PatternId::MemoryLeakProcessHeap, Verdict::Found, "").next(NextDumpKind::WithStacks, "more");
    assert_eq!(commands(&advice(&finding, &case_target())).len(), 1);
    let off = advice(&finding, &Target { nt_global_flag: Some(0), ..case_target() });
    assert!(all_text(&off).contains("OANOCACHE=1") && all_text(&off).contains("switch it off again"));
}

/// Nothing of a hostile name may come through, in any kind of advice.
#[test]
fn a_hostile_name_gets_a_sentence_instead_of_a_script() {
    let hostile = [
        "a&calc.exe",
        "a\"&calc&\".exe",
        "x%COMSPEC%.exe",
        "a|b.exe",
        "a^b.exe",
        "a\r\nstart calc.exe",
        "]\r\n[HKEY_USERS\\x",
        "=cmd|' /c calc'!A1",
        "<script>.exe",
        "a!x!.exe",
        "-ust",
        "/r",
        "a\u{202e}gpj.exe",
        "..\\..\\x.exe",
        "",
        "a.exe;calc",
        "$(calc).exe",
    ];
    for name in hostile {
        let target = Target { image: Some(name.to_owned()), nt_global_flag: Some(0x0200_1070), ..case_target() };
        for pattern in PatternId::ALL {
            for kind in [NextDumpKind::Baseline, NextDumpKind::WithStacks, NextDumpKind::Exception] {
                let given = advice(&found(pattern).next(kind, "more"), &target);
                for advice in &given {
                    let lines = advice.commands.iter().chain(&advice.undo);
                    for line in lines {
                        assert!(
                            line.starts_with("procdump -accepteula -ma ") && line.ends_with(" 21428"),
                            "{name:?}: {line}"
                        );
                    }
                    assert_eq!(advice.registry, None, "{name:?}");
                    let texts = [Some(advice.what.clone()), advice.script(), advice.undo_script()];
                    for text in texts.into_iter().flatten() {
                        assert!(name.is_empty() || name == "/r" || !text.contains(name), "{name:?} in {text}");
                    }
                }
            }
        }
        let by_hand = advice(&found(PatternId::InstrumentationSideEffect), &target);
        assert!(all_text(&by_hand).contains("a command line would interpret"), "{by_hand:?}");
    }
}

#[test]
fn a_name_with_spaces_is_quoted() {
    let target = Target { image: Some("My App (x64).exe".to_owned()), ..case_target() };
    let given = advice(&found(PatternId::InstrumentationSideEffect), &target);
    assert_eq!(commands(&given)[0], "gflags /i \"My App (x64).exe\" -ust");
}

#[test]
fn without_name_and_id_a_placeholder_says_what_to_put_in() {
    let finding = Finding::new(PatternId::SpikingThread, Verdict::Undecided, "").next(NextDumpKind::Full, "more");
    let given = advice(&finding, &Target::default());
    assert_eq!(commands(&given), ["procdump -accepteula -ma PID"]);
    assert!(all_text(&given).contains("put the process id where PID stands"));
}
