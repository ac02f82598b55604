//! The plot over the series: layers by use or type, hover to read, click to select a dump, drag to choose an interval.

use std::collections::BTreeSet;

use eframe::egui::{self, Color32, PopupAnchor, RichText, Sense, Stroke, Tooltip, Ui, vec2};
use egui_plot::{FilledArea, GridInput, GridMark, Line, LineStyle, Plot, PlotPoints, Points, Span, VLine};

use crate::base::units::ByteSize;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::selection::Item;
use crate::gui::settings::Scale;
use crate::present::series_plot::{Layer, SeriesPlot};

/// What the plot remembers: layers switched off by name, and where a drag began.
#[derive(Default)]
pub struct PlotState {
    hidden: BTreeSet<&'static str>,
    drag_start: Option<f64>,
}

pub fn plot_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, plot: &SeriesPlot, state: &mut PlotState) {
    legend_ui(ui, ctx, plot, state);
    let shown: Vec<&Layer> = plot.layers.iter().filter(|layer| !state.hidden.contains(layer.part.name())).collect();
    if plot.layers.is_empty() {
        ui.weak("No dump of this process holds the map of its memory, so there is nothing to plot.");
        return;
    }
    let curves = Curves::new(plot, &shown, ctx.settings.scale);
    let unit = curves.unit;
    let scale = ctx.settings.scale;
    let x_marks = plot.x.clone();
    let label_width = if plot.spans_days() { 96.0 } else { 64.0 };
    let most_marks = f64::from((ui.available_width() / label_width).floor().max(2.0));
    let widget = Plot::new("series")
        .sense(Sense::click_and_drag())
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_double_click_reset(false)
        .show_x(false)
        .show_y(false)
        .label_formatter(|_| None)
        .set_margin_fraction(vec2(0.045, 0.05))
        .grid_color(ctx.theme.faint)
        .y_axis_min_width(56.0)
        .x_grid_spacer(move |input| marks_at(&x_marks, &input, most_marks))
        .x_axis_formatter(|mark, _| plot.x_text(mark.value))
        .y_axis_formatter(move |mark, range| {
            let is_minor = scale == Scale::Stacked && mark.step_size < (range.end() - range.start()) / 12.0;
            if is_minor { String::new() } else { y_text(mark.value, unit, scale) }
        });
    let widget = match scale {
        Scale::Stacked => widget.include_y(0.0),
        Scale::Log => widget.y_grid_spacer(|input| powers_of_two(&input)),
    };
    let interval = interval_x(ctx, plot);
    let selected = selected_x(ctx, plot);
    let theme = ctx.theme;
    let response = widget.show(ui, |plot_ui| {
        if let Some((from, to)) = interval {
            plot_ui.span(Span::new("", from..=to).fill(theme.interval).border_color(theme.accent));
        }
        for curve in curves.curves {
            curve.paint(plot_ui, theme.usage(curve.usage), scale);
        }
        if let Some(x) = selected {
            let line = VLine::new("", x).color(theme.cursor).width(1.0).style(LineStyle::dashed_dense());
            plot_ui.vline(line.allow_hover(false));
        }
        plot_ui.pointer_coordinate()
    });
    pointer_ui(ui, ctx, plot, &shown, state, &response.response, response.inner.map(|point| point.x));
}

/// One name a layer; a click switches it off and on.
fn legend_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, plot: &SeriesPlot, state: &mut PlotState) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(10.0, 2.0);
        for layer in &plot.layers {
            let name = layer.part.name();
            let is_shown = !state.hidden.contains(name);
            let colour = ctx.theme.usage(layer.part.colour());
            let response = legend_entry_ui(ui, name, colour, is_shown);
            if response.on_hover_text(if is_shown { "Switch off" } else { "Switch on" }).clicked()
                && !state.hidden.remove(name)
            {
                state.hidden.insert(name);
            }
        }
    });
}

fn legend_entry_ui(ui: &mut Ui, name: &str, colour: Color32, is_shown: bool) -> egui::Response {
    let text = RichText::new(name).small();
    let text = if is_shown { text } else { text.weak().strikethrough() };
    let galley = egui::WidgetText::from(text).into_galley(ui, None, f32::INFINITY, egui::TextStyle::Small);
    let size = vec2(14.0 + galley.size().x, 18.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::CheckBox, true, is_shown, name));
    let square = egui::Rect::from_center_size(rect.left_center() + vec2(5.0, 0.0), vec2(10.0, 10.0));
    if is_shown {
        ui.painter().rect_filled(square, 2.0, colour);
    } else {
        ui.painter().rect_stroke(square, 2.0, Stroke::new(1.0, colour), egui::StrokeKind::Inside);
    }
    let at = egui::pos2(rect.left() + 14.0, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, ui.visuals().text_color());
    response
}

