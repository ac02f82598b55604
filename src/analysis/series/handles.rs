//! Open handles over the dumps of one process, by the type of their object.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::analysis::snapshot::Snapshot;

use super::growth::Values;

/// Types of objects that are told apart. Windows has some seventy; a damaged list could name a type for each handle.
const MOST_TYPES: usize = 200;
/// What the others are counted under, and those without a name.
const OTHER_TYPES: &str = "(other)";

/// Handles of one type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandleHistory {
    pub type_name: String,
    /// `None` for a dump without a handle list.
    pub counts: Values,
}

/// All handles of a series.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SeriesHandles {
    pub total: Values,
    /// Those with most handles in the last dump that has any first.
    pub types: Vec<HandleHistory>,
}

/// Counts the handles of each dump by type.
pub fn handle_histories(snapshots: &[Arc<Snapshot>]) -> SeriesHandles {
    let mut by_type: BTreeMap<String, Vec<Option<u64>>> = BTreeMap::new();
    let mut total = Vec::with_capacity(snapshots.len());
    let lists: Vec<_> = snapshots.iter().map(|snapshot| snapshot.dump.handles.as_ref()).collect();
    let empty: Vec<Option<u64>> = lists.iter().map(|list| list.map(|_| 0)).collect();
    for (dump, list) in lists.iter().enumerate() {
        total.push(list.map(|list| list.len() as u64));
        for handle in list.iter().copied().flatten() {
            let name = handle.type_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(OTHER_TYPES);
            let is_known = by_type.contains_key(name) || by_type.len() < MOST_TYPES;
            let name = if is_known { name } else { OTHER_TYPES };
            let counts = by_type.entry(name.to_owned()).or_insert_with(|| empty.clone());
            if let Some(Some(count)) = counts.get_mut(dump) {
                *count = count.saturating_add(1);
            }
        }
    }
    let mut types: Vec<HandleHistory> =
        by_type.into_iter().map(|(type_name, counts)| HandleHistory { type_name, counts: Values(counts) }).collect();
    types.sort_by_key(|history| std::cmp::Reverse(history.counts.0.iter().rev().flatten().next().copied()));
    SeriesHandles { total: Values(total), types }
}
