//! Every kind of stream, written by the independent writer and read back field by field.

use dumptrend::base::addr::{FileOffset, Va};
use dumptrend::base::time::UtcTime;
use dumptrend::input::dump::Dump;
use dumptrend::input::dump::counters::{ProcessVmCounters, SystemMemoryInfo, TokenRecord};
use dumptrend::input::dump::handles::{HandleOperationRecord, HandleRecord};
use dumptrend::input::dump::memory_info::MemoryInfoRecord;
use dumptrend::input::dump::modules::{PdbReference, UnloadedModuleRecord};
use dumptrend::input::dump::stream_kind::StreamKind;
use dumptrend::input::dump::system::{Architecture, MiscInfo};
use dumptrend::sample::minidump_file::{
    HandleFormat, MinidumpFile, Module, StackMemory, SystemInfo, Thread, ThreadEx, ThreadName,
};

use crate::support::all_streams::{
    all_streams, exception, first_module, handle, handle_operation, misc_info, system_memory, thread, thread_info,
    tokens, unloaded_module, vm_counters,
};
use crate::support::build_dump::{NEW_YEAR_UNIX_SECONDS, damage, free, module, open, private, windows_7, x64_dump};

/// Opens the dump, which must be without damage, and hands it to `look`.
fn check(file: &MinidumpFile, look: impl FnOnce(&Dump)) {
    let dump = open(file);
    assert_eq!(damage(&dump), Vec::<String>::new());
    look(&dump);
}

#[test]
fn a_dump_with_all_streams_has_no_problem_at_all() {
    check(&all_streams(), |dump| {
        assert!(dump.problems.is_empty(), "{:?}", dump.problems);
        assert_eq!(dump.streams.len(), 18);
    });
}

#[test]
fn the_header_tells_time_and_flags() {
    check(&MinidumpFile::new(2, NEW_YEAR_UNIX_SECONDS).system_info(windows_7(9)), |dump| {
        assert_eq!(dump.header.time, UtcTime::from_unix_seconds(NEW_YEAR_UNIX_SECONDS));
        assert!(dump.header.has_full_memory());
        assert_eq!((dump.header.stream_count, dump.header.directory_offset), (1, FileOffset(32)));
    });
    check(&MinidumpFile::new(0, 0).system_info(windows_7(9)), |dump| {
        assert_eq!(dump.header.time, None);
        assert!(!dump.header.has_full_memory());
    });
}

#[test]
fn system_info_tells_windows_and_processor() {
    let architectures = [
        (SystemInfo::ARCHITECTURE_X86, Architecture::X86),
        (SystemInfo::ARCHITECTURE_AMD64, Architecture::X64),
        (SystemInfo::ARCHITECTURE_ARM64, Architecture::Arm64),
        (77, Architecture::Unknown(77)),
    ];
    for (number, expect) in architectures {
        check(&MinidumpFile::default().system_info(windows_7(number)), |dump| {
            let system = dump.system.as_ref().expect("system info");
            assert_eq!(system.architecture, expect);
            assert_eq!(system.version_text(), "6.1.7601");
            assert_eq!((system.processor_count, system.product_type, system.platform_id), (4, 1, 2));
            assert_eq!(system.service_pack.as_deref(), Some("Service Pack 1"));
        });
    }
}

#[test]
fn misc_info_of_each_version_gives_what_that_version_has() {
    let version_1 = MiscInfo {
        pid: Some(0x1234),
        process_created: UtcTime::from_unix_seconds(1_500_000_000),
        process_user_seconds: Some(12),
        process_kernel_seconds: Some(3),
        ..MiscInfo::default()
    };
    let version_3 = MiscInfo {
        integrity_level: Some(0x2000),
        protected_process: Some(1),
        time_zone_bias_minutes: Some(-60),
        ..version_1.clone()
    };
    let version_4 = MiscInfo {
        build_string: Some("19041.1.amd64fre".to_owned()),
        debugger_build_string: Some("dbghelp 10".to_owned()),
        ..version_3.clone()
    };
    let version_5 = MiscInfo { process_cookie: Some(0xc00c_1e00), ..version_4.clone() };
    for (version, expect) in [(1, &version_1), (2, &version_1), (3, &version_3), (4, &version_4), (5, &version_5)] {
        check(&x64_dump().misc_info(misc_info(version)), |dump| assert_eq!(dump.misc.as_ref(), Some(expect)));
    }
}

#[test]
fn misc_info_without_its_flags_says_nothing() {
    let empty = dumptrend::sample::minidump_file::MiscInfo { version: 5, ..Default::default() };
    check(&x64_dump().misc_info(empty), |dump| assert_eq!(dump.misc, Some(MiscInfo::default())));
}

