//! Records about the whole process or the whole machine: misc info, counters of virtual memory, system memory.

/// MINIDUMP_MISC_INFO up to MINIDUMP_MISC_INFO_5. What is `None` is written as zero and its bit in Flags1 stays clear.
#[derive(Clone, Debug, Default)]
pub struct MiscInfo {
    /// 1 to 5: how much of the structure there is. Fields of later versions are left out.
    pub version: u8,
    pub process_id: Option<u32>,
    pub times: Option<ProcessTimes>,
    /// MaxMhz, CurrentMhz, MhzLimit, MaxIdleState, CurrentIdleState (version 2).
    pub processor_power: Option<[u32; 5]>,
    /// The RID of the mandatory label: 0x2000 medium, 0x3000 high (version 3).
    pub integrity_level: Option<u32>,
    pub execute_flags: Option<u32>,
    pub protected_process: Option<u32>,
    pub time_zone: Option<TimeZone>,
    /// Version 4.
    pub build: Option<BuildText>,
    /// XSTATE_CONFIG_FEATURE_MSC_INFO, 528 bytes (version 5); shorter ones are filled up with zeros.
    pub xstate_config: Vec<u8>,
    pub process_cookie: Option<u32>,
}

/// Whole seconds, as MINIDUMP_MISC_INFO holds them.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessTimes {
    pub create_unix_seconds: u32,
    pub user_seconds: u32,
    pub kernel_seconds: u32,
}

/// TIME_ZONE_ID_x and the parts of TIME_ZONE_INFORMATION that carry text or an offset; the change-over dates stay zero.
#[derive(Clone, Debug, Default)]
pub struct TimeZone {
    pub id: u32,
    pub bias_minutes: i32,
    pub standard_name: String,
    pub standard_bias_minutes: i32,
    pub daylight_name: String,
    pub daylight_bias_minutes: i32,
}

/// The two strings of MINIDUMP_MISC_INFO_4.
#[derive(Clone, Debug, Default)]
pub struct BuildText {
    pub system: String,
    pub debugger: String,
}

/// MINIDUMP_PROCESS_VM_COUNTERS_1 or _2.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessVmCounters {
    pub page_fault_count: u32,
    pub peak_working_set_bytes: u64,
    pub working_set_bytes: u64,
    pub quota_peak_paged_pool_bytes: u64,
    pub quota_paged_pool_bytes: u64,
    pub quota_peak_nonpaged_pool_bytes: u64,
    pub quota_nonpaged_pool_bytes: u64,
    pub pagefile_bytes: u64,
    pub peak_pagefile_bytes: u64,
    pub private_usage_bytes: u64,
    /// `Some` writes revision 2.
    pub second: Option<ProcessVmCounters2>,
}

/// What revision 2 adds.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessVmCounters2 {
    pub flags: u16,
    pub peak_virtual_bytes: u64,
    pub virtual_bytes: u64,
    pub private_working_set_bytes: u64,
    pub shared_commit_bytes: u64,
    /// JobSharedCommitUsage, JobPrivateCommitUsage, JobPeakPrivateCommitUsage, JobPrivateCommitLimit, JobTotalCommitLimit.
    pub job_bytes: [u64; 5],
}

/// The parts of MINIDUMP_SYSTEM_MEMORY_INFO_1 that say something of a whole machine; the many counters stay zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemMemoryInfo {
    pub revision: u16,
    pub flags: u16,
    pub page_size_bytes: u32,
    pub physical_page_count: u32,
    pub lowest_physical_page: u32,
    pub highest_physical_page: u32,
    pub allocation_granularity_bytes: u32,
    pub minimum_user_address: u64,
    pub maximum_user_address: u64,
    pub active_processor_mask: u64,
    pub processor_count: u32,
    pub available_pages: u64,
    pub committed_pages: u64,
    pub commit_limit_pages: u64,
    pub peak_commitment_pages: u64,
}
