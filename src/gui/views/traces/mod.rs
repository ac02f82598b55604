//! The trace stores: how full they are, and their stacks as a table, a tree, a flame graph or raw memory.

mod dps;
mod header;
mod skip_rules;
mod stack;
mod stacks;

use std::sync::Arc;

use eframe::egui::{Label, Ui};

use crate::analysis::series::call_tree::{Direction, Measure, TreeSpec};
use crate::analysis::series::outstanding::SeriesOutstanding;
use crate::analysis::series::stacks::SeriesStacks;
use crate::analysis::series::traces::{SeriesTraces, stacks_in_range};
use crate::analysis::snapshot::Snapshot;
use crate::base::addr::{Va, VaRange};
use crate::base::ids::DumpIdx;
use crate::gui::background::Background;
use crate::gui::call_panels::flame::flame_view_ui;
use crate::gui::call_panels::tree::tree_ui;
use crate::gui::call_panels::{CallPanels, ShownStacks};
use crate::gui::ctx::ViewCtx;
use crate::gui::selection::Item;
use crate::gui::widgets::table::model_key;
use crate::present::traces::frame_filter::{FrameFilter, matching_stacks};
use crate::present::traces::leading::Naming;
use crate::present::traces::stack_table::StackInterval;
use crate::present::traces::tree::measure_name;
use crate::process::regions::usage::Usage;

/// What the tab remembers.
#[derive(Default)]
pub struct TracesState {
    mode: Mode,
    filter: FrameFilter,
    direction: Direction,
    measure: Measure,
    /// The stacks of one region.
    of_region: Background<(u64, DumpIdx, VaRange), Arc<SeriesStacks>>,
    rows: Background<RowsKey, Arc<Vec<u32>>>,
    /// What the growth between two dumps consists of, in words.
    growth: Background<(u64, DumpIdx, DumpIdx), Vec<String>>,
    naming: Option<(u64, Naming)>,
    stacks: stacks::StacksState,
    panels: CallPanels,
    dps: dps::DpsState,
    skip_rules: skip_rules::SkipRulesState,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Mode {
    #[default]
    Table,
    Tree,
    Flame,
    Dps,
}

impl Mode {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Table, "Table", "Each different stack once"),
        (Self::Tree, "Tree", "The stacks joined where their calls are equal"),
        (Self::Flame, "Flame", "The same as a picture: width is the amount, colour the growth"),
        (Self::Dps, "dps", "The memory of the store, pointer by pointer, and the fields of its entries"),
    ];
}

/// Which stacks: the analysis, the region, the filter.
type RowsKey = (u64, Option<(DumpIdx, VaRange)>, FrameFilter);

/// A region of a store that the user went into.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Scope {
    dump: DumpIdx,
    range: VaRange,
}

/// The stacks to show, ready for any of the views.
struct Shown {
    stacks: Arc<SeriesStacks>,
    rows: Arc<Vec<u32>>,
    rows_key: RowsKey,
    /// Blocks that the program holds, by these stacks; not for the stacks of one region.
    outstanding: Option<Arc<SeriesOutstanding>>,
    naming: Naming,
    interval: StackInterval,
    from: DumpIdx,
    to: DumpIdx,
    /// Of the dump `to`.
    snapshot: Arc<Snapshot>,
}

impl Shown {
    fn for_calls(&self, direction: Direction, measure: Measure) -> ShownStacks {
        ShownStacks {
            stacks: Arc::clone(&self.stacks),
            rows: Arc::clone(&self.rows),
            rows_key: model_key(&self.rows_key),
            outstanding: self.outstanding.clone(),
            naming: self.naming.clone(),
            spec: TreeSpec { direction, measure, from: self.interval.from, to: self.interval.to },
            amount_name: measure_name(measure),
            from: self.from,
            to: self.to,
        }
    }
}

pub fn traces_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut TracesState) {
    let Some((from, to)) = ctx.session.ends() else { return };
    let group = ctx.session.group();
    let traces = group.and_then(|group| ctx.session.analysis.traces_of(group)).map(Arc::clone);
    let (Some(group), Some(traces)) =
        (group, traces.filter(|traces| traces.stores.iter().any(|stores| !stores.is_empty())))
    else {
        nothing_ui(ui, ctx);
        return;
    };
    let scope = scope_of(ctx);
    // A region is shown as its own dump has it.
    let to = scope.map_or(to, |scope| scope.dump);
    let from = if from < to { from } else { group.dumps.first().copied().unwrap_or(to) };
    header::header_ui(ui, ctx, state, from, to);
    header::mode_ui(ui, ctx, state, scope);
    let Some(interval) = StackInterval::new(group.dumps.clone(), from, to) else { return };
    let Some(stacks) = stacks_of(ui, ctx, state, &traces, scope) else {
        ui.weak("Decoding the region…");
        return;
    };
    let naming = naming(ctx, state);
    let (rows, rows_key) = rows_of(ui, ctx, state, &stacks, &naming, scope);
    let outstanding = ctx.session.analysis.outstanding_of(group).filter(|held| scope.is_none() && held.has_stacks());
    let outstanding = outstanding.map(Arc::clone);
    if outstanding.is_none() && !Measure::LOGGED.contains(&state.measure) {
        state.measure = Measure::default();
    }
    header::filter_ui(ui, ctx, state, &stacks, rows.as_ref(), outstanding.is_some());
    let (Some(rows), Some(snapshot)) = (rows, ctx.session.analysis.snapshot(to).map(Arc::clone)) else {
        ui.weak("Filtering…");
        return;
    };
    ui.add_space(2.0);
    let shown = Shown { stacks, rows, rows_key, outstanding, naming, interval, from, to, snapshot };
    match state.mode {
        Mode::Table => stacks::stacks_ui(ui, ctx, state, &shown),
        Mode::Tree => tree_ui(ui, ctx, &mut state.panels, &shown.for_calls(state.direction, state.measure)),
        Mode::Flame => flame_view_ui(ui, ctx, &mut state.panels, &shown.for_calls(state.direction, state.measure)),
        Mode::Dps => dps::dps_ui(ui, ctx, state, &shown),
    }
    skip_rules::skip_rules_ui(ui.ctx(), ctx, &mut state.skip_rules);
}

