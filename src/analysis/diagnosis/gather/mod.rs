//! Takes the facts that patterns judge from an analysis. No judgement here.

mod logs;
mod memory;
mod threads;

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::growth::Values;
use crate::analysis::series::handles::handle_histories;
use crate::analysis::series::leading_frame::{SkipRules, frame_text, leading_frame};
use crate::analysis::series::store_growth::{entry_growth, store_time_to_full};
use crate::analysis::snapshot::Snapshot;
use crate::base::ids::DumpIdx;
use crate::process::traces::{Health, TraceStore};

use super::facts::{HeapDamage, HeapFacts, SeriesFacts, StackInUse, StoreFacts, TraceFacts};

/// Allocation stacks whose blocks are followed; those that hold most in any dump.
const MOST_STACKS_IN_USE: usize = 2_000;

/// The chosen dumps of one process, and where they stand in its series.
struct Chosen<'a> {
    analysis: &'a Analysis,
    group: &'a crate::analysis::series::group::ProcessGroup,
    dumps: &'a [DumpIdx],
    snapshots: Vec<Arc<Snapshot>>,
    /// Position of each dump among those of its group.
    positions: Vec<usize>,
}

/// All facts over `dumps`, which are of one process and in time order. Others are left out.
pub fn gather(analysis: &Analysis, dumps: &[DumpIdx]) -> SeriesFacts {
    let Some(group) = dumps.first().and_then(|dump| analysis.group_of(*dump)) else { return SeriesFacts::default() };
    let of_group: Vec<DumpIdx> = dumps.iter().copied().filter(|dump| group.dumps.contains(dump)).collect();
    let chosen = Chosen {
        analysis,
        group,
        dumps: &of_group,
        snapshots: of_group.iter().filter_map(|dump| analysis.snapshot(*dump)).map(Arc::clone).collect(),
        positions: of_group.iter().filter_map(|dump| group.dumps.iter().position(|other| other == dump)).collect(),
    };
    SeriesFacts {
        dumps: memory::dump_facts(&chosen),
        memory: memory::memory_facts(&chosen),
        heaps: heap_facts(&chosen),
        traces: trace_facts(&chosen),
        stacks_in_use: stacks_in_use(&chosen),
        logged_curves: logs::logged_curves(&chosen),
        are_logs_pending: analysis.logs_of(group).is_some() && analysis.umdh.is_none(),
        threads: threads::thread_facts(&chosen),
        are_stacks_unwound: analysis.thread_stacks_of(group).is_some(),
        handles: handle_histories(&chosen.snapshots),
    }
}

impl Chosen<'_> {
    /// One value for each chosen dump, by its position in the group.
    fn values(&self, value: impl Fn(usize) -> Option<u64>) -> Values {
        Values(self.positions.iter().map(|position| value(*position)).collect())
    }
}

fn heap_facts(chosen: &Chosen<'_>) -> Option<Vec<HeapFacts>> {
    let heaps = chosen.analysis.heaps_of(chosen.group)?;
    let facts = heaps.histories.iter().filter(|history| {
        chosen.positions.iter().any(|position| history.positions.get(*position).is_some_and(Option::is_some))
    });
    let facts = facts.map(|history| {
        let sizes = |position: usize| history.sizes.get(position).copied().flatten();
        let decoded = |position: usize| {
            let at = history.positions.get(position).copied().flatten()?;
            heaps.dumps.get(position)?.heaps.get(at)
        };
        HeapFacts {
            base: history.base,
            width: history.width,
            kind: history.kind,
            committed: chosen.values(|position| Some(sizes(position)?.all_committed_bytes())),
            in_use: chosen.values(|position| Some(sizes(position)?.in_use?.user_bytes)),
            lock_contention: chosen.values(|position| decoded(position)?.figures?.lock_contention.map(u64::from)),
            damage: chosen.positions.iter().map(|position| damage_of(decoded(*position)?.totals.as_ref()?)).collect(),
        }
    });
    Some(facts.collect())
}

