//! The UMDH logs of a process: their stacks by growth between two points, each with its shape over all logs; comparisons;
//! and the list of the logs.

mod controls;
mod detail;
mod empty;
mod logs;

use std::sync::Arc;

use eframe::egui::{Frame, Margin, Panel, Ui};

use crate::analysis::series::umdh_join::{PointSource, UmdhSeries};
use crate::base::ids::LogIdx;
use crate::gui::background::Background;
use crate::gui::ctx::ViewCtx;
use crate::gui::selection::Item;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::input::umdh::Comparison;
use crate::present::table::TableModel;
use crate::present::umdh::comparison_table::{self, ComparisonTable};
use crate::present::umdh::frame_filter::{matching_entries, matching_stacks};
use crate::present::umdh::stack_table::{self, UmdhStackTable};
use crate::present::umdh::{UmdhNaming, compared_points};

pub use empty::without_dumps_ui;

/// More frames than this are filtered on a thread.
const MOST_FRAMES_AT_ONCE: usize = 5000;

/// What the tab remembers.
pub struct UmdhState {
    mode: Mode,
    /// The points that the user chose; `None` follows the interval of the series.
    chosen: Option<(PointSource, PointSource)>,
    filter: String,
    rows: Background<RowsKey, Arc<Vec<u32>>>,
    naming: Option<(u64, UmdhNaming)>,
    stacks: TableState,
    entries: TableState,
    logs: TableState,
    selected_stack: Option<usize>,
    selected_entry: Option<usize>,
    /// The selection that was taken over, so that it is taken once.
    taken: Option<(u64, Item)>,
}

