//! Memory as `dps` lists it: address, pointer, and the symbol that the pointer lies in.

use std::sync::Arc;

use crate::analysis::snapshot::Snapshot;
use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::memory::{ReadMemory, pointer_at};
use crate::input::symbols::SymbolTable;

use super::table::{Align, Cell, Column, TableModel, Tone};
use super::value::Value;
use super::windbg;

/// One line: where, what, and its name when it lies in a module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DpsLine {
    pub at: Va,
    /// `None` where the dump does not hold the memory.
    pub value: Option<Va>,
    pub symbol: Option<String>,
}

/// `count` pointers from `start` on, each with its place; `None` where the dump does not hold the memory.
fn pointers(
    memory: &dyn ReadMemory,
    start: Va,
    count: u64,
    width: PointerWidth,
) -> impl Iterator<Item = (Va, Option<Va>)> {
    (0..count)
        .map_while(move |index| start.checked_add(index.checked_mul(width.bytes())?))
        .map(move |at| (at, pointer_at(memory, at, width)))
}

/// The values of `count` pointers: the addresses that [`dps`] names.
pub fn pointer_values(memory: &dyn ReadMemory, start: Va, count: u64, width: PointerWidth) -> Vec<Va> {
    pointers(memory, start, count, width).filter_map(|(_, value)| value).collect()
}

/// `count` pointers from `start` on.
pub fn dps(memory: &dyn ReadMemory, symbols: &SymbolTable, start: Va, count: u64, width: PointerWidth) -> Vec<DpsLine> {
    pointers(memory, start, count, width)
        .map(|(at, value)| {
            let symbol = value.and_then(|value| symbols.name_of(value)).map(|name| name.to_string());
            DpsLine { at, value, symbol }
        })
        .collect()
}

/// The line in WinDbg's form.
pub fn dps_text(line: &DpsLine, width: PointerWidth) -> String {
    const UNREADABLE_32: &str = "????????";
    const UNREADABLE_64: &str = "????????`????????";
    let unreadable = match width {
        PointerWidth::Bits32 => UNREADABLE_32,
        PointerWidth::Bits64 => UNREADABLE_64,
    };
    let value = line.value.map_or_else(|| unreadable.to_owned(), |value| value.windbg(width));
    let symbol = line.symbol.as_ref().map_or_else(String::new, |symbol| format!(" {symbol}"));
    format!("{} {value}{symbol}", line.at.windbg(width))
}

/// Memory of one dump as a table of pointers, made line by line as it is looked at.
pub struct DpsTable {
    snapshot: Arc<Snapshot>,
    symbols: Arc<SymbolTable>,
    pub range: VaRange,
    pub width: PointerWidth,
}

const COLUMNS: [Column; 3] = [
    Column { title: "address", align: Align::Left, width_chars: 18, hint: "Where the pointer lies" },
    Column {
        title: "value",
        align: Align::Left,
        width_chars: 18,
        hint: "What lies there; question marks are not in the dump",
    },
    Column { title: "symbol", align: Align::Left, width_chars: 48, hint: "What the value is an address in" },
];

impl DpsTable {
    /// `range` begins where a pointer does.
    pub const fn new(snapshot: Arc<Snapshot>, symbols: Arc<SymbolTable>, range: VaRange, width: PointerWidth) -> Self {
        Self { snapshot, symbols, range, width }
    }

    /// Where the pointer of a row lies.
    pub fn address(&self, row: usize) -> Option<Va> {
        self.range.start.checked_add((row as u64).checked_mul(self.width.bytes())?)
    }

    /// The row that holds an address.
    pub fn row_of(&self, va: Va) -> Option<usize> {
        let offset = va.offset_from(self.range.start).filter(|_| self.range.contains(va))?;
        usize::try_from(offset / self.width.bytes()).ok()
    }

    /// Lines in WinDbg's form: `count` pointers from `start` on.
    pub fn text(&self, start: Va, count: u64) -> String {
        let lines = dps(&self.snapshot.dump.memory, &self.symbols, start, count, self.width);
        lines.iter().map(|line| dps_text(line, self.width)).collect::<Vec<_>>().join("\n")
    }
}

impl TableModel for DpsTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        usize::try_from(self.range.size_bytes() / self.width.bytes()).unwrap_or(usize::MAX)
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let Some(at) = self.address(row) else { return Cell::new(Value::Absent) };
        if column == 0 {
            return Cell::toned(Value::Address(at, self.width), Tone::Dim);
        }
        let value = pointer_at(&self.snapshot.dump.memory, at, self.width);
        let name = value.and_then(|value| self.symbols.name_of(value));
        match (column, value) {
            (1, None) => {
                Cell::toned(Value::text("?".repeat(usize::try_from(self.width.bytes() * 2).unwrap_or(0))), Tone::Dim)
            }
            (1, Some(value)) => {
                let tone = if name.is_some() { Tone::Normal } else { Tone::Dim };
                Cell::toned(Value::Address(value, self.width), tone)
            }
            _ => Cell::new(name.map_or_else(|| Value::text(""), |name| Value::Text(name.to_string()))),
        }
    }

    fn windbg(&self, row: usize, _: usize) -> Option<String> {
        Some(windbg::dps(self.address(row)?, self.width, 1))
    }
}
