//! Memory of the process as the dump holds it: both lists, cut and overlapping ranges.

use dumptrend::base::addr::Va;
use dumptrend::base::memory::{ReadMemory, u64_at};
use dumptrend::sample::minidump_file::{MemoryRange, MinidumpFile};

use crate::support::build_dump::{bytes, damage, open, open_bytes, x64_dump};

fn range(start: u64, filler: u8, size_bytes: usize) -> MemoryRange {
    MemoryRange::of_bytes(Va(start), vec![filler; size_bytes])
}

/// Opens the dump and compares its ranges, as start and size.
fn check(file: &MinidumpFile, expect: &[(u64, u64)]) {
    let dump = open(file);
    let ranges: Vec<_> =
        dump.memory.ranges().iter().map(|range| (range.range.start.0, range.range.size_bytes())).collect();
    assert_eq!(ranges, expect);
    assert_eq!(dump.memory.size_bytes(), expect.iter().map(|(_, size_bytes)| size_bytes).sum::<u64>());
}

#[test]
fn both_lists_are_used_together() {
    let file = x64_dump().memory64(vec![range(0x1000, 1, 16)]).memory(vec![range(0x9000, 2, 8)]);
    check(&file, &[(0x1000, 16), (0x9000, 8)]);
    let dump = open(&file);
    assert_eq!(dump.memory.bytes_at(Va(0x1008), 100), [1; 8]);
    assert_eq!(dump.memory.bytes_at(Va(0x9000), 4), [2; 4]);
    assert_eq!(dump.memory.bytes_at(Va(0x1010), 4), [0; 0]);
    assert_eq!(dump.memory.bytes_at(Va(0xfff), 4), [0; 0]);
    assert_eq!(u64_at(&dump.memory, Va(0x9000)), Some(0x0202_0202_0202_0202));
    assert_eq!(u64_at(&dump.memory, Va(0x9001)), None);
}

#[test]
fn neighbours_in_memory_and_file_become_one() {
    check(&x64_dump().memory64(vec![range(0x1000, 1, 16), range(0x1010, 2, 16)]), &[(0x1000, 32)]);
}

#[test]
fn neighbours_in_memory_alone_stay_apart() {
    check(&x64_dump().memory64(vec![range(0x1010, 1, 16), range(0x1000, 2, 16)]), &[(0x1000, 16), (0x1010, 16)]);
}

#[test]
fn what_an_earlier_range_covers_is_not_listed_again() {
    let file = x64_dump().memory64(vec![range(0x1000, 1, 0x20), range(0x1010, 2, 0x20), range(0x1008, 3, 8)]);
    check(&file, &[(0x1000, 0x20), (0x1020, 0x10)]);
    assert_eq!(open(&file).memory.bytes_at(Va(0x1020), 1), [2]);
}

#[test]
fn a_list_cut_by_the_end_of_the_file_keeps_its_start() {
    let file = x64_dump().memory64(vec![range(0x1000, 1, 0x100), range(0x8000, 2, 0x100)]);
    let mut cut = bytes(&file);
    cut.truncate(cut.len() - 0x140);
    let dump = open_bytes(cut);
    assert_eq!(dump.memory.size_bytes(), 0xc0);
    assert_eq!(dump.memory.bytes_at(Va(0x1000), 0x1000).len(), 0xc0);
    assert_eq!(
        damage(&dump),
        ["stream 9 (memory64 list): lists 512 bytes of memory, the file holds 192 of them; 2 ranges are cut off"]
    );
}

#[test]
fn a_range_at_the_top_of_the_address_space_does_not_wrap() {
    check(&x64_dump().memory64(vec![range(u64::MAX - 7, 1, 16)]), &[(u64::MAX - 7, 7)]);
}

#[test]
fn an_empty_range_is_no_range() {
    check(&x64_dump().memory64(vec![range(0x1000, 1, 0), range(0x2000, 1, 1)]), &[(0x2000, 1)]);
}
