//! The text report: the answer first, then the numbers behind it, in WinDbg's forms where it has one.

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::snapshot::Snapshot;
use crate::base::ids::DumpIdx;
use crate::base::units::grouped;
use crate::present::advice::{advice_text, all_advice};
use crate::present::diagnosis::{finding_text, findings, verdict_line};
use crate::present::dumps::DumpTable;
use crate::present::headline::{equal_size_lines, headline};
use crate::present::heaps::heap_table::HeapTable;
use crate::present::heaps::heaps_of;
use crate::present::heaps::summary::heap_summary;
use crate::present::heaps::verdict::{outstanding_lines, verdict_lines};
use crate::present::modules::{ModuleTable, change_lines, lm_lines};
use crate::present::process::process_facts;
use crate::present::summary;
use crate::present::table::{TableModel, to_text};
use crate::present::threads::runaway_text;
use crate::present::time_to_full::wall_lines;
use crate::present::traces::leading::{Naming, SkipRules};
use crate::present::traces::stack_table::{StackInterval, StackTable, frame_lines};
use crate::present::traces::{growth_lines, store_lines};
use crate::present::uses::{Division, UseTable};
use crate::process::regions::Completeness;

use super::text_umdh::umdh_text;

/// A thread list longer than this is for the window.
const MOST_THREADS: usize = 10;
/// And so is a longer list of stacks.
const MOST_STACKS: usize = 20;
/// And of modules that changed.
const MOST_MODULES: usize = 20;

/// The whole report.
pub fn text_report(analysis: &Arc<Analysis>, baseline: Option<DumpIdx>) -> String {
    let mut text = format!("dumptrend {}\n", env!("CARGO_PKG_VERSION"));
    for failure in &analysis.failures {
        text.push_str(&format!("\nnot analysed: {}\n", failure.text));
    }
    for note in &analysis.notes {
        text.push_str(&format!("\nnote: {}\n", note.text));
    }
    for group in &analysis.groups {
        let baseline = baseline.filter(|dump| group.dumps.contains(dump)).or_else(|| group.dumps.first().copied());
        let interval = group.compared_dumps(baseline);
        text.push_str(&format!("\n{}\n", headline(analysis, &interval)));
        for line in equal_size_lines(analysis, &interval) {
            text.push_str(&format!("  {line}\n"));
        }
        for line in wall_lines(analysis, &interval) {
            text.push_str(&format!("  {line}\n"));
        }
        text.push_str(&findings_text(analysis, &interval));
        if let Some(snapshot) = interval.last().and_then(|dump| analysis.snapshot(*dump)) {
            text.push_str("\nprocess\n");
            for fact in process_facts(snapshot) {
                text.push_str(&format!("  {:<20} {}\n", fact.name, fact.value));
            }
        }
        text.push_str("\ndumps\n");
        text.push_str(&table_text(&DumpTable::new(Arc::clone(analysis), group.dumps.clone(), baseline)));
        let has_map = |dump: &DumpIdx| {
            analysis.snapshot(*dump).is_some_and(|s| s.address_space.totals.committed_bytes().is_some())
        };
        if interval.iter().any(has_map) {
            text.push_str("\ncommitted memory by use\n");
            text.push_str(&table_text(&UseTable::new(Arc::clone(analysis), Division::Use, interval.clone())));
            text.push_str("\ncommitted memory by type\n");
            text.push_str(&table_text(&UseTable::new(Arc::clone(analysis), Division::Type, interval.clone())));
        }
        if let Some((dump, snapshot)) = interval.last().and_then(|dump| Some((*dump, analysis.snapshot(*dump)?))) {
            text.push_str(&address_space_text(dump, snapshot));
            text.push_str(&heaps_text(analysis, &interval, dump, snapshot));
            text.push_str(&traces_text(analysis, dump, &interval));
            text.push_str(&thread_text(dump, snapshot));
            text.push_str(&modules_text(analysis, &interval, dump));
        }
        text.push_str(&problems_text(analysis, &group.dumps));
    }
    text.push_str(&umdh_text(analysis, baseline));
    text
}

