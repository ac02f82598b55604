//! What the growth of the trace stores between two dumps consists of, and when a database will be full (`time_to_full`, with the
//! database's own room). Numbers only.

use crate::base::time::UtcTime;
use crate::process::traces::{Health, StoreKind, TraceStore};

use super::stacks::SeriesStacks;
use super::time_to_full::{TimeToFull, time_to_full};

/// Entries of all stores between two dumps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EntryGrowth {
    /// Entries more of stacks that the first dump had: repetitions.
    pub repeated_entry_count: u64,
    pub repeated_stack_count: u64,
    /// Entries of stacks that the first dump had not.
    pub new_entry_count: u64,
    pub new_stack_count: u64,
    /// Entries that are gone.
    pub lost_entry_count: u64,
    /// Of the repetitions, in stacks all of whose entries but one at most have a count that has stopped.
    pub repeated_saturated_entry_count: u64,
}

/// `None` when a dump's stacks are not all known.
pub fn entry_growth(stacks: &SeriesStacks, from: usize, to: usize) -> Option<EntryGrowth> {
    let mut growth = EntryGrowth::default();
    for stack in 0..stacks.len() {
        let (before, after) = (stacks.counts(stack, from)?, stacks.counts(stack, to)?);
        let (more, less) = (
            after.entry_count.saturating_sub(before.entry_count),
            before.entry_count.saturating_sub(after.entry_count),
        );
        growth.lost_entry_count = growth.lost_entry_count.saturating_add(less);
        if more == 0 {
            continue;
        }
        if before.entry_count == 0 {
            growth.new_entry_count = growth.new_entry_count.saturating_add(more);
            growth.new_stack_count += 1;
            continue;
        }
        growth.repeated_entry_count = growth.repeated_entry_count.saturating_add(more);
        growth.repeated_stack_count += 1;
        // The newest entry of a stack counts on; all others must have stopped.
        if after.saturated_entry_count.saturating_add(1) >= after.entry_count {
            growth.repeated_saturated_entry_count = growth.repeated_saturated_entry_count.saturating_add(more);
        }
    }
    Some(growth)
}

/// `stores` are those of each dump, with its time. `None` where it cannot be said: a store without a limit, without
/// header, or dumps without times.
pub fn store_time_to_full(
    stores: &[(Option<UtcTime>, &[TraceStore])],
    store: &TraceStore,
    from: usize,
    to: usize,
) -> Option<TimeToFull> {
    let same = |dump: usize| {
        let (_, of_dump) = stores.get(dump)?;
        of_dump.iter().find(|other| other.header.kind == StoreKind::Indexed && other.header.base == store.header.base)
    };
    (store.header.kind == StoreKind::Indexed).then_some(())?;
    let now = Health::of(same(to)?);
    if now.is_full? {
        let is_full = |dump: &usize| same(*dump).is_some_and(|store| Health::of(store).is_full == Some(true));
        return Some(TimeToFull::Full { since_dump: (0..=to).find(is_full).unwrap_or(to) });
    }
    let points: Vec<(UtcTime, u64)> =
        (from..=to).filter_map(|dump| Some((stores.get(dump)?.0?, Health::of(same(dump)?).used_bytes))).collect();
    let (_, used_bytes) = *points.last()?;
    time_to_full(&points, now.reserved_bytes?.saturating_sub(used_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::series::stacks::{Found, Joining, StackCounts};
    use crate::base::addr::{PointerWidth, Va};

    #[test]
    fn repetitions_and_new_stacks_are_told_apart() {
        let mut joining = Joining::new(2, None);
        joining.cover(0, 0);
        joining.cover(1, 0);
        let mut add = |dump, stack: u64, entry_count, saturated_entry_count| {
            let counts = StackCounts { entry_count, saturated_entry_count, ..StackCounts::default() };
            let frames = [Va(stack)];
            joining.add(dump, &Found { hash: stack, frames: &frames, width: PointerWidth::Bits64, counts });
        };
        add(0, 1, 10, 9);
        add(1, 1, 110, 109);
        add(1, 2, 3, 0);
        add(0, 3, 5, 0);
        add(1, 3, 4, 0);
        add(0, 4, 1, 0);
        add(1, 4, 8, 2);
        let growth = entry_growth(&joining.finish(), 0, 1);
        let expect = EntryGrowth {
            repeated_entry_count: 107,
            repeated_stack_count: 2,
            new_entry_count: 3,
            new_stack_count: 1,
            lost_entry_count: 1,
            repeated_saturated_entry_count: 100,
        };
        assert_eq!(growth, Some(expect));
    }

    #[test]
    fn growth_of_a_dump_without_stores_is_not_known() {
        let mut joining = Joining::new(2, None);
        joining.cover(1, 0);
        let counts = StackCounts { entry_count: 1, ..StackCounts::default() };
        joining.add(1, &Found { hash: 1, frames: &[Va(1)], width: PointerWidth::Bits64, counts });
        assert_eq!(entry_growth(&joining.finish(), 0, 1), None);
    }
}
