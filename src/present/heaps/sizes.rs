//! The blocks of a heap by size: a table, with the change over an interval.

use std::collections::BTreeMap;

use crate::analysis::series::heaps::SeriesHeaps;
use crate::base::addr::{PointerWidth, Va};
use crate::present::table::{Cell, Column, Sort, TableModel, Tone};
use crate::present::value::Value;
use crate::process::heap::totals::{BlockTotals, SizeCount};

/// One row for each size of block.
#[derive(Debug)]
pub struct SizeTable {
    rows: Vec<SizeRow>,
    most_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct SizeRow {
    size_bytes: u64,
    now: SizeCount,
    before: Option<SizeCount>,
}

/// What takes most comes first.
pub const FIRST_SORT: Sort = Sort { column: 2, descending: true };

const COLUMNS: [Column; 7] = [
    Column::number("block size", 10, "The whole block, with its header: in hexadecimal, as WinDbg shows sizes"),
    Column::number("in use", 9, "Blocks of this size that the program holds"),
    Column::number("bytes", 9, "What these take, headers included"),
    Column::number("Δ blocks", 9, "Second dump less first"),
    Column::number("Δ bytes", 10, "Second dump less first"),
    Column::number("free", 9, "Blocks of this size that can be handed out again"),
    Column::number("free bytes", 9, "What these take"),
];

impl SizeTable {
    /// `before` is the same heap in the dump to compare with, where there is one.
    pub fn new(now: &BlockTotals, before: Option<&BlockTotals>) -> Self {
        let mut rows: BTreeMap<u64, SizeRow> = BTreeMap::new();
        let zero = before.map(|_| SizeCount::default());
        let empty = |size_bytes| SizeRow { size_bytes, now: SizeCount::default(), before: zero };
        for (size_bytes, count) in &now.sizes {
            rows.entry(*size_bytes).or_insert_with(|| empty(*size_bytes)).now = *count;
        }
        for (size_bytes, count) in before.into_iter().flat_map(|before| &before.sizes) {
            rows.entry(*size_bytes).or_insert_with(|| empty(*size_bytes)).before = Some(*count);
        }
        let rows: Vec<SizeRow> = rows.into_values().collect();
        let most_bytes = rows.iter().map(|row| row.now.in_use.block_bytes).max().unwrap_or(0);
        Self { rows, most_bytes }
    }

    pub fn size_bytes(&self, row: usize) -> Option<u64> {
        self.rows.get(row).map(|row| row.size_bytes)
    }

    pub fn row_of(&self, size_bytes: u64) -> Option<usize> {
        self.rows.iter().position(|row| row.size_bytes == size_bytes)
    }
}

impl TableModel for SizeTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let Some(row) = self.rows.get(row) else { return Cell::new(Value::Absent) };
        let difference =
            |of: fn(&SizeCount) -> u64| row.before.map(|before| i128::from(of(&row.now)) - i128::from(of(&before)));
        match column {
            0 => Cell::new(Value::HexBytes(row.size_bytes)),
            1 => Cell::new(Value::Count(row.now.in_use.block_count)),
            2 => {
                let bytes = row.now.in_use.block_bytes;
                let heat = u128::from(bytes).saturating_mul(255).checked_div(u128::from(self.most_bytes)).unwrap_or(0);
                Cell::toned(Value::Bytes(bytes), Tone::Heat(u8::try_from(heat).unwrap_or(u8::MAX)))
            }
            3 => {
                let delta = difference(|count| count.in_use.block_count);
                Cell::delta(delta.map_or(Value::Absent, Value::CountDelta))
            }
            4 => {
                let delta = difference(|count| count.in_use.block_bytes);
                Cell::delta(delta.map_or(Value::Absent, Value::BytesDelta))
            }
            5 => Cell::new(Value::Count(row.now.free.block_count)),
            _ => Cell::new(Value::Bytes(row.now.free.block_bytes)),
        }
    }
}

/// The block sizes of all heaps of a dump, for a spreadsheet: the table of each heap below the one before.
pub struct AllSizesTable {
    heaps: Vec<(Va, PointerWidth, SizeTable)>,
    columns: Vec<Column>,
}

impl AllSizesTable {
    /// Compares two dumps, by their positions in the series. Heaps whose blocks were not read have no rows.
    pub fn new(series: &SeriesHeaps, from: usize, to: usize) -> Self {
        let totals = |positions: &[Option<usize>], dump: usize| {
            let position = positions.get(dump).copied().flatten()?;
            series.dumps.get(dump)?.heaps.get(position)?.totals.as_ref()
        };
        let heaps = series.histories.iter().filter_map(|history| {
            let before = totals(&history.positions, from).filter(|_| from != to);
            Some((history.base, history.width, SizeTable::new(totals(&history.positions, to)?, before)))
        });
        let heap = Column::number("heap", 17, "The heap's handle, which is its address");
        Self { heaps: heaps.collect(), columns: std::iter::once(heap).chain(COLUMNS).collect() }
    }
}

impl TableModel for AllSizesTable {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn row_count(&self) -> usize {
        self.heaps.iter().map(|(_, _, sizes)| sizes.row_count()).sum()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let mut row = row;
        for (base, width, sizes) in &self.heaps {
            if row < sizes.row_count() {
                return match column.checked_sub(1) {
                    None => Cell::new(Value::Address(*base, *width)),
                    Some(column) => sizes.cell(row, column),
                };
            }
            row -= sizes.row_count();
        }
        Cell::new(Value::Absent)
    }
}

/// One bar of the histogram: block sizes from one power of two up to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SizeBar {
    /// The lowest size that counts here.
    pub from_bytes: u64,
    pub now: SizeCount,
    pub before: Option<SizeCount>,
}

/// The histogram of a heap's blocks, from the smallest size to the largest, bars without blocks between them included.
pub fn size_bars(now: &BlockTotals, before: Option<&BlockTotals>) -> Vec<SizeBar> {
    let mut bars: BTreeMap<u32, SizeBar> = BTreeMap::new();
    let power = |size_bytes: u64| size_bytes.max(1).ilog2();
    let zero = before.map(|_| SizeCount::default());
    let empty = |power: u32| SizeBar { from_bytes: 1 << power, now: SizeCount::default(), before: zero };
    let add = |sum: &mut SizeCount, count: &SizeCount| {
        sum.in_use.add(&count.in_use);
        sum.free.add(&count.free);
    };
    for (size_bytes, count) in &now.sizes {
        let power = power(*size_bytes);
        add(&mut bars.entry(power).or_insert_with(|| empty(power)).now, count);
    }
    for (size_bytes, count) in before.into_iter().flat_map(|before| &before.sizes) {
        let power = power(*size_bytes);
        if let Some(sum) = &mut bars.entry(power).or_insert_with(|| empty(power)).before {
            add(sum, count);
        }
    }
    let Some((first, last)) = bars.keys().next().copied().zip(bars.keys().next_back().copied()) else {
        return Vec::new();
    };
    (first..=last).map(|power| bars.get(&power).copied().unwrap_or_else(|| empty(power))).collect()
}
