//! Curves of allocation stacks from the UMDH logs beside the dumps.

use crate::analysis::series::leading_frame::SkipRules;
use crate::analysis::series::umdh_join::{PointSource, UmdhSeries};
use crate::analysis::series::umdh_names::UmdhNames;

use super::super::facts::LoggedCurve;
use super::{Chosen, MOST_STACKS_IN_USE};

/// The stacks of all logs between the chosen dumps; with the whole series chosen, of all logs.
pub(super) fn logged_curves(chosen: &Chosen<'_>) -> Vec<LoggedCurve> {
    let analysis = chosen.analysis;
    let Some((group, series)) = analysis.logs_of(chosen.group).and_then(|logs| Some((logs, analysis.umdh_of(logs)?)))
    else {
        return Vec::new();
    };
    let names = analysis.umdh_names_of(group);
    let points = log_points(chosen, series);
    let rules = SkipRules::default();
    let curves = (0..series.stacks.len().min(MOST_STACKS_IN_USE)).map(|stack| LoggedCurve {
        name: name_of(series, &names, &rules, stack),
        bytes: points.iter().filter_map(|point| series.amount(stack, *point).requested_bytes).collect(),
    });
    curves.filter(|curve| curve.bytes.iter().any(|bytes| *bytes > 0)).collect()
}

fn log_points(chosen: &Chosen<'_>, series: &UmdhSeries) -> Vec<usize> {
    let is_whole = chosen.dumps.len() == chosen.group.dumps.len();
    let times = chosen.snapshots.first().and_then(|first| first.time());
    let times = times.zip(chosen.snapshots.last().and_then(|last| last.time()));
    let is_between = |time| times.zip(time).is_some_and(|((from, to), time)| from <= time && time <= to);
    let logs = series.points.iter().enumerate().filter(|(_, point)| matches!(point.source, PointSource::Log(_)));
    logs.filter(|(_, point)| is_whole || is_between(point.time)).map(|(at, _)| at).collect()
}

/// The first frame outside of the allocator, else the innermost.
fn name_of(series: &UmdhSeries, names: &UmdhNames, rules: &SkipRules, stack: usize) -> String {
    let is_leading = |frame: &&_| names.name_of(frame).is_some_and(|name| !rules.skips(&name));
    let leading = series.frames(stack).find(is_leading).or_else(|| series.frames(stack).next());
    leading.map_or_else(|| "an empty stack".to_owned(), |frame| names.frame_text(frame))
}
