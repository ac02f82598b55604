//! The AllocFree case as dumps: one 64-bit Windows 7 process with the stack trace database on.
//!
//! - `figures`: addresses, sizes and times of each dump.
//! - `modules`, `image_parts`, `case_functions`, `system_exports`: the images.
//! - `space`, `heaps`, `live_stack`, `logged_stacks`, `process_texts`: what lies in memory.
//!
//! Further contents go into `space` with `AddressSpace::write`: the file holds what is written, and a hole for the rest.

pub(super) mod case_functions;
pub mod figures;
mod heaps;
pub(super) mod image_parts;
pub(super) mod live_stack;
pub(super) mod logged_stacks;
pub(super) mod modules;
pub(super) mod process_texts;
mod space;
pub(super) mod system_exports;

use figures::{Moment, ProcessRun, filetime};
use live_stack::x64_context;
use modules::ProcessModule;
use space::{DumpedSpace, TEB, USER_SPACE_TOP};

use super::address_space::{AddressSpace, winnt};
use super::error::SampleError;
use super::heap_image::BuiltHeap;
use super::minidump_file::{
    BuildText, HandleFormat, MinidumpFile, MiscInfo, ProcessTimes, ProcessVmCounters, StackMemory, SystemInfo, Thread,
    ThreadInfo, TimeZone, UnloadedModule, flags,
};
use crate::base::addr::Va;

const DUMP_FLAGS: u64 = flags::WITH_FULL_MEMORY
    | flags::WITH_HANDLE_DATA
    | flags::WITH_UNLOADED_MODULES
    | flags::WITH_FULL_MEMORY_INFO
    | flags::WITH_THREAD_INFO;

/// The heaps of a run, the main one first.
pub(super) fn heap_bases(run: &ProcessRun) -> [Va; 3] {
    heaps::heap_bases(run)
}

/// The dump of `run` at `moment`, at least `size_bytes` large.
pub fn dump(run: &ProcessRun, moment: &Moment, size_bytes: Option<u64>) -> Result<MinidumpFile, SampleError> {
    let modules = modules::modules();
    let mut dumped = space::dumped_space(run, moment, &modules)?;
    let file = dump_of(run, moment, &modules, &dumped)?;
    let missing_bytes = size_bytes.unwrap_or(0).saturating_sub(file.size_bytes()?);
    if missing_bytes == 0 {
        return Ok(file);
    }
    space::add_extra_region(&mut dumped.space, missing_bytes);
    dump_of(run, moment, &modules, &dumped)
}

/// The truth about the heaps of `run` at `moment`, in the order of the PEB's array.
pub fn built_heaps(run: &ProcessRun, moment: &Moment) -> Result<Vec<BuiltHeap>, SampleError> {
    heaps::add_heaps(&mut AddressSpace::default(), run, moment)
}

fn dump_of(
    run: &ProcessRun,
    moment: &Moment,
    modules: &[ProcessModule],
    dumped: &DumpedSpace,
) -> Result<MinidumpFile, SampleError> {
    let space = &dumped.space;
    let file = MinidumpFile::new(DUMP_FLAGS, moment.dump_unix_seconds)
        .threads(vec![thread(run, dumped)])
        .thread_infos(vec![thread_info(run, moment, modules)])
        .modules(modules.iter().map(ProcessModule::listed).collect())
        .unloaded_modules(vec![UnloadedModule {
            base: Va(0x7fe_fd4c_0000),
            size_bytes: 0x5_7000,
            time_date_stamp: 0x4ce7_c0e1,
            name: "apphelp.dll".to_owned(),
            ..UnloadedModule::default()
        }])
        .memory64(space.memory_ranges()?)
        .memory_infos(space.memory_infos(USER_SPACE_TOP)?)
        .system_info(system_info())
        .misc_info(misc_info(run, moment))
        .vm_counters(vm_counters(dumped))
        .handles(HandleFormat::V2, process_texts::handles())
        .comment_utf16(format!("\r\n*** procdump -ma {}\r\n*** Manual dump", run.process_id));
    Ok(file)
}

