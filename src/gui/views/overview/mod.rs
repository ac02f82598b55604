//! The answer in a line, the plot over the series, memory by use, and the table of dumps.

mod findings_list;
mod plot;
mod totals;

use std::sync::Arc;

use eframe::egui::{CentralPanel, Frame, Label, Margin, Panel, RichText, ScrollArea, Sense, Ui, UiBuilder, vec2};

use crate::base::ids::DumpIdx;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::selection::Item;
use crate::gui::settings::Scale;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, table_ui};
use crate::present::diagnosis::{sentence, time_to_full_line, verdict_line};
use crate::present::dumps::DumpTable;
use crate::present::handles::HandleTable;
use crate::present::headline::{equal_size_lines, headline};
use crate::present::series_plot::{Axis, SeriesPlot, series_plot};
use crate::present::table::TableModel;
use crate::present::time_to_full::wall_lines;
use crate::present::uses::{Division, UseTable};

/// What the overview remembers.
#[derive(Default)]
pub struct OverviewState {
    dumps: TableState,
    uses: TableState,
    handles: TableState,
    plot: plot::PlotState,
    side: Side,
    derived: Option<(Key, Derived)>,
}

/// What stands beside the plot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Side {
    #[default]
    Findings,
    Growth,
    Totals,
    Handles,
}

/// What everything below is derived from.
#[derive(Clone, PartialEq)]
struct Key {
    generation: u64,
    dumps: Vec<DumpIdx>,
    interval: Vec<DumpIdx>,
    baseline: Option<DumpIdx>,
    division: Division,
    axis: Axis,
    is_net: bool,
}

struct Derived {
    number: u64,
    headline: String,
    equal_sizes: Vec<String>,
    walls: Vec<String>,
    plot: SeriesPlot,
    dumps: Arc<dyn TableModel>,
    uses: Arc<dyn TableModel>,
    handles: Arc<dyn TableModel>,
}

pub fn overview_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut OverviewState) {
    let key = key_of(ctx);
    let number = state.derived.as_ref().map_or(0, |(_, derived)| derived.number);
    let known = state.derived.take().filter(|(known, _)| *known == key);
    let (key, derived) = known.unwrap_or_else(|| {
        let derived = derive(ctx, &key, number + 1);
        (key, derived)
    });
    banner_ui(ui, ctx, &derived);
    if ui.available_height() >= LEAST_HEIGHT {
        parts_ui(ui, ctx, state, &derived, &key);
    } else {
        // A small window, or large text: rather scroll than lay parts over each other.
        ScrollArea::vertical().id_salt("overview").show(ui, |ui| {
            let size = vec2(ui.available_width(), SCROLLED_HEIGHT);
            let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
            ui.scope_builder(UiBuilder::new().max_rect(rect), |ui| parts_ui(ui, ctx, state, &derived, &key));
        });
    }
    state.derived = Some((key, derived));
}

/// Below this the plot, its legend and the table of dumps have no room under each other.
const LEAST_HEIGHT: f32 = 440.0;
/// What they get where one scrolls: controls and legend take several lines there.
const SCROLLED_HEIGHT: f32 = 600.0;

fn parts_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut OverviewState, derived: &Derived, key: &Key) {
    let row_count = key.dumps.len() as f32;
    // The plot keeps most of the height, whatever the text size.
    let most_height = (ui.available_height() * 0.38).max(80.0);
    let table_height = (row_count * 24.0 + 64.0).clamp(80.0, most_height);
    Panel::bottom("dump table")
        .resizable(true)
        .default_size(table_height)
        .size_range(80.0..=most_height)
        .frame(top_gap())
        .show(ui, |ui| dumps_ui(ui, ctx, &mut state.dumps, derived, key));
    let uses_width = (ui.available_width() * 0.486).clamp(240.0, 760.0);
    Panel::right("uses")
        .resizable(true)
        .default_size(uses_width)
        .min_size(200.0)
        .frame(Frame::new().inner_margin(Margin { left: 8, right: 0, top: 4, bottom: 0 }))
        .show(ui, |ui| side_ui(ui, ctx, state, derived));
    CentralPanel::default().frame(Frame::new()).show(ui, |ui| {
        controls_ui(ui, ctx);
        plot::plot_ui(ui, ctx, &derived.plot, &mut state.plot);
    });
}

