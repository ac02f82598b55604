//! Large databases are walked in parts; the result is the same as in one piece.

use super::build_indexed::{Block, Database, Windows};
use super::{only_store, stack};

#[test]
fn parts_and_damage_at_their_borders_lose_nothing() {
    // Parts are 4 MiB; this area is about 9.
    let blocks: Vec<Block> = (0..60_000_u32)
        .map(|entry| Block::of(stack(u64::from(entry % 97), 5 + u64::from(entry % 23)), 9, entry + 1))
        .collect();
    let database = Database {
        windows: Windows::Seven,
        pointer_bytes: 8,
        base: 0x1000_0000,
        reserved_bytes: 0x0100_0000,
        bucket_count: 9551,
        blocks,
    };
    let written = database.write();
    let store = only_store(&written.memory, &[written.extent], &[]);
    assert_eq!((store.entry_count, store.verified_entry_count, store.lost_bytes), (60_000, 60_000, 0));
    assert_eq!(store.unique.count(), 97 * 23);
    let first = written.places[0];
    let border = first + (4 << 20);
    let before = written.places.partition_point(|place| *place < border);
    for (damaged_from, damaged_to) in [(before - 1, before), (before, before + 1), (before - 3, before + 4)] {
        let mut memory = written.memory.clone();
        let (start, end) = (written.places[damaged_from], written.places[damaged_to]);
        memory.bytes_mut(start, end - start).fill(0xcc);
        let damaged = only_store(&memory, &[written.extent], &[]);
        let lost_count = (damaged_to - damaged_from) as u64;
        assert_eq!(damaged.entry_count, 60_000 - lost_count);
        assert_eq!(damaged.lost_bytes, end - start);
        let sum: u64 = damaged.unique.iter().map(|stack| stack.entry_count).sum();
        assert_eq!(sum, damaged.entry_count);
    }
}
