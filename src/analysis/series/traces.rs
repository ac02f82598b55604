//! The stacks of the trace stores over the dumps of one process: equal stacks are one, whichever entry or dump they are in.

use std::collections::HashMap;
use std::sync::Arc;

use crate::analysis::snapshot::Snapshot;
use crate::base::addr::Va;
use crate::base::progress::{Cancelled, Progress};
use crate::input::symbols::SymbolTable;
use crate::process::traces::{TraceStore, decode_store};

/// All stores of a series, decoded.
#[derive(Debug, Default)]
pub struct SeriesTraces {
    /// The stores of each dump, in the order of the dumps.
    pub stores: Vec<Vec<TraceStore>>,
    /// Those with most entries in the last dump first.
    pub stacks: Vec<SeriesStack>,
    /// Names for the addresses in them, from the last dump that has images.
    pub symbols: SymbolTable,
}

/// One stack over the series. A count is `None` in a dump without a store that could be decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeriesStack {
    /// Return addresses, innermost first.
    pub frames: Vec<Va>,
    pub per_dump: Vec<Option<StackCounts>>,
}

/// What one dump has of a stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StackCounts {
    pub entry_count: u64,
    /// Sum of the entries' trace counts, each of which stops at 0x7ff.
    pub use_count: u64,
    pub saturated_entry_count: u64,
}

impl SeriesStack {
    pub fn entry_count(&self, dump: usize) -> Option<u64> {
        self.per_dump.get(dump).copied().flatten().map(|counts| counts.entry_count)
    }

    /// The first and the last dump that have an entry with this stack.
    pub fn first_and_last(&self) -> Option<(usize, usize)> {
        let has_entries = |counts: &Option<StackCounts>| counts.is_some_and(|counts| counts.entry_count > 0);
        Some((self.per_dump.iter().position(has_entries)?, self.per_dump.iter().rposition(has_entries)?))
    }
}

/// Decodes the stores of all dumps of one process and merges their stacks.
///
/// # Errors
/// Only when cancelled.
pub fn decode_series(snapshots: &[Arc<Snapshot>], progress: &Progress) -> Result<SeriesTraces, Cancelled> {
    let mut stores = Vec::with_capacity(snapshots.len());
    for snapshot in snapshots {
        let headers = snapshot.trace_stores.iter();
        let decoded = headers.map(|header| decode_store(&snapshot.dump.memory, header, progress));
        stores.push(decoded.collect::<Result<Vec<_>, Cancelled>>()?);
        progress.tick(1)?;
    }
    let stacks = merge(&stores, progress)?;
    let has_stacks = |snapshot: &&Arc<Snapshot>| !snapshot.trace_stores.is_empty();
    let symbols = snapshots.iter().rev().find(has_stacks).map(|snapshot| symbols_of(snapshot)).unwrap_or_default();
    Ok(SeriesTraces { stores, stacks, symbols })
}

/// Names from the export tables of the images in a dump.
pub fn symbols_of(snapshot: &Snapshot) -> SymbolTable {
    let modules = snapshot.dump.modules.as_deref().unwrap_or_default();
    SymbolTable::from_exports(modules, &snapshot.dump.memory)
}

fn merge(stores: &[Vec<TraceStore>], progress: &Progress) -> Result<Vec<SeriesStack>, Cancelled> {
    let none_yet: Vec<Option<StackCounts>> =
        stores.iter().map(|of_dump| (!of_dump.is_empty()).then(StackCounts::default)).collect();
    let mut positions: HashMap<Vec<Va>, usize> = HashMap::new();
    let mut stacks: Vec<SeriesStack> = Vec::new();
    for (dump, of_dump) in stores.iter().enumerate() {
        for store in of_dump {
            progress.check()?;
            for stack in store.unique.iter() {
                let frames = store.unique.frames(stack);
                let position = match positions.get(frames) {
                    Some(position) => *position,
                    None => {
                        positions.insert(frames.to_vec(), stacks.len());
                        stacks.push(SeriesStack { frames: frames.to_vec(), per_dump: none_yet.clone() });
                        stacks.len() - 1
                    }
                };
                let slot = stacks.get_mut(position).and_then(|stack| stack.per_dump.get_mut(dump));
                if let Some(Some(counts)) = slot {
                    counts.entry_count = counts.entry_count.saturating_add(stack.entry_count);
                    counts.use_count = counts.use_count.saturating_add(stack.use_count);
                    counts.saturated_entry_count =
                        counts.saturated_entry_count.saturating_add(stack.saturated_entry_count);
                }
            }
        }
    }
    let last = stores.len().saturating_sub(1);
    stacks.sort_by(|a, b| {
        b.entry_count(last).cmp(&a.entry_count(last)).then_with(|| a.frames.len().cmp(&b.frames.len()))
    });
    Ok(stacks)
}
