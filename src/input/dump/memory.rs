//! Memory of the process as it lies in the file. Nothing is copied; a range cut off by the end of the file keeps its start.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::addr::{FileOffset, Va, VaRange};
use crate::base::bytes;
use crate::base::memory::ReadMemory;
use crate::base::problems::Problems;

use super::lists::{ListShape, counted_list};
use super::mapping::Mapping;
use super::stream_kind::StreamKind;

const MAX_RANGES: u64 = 4 << 20;

/// One run of addresses whose bytes lie in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryRange {
    pub range: VaRange,
    pub offset: FileOffset,
}

/// All memory in the dump.
///
/// **Invariant:** ranges are sorted by address, do not overlap, and lie in the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "MemorySize", from = "MemorySize")]
pub struct DumpMemory {
    file: Arc<Mapping>,
    ranges: Vec<MemoryRange>,
    cut_off_bytes: u64,
    /// Memory of the dump that a case capsule does not hold; `None` for a dump itself.
    left_out_bytes: Option<u64>,
}

/// All that a case capsule keeps of a process's memory.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct MemorySize {
    size_bytes: u64,
    cut_off_bytes: u64,
}

impl From<DumpMemory> for MemorySize {
    fn from(memory: DumpMemory) -> Self {
        Self { size_bytes: memory.size_bytes(), cut_off_bytes: memory.cut_off_bytes }
    }
}

impl From<MemorySize> for DumpMemory {
    fn from(size: MemorySize) -> Self {
        Self {
            file: Arc::new(Mapping::nothing()),
            ranges: Vec::new(),
            cut_off_bytes: size.cut_off_bytes,
            left_out_bytes: Some(size.size_bytes),
        }
    }
}

/// What a memory list names.
#[derive(Debug, Clone, Default)]
pub struct ListedMemory {
    /// What of it lies in the file.
    pub ranges: Vec<MemoryRange>,
    /// What lies behind the file's end.
    pub cut_off_bytes: u64,
}

impl DumpMemory {
    pub fn new(file: Arc<Mapping>, listed: ListedMemory) -> Self {
        let ranges = sorted_without_overlap(listed.ranges);
        Self { file, ranges, cut_off_bytes: listed.cut_off_bytes, left_out_bytes: None }
    }

    /// Whether this is the memory of a dump in a case capsule, which has only its size.
    pub const fn is_left_out(&self) -> bool {
        self.left_out_bytes.is_some()
    }

    /// Memory that the dump lists and the file does not hold, because it ends too early.
    pub const fn cut_off_bytes(&self) -> u64 {
        self.cut_off_bytes
    }

    /// The whole file that the memory lies in.
    pub fn file_bytes(&self) -> &[u8] {
        &self.file
    }

    pub fn ranges(&self) -> &[MemoryRange] {
        &self.ranges
    }

    /// How much of the process's memory the dump holds.
    pub fn size_bytes(&self) -> u64 {
        if let Some(left_out_bytes) = self.left_out_bytes {
            return left_out_bytes;
        }
        self.ranges.iter().map(|range| range.range.size_bytes()).fold(0, u64::saturating_add)
    }
}

impl ReadMemory for DumpMemory {
    fn bytes_at(&self, va: Va, length: u64) -> &[u8] {
        let after = self.ranges.partition_point(|range| range.range.start <= va);
        let found = after.checked_sub(1).and_then(|index| self.ranges.get(index));
        let Some(range) = found.filter(|range| range.range.contains(va)) else { return &[] };
        let Some(into_range) = va.offset_from(range.range.start) else { return &[] };
        let available = range.range.size_bytes().saturating_sub(into_range);
        bytes::available_at(&self.file, range.offset.0.saturating_add(into_range), length.min(available))
    }

    fn next_at(&self, va: Va) -> Option<Va> {
        let first = self.ranges.partition_point(|range| range.range.end <= va);
        self.ranges.get(first).map(|range| range.range.start.max(va))
    }
}

