//! One file or folder per tab. A view reads the analysis, writes only its own state, and sends commands.

mod empty;
mod findings;
mod heaps;
mod log;
mod overview;
mod regions;
mod symbols;
mod threads;
mod traces;
mod umdh;

use eframe::egui::Ui;

use crate::present::log::LogEntry;

use super::ctx::ViewCtx;
use super::tab::Tab;

/// The states of all views.
#[derive(Default)]
pub struct Views {
    heaps: heaps::HeapsState,
    findings: findings::FindingsState,
    overview: overview::OverviewState,
    regions: regions::RegionsState,
    symbols: symbols::SymbolsState,
    threads: threads::ThreadsState,
    traces: traces::TracesState,
    umdh: umdh::UmdhState,
    log: log::LogState,
}

impl Views {
    /// Shows a tab. Before a series is open, all but the log say how to begin.
    pub fn tab_ui(&mut self, ui: &mut Ui, ctx: &ViewCtx<'_>, tab: Tab, messages: &[LogEntry]) {
        match tab {
            Tab::Log => log::log_ui(ui, ctx, &mut self.log, messages),
            _ if ctx.session.is_empty() => empty::empty_ui(ui, ctx),
            Tab::Umdh => umdh::umdh_ui(ui, ctx, &mut self.umdh),
            _ if ctx.session.analysis.snapshots.is_empty() => umdh::without_dumps_ui(ui, ctx, tab.title()),
            Tab::Regions => regions::regions_ui(ui, ctx, &mut self.regions),
            Tab::Heaps => heaps::heaps_ui(ui, ctx, &mut self.heaps),
            Tab::Findings => findings::findings_ui(ui, ctx, &mut self.findings),
            Tab::Symbols => symbols::symbols_ui(ui, ctx, &mut self.symbols),
            Tab::Threads => threads::threads_ui(ui, ctx, &mut self.threads),
            Tab::Traces => traces::traces_ui(ui, ctx, &mut self.traces),
            Tab::Overview => overview::overview_ui(ui, ctx, &mut self.overview),
        }
    }
}
