//! Heap trace logs of both widths.

use super::super::{FoundBy, Hints, StoreKind, entries_in, entry_at, find_stores, unique_stacks_in};
use super::build_log::{Log, WrittenLog};
use super::{addresses, decode, find, only_store, range, stack};
use crate::base::addr::{Va, VaRange};
use crate::base::progress::Progress;

fn module() -> VaRange {
    range(0x7780_0000, 0x7fff_0000)
}

fn written(pointer_bytes: u64, is_hash_sum: bool) -> WrittenLog {
    let stacks = (0..1200).map(|number| stack(number, 3 + number % 30)).collect();
    Log { pointer_bytes, base: 0x0300_0000, stacks, is_hash_sum }.write()
}

#[test]
fn both_widths_decode_whole() {
    for (pointer_bytes, is_hash_sum) in [(8, true), (8, false), (4, true), (4, false)] {
        let name = format!("{pointer_bytes}, {is_hash_sum}");
        let written = written(pointer_bytes, is_hash_sum);
        let store = only_store(&written.memory, &written.zones, &[module()]);
        assert_eq!((store.header.kind, store.header.found_by), (StoreKind::HeapLog, FoundBy::Structure), "{name}");
        assert_eq!(store.header.width.bytes(), pointer_bytes, "{name}");
        assert_eq!(store.header.base, Va(written.header), "{name}");
        assert_eq!(store.header.regions(), written.zones, "{name}");
        assert_eq!((store.entry_count, store.unique.count()), (1200, 1200), "{name}");
        assert_eq!((store.verified_entry_count, store.orphan_entry_count), (1200, 0), "{name}");
        assert_eq!(store.truncated_entry_count, 40, "{name}");
        let passed: Vec<_> = store.evidence.iter().map(|check| check.passed).collect();
        assert_eq!(passed, [Some(is_hash_sum), Some(true), Some(true), Some(true)], "{name}");
    }
}

#[test]
fn header_that_is_not_there_leaves_orphans() {
    let written = written(8, true);
    let first = written.zones[0];
    let memory = written.memory.without(first.start.0, first.end.0);
    let store = only_store(&memory, &written.zones, &[]);
    assert_eq!(store.header.found_by, FoundBy::Records);
    assert_eq!(store.orphan_zones, written.zones[1..]);
    assert_eq!(store.orphan_entry_count, store.entry_count);
    assert!(store.entry_count > 500);
    assert_eq!(store.verified_entry_count, 0);
}

#[test]
fn zones_that_the_header_does_not_reach_are_orphans() {
    let written = written(4, true);
    let other = Log { base: 0x0900_0000, pointer_bytes: 4, stacks: vec![stack(7, 9); 3], is_hash_sum: true }.write();
    let mut memory = written.memory;
    for (start, bytes) in other.memory.ranges {
        memory = memory.with(start, bytes);
    }
    // The other header is spoilt, so its zone belongs to nobody.
    memory.bytes_mut(other.header, 8).fill(0);
    let candidates: Vec<VaRange> = written.zones.iter().chain(&other.zones).copied().collect();
    let store = only_store(&memory, &candidates, &[]);
    assert_eq!(store.orphan_zones, other.zones);
    assert_eq!((store.entry_count, store.orphan_entry_count), (1203, 3));
}

#[test]
fn chains_in_a_circle_end() {
    let mut written = written(8, true);
    let (first, last) = (written.places[0], *written.places.last().unwrap());
    written.memory.bytes_mut(first, 8).copy_from_slice(&last.to_le_bytes());
    written.memory.bytes_mut(last, 8).copy_from_slice(&first.to_le_bytes());
    let store = only_store(&written.memory, &written.zones, &[]);
    assert_eq!((store.entry_count, store.orphan_entry_count), (1200, 0));
    assert!(store.verified_entry_count < 1200);
}

#[test]
fn single_records_and_parts() {
    let written = written(8, true);
    let header = &find(&written.memory, &written.zones, &[])[0];
    let record = entry_at(&written.memory, header, Va(written.places[5])).unwrap();
    assert_eq!(record.frames, addresses(&stack(5, 8)));
    assert_eq!((record.use_count, record.index), (None, None));
    let zone = written.zones[1];
    let listed: Vec<Va> = entries_in(&written.memory, header, zone).map(|entry| entry.va).collect();
    let expected: Vec<Va> = written.places.iter().copied().map(Va).filter(|va| zone.contains(*va)).collect();
    assert_eq!(listed, expected);
    let unique = unique_stacks_in(&written.memory, header, zone, &Progress::default()).unwrap();
    assert_eq!(unique.count(), expected.len() as u64);
    assert_eq!(decode(&written.memory, header).entry_count, 1200);
}

#[test]
fn pointer_variable_leads_to_a_header_deep_in_an_allocation() {
    let written = written(4, true);
    let hints = Hints { heap_log_32: Some(Va(written.header)), ..Hints::default() };
    let found = find_stores(&written.memory, &written.zones, &[], hints, &Progress::default()).unwrap();
    assert_eq!(found.stores[0].found_by, FoundBy::Symbol);
    assert!(found.problems.is_empty());
}

#[test]
fn ordinary_memory_of_64_kib_is_no_zone() {
    let lists: Vec<u8> = (0..0x2000_u64).flat_map(|at| (0x1_3fcc_0000 + (at & !1) * 8).to_le_bytes()).collect();
    let zeros = vec![0; 0x1_0000];
    let memory = super::Memory::default().with(0x1_3fcc_0000, lists).with(0x0300_0000, zeros);
    let candidates = [range(0x1_3fcc_0000, 0x1_3fcd_0000), range(0x0300_0000, 0x0301_0000)];
    assert!(find(&memory, &candidates, &[module()]).is_empty());
}
