//! The heaps of a process as a table: the columns of `!heap -s`, what the program holds, and the change over an interval.

use std::sync::Arc;

use crate::analysis::series::heaps::{HeapHistory, SeriesHeaps};
use crate::analysis::series::shape::Shape;
use crate::base::units::ByteDelta;
use crate::process::heap::DecodedHeap;

use crate::present::table::{Cell, Column, Sort, TableModel, Tone};
use crate::present::traces::stack_table::StackInterval;
use crate::present::value::Value;
use crate::present::windbg;

use super::{front_end_name, kind_name, shape_name};

/// One row for each heap that any dump of the series has.
pub struct HeapTable {
    heaps: Arc<SeriesHeaps>,
    interval: StackInterval,
}

/// The largest comes first.
pub const FIRST_SORT: Sort = Sort { column: 5, descending: true };

const COLUMNS: [Column; 17] = [
    Column::number("heap", 17, "The heap's handle, which is its address"),
    Column::words("kind", 9, "NT heap, segment heap (Windows 10 and later) or page heap"),
    Column::number("flags", 8, "_HEAP.Flags"),
    Column::words("shape", 10, "What its committed memory does over the compared dumps"),
    Column::words("trend", 8, "Committed memory in each dump of the series"),
    Column::number("commit", 9, "Committed memory of its segments (Counters.TotalMemoryCommitted), in the second dump"),
    Column::number("Δ commit", 9, "Second dump less first, virtual blocks included"),
    Column::number("in use", 9, "What the program asked for and holds, front end and virtual blocks included"),
    Column::number("blocks", 9, "Blocks that the program holds"),
    Column::number("Δ in use", 9, "Second dump less first"),
    Column::number("free", 9, "TotalFreeSize: in the heap's own lists of free blocks"),
    Column::number("frag.", 6, "External fragmentation: free share of the committed memory"),
    Column::number("reserve", 9, "Reserved and committed memory of its segments"),
    Column::number("UCR", 5, "Uncommitted ranges"),
    Column::number("virt. blocks", 10, "Blocks with an allocation of their own"),
    Column::number("lock cont.", 9, "Lock collisions since the heap was made; WinDbg prints it in hexadecimal"),
    Column::words("front end", 8, "LFH: low-fragmentation heap. L: lookaside lists (XP, 2003)"),
];

impl HeapTable {
    pub const fn new(heaps: Arc<SeriesHeaps>, interval: StackInterval) -> Self {
        Self { heaps, interval }
    }

    pub fn history(&self, row: usize) -> Option<&HeapHistory> {
        self.heaps.histories.get(row)
    }

    /// The heap of a row in the dump at a position of the series.
    pub fn heap(&self, row: usize, dump: usize) -> Option<&DecodedHeap> {
        let position = self.history(row)?.positions.get(dump).copied().flatten()?;
        self.heaps.dumps.get(dump)?.heaps.get(position)
    }

    fn delta(&self, of: &[Option<u64>]) -> Cell {
        let at = |dump: usize| of.get(dump).copied().flatten();
        let ends = at(self.interval.from).zip(at(self.interval.to));
        let is_pair = self.interval.from != self.interval.to;
        Cell::delta(Value::delta(ends.filter(|_| is_pair).map(|(from, to)| ByteDelta::between(from, to))))
    }
}

impl TableModel for HeapTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.heaps.histories.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let Some(history) = self.history(row) else { return Cell::new(Value::Absent) };
        let to = self.interval.to;
        let decoded = self.heap(row, to);
        let figures = decoded.and_then(|heap| heap.figures);
        let sizes = history.sizes.get(to).copied().flatten();
        let in_use = sizes.and_then(|sizes| sizes.in_use);
        let value = match column {
            0 => Value::Address(history.base, history.width),
            1 => Value::text(kind_name(history.kind)),
            2 => figures.map_or(Value::Absent, |figures| Value::text(format!("{:08x}", figures.flags))),
            3 => {
                let shape = history.shape(self.interval.from, to);
                let tone = if shape == Some(Shape::Growth) { Tone::Growth } else { Tone::Dim };
                let value = shape.map_or(Value::Absent, |shape| Value::text(shape_name(shape)));
                return Cell::toned(value, tone);
            }
            4 => Value::Trend(history.committed()),
            5 => Value::bytes(sizes.map(|sizes| sizes.committed_bytes)),
            6 => return self.delta(&history.committed()),
            7 => Value::bytes(in_use.map(|in_use| in_use.user_bytes)),
            8 => Value::count(in_use.map(|in_use| in_use.block_count)),
            9 => return self.delta(&history.in_use()),
            10 => Value::bytes(sizes.map(|sizes| sizes.free_bytes)),
            11 => {
                let percent = sizes.and_then(|sizes| sizes.external_fragmentation_percent);
                percent.map_or(Value::Absent, |percent| Value::Percent(percent as f64))
            }
            12 => Value::bytes(sizes.map(|sizes| sizes.reserved_bytes)),
            13 => Value::count(figures.map(|figures| figures.ucr_count)),
            14 => Value::count(figures.map(|figures| figures.virtual_block_count)),
            15 => match figures {
                Some(figures) if !figures.has_lock => Value::text("N/A"),
                figures => Value::count(figures.and_then(|figures| figures.lock_contention.map(u64::from))),
            },
            _ => figures.map_or(Value::Absent, |figures| Value::text(front_end_name(figures.front_end))),
        };
        Cell::new(value)
    }

    fn windbg(&self, row: usize, column: usize) -> Option<String> {
        let history = self.history(row)?;
        // What the program holds WinDbg adds up by size; all other figures stand in its summary.
        let is_of_blocks = matches!(column, 7..=9);
        let by_size = || windbg::heap_blocks_by_size(history.base, history.width);
        Some(if is_of_blocks { by_size() } else { windbg::HEAP_SUMMARY.to_owned() })
    }
}
