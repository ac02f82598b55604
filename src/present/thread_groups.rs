//! Equal stacks of threads as a table: which calls many threads stand in, and how that changed.

use std::sync::Arc;

use crate::analysis::series::stacks::SeriesStacks;
use crate::base::ids::DumpIdx;

use super::table::{Align, Cell, Column, Sort, TableModel};
use super::traces::leading::{Naming, frame_text, leading_frame};
use super::traces::stack_table::StackInterval;
use super::value::Value;

/// One row for each different stack.
pub struct ThreadGroupTable {
    pub stacks: Arc<SeriesStacks>,
    naming: Naming,
    interval: StackInterval,
}

/// Most threads first.
pub const FIRST_SORT: Sort = Sort { column: 1, descending: true };

const COLUMNS: [Column; 8] = [
    Column { title: "top frame", align: Align::Left, width_chars: 30, hint: "Where the threads stand" },
    Column { title: "threads", align: Align::Right, width_chars: 8, hint: "With this stack in the second dump" },
    Column { title: "change", align: Align::Right, width_chars: 8, hint: "Threads more than in the first dump" },
    Column { title: "trend", align: Align::Left, width_chars: 8, hint: "Threads in each dump" },
    Column {
        title: "leading frame",
        align: Align::Left,
        width_chars: 30,
        hint: "The first frame that is neither allocator nor runtime",
    },
    Column { title: "depth", align: Align::Right, width_chars: 6, hint: "Frames" },
    Column { title: "first", align: Align::Right, width_chars: 5, hint: "First dump that has it" },
    Column { title: "last", align: Align::Right, width_chars: 5, hint: "Last dump that has it" },
];

impl ThreadGroupTable {
    pub const fn new(stacks: Arc<SeriesStacks>, naming: Naming, interval: StackInterval) -> Self {
        Self { stacks, naming, interval }
    }
}

impl TableModel for ThreadGroupTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.stacks.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let (stacks, interval) = (&self.stacks, &self.interval);
        let width = stacks.width(row);
        let name = |va| frame_text(&self.naming.symbols, va, width);
        let number = |position: Option<usize>| {
            let dump: Option<&DumpIdx> = position.and_then(|position| interval.dumps.get(position));
            dump.map_or(Value::Absent, |dump| Value::Count(dump.0 as u64 + 1))
        };
        let text = |text: Option<String>| text.map_or(Value::Absent, Value::Text);
        let (from, to) = (stacks.entry_count(row, interval.from), stacks.entry_count(row, interval.to));
        match column {
            0 => Cell::new(text(stacks.frames(row).next().map(name))),
            1 => Cell::new(Value::count(to)),
            2 => {
                let change = from.zip(to).map(|(from, to)| i128::from(to) - i128::from(from));
                Cell::delta(change.map_or(Value::Absent, Value::CountDelta))
            }
            3 => Cell::new(Value::Trend((0..stacks.dump_count()).map(|dump| stacks.entry_count(row, dump)).collect())),
            4 => {
                let leading = leading_frame(&self.naming.symbols, &self.naming.rules, stacks.frames(row));
                Cell::new(text(leading.map(name)))
            }
            5 => Cell::new(Value::Count(stacks.frame_ids(row).len() as u64)),
            6 => Cell::new(number(stacks.first_and_last(row).map(|(first, _)| first))),
            _ => Cell::new(number(stacks.first_and_last(row).map(|(_, last)| last))),
        }
    }
}
