//! Process VM counters, system memory info and tokens. Layouts: minidumpapiset.h, MINIDUMP_PROCESS_VM_COUNTERS_1 (80
//! bytes) and _2 (152), MINIDUMP_SYSTEM_MEMORY_INFO_1 (492, packed to 4), MINIDUMP_TOKEN_INFO_LIST.

use serde::{Deserialize, Serialize};

use crate::base::bytes;
use crate::base::problems::Problems;

use super::stream_kind::StreamKind;

/// What the kernel counted for the process. The second version adds the virtual size and the private working set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProcessVmCounters {
    pub revision: u16,
    pub page_fault_count: u32,
    pub working_set_bytes: u64,
    pub peak_working_set_bytes: u64,
    pub paged_pool_bytes: u64,
    pub nonpaged_pool_bytes: u64,
    pub pagefile_bytes: u64,
    pub peak_pagefile_bytes: u64,
    pub private_bytes: u64,
    pub virtual_bytes: Option<u64>,
    pub peak_virtual_bytes: Option<u64>,
    pub private_working_set_bytes: Option<u64>,
    pub shared_commit_bytes: Option<u64>,
}

/// Memory of the whole machine when the dump was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SystemMemoryInfo {
    pub page_bytes: u32,
    pub physical_pages: u32,
    pub available_pages: u64,
    pub committed_pages: u64,
    pub commit_limit_pages: u64,
    pub peak_commit_pages: u64,
}

/// One access token in the dump; its data stays in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenRecord {
    pub token_id: u32,
    pub handle: u64,
    pub size_bytes: u32,
}

pub fn read_process_vm_counters(stream: &[u8], problems: &mut Problems) -> Option<ProcessVmCounters> {
    let counters = bytes::u16_at(stream, 0).and_then(|revision| match revision {
        1 => vm_counters_1(stream),
        // Later revisions have so far kept what came before them.
        2.. => vm_counters_2(stream, revision),
        0 => None,
    });
    if counters.is_none() {
        problems.damage(
            StreamKind::PROCESS_VM_COUNTERS.to_string(),
            format!("has {} bytes and no known revision; it is left out", stream.len()),
        );
    }
    counters
}

fn vm_counters_1(stream: &[u8]) -> Option<ProcessVmCounters> {
    Some(ProcessVmCounters { private_bytes: bytes::u64_at(stream, 0x48)?, ..vm_counters_shared(stream, 1)? })
}

fn vm_counters_2(stream: &[u8], revision: u16) -> Option<ProcessVmCounters> {
    // The flags say which groups the writer filled: 2 the virtual size, 4 and 8 the extended counters.
    let flags = bytes::u16_at(stream, 2)?;
    let when = |flag: u16, offset: u64| if flags & flag != 0 { bytes::u64_at(stream, offset) } else { None };
    Some(ProcessVmCounters {
        peak_virtual_bytes: when(2, 0x48),
        virtual_bytes: when(2, 0x50),
        private_bytes: bytes::u64_at(stream, 0x58)?,
        private_working_set_bytes: when(8, 0x60),
        shared_commit_bytes: when(8, 0x68),
        ..vm_counters_shared(stream, revision)?
    })
}

fn vm_counters_shared(stream: &[u8], revision: u16) -> Option<ProcessVmCounters> {
    Some(ProcessVmCounters {
        revision,
        page_fault_count: bytes::u32_at(stream, 4)?,
        peak_working_set_bytes: bytes::u64_at(stream, 8)?,
        working_set_bytes: bytes::u64_at(stream, 0x10)?,
        paged_pool_bytes: bytes::u64_at(stream, 0x20)?,
        nonpaged_pool_bytes: bytes::u64_at(stream, 0x30)?,
        pagefile_bytes: bytes::u64_at(stream, 0x38)?,
        peak_pagefile_bytes: bytes::u64_at(stream, 0x40)?,
        private_bytes: 0,
        virtual_bytes: None,
        peak_virtual_bytes: None,
        private_working_set_bytes: None,
        shared_commit_bytes: None,
    })
}

pub fn read_system_memory_info(stream: &[u8], problems: &mut Problems) -> Option<SystemMemoryInfo> {
    let read = || {
        Some(SystemMemoryInfo {
            page_bytes: bytes::u32_at(stream, 8)?,
            physical_pages: bytes::u32_at(stream, 0xc)?,
            available_pages: bytes::u64_at(stream, 0x74)?,
            committed_pages: bytes::u64_at(stream, 0x7c)?,
            commit_limit_pages: bytes::u64_at(stream, 0x84)?,
            peak_commit_pages: bytes::u64_at(stream, 0x8c)?,
        })
    };
    let info = read();
    if info.is_none() {
        problems.damage(
            StreamKind::SYSTEM_MEMORY_INFO.to_string(),
            format!("has {} bytes, too few; it is left out", stream.len()),
        );
    }
    info
}

/// Tokens follow one another, each with its own size in front.
pub fn read_tokens(stream: &[u8], problems: &mut Problems) -> Vec<TokenRecord> {
    const MAX_TOKENS: u32 = 10_000;
    let mut tokens = Vec::new();
    let (Some(count), Some(head_bytes), Some(element_head_bytes)) =
        (bytes::u32_at(stream, 4), bytes::u32_at(stream, 8), bytes::u32_at(stream, 0xc))
    else {
        problems.damage(StreamKind::TOKEN.to_string(), "has no room for its head; it is left out");
        return tokens;
    };
    let mut offset = u64::from(head_bytes);
    for index in 0..count.min(MAX_TOKENS) {
        let read = || {
            Some(TokenRecord {
                size_bytes: bytes::u32_at(stream, offset)?,
                token_id: bytes::u32_at(stream, offset.checked_add(4)?)?,
                handle: bytes::u64_at(stream, offset.checked_add(8)?)?,
            })
        };
        let Some(token) = read() else {
            problems.damage(
                StreamKind::TOKEN.to_string(),
                format!("names {count} tokens, {index} of them are in the file"),
            );
            break;
        };
        // A size smaller than the element's own head would stand still.
        let step_bytes = u64::from(token.size_bytes.max(element_head_bytes)).max(16);
        offset = offset.saturating_add(step_bytes);
        tokens.push(token);
    }
    tokens
}
