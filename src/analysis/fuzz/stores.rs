//! Trace stores in the memory of a made-up process: found, decoded, listed, and held to what must be so of any store.

use std::collections::BTreeSet;

use crate::base::addr::{Va, VaRange};
use crate::base::progress::Progress;
use crate::process::traces::{
    Entry, Health, StoreKind, TraceStore, UniqueStacks, decode_store, entries_in, entry_at, find_stores,
    unique_stacks_in,
};

use super::process_image::ProcessImage;

/// The smallest entry of any layout has at least this: a link of 4 bytes and 8 bytes of fields.
const LEAST_ENTRY_BYTES: u64 = 12;
/// Entries that are looked up again one by one.
const LOOKED_UP_COUNT: usize = 256;
const ALL_MEMORY: VaRange = VaRange { start: Va(0), end: Va(u64::MAX) };

/// Reads `data` as the memory of a process, and decodes every trace store in it.
///
/// # Panics
/// When what is decoded contradicts itself or the bytes: an entry outside of its store, entries that overlap, more of
/// them than the bytes have room for, sums that differ from their parts.
pub fn find_and_decode(data: &[u8]) -> Vec<TraceStore> {
    let process = ProcessImage::read(data);
    let progress = Progress::default();
    let found = find_stores(&process, &process.allocations, &process.modules, process.hints, &progress);
    let headers = found.map(|found| found.stores).unwrap_or_default();
    let decoded: Vec<(TraceStore, UniqueStacks)> =
        headers.iter().filter_map(|header| decode_store(&process, header, &progress).ok()).collect();
    for (store, unique) in &decoded {
        check_counts(&process, store, unique);
        check_entries(&process, store);
        check_regions(&process, store, &progress);
    }
    decoded.into_iter().map(|(store, _)| store).collect()
}

fn check_counts(process: &ProcessImage<'_>, store: &TraceStore, unique: &UniqueStacks) {
    assert_eq!(unique.count(), store.unique_stack_count);
    for stack in unique.iter() {
        assert_eq!(
            unique.frames(process, stack).len(),
            usize::from(stack.depth()),
            "frames lie where they are said to"
        );
    }
    let block_count = store.entry_count + store.free_entry_count;
    assert!(block_count <= process.size_bytes() / LEAST_ENTRY_BYTES, "{block_count} entries do not fit into the bytes");
    let parts = [
        store.saturated_entry_count,
        store.truncated_entry_count,
        store.unindexed_entry_count,
        store.verified_entry_count,
        store.orphan_entry_count,
        store.unique_stack_count,
    ];
    assert!(parts.iter().all(|part| *part <= store.entry_count), "{parts:?} of {} entries", store.entry_count);
    let entry_count: u64 = unique.iter().map(|stack| stack.entry_count).sum();
    assert_eq!(entry_count, store.entry_count, "the stacks have other entries than the store");
    let use_count: u64 = unique.iter().map(|stack| stack.use_count).sum();
    assert_eq!(use_count, store.use_count, "the stacks have other uses than the store");
    assert!(store.missing_bytes <= store.lost_bytes, "what is missing is lost");
    let percents = Health::of(store);
    let percents = [percents.saturated_percent, percents.truncated_percent, percents.verified_percent];
    assert!(percents.iter().flatten().all(|percent| (0.0..=100.0).contains(percent)), "{percents:?}");
}

fn check_entries(process: &ProcessImage<'_>, store: &TraceStore) {
    let homes = store.header.regions();
    let is_at_home = |entry: &Entry| {
        let end = entry.va.checked_add(entry.size_bytes);
        homes.iter().any(|home| home.contains(entry.va) && end.is_some_and(|end| end <= home.end))
    };
    let mut listed_count: u64 = 0;
    let mut previous_end = Va(0);
    for entry in entries_in(process, &store.header, ALL_MEMORY) {
        assert!(is_at_home(&entry), "entry {} lies outside of its store", entry.va);
        assert!(entry.va >= previous_end, "entry {} lies over the one before it", entry.va);
        previous_end = Va(entry.va.0 + entry.size_bytes);
        if listed_count < LOOKED_UP_COUNT as u64 {
            assert_eq!(entry_at(process, &store.header, entry.va).as_ref(), Some(&entry), "looked up by its address");
        }
        listed_count += 1;
    }
    if is_listed_whole(store) {
        assert_eq!(listed_count, store.entry_count + store.free_entry_count, "entries listed, and entries decoded");
    }
}

/// Whether listing comes to the same entries as decoding. After a gap only decoding asks the index array where to go on.
fn is_listed_whole(store: &TraceStore) -> bool {
    store.header.kind == StoreKind::HeapLog || store.missing_bytes == 0
}

fn check_regions(process: &ProcessImage<'_>, store: &TraceStore, progress: &Progress) {
    let entries_of = |range: VaRange| -> u64 {
        let Ok(stacks) = unique_stacks_in(process, &store.header, range, progress) else { return 0 };
        assert!(stacks.iter().all(|stack| range.contains(stack.first_entry)), "a region has stacks of another");
        let places: BTreeSet<Va> = stacks.iter().map(|stack| stack.first_entry).collect();
        assert_eq!(places.len() as u64, stacks.count(), "two stacks have the same first entry");
        stacks.iter().map(|stack| stack.entry_count).sum()
    };
    if is_listed_whole(store) {
        assert_eq!(entries_of(ALL_MEMORY), store.entry_count, "entries of the region that has all");
    }
    for (start, content) in &process.pieces {
        let range = VaRange::from_size(*start, content.len() as u64);
        let entry_count = entries_of(range);
        // The last one may go on in the next piece.
        let room = range.size_bytes().div_ceil(LEAST_ENTRY_BYTES);
        assert!(entry_count <= room, "{entry_count} entries do not fit into {range:?}");
    }
}
