//! The streams that are one structure: system info, misc info, memory counters, exception.

use super::encode::{Head, len_u32};
use super::{Exception, MiscInfo, ProcessVmCounters, SystemInfo, SystemMemoryInfo, TimeZone};
use crate::sample::le_bytes::{LeBytes, utf16_bytes};

type SizeAndRva = (u32, u32);

/// MINIDUMP_SYSTEM_INFO, 56 bytes.
pub(super) fn system_info(head: &mut Head, info: &SystemInfo) -> SizeAndRva {
    let at = head.bytes.len();
    let (size, rva) = head.add_blob(&[0; 56]);
    let service_pack_rva = head.add_string(&info.service_pack);
    let stream = &mut head.bytes;
    stream.put_u16(at, info.processor_architecture).put_u16(at + 2, info.processor_level);
    stream.put_u16(at + 4, info.processor_revision).put_u8(at + 6, info.processor_count);
    stream.put_u8(at + 7, info.product_type).put_u32(at + 8, info.major_version).put_u32(at + 0xc, info.minor_version);
    stream.put_u32(at + 0x10, info.build_number).put_u32(at + 0x14, info.platform_id);
    stream.put_u32(at + 0x18, service_pack_rva).put_u16(at + 0x1c, info.suite_mask).put(at + 0x20, &info.cpu_info);
    (size, rva)
}

/// MINIDUMP_MISC_INFO_N: 24, 44, 232, 832 or 1364 bytes.
pub(super) fn misc_info(head: &mut Head, info: &MiscInfo) -> SizeAndRva {
    const SIZE_BYTES_BY_VERSION: [usize; 5] = [24, 44, 232, 832, 1364];
    let version = usize::from(info.version.clamp(1, 5));
    let mut stream = LeBytes::zeroed(SIZE_BYTES_BY_VERSION.get(version - 1).copied().unwrap_or_default());
    let mut flags = 0;
    if let Some(process_id) = info.process_id {
        flags |= 0x1;
        stream.put_u32(8, process_id);
    }
    if let Some(times) = info.times {
        flags |= 0x2;
        stream.put_u32(0xc, times.create_unix_seconds);
        stream.put_u32(0x10, times.user_seconds).put_u32(0x14, times.kernel_seconds);
    }
    if let Some(power) = info.processor_power.filter(|_| version >= 2) {
        flags |= 0x4;
        for (index, value) in power.into_iter().enumerate() {
            stream.put_u32(0x18 + index * 4, value);
        }
    }
    if version >= 3 {
        put_version_3(&mut stream, &mut flags, info);
    }
    if let Some(build) = info.build.as_ref().filter(|_| version >= 4) {
        flags |= 0x100;
        put_fixed_text(&mut stream, 0xe8, 260, &build.system);
        put_fixed_text(&mut stream, 0x2f0, 40, &build.debugger);
    }
    if version >= 5 {
        let config = info.xstate_config.get(..528).unwrap_or(&info.xstate_config);
        stream.put(0x340, config);
        if let Some(cookie) = info.process_cookie {
            flags |= 0x200;
            stream.put_u32(0x550, cookie);
        }
    }
    let size = len_u32(stream.len());
    stream.put_u32(0, size).put_u32(4, flags);
    head.add_blob(stream.as_slice())
}

fn put_version_3(stream: &mut LeBytes, flags: &mut u32, info: &MiscInfo) {
    if let Some(level) = info.integrity_level {
        *flags |= 0x10;
        stream.put_u32(0x2c, level);
    }
    if let Some(execute_flags) = info.execute_flags {
        *flags |= 0x20;
        stream.put_u32(0x30, execute_flags);
    }
    if let Some(protected) = info.protected_process {
        *flags |= 0x80;
        stream.put_u32(0x34, protected);
    }
    if let Some(zone) = &info.time_zone {
        *flags |= 0x40;
        stream.put_u32(0x38, zone.id);
        put_time_zone(stream, 0x3c, zone);
    }
}

/// TIME_ZONE_INFORMATION, 172 bytes.
fn put_time_zone(stream: &mut LeBytes, at: usize, zone: &TimeZone) {
    stream.put(at, &zone.bias_minutes.to_le_bytes());
    put_fixed_text(stream, at + 4, 32, &zone.standard_name);
    stream.put(at + 0x54, &zone.standard_bias_minutes.to_le_bytes());
    put_fixed_text(stream, at + 0x58, 32, &zone.daylight_name);
    stream.put(at + 0xa8, &zone.daylight_bias_minutes.to_le_bytes());
}

