//! One dump with every kind of stream that the reader knows, each field with a value of its own.

use dumptrend::base::addr::Va;
use dumptrend::sample::minidump_file::{
    BuildText, Exception, Handle, HandleFormat, HandleObjectInfo, HandleOperation, MemoryRange, MinidumpFile, MiscInfo,
    Module, ProcessTimes, ProcessVmCounters, ProcessVmCounters2, StackMemory, SystemMemoryInfo, Thread, ThreadInfo,
    ThreadName, TimeZone, Token, UnloadedModule, rsds_record,
};

use super::build_dump::{free, image, module, private, private_of, reserved_of, x64_dump};

/// Every stream but the extended thread list, which stands in for the plain one.
pub fn all_streams() -> MinidumpFile {
    x64_dump()
        .misc_info(misc_info(5))
        .modules(vec![first_module(), module(0x7ff_0000_0000, 0x2000, r"C:\Windows\System32\ntdll.dll")])
        .unloaded_modules(vec![unloaded_module()])
        .threads(vec![thread(7), thread(8)])
        .thread_infos(vec![thread_info()])
        .thread_names(vec![ThreadName { thread_id: 7, name: "worker".to_owned() }])
        .memory_infos(vec![
            free(0, 0x1_0000),
            private(0x1_0000, 0x2000),
            reserved_of(0x1_0000, 0x1_2000, 0xe000),
            image(0x40_0000, 0x1000),
            private_of(0x40_2000, 0x40_2000, 0x1000),
        ])
        .handles(HandleFormat::V2, vec![handle()])
        .handle_operations(vec![handle_operation()])
        .vm_counters(vm_counters(true))
        .system_memory(system_memory())
        .tokens(tokens())
        .exception(exception())
        .comment_ansi("written\nby a test")
        .comment_utf16("Grüße")
        .memory(vec![MemoryRange::of_bytes(Va(0x40_0000), b"MZ".to_vec())])
        .memory64(vec![MemoryRange::of_bytes(Va(0x1_0000), vec![1, 2, 3, 4]), MemoryRange::hole(Va(0x1_1000), 0x10)])
}

pub fn misc_info(version: u8) -> MiscInfo {
    MiscInfo {
        version,
        process_id: Some(0x1234),
        times: Some(ProcessTimes { create_unix_seconds: 1_500_000_000, user_seconds: 12, kernel_seconds: 3 }),
        processor_power: Some([1, 2, 3, 4, 5]),
        integrity_level: Some(0x2000),
        execute_flags: Some(0x4d),
        protected_process: Some(1),
        time_zone: Some(TimeZone {
            id: 2,
            bias_minutes: -60,
            standard_name: "CET".to_owned(),
            daylight_name: "CEST".to_owned(),
            ..TimeZone::default()
        }),
        build: Some(BuildText { system: "19041.1.amd64fre".to_owned(), debugger: "dbghelp 10".to_owned() }),
        xstate_config: Vec::new(),
        process_cookie: Some(0xc00c_1e00),
    }
}

pub fn first_module() -> Module {
    Module {
        checksum: 0x1111,
        time_date_stamp: 0x2222,
        version: Some([6, 1, 7601, 17514]),
        code_view: rsds_record([0x11; 16], 2, r"D:\build\app.pdb"),
        ..module(0x40_0000, 0x1000, r"C:\app.exe")
    }
}

pub fn unloaded_module() -> UnloadedModule {
    UnloadedModule {
        base: Va(0x50_0000),
        size_bytes: 0x3000,
        checksum: 0x3333,
        time_date_stamp: 0x4444,
        name: "gone.dll".to_owned(),
    }
}

pub fn thread(id: u32) -> Thread {
    Thread {
        id,
        suspend_count: 1,
        priority_class: 0x20,
        priority: 5,
        teb: Va(0x7ff_fffd_e000),
        stack: StackMemory::Inline { start: Va(0x9_0000), bytes: vec![7; 16] },
        context: vec![9; 32],
    }
}

/// One second after Unix's epoch, for a millisecond.
pub fn thread_info() -> ThreadInfo {
    ThreadInfo {
        thread_id: 7,
        dump_flags: 4,
        dump_error: 5,
        exit_status: 0x103,
        create_filetime: 116_444_736_010_000_000,
        exit_filetime: 116_444_736_010_010_000,
        kernel_100ns: 11,
        user_100ns: 22,
        start_address: Va(0x40_0500),
        affinity: 0xf,
    }
}

pub fn handle() -> Handle {
    Handle {
        value: 0x44,
        type_name: Some("Event".to_owned()),
        object_name: Some(r"\BaseNamedObjects\Ready".to_owned()),
        attributes: 1,
        granted_access: 0x1f_0003,
        handle_count: 2,
        pointer_count: 3,
        object_infos: vec![HandleObjectInfo { info_type: 1, bytes: vec![0; 8] }],
    }
}

pub fn handle_operation() -> HandleOperation {
    HandleOperation {
        handle: 0x44,
        process_id: 0x1234,
        thread_id: 7,
        operation: 2,
        trace_index: 9,
        return_addresses: vec![Va(0x40_0100), Va(0x40_0200)],
    }
}

pub fn vm_counters(is_second_revision: bool) -> ProcessVmCounters {
    ProcessVmCounters {
        page_fault_count: 1,
        peak_working_set_bytes: 2,
        working_set_bytes: 3,
        quota_peak_paged_pool_bytes: 4,
        quota_paged_pool_bytes: 5,
        quota_peak_nonpaged_pool_bytes: 6,
        quota_nonpaged_pool_bytes: 7,
        pagefile_bytes: 8,
        peak_pagefile_bytes: 9,
        private_usage_bytes: 10,
        second: is_second_revision.then_some(ProcessVmCounters2 {
            flags: 0xf,
            peak_virtual_bytes: 11,
            virtual_bytes: 12,
            private_working_set_bytes: 13,
            shared_commit_bytes: 14,
            job_bytes: [15, 16, 17, 18, 19],
        }),
    }
}

pub fn system_memory() -> SystemMemoryInfo {
    SystemMemoryInfo {
        revision: 1,
        flags: 0xf,
        page_size_bytes: 4096,
        physical_page_count: 1000,
        available_pages: 100,
        committed_pages: 200,
        commit_limit_pages: 300,
        peak_commitment_pages: 250,
        ..SystemMemoryInfo::default()
    }
}

pub fn tokens() -> Vec<Token> {
    vec![Token { id: 1, handle: 0x10, bytes: vec![1; 20] }, Token { id: 2, handle: 0x20, bytes: Vec::new() }]
}

pub fn exception() -> Exception {
    Exception {
        thread_id: 7,
        code: 0xc000_0005,
        flags: 1,
        nested_record: Va(0),
        address: Va(0x40_0123),
        parameters: vec![1, 0xdead_beef],
        context: vec![3; 16],
    }
}
