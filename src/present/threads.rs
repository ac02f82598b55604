//! Threads by CPU time.

use std::sync::Arc;

use crate::analysis::snapshot::{Snapshot, Thread};
use crate::base::units::CpuTime;

use super::table::{Align, Cell, Column, TableModel};
use super::value::Value;
use super::windbg;

/// The threads of one dump.
pub struct ThreadTable {
    snapshot: Arc<Snapshot>,
}

const COLUMNS: [Column; 8] = [
    Column {
        title: "thread",
        align: Align::Right,
        width_chars: 9,
        hint: "Number in the dump and thread id, as !runaway has them",
    },
    Column { title: "name", align: Align::Left, width_chars: 24, hint: "Set by SetThreadDescription" },
    Column { title: "user", align: Align::Right, width_chars: 20, hint: "User mode time" },
    Column { title: "kernel", align: Align::Right, width_chars: 20, hint: "Kernel mode time" },
    Column { title: "elapsed", align: Align::Right, width_chars: 20, hint: "Since the thread began" },
    Column { title: "created (UTC)", align: Align::Left, width_chars: 19, hint: "When the thread began" },
    Column { title: "start address", align: Align::Left, width_chars: 18, hint: "Where the thread began" },
    Column { title: "TEB", align: Align::Left, width_chars: 18, hint: "Thread environment block" },
];

impl ThreadTable {
    pub const fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot }
    }
}

impl TableModel for ThreadTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.snapshot.threads.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let Some(thread) = self.snapshot.threads.get(row) else { return Cell::new(Value::Absent) };
        let width = self.snapshot.pointer_width();
        let cpu = |ns: Option<u64>| ns.map_or(Value::Absent, |ns| Value::Cpu { ns });
        let address = |va: Option<_>| va.map_or(Value::Absent, |va| Value::Address(va, width));
        Cell::new(match column {
            0 => match self.snapshot.thread_index(thread.tid) {
                Some(index) => Value::text(format!("{index}:{:x}", thread.tid)),
                None => Value::text(format!("{:x} (ended)", thread.tid)),
            },
            1 => thread.name.clone().map_or(Value::Absent, Value::Text),
            2 => cpu(thread.times.user_ns),
            3 => cpu(thread.times.kernel_ns),
            4 => cpu(thread.times.elapsed_ns),
            5 => thread.created.map_or(Value::Absent, Value::Time),
            6 => address(thread.start_address),
            _ => address(thread.teb),
        })
    }

    fn windbg(&self, row: usize, column: usize) -> Option<String> {
        let thread = self.snapshot.threads.get(row)?;
        let is_time = matches!(self.cell(row, column).value, Value::Cpu { .. });
        Some(if is_time { windbg::RUNAWAY.to_owned() } else { windbg::thread_stack(thread.tid) })
    }
}

/// CPU times in the form of `!runaway f`; empty when the dump has none.
pub fn runaway_text(snapshot: &Snapshot, most_threads: usize) -> String {
    type Pick = fn(&Thread) -> Option<u64>;
    const PARTS: [(&str, Pick); 3] = [
        (" User Mode Time", |thread| thread.times.user_ns),
        (" Kernel Mode Time", |thread| thread.times.kernel_ns),
        (" Elapsed Time", |thread| thread.times.elapsed_ns),
    ];
    let mut text = String::new();
    for (title, pick) in PARTS {
        let mut rows: Vec<(u64, Option<usize>, u32)> = snapshot
            .threads
            .iter()
            .filter_map(|thread| Some((pick(thread)?, snapshot.thread_index(thread.tid), thread.tid)))
            .collect();
        if rows.is_empty() {
            continue;
        }
        rows.sort_by_key(|(ns, index, _)| (std::cmp::Reverse(*ns), *index));
        text.push_str(title);
        text.push_str("\n  Thread       Time\n");
        for (ns, index, tid) in rows.into_iter().take(most_threads) {
            // A thread that ended has no place in the thread list, and so no number.
            let index = index.map_or_else(String::new, |index| index.to_string());
            let id = format!("{index:>4}:{tid:x}");
            text.push_str(&format!("{id:<15}{}\n", CpuTime { ns }));
        }
    }
    text
}
