//! Damaged and lying stores: nothing panics, nothing runs in circles, nothing outside is read as an entry.

use proptest::prelude::*;

use super::super::{Hints, decode_store, entries_in, find_stores};
use super::build_indexed::{Database, Windows};
use super::build_log::Log;
use super::indexed::{ALL, blocks, database};
use super::{Memory, find, only_store, range, stack};
use crate::base::addr::{Va, VaRange};
use crate::base::memory;
use crate::base::progress::Progress;

#[test]
fn damaged_middle_is_named_and_stepped_over() {
    for (windows, pointer_bytes) in ALL {
        let mut written = database(windows, pointer_bytes, blocks(windows)).write();
        let (start, end) = (written.places[90], written.places[95]);
        written.memory.bytes_mut(start, end - start).fill(0xcc);
        let store = only_store(&written.memory, &[written.extent], &[]);
        assert_eq!(store.entry_count, 195, "{windows:?}, {pointer_bytes}");
        assert_eq!(store.lost_bytes, end - start, "{windows:?}, {pointer_bytes}");
        assert!(store.problems.has_damage());
        let text = store.problems.iter().map(|problem| problem.text.as_str()).collect::<String>();
        assert!(text.contains(&format!("{start:#x}")) && text.contains(&format!("{end:#x}")), "{text}");
        assert!(store.verified_entry_count < 195 && store.verified_entry_count > 150);
    }
}

#[test]
fn missing_middle_is_stepped_over() {
    for (windows, pointer_bytes) in ALL {
        let written = database(windows, pointer_bytes, blocks(windows)).write();
        let start = (written.places[20] | 0xfff) + 1;
        let end = start + 0x1000;
        let lost = |place: &(usize, &u64)| {
            let next = written.places.get(place.0 + 1).copied().unwrap_or(written.next_free_lower);
            *place.1 < end && next > start
        };
        let lost_count = written.places.iter().enumerate().filter(lost).count() as u64;
        let memory = written.memory.clone().without(start, end);
        let store = only_store(&memory, &[written.extent], &[]);
        assert_eq!(store.entry_count, 200 - lost_count, "{windows:?}, {pointer_bytes}");
        assert_eq!(store.missing_bytes, 0x1000);
        assert!(store.missing_entry_count > 0 && store.missing_entry_count <= lost_count);
        assert!(!store.problems.has_damage(), "{:?}", store.problems);
    }
}

#[test]
fn index_array_knows_the_entry_that_nothing_else_proves() {
    // After the gap a single whole entry, then damage: two in a row are not there, but the array names it.
    let mut written = database(Windows::Seven, 8, blocks(Windows::Seven)).write();
    let gap_start = (written.places[20] | 0xfff) + 1;
    let gap_end = gap_start + 0x1000;
    let alone = written.places.iter().position(|place| *place >= gap_end).unwrap();
    assert_ne!((alone % 40) % 4, 3, "has an index");
    let next = written.places[alone + 1];
    written.memory.bytes_mut(next, written.next_free_lower - next).fill(0xcc);
    let store = only_store(&written.memory.clone().without(gap_start, gap_end), &[written.extent], &[]);
    let last = store.unique.iter().map(|stack| stack.last_index).max().flatten();
    assert_eq!(last, Some(alone as u32 + 1));
}

#[test]
fn runs_that_adjoin_in_memory_are_read_as_one() {
    let written = database(Windows::Seven, 8, blocks(Windows::Seven)).write();
    let whole = only_store(&written.memory, &[written.extent], &[]);
    let mut pieces = Memory::default();
    for (start, bytes) in &written.memory.ranges {
        for (index, piece) in bytes.chunks(0x130).enumerate() {
            pieces = pieces.with(start + index as u64 * 0x130, piece.to_vec());
        }
    }
    // The header must lie in one piece to be read.
    pieces.ranges.retain(|(start, _)| *start >= 0x0024_0000 + 0x1300);
    pieces = pieces.with(0x0024_0000, written.memory.ranges[0].1[..0x1300].to_vec());
    let split = only_store(&pieces, &[written.extent], &[]);
    assert_eq!((split.entry_count, split.unique.count()), (whole.entry_count, whole.unique.count()));
    assert_eq!(split.verified_entry_count, 200);
    assert_eq!(split.lost_bytes, 0);
}

