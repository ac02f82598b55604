//! Open handles by type and dump.

use std::borrow::Cow;
use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::growth::Values;
use crate::analysis::series::handles::{SeriesHandles, handle_histories};
use crate::base::ids::DumpIdx;

use super::table::{Align, Cell, Column, TableModel};
use super::value::Value;

/// One row for each type, the sum first; a column for each dump.
pub struct HandleTable {
    handles: SeriesHandles,
    dumps: Vec<DumpIdx>,
    columns: Vec<Column>,
}

const FIRST_COLUMNS: [Column; 2] = [
    Column { title: "type", align: Align::Left, width_chars: 14, hint: "Type of the object that the handle is for" },
    Column { title: "growth", align: Align::Right, width_chars: 8, hint: "From the first to the last of these dumps" },
];

impl HandleTable {
    pub fn new(analysis: &Analysis, dumps: Vec<DumpIdx>) -> Self {
        let snapshots: Vec<_> = dumps.iter().filter_map(|dump| analysis.snapshot(*dump)).map(Arc::clone).collect();
        let of_dump = Column { title: "dump", align: Align::Right, width_chars: 7, hint: "Open handles in this dump" };
        let columns = FIRST_COLUMNS.into_iter().chain(dumps.iter().map(|_| of_dump)).collect();
        Self { handles: handle_histories(&snapshots), dumps, columns }
    }

    /// Whether any of the dumps has a list of handles.
    pub fn has_lists(&self) -> bool {
        self.handles.total.0.iter().any(Option::is_some)
    }

    fn row(&self, row: usize) -> Option<(&str, &Values)> {
        match row.checked_sub(1) {
            None => Some(("all", &self.handles.total)),
            Some(at) => self.handles.types.get(at).map(|history| (history.type_name.as_str(), &history.counts)),
        }
    }
}

impl TableModel for HandleTable {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn title(&self, column: usize) -> Cow<'_, str> {
        match column.checked_sub(FIRST_COLUMNS.len()).and_then(|at| self.dumps.get(at)) {
            Some(dump) => Cow::Owned(format!("dump {dump}")),
            None => Cow::Borrowed(self.columns.get(column).map_or("", |column| column.title)),
        }
    }

    fn row_count(&self) -> usize {
        self.handles.types.len() + 1
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let Some((name, counts)) = self.row(row) else { return Cell::new(Value::Absent) };
        match column {
            0 => Cell::new(Value::text(name)),
            1 => Cell::delta(counts.net().map_or(Value::Absent, Value::CountDelta)),
            _ => Cell::new(Value::count(counts.0.get(column - FIRST_COLUMNS.len()).copied().flatten())),
        }
    }
}
