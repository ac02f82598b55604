//! Everything that was wrong or noteworthy, as one table.

use crate::analysis::Analysis;
use crate::base::ids::DumpIdx;
use crate::base::problems::ProblemKind;

use super::table::{Align, Cell, Column, TableModel, Tone};
use super::umdh::log_table::problems_of;
use super::value::Value;

/// How grave an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gravity {
    Message,
    Note,
    Missing,
    Damage,
    Failure,
}

impl Gravity {
    const fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Note => "note",
            Self::Missing => ProblemKind::Missing.word(),
            Self::Damage => ProblemKind::Damage.word(),
            Self::Failure => "failed",
        }
    }
}

/// One line of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry {
    pub gravity: Gravity,
    /// The dump's file, or empty when it is about the series or the program.
    pub file: String,
    pub place: String,
    pub text: String,
}

/// The log as a table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogTable {
    pub entries: Vec<LogEntry>,
}

const COLUMNS: [Column; 4] = [
    Column {
        title: "kind",
        align: Align::Left,
        width_chars: 9,
        hint: "failed: a file that could not be analysed; damaged and missing: parts of a dump",
    },
    Column { title: "file", align: Align::Left, width_chars: 20, hint: "The file that it is about" },
    Column { title: "place", align: Align::Left, width_chars: 28, hint: "Stream, address or structure" },
    Column { title: "what", align: Align::Left, width_chars: 100, hint: "What is wrong, and what became of it" },
];

impl LogTable {
    /// What an analysis has to say, gravest first, then the program's own messages.
    pub fn new(analysis: &Analysis, messages: &[LogEntry]) -> Self {
        let failures = analysis.failures.iter().map(|failure| LogEntry {
            gravity: Gravity::Failure,
            file: crate::base::printable::printable(
                &failure.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            ),
            place: String::new(),
            text: failure.text.clone(),
        });
        let notes = analysis.notes.iter().map(|note| LogEntry {
            gravity: Gravity::Note,
            file: String::new(),
            place: "series".to_owned(),
            text: note.text.clone(),
        });
        let problems = analysis.snapshots.iter().enumerate().flat_map(|(dump, snapshot)| {
            analysis.problems_of(DumpIdx(dump)).map(|problem| LogEntry {
                gravity: gravity_of(problem.kind),
                file: snapshot.file_name(),
                place: problem.place.clone(),
                text: problem.text.clone(),
            })
        });
        let left_out =
            analysis.snapshots.iter().filter(|snapshot| snapshot.problems.left_out_count() > 0).map(|snapshot| {
                LogEntry {
                    gravity: Gravity::Damage,
                    file: snapshot.file_name(),
                    place: String::new(),
                    text: format!("{} more problems are not listed", snapshot.problems.left_out_count()),
                }
            });
        let of_logs = analysis.log_groups.iter().flat_map(|group| {
            let series = analysis.umdh_of(group).map(|series| &**series);
            let logs = group.logs.iter().filter_map(|log| Some((*log, analysis.log(*log)?)));
            logs.flat_map(move |(index, log)| {
                problems_of(log, series, index).map(|problem| LogEntry {
                    gravity: gravity_of(problem.kind),
                    file: log.file.file_name(),
                    place: problem.place.clone(),
                    text: problem.text.clone(),
                })
            })
        });
        let of_dumps = problems.chain(left_out);
        let mut entries: Vec<LogEntry> = failures.chain(notes).chain(of_dumps).chain(of_logs).collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.gravity as u8));
        entries.extend(messages.iter().cloned());
        Self { entries }
    }
}

const fn gravity_of(kind: ProblemKind) -> Gravity {
    match kind {
        ProblemKind::Missing => Gravity::Missing,
        ProblemKind::Damage => Gravity::Damage,
    }
}

impl TableModel for LogTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.entries.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let Some(entry) = self.entries.get(row) else { return Cell::new(Value::Absent) };
        match column {
            0 => {
                let tone = match entry.gravity {
                    Gravity::Failure | Gravity::Damage => Tone::Warning,
                    Gravity::Message | Gravity::Note | Gravity::Missing => Tone::Dim,
                };
                Cell::toned(Value::text(entry.gravity.word()), tone)
            }
            1 => Cell::new(Value::text(entry.file.clone())),
            2 => Cell::new(Value::text(entry.place.clone())),
            _ => Cell::new(Value::text(entry.text.clone())),
        }
    }
}
