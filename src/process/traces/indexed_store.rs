//! Puts the results of an indexed database's walk into a [`TraceStore`], with what the walk proves and what it missed.

use crate::base::addr::Va;
use crate::base::problems::Problems;

use super::indexed::{IndexedHeader, IndexedTotals};
use super::{Check, StoreHeader, TraceStore, UniqueStacks};

/// Losses that are named one by one.
const MAX_NAMED_LOSSES: usize = 20;

pub(super) fn finish(header: &StoreHeader, body: &IndexedHeader, totals: IndexedTotals) -> (TraceStore, UniqueStacks) {
    let tally = &totals.tally;
    let problems = problems(header, &totals);
    let mut evidence = header.evidence.clone();
    // A stretch that the dump lacks proves nothing in either direction.
    let is_all_there = tally.missing_bytes == 0;
    evidence.push(Check {
        text: "the last entry ends at NextFreeLowerMemory".to_owned(),
        passed: is_all_there.then_some(totals.is_whole),
    });
    if let Some(allocated_count) = header.counts.and_then(|counts| counts.allocated_count) {
        let block_count = tally.entry_count.saturating_add(tally.free_entry_count);
        evidence.push(Check {
            text: format!("{allocated_count} blocks were carved, and as many are there"),
            passed: is_all_there.then_some(block_count == u64::from(allocated_count)),
        });
    }
    let bytes_between = |start: Va, end: Va| end.offset_from(start).unwrap_or(0);
    let (lower_end, upper_start) = header
        .counts
        .map_or((body.rule.area.end, body.next_free_upper), |c| (c.lower_commit_limit, c.upper_commit_limit));
    let committed_bytes =
        bytes_between(header.base, lower_end).saturating_add(bytes_between(upper_start, body.index_array));
    let used_bytes = bytes_between(header.base, body.rule.area.end)
        .saturating_add(bytes_between(body.next_free_upper, body.index_array));
    let store = TraceStore {
        evidence,
        entry_count: tally.entry_count,
        free_entry_count: tally.free_entry_count,
        free_block_bytes: tally.free_block_bytes,
        saturated_entry_count: tally.saturated_entry_count,
        truncated_entry_count: tally.truncated_entry_count,
        unindexed_entry_count: tally.unindexed_entry_count,
        use_count: tally.use_count,
        verified_entry_count: totals.verified_entry_count,
        missing_entry_count: totals.missing_entry_count,
        orphan_entry_count: 0,
        orphan_zones: Vec::new(),
        committed_bytes,
        used_bytes,
        lost_bytes: tally.lost_bytes,
        missing_bytes: tally.missing_bytes,
        problems,
        unique_stack_count: totals.unique.count(),
        truncated_stack_count: totals.unique.truncated_count,
        header: header.clone(),
    };
    (store, totals.unique)
}

fn problems(header: &StoreHeader, totals: &IndexedTotals) -> Problems {
    let tally = &totals.tally;
    let mut problems = Problems::default();
    let place = format!("stack trace database {}", header.base);
    let damaged_bytes = tally.lost_bytes.saturating_sub(tally.missing_bytes);
    let is_missing_only = |fault| matches!(fault, super::entry::Fault::NotInDump);
    for loss in tally.losses.iter().take(MAX_NAMED_LOSSES) {
        let text = format!("no entry at {:#x}: {}; reading goes on at {:#x}", loss.start, loss.fault, loss.end);
        if is_missing_only(loss.fault) {
            problems.missing(place.as_str(), text);
        } else {
            problems.damage(place.as_str(), text);
        }
    }
    let unnamed_count = tally.loss_count.saturating_sub(MAX_NAMED_LOSSES as u64);
    if unnamed_count > 0 {
        problems
            .damage(place.as_str(), format!("{unnamed_count} more such places, {damaged_bytes} damaged bytes in all"));
    }
    if tally.missing_bytes > 0 {
        let text = format!(
            "{} bytes of the entries are not in the dump; the index array knows of {} entries there",
            tally.missing_bytes, totals.missing_entry_count
        );
        problems.missing(place.as_str(), text);
    }
    problems
}
