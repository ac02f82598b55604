//! How full a store is, and what its growth consists of. Figures only; what they mean is judged elsewhere.

use super::area::PAGE_BYTES;
use super::{FoundBy, StoreKind, TraceStore};

/// Figures derived from a decoded store. `None`: this kind of store has no such figure, or there is nothing to divide by.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Health {
    pub reserved_bytes: Option<u64>,
    pub committed_bytes: u64,
    pub used_bytes: u64,
    /// Header, entries and index pointers in percent of the reservation. Not known without the header.
    pub fill_percent: Option<f64>,
    /// Reserved, not committed.
    pub room_left_bytes: Option<u64>,
    /// Whether no further pair of pages, one for entries and one for pointers, can be committed.
    pub is_full: Option<bool>,
    /// Many entries of few stacks: repeated entries fill the store, not new stacks.
    pub entries_per_unique_stack: Option<f64>,
    pub saturated_percent: Option<f64>,
    pub truncated_percent: Option<f64>,
    /// Entries in hash chains that are whole. Without a header no chain has a beginning.
    pub verified_percent: Option<f64>,
}

impl Health {
    pub fn of(store: &TraceStore) -> Self {
        let reserved_bytes = (store.header.kind == StoreKind::Indexed).then(|| store.header.reserved.size_bytes());
        let room_left_bytes = store.room_left_bytes();
        let percent_of_entries = |count: u64| percent(count, store.entry_count);
        let has_header = store.header.found_by != FoundBy::Records;
        Self {
            reserved_bytes,
            committed_bytes: store.committed_bytes,
            used_bytes: store.used_bytes,
            fill_percent: reserved_bytes
                .filter(|_| has_header)
                .and_then(|reserved| percent(store.used_bytes, reserved)),
            room_left_bytes,
            is_full: room_left_bytes.map(|room| room < PAGE_BYTES.saturating_mul(2)),
            entries_per_unique_stack: ratio(store.entry_count, store.unique_stack_count),
            saturated_percent: (store.header.kind == StoreKind::Indexed)
                .then(|| percent_of_entries(store.saturated_entry_count))
                .flatten(),
            truncated_percent: percent_of_entries(store.truncated_entry_count),
            verified_percent: has_header.then(|| percent_of_entries(store.verified_entry_count)).flatten(),
        }
    }
}

fn ratio(of: u64, to: u64) -> Option<f64> {
    (to > 0).then(|| of as f64 / to as f64)
}

fn percent(of: u64, to: u64) -> Option<f64> {
    ratio(of, to).map(|ratio| ratio * 100.0)
}
