//! The parts of the HTML report, each empty where there is nothing to say.

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::group::ProcessGroup;
use crate::base::ids::DumpIdx;
use crate::base::units::grouped;
use crate::present::dumps::DumpTable;
use crate::present::handles::HandleTable;
use crate::present::heaps::heaps_of;
use crate::present::heaps::summary::heap_summary;
use crate::present::heaps::verdict::{outstanding_lines, verdict_lines};
use crate::present::modules::{ModuleTable, change_lines};
use crate::present::process::process_facts;
use crate::present::series_plot::{Axis, series_plot};
use crate::present::stacks::{StackForm, stack_text};
use crate::present::summary::sections_text;
use crate::present::symbols::{SymbolsTable, symbols_summary};
use crate::present::table::{TableModel, arrange};
use crate::present::thread_matrix::{FIRST_SORT, thread_name};
use crate::present::thread_matrix_rows::thread_matrix;
use crate::present::traces::stack_table::{FIRST_SORT as FIRST_STACK, frame_lines};
use crate::present::traces::{growth_lines, store_lines};
use crate::present::uses::{Division, UseTable};
use crate::report::text::{heap_table, stack_table};
use crate::report::text_umdh::umdh_text;

use super::page::{escaped, folded, listing, paragraph, paragraphs, section};
use super::plot::series_plot_svg;
use super::table::table;

const MOST_DUMPS: usize = 200;
const MOST_THREADS: usize = 20;
const MOST_HEAPS: usize = 50;
const MOST_HANDLE_TYPES: usize = 50;
const MOST_STACKS: usize = 30;
/// Stacks whose frames are written out.
const MOST_FRAMED: usize = 5;
const MOST_MODULES: usize = 300;

fn all_rows(model: &dyn TableModel) -> Vec<usize> {
    (0..model.row_count()).collect()
}

fn whole_table(model: &dyn TableModel, most: usize) -> String {
    table(model, &all_rows(model), most)
}

/// How many dumps, from when to when.
pub(super) fn series_text(analysis: &Analysis, group: &ProcessGroup) -> String {
    let times: Vec<_> =
        group.dumps.iter().filter_map(|dump| analysis.snapshot(*dump)).filter_map(|snapshot| snapshot.time()).collect();
    let count = match group.dumps.len() {
        1 => "1 dump".to_owned(),
        count => format!("{count} dumps"),
    };
    match (times.first(), times.last()) {
        (Some(first), Some(last)) if first != last => {
            format!("{count}, {} to {} UTC", first.table_text(), last.table_text())
        }
        (Some(only), _) => format!("{count}, {} UTC", only.table_text()),
        _ => count,
    }
}

/// The plot, and what each use has at the two ends.
pub(super) fn memory(analysis: &Arc<Analysis>, group: &ProcessGroup, interval: &[DumpIdx]) -> String {
    let plot = series_plot(analysis, &group.dumps, Division::Use, Axis::Time, false);
    let uses = UseTable::new(Arc::clone(analysis), Division::Use, interval.to_vec());
    let has_map = interval.iter().any(|dump| {
        analysis.snapshot(*dump).is_some_and(|snapshot| snapshot.address_space.totals.committed_bytes().is_some())
    });
    if !has_map {
        return paragraph("No dump of this process holds the map of its memory, so there is nothing to plot.");
    }
    series_plot_svg(&plot) + &whole_table(&uses, usize::MAX)
}

pub(super) fn dumps(analysis: &Arc<Analysis>, group: &ProcessGroup, baseline: Option<DumpIdx>) -> String {
    whole_table(&DumpTable::new(Arc::clone(analysis), group.dumps.clone(), baseline), MOST_DUMPS)
}

