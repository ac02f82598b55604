//! The trace stores and their stacks as text, tables, trees and graphs.

pub mod entry_facts;
pub mod frame_filter;
pub mod leading;
pub mod stack_table;
pub mod tree;

use crate::analysis::Analysis;
use crate::analysis::series::store_growth::{EntryGrowth, entry_growth, store_time_to_full};
use crate::analysis::series::time_to_full::TimeToFull;
use crate::base::addr::PointerWidth;
use crate::base::ids::DumpIdx;
use crate::base::units::{ByteDelta, ByteSize, grouped};
use crate::present::time_to_full::band_text;
use crate::process::traces::{FoundBy, Generation, Health, StoreKind, TraceStore};

/// `windows7+ x64`: the generation and width of a store's layout.
pub fn layout_text(store: &TraceStore) -> String {
    let generation = match store.header.generation {
        Some(Generation::Xp) => "xp/2003 ",
        Some(Generation::Vista) => "vista ",
        Some(Generation::Seven) => "windows7+ ",
        None => "",
    };
    let width = match store.header.width {
        PointerWidth::Bits32 => "x86",
        PointerWidth::Bits64 => "x64",
    };
    format!("{generation}{width}")
}

/// The word of the JSON report.
pub const fn found_by_word(found_by: FoundBy) -> &'static str {
    match found_by {
        FoundBy::Symbol => "symbol",
        FoundBy::Structure => "structure",
        FoundBy::Records => "records",
    }
}

/// How a store was found and how full it is, in one or two sentences.
pub fn store_text(store: &TraceStore) -> String {
    let health = Health::of(store);
    let kind = match store.header.kind {
        StoreKind::Indexed => "stack trace database",
        StoreKind::HeapLog => "heap trace log",
    };
    let passed = store.evidence.iter().filter(|check| check.passed == Some(true)).count();
    let mut text = format!(
        "{kind} at {} ({}, found by {}: {passed} of {} checks): {} entries, {} unique stacks",
        store.header.base.windbg(store.header.width),
        layout_text(store),
        found_by_word(store.header.found_by),
        store.evidence.len(),
        grouped(store.entry_count),
        grouped(store.unique_stack_count),
    );
    if let Some(percent) = health.saturated_percent {
        text.push_str(&format!(", {percent:.1} % of the entries saturated"));
    }
    if store.header.found_by == FoundBy::Records {
        text.push_str("; its header is damaged or not in the dump");
    }
    if let (Some(percent), Some(reserved)) = (health.fill_percent, health.reserved_bytes) {
        text.push_str(&format!("; {percent:.1} % of {} used", ByteSize(reserved)));
    }
    let is_pre_committed = store.header.counts.is_some_and(|counts| counts.is_pre_committed);
    match (health.is_full, health.room_left_bytes) {
        _ if is_pre_committed => {}
        (Some(true), Some(room)) => text.push_str(&format!(", full: {} left to commit", ByteSize(room))),
        (_, Some(room)) => text.push_str(&format!(", {} left to commit", ByteSize(room))),
        _ => {}
    }
    text
}

/// One sentence for each store of a dump; empty before the stores were decoded.
pub fn store_lines(analysis: &Analysis, dump: DumpIdx) -> Vec<String> {
    stores_of(analysis, dump).map(|stores| stores.iter().map(store_text).collect()).unwrap_or_default()
}

/// What the growth between two dumps consists of, and when each database will be full: one sentence each.
pub fn growth_lines(analysis: &Analysis, from: DumpIdx, to: DumpIdx) -> Vec<String> {
    let Some(group) = analysis.group_of(to) else { return Vec::new() };
    let Some(traces) = analysis.traces_of(group) else { return Vec::new() };
    let position = |dump: DumpIdx| group.dumps.iter().position(|other| *other == dump);
    let Some((from_at, to_at)) = position(from).zip(position(to)).filter(|(from, to)| from < to) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    if let Some(growth) = entry_growth(&traces.stacks, from_at, to_at) {
        lines.extend(entry_growth_text(&growth, from, to));
    }
    let stores: Vec<_> = group
        .dumps
        .iter()
        .zip(traces.stores.iter())
        .map(|(dump, stores)| (analysis.snapshot(*dump).and_then(|snapshot| snapshot.time()), stores.as_slice()))
        .collect();
    for store in traces.stores.get(to_at).into_iter().flatten() {
        let number = |position: usize| group.dumps.get(position).copied().unwrap_or(to);
        if let Some(time) = store_time_to_full(&stores, store, from_at, to_at) {
            lines.push(time_to_full_text(store, &time, number, from, to));
        }
    }
    lines
}

/// `None` when nothing changed.
fn entry_growth_text(growth: &EntryGrowth, from: DumpIdx, to: DumpIdx) -> Option<String> {
    let added = growth.repeated_entry_count.saturating_add(growth.new_entry_count);
    if added == 0 && growth.lost_entry_count == 0 {
        return None;
    }
    let share = |part: u64, of: u64| format!("{:.1} %", part as f64 * 100.0 / of.max(1) as f64);
    let stacks = |count: u64| if count == 1 { "1 stack".to_owned() } else { format!("{} stacks", grouped(count)) };
    let mut text = format!("dump {from} to {to}: +{} entries", grouped(added));
    if growth.repeated_entry_count > 0 {
        text.push_str(&format!(
            ", {} of them repeat {} that dump {from} had",
            share(growth.repeated_entry_count, added),
            stacks(growth.repeated_stack_count)
        ));
        if growth.repeated_saturated_entry_count > 0 {
            text.push_str(&format!(
                ", {} of these in stacks whose other entries are saturated",
                share(growth.repeated_saturated_entry_count, growth.repeated_entry_count)
            ));
        }
    }
    if growth.new_entry_count > 0 {
        let (part, stacks) = (share(growth.new_entry_count, added), stacks(growth.new_stack_count));
        text.push_str(&format!(", {part} are of {stacks} that it had not"));
    }
    if growth.lost_entry_count > 0 {
        text.push_str(&format!(", {} are gone", grouped(growth.lost_entry_count)));
    }
    Some(text)
}

fn time_to_full_text(
    store: &TraceStore,
    time: &TimeToFull,
    number: impl Fn(usize) -> DumpIdx,
    from: DumpIdx,
    to: DumpIdx,
) -> String {
    let name = format!("database at {}", store.header.base.windbg(store.header.width));
    match time {
        TimeToFull::Full { since_dump } if *since_dump == 0 => format!("{name} is full in every dump"),
        TimeToFull::Full { since_dump } => {
            let (since, before) = (number(*since_dump), number(since_dump.saturating_sub(1)));
            format!("{name} became full between dumps {before} and {since}")
        }
        TimeToFull::NotGrowing => format!("{name} did not grow from dump {from} to {to}"),
        TimeToFull::At { expected, earliest, latest, per_hour } => {
            let rate = ByteDelta(per_hour.round() as i128);
            let band = band_text(*earliest, *latest);
            format!(
                "{name} is full at {} UTC at the rate of dumps {from} to {to}, {rate}/h{band}",
                expected.table_text()
            )
        }
    }
}

/// The decoded stores of a dump; `None` before they were decoded.
pub fn stores_of(analysis: &Analysis, dump: DumpIdx) -> Option<&[TraceStore]> {
    let group = analysis.group_of(dump)?;
    let position = group.dumps.iter().position(|other| *other == dump)?;
    analysis.traces_of(group)?.stores.get(position).map(Vec::as_slice)
}