fn thread(run: &ProcessRun, dumped: &DumpedSpace) -> Thread {
    let stack_base = run.stack_bottom.0 + figures::STACK_BYTES;
    // dbghelp lists a stack from just below RSP on; the pages from the limit on are in memory anyway.
    let start = Va(dumped.stack.rsp.0.max(dumped.stack_limit.0));
    Thread {
        id: run.thread_id,
        priority_class: 0x20,
        teb: TEB,
        stack: StackMemory::InMemoryList { start, size_bytes: u32::try_from(stack_base - start.0).unwrap_or(u32::MAX) },
        context: x64_context(dumped.stack.rip, dumped.stack.rsp),
        ..Thread::default()
    }
}

fn thread_info(run: &ProcessRun, moment: &Moment, modules: &[ProcessModule]) -> ThreadInfo {
    const NTSTATUS_PENDING: u32 = 0x103;
    ThreadInfo {
        thread_id: run.thread_id,
        exit_status: NTSTATUS_PENDING,
        create_filetime: run.create_filetime,
        kernel_100ns: moment.kernel_ms() * 10_000,
        user_100ns: moment.user_ms() * 10_000,
        start_address: modules.first().map_or(Va(0), ProcessModule::entry_point),
        affinity: 0xf,
        ..ThreadInfo::default()
    }
}

fn system_info() -> SystemInfo {
    SystemInfo {
        processor_architecture: SystemInfo::ARCHITECTURE_AMD64,
        processor_level: 6,
        processor_revision: 0x1e05,
        processor_count: 4,
        product_type: 1,
        major_version: 6,
        minor_version: 1,
        build_number: 7601,
        platform_id: 2,
        service_pack: "Service Pack 1".to_owned(),
        suite_mask: 0x100,
        cpu_info: [0; 24],
    }
}

fn misc_info(run: &ProcessRun, moment: &Moment) -> MiscInfo {
    let whole_seconds = |ms: u64| u32::try_from(ms / 1000).unwrap_or(u32::MAX);
    let create_seconds = (run.create_filetime - filetime(0, 0)) / 10_000_000;
    MiscInfo {
        version: 4,
        process_id: Some(run.process_id),
        times: Some(ProcessTimes {
            create_unix_seconds: u32::try_from(create_seconds).unwrap_or(u32::MAX),
            user_seconds: whole_seconds(moment.user_ms()),
            kernel_seconds: whole_seconds(moment.kernel_ms()),
        }),
        processor_power: Some([2793, 2793, 2793, 2, 2]),
        // High: started by an administrator.
        integrity_level: Some(0x3000),
        execute_flags: Some(0x4d),
        protected_process: Some(0),
        // Central European summer time, TIME_ZONE_ID_DAYLIGHT.
        time_zone: Some(TimeZone {
            id: 2,
            bias_minutes: -60,
            standard_name: "W. Europe Standard Time".to_owned(),
            standard_bias_minutes: 0,
            daylight_name: "W. Europe Daylight Time".to_owned(),
            daylight_bias_minutes: -60,
        }),
        build: Some(BuildText {
            system: "7601.17514.amd64fre.win7sp1_rtm.101119-1850".to_owned(),
            debugger: "dbghelp.amd64,6.2.9200".to_owned(),
        }),
        ..MiscInfo::default()
    }
}

fn vm_counters(dumped: &DumpedSpace) -> ProcessVmCounters {
    let private_bytes = dumped.space.committed_bytes(Some(winnt::MEM_PRIVATE));
    let working_set_bytes = dumped.space.committed_bytes(None) / 4096 * 3 / 4 * 4096;
    ProcessVmCounters {
        page_fault_count: u32::try_from(private_bytes / 4096 * 2).unwrap_or(u32::MAX),
        peak_working_set_bytes: working_set_bytes,
        working_set_bytes,
        quota_peak_paged_pool_bytes: 0x9000,
        quota_paged_pool_bytes: 0x8f00,
        quota_peak_nonpaged_pool_bytes: 0x1400,
        quota_nonpaged_pool_bytes: 0x1200,
        pagefile_bytes: private_bytes,
        peak_pagefile_bytes: private_bytes,
        private_usage_bytes: private_bytes,
        second: None,
    }
}
