//! Databases without a header, and memory that only looks a little like their entries.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::super::{FoundBy, Generation, Health, Hints, StoreKind, UniqueStack, find_stores};
use super::build_indexed::{Block, Database, Windows, Written};
use super::indexed::{ALL, blocks};
use super::{Decoded, Memory, addresses, find, only_store, put, range, stack};
use crate::base::addr::{Va, VaRange};
use crate::base::memory::ReadMemory;
use crate::base::progress::Progress;

const BASE: u64 = 0x0030_0000;
const SIZE: u64 = 0x10_0000;
const MODULE: u64 = 0x7780_0000;

fn modules() -> [VaRange; 1] {
    [range(MODULE, 0x7fff_0000)]
}

fn extent() -> VaRange {
    range(BASE, BASE + SIZE)
}

fn written(windows: Windows, pointer_bytes: u64, blocks: Vec<Block>) -> Written {
    let bucket_count = if windows == Windows::Seven { 9551 } else { 137 };
    Database { windows, pointer_bytes, base: BASE, reserved_bytes: SIZE, bucket_count, blocks }.write()
}

/// The only store, which must be one that was found by its entries.
fn orphans(memory: &Memory) -> Decoded {
    let store = only_store(memory, &[extent()], &modules());
    assert_eq!((store.header.kind, store.header.found_by), (StoreKind::Indexed, FoundBy::Records));
    assert_eq!((store.header.base, store.header.regions()), (Va(BASE), vec![extent()]));
    assert_eq!(store.orphan_entry_count, store.entry_count);
    store
}

#[test]
fn every_layout_is_found_without_its_header() {
    for (windows, pointer_bytes) in ALL {
        let name = format!("{windows:?}, {pointer_bytes}");
        let written = written(windows, pointer_bytes, blocks(windows));
        let missing = written.memory.clone().without(BASE, BASE + 0x1000);
        let mut overwritten = written.memory.clone();
        overwritten.bytes_mut(BASE, 0x1000).fill(0xcc);
        // With few buckets the first entries lie in the header's page.
        let first = written.places.iter().position(|place| *place >= BASE + 0x1000).unwrap();
        for (memory, is_damaged) in [(&missing, false), (&overwritten, true)] {
            let store = orphans(memory);
            assert_eq!(store.header.width.bytes(), pointer_bytes, "{name}");
            assert_eq!(store.header.generation, (windows == Windows::Xp).then_some(Generation::Xp), "{name}");
            assert_eq!(store.entry_count, 200 - first as u64, "{name}");
            assert_eq!((store.unique.count(), store.lost_bytes), (40, 0), "{name}: {:?}", store.problems);
            let frames = addresses(&stack(38, 7));
            let is_last = |stack: &&UniqueStack| store.unique.frames(memory, stack) == frames;
            let last = store.unique.iter().find(is_last).unwrap();
            let expect = if first > 38 { 4 } else { 5 };
            assert_eq!((last.entry_count, last.last_index), (expect, Some(199)), "{name}");
            let (failed, passed): (Vec<_>, Vec<_>) =
                store.evidence.iter().partition(|check| check.passed != Some(true));
            assert_eq!((failed.len(), passed.len()), (1, 5), "{name}: {:#?}", store.evidence);
            assert_eq!(store.problems.len(), 1, "{:?}", store.problems);
            assert_eq!(store.problems.has_damage(), is_damaged, "{name}");
        }
    }
}

#[test]
fn what_only_the_header_knows_is_absent() {
    let written = written(Windows::Seven, 8, blocks(Windows::Seven));
    let present_bytes: u64 = written.memory.ranges.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let store = orphans(&written.memory.without(BASE, BASE + 0x1000));
    assert_eq!((store.header.counts, store.room_left_bytes()), (None, None));
    let health = Health::of(&store);
    assert_eq!((health.room_left_bytes, health.is_full, health.fill_percent), (None, None, None));
    assert_eq!((health.verified_percent, store.verified_entry_count), (None, 0));
    assert_eq!(health.reserved_bytes, Some(SIZE));
    assert_eq!(health.committed_bytes, present_bytes - 0x1000);
    assert_eq!(health.used_bytes, written.next_free_lower - written.places[0]);
    assert_eq!(health.saturated_percent, Some(50.0));
    assert!(health.entries_per_unique_stack.is_some());
}

#[test]
fn gaps_damage_and_free_blocks_are_stepped_over() {
    let mut entries = blocks(Windows::Seven);
    entries[40].is_free = true;
    entries[199].is_free = true;
    let mut written = written(Windows::Seven, 8, entries);
    let (from, to) = (written.places[60], written.places[64]);
    written.memory.bytes_mut(from, to - from).fill(0xcc);
    let gap = (written.places[120] | 0xfff) + 1;
    let memory = written.memory.clone().without(BASE, BASE + 0x1000).without(gap, gap + 0x1000);
    let store = orphans(&memory);
    let is_in_gap = |entry: usize| {
        let end = written.places.get(entry + 1).copied().unwrap_or(written.next_free_lower);
        written.places[entry] < gap + 0x1000 && end > gap
    };
    let lost_count = 4 + (0..200).filter(|entry| is_in_gap(*entry)).count() as u64;
    assert_eq!((store.entry_count, store.free_entry_count), (198 - lost_count, 2));
    assert_eq!((store.missing_bytes, store.problems.has_damage()), (0x1000, true));
}