/// UTF-16 text in an array of `units` units, cut so that a NUL stays.
fn put_fixed_text(stream: &mut LeBytes, at: usize, units: usize, text: &str) {
    let bytes = utf16_bytes(text);
    stream.put(at, bytes.get(..units * 2 - 2).unwrap_or(&bytes));
}

/// MINIDUMP_PROCESS_VM_COUNTERS_1, 80 bytes, or _2, 152 bytes.
pub(super) fn vm_counters(head: &mut Head, counters: &ProcessVmCounters) -> SizeAndRva {
    let mut stream = LeBytes::zeroed(if counters.second.is_some() { 152 } else { 80 });
    let common = [
        counters.peak_working_set_bytes,
        counters.working_set_bytes,
        counters.quota_peak_paged_pool_bytes,
        counters.quota_paged_pool_bytes,
        counters.quota_peak_nonpaged_pool_bytes,
        counters.quota_nonpaged_pool_bytes,
        counters.pagefile_bytes,
        counters.peak_pagefile_bytes,
    ];
    stream.put_u16(0, 1).put_u32(4, counters.page_fault_count);
    for (index, value) in common.into_iter().enumerate() {
        stream.put_u64(8 + index * 8, value);
    }
    match &counters.second {
        None => {
            stream.put_u64(0x48, counters.private_usage_bytes);
        }
        Some(second) => {
            stream.put_u16(0, 2).put_u16(2, second.flags);
            stream.put_u64(0x48, second.peak_virtual_bytes).put_u64(0x50, second.virtual_bytes);
            stream.put_u64(0x58, counters.private_usage_bytes).put_u64(0x60, second.private_working_set_bytes);
            stream.put_u64(0x68, second.shared_commit_bytes);
            for (index, value) in second.job_bytes.into_iter().enumerate() {
                stream.put_u64(0x70 + index * 8, value);
            }
        }
    }
    head.add_blob(stream.as_slice())
}

/// MINIDUMP_SYSTEM_MEMORY_INFO_1, 492 bytes.
pub(super) fn system_memory(head: &mut Head, info: &SystemMemoryInfo) -> SizeAndRva {
    let mut stream = LeBytes::zeroed(492);
    stream.put_u16(0, info.revision).put_u16(2, info.flags).put_u32(8, info.page_size_bytes);
    stream.put_u32(0xc, info.physical_page_count).put_u32(0x10, info.lowest_physical_page);
    stream.put_u32(0x14, info.highest_physical_page).put_u32(0x18, info.allocation_granularity_bytes);
    stream.put_u64(0x1c, info.minimum_user_address).put_u64(0x24, info.maximum_user_address);
    stream.put_u64(0x2c, info.active_processor_mask).put_u32(0x34, info.processor_count);
    stream.put_u64(0x74, info.available_pages).put_u64(0x7c, info.committed_pages);
    stream.put_u64(0x84, info.commit_limit_pages).put_u64(0x8c, info.peak_commitment_pages);
    head.add_blob(stream.as_slice())
}

/// MINIDUMP_EXCEPTION_STREAM, 168 bytes.
pub(super) fn exception(head: &mut Head, exception: &Exception) -> SizeAndRva {
    let at = head.bytes.len();
    let (size, rva) = head.add_blob(&[0; 168]);
    let (context_size, context_rva) = head.add_blob(&exception.context);
    let parameters = exception.parameters.iter().take(15);
    let stream = &mut head.bytes;
    stream.put_u32(at, exception.thread_id).put_u32(at + 8, exception.code).put_u32(at + 0xc, exception.flags);
    stream.put_va(at + 0x10, exception.nested_record).put_va(at + 0x18, exception.address);
    stream.put_u32(at + 0x20, len_u32(parameters.len()));
    for (index, parameter) in parameters.enumerate() {
        stream.put_u64(at + 0x28 + index * 8, *parameter);
    }
    stream.put_u32(at + 0xa0, context_size).put_u32(at + 0xa4, context_rva);
    (size, rva)
}
