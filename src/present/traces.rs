//! Stacks of the trace stores as a table, their frames as text, and the health of each store.

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::traces::{SeriesStack, SeriesTraces};
use crate::base::addr::{PointerWidth, Va};
use crate::base::ids::DumpIdx;
use crate::base::units::{ByteSize, grouped};
use crate::input::symbols::SymbolTable;
use crate::process::traces::{FoundBy, Generation, Health, StoreKind, TraceStore};

use super::table::{Align, Cell, Column, TableModel};
use super::value::Value;

/// Modules whose frames say how memory is allocated, not who asked for it.
const RUNTIME_MODULES: [&str; 9] =
    ["ntdll", "kernel32", "kernelbase", "ucrtbase", "msvcrt", "msvcr100", "msvcr110", "msvcr120", "vcruntime140"];
/// Functions that a program has from its runtime library, linked in.
const RUNTIME_FUNCTIONS: [&str; 9] = [
    "malloc",
    "calloc",
    "realloc",
    "free",
    "_heap_alloc",
    "_malloc_base",
    "_calloc_base",
    "operator new",
    "_realloc_base",
];

/// Names a return address. The name is of the caller that is returned into, as `dps` shows it.
pub fn frame_text(symbols: &SymbolTable, va: Va, width: PointerWidth) -> String {
    symbols.name_of(va).map_or_else(|| va.windbg(width), |name| name.to_string())
}

/// The first frame, from the inside, that is neither the allocator nor the runtime: who asked. The innermost frame where
/// there is none.
pub fn leading_frame(symbols: &SymbolTable, frames: &[Va]) -> Option<Va> {
    let matters = |va: &&Va| {
        symbols.name_of(**va).is_some_and(|name| {
            let is_runtime_module = RUNTIME_MODULES.iter().any(|module| name.module.eq_ignore_ascii_case(module));
            let is_runtime_function = name.function.is_some_and(|function| RUNTIME_FUNCTIONS.contains(&function));
            !is_runtime_module && !is_runtime_function
        })
    };
    frames.iter().find(matters).or_else(|| frames.first()).copied()
}

/// The unique stacks of a series, one row each, with the change over an interval.
pub struct StackTable {
    pub traces: Arc<SeriesTraces>,
    width: PointerWidth,
    /// Positions of the two ends among the dumps of the group.
    from: usize,
    to: usize,
    /// Numbers of the group's dumps, for the first and last dump of a stack.
    dumps: Vec<DumpIdx>,
}

const COLUMNS: [Column; 9] = [
    Column {
        title: "#",
        align: Align::Right,
        width_chars: 6,
        hint: "Number of the stack, by entries in the last dump",
    },
    Column {
        title: "leading frame",
        align: Align::Left,
        width_chars: 26,
        hint: "The first frame that is neither allocator nor runtime",
    },
    Column {
        title: "entries",
        align: Align::Right,
        width_chars: 9,
        hint: "Entries of the database with this stack, in the second dump",
    },
    Column {
        title: "growth",
        align: Align::Right,
        width_chars: 9,
        hint: "Entries in the second dump less those in the first",
    },
    Column {
        title: "logged",
        align: Align::Right,
        width_chars: 13,
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
];

impl StackTable {
    /// `dumps` are the group's; `from` and `to` two of them. `None` when one of them is not.
    pub fn new(
        traces: Arc<SeriesTraces>,
        width: PointerWidth,
        dumps: Vec<DumpIdx>,
        from: DumpIdx,
        to: DumpIdx,
    ) -> Option<Self> {
        let position = |dump| dumps.iter().position(|other| *other == dump);
        let (from, to) = (position(from)?, position(to)?);
        Some(Self { traces, width, from, to, dumps })
    }

    pub fn stack(&self, row: usize) -> Option<&SeriesStack> {
        self.traces.stacks.get(row)
    }

    /// The frames of a row, innermost first, each with its return address.
    pub fn frame_lines(&self, row: usize) -> Vec<String> {
        let frames = self.stack(row).map(|stack| stack.frames.as_slice()).unwrap_or_default();
        let line = |va: &Va| format!("{} {}", va.windbg(self.width), frame_text(&self.traces.symbols, *va, self.width));
        frames.iter().map(line).collect()
    }
}

impl TableModel for StackTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.traces.stacks.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let Some(stack) = self.stack(row) else { return Cell::new(Value::Absent) };
        let counts = stack.per_dump.get(self.to).copied().flatten();
        let dump_number = |position: Option<usize>| {
            let dump = position.and_then(|position| self.dumps.get(position));
            dump.map_or(Value::Absent, |dump| Value::Count(dump.0 as u64 + 1))
        };
        match column {
            0 => Cell::new(Value::Count(row as u64 + 1)),
            1 => {
                let leading = leading_frame(&self.traces.symbols, &stack.frames);
                let text = leading.map(|va| frame_text(&self.traces.symbols, va, self.width));
                Cell::new(text.map_or(Value::Absent, Value::Text))
            }
            2 => Cell::new(Value::count(counts.map(|counts| counts.entry_count))),
            3 => {
                let ends = stack.entry_count(self.from).zip(stack.entry_count(self.to));
                let growth = ends.map(|(from, to)| i128::from(to) - i128::from(from));
                Cell::delta(growth.map_or(Value::Absent, Value::CountDelta))
            }
            4 => Cell::new(Value::count(counts.map(|counts| counts.use_count).filter(|count| *count > 0))),
            5 => {
                // A heap log counts no uses, so nothing in it can be saturated.
                let share = counts
                    .filter(|counts| counts.entry_count > 0 && counts.use_count > 0)
                    .map(|counts| counts.saturated_entry_count as f64 * 100.0 / counts.entry_count as f64);
                Cell::new(share.map_or(Value::Absent, Value::Percent))
            }
            6 => Cell::new(Value::Count(stack.frames.len() as u64)),
            7 => Cell::new(dump_number(stack.first_and_last().map(|(first, _)| first))),
            _ => Cell::new(dump_number(stack.first_and_last().map(|(_, last)| last))),
        }
    }
}