#[test]
fn modules_have_name_version_and_pdb() {
    let old_record =
        [b"NB10".as_slice(), &[0; 4], &0x1234_u32.to_le_bytes(), &3_u32.to_le_bytes(), b"old.pdb\0"].concat();
    let old = Module { code_view: old_record, ..module(0x50_0000, 0x2000, r"C:\old.dll") };
    check(&x64_dump().modules(vec![first_module(), old]), |dump| {
        let modules = dump.modules.as_deref().expect("modules");
        let [first, old] = modules else { panic!("two modules, not {}", modules.len()) };
        assert_eq!((first.base, first.size_bytes), (Va(0x40_0000), 0x1000));
        assert_eq!((first.checksum, first.time_date_stamp), (0x1111, 0x2222));
        assert_eq!(first.path.as_deref(), Some(r"C:\app.exe"));
        assert_eq!(first.file_name(), "app.exe");
        assert_eq!(first.file_version, Some([6, 1, 7601, 17514]));
        let pdb =
            |path: &str, store_id: &str| Some(PdbReference { path: path.to_owned(), store_id: store_id.to_owned() });
        assert_eq!(first.pdb, pdb(r"D:\build\app.pdb", "111111111111111111111111111111112"));
        assert_eq!(old.pdb, pdb("old.pdb", "000012343"));
        assert_eq!(old.file_version, None);
    });
}

#[test]
fn unloaded_modules_are_read() {
    check(&x64_dump().unloaded_modules(vec![unloaded_module()]), |dump| {
        let expect = UnloadedModuleRecord {
            base: Va(0x50_0000),
            size_bytes: 0x3000,
            checksum: 0x3333,
            time_date_stamp: 0x4444,
            path: Some("gone.dll".to_owned()),
        };
        assert_eq!(dump.unloaded_modules.as_deref(), Some([expect].as_slice()));
    });
}

fn check_thread(dump: &Dump) {
    let threads = dump.threads.as_deref().expect("threads");
    let [thread] = threads else { panic!("one thread, not {}", threads.len()) };
    assert_eq!((thread.tid, thread.suspend_count, thread.priority_class, thread.priority), (7, 1, 0x20, 5));
    assert_eq!(thread.teb, Va(0x7ff_fffd_e000));
    assert_eq!((thread.saved_stack.start, thread.saved_stack.end), (Va(0x9_0000), Va(0x9_0010)));
    assert_eq!(thread.context.size_bytes, 32);
    assert!(thread.context.offset.0 + 32 <= dump.file_bytes);
}

#[test]
fn threads_are_read() {
    check(&x64_dump().threads(vec![thread(7)]), check_thread);
}

#[test]
fn an_extended_thread_list_stands_in_for_the_plain_one() {
    let backing_store = StackMemory::InMemoryList { start: Va(1), size_bytes: 2 };
    check(&x64_dump().threads_ex(vec![ThreadEx { thread: thread(7), backing_store }]), |dump| {
        check_thread(dump);
        let names_threads = |place: &str| place.contains("thread list");
        assert!(!dump.problems.iter().any(|problem| names_threads(&problem.place)), "{:?}", dump.problems);
    });
}

#[test]
fn thread_info_tells_times_and_start() {
    check(&x64_dump().thread_infos(vec![thread_info()]), |dump| {
        let infos = dump.thread_infos.as_deref().expect("thread infos");
        let [info] = infos else { panic!("one thread, not {}", infos.len()) };
        assert_eq!((info.tid, info.dump_flags, info.dump_error, info.exit_status), (7, 4, 5, 0x103));
        assert_eq!(info.created, UtcTime::from_unix_seconds(1));
        assert_eq!(info.exited.map(|time| time.unix_ns), Some(1_001_000_000));
        assert_eq!((info.kernel_ns, info.user_ns), (1100, 2200));
        assert_eq!((info.start_address, info.affinity), (Va(0x40_0500), 0xf));
        assert!(info.has_exited() && !info.has_invalid_info());
    });
}

#[test]
fn thread_names_are_read() {
    let name = |thread_id, name: &str| ThreadName { thread_id, name: name.to_owned() };
    check(&x64_dump().thread_names(vec![name(7, "worker"), name(8, "Grüße 🦀")]), |dump| {
        let names: Vec<_> = dump.thread_names.iter().map(|(tid, name)| (*tid, name.as_str())).collect();
        assert_eq!(names, [(7, "worker"), (8, "Grüße 🦀")]);
    });
}

#[test]
fn memory_info_keeps_the_values_of_windows() {
    check(&x64_dump().memory_infos(vec![free(0, 0x1_0000), private(0x1_0000, 0x2000)]), |dump| {
        let expect = [
            MemoryInfoRecord {
                base: Va(0),
                allocation_base: Va(0),
                allocation_protect: 4,
                size_bytes: 0x1_0000,
                state: 0x1_0000,
                protect: 1,
                memory_type: 0,
            },
            MemoryInfoRecord {
                base: Va(0x1_0000),
                allocation_base: Va(0x1_0000),
                allocation_protect: 4,
                size_bytes: 0x2000,
                state: 0x1000,
                protect: 4,
                memory_type: 0x2_0000,
            },
        ];
        assert_eq!(dump.memory_info.as_deref(), Some(expect.as_slice()));
        assert!(dump.has_whole_memory_info);
    });
}

