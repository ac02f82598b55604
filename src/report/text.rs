//! The text report, and the same as Markdown: the answer first, then the numbers behind it, in WinDbg's forms where it has one.

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::group::ProcessGroup;
use crate::analysis::snapshot::Snapshot;
use crate::base::ids::DumpIdx;
use crate::present::advice::{advice_text, all_advice};
use crate::present::diagnosis::{finding_text, findings, verdict_line};
use crate::present::dumps::DumpTable;
use crate::present::handles::HandleTable;
use crate::present::headline::{equal_size_lines, headline};
use crate::present::heaps::heap_table::HeapTable;
use crate::present::heaps::heaps_of;
use crate::present::heaps::summary::heap_summary;
use crate::present::heaps::verdict::{outstanding_lines, verdict_lines};
use crate::present::modules::{ModuleTable, change_lines, lm_lines};
use crate::present::process::process_facts;
use crate::present::summary;
use crate::present::table::TableModel;
use crate::present::threads::runaway_text;
use crate::present::time_to_full::wall_lines;
use crate::present::traces::leading::{Naming, SkipRules};
use crate::present::traces::stack_table::{StackInterval, StackTable, frame_lines};
use crate::present::traces::{growth_lines, store_lines};
use crate::present::uses::{Division, UseTable};
use crate::process::regions::Completeness;

use super::document::{Document, Form};
use super::text_umdh::umdh_report;

/// A thread list longer than this is for the window.
const MOST_THREADS: usize = 10;
/// And so is a longer list of stacks.
const MOST_STACKS: usize = 20;
/// And of types of handles.
const MOST_HANDLE_TYPES: usize = 20;
/// And of modules that changed.
const MOST_MODULES: usize = 20;

/// The whole report as text.
pub fn text_report(analysis: &Arc<Analysis>, baseline: Option<DumpIdx>) -> String {
    report(analysis, baseline, Form::Plain)
}

/// The same as Markdown.
pub fn markdown_report(analysis: &Arc<Analysis>, baseline: Option<DumpIdx>) -> String {
    report(analysis, baseline, Form::Markdown)
}

fn report(analysis: &Arc<Analysis>, baseline: Option<DumpIdx>, form: Form) -> String {
    let mut out = Document::new(form);
    out.title(&format!("dumptrend {}", env!("CARGO_PKG_VERSION")));
    for failure in &analysis.failures {
        out.paragraph(&format!("not analysed: {}", failure.text));
    }
    for note in &analysis.notes {
        out.paragraph(&format!("note: {}", note.text));
    }
    for group in &analysis.groups {
        group_report(&mut out, analysis, group, baseline);
    }
    umdh_report(&mut out, analysis, baseline);
    out.into_text()
}

fn group_report(out: &mut Document, analysis: &Arc<Analysis>, group: &ProcessGroup, baseline: Option<DumpIdx>) {
    let baseline = baseline.filter(|dump| group.dumps.contains(dump)).or_else(|| group.dumps.first().copied());
    let interval = group.compared_dumps(baseline);
    out.paragraph(&headline(analysis, &interval));
    for line in equal_size_lines(analysis, &interval).iter().chain(&wall_lines(analysis, &interval)) {
        out.line(line);
    }
    write_findings(out, analysis, &interval);
    if let Some(snapshot) = interval.last().and_then(|dump| analysis.snapshot(*dump)) {
        out.heading("process");
        for fact in process_facts(snapshot) {
            out.fact(fact.name, &fact.value);
        }
    }
    out.heading("dumps");
    out.whole_table(&DumpTable::new(Arc::clone(analysis), group.dumps.clone(), baseline));
    let has_map =
        |dump: &DumpIdx| analysis.snapshot(*dump).is_some_and(|s| s.address_space.totals.committed_bytes().is_some());
    if interval.iter().any(has_map) {
        out.heading("committed memory by use");
        out.whole_table(&UseTable::new(Arc::clone(analysis), Division::Use, interval.clone()));
        out.heading("committed memory by type");
        out.whole_table(&UseTable::new(Arc::clone(analysis), Division::Type, interval.clone()));
    }
    if let Some((dump, snapshot)) = interval.last().and_then(|dump| Some((*dump, analysis.snapshot(*dump)?))) {
        write_address_space(out, dump, snapshot);
        write_heaps(out, analysis, &interval, dump, snapshot);
        write_traces(out, analysis, dump, &interval);
        write_threads(out, dump, snapshot);
        write_handles(out, analysis, &interval);
        write_modules(out, analysis, &interval, dump);
    }
    write_problems(out, analysis, &group.dumps);
}

/// The verdicts in one line, each with its evidence, and what to do.
fn write_findings(out: &mut Document, analysis: &Analysis, interval: &[DumpIdx]) {
    let findings = findings(analysis, interval);
    if let Some(line) = verdict_line(&findings) {
        out.answer(&line);
    }
    out.heading("findings");
    for finding in findings.iter() {
        out.block(&finding_text(finding));
    }
    out.heading("what to do");
    for advice in all_advice(analysis, interval, &findings) {
        out.block(&advice_text(&advice));
    }
}