/// `windows7+ x64`: the generation and width of a store's layout.
pub fn layout_text(store: &TraceStore) -> String {
    let generation = match store.header.generation {
        Some(Generation::Xp) => "xp/2003 ",
        Some(Generation::Vista) => "vista ",
        Some(Generation::Seven) => "windows7+ ",
        None => "",
    };
    let width = match store.header.width {
        PointerWidth::Bits32 => "x86",
        PointerWidth::Bits64 => "x64",
    };
    format!("{generation}{width}")
}

/// The word of the JSON report.
pub const fn found_by_word(found_by: FoundBy) -> &'static str {
    match found_by {
        FoundBy::Symbol => "symbol",
        FoundBy::Structure => "structure",
        FoundBy::Records => "records",
    }
}

/// How a store was found and how full it is, in one or two sentences.
pub fn store_text(store: &TraceStore) -> String {
    let health = Health::of(store);
    let kind = match store.header.kind {
        StoreKind::Indexed => "stack trace database",
        StoreKind::HeapLog => "heap trace log",
    };
    let passed = store.evidence.iter().filter(|check| check.passed == Some(true)).count();
    let mut text = format!(
        "{kind} at {} ({}, found by {}: {passed} of {} checks): {} entries, {} unique stacks",
        store.header.base.windbg(store.header.width),
        layout_text(store),
        found_by_word(store.header.found_by),
        store.evidence.len(),
        grouped(store.entry_count),
        grouped(store.unique.len() as u64),
    );
    if let Some(percent) = health.saturated_percent {
        text.push_str(&format!(", {percent:.1} % of the entries saturated"));
    }
    if store.header.found_by == FoundBy::Records {
        text.push_str("; its header is damaged or not in the dump");
    }
    if let (Some(percent), Some(reserved)) = (health.fill_percent, health.reserved_bytes) {
        text.push_str(&format!("; {percent:.1} % of {} used", ByteSize(reserved)));
    }
    let is_pre_committed = store.header.counts.is_some_and(|counts| counts.is_pre_committed);
    match (health.is_full, health.room_left_bytes) {
        _ if is_pre_committed => {}
        (Some(true), Some(room)) => text.push_str(&format!(", full: {} left to commit", ByteSize(room))),
        (_, Some(room)) => text.push_str(&format!(", {} left to commit", ByteSize(room))),
        _ => {}
    }
    text
}

/// One sentence for each store of a dump; empty before the stores were decoded.
pub fn store_lines(analysis: &Analysis, dump: DumpIdx) -> Vec<String> {
    stores_of(analysis, dump).map(|stores| stores.iter().map(store_text).collect()).unwrap_or_default()
}

/// The decoded stores of a dump; `None` before they were decoded.
pub fn stores_of(analysis: &Analysis, dump: DumpIdx) -> Option<&[TraceStore]> {
    let group = analysis.group_of(dump)?;
    let position = group.dumps.iter().position(|other| *other == dump)?;
    analysis.traces_of(group)?.stores.get(position).map(Vec::as_slice)
}
