//! The entries of a comparison as a table.

use std::sync::Arc;

use crate::input::umdh::Comparison;
use crate::input::umdh::frames::LogFrame;
use crate::present::table::{Align, Cell, Column, Sort, TableModel};
use crate::present::value::Value;

use super::{UmdhNaming, counted};

/// Some entries of a comparison, one row each.
pub struct ComparisonTable {
    pub comparison: Arc<Comparison>,
    naming: UmdhNaming,
    /// The entries to show, by their position, in that order.
    rows: Arc<Vec<u32>>,
}

/// What grew most comes first.
pub const FIRST_SORT: Sort = Sort { column: 4, descending: true };

const COLUMNS: [Column; 8] = [
    Column { title: "#", align: Align::Right, width_chars: 5, hint: "Number of the entry in the file" },
    Column {
        title: "leading frame",
        align: Align::Left,
        width_chars: 28,
        hint: "The first frame that is neither allocator nor runtime",
    },
    Column { title: "before", align: Align::Right, width_chars: 9, hint: "Requested bytes in the first log" },
    Column { title: "after", align: Align::Right, width_chars: 9, hint: "Requested bytes in the second log" },
    Column { title: "growth", align: Align::Right, width_chars: 9, hint: "Requested bytes, after less before" },
    Column { title: "blocks", align: Align::Right, width_chars: 8, hint: "Blocks in the second log" },
    Column { title: "Δ blocks", align: Align::Right, width_chars: 8, hint: "Blocks, after less before" },
    Column {
        title: "BackTrace",
        align: Align::Left,
        width_chars: 11,
        hint: "The id of the stack; search the logs for BackTrace and this",
    },
];

impl ComparisonTable {
    pub const fn new(comparison: Arc<Comparison>, naming: UmdhNaming, rows: Arc<Vec<u32>>) -> Self {
        Self { comparison, naming, rows }
    }

    /// With all entries.
    pub fn of_all(comparison: &Arc<Comparison>, naming: UmdhNaming) -> Self {
        let rows = (0..u32::try_from(comparison.entries.len()).unwrap_or(u32::MAX)).collect();
        Self::new(Arc::clone(comparison), naming, Arc::new(rows))
    }

    /// The entry of a row.
    pub fn entry(&self, row: usize) -> Option<usize> {
        self.rows.get(row).map(|entry| *entry as usize)
    }

    /// The row of an entry.
    pub fn row_of(&self, entry: usize) -> Option<usize> {
        self.rows.binary_search(&u32::try_from(entry).ok()?).ok()
    }
}

/// The frames of an entry, innermost first.
pub fn entry_frames(comparison: &Comparison, entry: usize) -> impl Iterator<Item = &LogFrame> {
    let frames = comparison.entries.get(entry).map(|entry| entry.frames.as_slice()).unwrap_or_default();
    frames.iter().filter_map(|id| comparison.frames.frame(*id))
}

/// One entry as text.
pub fn entry_text(comparison: &Comparison, naming: &UmdhNaming, entry: usize) -> String {
    let Some(of) = comparison.entries.get(entry) else { return String::new() };
    let mut text = format!(
        "BackTrace{}: {} bytes before, {} after in {}\n",
        of.id,
        of.before_bytes,
        of.after_bytes,
        counted(of.after_count, "block")
    );
    for frame in entry_frames(comparison, entry) {
        text.push_str(&format!("    {}\n", naming.frame_line(frame)));
    }
    text
}

impl TableModel for ComparisonTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let position = self.entry(row);
        let Some((position, entry)) =
            position.and_then(|position| Some((position, self.comparison.entries.get(position)?)))
        else {
            return Cell::new(Value::Absent);
        };
        match column {
            0 => Cell::new(Value::Count(position as u64 + 1)),
            1 => {
                let text = self.naming.leading_text(entry_frames(&self.comparison, position));
                Cell::new(text.map_or(Value::Absent, Value::Text))
            }
            2 => Cell::new(Value::Bytes(entry.before_bytes)),
            3 => Cell::new(Value::Bytes(entry.after_bytes)),
            4 => Cell::delta(Value::BytesDelta(entry.bytes_delta())),
            5 => Cell::new(Value::Count(entry.after_count)),
            6 => Cell::delta(entry.count_delta().map_or(Value::Absent, Value::CountDelta)),
            _ => Cell::new(Value::text(&*entry.id)),
        }
    }
}
