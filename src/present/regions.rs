//! The region table: one row a region, in the columns of `!address`.

use std::sync::Arc;

use crate::analysis::snapshot::Snapshot;
use crate::base::addr::PointerWidth;
use crate::process::regions::Region;
use crate::process::regions::usage::Usage;

use super::table::{Align, Cell, Column, TableModel, Tone};
use super::value::Value;
use super::windbg;
use super::words;

/// The regions of one dump.
pub struct RegionTable {
    pub snapshot: Arc<Snapshot>,
    width: PointerWidth,
}

const COLUMNS: [Column; 9] = [
    Column {
        title: "base",
        align: Align::Left,
        width_chars: 17,
        hint: "Address of the first byte (BaseAddress of !address)",
    },
    Column { title: "size", align: Align::Right, width_chars: 9, hint: "Size in units of 1024" },
    Column { title: "use", align: Align::Left, width_chars: 19, hint: "What the memory is for" },
    Column {
        title: "owner",
        align: Align::Left,
        width_chars: 34,
        hint: "Module, thread or heap that the memory belongs to",
    },
    Column { title: "state", align: Align::Left, width_chars: 12, hint: "MEM_COMMIT, MEM_RESERVE or MEM_FREE" },
    Column { title: "type", align: Align::Left, width_chars: 12, hint: "MEM_PRIVATE, MEM_MAPPED or MEM_IMAGE" },
    Column { title: "protection", align: Align::Left, width_chars: 25, hint: "Protection now" },
    Column { title: "end", align: Align::Left, width_chars: 17, hint: "Address behind the last byte (EndAddress+1)" },
    Column { title: "bytes (hex)", align: Align::Right, width_chars: 18, hint: "Exact size (RegionSize of !address)" },
];

/// The column whose cells carry the colour of the use.
const USE: usize = 2;

impl RegionTable {
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        let width = snapshot.pointer_width();
        Self { snapshot, width }
    }

    pub fn region(&self, row: usize) -> Option<&Region> {
        self.snapshot.address_space.regions.get(row)
    }

    fn value(&self, region: &Region, column: usize) -> Value {
        match column {
            0 => Value::Address(region.range.start, self.width),
            1 => Value::Bytes(region.range.size_bytes()),
            USE => Value::text(words::usage_name(region.usage)),
            3 => Value::text(words::owner_text(region, &self.snapshot)),
            4 => Value::text(words::state_windbg(region.state)),
            5 => text_or_absent(words::type_windbg(region.memory_type).to_owned()),
            6 => text_or_absent(region.protect.map(words::protect_windbg).unwrap_or_default()),
            7 => Value::Address(region.range.end, self.width),
            _ => Value::HexSize(region.range.size_bytes(), self.width),
        }
    }
}

fn text_or_absent(text: String) -> Value {
    if text.is_empty() { Value::Absent } else { Value::Text(text) }
}

impl TableModel for RegionTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.snapshot.address_space.regions.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let Some(region) = self.region(row) else { return Cell::new(Value::Absent) };
        let tone = match (column, region.usage) {
            (USE, usage) => Tone::Use(usage),
            (_, Usage::Free) => Tone::Dim,
            _ => Tone::Normal,
        };
        Cell::toned(self.value(region, column), tone)
    }

    fn windbg(&self, row: usize, _: usize) -> Option<String> {
        Some(windbg::address(self.region(row)?.range.start, self.width))
    }
}

/// One region in the form of a line of `!address`.
pub fn windbg_line(region: &Region, snapshot: &Snapshot) -> String {
    let short = |va: u64| format!("{:x}`{:08x}", va >> 32, va & 0xffff_ffff);
    let usage = words::usage_windbg(region.usage, region.owner, snapshot.is_wow64());
    let owner = words::owner_text(region, snapshot);
    let owner = if owner.is_empty() { String::new() } else { format!("  [{owner}]") };
    let (start, end) = (region.range.start.0, region.range.end.0);
    let protect = region.protect.map(words::protect_windbg).unwrap_or_default();
    format!(
        "{:>15} {:>15} {:>15} {:<11} {:<11} {:<34} {usage}{owner}",
        short(start),
        short(end),
        short(end - start),
        words::type_windbg(region.memory_type),
        words::state_windbg(region.state),
        protect,
    )
    .trim_end()
    .to_owned()
}
