//! The stacks of the trace stores over the dumps of one process: equal stacks are one, whichever entry or dump they are in.

use std::sync::Arc;

use crate::analysis::snapshot::Snapshot;
use crate::base::addr::VaRange;
use crate::base::progress::{Cancelled, Progress};
use crate::input::symbols::SymbolTable;
use crate::process::traces::{MAX_DEPTH, StoreHeader, TraceStore, UniqueStacks, decode_store, unique_stacks_in};

use super::stacks::{Found, Joining, SeriesStacks, StackCounts};

/// All stores of a series, decoded.
#[derive(Debug, Default)]
pub struct SeriesTraces {
    /// The stores of each dump, in the order of the dumps.
    pub stores: Vec<Vec<TraceStore>>,
    /// Those with most entries in the last dump first.
    pub stacks: Arc<SeriesStacks>,
    /// Names for the addresses in them, from the last dump that has images.
    pub symbols: Arc<SymbolTable>,
}

/// Decodes the stores of all dumps of one process and merges their stacks.
///
/// # Errors
/// Only when cancelled.
pub fn decode_series(snapshots: &[Arc<Snapshot>], progress: &Progress) -> Result<SeriesTraces, Cancelled> {
    let mut stores: Vec<Vec<TraceStore>> = vec![Vec::new(); snapshots.len()];
    // From the last dump on: if not all stacks can be kept apart, those of the last dumps are.
    let mut joining = Joining::new(snapshots.len(), Some(MAX_DEPTH));
    for (dump, snapshot) in snapshots.iter().enumerate().rev() {
        for header in &snapshot.trace_stores {
            let (store, unique) = decode_store(&snapshot.dump.memory, header, progress)?;
            join(&mut joining, dump, snapshot, header, &unique, progress)?;
            if let Some(of_dump) = stores.get_mut(dump) {
                of_dump.push(store);
            }
        }
        progress.tick(1)?;
    }
    Ok(SeriesTraces { stores, stacks: Arc::new(joining.finish()), symbols: Arc::new(series_symbols(snapshots)) })
}

/// The stacks of entries that begin in `range`, in each dump that has a store there: what one region holds, and held.
///
/// # Errors
/// Only when cancelled.
pub fn stacks_in_range(
    snapshots: &[Arc<Snapshot>],
    range: VaRange,
    progress: &Progress,
) -> Result<SeriesStacks, Cancelled> {
    let mut joining = Joining::new(snapshots.len(), Some(MAX_DEPTH));
    for (dump, snapshot) in snapshots.iter().enumerate().rev() {
        let has_part = |header: &&StoreHeader| header.regions().iter().any(|home| home.intersection(range).is_some());
        for header in snapshot.trace_stores.iter().filter(has_part) {
            let unique = unique_stacks_in(&snapshot.dump.memory, header, range, progress)?;
            join(&mut joining, dump, snapshot, header, &unique, progress)?;
        }
    }
    Ok(joining.finish())
}

fn join(
    joining: &mut Joining,
    dump: usize,
    snapshot: &Snapshot,
    header: &StoreHeader,
    unique: &UniqueStacks,
    progress: &Progress,
) -> Result<(), Cancelled> {
    joining.cover(dump, unique.left_out.stack_count);
    for (index, stack) in unique.iter().enumerate() {
        if index & 0xfff == 0 {
            progress.check()?;
        }
        let counts = StackCounts {
            entry_count: stack.entry_count,
            use_count: stack.use_count,
            saturated_entry_count: stack.saturated_entry_count,
            store_bytes: stack.store_bytes,
            first_entry: stack.first_entry,
        };
        let frames = unique.frames(&snapshot.dump.memory, stack);
        joining.add(dump, &Found { hash: stack.hash, frames: &frames, width: header.width, counts });
    }
    Ok(())
}

/// Names for the addresses in the stacks of a series: those of the last dump that has a store.
fn series_symbols(snapshots: &[Arc<Snapshot>]) -> SymbolTable {
    let has_stacks = |snapshot: &&Arc<Snapshot>| !snapshot.trace_stores.is_empty();
    snapshots.iter().rev().find(has_stacks).map(|snapshot| symbols_of(snapshot)).unwrap_or_default()
}

/// Names from the export tables of the images in a dump.
pub fn symbols_of(snapshot: &Snapshot) -> SymbolTable {
    let modules = snapshot.dump.modules.as_deref().unwrap_or_default();
    SymbolTable::from_exports(modules, &snapshot.dump.memory)
}