/// Curves in the unit of the axis.
struct Curves {
    curves: Vec<Curve>,
    unit: Unit,
}

struct Curve {
    name: &'static str,
    usage: crate::process::regions::usage::Usage,
    x: Vec<f64>,
    bottom: Vec<f64>,
    top: Vec<f64>,
}

#[derive(Clone, Copy)]
struct Unit {
    bytes: f64,
    name: &'static str,
}

impl Unit {
    /// The largest unit of which the axis shows more than one, so that its marks fall on round numbers.
    fn of(largest_bytes: f64) -> Self {
        const UNITS: [(f64, &str); 3] = [(1_073_741_824.0, "GB"), (1_048_576.0, "MB"), (1024.0, "KB")];
        let found = UNITS.into_iter().find(|(bytes, _)| largest_bytes >= 2.0 * bytes);
        let (bytes, name) = found.unwrap_or((1.0, "B"));
        Self { bytes, name }
    }
}

impl Curves {
    fn new(plot: &SeriesPlot, layers: &[&Layer], scale: Scale) -> Self {
        // A dump that does not tell all the layers that others tell is stepped over: what it lacks would look like a fall of
        // one use and a rise of another.
        let told: Vec<&&Layer> = layers.iter().filter(|layer| layer.bytes.iter().any(Option::is_some)).collect();
        let is_known =
            |at: &usize| !told.is_empty() && told.iter().all(|layer| layer.bytes.get(*at).is_some_and(Option::is_some));
        let known: Vec<usize> = (0..plot.x.len()).filter(is_known).collect();
        let value = |layer: &Layer, at: usize| layer.bytes.get(at).copied().flatten().unwrap_or(0) as f64;
        let total = |at: usize| layers.iter().map(|layer| value(layer, at)).sum::<f64>();
        let unit = Unit::of(known.iter().map(|at| total(*at)).fold(0.0, f64::max));
        let mut x: Vec<f64> = known.iter().filter_map(|at| plot.x.get(*at).copied()).collect();
        // One dump alone is a block.
        let is_block = x.len() == 1;
        if let [only] = x[..] {
            x = vec![only - 0.3, only + 0.3];
        }
        let spread = |values: Vec<f64>| if is_block { [values.clone(), values].concat() } else { values };
        let mut bottom = vec![0.0; known.len()];
        let mut curves = Vec::new();
        for layer in layers.iter().rev() {
            let values: Vec<f64> = known.iter().map(|at| value(layer, *at) / unit.bytes).collect();
            let (low, high) = match scale {
                Scale::Stacked => {
                    let top: Vec<f64> = bottom.iter().zip(&values).map(|(low, value)| low + value).collect();
                    (std::mem::replace(&mut bottom, top.clone()), top)
                }
                Scale::Log => {
                    let logs = values.iter().map(|value| (value * unit.bytes).max(1.0).log2()).collect();
                    (vec![0.0; values.len()], logs)
                }
            };
            curves.push(Curve {
                name: layer.part.name(),
                usage: layer.part.colour(),
                x: x.clone(),
                bottom: spread(low),
                top: spread(high),
            });
        }
        Self { curves, unit }
    }
}

impl Curve {
    fn paint(&self, plot_ui: &mut egui_plot::PlotUi<'_>, colour: Color32, scale: Scale) {
        let points = || self.x.iter().zip(&self.top).map(|(x, y)| [*x, *y]).collect::<PlotPoints<'_>>();
        if scale == Scale::Stacked {
            let area = FilledArea::new(self.name, &self.x, &self.bottom, &self.top);
            plot_ui.add(area.fill_color(colour.gamma_multiply(0.82)).allow_hover(false));
        }
        plot_ui.line(Line::new(self.name, points()).color(colour).width(1.5).allow_hover(false));
        plot_ui.points(Points::new(self.name, points()).color(colour).radius(2.0).allow_hover(false));
    }
}

/// Marks at the dumps themselves, leaving out those that would stand too close.
fn marks_at(x: &[f64], input: &GridInput, most_marks: f64) -> Vec<GridMark> {
    let (low, high) = input.bounds;
    let least_distance = (high - low) / most_marks;
    let mut marks: Vec<GridMark> = Vec::new();
    for value in x {
        if marks.last().is_none_or(|last| value - last.value >= least_distance) {
            marks.push(GridMark { value: *value, step_size: high - low });
        }
    }
    marks
}

/// Marks of the logarithmic axis, four doublings apart: 4 KB, 64 KB, 1 MB and so on; closer ones where few would fit.
fn powers_of_two(input: &GridInput) -> Vec<GridMark> {
    let (low, high) = input.bounds;
    let step = if high - low > 12.0 { 4.0 } else { 2.0 };
    let first = (low.max(0.0) / step).ceil() as i32;
    let last = (high / step).floor() as i32;
    (first..=last.min(first + 40)).map(|n| GridMark { value: f64::from(n) * step, step_size: step }).collect()
}

