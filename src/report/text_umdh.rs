//! The part of the text and Markdown reports that is about UMDH logs.

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::umdh_group::LogGroup;
use crate::analysis::series::umdh_join::UmdhSeries;
use crate::base::ids::DumpIdx;
use crate::input::umdh::LogKind;
use crate::present::table::{TableModel, arrange};
use crate::present::traces::leading::SkipRules;
use crate::present::umdh::comparison_table::{self, ComparisonTable, entry_frames};
use crate::present::umdh::log_table::{UmdhLogTable, problems_of};
use crate::present::umdh::stack_table::{self, UmdhStackTable};
use crate::present::umdh::{
    UmdhNaming, compared_points, comparison_lines, group_name, judgement_text, point_name, series_lines,
};

use super::document::{Document, Form};

/// More stacks are for the window.
const MOST_STACKS: usize = 20;

/// All logs as text, by process.
pub(super) fn umdh_text(analysis: &Arc<Analysis>, baseline: Option<DumpIdx>) -> String {
    let mut out = Document::new(Form::Plain);
    umdh_report(&mut out, analysis, baseline);
    out.into_text()
}

/// All logs, by process.
pub(super) fn umdh_report(out: &mut Document, analysis: &Arc<Analysis>, baseline: Option<DumpIdx>) {
    for group in &analysis.log_groups {
        group_report(out, analysis, group, baseline);
    }
}

fn group_report(out: &mut Document, analysis: &Arc<Analysis>, group: &LogGroup, baseline: Option<DumpIdx>) {
    out.heading(&format!("UMDH logs of {}", group_name(group)));
    out.whole_table(&UmdhLogTable::new(Arc::clone(analysis), group));
    let Some(series) = analysis.umdh_of(group).map(Arc::clone) else { return };
    for line in series_lines(&series) {
        out.line(&line);
    }
    let naming = naming_of(analysis, group);
    if let Some((from, to)) = log_points(analysis, group, &series, baseline) {
        write_stacks(out, &series, &naming, from, to);
    }
    for (log, comparison) in &series.comparisons {
        let name = analysis.log(*log).map(|log| log.file.file_name()).unwrap_or_default();
        out.subheading(&format!("comparison {name}"));
        for line in comparison_lines(comparison) {
            out.line(&line);
        }
        let table = ComparisonTable::of_all(comparison, naming.clone());
        let rows = arrange(&table, "", Some(comparison_table::FIRST_SORT));
        write_first_rows(out, &table, &rows);
        if let Some(first) = rows.first() {
            out.line(&format!("stack {}, innermost first:", first + 1));
            let frames: Vec<String> = entry_frames(comparison, *first).map(|frame| naming.frame_line(frame)).collect();
            out.frames(&frames);
        }
    }
    let problems = group.logs.iter().filter_map(|log| Some((*log, analysis.log(*log)?))).flat_map(|(index, log)| {
        problems_of(log, Some(&series), index).map(move |problem| {
            let kind = problem.kind.word();
            format!("{}, {kind}: {}: {}", log.file.file_name(), problem.place, problem.text)
        })
    });
    let problems: Vec<String> = problems.collect();
    if !problems.is_empty() {
        out.heading("problems of logs");
        problems.iter().for_each(|line| out.line(line));
    }
}

fn write_stacks(out: &mut Document, series: &Arc<UmdhSeries>, naming: &UmdhNaming, from: usize, to: usize) {
    let name = |point: usize| series.points.get(point).map(|point| point_name(point.source)).unwrap_or_default();
    out.line(&match from == to {
        true => format!("stacks in {}", name(to)),
        false => format!("stacks from {} to {}", name(from), name(to)),
    });
    let table = UmdhStackTable::of_all(series, naming.clone(), from, to);
    let rows = arrange(&table, "", Some(stack_table::FIRST_SORT));
    write_first_rows(out, &table, &rows);
    let Some(first) = rows.first() else { return };
    out.line(&format!("stack {}, innermost first:", first + 1));
    let mut lines: Vec<String> = series.frames(*first).map(|frame| naming.frame_line(frame)).collect();
    lines.extend(series.judgement(*first).map(|judgement| judgement_text(&judgement)));
    out.frames(&lines);
}

fn write_first_rows(out: &mut Document, table: &dyn TableModel, rows: &[usize]) {
    let shown = rows.get(..MOST_STACKS.min(rows.len())).unwrap_or_default();
    out.table(table, shown);
    out.and_more((rows.len() - shown.len()) as u64, "stack");
}

/// Names and the rules that every report uses.
pub(super) fn naming_of(analysis: &Analysis, group: &LogGroup) -> UmdhNaming {
    UmdhNaming { names: Arc::new(analysis.umdh_names_of(group)), rules: Arc::new(SkipRules::default()) }
}

/// The logs that a report compares: from the one nearest to the baseline dump, else from the first.
pub(super) fn log_points(
    analysis: &Analysis,
    group: &LogGroup,
    series: &UmdhSeries,
    baseline: Option<DumpIdx>,
) -> Option<(usize, usize)> {
    let last = analysis.dumps_of(group).and_then(|dumps| dumps.dumps.last().copied());
    compared_points(analysis, series, baseline.zip(last))
}

/// The stacks of the process with most logs as a table; of a comparison where there are no raw logs.
pub(super) fn main_table(analysis: &Analysis, baseline: Option<DumpIdx>) -> Option<Box<dyn TableModel>> {
    let group = main_logs(analysis)?;
    let series = analysis.umdh_of(group)?;
    match log_points(analysis, group, series, baseline) {
        Some((from, to)) => Some(Box::new(UmdhStackTable::of_all(series, naming_of(analysis, group), from, to))),
        None => comparison_of(analysis, group),
    }
}

fn main_logs(analysis: &Analysis) -> Option<&LogGroup> {
    let is_raw = |group: &&LogGroup| {
        group.logs.iter().filter_map(|log| analysis.log(*log)).any(|log| log.file.kind == LogKind::Raw)
    };
    analysis.log_groups.iter().find(is_raw).or_else(|| analysis.log_groups.first())
}

/// The logs of the process with most logs, with the totals of each.
pub(super) fn log_table(analysis: &Arc<Analysis>) -> Option<Box<dyn TableModel>> {
    let group = main_logs(analysis)?;
    Some(Box::new(UmdhLogTable::new(Arc::clone(analysis), group)))
}

/// The first comparison of two logs, of any process.
pub(super) fn comparison_table(analysis: &Analysis) -> Option<Box<dyn TableModel>> {
    analysis.log_groups.iter().find_map(|group| comparison_of(analysis, group))
}

fn comparison_of(analysis: &Analysis, group: &LogGroup) -> Option<Box<dyn TableModel>> {
    let (_, comparison) = analysis.umdh_of(group)?.comparisons.first()?;
    Some(Box::new(ComparisonTable::of_all(comparison, naming_of(analysis, group))))
}
