//! The dump of a planned process, with the streams that dump writers of its time wrote.

use super::process_plan::ProcessPlan;
use super::process_space::PlannedSpace;
use crate::base::addr::{PointerWidth, Va};
use crate::sample::address_space::winnt;
use crate::sample::allocfree::figures::filetime;
use crate::sample::allocfree::live_stack::x64_context;
use crate::sample::allocfree::modules::ProcessModule;
use crate::sample::allocfree::process_texts;
use crate::sample::error::SampleError;
use crate::sample::minidump_file::{
    BuildText, Handle, HandleFormat, MinidumpFile, MiscInfo, ProcessTimes, ProcessVmCounters, StackMemory, SystemInfo,
    Thread, ThreadInfo, TimeZone, flags,
};
use crate::sample::process_memory::Windows;

const DUMP_FLAGS: u64 =
    flags::WITH_FULL_MEMORY | flags::WITH_HANDLE_DATA | flags::WITH_FULL_MEMORY_INFO | flags::WITH_THREAD_INFO;

/// The dump of `plan` with the memory `planned`.
pub fn dump_of(plan: &ProcessPlan, planned: &PlannedSpace) -> Result<MinidumpFile, SampleError> {
    let is_xp = plan.windows == Windows::XpX86;
    let file = MinidumpFile::new(DUMP_FLAGS, plan.dump_unix_seconds)
        .threads(threads(plan, planned))
        .thread_infos(thread_infos(plan))
        .modules(plan.modules.iter().map(ProcessModule::listed).collect())
        .memory64(planned.space.memory_ranges()?)
        .memory_infos(planned.space.memory_infos(plan.places.top)?)
        .system_info(system_info(plan))
        .misc_info(misc_info(plan))
        .handles(if is_xp { HandleFormat::V1 } else { HandleFormat::V2 }, handles(plan));
    // Of a process with many threads, the sample of gigabytes.
    let file = if plan.more_threads.is_empty() { file } else { file.page_aligned() };
    // Later than the debuggers of XP's time.
    Ok(if is_xp { file } else { file.vm_counters(vm_counters(planned)) })
}

/// Those of the case, but for the folder of the program.
fn handles(plan: &ProcessPlan) -> Vec<Handle> {
    let program = plan.modules.first().map_or("", |module| module.image.file_name.trim_end_matches(".exe"));
    let mut handles = process_texts::handles();
    for name in handles.iter_mut().filter_map(|handle| handle.object_name.as_mut()) {
        *name = name.replace("AllocFree", program);
    }
    handles
}

fn thread(plan: &ProcessPlan, planned: &PlannedSpace) -> Thread {
    let start = planned.stack.rsp;
    let size_bytes = u32::try_from(planned.stack_base.0 - start.0).unwrap_or(u32::MAX);
    Thread {
        id: plan.thread_id,
        priority_class: 0x20,
        teb: plan.places.teb,
        stack: StackMemory::InMemoryList { start, size_bytes },
        context: planned.context.clone(),
        ..Thread::default()
    }
}

fn threads(plan: &ProcessPlan, planned: &PlannedSpace) -> Vec<Thread> {
    let first = thread(plan, planned);
    let more = plan.more_threads.iter().zip(plan.more_tebs()).zip(&planned.more_stacks);
    let more = more.map(|((thread, teb), (stack, stack_base))| {
        let size_bytes = u32::try_from(stack_base.0 - stack.rsp.0).unwrap_or(u32::MAX);
        Thread {
            id: thread.thread_id,
            teb,
            stack: StackMemory::InMemoryList { start: stack.rsp, size_bytes },
            context: x64_context(stack.rip, stack.rsp),
            ..first.clone()
        }
    });
    std::iter::once(first.clone()).chain(more).collect()
}