/// The region that is selected, when it is one of a store.
fn scope_of(ctx: &ViewCtx<'_>) -> Option<Scope> {
    let Some(Item::Region { dump, start }) = ctx.session.selected else { return None };
    let snapshot = ctx.session.analysis.snapshot(dump)?;
    // Which entries lie in a region only memory tells; a case capsule has those of the whole store.
    let region = snapshot.address_space.region_at(start).filter(|_| !snapshot.dump.memory.is_left_out())?;
    (region.usage == Usage::StackTraceDatabase).then_some(Scope { dump, range: region.range })
}

fn stacks_of(
    ui: &Ui,
    ctx: &ViewCtx<'_>,
    state: &mut TracesState,
    traces: &Arc<SeriesTraces>,
    scope: Option<Scope>,
) -> Option<Arc<SeriesStacks>> {
    let Some(scope) = scope else { return Some(Arc::clone(&traces.stacks)) };
    let analysis = Arc::clone(&ctx.session.analysis);
    let dumps = ctx.session.group().map(|group| group.dumps.clone()).unwrap_or_default();
    let key = (ctx.session.generation, scope.dump, scope.range);
    let made = state.of_region.get_current(ui.ctx(), &key, move |progress| {
        let snapshots: Vec<Arc<Snapshot>> =
            dumps.iter().filter_map(|dump| analysis.snapshot(*dump).map(Arc::clone)).collect();
        stacks_in_range(&snapshots, scope.range, progress).map(Arc::new)
    });
    made.map(Arc::clone)
}

fn naming(ctx: &ViewCtx<'_>, state: &mut TracesState) -> Naming {
    let rules = &ctx.settings.skip_rules;
    let known = state
        .naming
        .take()
        .filter(|(generation, naming)| *generation == ctx.session.generation && *naming.rules == *rules);
    let (_, naming) = state.naming.insert(known.unwrap_or_else(|| {
        let symbols = ctx.session.group().map(|group| ctx.session.analysis.symbols_of(group)).unwrap_or_default();
        let naming = Naming { symbols, rules: Arc::new(rules.clone()) };
        (ctx.session.generation, naming)
    }));
    naming.clone()
}

fn rows_of(
    ui: &Ui,
    ctx: &ViewCtx<'_>,
    state: &mut TracesState,
    stacks: &Arc<SeriesStacks>,
    naming: &Naming,
    scope: Option<Scope>,
) -> (Option<Arc<Vec<u32>>>, RowsKey) {
    const MOST_STACKS_AT_ONCE: usize = 1000;
    // The words of a memory listing are the listing's own.
    let filter = if state.mode == Mode::Dps { FrameFilter::default() } else { state.filter.clone() };
    let key = (ctx.session.generation, scope.map(|scope| (scope.dump, scope.range)), filter.clone());
    let (stacks, symbols) = (Arc::clone(stacks), Arc::clone(&naming.symbols));
    let rows = if stacks.len() <= MOST_STACKS_AT_ONCE {
        Some(state.rows.get_now(&key, || Arc::new(matching_stacks(&stacks, &symbols, &filter))))
    } else {
        state.rows.get_current(ui.ctx(), &key, move |_| Ok(Arc::new(matching_stacks(&stacks, &symbols, &filter))))
    };
    (rows.map(Arc::clone), key)
}

/// Goes to the memory listing at an address.
fn go_to_memory(state: &mut TracesState, va: Va) {
    state.mode = Mode::Dps;
    state.dps.go_to(va);
}

/// Why there is nothing to show.
fn nothing_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    let has_stores = ctx.session.analysis.snapshots.iter().any(|snapshot| !snapshot.trace_stores.is_empty());
    let is_decoded = ctx.session.analysis.traces.is_some();
    let text = if has_stores && !is_decoded {
        "The stack traces are being decoded. When that was cancelled, F5 reads the files again."
    } else {
        "No stack trace database was found in the dumps of this process. It is there when the process was started under \
         gflags +ust and the dump has full memory (procdump -ma)."
    };
    ui.vertical_centered(|ui| {
        ui.set_max_width(560.0);
        ui.add_space(ui.available_height() * 0.25);
        ui.heading("Traces");
        ui.add_space(8.0);
        ui.add(Label::new(text).wrap());
    });
}