/// The threads that used most CPU time, and what the first of them was doing.
pub(super) fn threads(analysis: &Arc<Analysis>, interval: &[DumpIdx]) -> String {
    let matrix = || {
        let (from, to) = (interval.first()?, interval.last()?);
        let group = analysis.group_of(*to)?;
        let position = |dump: &DumpIdx| group.dumps.iter().position(|other| other == dump);
        let ends = (position(from)?, position(to)?);
        let stacks = analysis.thread_stacks_of(group);
        let matrix = thread_matrix(analysis, &group.dumps, ends, stacks.map(Arc::as_ref), analysis.symbols_of(group));
        Some((matrix, group, stacks, ends.1))
    };
    let Some((matrix, group, stacks, last)) = matrix() else { return String::new() };
    let rows = arrange(&matrix, "", Some(FIRST_SORT));
    let mut html = table(&matrix, &rows, MOST_THREADS);
    let busiest = rows.first().and_then(|row| matrix.history(*row));
    let busiest_stack = busiest.and_then(|history| {
        let position = history.positions.last().copied().flatten()?;
        Some((history.tid, stacks?.stacks(last, position)?))
    });
    if let Some((tid, found)) = busiest_stack
        && let Some(snapshot) = interval.last().and_then(|dump| analysis.snapshot(*dump))
    {
        let symbols = analysis.symbols_of(group);
        let title = format!("Stack of thread {} in dump {}", thread_name(snapshot, tid), last + 1);
        let main = crate::analysis::series::thread_stacks::main_stack(found);
        html.push_str(&folded(&title, &listing(&stack_text(main, &symbols, StackForm::CallSites)), true));
    }
    html
}

/// Open handles by type, where a dump has a list of them.
pub(super) fn handles(analysis: &Analysis, interval: &[DumpIdx]) -> String {
    let model = HandleTable::new(analysis, interval.to_vec());
    if model.has_lists() { whole_table(&model, MOST_HANDLE_TYPES) } else { String::new() }
}

pub(super) fn heaps(analysis: &Arc<Analysis>, interval: &[DumpIdx]) -> String {
    let Some((from, to)) = interval.first().copied().zip(interval.last().copied()) else { return String::new() };
    let (Some(heaps), Some(snapshot)) = (heaps_of(analysis, to), analysis.snapshot(to)) else { return String::new() };
    if snapshot.heaps.is_empty() {
        return String::new();
    }
    let mut html = paragraphs(&capitalised(verdict_lines(analysis, from, to)));
    html.push_str(&paragraphs(&capitalised(outstanding_lines(analysis, to))));
    if let Some(model) = heap_table(analysis, from, to) {
        html.push_str(&whole_table(&model, MOST_HEAPS));
    }
    for peb in &snapshot.pebs {
        let title = format!("!heap -s of dump {to}, {}-bit", peb.width.bits());
        html.push_str(&folded(&title, &listing(&heap_summary(snapshot, heaps, peb.width)), false));
    }
    html
}

pub(super) fn traces(analysis: &Arc<Analysis>, interval: &[DumpIdx]) -> String {
    let Some((from, to)) = interval.first().copied().zip(interval.last().copied()) else { return String::new() };
    let lines = store_lines(analysis, to);
    if lines.is_empty() {
        return String::new();
    }
    let mut html = paragraphs(&capitalised(lines));
    html.push_str(&paragraphs(&capitalised(growth_lines(analysis, from, to))));
    let Some((model, naming)) = stack_table(analysis, from, to) else { return html };
    let rows = arrange(&model, "", Some(FIRST_STACK));
    html.push_str(&table(&model, &rows, MOST_STACKS));
    if model.stacks.left_out_count > 0 {
        let text = format!("{} more stacks are counted and not kept apart.", grouped(model.stacks.left_out_count));
        html.push_str(&paragraph(&text));
    }
    for (number, row) in rows.iter().take(MOST_FRAMED).enumerate() {
        let Some(stack) = model.stack(*row) else { continue };
        let lines = frame_lines(&model.stacks, &naming, stack).join("\n");
        html.push_str(&folded(&format!("Stack {}", stack + 1), &listing(&lines), number == 0));
    }
    html
}

pub(super) fn address_space(analysis: &Analysis, interval: &[DumpIdx]) -> String {
    let last = interval.last().and_then(|dump| Some((*dump, analysis.snapshot(*dump)?)));
    let Some((dump, snapshot)) = last else { return String::new() };
    let text = sections_text(snapshot);
    if text.trim().is_empty() {
        return String::new();
    }
    folded(&format!("Totals of dump {dump}, as !address -summary gives them"), &listing(&text), false)
}

