//! Memory as `dps` lists it: address, pointer, and the symbol that the pointer lies in.

use crate::base::addr::{PointerWidth, Va};
use crate::base::memory::{ReadMemory, pointer_at};
use crate::input::symbols::SymbolTable;

/// One line: where, what, and its name when it lies in a module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DpsLine {
    pub at: Va,
    /// `None` where the dump does not hold the memory.
    pub value: Option<Va>,
    pub symbol: Option<String>,
}

/// `count` pointers from `start` on.
pub fn dps(memory: &dyn ReadMemory, symbols: &SymbolTable, start: Va, count: u64, width: PointerWidth) -> Vec<DpsLine> {
    (0..count)
        .map_while(|index| start.checked_add(index.checked_mul(width.bytes())?))
        .map(|at| {
            let value = pointer_at(memory, at, width);
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