const USES_FILE: &str = "memory-by-use.csv";
const HANDLES_FILE: &str = "handles.csv";
const DUMPS_FILE: &str = "dumps.csv";

fn top_gap() -> Frame {
    Frame::new().inner_margin(Margin { left: 0, right: 0, top: 6, bottom: 0 })
}

fn key_of(ctx: &ViewCtx<'_>) -> Key {
    Key {
        generation: ctx.session.generation,
        dumps: ctx.session.group().map(|group| group.dumps.clone()).unwrap_or_default(),
        interval: ctx.session.interval_dumps(),
        baseline: ctx.session.interval.map(|(from, _)| from).or_else(|| ctx.session.baseline()),
        division: ctx.settings.division,
        axis: ctx.settings.axis,
        is_net: ctx.settings.is_net,
    }
}

fn derive(ctx: &ViewCtx<'_>, key: &Key, number: u64) -> Derived {
    let analysis = &ctx.session.analysis;
    Derived {
        number,
        headline: headline(analysis, &key.interval),
        equal_sizes: equal_size_lines(analysis, &key.interval),
        walls: wall_lines(analysis, &key.interval),
        plot: series_plot(analysis, &key.dumps, key.division, key.axis, key.is_net),
        dumps: Arc::new(DumpTable::new(Arc::clone(analysis), key.dumps.clone(), key.baseline)),
        uses: Arc::new(UseTable::new(Arc::clone(analysis), key.division, key.interval.clone())),
        handles: Arc::new(HandleTable::new(analysis, key.interval.clone())),
    }
}

fn banner_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, derived: &Derived) {
    Frame::new().fill(ctx.theme.banner).corner_radius(6).inner_margin(Margin::symmetric(12, 8)).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.add(Label::new(RichText::new(sentence(&derived.headline)).size(16.0)).wrap());
        for line in verdict_lines(ctx) {
            ui.add(Label::new(line).wrap());
        }
        // The nearest wall; the others are a hover away, and in the reports.
        if let Some(line) = derived.walls.first() {
            ui.add(Label::new(sentence(line)).wrap()).on_hover_text(derived.walls.join("\n"));
        }
        for line in derived.equal_sizes.iter().take(2) {
            ui.add(Label::new(RichText::new(line).weak()).wrap());
        }
        notes_ui(ui, ctx);
    });
    ui.add_space(4.0);
}

/// What was found and ruled out, and when a database will be full.
fn verdict_lines(ctx: &ViewCtx<'_>) -> Vec<String> {
    let Some(findings) = ctx.session.findings() else { return Vec::new() };
    verdict_line(findings).into_iter().chain(time_to_full_line(findings)).map(|line| sentence(&line)).collect()
}

/// The first note, and the way to the others.
fn notes_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    let notes = &ctx.session.analysis.notes;
    let Some(first) = notes.first() else { return };
    ui.horizontal(|ui| {
        let more = if notes.len() == 2 {
            "1 more note".to_owned()
        } else {
            format!("{} more notes", notes.len().saturating_sub(1))
        };
        if notes.len() > 1 && ui.link(more).clicked() {
            ctx.send(Command::Show(crate::gui::tab::Tab::Log));
        }
        let text = RichText::new(format!("Note: {}", first.text)).color(ctx.theme.growth);
        ui.add(Label::new(text).truncate()).on_hover_text(&first.text);
    });
}

fn controls_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.strong("Committed");
        ui.add_space(4.0);
        for (division, name) in [(Division::Use, "by use"), (Division::Type, "by type")] {
            if ui.selectable_label(ctx.settings.division == division, name).clicked() {
                ctx.send(Command::SetDivision(division));
            }
        }
        ui.separator();
        for (axis, name) in [(Axis::Time, "time"), (Axis::DumpNumber, "dump number")] {
            if ui.selectable_label(ctx.settings.axis == axis, name).clicked() {
                ctx.send(Command::SetAxis(axis));
            }
        }
        ui.separator();
        for (scale, name) in [(Scale::Stacked, "stacked"), (Scale::Log, "log")] {
            if ui.selectable_label(ctx.settings.scale == scale, name).clicked() {
                ctx.send(Command::SetScale(scale));
            }
        }
        let is_net = ctx.settings.is_net;
        let hint = "Leave out what the diagnostics hold themselves: the stack trace database and page heap";
        if ui.selectable_label(is_net, "net of instrumentation").on_hover_text(hint).clicked() {
            ctx.send(Command::SetNet(!is_net));
        }
    });
}