fn thread_infos(plan: &ProcessPlan) -> Vec<ThreadInfo> {
    let first = thread_info(plan);
    let more = plan.more_threads.iter().map(|thread| ThreadInfo {
        thread_id: thread.thread_id,
        create_filetime: thread.create_filetime,
        kernel_100ns: thread.kernel_ms * 10_000,
        user_100ns: thread.user_ms * 10_000,
        ..first
    });
    std::iter::once(first).chain(more).collect()
}

fn thread_info(plan: &ProcessPlan) -> ThreadInfo {
    const NTSTATUS_PENDING: u32 = 0x103;
    ThreadInfo {
        thread_id: plan.thread_id,
        exit_status: NTSTATUS_PENDING,
        create_filetime: plan.create_filetime,
        kernel_100ns: plan.kernel_ms * 10_000,
        user_100ns: plan.user_ms * 10_000,
        start_address: plan.modules.first().map_or(Va(0), ProcessModule::entry_point),
        affinity: 0x3,
        ..ThreadInfo::default()
    }
}

fn system_info(plan: &ProcessPlan) -> SystemInfo {
    let (major_version, minor_version) = plan.windows.version();
    let mut cpu_info = [0; 24];
    let processor_architecture = match plan.windows.width() {
        PointerWidth::Bits64 => SystemInfo::ARCHITECTURE_AMD64,
        PointerWidth::Bits32 => {
            // The vendor as CPUID returns it; only x86 dumps have this form.
            for (byte, letter) in cpu_info.iter_mut().zip(b"GenuineIntel") {
                *byte = *letter;
            }
            SystemInfo::ARCHITECTURE_X86
        }
    };
    SystemInfo {
        processor_architecture,
        processor_level: 6,
        processor_revision: 0x1706,
        processor_count: 2,
        product_type: 1,
        major_version,
        minor_version,
        build_number: u32::from(plan.system.build_number),
        platform_id: 2,
        service_pack: plan.system.service_pack_text.to_owned(),
        suite_mask: 0x100,
        cpu_info,
    }
}

fn misc_info(plan: &ProcessPlan) -> MiscInfo {
    let whole_seconds = |ms: u64| u32::try_from(ms / 1000).unwrap_or(u32::MAX);
    let create_seconds = (plan.create_filetime - filetime(0, 0)) / 10_000_000;
    let build = plan
        .system
        .build_texts
        .map(|(system, debugger)| BuildText { system: system.to_owned(), debugger: debugger.to_owned() });
    MiscInfo {
        version: if build.is_some() { 4 } else { 2 },
        process_id: Some(plan.process_id),
        times: Some(ProcessTimes {
            create_unix_seconds: u32::try_from(create_seconds).unwrap_or(u32::MAX),
            user_seconds: whole_seconds(plan.user_ms),
            kernel_seconds: whole_seconds(plan.kernel_ms),
        }),
        processor_power: Some([2394, 2394, 2394, 1, 1]),
        integrity_level: Some(0x2000),
        execute_flags: Some(0x4d),
        protected_process: Some(0),
        // Summer time, TIME_ZONE_ID_DAYLIGHT.
        time_zone: plan.is_in_central_europe.then(|| TimeZone {
            id: 2,
            bias_minutes: -60,
            standard_name: "W. Europe Standard Time".to_owned(),
            standard_bias_minutes: 0,
            daylight_name: "W. Europe Daylight Time".to_owned(),
            daylight_bias_minutes: -60,
        }),
        build,
        ..MiscInfo::default()
    }
}

fn vm_counters(planned: &PlannedSpace) -> ProcessVmCounters {
    let private_bytes = planned.space.committed_bytes(Some(winnt::MEM_PRIVATE));
    let working_set_bytes = planned.space.committed_bytes(None) / 4096 * 3 / 4 * 4096;
    ProcessVmCounters {
        page_fault_count: u32::try_from(private_bytes / 4096 * 2).unwrap_or(u32::MAX),
        peak_working_set_bytes: working_set_bytes,
        working_set_bytes,
        pagefile_bytes: private_bytes,
        peak_pagefile_bytes: private_bytes,
        private_usage_bytes: private_bytes,
        ..ProcessVmCounters::default()
    }
}
