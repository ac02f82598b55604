//! The memory info list: what VirtualQuery said of each region. Layout: minidumpapiset.h, MINIDUMP_MEMORY_INFO (48 bytes).

use serde::{Deserialize, Serialize};

use crate::base::addr::Va;
use crate::base::bytes;
use crate::base::problems::Problems;

use super::lists::{ListShape, sized_list_with_wide_count};
use super::stream_kind::StreamKind;

/// A 32-bit process cannot have more regions than its million pages; 64-bit processes stay far below this.
const MAX_REGIONS: u64 = 2 << 20;

/// One entry, with the values of MEMORY_BASIC_INFORMATION as they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemoryInfoRecord {
    pub base: Va,
    pub allocation_base: Va,
    pub allocation_protect: u32,
    pub size_bytes: u64,
    /// MEM_COMMIT 0x1000, MEM_RESERVE 0x2000, MEM_FREE 0x10000.
    pub state: u32,
    pub protect: u32,
    /// MEM_PRIVATE 0x20000, MEM_MAPPED 0x40000, MEM_IMAGE 0x1000000; 0 for free memory.
    pub memory_type: u32,
}

/// The entries that are in the file.
pub struct MemoryInfoList {
    pub records: Vec<MemoryInfoRecord>,
    /// Whether those are all that the list names.
    pub is_whole: bool,
}

pub fn read_memory_info(stream: &[u8], problems: &mut Problems) -> MemoryInfoList {
    let shape = ListShape { kind: StreamKind::MEMORY_INFO_LIST, entry_bytes: 48, max_entries: MAX_REGIONS };
    let list = sized_list_with_wide_count(stream, shape, problems);
    let records: Vec<MemoryInfoRecord> = list
        .iter()
        .filter_map(|entry| {
            Some(MemoryInfoRecord {
                base: Va(bytes::u64_at(entry, 0)?),
                allocation_base: Va(bytes::u64_at(entry, 8)?),
                allocation_protect: bytes::u32_at(entry, 0x10)?,
                size_bytes: bytes::u64_at(entry, 0x18)?,
                state: bytes::u32_at(entry, 0x20)?,
                protect: bytes::u32_at(entry, 0x24)?,
                memory_type: bytes::u32_at(entry, 0x28)?,
            })
        })
        .collect();
    MemoryInfoList { is_whole: list.is_whole() && !records.is_empty(), records }
}