fn side_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut OverviewState, derived: &Derived) {
    let side = &mut state.side;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let growth = match ctx.session.ends() {
            Some((from, to)) if from != to => format!("From dump {from} to dump {to}"),
            Some((_, to)) => format!("Dump {to}"),
            None => "No dump".to_owned(),
        };
        ui.selectable_value(side, Side::Findings, "Findings");
        ui.selectable_value(side, Side::Growth, growth);
        if let Some(dump) = ctx.session.dump() {
            ui.selectable_value(side, Side::Totals, format!("Totals of dump {dump}"))
                .on_hover_text("By use, type, state and protection, as !address -summary has them");
        }
        ui.selectable_value(side, Side::Handles, "Handles").on_hover_text("Open handles by type, in each dump");
        if ctx.session.interval.is_some() && ui.small_button("Whole series").on_hover_text("Esc").clicked() {
            ctx.send(Command::SetInterval(None));
        }
        match side {
            Side::Growth => save_buttons_ui(ui, ctx, &derived.uses, USES_FILE),
            Side::Handles => save_buttons_ui(ui, ctx, &derived.handles, HANDLES_FILE),
            Side::Findings | Side::Totals => {}
        }
    });
    let options = TableOptions {
        id: "uses",
        model_key: derived.number,
        bar: Bar::None,
        is_sortable: true,
        selected_row: None,
        reveal_selected: false,
    };
    ScrollArea::vertical().id_salt("uses down").show(ui, |ui| match (state.side, ctx.session.snapshot()) {
        (Side::Findings, _) => findings_list::findings_list_ui(ui, ctx),
        (Side::Totals, Some(snapshot)) => totals::totals_ui(ui, ctx, snapshot),
        (Side::Handles, _) => {
            let options = TableOptions { id: "handles", ..options };
            let output = table_ui(ui, ctx.theme, &derived.handles, &mut state.handles, &options);
            ctx.send_texts(output, || HANDLES_FILE.to_owned());
        }
        _ => {
            let output = table_ui(ui, ctx.theme, &derived.uses, &mut state.uses, &options);
            ctx.send_texts(output, || USES_FILE.to_owned());
        }
    });
}

fn dumps_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut TableState, derived: &Derived, key: &Key) {
    ui.horizontal(|ui| {
        ui.strong("Dumps");
        save_buttons_ui(ui, ctx, &derived.dumps, DUMPS_FILE);
    });
    let selected_row = ctx.session.dump().and_then(|dump| key.dumps.iter().position(|other| *other == dump));
    let options = TableOptions {
        id: "dumps",
        model_key: derived.number,
        bar: Bar::None,
        is_sortable: true,
        selected_row,
        reveal_selected: false,
    };
    let output = table_ui(ui, ctx.theme, &derived.dumps, state, &options);
    let (clicked, double_clicked) = (output.clicked, output.double_clicked);
    ctx.send_texts(output, || DUMPS_FILE.to_owned());
    if let Some(dump) = clicked.and_then(|row| key.dumps.get(row)) {
        ctx.send(Command::Select(Item::Dump(*dump)));
    }
    if double_clicked.is_some() {
        ctx.send(Command::Show(crate::gui::tab::Tab::Regions));
    }
}

/// Copy and save for the short tables, which have no bar.
fn save_buttons_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, model: &Arc<dyn TableModel>, file_name: &str) {
    let rows = || (0..model.row_count()).collect::<Vec<_>>();
    if ui.small_button("Copy").on_hover_text("Copy the table").clicked() {
        ctx.send(Command::CopyText(crate::present::table::to_tsv(model.as_ref(), &rows())));
    }
    if ui.small_button("CSV…").on_hover_text("Save the table as CSV, with plain numbers").clicked() {
        let text = crate::present::table::to_csv(model.as_ref(), &rows());
        ctx.send(Command::SaveText { file_name: file_name.to_owned(), text });
    }
}
