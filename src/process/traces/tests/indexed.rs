//! Whole indexed databases of each generation and width.

use super::super::{
    FoundBy, Generation, Hints, StoreKind, UniqueStack, entries_in, entry_around, entry_at, find_stores,
    unique_stacks_in,
};
use super::build_indexed::{Block, Database, Windows, Written};
use super::{addresses, decode, find, only_store, range, stack};
use crate::base::addr::{PointerWidth, Va};
use crate::base::progress::Progress;

pub(super) const ALL: [(Windows, u64); 6] = [
    (Windows::Seven, 8),
    (Windows::Seven, 4),
    (Windows::Vista, 8),
    (Windows::Vista, 4),
    (Windows::Xp, 8),
    (Windows::Xp, 4),
];

/// 40 stacks of 1 to 32 frames, each entered five times, some without an index.
pub(super) fn blocks(windows: Windows) -> Vec<Block> {
    let mut blocks = Vec::new();
    for round in 0..5_u32 {
        for number in 0..40_u32 {
            let entry = round * 40 + number + 1;
            let has_index = windows == Windows::Xp || number % 4 != 3;
            let depth = u64::from(number % 32) + 1;
            let count = if number % 2 == 0 { 0x7ff } else { 3 };
            blocks.push(Block::of(stack(number.into(), depth), count, if has_index { entry } else { 0 }));
        }
    }
    blocks
}

pub(super) fn database(windows: Windows, pointer_bytes: u64, blocks: Vec<Block>) -> Database {
    let bucket_count = if windows == Windows::Seven { 5569 } else { 137 };
    Database { windows, pointer_bytes, base: 0x0024_0000, reserved_bytes: 0x4_0000, bucket_count, blocks }
}

fn written(windows: Windows, pointer_bytes: u64) -> Written {
    database(windows, pointer_bytes, blocks(windows)).write()
}

#[test]
fn every_generation_and_width_decodes_whole() {
    for (windows, pointer_bytes) in ALL {
        let name = format!("{windows:?}, {pointer_bytes}");
        let written = written(windows, pointer_bytes);
        let store = only_store(&written.memory, &[written.extent], &[]);
        let generation = match windows {
            Windows::Xp => Generation::Xp,
            Windows::Vista => Generation::Vista,
            Windows::Seven => Generation::Seven,
        };
        assert_eq!((store.header.kind, store.header.generation), (StoreKind::Indexed, Some(generation)), "{name}");
        assert_eq!(store.header.width.bytes(), pointer_bytes, "{name}");
        assert_eq!(store.header.reserved, written.extent, "{name}");
        assert!(store.evidence.iter().all(|check| check.passed == Some(true)), "{name}: {:#?}", store.evidence);
        assert_eq!((store.entry_count, store.free_entry_count, store.unique.count()), (200, 0, 40), "{name}");
        assert_eq!(store.verified_entry_count, 200, "{name}");
        assert_eq!(store.truncated_entry_count, 5, "{name}");
        // XP counts in 32 bits and stops nowhere.
        let saturated_count = if windows == Windows::Xp { 0 } else { 100 };
        assert_eq!(store.saturated_entry_count, saturated_count, "{name}");
        assert_eq!(store.use_count, 100 * 0x7ff + 100 * 3, "{name}");
        assert!(store.problems.is_empty() && store.lost_bytes == 0, "{name}: {:?}", store.problems);
        let third_frames = addresses(&stack(2, 3));
        let is_third = |stack: &&UniqueStack| store.unique.frames(&written.memory, stack) == third_frames;
        let third = store.unique.iter().find(is_third).unwrap();
        assert_eq!((third.entry_count, third.use_count), (5, 5 * 0x7ff), "{name}");
        assert_eq!((third.first_index, third.last_index), (Some(3), Some(163)), "{name}");
        assert_eq!(third.first_entry, Va(written.places[2]), "{name}");
    }
}

#[test]
fn reused_blocks_keep_their_size_and_free_ones_count_apart() {
    for (windows, pointer_bytes) in &ALL[..4] {
        let mut blocks = blocks(*windows);
        blocks[10].slot_count = Some(20);
        blocks[11].slot_count = Some(32);
        blocks[12].is_free = true;
        blocks[50].is_free = true;
        let written = database(*windows, *pointer_bytes, blocks).write();
        let store = only_store(&written.memory, &[written.extent], &[]);
        assert_eq!((store.entry_count, store.free_entry_count), (198, 2), "{windows:?}, {pointer_bytes}");
        assert!(store.problems.is_empty(), "{:?}", store.problems);
        assert_eq!(store.verified_entry_count, 198);
        let free = entry_at(&written.memory, &store.header, Va(written.places[12])).unwrap();
        assert!(free.is_free && free.frames.is_empty());
    }
}

