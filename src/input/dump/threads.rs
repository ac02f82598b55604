//! Threads, their times, and their names. Layouts: minidumpapiset.h, MINIDUMP_THREAD (48 bytes), MINIDUMP_THREAD_EX (64),
//! MINIDUMP_THREAD_INFO (64), MINIDUMP_THREAD_NAME (12, packed).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::addr::{FileOffset, Va, VaRange};
use crate::base::bytes;
use crate::base::problems::Problems;
use crate::base::time::UtcTime;

use super::lists::{ListShape, Texts, counted_list, sized_list};
use super::stream_kind::StreamKind;

/// Windows runs out of address space or pool long before this.
const MAX_THREADS: u64 = 200_000;

/// One thread as the thread list has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ThreadRecord {
    pub tid: u32,
    pub suspend_count: u32,
    pub priority_class: u32,
    pub priority: u32,
    pub teb: Va,
    /// The part of the stack that the writer saved; empty in dumps whose memory is listed elsewhere.
    pub saved_stack: VaRange,
    /// Where the CPU context lies in the file.
    pub context: ContextPlace,
}

/// The place of a CPU context in the file; size 0 when the thread has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ContextPlace {
    pub offset: FileOffset,
    pub size_bytes: u64,
}

/// Times and start of a thread.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ThreadInfoRecord {
    pub tid: u32,
    pub dump_flags: u32,
    pub dump_error: u32,
    pub exit_status: u32,
    pub created: Option<UtcTime>,
    pub exited: Option<UtcTime>,
    pub kernel_ns: u64,
    pub user_ns: u64,
    pub start_address: Va,
    pub affinity: u64,
}

impl ThreadInfoRecord {
    /// MINIDUMP_THREAD_INFO_INVALID_INFO: the writer could not ask, so the times mean nothing.
    pub const fn has_invalid_info(&self) -> bool {
        self.dump_flags & 0x8 != 0
    }

    /// MINIDUMP_THREAD_INFO_EXITED_THREAD.
    pub const fn has_exited(&self) -> bool {
        self.dump_flags & 0x4 != 0
    }
}

pub fn read_threads(stream: &[u8], problems: &mut Problems) -> Vec<ThreadRecord> {
    read_threads_of(
        stream,
        ListShape { kind: StreamKind::THREAD_LIST, entry_bytes: 48, max_entries: MAX_THREADS },
        problems,
    )
}

/// The extended list starts each entry as the plain one does and adds the IA-64 backing store, which nobody needs now.
pub fn read_threads_ex(stream: &[u8], problems: &mut Problems) -> Vec<ThreadRecord> {
    let shape = ListShape { kind: StreamKind::THREAD_EX_LIST, entry_bytes: 64, max_entries: MAX_THREADS };
    read_threads_of(stream, shape, problems)
}

fn read_threads_of(stream: &[u8], shape: ListShape, problems: &mut Problems) -> Vec<ThreadRecord> {
    counted_list(stream, shape, problems).iter().filter_map(read_thread).collect()
}

fn read_thread(entry: &[u8]) -> Option<ThreadRecord> {
    Some(ThreadRecord {
        tid: bytes::u32_at(entry, 0)?,
        suspend_count: bytes::u32_at(entry, 4)?,
        priority_class: bytes::u32_at(entry, 8)?,
        priority: bytes::u32_at(entry, 0xc)?,
        teb: Va(bytes::u64_at(entry, 0x10)?),
        saved_stack: VaRange::from_size(Va(bytes::u64_at(entry, 0x18)?), u64::from(bytes::u32_at(entry, 0x20)?)),
        context: ContextPlace {
            size_bytes: u64::from(bytes::u32_at(entry, 0x28)?),
            offset: FileOffset(u64::from(bytes::u32_at(entry, 0x2c)?)),
        },
    })
}

pub fn read_thread_infos(stream: &[u8], problems: &mut Problems) -> Vec<ThreadInfoRecord> {
    let shape = ListShape { kind: StreamKind::THREAD_INFO_LIST, entry_bytes: 64, max_entries: MAX_THREADS };
    let list = sized_list(stream, shape, problems);
    list.iter()
        .filter_map(|entry| {
            Some(ThreadInfoRecord {
                tid: bytes::u32_at(entry, 0)?,
                dump_flags: bytes::u32_at(entry, 4)?,
                dump_error: bytes::u32_at(entry, 8)?,
                exit_status: bytes::u32_at(entry, 0xc)?,
                created: UtcTime::from_filetime(bytes::u64_at(entry, 0x10)?),
                exited: UtcTime::from_filetime(bytes::u64_at(entry, 0x18)?),
                kernel_ns: bytes::u64_at(entry, 0x20)?.saturating_mul(100),
                user_ns: bytes::u64_at(entry, 0x28)?.saturating_mul(100),
                start_address: Va(bytes::u64_at(entry, 0x30)?),
                affinity: bytes::u64_at(entry, 0x38)?,
            })
        })
        .collect()
}

/// Names by thread id (SetThreadDescription, Windows 10 1607 and later).
pub fn read_thread_names(stream: &[u8], texts: &Texts<'_>, problems: &mut Problems) -> BTreeMap<u32, String> {
    let shape = ListShape { kind: StreamKind::THREAD_NAMES, entry_bytes: 12, max_entries: MAX_THREADS };
    let list = counted_list(stream, shape, problems);
    let mut names = BTreeMap::new();
    let mut unreadable_count: u64 = 0;
    for entry in list.iter() {
        let (Some(tid), Some(offset)) = (bytes::u32_at(entry, 0), bytes::u64_at(entry, 4)) else { break };
        match texts.string_at(offset) {
            Some(name) => {
                names.insert(tid, name);
            }
            None => unreadable_count = unreadable_count.saturating_add(1),
        }
    }
    if unreadable_count > 0 {
        problems.damage(shape.kind.to_string(), format!("{unreadable_count} thread names lie outside the file"));
    }
    names
}
