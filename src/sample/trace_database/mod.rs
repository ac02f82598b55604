//! Writes the user-mode stack trace database of ntdll (gflags +ust) as it lies in memory.
//!
//! One reservation: a header with hash buckets at the bottom, entries upward behind it, one pointer for each entry downward
//! from the top. What is between them is reserved only. Layouts: `shape`. The entries are told, not made up here.

mod encode;
mod shape;

pub use shape::{DatabaseShape, Generation};

use super::address_space::{AddressSpace, AllocationKind, Run, winnt::PAGE_READWRITE};
use super::error::SampleError;
use crate::base::addr::Va;

/// The database of one process at one time.
#[derive(Clone, Debug)]
pub struct TraceDatabase {
    pub base: Va,
    pub reserved_bytes: u64,
    pub shape: DatabaseShape,
    pub bucket_count: u32,
    /// The different stacks, innermost frame first.
    pub stacks: Vec<Vec<Va>>,
    /// Oldest first; the entry at position `p` has index `p + 1`.
    pub entries: Vec<TraceEntry>,
    /// How often somebody came with a stack.
    pub lookup_count: u32,
    /// How often there was no room for one.
    pub failure_count: u32,
}

/// One entry: which stack, and how often it was logged into this entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceEntry {
    pub stack_index: usize,
    pub use_count: u32,
}

/// The two ends of the database, to their last byte in use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodedDatabase {
    /// From the base on.
    pub lower: Vec<u8>,
    /// Up to the end of the reservation.
    pub upper: Vec<u8>,
    /// Where each entry begins, oldest first.
    pub places: Vec<Va>,
}

/// The largest count that an entry of Windows 7 and later can hold: 11 bits.
pub const SATURATED_COUNT: u32 = 0x7ff;

const PAGE_BYTES: u64 = 0x1000;

impl TraceDatabase {
    /// Where the first `count` entries begin.
    pub fn places(&self, count: usize) -> Vec<Va> {
        let mut at = self.base.0 + self.shape.first_entry_offset(self.bucket_count);
        let mut places = Vec::with_capacity(count.min(self.entries.len()));
        for entry in self.entries.iter().take(count) {
            let Some(stack) = self.stacks.get(entry.stack_index) else { continue };
            places.push(Va(at));
            at += self.shape.entry_bytes(stack.len() as u64);
        }
        places
    }

    /// Allocates the database and writes what is in it. Both ends are committed in whole pages.
    pub fn add_to(&self, space: &mut AddressSpace) -> Result<(), SampleError> {
        let encoded = self.encode()?;
        let [lower, upper] = [encoded.lower.len(), encoded.upper.len()].map(pages_bytes);
        let runs = [
            Run::committed(lower, PAGE_READWRITE),
            Run::reserved(self.reserved_bytes - lower - upper),
            Run::committed(upper, PAGE_READWRITE),
        ];
        space.allocate(self.base, AllocationKind::PRIVATE, &runs);
        let upper_at = Va(self.base.0 + self.reserved_bytes - encoded.upper.len() as u64);
        space.write(self.base, encoded.lower);
        space.write(upper_at, encoded.upper);
        Ok(())
    }
}

/// `length` in whole pages.
fn pages_bytes(length: usize) -> u64 {
    (length as u64).next_multiple_of(PAGE_BYTES)
}