/// Few pages are left between the entries and the index array, and one range of the file holds both.
#[test]
fn index_array_behind_the_entries_is_none_of_them() {
    for (pointer_bytes, entry_count) in [(8, 5_000), (4, 10_000)] {
        let blocks = blocks(Windows::Seven).into_iter().cycle().zip(1..=entry_count);
        let blocks = blocks.map(|(block, index)| Block { index, ..block }).collect();
        let written = written(Windows::Seven, pointer_bytes, blocks);
        let mut all = vec![0; SIZE as usize];
        for (start, bytes) in &written.memory.ranges {
            put(&mut all, start - BASE, bytes);
        }
        all[..0x1000].fill(0xcc);
        let store = orphans(&Memory::default().with(BASE, all));
        assert_eq!((store.entry_count, store.lost_bytes), (entry_count.into(), 0), "{pointer_bytes}");
    }
}

#[test]
fn few_entries_of_a_known_bucket_count_are_found_at_their_place() {
    let blocks = (0..30).map(|entry| Block::of(stack(u64::from(entry % 6), 3 + u64::from(entry % 6)), 1, entry + 1));
    for pointer_bytes in [8, 4] {
        let written = written(Windows::Seven, pointer_bytes, blocks.clone().collect());
        let store = orphans(&written.memory.without(BASE, BASE + 0x2000));
        assert_eq!((store.entry_count, store.unique.count()), (30, 6));
    }
}

fn wide(words: impl Iterator<Item = u64>) -> Vec<u8> {
    words.flat_map(u64::to_le_bytes).take(SIZE as usize).collect()
}

fn narrow(words: impl Iterator<Item = u64>) -> Vec<u8> {
    words.flat_map(|word| (word as u32).to_le_bytes()).take(SIZE as usize).collect()
}

fn random() -> impl Iterator<Item = u64> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}

/// Structures of one allocation, one after the other: each gets its address and a random number.
fn structures(make: impl Fn(u64, u64) -> Vec<u64>, word_bytes: u64) -> Vec<u64> {
    let mut words: Vec<u64> = Vec::new();
    for number in random().take(SIZE as usize / 8) {
        words.extend(make(BASE + words.len() as u64 * word_bytes, number));
    }
    words
}

fn code(number: u64) -> u64 {
    MODULE + (number % 0x10_0000)
}

/// What ordinary memory holds: each with a name, as 64-bit and 32-bit words.
fn ordinary() -> Vec<(&'static str, Vec<u8>)> {
    let table = || (0..u64::MAX).map(|at| code(at * 0x30));
    // Saved frame pointer, return address, some arguments and locals.
    let call = |word: u64| {
        move |va: u64, number: u64| {
            let locals = (0..number % 6).map(|local| if local % 2 == 0 { number % 40 } else { va + 0x40 });
            [va + word * (2 + number % 6), code(number)].into_iter().chain(locals).collect::<Vec<u64>>()
        }
    };
    // Vtable, next object, reference count and type, two more pointers; 32 to 96 bytes.
    let object = |va: u64, number: u64| {
        let fields = [code(number & !0xfff), va + 0x40, (number % 9) << 48 | 0x801, code(number), va - 0x20, 0, 1, 2];
        fields.into_iter().cycle().take(4 + number as usize % 9).collect::<Vec<u64>>()
    };
    let narrow_object = |va: u64, number: u64| {
        let fields = [code(number & !0xfff), va + 0x20, (number % 9) << 16 | 0x801, code(number), va - 0x20, 0, 1, 2];
        fields.into_iter().cycle().take(4 + number as usize % 9).collect::<Vec<u64>>()
    };
    // Lists whose nodes read as entries, block by block: link, count 1, as many slots as frames, code. All are equal.
    let list = |va: u64, _: u64| vec![va.saturating_sub(32).max(BASE), 2 << 48 | 1 << 11 | 1, code(1), code(2)];
    let xp_list = |va: u64, _: u64| vec![va.saturating_sub(20).max(BASE), 1, 2 << 16, code(1), code(2)];
    vec![
        ("zeros", vec![0; SIZE as usize]),
        ("random", wide(random())),
        ("table x64", wide(table())),
        ("table x86", narrow(table())),
        ("stack x64", wide(structures(call(8), 8).into_iter())),
        ("stack x86", narrow(structures(call(4), 4).into_iter())),
        ("objects x64", wide(structures(object, 8).into_iter())),
        ("objects x86", narrow(structures(narrow_object, 4).into_iter())),
        ("list x64", wide(structures(list, 8).into_iter())),
        ("list x86", narrow(structures(xp_list, 4).into_iter())),
    ]
}