/// The verdicts in one line, each with its evidence, and what to do.
fn findings_text(analysis: &Analysis, interval: &[DumpIdx]) -> String {
    let findings = findings(analysis, interval);
    let mut text = verdict_line(&findings).map_or_else(String::new, |line| format!("{line}\n"));
    text.push_str("\nfindings\n");
    for finding in findings.iter() {
        text.push_str(&indented(&finding_text(finding)));
    }
    text.push_str("\nwhat to do\n");
    for advice in all_advice(analysis, interval, &findings) {
        text.push_str(&indented(&advice_text(&advice)));
    }
    text
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn table_text(model: &dyn TableModel) -> String {
    let rows: Vec<usize> = (0..model.row_count()).collect();
    to_text(model, &rows)
}

fn address_space_text(dump: DumpIdx, snapshot: &Snapshot) -> String {
    let mut text = format!("\naddress space of dump {dump}\n");
    match snapshot.address_space.completeness {
        Completeness::Complete => {}
        Completeness::Partial => {
            text.push_str("  partial: the dump has no whole memory info list and not all memory; no total is known\n");
        }
    }
    for line in summary::sections_text(snapshot).lines() {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

fn thread_text(dump: DumpIdx, snapshot: &Snapshot) -> String {
    let runaway = runaway_text(snapshot, MOST_THREADS);
    if runaway.is_empty() {
        return format!("\nCPU times of dump {dump} are not known: it has no thread info list\n");
    }
    let more = snapshot.threads.len().saturating_sub(MOST_THREADS);
    let more = if more > 0 { format!(" (the first {MOST_THREADS}, {more} more threads)") } else { String::new() };
    let lines: Vec<String> = runaway.lines().map(|line| format!("  {line}\n")).collect();
    format!("\nCPU times of dump {dump}{more}\n{}", lines.concat())
}

/// The modules that are not the same in both compared dumps; nothing where all are.
fn modules_text(analysis: &Analysis, interval: &[DumpIdx], dump: DumpIdx) -> String {
    let table = interval.first().and_then(|from| ModuleTable::new(analysis, *from, dump));
    let Some(table) = table else { return String::new() };
    let rows = table.changed_rows();
    if rows.is_empty() {
        return String::new();
    }
    let lines = change_lines(&table).into_iter().chain(lm_lines(&table, &rows, MOST_MODULES));
    lines.fold("\nmodules that changed\n".to_owned(), |text, line| format!("{text}  {line}\n"))
}

/// What the heaps did, and `!heap -s` of the last dump.
fn heaps_text(analysis: &Arc<Analysis>, interval: &[DumpIdx], dump: DumpIdx, snapshot: &Snapshot) -> String {
    let from = interval.first().copied().unwrap_or(dump);
    let Some(heaps) = heaps_of(analysis, dump).filter(|_| !snapshot.heaps.is_empty()) else { return String::new() };
    let mut text = format!("\nheaps of dump {dump}\n");
    for line in verdict_lines(analysis, from, dump) {
        text.push_str(&format!("  {line}\n"));
    }
    for line in outstanding_lines(analysis, dump) {
        text.push_str(&format!("  {line}\n"));
    }
    for peb in &snapshot.pebs {
        if snapshot.pebs.len() > 1 {
            text.push_str(&format!("  {}-bit heaps\n", peb.width.bits()));
        }
        for line in heap_summary(snapshot, heaps, peb.width).lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}

/// Heaps of a dump's process; `None` before they were decoded.
pub(super) fn heap_table(analysis: &Analysis, from: DumpIdx, to: DumpIdx) -> Option<HeapTable> {
    let group = analysis.group_of(to)?;
    let heaps = analysis.heaps_of(group)?;
    Some(HeapTable::new(Arc::clone(heaps), StackInterval::new(group.dumps.clone(), from, to)?))
}

/// The stores of the last dump, and the stacks that have most entries.
fn traces_text(analysis: &Arc<Analysis>, dump: DumpIdx, interval: &[DumpIdx]) -> String {
    let lines = store_lines(analysis, dump);
    if lines.is_empty() {
        return String::new();
    }
    let mut text = format!("\nstack traces of dump {dump}\n");
    for line in lines {
        text.push_str(&format!("  {line}\n"));
    }
    let from = interval.first().copied().unwrap_or(dump);
    for line in growth_lines(analysis, from, dump) {
        text.push_str(&format!("  {line}\n"));
    }
    if let Some((table, naming)) = stack_table(analysis, from, dump) {
        let rows: Vec<usize> = (0..table.row_count().min(MOST_STACKS)).collect();
        text.push_str(&to_text(&table, &rows));
        let all_count = (table.row_count() as u64).saturating_add(table.stacks.left_out_count);
        let more = all_count.saturating_sub(rows.len() as u64);
        if more > 0 {
            text.push_str(&format!("  and {} more stacks\n", grouped(more)));
        }
        if table.row_count() > 0 {
            text.push_str("  stack 1, innermost first:\n");
            for line in frame_lines(&table.stacks, &naming, 0) {
                text.push_str(&format!("    {line}\n"));
            }
        }
    }
    text
}

/// All stacks of a dump's process; `None` before they were decoded.
pub(super) fn stack_table(analysis: &Analysis, from: DumpIdx, to: DumpIdx) -> Option<(StackTable, Naming)> {
    let group = analysis.group_of(to)?;
    let traces = analysis.traces_of(group)?;
    let naming = Naming { symbols: analysis.symbols_of(group), rules: Arc::new(SkipRules::default()) };
    let stacks = Arc::clone(&traces.stacks);
    let rows = (0..u32::try_from(stacks.len()).unwrap_or(u32::MAX)).collect();
    let interval = StackInterval::new(group.dumps.clone(), from, to)?;
    let outstanding = analysis.outstanding_of(group).filter(|held| held.has_stacks()).map(Arc::clone);
    Some((StackTable::new(stacks, outstanding, naming.clone(), Arc::new(rows), interval), naming))
}

fn problems_text(analysis: &Analysis, dumps: &[DumpIdx]) -> String {
    let mut text = String::new();
    for (dump, snapshot) in dumps.iter().filter_map(|dump| Some((dump, analysis.snapshot(*dump)?))) {
        for problem in analysis.problems_of(*dump) {
            let kind = problem.kind.word();
            text.push_str(&format!("  dump {dump}, {kind}: {} {}\n", problem.place, problem.text));
        }
        if snapshot.problems.left_out_count() > 0 {
            text.push_str(&format!("  dump {dump}: and {} more\n", snapshot.problems.left_out_count()));
        }
    }
    if text.is_empty() { text } else { format!("\nproblems\n{text}") }
}
