//! Puts the results of an indexed database's walk into a [`TraceStore`], with what the walk proves and what it missed.

use crate::base::addr::Va;
use crate::base::memory::ReadMemory;
use crate::base::problems::Problems;

use super::area::Area;
use super::indexed::{IndexedHeader, IndexedTotals};
use super::{Check, StoreHeader, TraceStore, UniqueStacks};

/// Losses that are named one by one.
const MAX_NAMED_LOSSES: usize = 20;

pub(super) fn finish(
    memory: &dyn ReadMemory,
    header: &StoreHeader,
    body: &IndexedHeader,
    totals: IndexedTotals,
) -> (TraceStore, UniqueStacks) {
    let tally = &totals.tally;
    let problems = problems(memory, header, &totals);
    let mut evidence = header.evidence.clone();
    // A stretch that the dump lacks proves nothing in either direction.
    let is_all_there = tally.missing_bytes == 0;
    if header.counts.is_some() {
        evidence.push(Check {
            text: "the last entry ends at NextFreeLowerMemory".to_owned(),
            passed: is_all_there.then_some(totals.is_whole),
        });
    }
    if let Some(allocated_count) = header.counts.and_then(|counts| counts.allocated_count) {
        let block_count = tally.entry_count.saturating_add(tally.free_entry_count);
        evidence.push(Check {
            text: format!("{allocated_count} blocks were carved, and as many are there"),
            passed: is_all_there.then_some(block_count == u64::from(allocated_count)),
        });
    }
    let (committed_bytes, used_bytes) = sizes(memory, header, body);
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
        orphan_entry_count: if header.counts.is_some() { 0 } else { tally.entry_count },
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

/// Committed and used bytes. Without a header: what the dump has, and what the entries take.
fn sizes(memory: &dyn ReadMemory, header: &StoreHeader, body: &IndexedHeader) -> (u64, u64) {
    let bytes_between = |start: Va, end: Va| end.offset_from(start).unwrap_or(0);
    let Some(counts) = header.counts else {
        let (start, end) = (header.reserved.start.0, header.reserved.end.0);
        let missing_bytes = Area::new(memory, header.reserved).missing_bytes(start, end);
        return (header.reserved.size_bytes().saturating_sub(missing_bytes), body.rule.area.size_bytes());
    };
    let committed_bytes = bytes_between(header.base, counts.lower_commit_limit)
        .saturating_add(bytes_between(counts.upper_commit_limit, body.index_array));
    let used_bytes = bytes_between(header.base, body.rule.area.end)
        .saturating_add(bytes_between(body.next_free_upper, body.index_array));
    (committed_bytes, used_bytes)
}

fn problems(memory: &dyn ReadMemory, header: &StoreHeader, totals: &IndexedTotals) -> Problems {
    let tally = &totals.tally;
    let mut problems = Problems::default();
    let place = format!("stack trace database {}", header.base);
    if header.counts.is_none() {
        let rest = "its entries were found by themselves, and its counters and limits are not known";
        if memory.bytes_at(header.base, 1).is_empty() {
            problems.missing(place.as_str(), format!("its header is not in the dump; {rest}"));
        } else {
            problems.damage(place.as_str(), format!("its header is damaged or does not fit its entries; {rest}"));
        }
    }
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
        let mut text = format!("{} bytes of the entries are not in the dump", tally.missing_bytes);
        if header.counts.is_some() {
            text.push_str(&format!("; the index array knows of {} entries there", totals.missing_entry_count));
        }
        problems.missing(place.as_str(), text);
    }
    problems
}
