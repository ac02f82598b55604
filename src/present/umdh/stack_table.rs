//! The stacks of raw logs as a table, with the change between two points.

use std::borrow::Cow;
use std::sync::Arc;

use crate::analysis::series::shape::Shape;
use crate::analysis::series::stacks::Coverage;
use crate::analysis::series::umdh_join::UmdhSeries;
use crate::present::table::{Align, Cell, Column, Sort, TableModel, Tone};
use crate::present::value::Value;

use super::{UmdhNaming, point_name, shape_name};

/// Some stacks of a series, one row each.
pub struct UmdhStackTable {
    pub series: Arc<UmdhSeries>,
    naming: UmdhNaming,
    /// The stacks to show, by their position, in that order.
    rows: Arc<Vec<u32>>,
    /// Positions of the two points that are compared.
    from: usize,
    to: usize,
}

/// What grew most comes first.
pub const FIRST_SORT: Sort = Sort { column: 6, descending: true };

const COLUMNS: [Column; 11] = [
    Column { title: "#", align: Align::Right, width_chars: 4, hint: "Number of the stack, by bytes in the last log" },
    Column {
        title: "leading frame",
        align: Align::Left,
        width_chars: 22,
        hint: "The first frame that is neither allocator nor runtime",
    },
    Column {
        title: "shape",
        align: Align::Left,
        width_chars: 11,
        hint: "Over all logs. Leak: grows in 80 % of the intervals. Fluctuation: what is left is under 30 % of its range, or it turned twice. Step: one interval has 80 % of the change. Plateau: grew, then stayed. Three logs at least",
    },
    Column { title: "trend", align: Align::Left, width_chars: 9, hint: "Requested bytes in each log" },
    Column {
        title: "before",
        align: Align::Right,
        width_chars: 8,
        hint: "Requested bytes of the blocks that the stack has allocated and not freed, at the first point. Of a dump: entries of its database",
    },
    Column { title: "after", align: Align::Right, width_chars: 8, hint: "The same at the second point" },
    Column { title: "growth", align: Align::Right, width_chars: 9, hint: "Requested bytes, after less before" },
    Column { title: "Δ blocks", align: Align::Right, width_chars: 8, hint: "Blocks, after less before" },
    Column {
        title: "range",
        align: Align::Right,
        width_chars: 9,
        hint: "Peak to peak: the most in any log less the least",
    },
    Column {
        title: "turns",
        align: Align::Right,
        width_chars: 5,
        hint: "How often growth turned into decline, or back",
    },
    Column {
        title: "BackTrace",
        align: Align::Left,
        width_chars: 11,
        hint: "Its id in the last log that has it; search the log for BackTrace and this",
    },
];

impl UmdhStackTable {
    pub const fn new(series: Arc<UmdhSeries>, naming: UmdhNaming, rows: Arc<Vec<u32>>, from: usize, to: usize) -> Self {
        Self { series, naming, rows, from, to }
    }

    /// With all stacks.
    pub fn of_all(series: &Arc<UmdhSeries>, naming: UmdhNaming, from: usize, to: usize) -> Self {
        let rows = (0..u32::try_from(series.stacks.len()).unwrap_or(u32::MAX)).collect();
        Self::new(Arc::clone(series), naming, Arc::new(rows), from, to)
    }

    /// The stack of a row.
    pub fn stack(&self, row: usize) -> Option<usize> {
        self.rows.get(row).map(|stack| *stack as usize)
    }

    /// The row of a stack.
    pub fn row_of(&self, stack: usize) -> Option<usize> {
        self.rows.binary_search(&u32::try_from(stack).ok()?).ok()
    }

    fn at(&self, stack: usize, point: usize) -> Value {
        let amount = self.series.amount(stack, point);
        let has_blocks = self.series.points.get(point).is_some_and(|point| point.blocks != Coverage::None);
        if has_blocks { Value::bytes(amount.requested_bytes) } else { Value::count(amount.entry_count) }
    }
}

/// The colour of a shape.
pub const fn shape_tone(shape: Shape) -> Tone {
    match shape {
        Shape::Growth => Tone::Warning,
        Shape::Step | Shape::Plateau => Tone::Growth,
        Shape::Shrinking => Tone::Shrink,
        Shape::Fluctuation => Tone::Normal,
        Shape::Steady | Shape::Undecided => Tone::Dim,
    }
}

fn difference(from: Option<u64>, to: Option<u64>) -> Option<i128> {
    from.zip(to).map(|(from, to)| i128::from(to) - i128::from(from))
}

impl TableModel for UmdhStackTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.rows.len()
    }

    fn title(&self, column: usize) -> Cow<'_, str> {
        let point = match column {
            4 if self.from == self.to => None,
            4 => self.series.points.get(self.from),
            5 => self.series.points.get(self.to),
            _ => None,
        };
        let title = COLUMNS.get(column).map_or("", |column| column.title);
        point.map_or(Cow::Borrowed(title), |point| Cow::Owned(point_name(point.source)))
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let position = self.stack(row);
        let Some((position, stack)) = position.and_then(|position| Some((position, self.series.stacks.get(position)?)))
        else {
            return Cell::new(Value::Absent);
        };
        let (from, to) = (self.series.amount(position, self.from), self.series.amount(position, self.to));
        let judgement = self.series.judgement(position);
        // One log has no growth.
        if self.from == self.to && matches!(column, 4 | 6 | 7) {
            return Cell::new(Value::Absent);
        }
        match column {
            0 => Cell::new(Value::Count(position as u64 + 1)),
            1 => {
                let text = self.naming.leading_text(self.series.frames(position));
                match (text, stack.candidates.len()) {
                    (None, _) => Cell::new(Value::Absent),
                    (Some(text), 0 | 1) => Cell::new(Value::Text(text)),
                    (Some(text), count) => Cell::new(Value::Text(format!("{text} (or another of {count})"))),
                }
            }
            2 => judgement.map_or(Cell::new(Value::Absent), |judgement| {
                Cell::toned(Value::text(shape_name(judgement.shape)), shape_tone(judgement.shape))
            }),
            3 => Cell::new(Value::Trend(self.series.requested(position))),
            4 => Cell::new(self.at(position, self.from)),
            5 => Cell::new(self.at(position, self.to)),
            6 => {
                let growth = difference(from.requested_bytes, to.requested_bytes);
                Cell::delta(growth.map_or(Value::Absent, Value::BytesDelta))
            }
            7 => {
                let growth = difference(from.block_count, to.block_count);
                Cell::delta(growth.map_or(Value::Absent, Value::CountDelta))
            }
            8 => Cell::new(Value::bytes(judgement.map(|judgement| judgement.peak_to_peak_bytes))),
            9 => Cell::new(Value::count(judgement.map(|judgement| u64::from(judgement.sign_change_count)))),
            _ => Cell::new(Value::text(&*stack.id)),
        }
    }
}
