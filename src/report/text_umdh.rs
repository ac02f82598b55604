//! The part of the text report that is about UMDH logs.

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::umdh_group::LogGroup;
use crate::analysis::series::umdh_join::UmdhSeries;
use crate::base::ids::DumpIdx;
use crate::base::units::grouped;
use crate::input::umdh::LogKind;
use crate::present::table::{TableModel, arrange, to_text};
use crate::present::traces::leading::SkipRules;
use crate::present::umdh::comparison_table::{self, ComparisonTable, entry_frames};
use crate::present::umdh::log_table::{UmdhLogTable, problems_of};
use crate::present::umdh::stack_table::{self, UmdhStackTable};
use crate::present::umdh::{
    UmdhNaming, compared_points, comparison_lines, group_name, judgement_text, point_name, series_lines,
};

/// More stacks are for the window.
const MOST_STACKS: usize = 20;

/// All logs, by process.
pub(super) fn umdh_text(analysis: &Arc<Analysis>, baseline: Option<DumpIdx>) -> String {
    analysis.log_groups.iter().map(|group| group_text(analysis, group, baseline)).collect()
}

fn group_text(analysis: &Arc<Analysis>, group: &LogGroup, baseline: Option<DumpIdx>) -> String {
    let mut text = format!("\nUMDH logs of {}\n", group_name(group));
    let logs = UmdhLogTable::new(Arc::clone(analysis), group);
    let rows: Vec<usize> = (0..logs.row_count()).collect();
    text.push_str(&to_text(&logs, &rows));
    let Some(series) = analysis.umdh_of(group).map(Arc::clone) else { return text };
    for line in series_lines(&series) {
        text.push_str(&format!("  {line}\n"));
    }
    let naming = naming_of(analysis, group);
    if let Some((from, to)) = log_points(analysis, group, &series, baseline) {
        text.push_str(&stacks_text(&series, &naming, from, to));
    }
    for (log, comparison) in &series.comparisons {
        let name = analysis.log(*log).map(|log| log.file.file_name()).unwrap_or_default();
        text.push_str(&format!("\n  comparison {name}\n"));
        for line in comparison_lines(comparison) {
            text.push_str(&format!("  {line}\n"));
        }
        let table = ComparisonTable::of_all(comparison, naming.clone());
        let rows = arrange(&table, "", Some(comparison_table::FIRST_SORT));
        text.push_str(&first_rows(&table, &rows));
        if let Some(first) = rows.first() {
            text.push_str(&format!("  stack {}, innermost first:\n", first + 1));
            for frame in entry_frames(comparison, *first) {
                text.push_str(&format!("    {}\n", naming.frame_line(frame)));
            }
        }
    }
    let problems = group.logs.iter().filter_map(|log| Some((*log, analysis.log(*log)?))).flat_map(|(index, log)| {
        problems_of(log, Some(&series), index).map(move |problem| {
            let kind = problem.kind.word();
            format!("  {}, {kind}: {}: {}\n", log.file.file_name(), problem.place, problem.text)
        })
    });
    let problems: String = problems.collect();
    if !problems.is_empty() {
        text.push_str(&format!("\nproblems of logs\n{problems}"));
    }
    text
}

fn stacks_text(series: &Arc<UmdhSeries>, naming: &UmdhNaming, from: usize, to: usize) -> String {
    let name = |point: usize| series.points.get(point).map(|point| point_name(point.source)).unwrap_or_default();
    let mut text = match from == to {
        true => format!("  stacks in {}\n", name(to)),
        false => format!("  stacks from {} to {}\n", name(from), name(to)),
    };
    let table = UmdhStackTable::of_all(series, naming.clone(), from, to);
    let rows = arrange(&table, "", Some(stack_table::FIRST_SORT));
    text.push_str(&first_rows(&table, &rows));
    let Some(first) = rows.first() else { return text };
    text.push_str(&format!("  stack {}, innermost first:\n", first + 1));
    for frame in series.frames(*first) {
        text.push_str(&format!("    {}\n", naming.frame_line(frame)));
    }
    if let Some(judgement) = series.judgement(*first) {
        text.push_str(&format!("    {}\n", judgement_text(&judgement)));
    }
    text
}

fn first_rows(table: &dyn TableModel, rows: &[usize]) -> String {
    let shown = rows.get(..MOST_STACKS.min(rows.len())).unwrap_or_default();
    let mut text = to_text(table, shown);
    if rows.len() > shown.len() {
        text.push_str(&format!("  and {} more stacks\n", grouped((rows.len() - shown.len()) as u64)));
    }
    text
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
