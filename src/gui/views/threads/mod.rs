//! The threads of the series: who burnt CPU when, and what each was doing.

mod matrix;
mod stacks;

use std::sync::Arc;

use eframe::egui::{Label, RichText, Ui};

use crate::analysis::series::call_tree::{Direction, Measure, TreeSpec};
use crate::analysis::series::thread_stacks::SeriesThreadStacks;
use crate::base::ids::DumpIdx;
use crate::gui::call_panels::flame::flame_view_ui;
use crate::gui::call_panels::tree::tree_ui;
use crate::gui::call_panels::{CallPanels, ShownStacks};
use crate::gui::ctx::ViewCtx;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::present::table::TableModel;
use crate::present::thread_groups::{self, ThreadGroupTable};
use crate::present::traces::leading::Naming;
use crate::present::traces::stack_table::StackInterval;

/// What the tab remembers.
pub struct ThreadsState {
    mode: Mode,
    direction: Direction,
    matrix: matrix::MatrixState,
    groups: TableState,
    selected_group: Option<usize>,
    panels: CallPanels,
    stacks: stacks::StacksState,
    naming: Option<(u64, Naming)>,
}

impl Default for ThreadsState {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            direction: Direction::default(),
            matrix: matrix::MatrixState::default(),
            groups: TableState::sorted(thread_groups::FIRST_SORT),
            selected_group: None,
            panels: CallPanels::default(),
            stacks: stacks::StacksState::default(),
            naming: None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Mode {
    #[default]
    Matrix,
    Groups,
    Tree,
    Flame,
}

const MODES: [(Mode, &str, &str); 4] = [
    (Mode::Matrix, "Threads", "Each thread, its CPU time in each interval, and its stacks in two dumps"),
    (Mode::Groups, "Equal stacks", "Each different stack once, with the threads that have it"),
    (Mode::Tree, "Tree", "The stacks of all threads joined where their calls are equal"),
    (Mode::Flame, "Flame", "The same as a picture: width is the number of threads, colour the change"),
];

/// What all modes show.
struct Shown {
    threads: Option<Arc<SeriesThreadStacks>>,
    naming: Naming,
    interval: StackInterval,
    from: DumpIdx,
    to: DumpIdx,
}

pub fn threads_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut ThreadsState) {
    let Some(((from, to), group)) = ctx.session.ends().zip(ctx.session.group()) else { return };
    let Some(interval) = StackInterval::new(group.dumps.clone(), from, to) else { return };
    let threads = ctx.session.analysis.thread_stacks_of(group).map(Arc::clone);
    let naming = naming(ctx, state, group);
    let shown = Shown { threads, naming, interval, from, to };
    mode_ui(ui, state, &shown);
    match (state.mode, &shown.threads) {
        (Mode::Matrix, _) => matrix::matrix_ui(ui, ctx, state, &shown),
        (_, None) => {
            ui.weak("The stacks are being unwound. When that was cancelled, F5 reads the files again.");
        }
        (Mode::Groups, Some(threads)) => groups_ui(ui, ctx, state, &shown, threads),
        (Mode::Tree, Some(threads)) => {
            tree_ui(ui, ctx, &mut state.panels, &for_calls(state.direction, &shown, threads, ctx))
        }
        (Mode::Flame, Some(threads)) => {
            flame_view_ui(ui, ctx, &mut state.panels, &for_calls(state.direction, &shown, threads, ctx));
        }
    }
}

fn mode_ui(ui: &mut Ui, state: &mut ThreadsState, shown: &Shown) {
    ui.horizontal(|ui| {
        for (mode, name, hint) in MODES {
            ui.selectable_value(&mut state.mode, mode, name).on_hover_text(hint);
        }
        ui.separator();
        if matches!(state.mode, Mode::Tree | Mode::Flame) {
            for (direction, name) in
                [(Direction::CallerFirst, "callers first"), (Direction::CalleeFirst, "callees first")]
            {
                ui.selectable_value(&mut state.direction, direction, name);
            }
        }
        let text = if shown.from == shown.to {
            format!("Dump {}.", shown.to)
        } else {
            format!("Dumps {} to {}. Choose others with the plot or the list of dumps.", shown.from, shown.to)
        };
        ui.add(Label::new(RichText::new(text).weak()).truncate());
    });
}

fn naming(ctx: &ViewCtx<'_>, state: &mut ThreadsState, group: &crate::analysis::series::group::ProcessGroup) -> Naming {
    let rules = &ctx.settings.skip_rules;
    let generation = ctx.session.generation;
    let is_current = |(known, naming): &(u64, Naming)| *known == generation && *naming.rules == *rules;
    let known = state.naming.take().filter(is_current);
    let (_, naming) = state.naming.insert(known.unwrap_or_else(|| {
        let symbols = ctx.session.analysis.symbols_of(group);
        (generation, Naming { symbols, rules: Arc::new(rules.clone()) })
    }));
    naming.clone()
}

fn for_calls(direction: Direction, shown: &Shown, threads: &SeriesThreadStacks, ctx: &ViewCtx<'_>) -> ShownStacks {
    let rows = (0..u32::try_from(threads.unique.len()).unwrap_or(u32::MAX)).collect();
    ShownStacks {
        stacks: Arc::clone(&threads.unique),
        rows: Arc::new(rows),
        rows_key: model_key(&ctx.session.generation),
        outstanding: None,
        naming: shown.naming.clone(),
        spec: TreeSpec { direction, measure: Measure::Entries, from: shown.interval.from, to: shown.interval.to },
        amount_name: "threads",
        from: shown.from,
        to: shown.to,
    }
}

/// The different stacks, and the frames of the selected one.
fn groups_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut ThreadsState, shown: &Shown, threads: &SeriesThreadStacks) {
    let table = ThreadGroupTable::new(Arc::clone(&threads.unique), shown.naming.clone(), shown.interval.clone());
    let selected = state.selected_group.filter(|row| *row < table.row_count());
    let width = (ui.available_width() * 0.36).clamp(200.0, 900.0);
    eframe::egui::Panel::right("group frames").resizable(true).default_size(width).min_size(160.0).show(ui, |ui| {
        stacks::unique_ui(ui, ctx, shown, threads, selected);
    });
    let model: Arc<dyn TableModel> = Arc::new(table);
    let options = TableOptions {
        id: "thread groups",
        model_key: model_key(&(ctx.session.generation, &shown.interval, &*shown.naming.rules)),
        bar: Bar::Filter,
        is_sortable: true,
        selected_row: selected,
        reveal_selected: false,
    };
    let output = table_ui(ui, ctx.theme, &model, &mut state.groups, &options);
    state.selected_group = output.clicked.or(state.selected_group);
    ctx.send_texts(output, || format!("equal-stacks-{}-{}.csv", shown.from, shown.to));
}