#[test]
fn handles_of_both_versions_are_read() {
    for format in [HandleFormat::V1, HandleFormat::V2] {
        let nameless = dumptrend::sample::minidump_file::Handle { value: 0x48, ..Default::default() };
        check(&x64_dump().handles(format, vec![handle(), nameless]), |dump| {
            let handles = dump.handles.as_deref().expect("handles");
            let expect = HandleRecord {
                handle: 0x44,
                type_name: Some("Event".to_owned()),
                object_name: Some(r"\BaseNamedObjects\Ready".to_owned()),
                attributes: 1,
                granted_access: 0x1f_0003,
                handle_count: 2,
                pointer_count: 3,
            };
            assert_eq!(handles.first(), Some(&expect));
            assert_eq!(handles.get(1).map(|handle| (handle.handle, &handle.type_name)), Some((0x48, &None)));
        });
    }
}

#[test]
fn handle_operations_are_read() {
    check(&x64_dump().handle_operations(vec![handle_operation()]), |dump| {
        let expect = HandleOperationRecord { handle: 0x44, pid: 0x1234, tid: 7, operation: 2, depth: 2 };
        assert_eq!(dump.handle_operations.as_deref(), Some([expect].as_slice()));
    });
}

#[test]
fn vm_counters_of_both_revisions_are_read() {
    let first = ProcessVmCounters {
        revision: 1,
        page_fault_count: 1,
        peak_working_set_bytes: 2,
        working_set_bytes: 3,
        paged_pool_bytes: 5,
        nonpaged_pool_bytes: 7,
        pagefile_bytes: 8,
        peak_pagefile_bytes: 9,
        private_bytes: 10,
        virtual_bytes: None,
        peak_virtual_bytes: None,
        private_working_set_bytes: None,
        shared_commit_bytes: None,
    };
    let second = ProcessVmCounters {
        revision: 2,
        peak_virtual_bytes: Some(11),
        virtual_bytes: Some(12),
        private_working_set_bytes: Some(13),
        shared_commit_bytes: Some(14),
        ..first
    };
    for (is_second_revision, expect) in [(false, first), (true, second)] {
        check(&x64_dump().vm_counters(vm_counters(is_second_revision)), |dump| {
            assert_eq!(dump.vm_counters, Some(expect));
        });
    }
}

#[test]
fn system_memory_info_is_read() {
    check(&x64_dump().system_memory(system_memory()), |dump| {
        let expect = SystemMemoryInfo {
            page_bytes: 4096,
            physical_pages: 1000,
            available_pages: 100,
            committed_pages: 200,
            commit_limit_pages: 300,
            peak_commit_pages: 250,
        };
        assert_eq!(dump.system_memory, Some(expect));
    });
}

#[test]
fn tokens_of_different_sizes_follow_one_another() {
    check(&x64_dump().tokens(tokens()), |dump| {
        let token = |token_id, handle, size_bytes| TokenRecord { token_id, handle, size_bytes };
        assert_eq!(dump.tokens.as_deref(), Some([token(1, 0x10, 36), token(2, 0x20, 16)].as_slice()));
    });
}

#[test]
fn the_exception_is_read() {
    check(&x64_dump().exception(exception()), |dump| {
        let exception = dump.exception.as_ref().expect("an exception");
        assert_eq!((exception.tid, exception.code, exception.flags), (7, 0xc000_0005, 1));
        assert_eq!((exception.address, exception.parameters.as_slice()), (Va(0x40_0123), [1, 0xdead_beef].as_slice()));
        assert_eq!(exception.context.size_bytes, 16);
    });
}

#[test]
fn both_comments_are_read_line_by_line() {
    check(&x64_dump().comment_ansi("one\r\ntwo\u{1b}[2J").comment_utf16("Grüße"), |dump| {
        assert_eq!(dump.comments, ["one\ntwo\u{fffd}[2J", "Grüße"]);
    });
}

#[test]
fn a_missing_stream_is_told_apart_from_an_empty_one() {
    check(&x64_dump(), |dump| assert!(dump.modules.is_none() && dump.handles.is_none() && dump.tokens.is_none()));
    let empty = x64_dump().modules(Vec::new()).handles(HandleFormat::V2, Vec::new()).tokens(Vec::new());
    check(&empty, |dump| {
        assert_eq!(dump.modules.as_deref(), Some([].as_slice()));
        assert_eq!(dump.handles.as_deref(), Some([].as_slice()));
        assert_eq!(dump.tokens.as_deref(), Some([].as_slice()));
    });
}

#[test]
fn what_a_dump_lacks_is_said_once_each() {
    check(&x64_dump().threads(vec![Thread::default()]), |dump| {
        let places: Vec<_> = dump.problems.iter().map(|problem| problem.place.as_str()).collect();
        let kinds = [4, 16, 17, 15, 9].map(|number| StreamKind(number).to_string());
        assert_eq!(places, kinds);
    });
}
