//! The logs of one process as a table, with the totals of each.

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::umdh_group::{Log, LogGroup, Zone};
use crate::analysis::series::umdh_join::{LogFacts, UmdhSeries};
use crate::base::ids::LogIdx;
use crate::base::problems::ProblemKind;
use crate::input::umdh::{Comparison, LogKind};
use crate::present::table::{Align, Cell, Column, TableModel, Tone};
use crate::present::value::Value;

use super::time_text;

/// One row for each log.
pub struct UmdhLogTable {
    analysis: Arc<Analysis>,
    logs: Vec<LogIdx>,
    series: Option<Arc<UmdhSeries>>,
}

const COLUMNS: [Column; 9] = [
    Column { title: "#", align: Align::Right, width_chars: 3, hint: "Number in time order" },
    Column { title: "file", align: Align::Left, width_chars: 20, hint: "Name of the log's file" },
    Column {
        title: "kind",
        align: Align::Left,
        width_chars: 10,
        hint: "raw: the blocks at one moment; comparison: the difference of two logs",
    },
    Column {
        title: "time (UTC)",
        align: Align::Left,
        width_chars: 19,
        hint: "Logs have local time without a zone. It is UTC by the zone that a dump of the same process has, else as if it were UTC",
    },
    Column { title: "zone", align: Align::Left, width_chars: 10, hint: "How the zone is known" },
    Column {
        title: "requested",
        align: Align::Right,
        width_chars: 9,
        hint: "Bytes of all blocks; of a comparison, their growth",
    },
    Column {
        title: "overhead",
        align: Align::Right,
        width_chars: 9,
        hint: "Headers and padding of all blocks; of a comparison, their growth",
    },
    Column { title: "blocks", align: Align::Right, width_chars: 9, hint: "Blocks of all heaps" },
    Column {
        title: "problems",
        align: Align::Left,
        width_chars: 20,
        hint: "Damaged or missing parts; the Log tab lists them",
    },
];

impl UmdhLogTable {
    pub fn new(analysis: Arc<Analysis>, group: &LogGroup) -> Self {
        let series = analysis.umdh_of(group).map(Arc::clone);
        Self { analysis, logs: group.logs.clone(), series }
    }

    pub fn log(&self, row: usize) -> Option<LogIdx> {
        self.logs.get(row).copied()
    }

    fn facts(&self, log: LogIdx) -> Option<&LogFacts> {
        self.series.as_ref()?.logs.iter().find(|facts| facts.log == log)
    }

    fn comparison(&self, log: LogIdx) -> Option<&Comparison> {
        self.series.as_ref()?.comparisons.iter().find(|(of, _)| *of == log).map(|(_, comparison)| &**comparison)
    }
}

/// All problems of a log: of its head, and of its lines when they were read.
pub fn problems_of<'a>(
    log: &'a Log,
    series: Option<&'a UmdhSeries>,
    index: LogIdx,
) -> impl Iterator<Item = &'a crate::base::problems::Problem> {
    let facts = series.and_then(|series| series.logs.iter().find(|facts| facts.log == index));
    let comparison = series.and_then(|series| series.comparisons.iter().find(|(of, _)| *of == index));
    let of_data = facts.map(|facts| &facts.problems).or_else(|| comparison.map(|(_, found)| &found.problems));
    log.file.problems.iter().chain(of_data.into_iter().flat_map(|problems| problems.iter()))
}

impl TableModel for UmdhLogTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.logs.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let found = self.log(row).and_then(|index| Some((index, self.analysis.log(index)?)));
        let Some((index, log)) = found else { return Cell::new(Value::Absent) };
        let (facts, comparison) = (self.facts(index), self.comparison(index));
        let totals = comparison.and_then(|comparison| comparison.totals);
        match column {
            0 => Cell::new(Value::Count(index.0 as u64 + 1)),
            1 => Cell::new(Value::text(log.file.file_name())),
            2 => Cell::new(Value::text(log.file.kind.word())),
            3 => Cell::new(log.time.utc.map_or(Value::Absent, Value::Time)),
            4 => {
                let text = match log.time.zone {
                    _ if log.file.kind == LogKind::Comparison => return Cell::new(Value::Absent),
                    Zone::Utc => "log: UTC",
                    Zone::OfDump { .. } => "of a dump",
                    Zone::Unknown => "not known",
                };
                Cell::toned(Value::text(text), Tone::Dim)
            }
            5 => match (facts, comparison) {
                (Some(facts), _) => Cell::new(Value::Bytes(facts.total.requested_bytes)),
                (_, Some(comparison)) => Cell::delta(Value::BytesDelta(comparison.sum_delta_bytes)),
                _ => Cell::new(Value::Absent),
            },
            6 => match (facts.filter(|facts| facts.has_overhead), totals.and_then(|of| of.overhead_delta_bytes)) {
                (Some(facts), _) => Cell::new(Value::Bytes(facts.total.overhead_bytes)),
                (_, Some(overhead)) => Cell::delta(Value::BytesDelta(overhead)),
                _ => Cell::new(Value::Absent),
            },
            7 => Cell::new(Value::count(facts.map(|facts| facts.total.block_count))),
            _ => {
                let problems = || problems_of(log, self.series.as_deref(), index);
                let count = |kind| problems().filter(|problem| problem.kind == kind).count();
                let parts = [(count(ProblemKind::Damage), "damaged"), (count(ProblemKind::Missing), "missing")];
                let texts: Vec<String> = parts
                    .iter()
                    .filter(|(count, _)| *count > 0)
                    .map(|(count, word)| format!("{count} {word}"))
                    .collect();
                let has_damage = count(ProblemKind::Damage) > 0;
                Cell::toned(Value::text(texts.join(", ")), if has_damage { Tone::Warning } else { Tone::Dim })
            }
        }
    }
}

/// A log in one line: file, kind, time.
pub fn log_line(log: &Log) -> String {
    let machine = log.file.header.machine.as_deref().map_or_else(String::new, |name| format!(" on {name}"));
    let time = if log.file.kind == LogKind::Comparison { String::new() } else { format!(", {}", time_text(log)) };
    format!("{} ({}{time}{machine})", log.file.file_name(), log.file.kind.word())
}
