//! The table of dumps: one row a dump, in time order.

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::delta::committed_change;
use crate::analysis::snapshot::Snapshot;
use crate::base::ids::DumpIdx;
use crate::process::regions::usage::Usage;

use super::table::{Align, Cell, Column, TableModel, Tone};
use super::value::Value;
use super::windbg;

/// The dumps of one group (or all), compared with a baseline.
pub struct DumpTable {
    analysis: Arc<Analysis>,
    dumps: Vec<DumpIdx>,
    baseline: Option<DumpIdx>,
}

const COLUMNS: [Column; 13] = [
    Column { title: "#", align: Align::Right, width_chars: 2, hint: "Number in time order" },
    Column { title: "file", align: Align::Left, width_chars: 18, hint: "Name of the dump file" },
    Column { title: "time (UTC)", align: Align::Left, width_chars: 19, hint: "When the dump was written" },
    Column { title: "committed", align: Align::Right, width_chars: 9, hint: "Committed memory of the process" },
    Column {
        title: "Δ baseline",
        align: Align::Right,
        width_chars: 9,
        hint: "Committed memory less that of the baseline",
    },
    Column { title: "heap", align: Align::Right, width_chars: 8, hint: "Committed memory of the process heaps" },
    Column {
        title: "unknown",
        align: Align::Right,
        width_chars: 8,
        hint: "Committed private memory that nothing claims",
    },
    Column {
        title: "CPU",
        align: Align::Right,
        width_chars: 18,
        hint: "User and kernel time of all threads in the dump",
    },
    Column { title: "threads", align: Align::Right, width_chars: 6, hint: "Threads in the dump" },
    Column { title: "handles", align: Align::Right, width_chars: 6, hint: "Open handles" },
    Column {
        title: "regions",
        align: Align::Right,
        width_chars: 7,
        hint: "Entries of the memory info list, free ones included",
    },
    Column { title: "file size", align: Align::Right, width_chars: 8, hint: "Size of the dump file" },
    Column {
        title: "problems",
        align: Align::Left,
        width_chars: 20,
        hint: "Damaged or missing parts of the dump; the Log tab lists them",
    },
];

impl DumpTable {
    pub const fn new(analysis: Arc<Analysis>, dumps: Vec<DumpIdx>, baseline: Option<DumpIdx>) -> Self {
        Self { analysis, dumps, baseline }
    }

    pub fn dump(&self, row: usize) -> Option<DumpIdx> {
        self.dumps.get(row).copied()
    }

    fn delta(&self, dump: DumpIdx, snapshot: &Snapshot) -> Value {
        let is_same_process =
            |baseline: &DumpIdx| self.analysis.group_of(*baseline).is_some_and(|group| group.dumps.contains(&dump));
        let baseline = self.baseline.filter(is_same_process).and_then(|dump| self.analysis.snapshot(dump));
        Value::delta(baseline.and_then(|baseline| committed_change(baseline, snapshot).delta()))
    }
}

/// User and kernel time of all threads in the thread list; `None` when the dump lacks the times of any of them.
pub fn cpu_ns(snapshot: &Snapshot) -> Option<u64> {
    let mut listed = snapshot.threads.iter().filter(|thread| thread.is_listed).peekable();
    listed.peek()?;
    listed.try_fold(0_u64, |sum, thread| {
        Some(sum.saturating_add(thread.times.user_ns?).saturating_add(thread.times.kernel_ns?))
    })
}

/// `2 damaged, 1 missing`; empty when there is nothing to say.
pub fn problems_text(snapshot: &Snapshot) -> String {
    use crate::base::problems::ProblemKind;
    let count = |kind| snapshot.problems.iter().filter(|problem| problem.kind == kind).count();
    let parts = [(count(ProblemKind::Damage), "damaged"), (count(ProblemKind::Missing), "missing")];
    let texts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    texts.join(", ")
}

impl TableModel for DumpTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.dumps.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let dump = self.dump(row);
        let Some((dump, snapshot)) = dump.and_then(|dump| Some((dump, self.analysis.snapshot(dump)?))) else {
            return Cell::new(Value::Absent);
        };
        let totals = &snapshot.address_space.totals;
        match column {
            0 => Cell::new(Value::Count(dump.0 as u64 + 1)),
            1 => Cell::new(Value::text(snapshot.file_name())),
            2 => Cell::new(snapshot.time().map_or(Value::Absent, Value::Time)),
            3 => Cell::new(Value::bytes(totals.committed_bytes())),
            4 if self.baseline == Some(dump) => Cell::toned(Value::text("baseline"), Tone::Dim),
            4 => Cell::delta(self.delta(dump, snapshot)),
            5 => Cell::new(Value::bytes(totals.committed_bytes_of(Usage::Heap))),
            6 => Cell::new(Value::bytes(totals.committed_bytes_of(Usage::Unknown))),
            7 => Cell::new(cpu_ns(snapshot).map_or(Value::Absent, |ns| Value::Cpu { ns })),
            8 => Cell::new(Value::count(snapshot.dump.threads.as_ref().map(|threads| threads.len() as u64))),
            9 => Cell::new(Value::count(snapshot.dump.handles.as_ref().map(|handles| handles.len() as u64))),
            10 => Cell::new(Value::count(totals.entry_count())),
            11 => Cell::new(Value::Bytes(snapshot.dump.file_bytes)),
            _ => {
                let tone = if snapshot.problems.has_damage() { Tone::Warning } else { Tone::Dim };
                Cell::toned(Value::text(problems_text(snapshot)), tone)
            }
        }
    }

    fn windbg(&self, row: usize, column: usize) -> Option<String> {
        self.dump(row)?;
        Some(match column {
            2 => windbg::TIME.to_owned(),
            3 | 4 | 10 => windbg::ADDRESS_SUMMARY.to_owned(),
            5 => windbg::HEAP_SUMMARY.to_owned(),
            6 => windbg::regions_of_use(Usage::Unknown),
            7 => windbg::RUNAWAY.to_owned(),
            8 => windbg::THREADS.to_owned(),
            9 => windbg::HANDLES.to_owned(),
            _ => return None,
        })
    }
}
