//! Threads by intervals of the series: how many cores each kept busy, and whether its stack changed.

use std::borrow::Cow;
use std::sync::Arc;

use crate::analysis::series::threads::ThreadHistory;
use crate::analysis::snapshot::{Snapshot, Thread};
use crate::base::addr::PointerWidth;
use crate::base::ids::DumpIdx;
use crate::base::units::{ByteSize, CpuTime};
use crate::input::symbols::SymbolTable;
use crate::present::traces::leading::frame_text;
use crate::process::threads::teb::Teb;

use super::table::{Align, Cell, Column, Sort, TableModel, Tone};
use super::value::{StackMark, Value};

/// One row for each thread that any of the dumps has, one column for each interval between them.
pub struct ThreadMatrix {
    snapshots: Vec<Arc<Snapshot>>,
    dumps: Vec<DumpIdx>,
    symbols: Arc<SymbolTable>,
    rows: Vec<ThreadHistory>,
    marks: Vec<ThreadMarks>,
    columns: Vec<Column>,
}

/// What is known of a thread's stacks: one mark for each dump, and what the thread does in the last of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ThreadMarks {
    pub stacks: Vec<StackMark>,
    /// `logging a trace`, `waiting`, `running`.
    pub doing: Option<&'static str>,
    /// Whether a program of its own would not do that.
    pub is_suspicious: bool,
    /// Outer frames that the thread's stacks have in common.
    pub common_frame_count: Option<usize>,
}

/// Columns before those of the intervals.
const FIXED: [Column; 6] = [
    Column {
        title: "thread",
        align: Align::Right,
        width_chars: 9,
        hint: "Number in the last dump that has it, and thread id, as !runaway has them",
    },
    Column { title: "name", align: Align::Left, width_chars: 10, hint: "Set by SetThreadDescription" },
    Column { title: "start address", align: Align::Left, width_chars: 18, hint: "Where the thread began" },
    Column { title: "does", align: Align::Left, width_chars: 13, hint: "By its stack in the last dump that has it" },
    Column {
        title: "user",
        align: Align::Right,
        width_chars: 18,
        hint: "User mode time up to the last dump that has it",
    },
    Column {
        title: "kernel",
        align: Align::Right,
        width_chars: 18,
        hint: "Kernel mode time up to the last dump that has it",
    },
];

/// Most user time first.
pub const FIRST_SORT: Sort = Sort { column: 4, descending: true };

const INTERVAL: Column = Column {
    title: "",
    align: Align::Right,
    width_chars: 7,
    hint: "Cores kept busy between the two dumps: 1.00 is one core all the time. = the stack is as in the dump before, ≠ it \
           changed, + the thread is new",
};

impl ThreadMatrix {
    /// `snapshots` are those of `dumps`. `marks` stand beside `rows`, or are empty before the stacks are known.
    pub fn new(
        snapshots: Vec<Arc<Snapshot>>,
        dumps: Vec<DumpIdx>,
        symbols: Arc<SymbolTable>,
        rows: Vec<ThreadHistory>,
        marks: Vec<ThreadMarks>,
    ) -> Self {
        let intervals = std::iter::repeat_n(INTERVAL, dumps.len().saturating_sub(1));
        let mut columns: Vec<Column> = FIXED.into_iter().chain(intervals).collect();
        // Without many intervals there is room for whole names.
        if dumps.len() < 4 {
            for column in columns.iter_mut().filter(|column| column.align == Align::Left) {
                column.width_chars = column.width_chars.saturating_add(8);
            }
        }
        Self { snapshots, dumps, symbols, rows, marks, columns }
    }

    pub fn history(&self, row: usize) -> Option<&ThreadHistory> {
        self.rows.get(row)
    }

    /// The thread in the last dump that has it, and the position of that dump.
    pub fn newest(&self, row: usize) -> Option<(usize, &Thread)> {
        let history = self.rows.get(row)?;
        let dump = history.positions.iter().rposition(Option::is_some)?;
        Some((dump, self.thread(row, dump)?))
    }

    /// The thread in one of the dumps.
    pub fn thread(&self, row: usize, dump: usize) -> Option<&Thread> {
        let position = self.rows.get(row)?.positions.get(dump).copied().flatten()?;
        self.snapshots.get(dump)?.threads.get(position)
    }

    /// Outer frames that a thread's stacks have in common in all dumps of the series that have it.
    pub fn common_frame_count(&self, row: usize) -> Option<usize> {
        self.marks.get(row)?.common_frame_count
    }