#[test]
fn one_entry_tells_its_own_fields() {
    let written = written(Windows::Seven, 4);
    let header = &find(&written.memory, &[written.extent], &[])[0];
    let entry = entry_at(&written.memory, header, Va(written.places[160])).unwrap();
    assert_eq!((entry.index, entry.use_count, entry.is_saturated), (Some(161), Some(0x7ff), true));
    assert_eq!(entry.next_in_bucket, Va(written.places[120]), "the newest entry stands at the front");
    assert_eq!(entry.is_chain_right, Some(true));
    assert_eq!(entry.slot_count, Some(1));
    assert_eq!(entry.frames, addresses(&stack(0, 1)));
    assert_eq!(entry_at(&written.memory, header, Va(written.places[160] + 4)), None);
    assert_eq!(entry_at(&written.memory, header, written.extent.end), None);
    assert_eq!(entry_at(&written.memory, header, Va(u64::MAX)), None);
}

#[test]
fn region_has_its_own_stacks() {
    let written = written(Windows::Seven, 8);
    let header = &find(&written.memory, &[written.extent], &[])[0];
    // From the midst of entry 41 to the start of entry 81.
    let part = range(written.places[41] + 8, written.places[81]);
    let listed: Vec<Va> = entries_in(&written.memory, header, part).map(|entry| entry.va).collect();
    let expected: Vec<Va> = written.places[42..81].iter().copied().map(Va).collect();
    assert_eq!(listed, expected);
    let unique = unique_stacks_in(&written.memory, header, part, &Progress::default()).unwrap();
    assert_eq!(unique.count(), 39);
    let all = unique_stacks_in(&written.memory, header, header.reserved, &Progress::default()).unwrap();
    assert_eq!(all.count(), decode(&written.memory, header).unique.count());
}

#[test]
fn any_address_in_an_entry_leads_to_it() {
    for (windows, pointer_bytes) in ALL {
        let written = written(windows, pointer_bytes);
        let header = &find(&written.memory, &[written.extent], &[])[0];
        for (index, place) in written.places.iter().enumerate() {
            let end = written.places.get(index + 1).copied().unwrap_or(written.next_free_lower);
            for va in [*place, *place + 5, end - 1] {
                let entry = entry_around(&written.memory, header, Va(va)).unwrap();
                assert_eq!(
                    (entry.va, entry.size_bytes),
                    (Va(*place), end - place),
                    "{windows:?} {pointer_bytes} {va:#x}"
                );
            }
        }
        assert_eq!(entry_around(&written.memory, header, Va(written.next_free_lower)), None);
        assert_eq!(entry_around(&written.memory, header, written.extent.start), None);
    }
}

#[test]
fn several_databases_and_both_widths_in_one_process() {
    let wide = written(Windows::Seven, 8);
    let narrow = Database { base: 0x0070_0000, ..database(Windows::Seven, 4, blocks(Windows::Seven)) }.write();
    let empty = Database { base: 0x0100_0000, ..database(Windows::Seven, 8, Vec::new()) }.write();
    let mut memory = wide.memory;
    for (start, bytes) in narrow.memory.ranges.into_iter().chain(empty.memory.ranges) {
        memory = memory.with(start, bytes);
    }
    let candidates = [empty.extent, range(0x10_0000, 0x20_0000), narrow.extent, wide.extent];
    let found = find(&memory, &candidates, &[]);
    let widths: Vec<PointerWidth> = found.iter().map(|store| store.width).collect();
    assert_eq!(widths, [PointerWidth::Bits64, PointerWidth::Bits32, PointerWidth::Bits64]);
    assert_eq!(decode(&memory, &found[2]).entry_count, 0);
}

#[test]
fn pointer_variable_is_followed_and_a_wrong_one_reported() {
    let written = written(Windows::Seven, 8);
    let hints = Hints { database_64: Some(written.extent.start), ..Hints::default() };
    let found = find_stores(&written.memory, &[written.extent], &[], hints, &Progress::default()).unwrap();
    assert_eq!(found.stores.iter().map(|store| store.found_by).collect::<Vec<_>>(), [FoundBy::Symbol]);
    let hints = Hints { database_64: Some(Va(0x1000)), database_32: Some(written.extent.start), ..Hints::default() };
    let found = find_stores(&written.memory, &[written.extent], &[], hints, &Progress::default()).unwrap();
    assert_eq!(found.stores.iter().map(|store| store.found_by).collect::<Vec<_>>(), [FoundBy::Structure]);
    assert_eq!(found.problems.len(), 2);
}

#[test]
fn cancel_stops_finding_and_decoding() {
    let written = written(Windows::Seven, 8);
    let header = &find(&written.memory, &[written.extent], &[])[0];
    let progress = Progress::default();
    progress.cancel();
    assert!(super::super::decode_store(&written.memory, header, &progress).is_err());
    assert!(find_stores(&written.memory, &[written.extent], &[], Hints::default(), &progress).is_err());
}
