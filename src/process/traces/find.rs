//! Finds the stores of a process: by ntdll's pointer variables where symbols gave their values, else by structure, last by
//! entries that no header leads to.
//!
//! Meant for 60,000 allocations and more: of most of them one line of the first page is looked at, and of those of 64 KiB
//! the first pages.

use rayon::prelude::*;

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::memory::ReadMemory;
use crate::base::problems::Problems;
use crate::base::progress::{Cancelled, Progress};

use super::find_heap_log::find_heap_logs;
use super::find_indexed::database_at;
use super::find_orphans::find_orphans;
use super::layouts::{DatabaseFields, DatabaseLayout};
use super::record::range_with;
use super::{FoundBy, StoreHeader};

/// A process has one database for each ntdll in it. More than this come from a dump made to keep the reader busy: each
/// may claim gigabytes that are not there.
const MAX_DATABASES: usize = 64;

/// Values of ntdll's pointer variables, where its symbols are known. A WOW64 process has two ntdlls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hints {
    /// `RtlpStackTraceDataBase` (XP to Vista), `RtlpStackTraceDatabase` (7 to 11) of the 64-bit ntdll.
    pub database_64: Option<Va>,
    pub database_32: Option<Va>,
    /// `RtlpHeapStackTraceLog`.
    pub heap_log_64: Option<Va>,
    pub heap_log_32: Option<Va>,
    /// Of the PDB of each ntdll.
    pub fields_64: Option<DatabaseFields>,
    pub fields_32: Option<DatabaseFields>,
}

impl Hints {
    pub(super) fn database_layouts(&self) -> impl Iterator<Item = DatabaseLayout> {
        let of = |fields: Option<DatabaseFields>, width| fields.and_then(|fields| fields.layout(width));
        [of(self.fields_64, PointerWidth::Bits64), of(self.fields_32, PointerWidth::Bits32)].into_iter().flatten()
    }

    pub(super) const fn heap_log(&self, width: PointerWidth) -> Option<Va> {
        match width {
            PointerWidth::Bits32 => self.heap_log_32,
            PointerWidth::Bits64 => self.heap_log_64,
        }
    }
}

/// Stores in the order of their addresses, indexed databases first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    pub stores: Vec<StoreHeader>,
    /// Pointer variables that lead to nothing of the kind.
    pub problems: Problems,
}

/// Finds all stores. `candidates`: private read-write allocations, whole extents, reserved parts too. `modules`: images.
/// Both widths are tried on each candidate. Asks `progress` only whether to stop.
pub fn find_stores(
    memory: &dyn ReadMemory,
    candidates: &[VaRange],
    modules: &[VaRange],
    hints: Hints,
    progress: &Progress,
) -> Result<Found, Cancelled> {
    let candidates = in_order(candidates);
    let modules = in_order(modules);
    let mut problems = Problems::default();
    let mut databases = Vec::new();
    for (hint, width) in [(hints.database_64, PointerWidth::Bits64), (hints.database_32, PointerWidth::Bits32)] {
        let Some(base) = hint.filter(|base| !base.is_null()) else { continue };
        let extent_end =
            range_with(&candidates, base).filter(|(_, extent)| extent.start == base).map(|(_, extent)| extent.end);
        match database_at(memory, base, extent_end, FoundBy::Symbol, &hints).filter(|found| found.width == width) {
            Some(found) => databases.push(found),
            None => problems.damage(
                format!("stack trace database {base}"),
                "ntdll's pointer leads here, but no database of its width begins here; it is left out",
            ),
        }
    }
    let is_hinted = |base: Va| databases.iter().any(|found: &StoreHeader| found.base == base);
    let at_candidate = |(index, candidate): (usize, &VaRange)| {
        if index & 0x3ff == 0 && progress.check().is_err() {
            return Some(Err(Cancelled));
        }
        (!is_hinted(candidate.start)).then_some(())?;
        database_at(memory, candidate.start, Some(candidate.end), FoundBy::Structure, &hints).map(Ok)
    };
    let by_structure =
        candidates.par_iter().enumerate().filter_map(at_candidate).collect::<Result<Vec<StoreHeader>, Cancelled>>()?;
    databases.extend(by_structure);
    databases.sort_by_key(|found| found.base);
    let mut stores = without_overlap(databases, &mut problems);
    let orphans = find_orphans(memory, &candidates, &modules, &stores, progress)?;
    stores.extend(orphans);
    stores.sort_by_key(|found| found.base);
    stores.extend(find_heap_logs(memory, &candidates, &modules, &hints, progress, &mut problems)?);
    Ok(Found { stores, problems })
}

/// By start, without empty ones and without what an earlier range covers.
fn in_order(ranges: &[VaRange]) -> Vec<VaRange> {
    let mut sorted: Vec<VaRange> = ranges.iter().copied().filter(|range| !range.is_empty()).collect();
    sorted.sort_unstable_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    sorted.dedup_by(|next, kept| next.start < kept.end);
    sorted
}

/// One reservation holds one database: a header inside of another's reservation is left out.
fn without_overlap(sorted: Vec<StoreHeader>, problems: &mut Problems) -> Vec<StoreHeader> {
    let mut kept: Vec<StoreHeader> = Vec::new();
    for next in sorted {
        let is_inside = kept.last().is_some_and(|last| next.base < last.reserved.end);
        if is_inside {
            problems.damage(
                format!("stack trace database {}", next.base),
                "lies in the reservation of another one; it is left out",
            );
        } else {
            kept.push(next);
        }
    }
    if let Some(first_left_out) = kept.get(MAX_DATABASES) {
        let text = format!("is one of {} databases; only the first {MAX_DATABASES} are read", kept.len());
        problems.damage(format!("stack trace database {}", first_left_out.base), text);
        kept.truncate(MAX_DATABASES);
    }
    kept
}
