//! Heaps over the dumps of one process.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::analysis::snapshot::Snapshot;
use crate::analysis::snapshot::heaps::{DumpHeaps, decode_heaps};
use crate::base::addr::{PointerWidth, Va};
use crate::base::progress::{Cancelled, Progress};
use crate::process::heap::DecodedHeap;
use crate::process::heap::head::HeapKind;

use super::shape::{Shape, committed_shape};

/// All heaps of a series, decoded.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SeriesHeaps {
    /// In the order of the dumps.
    pub dumps: Vec<DumpHeaps>,
    /// Each heap that any dump has, in the order in which they appear.
    pub histories: Vec<HeapHistory>,
}

/// One heap over the dumps: known by its address, bitness and kind. That it was destroyed and another made in its place
/// between two dumps cannot be seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeapHistory {
    pub base: Va,
    pub width: PointerWidth,
    pub kind: HeapKind,
    /// In the list of its PEB; not so the heap behind a page heap.
    pub is_listed: bool,
    /// Position among the heaps of each dump; `None` where the dump does not have it.
    pub positions: Vec<Option<usize>>,
    /// What each dump has of it; `None` where that is not known.
    pub sizes: Vec<Option<HeapSizes>>,
}

/// What a heap takes in one dump, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HeapSizes {
    pub committed_bytes: u64,
    pub reserved_bytes: u64,
    /// Blocks with an allocation of their own, which are in neither of the two.
    pub large_block_bytes: u64,
    pub free_bytes: u64,
    /// What the program holds; `None` where blocks were not read, or not all of them.
    pub in_use: Option<InUse>,
    pub external_fragmentation_percent: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct InUse {
    pub block_count: u64,
    pub block_bytes: u64,
    pub user_bytes: u64,
}

impl HeapSizes {
    /// All committed memory of the heap.
    pub const fn all_committed_bytes(&self) -> u64 {
        self.committed_bytes.saturating_add(self.large_block_bytes)
    }

    /// `None` for a heap of which nothing is known.
    pub fn of(heap: &DecodedHeap) -> Option<Self> {
        let totals = heap.totals.as_ref();
        let in_use = totals.filter(|totals| totals.is_whole()).map(|totals| {
            let amount = totals.in_use();
            InUse { block_count: amount.block_count, block_bytes: amount.block_bytes, user_bytes: amount.user_bytes }
        });
        if let Some(figures) = &heap.figures {
            let large = totals.map(|totals| totals.of(crate::process::heap::block::BlockKind::Large).block_bytes);
            return Some(Self {
                committed_bytes: figures.committed_bytes,
                reserved_bytes: figures.reserved_bytes,
                large_block_bytes: large.unwrap_or(0),
                free_bytes: figures.free_bytes,
                in_use,
                external_fragmentation_percent: figures.external_fragmentation_percent(),
            });
        }
        if let Some((figures, _)) = &heap.segment_heap {
            return Some(Self {
                committed_bytes: figures.committed_bytes,
                reserved_bytes: figures.reserved_bytes,
                // Whether the totals hold the large blocks too is not known; they are not added.
                large_block_bytes: 0,
                free_bytes: figures.free_committed_bytes,
                in_use,
                external_fragmentation_percent: None,
            });
        }
        // A page heap: what its blocks take.
        totals.filter(|_| heap.is_page_heap_whole == Some(true)).map(|totals| {
            let all = totals.in_use().block_bytes.saturating_add(totals.free().block_bytes);
            Self { committed_bytes: all, reserved_bytes: all, in_use, ..Self::default() }
        })
    }
}

impl HeapHistory {
    /// Committed memory in each dump.
    pub fn committed(&self) -> Vec<Option<u64>> {
        self.sizes.iter().map(|sizes| sizes.map(|sizes| sizes.all_committed_bytes())).collect()
    }

    /// What the program holds in each dump.
    pub fn in_use(&self) -> Vec<Option<u64>> {
        self.sizes.iter().map(|sizes| Some((*sizes)?.in_use?.user_bytes)).collect()
    }

    /// How its committed memory goes from dump `from` to dump `to`.
    pub fn shape(&self, from: usize, to: usize) -> Option<Shape> {
        committed_shape(self.committed().get(from..=to)?)
    }
}

/// Decodes the heaps of all dumps of one process.
///
/// # Errors
/// Only when cancelled.
pub fn decode_series(snapshots: &[Arc<Snapshot>], progress: &Progress) -> Result<SeriesHeaps, Cancelled> {
    let mut dumps = Vec::with_capacity(snapshots.len());
    for snapshot in snapshots {
        dumps.push(decode_heaps(snapshot, progress)?);
        progress.tick(1)?;
    }
    let mut histories: Vec<HeapHistory> = Vec::new();
    for (dump, (snapshot, decoded)) in snapshots.iter().zip(&dumps).enumerate() {
        for (position, (heap, decoded)) in snapshot.heaps.iter().zip(&decoded.heaps).enumerate() {
            let extent = &heap.extent;
            let key = (extent.base, extent.width, extent.kind, heap.is_listed);
            let known =
                histories.iter().position(|known| (known.base, known.width, known.kind, known.is_listed) == key);
            let at = known.unwrap_or_else(|| {
                histories.push(HeapHistory {
                    base: extent.base,
                    width: extent.width,
                    kind: extent.kind,
                    is_listed: heap.is_listed,
                    positions: vec![None; snapshots.len()],
                    sizes: vec![None; snapshots.len()],
                });
                histories.len() - 1
            });
            let Some(history) = histories.get_mut(at) else { continue };
            if let Some(place) = history.positions.get_mut(dump) {
                *place = Some(position);
            }
            if let Some(sizes) = history.sizes.get_mut(dump) {
                *sizes = HeapSizes::of(decoded);
            }
        }
    }
    Ok(SeriesHeaps { dumps, histories })
}