fn write_address_space(out: &mut Document, dump: DumpIdx, snapshot: &Snapshot) {
    out.heading(&format!("address space of dump {dump}"));
    match snapshot.address_space.completeness {
        Completeness::Complete => {}
        Completeness::Partial => {
            out.line("partial: the dump has no whole memory info list and not all memory; no total is known");
        }
    }
    out.listing(&summary::sections_text(snapshot));
}

fn write_threads(out: &mut Document, dump: DumpIdx, snapshot: &Snapshot) {
    let runaway = runaway_text(snapshot, MOST_THREADS);
    if runaway.is_empty() {
        out.heading(&format!("CPU times of dump {dump} are not known: it has no thread info list"));
        return;
    }
    let more = snapshot.threads.len().saturating_sub(MOST_THREADS);
    let more = if more > 0 { format!(" (the first {MOST_THREADS}, {more} more threads)") } else { String::new() };
    out.heading(&format!("CPU times of dump {dump}{more}"));
    out.listing(&runaway);
}

/// Open handles by type, where a dump has a list of them.
fn write_handles(out: &mut Document, analysis: &Analysis, interval: &[DumpIdx]) {
    let table = HandleTable::new(analysis, interval.to_vec());
    if !table.has_lists() {
        return;
    }
    out.heading("handles by type");
    let rows: Vec<usize> = (0..table.row_count().min(MOST_HANDLE_TYPES)).collect();
    out.table(&table, &rows);
    out.and_more((table.row_count() - rows.len()) as u64, "type");
}

/// What the heaps did, and `!heap -s` of the last dump.
fn write_heaps(out: &mut Document, analysis: &Arc<Analysis>, interval: &[DumpIdx], dump: DumpIdx, snapshot: &Snapshot) {
    let from = interval.first().copied().unwrap_or(dump);
    let Some(heaps) = heaps_of(analysis, dump).filter(|_| !snapshot.heaps.is_empty()) else { return };
    out.heading(&format!("heaps of dump {dump}"));
    for line in verdict_lines(analysis, from, dump).iter().chain(&outstanding_lines(analysis, dump)) {
        out.line(line);
    }
    for peb in &snapshot.pebs {
        if snapshot.pebs.len() > 1 {
            out.line(&format!("{}-bit heaps", peb.width.bits()));
        }
        out.listing(&heap_summary(snapshot, heaps, peb.width));
    }
}

/// The modules that are not the same in both compared dumps; nothing where all are.
fn write_modules(out: &mut Document, analysis: &Analysis, interval: &[DumpIdx], dump: DumpIdx) {
    let table = interval.first().and_then(|from| ModuleTable::new(analysis, *from, dump));
    let Some(table) = table else { return };
    let rows = table.changed_rows();
    if rows.is_empty() {
        return;
    }
    out.heading("modules that changed");
    for line in change_lines(&table) {
        out.line(&line);
    }
    out.listing(&lm_lines(&table, &rows, MOST_MODULES).join("\n"));
}

/// The stores of the last dump, and the stacks that have most entries.
fn write_traces(out: &mut Document, analysis: &Arc<Analysis>, dump: DumpIdx, interval: &[DumpIdx]) {
    let lines = store_lines(analysis, dump);
    if lines.is_empty() {
        return;
    }
    out.heading(&format!("stack traces of dump {dump}"));
    let from = interval.first().copied().unwrap_or(dump);
    for line in lines.iter().chain(&growth_lines(analysis, from, dump)) {
        out.line(line);
    }
    let Some((table, naming)) = stack_table(analysis, from, dump) else { return };
    let rows: Vec<usize> = (0..table.row_count().min(MOST_STACKS)).collect();
    out.table(&table, &rows);
    let all_count = (table.row_count() as u64).saturating_add(table.stacks.left_out_count);
    out.and_more(all_count.saturating_sub(rows.len() as u64), "stack");
    if table.row_count() > 0 {
        out.line("stack 1, innermost first:");
        out.frames(&frame_lines(&table.stacks, &naming, 0));
    }
}

fn write_problems(out: &mut Document, analysis: &Analysis, dumps: &[DumpIdx]) {
    let mut lines = Vec::new();
    for (dump, snapshot) in dumps.iter().filter_map(|dump| Some((dump, analysis.snapshot(*dump)?))) {
        for problem in analysis.problems_of(*dump) {
            lines.push(format!("dump {dump}, {}: {} {}", problem.kind.word(), problem.place, problem.text));
        }
        if snapshot.problems.left_out_count() > 0 {
            lines.push(format!("dump {dump}: and {} more", snapshot.problems.left_out_count()));
        }
    }
    if !lines.is_empty() {
        out.heading("problems");
        lines.iter().for_each(|line| out.line(line));
    }
}

/// Heaps of a dump's process; `None` before they were decoded.
pub(super) fn heap_table(analysis: &Analysis, from: DumpIdx, to: DumpIdx) -> Option<HeapTable> {
    let group = analysis.group_of(to)?;
    let heaps = analysis.heaps_of(group)?;
    Some(HeapTable::new(Arc::clone(heaps), StackInterval::new(group.dumps.clone(), from, to)?))
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