pub(super) fn process(analysis: &Analysis, interval: &[DumpIdx]) -> String {
    let Some(snapshot) = interval.last().and_then(|dump| analysis.snapshot(*dump)) else { return String::new() };
    let facts: String = process_facts(snapshot)
        .iter()
        .map(|fact| format!("<dt>{}</dt><dd>{}</dd>\n", escaped(fact.name), escaped(&fact.value)))
        .collect();
    if facts.is_empty() { facts } else { format!("<dl>\n{facts}</dl>\n") }
}

/// What became of the modules over the interval, and where their names come from.
pub(super) fn modules(analysis: &Analysis, group: &ProcessGroup, interval: &[DumpIdx]) -> String {
    let ends = interval.first().copied().zip(interval.last().copied());
    let compared = ends.and_then(|(from, to)| ModuleTable::new(analysis, from, to));
    let mut html = compared.as_ref().map_or_else(String::new, |compared| {
        let changed = compared.changed_rows();
        paragraphs(&capitalised(change_lines(compared))) + &table(compared, &changed, MOST_MODULES)
    });
    let symbols = analysis.symbols_of(group);
    if symbols.modules().is_empty() {
        return html;
    }
    html.push_str(&paragraphs(&capitalised(vec![symbols_summary(&symbols)])));
    if let Some(snapshot) = group.dumps.last().and_then(|dump| analysis.snapshot(*dump)) {
        let model = SymbolsTable::new(Arc::clone(snapshot), symbols);
        html.push_str(&folded("Symbols of all modules", &whole_table(&model, MOST_MODULES), false));
    }
    if let Some(compared) = compared {
        html.push_str(&folded("All modules compared", &whole_table(&compared, MOST_MODULES), false));
    }
    html
}

/// UMDH logs, as the text report has them.
pub(super) fn logs(analysis: &Arc<Analysis>) -> String {
    let text = umdh_text(analysis, None);
    if text.trim().is_empty() { String::new() } else { section("umdh", "UMDH logs", &listing(text.trim())) }
}

/// Files that could not be read, remarks, and what was damaged or missing.
pub(super) fn problems(analysis: &Analysis) -> String {
    let failures = analysis.failures.iter().map(|failure| format!("not analysed: {}", failure.text));
    let notes = analysis.notes.iter().map(|note| note.text.clone());
    let mut lines: Vec<String> = failures.chain(notes).collect();
    for (number, _) in analysis.snapshots.iter().enumerate() {
        let dump = DumpIdx(number);
        let of_dump = analysis.problems_of(dump);
        lines.extend(
            of_dump.map(|problem| format!("dump {dump}, {}: {} {}", problem.kind.word(), problem.place, problem.text)),
        );
    }
    let items: String = lines.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
    if items.is_empty() { items } else { section("problems", "Problems and remarks", &format!("<ul>\n{items}</ul>\n")) }
}

/// Where the numbers come from.
pub(super) fn measured(analysis: &Analysis) -> String {
    let mut lines = vec![
        "Sizes are in units of 1024. Counts by state, type and protection are entries of the memory info list, as WinDbg \
         counts them; sizes by use are taken after each region is split at what owns it."
            .to_owned(),
        "Heaps, stacks and the stack trace database are read from the dumps' own memory. Each decoded structure was checked \
         against what must hold of it; what is not known is shown as a dash, never as 0."
            .to_owned(),
    ];
    let names: Vec<String> = analysis.snapshots.iter().take(50).map(|snapshot| snapshot.file_name()).collect();
    if !names.is_empty() {
        lines.push(format!("Dumps: {}.", names.join(", ")));
    }
    section("measured", "How this was measured", &paragraphs(&lines))
}

pub(super) fn capitalised(lines: Vec<String>) -> Vec<String> {
    let first = |line: String| {
        let mut chars = line.chars();
        chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
    };
    lines.into_iter().map(first).collect()
}