#[test]
fn lying_headers_are_refused_or_read_within_bounds() {
    let written = database(Windows::Seven, 8, blocks(Windows::Seven)).write();
    let values =
        [0, 1, 0x0024_0000, 0x0024_0001, 0x0028_0000, 0x7fff_ffff_f000, u64::MAX, u64::MAX - 0xfff, 0xffff_ffff];
    for offset in (0x70..0xd0).step_by(8).chain([0x2d0, 0x2d8]) {
        for value in values {
            let mut memory = written.memory.clone();
            memory.bytes_mut(0x0024_0000 + offset, 8).copy_from_slice(&value.to_le_bytes());
            decode_all(&memory, &[written.extent]);
        }
    }
}

#[test]
fn hash_chains_in_a_circle_are_not_followed() {
    let mut written = database(Windows::Seven, 8, blocks(Windows::Seven)).write();
    let place = written.places[3];
    written.memory.bytes_mut(place, 8).copy_from_slice(&place.to_le_bytes());
    let store = only_store(&written.memory, &[written.extent], &[]);
    assert_eq!(store.entry_count, 200);
    assert_eq!(store.verified_entry_count, 195, "the bucket with the circle proves nothing");
}

/// Decodes whatever is found, and holds each entry to lie in its store.
fn decode_all(memory: &Memory, candidates: &[VaRange]) {
    let found = find_stores(memory, candidates, &[], Hints::default(), &Progress::default()).unwrap();
    for header in &found.stores {
        let (store, unique) = decode_store(memory, header, &Progress::default()).unwrap();
        let homes = store.header.regions();
        let is_inside = |va: Va| homes.iter().any(|home| home.contains(va));
        assert!(unique.iter().all(|stack| is_inside(stack.first_entry)));
        let sum: u64 = unique.iter().map(|stack| stack.entry_count).sum();
        assert_eq!(sum, store.entry_count);
        let mut previous_end = 0;
        for entry in entries_in(memory, &store.header, range(0, u64::MAX)).take(10_000) {
            assert!(is_inside(entry.va) && entry.va.0 >= previous_end);
            previous_end = entry.va.0 + entry.size_bytes;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_in_a_database_never_panic(
        which in 0..ALL.len(),
        flips in proptest::collection::vec((0_u64..0x4_0000, any::<u8>()), 1..60),
        header_flips in proptest::collection::vec((0_u64..0x300, any::<u8>()), 0..3),
    ) {
        let (windows, pointer_bytes) = ALL[which];
        let small: Vec<_> = blocks(windows).into_iter().take(60).collect();
        let mut written = Database { bucket_count: 19, ..database(windows, pointer_bytes, small) }.write();
        for (offset, value) in flips.into_iter().chain(header_flips) {
            let va = 0x0024_0000 + offset;
            if memory::u8_at(&written.memory, Va(va)).is_some() {
                written.memory.bytes_mut(va, 1)[0] ^= value;
            }
        }
        decode_all(&written.memory, &[written.extent]);
    }

    #[test]
    fn flipped_bytes_in_a_heap_log_never_panic(
        is_wide: bool,
        flips in proptest::collection::vec((0_u64..0x1_0000, any::<u8>()), 1..60),
    ) {
        let stacks = (0..300).map(|number| stack(number, 1 + number % 32)).collect();
        let pointer_bytes = if is_wide { 8 } else { 4 };
        let mut written = Log { pointer_bytes, base: 0x0300_0000, stacks, is_hash_sum: true }.write();
        for (offset, value) in flips {
            written.memory.bytes_mut(0x0300_0000 + offset, 1)[0] ^= value;
        }
        decode_all(&written.memory, &written.zones);
    }

    #[test]
    fn any_bytes_at_all_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0x10..0x1000)) {
        let memory = Memory::default().with(0x1_0000, bytes);
        prop_assert!(find(&memory, &[range(0x1_0000, 0x2_0000)], &[]).len() < 2);
    }
}
