//! The stacks of the trace stores over the dumps of one process: equal stacks are one, whichever entry or dump they are in.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::analysis::snapshot::Snapshot;
use crate::base::addr::{Va, VaRange};
use crate::base::progress::{Cancelled, Progress};
use crate::input::dump::modules::ModuleRecord;
use crate::input::symbols::SymbolTable;
use crate::input::symbols::loader::load_symbols;
use crate::input::symbols::search::SymbolSearch;
use crate::process::traces::{MAX_DEPTH, StoreHeader, TraceStore, UniqueStacks, decode_store, unique_stacks_in};

use super::stacks::{Found, Joining, SeriesStacks, StackCounts};

/// All stores of a series, decoded.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SeriesTraces {
    /// The stores of each dump, in the order of the dumps.
    pub stores: Arc<Vec<Vec<TraceStore>>>,
    /// Those with most entries in the last dump first.
    pub stacks: Arc<SeriesStacks>,
    /// Names from exports for the addresses in them; better ones come with `analysis::run::load_symbols`.
    #[serde(skip)]
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
    Ok(SeriesTraces {
        stores: Arc::new(stores),
        stacks: Arc::new(joining.finish()),
        symbols: Arc::new(symbols_source(snapshots).map(|snapshot| symbols_of(snapshot)).unwrap_or_default()),
    })
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

/// The dump whose modules name the addresses in the stacks of a series: the last that has a store, else the last.
pub fn symbols_source(snapshots: &[Arc<Snapshot>]) -> Option<&Arc<Snapshot>> {
    snapshots.iter().rev().find(|snapshot| !snapshot.trace_stores.is_empty()).or_else(|| snapshots.last())
}

/// Names from the export tables of the images in a dump.
pub fn symbols_of(snapshot: &Snapshot) -> SymbolTable {
    let modules = snapshot.dump.modules.as_deref().unwrap_or_default();
    SymbolTable::from_exports(modules, &snapshot.dump.memory)
}

/// Names from the PDBs of the modules that hold one of the addresses, and from the exports of the others.
///
/// # Errors
/// Only when cancelled.
pub fn symbols_for(
    snapshot: &Snapshot,
    mut addresses: Vec<Va>,
    search: &SymbolSearch,
    progress: &Progress,
) -> Result<SymbolTable, Cancelled> {
    addresses.sort_unstable();
    let holds_one = |module: &ModuleRecord| {
        let first = addresses.partition_point(|va| *va < module.base);
        addresses.get(first).is_some_and(|va| module.range().contains(*va))
    };
    let modules = snapshot.dump.modules.as_deref().unwrap_or_default();
    load_symbols(modules, &snapshot.dump.memory, search, holds_one, progress)
}
