//! Points of the plot over the series: committed memory by use or type, stacked.

use crate::analysis::Analysis;
use crate::base::ids::DumpIdx;
use crate::base::time::UtcTime;

use super::uses::{Division, Part};
use crate::process::regions::MemoryType;
use crate::process::regions::usage::Usage;

/// What the horizontal axis counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
pub enum Axis {
    #[default]
    Time,
    DumpNumber,
}

/// All that the plot draws, before anything is switched off in the legend.
#[derive(Clone, PartialEq, Debug)]
pub struct SeriesPlot {
    pub dumps: Vec<DumpIdx>,
    /// Horizontal place of each dump: hours since the first one, or its number.
    pub x: Vec<f64>,
    pub axis: Axis,
    /// The time at x = 0 on a time axis.
    pub start: Option<UtcTime>,
    pub layers: Vec<Layer>,
}

/// One part of the memory over the series.
#[derive(Clone, PartialEq, Debug)]
pub struct Layer {
    pub part: Part,
    /// `None` where a dump does not tell.
    pub bytes: Vec<Option<u64>>,
}

/// Makes the plot of some dumps of one process. Parts that never hold memory are left out. Without times for all dumps
/// the axis counts dumps. `is_net` leaves out what instrumentation holds.
pub fn series_plot(analysis: &Analysis, dumps: &[DumpIdx], division: Division, axis: Axis, is_net: bool) -> SeriesPlot {
    let times: Option<Vec<UtcTime>> =
        dumps.iter().map(|dump| analysis.snapshot(*dump).and_then(|snapshot| snapshot.time())).collect();
    let start = times.as_ref().and_then(|times| times.first().copied());
    let hours = |times: &Vec<UtcTime>| -> Option<Vec<f64>> {
        let start = start?;
        let spread = times.last()?.ns_since(start);
        (spread > 0).then(|| times.iter().map(|time| time.ns_since(start) as f64 / 3.6e12).collect())
    };
    let by_time = times.as_ref().and_then(hours).filter(|_| axis == Axis::Time);
    let used_axis = if by_time.is_some() { Axis::Time } else { Axis::DumpNumber };
    let x = by_time.unwrap_or_else(|| dumps.iter().map(|dump| dump.0 as f64 + 1.0).collect());
    let layers = division
        .parts()
        .into_iter()
        .filter(|part| !is_net || !INSTRUMENTS.iter().any(|usage| *part == Part::Use(*usage)))
        .map(|part| Layer { part, bytes: dumps.iter().map(|dump| bytes_of(analysis, *dump, part, is_net)).collect() })
        .filter(|layer| layer.bytes.iter().flatten().any(|bytes| *bytes > 0))
        .collect();
    SeriesPlot { dumps: dumps.to_vec(), x, axis: used_axis, start: start.filter(|_| used_axis == Axis::Time), layers }
}

/// What diagnostics hold themselves.
const INSTRUMENTS: [Usage; 2] = [Usage::StackTraceDatabase, Usage::PageHeap];

/// Instrumentation is private memory: net of it, that part is less. `None` where what it holds is not known.
fn bytes_of(analysis: &Analysis, dump: DumpIdx, part: Part, is_net: bool) -> Option<u64> {
    let bytes = part.committed_bytes(analysis, dump)?;
    if !is_net || part != Part::Type(MemoryType::Private) {
        return Some(bytes);
    }
    let held = INSTRUMENTS.into_iter().map(|usage| Part::Use(usage).committed_bytes(analysis, dump));
    let held: Option<u64> = held.sum();
    Some(bytes.saturating_sub(held?))
}

impl SeriesPlot {
    /// Whether the axis is long enough that its labels name the day.
    pub fn spans_days(&self) -> bool {
        self.axis == Axis::Time && self.x.last().is_some_and(|last| *last > 20.0)
    }

    /// The text for a place on the horizontal axis.
    pub fn x_text(&self, x: f64) -> String {
        match self.axis {
            Axis::DumpNumber => format!("{x:.0}"),
            Axis::Time => {
                let at = self.start.map(|start| UtcTime { unix_ns: start.unix_ns + (x * 3.6e12) as i128 });
                at.map_or_else(String::new, |at| if self.spans_days() { at.day_clock_text() } else { at.clock_text() })
            }
        }
    }

    /// The dump nearest to a place on the horizontal axis, as a position in [`SeriesPlot::dumps`].
    pub fn nearest(&self, x: f64) -> Option<usize> {
        let distance = |position: &usize| self.x.get(*position).map_or(f64::INFINITY, |at| (at - x).abs());
        (0..self.x.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }

    /// The dumps between two places, widened to the nearest dumps; at least two where there are two.
    pub fn between(&self, a: f64, b: f64) -> Option<(usize, usize)> {
        let (first, last) = (self.nearest(a.min(b))?, self.nearest(a.max(b))?);
        (first < last).then_some((first, last))
    }
}
