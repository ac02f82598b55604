//! One file or folder per tab. A view reads the analysis, writes only its own state, and sends commands.

mod coming;
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
    findings: findings::FindingsState,
    heaps: heaps::HeapsState,
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
        match (tab, tab.coming()) {
            (Tab::Log, _) => log::log_ui(ui, ctx, &mut self.log, messages),
            (_, Some(text)) => coming::coming_ui(ui, tab.title(), text),
            _ if ctx.session.is_empty() => empty::empty_ui(ui, ctx),
            (Tab::Umdh, None) => umdh::umdh_ui(ui, ctx, &mut self.umdh),
            _ if ctx.session.analysis.snapshots.is_empty() => umdh::without_dumps_ui(ui, ctx, tab.title()),
            (Tab::Regions, None) => regions::regions_ui(ui, ctx, &mut self.regions),
            (Tab::Findings, None) => findings::findings_ui(ui, ctx, &mut self.findings),
            (Tab::Heaps, None) => heaps::heaps_ui(ui, ctx, &mut self.heaps),
            (Tab::Symbols, None) => symbols::symbols_ui(ui, ctx, &mut self.symbols),
            (Tab::Threads, None) => threads::threads_ui(ui, ctx, &mut self.threads),
            (Tab::Traces, None) => traces::traces_ui(ui, ctx, &mut self.traces),
            (_, None) => overview::overview_ui(ui, ctx, &mut self.overview),
        }
    }
}
