//! Threads by intervals of the series: how many cores each kept busy, and whether its stack changed.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use crate::analysis::series::thread_stacks::CommonAndVarying;
use crate::analysis::series::threads::ThreadHistory;
use crate::analysis::snapshot::{Snapshot, Thread};
use crate::base::addr::{PointerWidth, VaRange};
use crate::base::ids::DumpIdx;
use crate::base::units::{ByteSize, CpuTime};
use crate::input::symbols::{SymbolName, SymbolTable};
use crate::present::traces::leading::frame_text;
use crate::process::stacks::{ThreadStack, ThreadStacks};
use crate::process::threads::stack_use::StackUse;
use crate::process::threads::teb::Teb;

use super::table::{Align, Cell, Column, Sort, TableModel, Tone};
use super::value::{StackMark, Value};
use super::windbg;

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
    /// What the thread's stacks have in common over the dumps, and what they do above that.
    pub over_dumps: Option<String>,
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

    /// What a thread's stacks have in common in all dumps of the series that have it, and what they do above that.
    pub fn over_dumps(&self, row: usize) -> Option<&str> {
        self.marks.get(row)?.over_dumps.as_deref()
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

/// How much of its stack a thread uses, by the TEB that its program sees and the innermost frame of the stack there.
pub fn thread_stack_use(snapshot: &Snapshot, thread: &Thread, stacks: Option<&ThreadStacks>) -> Option<StackUse> {
    let teb = thread_teb(snapshot, thread)?;
    let halves = stacks.map(|stacks| [Some(&stacks.native), stacks.wow64.as_ref()]);
    let innermost =
        |stack: &ThreadStack| stack.frames.first().filter(|frame| frame.width == teb.width).map(|frame| frame.sp);
    let sp = halves.into_iter().flatten().flatten().filter_map(innermost).next_back();
    StackUse::of(teb, sp)
}

fn stack_text(teb: &Teb, stack: VaRange, used: &StackUse) -> String {
    let (start, end) = (stack.start.windbg(teb.width), stack.end.windbg(teb.width));
    let in_use = used
        .used_bytes
        .zip(used.used_permille())
        .map(|(bytes, permille)| format!("{} in use, {}.{} % of it; ", ByteSize(bytes), permille / 10, permille % 10));
    let (committed, reserved) = (ByteSize(used.committed_bytes), ByteSize(used.reserved_bytes));
    format!("stack {start} to {end} ({}{committed} of {reserved} committed)", in_use.unwrap_or_default())
}

/// What a dump says of a thread, in one line.
pub fn thread_facts(snapshot: &Snapshot, thread: &Thread, stacks: Option<&ThreadStacks>) -> String {
    let cpu = |name: &str, ns: Option<u64>| ns.map(|ns| format!("{name} {}", CpuTime { ns }));
    let teb = thread_teb(snapshot, thread);
    let used = thread_stack_use(snapshot, thread, stacks);
    let stack = teb.zip(used).and_then(|(teb, used)| Some(stack_text(teb, teb.stack?, &used)));
    let last_error = teb.and_then(|teb| teb.last_error).filter(|error| *error != 0);
    let parts = [
        cpu("user", thread.times.user_ns),
        cpu("kernel", thread.times.kernel_ns),
        cpu("elapsed", thread.times.elapsed_ns),
        thread.suspend_count.filter(|count| *count > 0).map(|count| format!("suspended {count} times")),
        teb.map(|teb| format!("TEB {}", teb.base.windbg(teb.width))),
        stack,
        last_error.map(|error| format!("last error {error} (0x{error:x})")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// The common part of a thread's stacks as a number of frames, the varying one by its functions, those of most dumps first.
pub fn over_dumps_text(stacks: &CommonAndVarying, symbols: &SymbolTable) -> String {
    const MOST_FUNCTIONS: usize = 8;
    let dump_count = stacks.varying.len();
    let mut text =
        format!("{} outer frames are the same in all {dump_count} dumps that have the thread", stacks.common_count);
    // By function: two places in one are no news. The innermost frames first, as far as dumps agree on their order.
    let mut functions: Vec<(String, usize)> = Vec::new();
    for varying in &stacks.varying {
        let mut seen = HashSet::new();
        for va in varying {
            let name = match symbols.name_of(*va) {
                Some(SymbolName { module, function: Some(function), .. }) => format!("{module}!{function}"),
                Some(name) => name.to_string(),
                None => va.to_string(),
            };
            if !seen.insert(name.clone()) {
                continue;
            }
            match functions.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => functions.push((name, 1)),
            }
        }
    }
    functions.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let names: Vec<String> = functions
        .iter()
        .take(MOST_FUNCTIONS)
        .map(|(name, count)| format!("{name} in {count} of {dump_count}"))
        .collect();
    if !names.is_empty() {
        text = format!("{text}; above them {}", names.join(", "));
    }
    if functions.len() > MOST_FUNCTIONS {
        text = format!("{text} and {} more functions", functions.len() - MOST_FUNCTIONS);
    }
    text
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

    fn windbg(&self, row: usize, column: usize) -> Option<String> {
        let (_, thread) = self.newest(row)?;
        let is_stack = matches!(column, 2 | 3);
        Some(if is_stack { windbg::thread_stack(thread.tid) } else { windbg::RUNAWAY.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::addr::Va;

    #[test]
    fn the_varying_part_is_told_by_function() {
        let varying = vec![vec![Va(0x10), Va(0x20), Va(0x10)], vec![Va(0x20)], Vec::new()];
        let text = |varying| over_dumps_text(&CommonAndVarying { common_count: 2, varying }, &SymbolTable::default());
        assert_eq!(
            text(varying),
            "2 outer frames are the same in all 3 dumps that have the thread; above them 0x20 in 2 of 3, 0x10 in 1 of 3"
        );
        assert_eq!(text(vec![Vec::new(); 2]), "2 outer frames are the same in all 2 dumps that have the thread");
    }
}
