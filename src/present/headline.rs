//! The answer in one line: what grew over an interval, and which use of memory it was.

use crate::analysis::Analysis;
use crate::analysis::series::delta::share_of_growth_percent;
use crate::analysis::series::equal_sizes::{EqualSizes, equal_sizes};
use crate::analysis::thresholds::STEADY_PERCENT;
use crate::base::ids::DumpIdx;
use crate::base::units::{ByteSize, grouped};
use crate::process::regions::usage::Usage;

use super::uses::{Division, Part};
use super::words::usage_name;

/// A part may pass the whole by what rounding hides, not by more.
const MOST_PERCENT: f64 = 100.5;

/// What the interval says. Only numbers: a cause is for the findings to name.
pub fn headline(analysis: &Analysis, interval: &[DumpIdx]) -> String {
    let Some((from, to)) = interval.first().zip(interval.last()) else { return "no dump could be read".to_owned() };
    if from == to {
        return one_dump(analysis, *to);
    }
    let whole = Part::All.change(analysis, *from, *to);
    let Some((whole, delta)) = whole.and_then(|whole| Some((whole, whole.delta()?))) else {
        return format!(
            "dumps {from} and {to} do not both hold the map of the process's memory, so its growth is not known"
        );
    };
    let (before, after) = (whole.from_bytes.unwrap_or(0), whole.to_bytes.unwrap_or(0));
    let amounts = format!("({} to {}, dumps {from} to {to})", ByteSize(before), ByteSize(after));
    if before > 0 && (delta.0.unsigned_abs() as f64) * 100.0 / (before as f64) < STEADY_PERCENT {
        return format!("committed memory is steady: {delta} {amounts}");
    }
    if delta.0 < 0 {
        return format!("committed memory shrank by {} {amounts}", ByteSize(before.saturating_sub(after)));
    }
    let largest = Usage::IN_USE
        .into_iter()
        .filter_map(|usage| Some((usage, Part::Use(usage).change(analysis, *from, *to)?)))
        .filter_map(|(usage, change)| Some((usage, change, change.delta()?)))
        .max_by_key(|(_, _, delta)| delta.0);
    let who = largest.map_or_else(String::new, |(usage, change, delta)| {
        match share_of_growth_percent(change, whole) {
            Some(percent) if percent < MOST_PERCENT => {
                format!("; {delta} ({percent:.0} %) of it is {}", in_words(usage))
            }
            // The whole is what is left of growth and decline together, so no part is a share of it.
            _ => format!("; {} {delta}, less what others gave back", in_words(usage)),
        }
    });
    format!("committed memory grew by {} {amounts}{who}", ByteSize(after.saturating_sub(before)))
}

/// A use in a sentence.
const fn in_words(usage: Usage) -> &'static str {
    match usage {
        Usage::Unknown => "private memory of unknown use",
        Usage::StackTraceDatabase => "the stack trace database",
        other => usage_name(other),
    }
}

fn one_dump(analysis: &Analysis, dump: DumpIdx) -> String {
    let Some(snapshot) = analysis.snapshot(dump) else { return String::new() };
    let Some(committed) = snapshot.address_space.totals.committed_bytes() else {
        return "this dump does not hold the map of the process's memory; take dumps with: procdump -ma".to_owned();
    };
    let largest = Division::Use
        .parts()
        .into_iter()
        .filter_map(|part| Some((part, part.committed_bytes(analysis, dump)?)))
        .max_by_key(|(_, bytes)| *bytes);
    let who = largest
        .map_or_else(String::new, |(part, bytes)| format!(", the most of it {} with {}", part.name(), ByteSize(bytes)));
    format!("{} committed{who}; a second dump will show what grows", ByteSize(committed))
}

/// Sentences about many allocations of one size, comparing the ends of an interval.
pub fn equal_size_lines(analysis: &Analysis, interval: &[DumpIdx]) -> Vec<String> {
    const MOST_LINES: usize = 5;
    let Some((from, to)) = interval.first().zip(interval.last()) else { return Vec::new() };
    let (Some(first), Some(last)) = (analysis.snapshot(*from), analysis.snapshot(*to)) else { return Vec::new() };
    let before = if from == to { Vec::new() } else { equal_sizes(first) };
    equal_sizes(last)
        .iter()
        .take(MOST_LINES)
        .map(|group| {
            let earlier = before
                .iter()
                .find(|other| (other.size_bytes, other.usage) == (group.size_bytes, group.usage))
                .map(|other| other.count);
            equal_size_line(group, (from != to).then_some((*from, earlier)))
        })
        .collect()
}

fn equal_size_line(group: &EqualSizes, earlier: Option<(DumpIdx, Option<u64>)>) -> String {
    let run = if group.longest_run_count > 1 {
        format!(", {} of them in a row", grouped(group.longest_run_count))
    } else {
        String::new()
    };
    let change = match earlier {
        Some((dump, Some(count))) => format!(" (dump {dump} has {})", grouped(count)),
        Some((dump, None)) => format!(" (dump {dump} has no such group)"),
        None => String::new(),
    };
    format!(
        "{} private allocations of {} each ({}){run}: {} committed{change}",
        grouped(group.count),
        ByteSize(group.size_bytes),
        usage_name(group.usage),
        ByteSize(group.committed_bytes),
    )
}
