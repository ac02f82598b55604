//! Totals of one dump in the sections of `!address -summary`.

use crate::analysis::snapshot::Snapshot;
use crate::base::units::{ByteSize, grouped};
use crate::process::regions::usage::Usage;
use crate::process::regions::{Completeness, MemoryType, State};

use super::words;

/// One line of a section.
#[derive(Clone, PartialEq, Debug)]
pub struct SummaryRow {
    pub name: String,
    pub region_count: u64,
    pub bytes: u64,
    /// Share of memory that is not free; `None` for free memory.
    pub of_busy_percent: Option<f64>,
}

/// One section, its rows by size as WinDbg sorts them.
#[derive(Clone, PartialEq, Debug)]
pub struct SummarySection {
    pub title: &'static str,
    pub rows: Vec<SummaryRow>,
}

/// The sections that the dump allows: none for a partial map.
pub fn sections(snapshot: &Snapshot) -> Vec<SummarySection> {
    let totals = &snapshot.address_space.totals;
    if snapshot.address_space.completeness != Completeness::Complete {
        return Vec::new();
    }
    let busy_bytes = totals.busy_bytes();
    let percent = |bytes: u64| (busy_bytes > 0).then(|| bytes as f64 * 100.0 / busy_bytes as f64);
    let row = |name: String, region_count: u64, bytes: u64| SummaryRow {
        name,
        region_count,
        bytes,
        of_busy_percent: percent(bytes),
    };
    let is_told = |usage: &Usage| *usage == Usage::Free || totals.usage_sizes(*usage).is_some();
    let uses = totals.by_usage.iter().filter(|(usage, _)| is_told(usage)).map(|(usage, sizes)| {
        let name = words::usage_name(*usage).to_owned();
        if *usage == Usage::Free {
            let bytes = totals.free_bytes().unwrap_or(0);
            SummaryRow { name, region_count: sizes.region_count, bytes, of_busy_percent: None }
        } else {
            row(name, sizes.region_count, sizes.busy_bytes())
        }
    });
    let types = MemoryType::ALL.into_iter().filter_map(|memory_type| {
        let sizes = totals.by_type.get(&memory_type)?;
        Some(row(words::type_windbg(Some(memory_type)).to_owned(), sizes.region_count, sizes.busy_bytes()))
    });
    let states = totals.by_state.iter().map(|(state, sizes)| {
        let name = words::state_windbg(*state).to_owned();
        if *state == State::Free {
            let bytes = totals.free_bytes().unwrap_or(0);
            SummaryRow { name, region_count: sizes.region_count, bytes, of_busy_percent: None }
        } else {
            row(name, sizes.region_count, sizes.busy_bytes())
        }
    });
    let protections = totals
        .by_protect
        .iter()
        .map(|(protect, sizes)| row(words::protect_windbg(*protect), sizes.region_count, sizes.committed_bytes));
    vec![
        section("by use", uses.collect()),
        section("by type", types.collect()),
        section("by state", states.collect()),
        section("by protection (committed)", protections.collect()),
    ]
}

fn section(title: &'static str, mut rows: Vec<SummaryRow>) -> SummarySection {
    rows.sort_by_key(|row| std::cmp::Reverse(row.bytes));
    SummarySection { title, rows }
}

/// All sections and the largest free block as aligned lines; empty when there are none.
pub fn sections_text(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for section in sections(snapshot) {
        text.push_str(&format!("{:<28} {:>8} {:>12} {:>8}\n", section.title, "regions", "size", "of busy"));
        for row in section.rows {
            let percent = row.of_busy_percent.map_or_else(String::new, |percent| format!("{percent:.2} %"));
            let (count, size) = (grouped(row.region_count), ByteSize(row.bytes).to_string());
            let line = format!("  {:<26} {count:>8} {size:>12} {percent:>8}", row.name);
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    if let Some(largest) = largest_free_text(snapshot) {
        text.push_str(&format!("largest free block: {largest}\n"));
    }
    text
}

/// The largest free block: the whole address space's, and for a 32-bit program what it can use of it.
pub fn largest_free_text(snapshot: &Snapshot) -> Option<String> {
    let totals = &snapshot.address_space.totals;
    let width = snapshot.pointer_width();
    let text = |range: crate::base::addr::VaRange| {
        format!("{} at {}", ByteSize(range.size_bytes()), range.start.windbg(width))
    };
    let largest = text(totals.largest_free()?);
    if !snapshot.is_wow64() {
        return Some(largest);
    }
    Some(format!("{largest}; below 4 GB, where the 32-bit program lives: {}", text(totals.largest_free_below_4gb()?)))
}