#[test]
fn ordinary_memory_has_no_entries() {
    for (name, bytes) in ordinary() {
        assert_eq!(bytes.len(), SIZE as usize, "{name}");
        for base in [BASE, 0x0013_0000] {
            let candidate = range(base, base + SIZE);
            let memory = Memory::default().with(base, bytes.clone());
            assert!(find(&memory, &[candidate], &modules()).is_empty(), "{name} at {base:#x}");
            // The image itself is not in the way, and without one nothing can be proved.
            assert!(find(&memory, &[candidate], &[]).is_empty(), "{name}");
        }
    }
}

/// Equal entries with chains to each other are a list of objects as much as they are a database.
#[test]
fn entries_of_one_depth_prove_nothing() {
    let blocks = (0..200).map(|entry| Block::of(stack(u64::from(entry % 40), 8), 1, entry + 1)).collect();
    let memory = written(Windows::Seven, 8, blocks).memory.without(BASE, BASE + 0x1000);
    assert!(find(&memory, &[extent()], &modules()).is_empty());
}

/// Chains that lead to entries of other buckets are no chains.
#[test]
fn entries_without_buckets_prove_nothing() {
    let mut written = written(Windows::Seven, 8, blocks(Windows::Seven));
    for (entry, other) in (1..200).zip(random()) {
        let target = written.places[other as usize % entry];
        written.memory.bytes_mut(written.places[entry], 8).copy_from_slice(&target.to_le_bytes());
    }
    let memory = written.memory.without(BASE, BASE + 0x1000);
    assert!(find(&memory, &[extent()], &modules()).is_empty());
}

/// Counts the reads.
struct Counted {
    memory: Memory,
    read_count: AtomicU64,
}

impl ReadMemory for Counted {
    fn bytes_at(&self, va: Va, length: u64) -> &[u8] {
        self.read_count.fetch_add(1, Ordering::Relaxed);
        self.memory.bytes_at(va, length)
    }
}

fn reads(memory: Memory, size: u64) -> u64 {
    let counted = Counted { memory, read_count: AtomicU64::new(0) };
    let candidates = [range(BASE, BASE + size)];
    find_stores(&counted, &candidates, &modules(), Hints::default(), &Progress::default()).unwrap();
    counted.read_count.into_inner()
}

#[test]
fn other_allocations_are_looked_at_in_few_places() {
    let (_, bytes) = ordinary().swap_remove(2);
    assert!(reads(Memory::default().with(BASE, bytes), SIZE) < 20);
    // Reserved, and all but nothing committed.
    assert!(reads(Memory::default().with(BASE + (1 << 30) - 0x1000, vec![1; 0x1000]), 1 << 30) < 20);
}

/// Runs that break off at the last block, over and over, with one whole run where it is looked for: each place is tried,
/// and none more than once.
#[test]
fn the_search_is_linear_in_the_allocation() {
    let reads_of = |size: u64| {
        let entry: Vec<u64> = vec![0, 1 << 48 | 1 << 11 | 1, code(1), 0];
        let mut words: Vec<u64> = Vec::new();
        while (words.len() as u64) < size / 8 {
            for _ in 0..15 {
                words.extend(&entry);
            }
            words.extend([0; 4]);
        }
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).take(size as usize).collect();
        let run: Vec<u8> = (0..20).flat_map(|_| entry.iter().flat_map(|word| word.to_le_bytes())).collect();
        // One of the places that are looked at lies in the middle of what follows the first page.
        put(&mut bytes, size / 2 + 0xc00, &run);
        reads(Memory::default().with(BASE, bytes), size)
    };
    let (once, twice) = (reads_of(SIZE), reads_of(2 * SIZE));
    assert!(once > SIZE / 100 && twice < once * 21 / 10, "{once}, {twice}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_never_panic(
        which in 0..ALL.len(),
        tail in proptest::collection::vec(any::<u8>(), 0..0x3000),
        flips in proptest::collection::vec((0_u64..0x3_0000, any::<u8>()), 0..200),
    ) {
        let (windows, pointer_bytes) = ALL[which];
        let mut written = written(windows, pointer_bytes, blocks(windows));
        written.memory.bytes_mut(BASE, 0x300).fill(0);
        for (offset, value) in flips {
            if !written.memory.bytes_at(Va(BASE + offset), 1).is_empty() {
                written.memory.bytes_mut(BASE + offset, 1)[0] ^= value;
            }
        }
        let memory = written.memory.with(BASE + SIZE, tail);
        let next = range(BASE + SIZE, BASE + 2 * SIZE);
        for header in find(&memory, &[extent(), next], &modules()) {
            let store = super::decode(&memory, &header);
            let sum: u64 = store.unique.iter().map(|stack| stack.entry_count).sum();
            prop_assert_eq!(sum, store.entry_count);
            prop_assert!(store.unique.iter().all(|stack| extent().contains(stack.first_entry)));
        }
    }
}