impl Default for UmdhState {
    fn default() -> Self {
        Self {
            mode: Mode::Stacks,
            chosen: None,
            filter: String::new(),
            rows: Background::default(),
            naming: None,
            stacks: TableState::sorted(stack_table::FIRST_SORT),
            entries: TableState::sorted(comparison_table::FIRST_SORT),
            logs: TableState::default(),
            selected_stack: None,
            selected_entry: None,
            taken: None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Mode {
    /// The stacks of the raw logs.
    Stacks,
    Comparison(LogIdx),
}

type RowsKey = (u64, Mode, String);

/// What there is to show.
struct Shown {
    series: Arc<UmdhSeries>,
    naming: UmdhNaming,
    /// Positions of the two points that are compared; `None` where there is no raw log.
    points: Option<(usize, usize)>,
}

pub fn umdh_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut UmdhState) {
    let Some(group) = ctx.session.log_group() else {
        empty::no_logs_ui(ui, ctx);
        return;
    };
    let Some(series) = ctx.session.analysis.umdh_of(group).map(Arc::clone) else {
        ui.weak("The logs are being read. When that was cancelled, F5 reads the files again.");
        return;
    };
    take_selection(ctx, state, &series);
    let naming = naming(ctx, state);
    let points = points_of(ctx, state, &series);
    let shown = Shown { series, naming, points };
    controls::header_ui(ui, ctx, state, &shown);
    // Six logs are in sight at first, and no room is kept for more than there are.
    let logs_height = (60.0 + 24.0 * group.logs.len() as f32).clamp(84.0, 200.0);
    Panel::bottom("umdh logs")
        .resizable(true)
        .default_size(logs_height)
        .min_size(60.0)
        .frame(Frame::new().inner_margin(Margin { left: 0, right: 0, top: 6, bottom: 0 }))
        .show(ui, |ui| logs::logs_ui(ui, ctx, state, group));
    match comparison_of(&shown.series, state.mode) {
        Some(comparison) => entries_ui(ui, ctx, state, &shown, &comparison),
        None => stacks_ui(ui, ctx, state, &shown),
    }
}

/// A log that was chosen elsewhere becomes the second point, or the comparison that is shown.
fn take_selection(ctx: &ViewCtx<'_>, state: &mut UmdhState, series: &UmdhSeries) {
    let generation = ctx.session.generation;
    if state.taken.as_ref().is_some_and(|(known, _)| *known != generation) {
        // Numbers of logs may mean others now.
        state.taken = None;
        state.chosen =
            state.chosen.filter(|(from, to)| series.point_of(*from).is_some() && series.point_of(*to).is_some());
    }
    if comparison_of(series, state.mode).is_none() {
        state.mode = Mode::Stacks;
    }
    if series.logs.is_empty()
        && state.mode == Mode::Stacks
        && let Some((log, _)) = series.comparisons.first()
    {
        state.mode = Mode::Comparison(*log);
    }
    let Some(item) = ctx.session.selected.filter(|item| state.taken != Some((generation, *item))) else { return };
    state.taken = Some((generation, item));
    let Item::Log(log) = item else { return };
    if comparison_of(series, Mode::Comparison(log)).is_some() {
        state.mode = Mode::Comparison(log);
    } else if let (Some(to), Some((first, _))) = (series.point_of(PointSource::Log(log)), series.ends()) {
        state.mode = Mode::Stacks;
        let from = state.chosen.and_then(|(from, _)| series.point_of(from)).unwrap_or(first);
        let ends = (from.min(to), from.max(to));
        let source = |point: usize| series.points.get(point).map(|point| point.source);
        state.chosen = source(ends.0).zip(source(ends.1));
    }
}

fn comparison_of(series: &UmdhSeries, mode: Mode) -> Option<Arc<Comparison>> {
    let Mode::Comparison(log) = mode else { return None };
    series.comparisons.iter().find(|(of, _)| *of == log).map(|(_, comparison)| Arc::clone(comparison))
}

fn points_of(ctx: &ViewCtx<'_>, state: &UmdhState, series: &UmdhSeries) -> Option<(usize, usize)> {
    let chosen = state.chosen.and_then(|(from, to)| Some((series.point_of(from)?, series.point_of(to)?)));
    let by_user = ctx.session.interval.is_some() || ctx.session.baseline.is_some();
    let dumps = ctx.session.ends().filter(|_| by_user);
    chosen.or_else(|| compared_points(&ctx.session.analysis, series, dumps))
}

fn naming(ctx: &ViewCtx<'_>, state: &mut UmdhState) -> UmdhNaming {
    let rules = &ctx.settings.skip_rules;
    let group = ctx.session.log_group();
    let first = group.and_then(|group| group.logs.first().copied());
    let key = model_key(&(ctx.session.generation, first));
    let known = state.naming.take().filter(|(known, naming)| *known == key && *naming.rules == *rules);
    let (_, naming) = state.naming.insert(known.unwrap_or_else(|| {
        let names = group.map(|group| ctx.session.analysis.umdh_names_of(group)).unwrap_or_default();
        (key, UmdhNaming { names: Arc::new(names), rules: Arc::new(rules.clone()) })
    }));
    naming.clone()
}

fn stacks_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut UmdhState, shown: &Shown) {
    let Some((from, to)) = shown.points else {
        ui.weak("There is no raw log (umdh -p:PID) of this process.");
        return;
    };
    let series = Arc::clone(&shown.series);
    let (naming, filter) = (shown.naming.clone(), state.filter.clone());
    let key = (ctx.session.generation, state.mode, filter.clone());
    let is_short = filter.trim().is_empty() || series.all_frames().len() <= MOST_FRAMES_AT_ONCE;
    let made = move || Arc::new(matching_stacks(&series, &naming, &filter));
    let rows = if is_short {
        Some(Arc::clone(state.rows.get_now(&key, made)))
    } else {
        state.rows.get_current(ui.ctx(), &key, move |_| Ok(made())).map(Arc::clone)
    };
    let Some(rows) = rows else {
        ui.weak("Filtering…");
        return;
    };
    let model_key = model_key(&(&key, from, to, &*shown.naming.rules));
    let table = Arc::new(UmdhStackTable::new(Arc::clone(&shown.series), shown.naming.clone(), rows, from, to));
    let selected = state.selected_stack.filter(|stack| table.row_of(*stack).is_some()).or_else(|| largest(&table));
    state.selected_stack = selected;
    detail_panel(ui, |ui| detail::stack_ui(ui, ctx, shown, selected));
    let model: Arc<dyn TableModel> = Arc::<UmdhStackTable>::clone(&table);
    let selected_row = selected.and_then(|stack| table.row_of(stack));
    let output = table_ui(ui, ctx.theme, &model, &mut state.stacks, &options("umdh stacks", model_key, selected_row));
    if let Some(stack) = output.clicked.and_then(|row| table.stack(row)) {
        state.selected_stack = Some(stack);
    }
    ctx.send_texts(output, || "umdh-stacks.csv".to_owned());
}

/// The stack that grew most is shown first.
fn largest(table: &UmdhStackTable) -> Option<usize> {
    let rows = crate::present::table::arrange(table, "", Some(stack_table::FIRST_SORT));
    rows.first().and_then(|row| table.stack(*row))
}

fn entries_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut UmdhState, shown: &Shown, comparison: &Arc<Comparison>) {
    let (compared, naming, filter) = (Arc::clone(comparison), shown.naming.clone(), state.filter.clone());
    let key = (ctx.session.generation, state.mode, filter.clone());
    let made = move || Arc::new(matching_entries(&compared, &naming, &filter));
    let rows = if state.filter.trim().is_empty() || comparison.entries.len() <= MOST_FRAMES_AT_ONCE {
        Some(Arc::clone(state.rows.get_now(&key, made)))
    } else {
        state.rows.get_current(ui.ctx(), &key, move |_| Ok(made())).map(Arc::clone)
    };
    let Some(rows) = rows else {
        ui.weak("Filtering…");
        return;
    };
    let model_key = model_key(&(&key, &*shown.naming.rules));
    let table = Arc::new(ComparisonTable::new(Arc::clone(comparison), shown.naming.clone(), rows));
    let selected = state.selected_entry.filter(|entry| table.row_of(*entry).is_some()).or_else(|| table.entry(0));
    state.selected_entry = selected;
    detail_panel(ui, |ui| detail::entry_ui(ui, ctx, shown, comparison, selected));
    let model: Arc<dyn TableModel> = Arc::<ComparisonTable>::clone(&table);
    let selected_row = selected.and_then(|entry| table.row_of(entry));
    let output = table_ui(ui, ctx.theme, &model, &mut state.entries, &options("umdh entries", model_key, selected_row));
    if let Some(entry) = output.clicked.and_then(|row| table.entry(row)) {
        state.selected_entry = Some(entry);
    }
    ctx.send_texts(output, || "umdh-comparison.csv".to_owned());
}

fn detail_panel(ui: &mut Ui, content: impl FnOnce(&mut Ui)) {
    let width = (ui.available_width() * 0.36).clamp(200.0, 900.0);
    Panel::right("umdh frames")
        .resizable(true)
        .default_size(width)
        .min_size(160.0)
        .frame(Frame::new().inner_margin(Margin { left: 8, right: 0, top: 0, bottom: 0 }))
        .show(ui, content);
}

const fn options(id: &str, model_key: u64, selected_row: Option<usize>) -> TableOptions<'_> {
    TableOptions { id, model_key, bar: Bar::Rows, is_sortable: true, selected_row, reveal_selected: false }
}