fn damage_of(totals: &crate::process::heap::totals::BlockTotals) -> Option<HeapDamage> {
    Some(HeapDamage {
        bad_header_count: totals.bad_header_count,
        broken_chain_count: totals.broken_chain_count,
        lost_bytes: totals.lost_bytes,
        first: totals.damaged_places.first().map(|place| place.range.start),
    })
}

/// Stores are followed by their place and kind.
fn trace_facts(chosen: &Chosen<'_>) -> Option<TraceFacts> {
    let traces = chosen.analysis.traces_of(chosen.group)?;
    let (first, last) = (*chosen.positions.first()?, *chosen.positions.last()?);
    let of_dump = |position: usize| traces.stores.get(position).map(Vec::as_slice).unwrap_or_default();
    let mut known: Vec<&TraceStore> = Vec::new();
    for store in chosen.positions.iter().rev().flat_map(|position| of_dump(*position)) {
        if !known.iter().any(|other| is_same(other, store)) {
            known.push(store);
        }
    }
    let timed: Vec<_> = chosen
        .group
        .dumps
        .iter()
        .zip(traces.stores.iter())
        .map(|(dump, stores)| (chosen.analysis.snapshot(*dump).and_then(|snapshot| snapshot.time()), stores.as_slice()))
        .collect();
    let stores = known.into_iter().map(|newest| {
        let in_dump = |position: usize| of_dump(position).iter().find(|store| is_same(store, newest));
        let health = |position: usize| in_dump(position).map(Health::of);
        StoreFacts {
            kind: newest.header.kind,
            base: newest.header.base,
            width: newest.header.width,
            found_by: newest.header.found_by,
            reserved_bytes: Health::of(newest).reserved_bytes,
            committed: chosen.values(|position| Some(in_dump(position)?.committed_bytes)),
            used: chosen.values(|position| Some(in_dump(position)?.used_bytes)),
            entries: chosen.values(|position| Some(in_dump(position)?.entry_count)),
            unique_stacks: chosen.values(|position| Some(in_dump(position)?.unique_stack_count)),
            saturated_entries: chosen.values(|position| Some(in_dump(position)?.saturated_entry_count)),
            failures: chosen.values(|position| in_dump(position)?.header.counts?.failure_count.map(u64::from)),
            room_left: chosen.values(|position| health(position)?.room_left_bytes),
            is_full: chosen.positions.iter().map(|position| health(*position)?.is_full).collect(),
            fill_percent: chosen.positions.iter().map(|position| health(*position)?.fill_percent).collect(),
            time_to_full: (first < last).then(|| store_time_to_full(&timed, newest, first, last)).flatten(),
        }
    });
    let stores = stores.collect();
    let growth = (first < last).then(|| entry_growth(&traces.stacks, first, last)).flatten();
    Some(TraceFacts { stores, growth })
}

fn is_same(a: &TraceStore, b: &TraceStore) -> bool {
    (a.header.kind, a.header.base) == (b.header.kind, b.header.base)
}

/// Stacks by what their blocks in use hold; `None` before blocks and stacks were joined.
fn stacks_in_use(chosen: &Chosen<'_>) -> Option<Vec<StackInUse>> {
    let outstanding = chosen.analysis.outstanding_of(chosen.group)?;
    let stacks = &chosen.analysis.traces_of(chosen.group)?.stacks;
    let symbols = chosen.analysis.symbols_of(chosen.group);
    let rules = SkipRules::default();
    let mut found: Vec<(usize, Values)> = (0..stacks.len())
        .map(|stack| (stack, chosen.values(|position| Some(outstanding.of(stack, position)?.user_bytes))))
        .filter(|(_, bytes)| bytes.most().is_some_and(|most| most > 0))
        .collect();
    found.sort_by_key(|(stack, bytes)| (std::cmp::Reverse(bytes.most()), *stack));
    found.truncate(MOST_STACKS_IN_USE);
    let named = found.into_iter().map(|(stack, user_bytes)| {
        let leading = leading_frame(&symbols, &rules, stacks.frames(stack));
        let name =
            leading.map_or_else(|| "an empty stack".to_owned(), |va| frame_text(&symbols, va, stacks.width(stack)));
        StackInUse { stack, name, user_bytes }
    });
    Some(named.collect())
}