/// Sorts by address, cuts what an earlier range already covers, and joins ranges that go on in memory and in the file.
fn sorted_without_overlap(mut listed: Vec<MemoryRange>) -> Vec<MemoryRange> {
    listed.sort_by_key(|range| (range.range.start, std::cmp::Reverse(range.range.end)));
    let mut ranges: Vec<MemoryRange> = Vec::new();
    for mut next in listed {
        if let Some(last) = ranges.last_mut() {
            let covered_bytes = last.range.end.0.saturating_sub(next.range.start.0);
            if covered_bytes >= next.range.size_bytes() {
                continue;
            }
            next.range.start = Va(next.range.start.0.saturating_add(covered_bytes));
            next.offset = FileOffset(next.offset.0.saturating_add(covered_bytes));
            let goes_on = last.range.end == next.range.start
                && last.offset.0.saturating_add(last.range.size_bytes()) == next.offset.0;
            if goes_on {
                last.range.end = next.range.end;
                continue;
            }
        }
        if !next.range.is_empty() {
            ranges.push(next);
        }
    }
    ranges
}

/// Ranges of the 64-bit list: MINIDUMP_MEMORY64_LIST, all data in one run from `BaseRva` on, to the end of the file.
pub fn read_memory64_list(stream: &[u8], file: &[u8], problems: &mut Problems) -> ListedMemory {
    let kind = StreamKind::MEMORY64_LIST;
    let (Some(count), Some(base)) = (bytes::u64_at(stream, 0), bytes::u64_at(stream, 8)) else {
        problems.damage(kind.to_string(), "has no room for its head; the memory is left out");
        return ListedMemory::default();
    };
    let descriptors = bytes::available_at(stream, 16, u64::MAX);
    let fitting_count = (descriptors.len() as u64) / 16;
    if count > fitting_count {
        problems.damage(
            kind.to_string(),
            format!("names {count} ranges, {fitting_count} of them are in the file; those are used"),
        );
    }
    let mut cut = CutRanges::default();
    let mut ranges = Vec::new();
    let mut offset = base;
    for index in 0..count.min(fitting_count).min(MAX_RANGES) {
        let at = index.saturating_mul(16);
        let (Some(start), Some(size_bytes)) =
            (bytes::u64_at(descriptors, at), bytes::u64_at(descriptors, at.saturating_add(8)))
        else {
            break;
        };
        cut.add(&mut ranges, start, size_bytes, offset, file.len() as u64);
        offset = offset.saturating_add(size_bytes);
    }
    cut.report(kind, problems);
    ListedMemory { ranges, cut_off_bytes: cut.listed_bytes.saturating_sub(cut.found_bytes) }
}

/// Ranges of the 32-bit list: MINIDUMP_MEMORY_LIST of MINIDUMP_MEMORY_DESCRIPTORs (16 bytes).
pub fn read_memory_list(stream: &[u8], file: &[u8], problems: &mut Problems) -> ListedMemory {
    let kind = StreamKind::MEMORY_LIST;
    let list = counted_list(stream, ListShape { kind, entry_bytes: 16, max_entries: MAX_RANGES }, problems);
    let mut cut = CutRanges::default();
    let mut ranges = Vec::new();
    for entry in list.iter() {
        let (Some(start), Some(size_bytes), Some(offset)) =
            (bytes::u64_at(entry, 0), bytes::u32_at(entry, 8), bytes::u32_at(entry, 12))
        else {
            break;
        };
        cut.add(&mut ranges, start, u64::from(size_bytes), u64::from(offset), file.len() as u64);
    }
    cut.report(kind, problems);
    ListedMemory { ranges, cut_off_bytes: cut.listed_bytes.saturating_sub(cut.found_bytes) }
}

/// Counts what the end of the file, or of the address space, cuts off: one line for all, not one for each.
#[derive(Default)]
struct CutRanges {
    range_count: u64,
    listed_bytes: u64,
    found_bytes: u64,
}

impl CutRanges {
    fn add(&mut self, ranges: &mut Vec<MemoryRange>, start: u64, size_bytes: u64, offset: u64, file_bytes: u64) {
        let room_bytes = file_bytes.saturating_sub(offset);
        let range = VaRange::from_size(Va(start), size_bytes.min(room_bytes));
        self.listed_bytes = self.listed_bytes.saturating_add(size_bytes);
        self.found_bytes = self.found_bytes.saturating_add(range.size_bytes());
        if range.size_bytes() < size_bytes {
            self.range_count = self.range_count.saturating_add(1);
        }
        if !range.is_empty() {
            ranges.push(MemoryRange { range, offset: FileOffset(offset) });
        }
    }

    fn report(&self, kind: StreamKind, problems: &mut Problems) {
        if self.range_count > 0 {
            problems.damage(
                kind.to_string(),
                format!(
                    "lists {} bytes of memory, the file holds {} of them; {} ranges are cut off",
                    self.listed_bytes, self.found_bytes, self.range_count
                ),
            );
        }
    }
}