fn y_text(value: f64, unit: Unit, scale: Scale) -> String {
    match scale {
        _ if value < 0.0 => String::new(),
        Scale::Stacked => format!("{value} {}", unit.name),
        Scale::Log => ByteSize(value.exp2() as u64).to_string(),
    }
}

fn interval_x(ctx: &ViewCtx<'_>, plot: &SeriesPlot) -> Option<(f64, f64)> {
    ctx.session.interval?;
    let (from, to) = ctx.session.ends()?;
    let x = |dump| plot.x.get(plot.dumps.iter().position(|other| *other == dump)?).copied();
    Some((x(from)?, x(to)?))
}

fn selected_x(ctx: &ViewCtx<'_>, plot: &SeriesPlot) -> Option<f64> {
    let dump = ctx.session.dump().filter(|_| plot.x.len() > 1)?;
    plot.x.get(plot.dumps.iter().position(|other| *other == dump)?).copied()
}

/// Hover, click and drag.
fn pointer_ui(
    ui: &Ui,
    ctx: &ViewCtx<'_>,
    plot: &SeriesPlot,
    shown: &[&Layer],
    state: &mut PlotState,
    response: &egui::Response,
    pointer_x: Option<f64>,
) {
    let Some(x) = pointer_x else { return };
    let Some(nearest) = plot.nearest(x) else { return };
    if response.clicked()
        && let Some(dump) = plot.dumps.get(nearest)
    {
        ctx.send(Command::Select(Item::Dump(*dump)));
    }
    if response.drag_started() {
        state.drag_start = Some(x);
    }
    let is_dragging = response.dragged();
    if response.drag_stopped()
        && let Some((first, last)) = state.drag_start.take().and_then(|start| plot.between(start, x))
        && let (Some(from), Some(to)) = (plot.dumps.get(first), plot.dumps.get(last))
    {
        ctx.send(Command::SetInterval(Some((*from, *to))));
    }
    if response.hovered() || is_dragging {
        let dragged = state.drag_start.filter(|_| is_dragging).and_then(|start| plot.between(start, x));
        Tooltip::always_open(ui.ctx().clone(), ui.layer_id(), response.id.with("read"), PopupAnchor::Pointer)
            .gap(16.0)
            .show(|ui| match dragged {
                Some((first, last)) => interval_hint_ui(ui, plot, shown, first, last),
                None => reading_ui(ui, ctx, plot, shown, nearest),
            });
    }
}

/// All values at one dump.
fn reading_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, plot: &SeriesPlot, shown: &[&Layer], at: usize) {
    let Some(dump) = plot.dumps.get(at) else { return };
    let time = ctx.session.analysis.snapshot(*dump).and_then(|snapshot| snapshot.time());
    let time = time.map_or_else(String::new, |time| format!(" · {} UTC", time.table_text()));
    ui.set_min_width(250.0);
    ui.strong(format!("dump {dump}{time}"));
    let bytes_of = |layer: &Layer| layer.bytes.get(at).copied().flatten();
    egui::Grid::new("reading").num_columns(3).min_col_width(10.0).spacing([8.0, 2.0]).show(ui, |ui| {
        for layer in shown {
            let (rect, _) = ui.allocate_exact_size(vec2(10.0, 10.0), Sense::hover());
            ui.painter().rect_filled(rect, 2.0, ctx.theme.usage(layer.part.colour()));
            ui.label(layer.part.name());
            let text = bytes_of(layer).map_or_else(|| "not known".to_owned(), |bytes| ByteSize(bytes).to_string());
            ui.monospace(text);
            ui.end_row();
        }
        let known: Vec<u64> = shown.iter().filter_map(|layer| bytes_of(layer)).collect();
        if !known.is_empty() {
            ui.label("");
            ui.strong("shown in all");
            ui.monospace(ByteSize(known.into_iter().fold(0, u64::saturating_add)).to_string());
            ui.end_row();
        }
    });
}

fn interval_hint_ui(ui: &mut Ui, plot: &SeriesPlot, shown: &[&Layer], first: usize, last: usize) {
    let (Some(from), Some(to)) = (plot.dumps.get(first), plot.dumps.get(last)) else { return };
    ui.strong(format!("dump {from} to dump {to}"));
    let sum = |at: usize| {
        let known = shown.iter().filter_map(|layer| layer.bytes.get(at).copied().flatten());
        known.fold(0, u64::saturating_add)
    };
    ui.monospace(crate::base::units::ByteDelta::between(sum(first), sum(last)).to_string());
}
