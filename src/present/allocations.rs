//! The difference of two dumps, allocation by allocation.

use std::sync::Arc;

use crate::analysis::series::allocations::{AllocationChange, Fate, allocation_changes};
use crate::analysis::snapshot::Snapshot;
use crate::base::addr::PointerWidth;
use crate::process::regions::Region;
use crate::process::regions::State;

use super::table::{Align, Cell, Column, Sort, TableModel, Tone};
use super::value::Value;
use super::windbg;
use super::words;

/// Allocations of two dumps side by side.
pub struct AllocationTable {
    pub from: Arc<Snapshot>,
    pub to: Arc<Snapshot>,
    changes: Vec<AllocationChange>,
    width: PointerWidth,
}

const COLUMNS: [Column; 9] = [
    Column { title: "base", align: Align::Left, width_chars: 17, hint: "Allocation base" },
    Column {
        title: "difference",
        align: Align::Right,
        width_chars: 10,
        hint: "Committed in the second dump less that in the first",
    },
    Column {
        title: "change",
        align: Align::Left,
        width_chars: 8,
        hint: "born, grew, shrank, gone or same, from the first dump to the second",
    },
    Column { title: "before", align: Align::Right, width_chars: 9, hint: "Committed in the first dump" },
    Column { title: "after", align: Align::Right, width_chars: 9, hint: "Committed in the second dump" },
    Column { title: "extent", align: Align::Right, width_chars: 9, hint: "Reserved and committed together" },
    Column { title: "use", align: Align::Left, width_chars: 19, hint: "What most of it is for" },
    Column {
        title: "owner",
        align: Align::Left,
        width_chars: 32,
        hint: "Module, thread or heap that the memory belongs to",
    },
    Column { title: "type", align: Align::Left, width_chars: 12, hint: "MEM_PRIVATE, MEM_MAPPED or MEM_IMAGE" },
];

/// The order in which the table is most telling: what grew most comes first.
pub const FIRST_SORT: Sort = Sort { column: 1, descending: true };

/// The word for what became of an allocation.
pub const fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Born => "born",
        Fate::Grew => "grew",
        Fate::Shrank => "shrank",
        Fate::Gone => "gone",
        Fate::Same => "same",
    }
}

impl AllocationTable {
    pub fn new(from: Arc<Snapshot>, to: Arc<Snapshot>) -> Self {
        let changes = allocation_changes(&from, &to);
        let width = to.pointer_width();
        Self { from, to, changes, width }
    }

    pub fn changes(&self) -> &[AllocationChange] {
        &self.changes
    }

    fn owner(&self, change: &AllocationChange) -> String {
        let (Some(allocation), snapshot) = (change.latest(), if change.to.is_some() { &self.to } else { &self.from })
        else {
            return String::new();
        };
        let as_region = Region {
            range: allocation.range,
            allocation_base: Some(allocation.range.start),
            state: State::Commit,
            memory_type: allocation.memory_type,
            protect: None,
            usage: allocation.usage,
            owner: allocation.owner,
        };
        words::owner_text(&as_region, snapshot)
    }
}

impl TableModel for AllocationTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.changes.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let change = self.changes.get(row);
        let Some((change, latest)) = change.and_then(|change| Some((change, change.latest()?))) else {
            return Cell::new(Value::Absent);
        };
        match column {
            0 => Cell::new(Value::Address(latest.range.start, self.width)),
            1 => Cell::delta(Value::BytesDelta(change.committed_delta().0)),
            2 => {
                let tone = match change.fate() {
                    Fate::Born | Fate::Grew => Tone::Growth,
                    Fate::Gone | Fate::Shrank => Tone::Shrink,
                    Fate::Same => Tone::Dim,
                };
                Cell::toned(Value::text(fate_name(change.fate())), tone)
            }
            3 => Cell::new(Value::bytes(change.from.map(|allocation| allocation.committed_bytes))),
            4 => Cell::new(Value::bytes(change.to.map(|allocation| allocation.committed_bytes))),
            5 => Cell::new(Value::Bytes(latest.range.size_bytes())),
            6 => Cell::toned(Value::text(words::usage_name(latest.usage)), Tone::Use(latest.usage)),
            7 => Cell::new(Value::text(self.owner(change))),
            _ => Cell::new(Value::text(words::type_windbg(latest.memory_type))),
        }
    }

    fn windbg(&self, row: usize, _: usize) -> Option<String> {
        Some(windbg::address(self.changes.get(row)?.latest()?.range.start, self.width))
    }
}
