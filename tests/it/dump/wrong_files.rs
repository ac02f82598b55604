//! Files that are no dumps of Windows processes: each gets exactly one clear line.

use std::path::Path;

use dumptrend::analysis::Analysis;
use dumptrend::input::dump;
use dumptrend::sample::minidump_file::{MinidumpFile, SystemInfo};

use crate::support::build_dump::{bytes, windows_7, x64_dump};
use crate::support::sample_series::analyse;
use crate::support::shared::shared_file;

/// The one message for a file with these bytes, which must end with the path.
fn check(file: impl AsRef<[u8]>, expect: &str) {
    let message = message_for(Path::new("/dumps/x.dmp"), file.as_ref());
    assert_eq!(message, format!("{expect}: /dumps/x.dmp"));
}

fn message_for(path: &Path, file: &[u8]) -> String {
    dump::open_bytes(path, file.to_vec()).expect_err("this is no dump").to_string()
}

/// The one failure of an analysis that could read nothing.
fn only_failure(analysis: &Analysis) -> &str {
    assert!(analysis.snapshots.is_empty());
    assert_eq!(analysis.failures.len(), 1, "{:?}", analysis.failures);
    assert!(!analysis.failures[0].text.contains('\n'));
    &analysis.failures[0].text
}

#[test]
fn each_kind_of_file_is_named_with_what_to_do() {
    let procdump = "take a process dump with: procdump -ma PID";
    check("", "is empty; the tool that wrote it was probably stopped, take the dump again");
    check(
        "some notes\r\n",
        "is a text file, not a user-mode minidump; choose a .dmp, .mdmp or .hdmp file, or a UMDH log",
    );
    check(
        "// UMDH: version 6.1",
        "is a UMDH log, not a user-mode minidump; name a dump here; a UMDH log is read among the dumps of a series",
    );
    check(
        "// Debug library initialized ...\r\n",
        "is a UMDH log, not a user-mode minidump; name a dump here; a UMDH log is read among the dumps of a series",
    );
    for kernel in ["PAGEDU64\x0f\0\0\0", "PAGEDUMP\x0f\0\0\0"] {
        check(kernel, &format!("is a kernel dump, not a user-mode minidump; open it with WinDbg, or {procdump}"));
    }
    check(
        "\x7fELF\x02\x01",
        "is an ELF file, not a user-mode minidump; dumptrend reads dumps of Windows processes only",
    );
    for archive in [b"PK\x03\x04abcd".as_slice(), b"\x1f\x8b\x08", b"7z\xbc\xaf\x27\x1c", b"MSCF\0\0"] {
        check(archive, "is an archive, not a user-mode minidump; unpack it first");
    }
    check(
        "MZ\0\0\x01",
        "is a program or library, not a user-mode minidump; choose a .dmp, .mdmp or .hdmp file written by procdump, Task Manager or WinDbg",
    );
}

#[test]
fn a_cut_header_is_called_cut() {
    let whole = bytes(&x64_dump());
    for length in 4..32 {
        let message = message_for(Path::new("x.dmp"), &whole[..length]);
        assert!(message.contains("it is cut off, copy or take it again: x.dmp"), "{length}: {message}");
    }
}

#[test]
fn a_header_alone_has_no_directory() {
    check(
        &bytes(&x64_dump())[..32],
        "has a minidump header but no stream directory at offset 0x20 (the file has 32 bytes); it is cut off or damaged, copy or take it again",
    );
}

#[test]
fn a_minidump_of_another_version_is_refused() {
    let mut file = bytes(&x64_dump());
    file[4] ^= 1;
    let message = message_for(Path::new("x.dmp"), &file);
    assert!(message.starts_with("is a minidump of a version that nobody documents, not a"), "{message}");
}

#[test]
fn a_dump_that_describes_no_process_is_refused() {
    let file = bytes(&MinidumpFile::default().comment_ansi("nothing else"));
    check(
        file,
        "holds nothing of a process: none of its 1 streams has modules, threads or memory that can be read; copy or take the dump again",
    );
}

#[test]
fn a_dump_of_another_system_is_named() {
    for (platform_id, system) in [(0x8201, "Linux"), (0x8101, "macOS"), (0x8203, "Android")] {
        let file = MinidumpFile::default().system_info(SystemInfo { platform_id, ..windows_7(9) });
        check(
            bytes(&file),
            &format!("is a minidump of {system}, not of Windows; dumptrend reads dumps of Windows processes"),
        );
    }
}

#[test]
fn a_real_linux_minidump_is_named() {
    let Some(path) = shared_file("dumps/linux-mini.dmp") else { return };
    let analysis = analyse(std::slice::from_ref(&path));
    let text = only_failure(&analysis);
    assert!(text.starts_with("is a minidump of Linux, not of Windows; dumptrend reads"), "{text}");
    assert!(text.ends_with(&path.display().to_string()), "{text}");
}

#[test]
fn real_malformed_dumps_get_one_line_each() {
    for name in ["dumps/invalid-range.dmp", "dumps/invalid-record-count.dmp"] {
        let Some(path) = shared_file(name) else { return };
        let analysis = analyse(std::slice::from_ref(&path));
        let text = only_failure(&analysis);
        assert!(text.starts_with("holds nothing of a process: none of its"), "{text}");
        assert!(text.contains("copy or take the dump again") && text.ends_with(&path.display().to_string()), "{text}");
    }
}

#[test]
fn a_missing_file_and_a_folder_without_dumps_get_one_line_each() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path().display();
    let missing = analyse(&[folder.path().join("gone.dmp")]);
    let text = only_failure(&missing);
    assert!(text.starts_with("cannot be read: "), "{text}");
    assert!(
        text.ends_with(&format!("check that the file is still there and that you may read it: {at}/gone.dmp")),
        "{text}"
    );
    let empty = analyse(&[folder.path().to_owned()]);
    assert_eq!(
        only_failure(&empty),
        format!("holds no .dmp, .mdmp or .hdmp file and no UMDH log; choose the folder with the dumps: {at}")
    );
}

#[test]
fn a_folder_opened_as_a_file_is_called_a_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let message = dump::open(folder.path()).expect_err("a folder").to_string();
    assert!(message.starts_with("cannot be read: it is a folder; "), "{message}");
}

#[cfg(unix)]
#[test]
fn a_pipe_or_device_is_not_waited_for() {
    let message = dump::open(Path::new("/dev/zero")).expect_err("a device").to_string();
    assert!(message.starts_with("cannot be read: it is no file but a pipe or a device; "), "{message}");
}

#[test]
fn a_line_break_in_a_file_name_stays_within_the_line() {
    let message = message_for(Path::new("a\nb.dmp"), b"");
    assert!(!message.contains('\n') && message.ends_with("a\u{fffd}b.dmp"), "{message}");
}
