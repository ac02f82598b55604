//! One table of the analysis as CSV.

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::group::ProcessGroup;
use crate::base::ids::DumpIdx;
use crate::present::allocations::AllocationTable;
use crate::present::diagnosis::findings;
use crate::present::dumps::DumpTable;
use crate::present::finding_table::FindingTable;
use crate::present::handles::HandleTable;
use crate::present::heaps::sizes::AllSizesTable;
use crate::present::log::LogTable;
use crate::present::modules::ModuleTable;
use crate::present::regions::RegionTable;
use crate::present::symbols::SymbolsTable;
use crate::present::table::{TableModel, to_csv};
use crate::present::thread_groups::ThreadGroupTable;
use crate::present::thread_matrix_rows::thread_matrix;
use crate::present::threads::ThreadTable;
use crate::present::traces::leading::{Naming, SkipRules};
use crate::present::traces::stack_table::StackInterval;
use crate::present::uses::{Division, UseTable};

use super::text::{heap_table, stack_table};
use super::text_umdh::{comparison_table, log_table, main_table};

/// Which table to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CsvTable {
    Findings,
    /// Of all processes.
    Dumps,
    Uses,
    Types,
    /// Of the last dump of the series.
    Regions,
    /// Allocations of the first and the last compared dump.
    Allocations,
    Handles,
    /// Modules of all dumps, compared over the series.
    Modules,
    /// What was tried for the modules of the last dump.
    Symbols,
    /// Of the last dump of the series.
    Threads,
    /// CPU time of each thread in each interval.
    Cpu,
    /// Equal stacks of threads.
    ThreadStacks,
    /// Unique stacks of the trace stores, compared over the series.
    Stacks,
    /// Heaps of all dumps, compared over the series.
    Heaps,
    /// Block sizes of each heap.
    BlockSizes,
    /// Stacks of the UMDH logs of the process with most logs.
    Umdh,
    /// The logs themselves, with their totals.
    UmdhLogs,
    /// The first comparison of two logs that was opened.
    UmdhComparison,
    /// Everything that was wrong or noteworthy.
    Log,
}

/// Writes one table of the process with most dumps; empty where there is nothing to make it of.
pub fn csv_report(analysis: &Arc<Analysis>, table: CsvTable, baseline: Option<DumpIdx>) -> String {
    let model = match table {
        CsvTable::Umdh => main_table(analysis, baseline),
        CsvTable::UmdhLogs => log_table(analysis),
        CsvTable::UmdhComparison => comparison_table(analysis),
        CsvTable::Log => boxed((!analysis.is_empty()).then(|| LogTable::new(analysis, &[]))),
        of_dumps => analysis.main_group().and_then(|group| Compared::new(analysis, group, baseline)?.table(of_dumps)),
    };
    model.map(|model| all_rows(model.as_ref())).unwrap_or_default()
}

fn boxed<T: TableModel + 'static>(table: Option<T>) -> Option<Box<dyn TableModel>> {
    table.map(|table| Box::new(table) as Box<dyn TableModel>)
}

/// The dumps that a table is about.
struct Compared<'a> {
    analysis: &'a Arc<Analysis>,
    group: &'a ProcessGroup,
    baseline: DumpIdx,
    interval: Vec<DumpIdx>,
    from: DumpIdx,
    to: DumpIdx,
}

impl<'a> Compared<'a> {
    fn new(analysis: &'a Arc<Analysis>, group: &'a ProcessGroup, baseline: Option<DumpIdx>) -> Option<Self> {
        let first = group.dumps.first().copied()?;
        let baseline = baseline.filter(|dump| group.dumps.contains(dump)).unwrap_or(first);
        let interval = group.compared_dumps(Some(baseline));
        let (from, to) = (interval.first().copied()?, interval.last().copied()?);
        Some(Self { analysis, group, baseline, interval, from, to })
    }

    fn table(&self, table: CsvTable) -> Option<Box<dyn TableModel>> {
        let Self { analysis, group, interval, .. } = self;
        let last = || analysis.snapshot(*group.dumps.last()?).map(Arc::clone);
        match table {
            CsvTable::Findings => boxed(Some(FindingTable::new(findings(analysis, interval)))),
            CsvTable::Dumps => {
                let dumps = (0..analysis.snapshots.len()).map(DumpIdx).collect();
                boxed(Some(DumpTable::new(Arc::clone(analysis), dumps, Some(self.baseline))))
            }
            CsvTable::Uses | CsvTable::Types => {
                let division = if table == CsvTable::Uses { Division::Use } else { Division::Type };
                boxed(Some(UseTable::new(Arc::clone(analysis), division, interval.clone())))
            }
            CsvTable::Regions => boxed(last().map(RegionTable::new)),
            CsvTable::Allocations => {
                let ends = analysis.snapshot(self.from).zip(analysis.snapshot(self.to));
                boxed(ends.map(|(from, to)| AllocationTable::new(Arc::clone(from), Arc::clone(to))))
            }
            CsvTable::Handles => boxed(Some(HandleTable::new(analysis, interval.clone()))),
            CsvTable::Modules => boxed(ModuleTable::new(analysis, self.from, self.to)),
            CsvTable::Symbols => boxed(last().map(|last| SymbolsTable::new(last, analysis.symbols_of(group)))),
            CsvTable::Threads => boxed(last().map(ThreadTable::new)),
            CsvTable::Cpu => {
                let ends = self.stack_interval()?;
                let stacks = analysis.thread_stacks_of(group).map(Arc::as_ref);
                let symbols = analysis.symbols_of(group);
                boxed(Some(thread_matrix(analysis, &group.dumps, (ends.from, ends.to), stacks, symbols)))
            }
            CsvTable::ThreadStacks => {
                let stacks = Arc::clone(&analysis.thread_stacks_of(group)?.unique);
                let naming = Naming { symbols: analysis.symbols_of(group), rules: Arc::new(SkipRules::default()) };
                boxed(Some(ThreadGroupTable::new(stacks, naming, self.stack_interval()?)))
            }
            CsvTable::Stacks => boxed(stack_table(analysis, self.from, self.to).map(|(table, _)| table)),
            CsvTable::Heaps => boxed(heap_table(analysis, self.from, self.to)),
            CsvTable::BlockSizes => {
                let ends = self.stack_interval()?;
                boxed(Some(AllSizesTable::new(analysis.heaps_of(group)?, ends.from, ends.to)))
            }
            CsvTable::Umdh | CsvTable::UmdhLogs | CsvTable::UmdhComparison | CsvTable::Log => None,
        }
    }

    fn stack_interval(&self) -> Option<StackInterval> {
        StackInterval::new(self.group.dumps.clone(), self.from, self.to)
    }
}

fn all_rows(model: &dyn TableModel) -> String {
    let rows: Vec<usize> = (0..model.row_count()).collect();
    to_csv(model, &rows)
}