    fn interval_cell(&self, row: usize, interval: usize) -> Cell {
        let Some(history) = self.rows.get(row) else { return Cell::new(Value::Absent) };
        let mark = self.marks.get(row).and_then(|marks| marks.stacks.get(interval + 1)).copied().unwrap_or_default();
        let time = |dump: usize| self.snapshots.get(dump).and_then(|snapshot| snapshot.time());
        let length_ns = time(interval).zip(time(interval + 1)).map(|(from, to)| to.ns_since(from));
        let spent = history.cpu_per_interval.get(interval).copied().flatten();
        match (spent, length_ns.filter(|ns| *ns > 0)) {
            (Some(spent), Some(length_ns)) => {
                let cores = spent.total_ns() as f64 / length_ns as f64;
                Cell::toned(Value::Cores { cores, mark }, Tone::Heat((cores.min(1.0) * 255.0) as u8))
            }
            _ => Cell::toned(Value::Absent, Tone::Dim),
        }
    }
}

/// The thread as `!runaway` names it: number in its dump and id.
pub fn thread_name(snapshot: &Snapshot, tid: u32) -> String {
    match snapshot.thread_index(tid) {
        Some(index) => format!("{index}:{tid:x}"),
        None => format!("{tid:x} (ended)"),
    }
}

/// The TEB of a thread that its program sees: the 32-bit one of a WOW64 thread.
pub fn thread_teb<'a>(snapshot: &'a Snapshot, thread: &Thread) -> Option<&'a Teb> {
    let of_thread = || snapshot.tebs.iter().filter(|teb| teb.tid == thread.tid);
    of_thread().find(|teb| teb.width == PointerWidth::Bits32).or_else(|| of_thread().next())
}

/// What a dump says of a thread, in one line.
pub fn thread_facts(snapshot: &Snapshot, thread: &Thread) -> String {
    let cpu = |name: &str, ns: Option<u64>| ns.map(|ns| format!("{name} {}", CpuTime { ns }));
    let teb = thread_teb(snapshot, thread);
    let stack = teb.and_then(|teb| teb.stack.map(|stack| (teb, stack))).map(|(teb, stack)| {
        let (start, end) = (stack.start.windbg(teb.width), stack.end.windbg(teb.width));
        let committed = stack.end.offset_from(teb.stack_limit).map(ByteSize).unwrap_or_default();
        format!("stack {start} to {end} ({committed} of {} committed)", ByteSize(stack.size_bytes()))
    });
    let last_error = teb.and_then(|teb| teb.last_error).filter(|error| *error != 0);
    let parts = [
        cpu("user", thread.times.user_ns),
        cpu("kernel", thread.times.kernel_ns),
        cpu("elapsed", thread.times.elapsed_ns),
        thread.suspend_count.filter(|count| *count > 0).map(|count| format!("suspended {count} times")),
        stack,
        last_error.map(|error| format!("last error {error} (0x{error:x})")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

impl TableModel for ThreadMatrix {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn row_count(&self) -> usize {
        self.rows.len()
    }

    fn title(&self, column: usize) -> Cow<'_, str> {
        match column.checked_sub(FIXED.len()) {
            Some(interval) => {
                let dump = |position: usize| self.dumps.get(position).map_or(0, |dump| dump.0 + 1);
                Cow::Owned(format!("{} → {}", dump(interval), dump(interval + 1)))
            }
            None => Cow::Borrowed(FIXED.get(column).map_or("", |column| column.title)),
        }
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        if let Some(interval) = column.checked_sub(FIXED.len()) {
            return self.interval_cell(row, interval);
        }
        let Some((dump, thread)) = self.newest(row) else { return Cell::new(Value::Absent) };
        let Some(snapshot) = self.snapshots.get(dump) else { return Cell::new(Value::Absent) };
        let cpu = |ns: Option<u64>| ns.map_or(Value::Absent, |ns| Value::Cpu { ns });
        let text = |text: Option<String>| text.map_or(Value::Absent, Value::Text);
        match column {
            0 => {
                let name = thread_name(snapshot, thread.tid);
                let is_gone = dump + 1 < self.snapshots.len();
                Cell::toned(Value::Text(name), if is_gone { Tone::Dim } else { Tone::Normal })
            }
            1 => Cell::new(text(self.rows.get(row).and_then(|history| history.name.clone()))),
            2 => {
                let start = self.rows.get(row).and_then(|history| history.start_address);
                Cell::new(text(start.map(|va| frame_text(&self.symbols, va, snapshot.pointer_width()))))
            }
            3 => {
                let marks = self.marks.get(row);
                let is_suspicious = marks.is_some_and(|marks| marks.is_suspicious);
                let tone = if is_suspicious { Tone::Warning } else { Tone::Normal };
                Cell::toned(text(marks.and_then(|marks| marks.doing).map(str::to_owned)), tone)
            }
            4 => Cell::new(cpu(thread.times.user_ns)),
            _ => Cell::new(cpu(thread.times.kernel_ns)),
        }
    }
}
