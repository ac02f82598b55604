//! Unique stacks as a table, with the change over an interval.

use std::sync::Arc;

use crate::analysis::series::outstanding::SeriesOutstanding;
use crate::analysis::series::stacks::SeriesStacks;
use crate::base::addr::Va;
use crate::base::ids::DumpIdx;
use crate::base::units::ByteDelta;
use crate::present::table::{Align, Cell, Column, Sort, TableModel};
use crate::present::value::Value;

use super::leading::{Naming, frame_text, leading_frame};
use crate::present::windbg;

/// Some stacks of a series, one row each.
pub struct StackTable {
    pub stacks: Arc<SeriesStacks>,
    /// Of the same stacks; without it the table has no columns for it.
    outstanding: Option<Arc<SeriesOutstanding>>,
    naming: Naming,
    rows: Arc<Vec<u32>>,
    interval: StackInterval,
}

/// The dumps of a series, and the two of them that are compared.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct StackInterval {
    /// Positions of the two ends among the dumps.
    pub from: usize,
    pub to: usize,
    /// Numbers of the dumps, for the first and last dump of a stack.
    pub dumps: Vec<DumpIdx>,
}

impl StackInterval {
    /// `dumps` are the group's; `from` and `to` two of them. `None` when one of them is not.
    pub fn new(dumps: Vec<DumpIdx>, from: DumpIdx, to: DumpIdx) -> Option<Self> {
        let position = |dump| dumps.iter().position(|other| *other == dump);
        Some(Self { from: position(from)?, to: position(to)?, dumps })
    }
}

/// What grew most comes first.
pub const FIRST_SORT: Sort = Sort { column: 3, descending: true };

/// Columns that the stores alone tell; those that the heaps tell follow.
const LOGGED_COLUMN_COUNT: usize = 10;
const BLOCKS_COLUMN: usize = LOGGED_COLUMN_COUNT + 1;

const COLUMNS: [Column; 13] = [
    Column {
        title: "#",
        align: Align::Right,
        width_chars: 7,
        hint: "Number of the stack, by entries in the last dump",
    },
    Column {
        title: "leading frame",
        align: Align::Left,
        width_chars: 24,
        hint: "The first frame that is neither allocator nor runtime; which those are can be edited (Leading frame…)",
    },
    Column {
        title: "entries",
        align: Align::Right,
        width_chars: 8,
        hint: "Entries of the database with this stack, in the second dump",
    },
    Column {
        title: "growth",
        align: Align::Right,
        width_chars: 8,
        hint: "Entries in the second dump less those in the first",
    },
    Column { title: "trend", align: Align::Left, width_chars: 8, hint: "Entries in each dump of the series" },
    Column {
        title: "logged",
        align: Align::Right,
        width_chars: 12,
        hint: "Sum of the entries' counts, each of which stops at 2,047: at least so many uses",
    },
    Column {
        title: "saturated",
        align: Align::Right,
        width_chars: 9,
        hint: "Share of its entries whose count has stopped",
    },
    Column { title: "depth", align: Align::Right, width_chars: 5, hint: "Frames; at 32 the outer end is cut off" },
    Column { title: "first", align: Align::Right, width_chars: 5, hint: "First dump that has it" },
    Column { title: "last", align: Align::Right, width_chars: 5, hint: "Last dump that has it" },
    Column {
        title: "outstanding",
        align: Align::Right,
        width_chars: 10,
        hint: "Memory of the heaps that this stack asked for and the program still holds, in the second dump",
    },
    Column { title: "blocks", align: Align::Right, width_chars: 8, hint: "Blocks that the program still holds" },
    Column {
        title: "Δ outstanding",
        align: Align::Right,
        width_chars: 11,
        hint: "Outstanding memory in the second dump less that in the first",
    },
];

impl StackTable {
    /// `rows` are the stacks to show, by their position.
    pub const fn new(
        stacks: Arc<SeriesStacks>,
        outstanding: Option<Arc<SeriesOutstanding>>,
        naming: Naming,
        rows: Arc<Vec<u32>>,
        interval: StackInterval,
    ) -> Self {
        Self { stacks, outstanding, naming, rows, interval }
    }

    pub const fn has_outstanding(&self) -> bool {
        self.outstanding.is_some()
    }

