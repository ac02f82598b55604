//! One table of the analysis as CSV.

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::base::ids::DumpIdx;
use crate::present::dumps::DumpTable;
use crate::present::regions::RegionTable;
use crate::present::table::{TableModel, to_csv};
use crate::present::threads::ThreadTable;
use crate::present::uses::{Division, UseTable};

use super::text::{heap_table, stack_table};
use super::text_umdh::main_table;

/// Which table to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CsvTable {
    Dumps,
    Uses,
    /// Of the last dump of the series.
    Regions,
    /// Of the last dump of the series.
    Threads,
    /// Unique stacks of the trace stores, compared over the series.
    Stacks,
    /// Heaps of all dumps, compared over the series.
    Heaps,
    /// Stacks of the UMDH logs of the process with most logs.
    Umdh,
}

/// Writes one table of the process with most dumps.
pub fn csv_report(analysis: &Arc<Analysis>, table: CsvTable, baseline: Option<DumpIdx>) -> String {
    if table == CsvTable::Umdh {
        return main_table(analysis, baseline).map(|model| all_rows(model.as_ref())).unwrap_or_default();
    }
    let Some(group) = analysis.main_group() else { return String::new() };
    let baseline = baseline.filter(|dump| group.dumps.contains(dump)).or_else(|| group.dumps.first().copied());
    let last = group.dumps.last().and_then(|dump| analysis.snapshot(*dump));
    let model: Box<dyn TableModel> = match (table, last) {
        (CsvTable::Uses, _) => {
            let interval = group.compared_dumps(baseline);
            Box::new(UseTable::new(Arc::clone(analysis), Division::Use, interval))
        }
        (CsvTable::Regions, Some(last)) => Box::new(RegionTable::new(Arc::clone(last))),
        (CsvTable::Threads, Some(last)) => Box::new(ThreadTable::new(Arc::clone(last))),
        (CsvTable::Stacks, _) => {
            let interval = group.compared_dumps(baseline);
            let ends = interval.first().zip(interval.last());
            match ends.and_then(|(from, to)| stack_table(analysis, *from, *to)) {
                Some((table, _)) => Box::new(table),
                None => return String::new(),
            }
        }
        (CsvTable::Heaps, _) => {
            let interval = group.compared_dumps(baseline);
            let ends = interval.first().zip(interval.last());
            match ends.and_then(|(from, to)| heap_table(analysis, *from, *to)) {
                Some(table) => Box::new(table),
                None => return String::new(),
            }
        }
        (CsvTable::Dumps | CsvTable::Regions | CsvTable::Threads | CsvTable::Umdh, _) => {
            let dumps = (0..analysis.snapshots.len()).map(DumpIdx).collect();
            Box::new(DumpTable::new(Arc::clone(analysis), dumps, baseline))
        }
    };
    all_rows(model.as_ref())
}

fn all_rows(model: &dyn TableModel) -> String {
    let rows: Vec<usize> = (0..model.row_count()).collect();
    to_csv(model, &rows)
}
