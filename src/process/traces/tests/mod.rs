//! Tests of the decoders, on stores whose bytes are written here. Nothing here uses the decoders' layout tables: the
//! offsets stand in the builders once more, from the same sources.
#![expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has failed, which is what it is for"
)]

mod build_indexed;
mod build_log;
mod case;
mod damage;
mod heap_log;
mod indexed;
mod orphans;
mod parts;

use crate::base::addr::{Va, VaRange};
use crate::base::memory::ReadMemory;
use crate::base::progress::Progress;

use super::{Hints, StoreHeader, TraceStore, UniqueStacks, decode_store, find_stores};

/// Memory of a made-up process.
#[derive(Clone, Default)]
struct Memory {
    /// Sorted, not overlapping.
    ranges: Vec<(u64, Vec<u8>)>,
}

impl Memory {
    fn with(mut self, start: u64, bytes: Vec<u8>) -> Self {
        self.ranges.push((start, bytes));
        self.ranges.sort_by_key(|(start, _)| *start);
        self
    }

    /// Takes bytes away, as if the dump did not have them.
    fn without(self, start: u64, end: u64) -> Self {
        let mut cut = Self::default();
        for (at, bytes) in self.ranges {
            let before = start.clamp(at, at + bytes.len() as u64) - at;
            let after = end.clamp(at, at + bytes.len() as u64) - at;
            if before == after {
                cut = cut.with(at, bytes);
                continue;
            }
            cut = cut.with(at, bytes[..before as usize].to_vec());
            cut = cut.with(at + after, bytes[after as usize..].to_vec());
        }
        cut.ranges.retain(|(_, bytes)| !bytes.is_empty());
        cut
    }

    fn bytes_mut(&mut self, va: u64, length: u64) -> &mut [u8] {
        let holds = |(start, bytes): &&mut (u64, Vec<u8>)| *start <= va && va + length <= start + bytes.len() as u64;
        let (start, bytes) = self.ranges.iter_mut().find(holds).unwrap();
        &mut bytes[(va - *start) as usize..(va - *start + length) as usize]
    }
}

impl ReadMemory for Memory {
    fn bytes_at(&self, va: Va, length: u64) -> &[u8] {
        let after = self.ranges.partition_point(|(start, _)| *start <= va.0);
        let Some((start, bytes)) = after.checked_sub(1).map(|at| &self.ranges[at]) else { return &[] };
        let offset = ((va.0 - start) as usize).min(bytes.len());
        let end = offset.saturating_add(length as usize).min(bytes.len());
        &bytes[offset..end]
    }
}

fn put(bytes: &mut [u8], at: u64, value: &[u8]) {
    bytes[at as usize..at as usize + value.len()].copy_from_slice(value);
}

fn put_u16(bytes: &mut [u8], at: u64, value: u16) {
    put(bytes, at, &value.to_le_bytes());
}

fn put_u32(bytes: &mut [u8], at: u64, value: u32) {
    put(bytes, at, &value.to_le_bytes());
}

/// A pointer of 4 or 8 bytes.
fn put_pointer(bytes: &mut [u8], at: u64, pointer_bytes: u64, value: u64) {
    put(bytes, at, &value.to_le_bytes()[..pointer_bytes as usize]);
}

fn range(start: u64, end: u64) -> VaRange {
    VaRange::new(Va(start), Va(end)).unwrap()
}

fn find(memory: &Memory, candidates: &[VaRange], modules: &[VaRange]) -> Vec<StoreHeader> {
    let found = find_stores(memory, candidates, modules, Hints::default(), &Progress::default()).unwrap();
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    found.stores
}

/// A store with its stacks.
struct Decoded {
    store: TraceStore,
    unique: UniqueStacks,
}

impl std::ops::Deref for Decoded {
    type Target = TraceStore;

    fn deref(&self) -> &TraceStore {
        &self.store
    }
}

fn decode(memory: &Memory, header: &StoreHeader) -> Decoded {
    let (store, unique) = decode_store(memory, header, &Progress::default()).unwrap();
    assert_eq!(store.unique_stack_count, unique.count());
    Decoded { store, unique }
}

/// Finds exactly one store and decodes it.
fn only_store(memory: &Memory, candidates: &[VaRange], modules: &[VaRange]) -> Decoded {
    let found = find(memory, candidates, modules);
    assert_eq!(found.len(), 1, "{found:#?}");
    decode(memory, &found[0])
}

fn addresses(frames: &[u64]) -> Vec<Va> {
    frames.iter().copied().map(Va).collect()
}

/// A stack of `depth` frames, its own for each `number`.
fn stack(number: u64, depth: u64) -> Vec<u64> {
    (0..depth).map(|frame| 0x7789_1142 + number * 0x1_0010 + frame * 0x40).collect()
}