    fn outstanding_cell(&self, stack: usize, column: usize) -> Cell {
        let held = |dump: usize| self.outstanding.as_ref()?.of(stack, dump);
        let now = held(self.interval.to);
        match column {
            LOGGED_COLUMN_COUNT => Cell::new(Value::bytes(now.map(|held| held.user_bytes))),
            BLOCKS_COLUMN => Cell::new(Value::count(now.map(|held| held.block_count))),
            _ => {
                let ends = held(self.interval.from).zip(now);
                let delta = ends.map(|(from, to)| ByteDelta::between(from.user_bytes, to.user_bytes));
                Cell::delta(Value::delta(delta))
            }
        }
    }

    /// The stack of a row.
    pub fn stack(&self, row: usize) -> Option<usize> {
        self.rows.get(row).map(|stack| *stack as usize)
    }

    /// The row of a stack; rows are in the order of the stacks.
    pub fn row_of(&self, stack: usize) -> Option<usize> {
        self.rows.binary_search(&u32::try_from(stack).ok()?).ok()
    }
}

/// The frames of a stack, innermost first, each with its return address.
pub fn frame_lines(stacks: &SeriesStacks, naming: &Naming, stack: usize) -> Vec<String> {
    let width = stacks.width(stack);
    let line = |va: Va| format!("{} {}", va.windbg(width), frame_text(&naming.symbols, va, width));
    stacks.frames(stack).map(line).collect()
}

impl TableModel for StackTable {
    fn columns(&self) -> &[Column] {
        if self.has_outstanding() { &COLUMNS } else { COLUMNS.get(..LOGGED_COLUMN_COUNT).unwrap_or(&COLUMNS) }
    }

    fn row_count(&self) -> usize {
        self.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let Some(stack) = self.stack(row) else { return Cell::new(Value::Absent) };
        let (stacks, interval) = (&self.stacks, &self.interval);
        let counts = stacks.counts(stack, interval.to);
        let dump_number = |position: Option<usize>| {
            let dump = position.and_then(|position| interval.dumps.get(position));
            dump.map_or(Value::Absent, |dump| Value::Count(dump.0 as u64 + 1))
        };
        match column {
            0 => Cell::new(Value::Count(stack as u64 + 1)),
            1 => {
                let leading = leading_frame(&self.naming.symbols, &self.naming.rules, stacks.frames(stack));
                let text = leading.map(|va| frame_text(&self.naming.symbols, va, stacks.width(stack)));
                Cell::new(text.map_or(Value::Absent, Value::Text))
            }
            2 => Cell::new(Value::count(counts.map(|counts| counts.entry_count))),
            3 => {
                let ends = stacks.entry_count(stack, interval.from).zip(counts);
                let growth = ends.map(|(from, to)| i128::from(to.entry_count) - i128::from(from));
                Cell::delta(growth.map_or(Value::Absent, Value::CountDelta))
            }
            4 => {
                Cell::new(Value::Trend((0..stacks.dump_count()).map(|dump| stacks.entry_count(stack, dump)).collect()))
            }
            5 => Cell::new(Value::count(counts.map(|counts| counts.use_count).filter(|count| *count > 0))),
            6 => {
                // A heap log counts no uses, so nothing in it can be saturated.
                let share = counts
                    .filter(|counts| counts.entry_count > 0 && counts.use_count > 0)
                    .map(|counts| counts.saturated_entry_count as f64 * 100.0 / counts.entry_count as f64);
                Cell::new(share.map_or(Value::Absent, Value::Percent))
            }
            7 => Cell::new(Value::Count(stacks.frame_ids(stack).len() as u64)),
            8 => Cell::new(dump_number(stacks.first_and_last(stack).map(|(first, _)| first))),
            9 => Cell::new(dump_number(stacks.first_and_last(stack).map(|(_, last)| last))),
            column => self.outstanding_cell(stack, column),
        }
    }

    fn windbg(&self, row: usize, _: usize) -> Option<String> {
        const ENTRY_POINTERS: u64 = 32;
        let stack = self.stack(row)?;
        let first = self.stacks.counts(stack, self.interval.to)?.first_entry;
        (!first.is_null()).then(|| windbg::dps(first, self.stacks.width(stack), ENTRY_POINTERS))
    }
}
