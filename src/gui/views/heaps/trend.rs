//! The course of the selected heap over the series, alone or as against another heap.

use eframe::egui::{self, Color32, ComboBox, Label, RichText, Ui, WidgetInfo, vec2};
use egui_plot::{Line, LineStyle, Plot, PlotPoints, Points, VLine};

use crate::analysis::series::heaps::HeapHistory;
use crate::base::addr::{PointerWidth, Va};
use crate::base::units::ByteSize;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::selection::Item;
use crate::present::heaps::shape_name;
use crate::process::regions::usage::Usage;

use super::Shown;

#[derive(Default)]
pub(super) struct TrendState {
    /// The heap to compare growth with.
    other: Option<(Va, PointerWidth)>,
}

/// One line of the plot; values that are not known are left out.
struct Curve {
    name: String,
    colour: Color32,
    points: Vec<[f64; 2]>,
    is_dashed: bool,
}

pub(super) fn trend_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut TrendState, shown: &Shown) {
    let Some(history) = shown.row.and_then(|row| shown.heaps.histories.get(row)) else { return };
    let others: Vec<&HeapHistory> = shown
        .heaps
        .histories
        .iter()
        .filter(|other| (other.base, other.width) != (history.base, history.width))
        .collect();
    let other = others.iter().copied().find(|other| state.other == Some((other.base, other.width)));
    ui.horizontal(|ui| {
        ui.strong(shown.heap_text());
        if let Some(shape) = history.shape(shown.interval.from, shown.interval.to) {
            ui.label(shape_name(shape));
        }
        if !others.is_empty() && shown.interval.dumps.len() > 1 {
            ui.separator();
            compare_ui(ui, state, &others, other);
        }
    });
    if shown.interval.dumps.len() < 2 {
        one_dump_ui(ui, shown, history);
        return;
    }
    let curves = match other {
        Some(other) => relative_curves(ctx, history, other),
        None => size_curves(ctx, history),
    };
    legend_ui(ui, &curves);
    plot_ui(ui, ctx, shown, &curves, other.is_some());
}

fn compare_ui(ui: &mut Ui, state: &mut TrendState, others: &[&HeapHistory], other: Option<&HeapHistory>) {
    let name = |heap: &HeapHistory| heap.base.windbg(heap.width);
    let chosen = other.map_or_else(|| "no other heap".to_owned(), name);
    let combo = ComboBox::from_id_salt("other heap").selected_text(&chosen).show_ui(ui, |ui| {
        ui.selectable_value(&mut state.other, None, "no other heap");
        for heap in others {
            ui.selectable_value(&mut state.other, Some((heap.base, heap.width)), name(heap));
        }
    });
    let label = format!("Compare growth with: {chosen}");
    combo.response.widget_info(|| WidgetInfo::labeled(egui::Role::ComboBox, true, &label));
    combo.response.on_hover_text(
        "Each heap's committed memory as a multiple of what it had in the first dump: heaps that leak together run together",
    );
}

/// Committed, in use and free memory, in MB.
fn size_curves(ctx: &ViewCtx<'_>, history: &HeapHistory) -> Vec<Curve> {
    const MB: f64 = 1_048_576.0;
    let curve = |name: &str, colour, is_dashed, values: Vec<Option<u64>>| Curve {
        name: name.to_owned(),
        colour,
        points: points(&values, MB),
        is_dashed,
    };
    let free = history.sizes.iter().map(|sizes| sizes.map(|sizes| sizes.free_bytes)).collect();
    [
        curve("committed", ctx.theme.usage(Usage::Heap), false, history.committed()),
        curve("in use", ctx.theme.accent, false, history.in_use()),
        curve("free", ctx.theme.dim, true, free),
    ]
    .into_iter()
    .filter(|curve| !curve.points.is_empty())
    .collect()
}

/// Committed memory of two heaps as multiples of what each had first.
fn relative_curves(ctx: &ViewCtx<'_>, history: &HeapHistory, other: &HeapHistory) -> Vec<Curve> {
    let curve = |heap: &HeapHistory, colour, is_dashed| {
        let committed = heap.committed();
        let first = committed.iter().flatten().copied().find(|bytes| *bytes > 0).unwrap_or(1);
        Curve { name: heap.base.windbg(heap.width), colour, points: points(&committed, first as f64), is_dashed }
    };
    vec![curve(history, ctx.theme.usage(Usage::Heap), false), curve(other, ctx.theme.accent, true)]
}

fn points(values: &[Option<u64>], unit: f64) -> Vec<[f64; 2]> {
    let known = values.iter().enumerate().filter_map(|(dump, value)| Some((dump, (*value)?)));
    known.map(|(dump, value)| [dump as f64 + 1.0, value as f64 / unit]).collect()
}

fn legend_ui(ui: &mut Ui, curves: &[Curve]) {
    ui.horizontal(|ui| {
        for curve in curves {
            let (rect, _) = ui.allocate_exact_size(vec2(14.0, 10.0), egui::Sense::hover());
            ui.painter().hline(rect.x_range(), rect.center().y, egui::Stroke::new(2.0, curve.colour));
            ui.label(RichText::new(&curve.name).small());
        }
    });
}

fn plot_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, shown: &Shown, curves: &[Curve], is_relative: bool) {
    let unit = if is_relative { "times" } else { "MB" };
    let number = |dump: f64| {
        let dump = shown.interval.dumps.get((dump.round() as usize).saturating_sub(1));
        dump.map_or_else(String::new, |dump| dump.to_string())
    };
    let numbers: Vec<String> = (1..=shown.interval.dumps.len()).map(|dump| number(dump as f64)).collect();
    let most = curves.iter().flat_map(|curve| &curve.points).map(|[_, y]| *y).fold(0.0, f64::max);
    let response = Plot::new(("heap trend", is_relative))
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_double_click_reset(false)
        .include_x(0.7)
        .include_x(shown.interval.dumps.len() as f64 + 0.3)
        .include_y(0.0)
        .include_y(most * 1.08)
        .set_margin_fraction(vec2(0.04, 0.0))
        .grid_color(ctx.theme.faint)
        .y_axis_min_width(56.0)
        .x_grid_spacer(move |_| {
            (1..=numbers.len()).map(|dump| egui_plot::GridMark { value: dump as f64, step_size: 1.0 }).collect()
        })
        .x_axis_formatter(move |mark, _| format!("dump {:.0}", mark.value))
        .y_axis_formatter(
            move |mark, _| if mark.value < 0.0 { String::new() } else { format!("{} {unit}", mark.value) },
        )
        .label_formatter(move |hover| {
            let text = match hover {
                egui_plot::HoverPosition::NearDataPoint { plot_name, position, .. } if is_relative => {
                    format!("{plot_name}: {:.2} {unit}", position.y)
                }
                egui_plot::HoverPosition::NearDataPoint { plot_name, position, .. } => {
                    format!("{plot_name}: {}", ByteSize((position.y * 1_048_576.0) as u64))
                }
                egui_plot::HoverPosition::Elsewhere { .. } => return None,
            };
            Some(text)
        })
        .show(ui, |plot_ui| {
            for curve in curves {
                let line = Line::new(curve.name.clone(), PlotPoints::from(curve.points.clone()));
                let style = if curve.is_dashed { LineStyle::dashed_dense() } else { LineStyle::Solid };
                plot_ui.line(line.color(curve.colour).width(1.8).style(style));
                let dots = Points::new(curve.name.clone(), PlotPoints::from(curve.points.clone()));
                plot_ui.points(dots.color(curve.colour).radius(2.5));
            }
            if let Some(dump) = ctx.session.dump().and_then(|dump| shown.interval.dumps.iter().position(|d| *d == dump))
            {
                let line = VLine::new("", dump as f64 + 1.0).color(ctx.theme.cursor).width(1.0);
                plot_ui.vline(line.style(LineStyle::dashed_dense()).allow_hover(false));
            }
            plot_ui.pointer_coordinate()
        });
    if response.response.clicked()
        && let Some(dump) =
            response.inner.and_then(|at| shown.interval.dumps.get((at.x.round().max(1.0) as usize).saturating_sub(1)))
    {
        ctx.send(Command::Select(Item::Dump(*dump)));
    }
}

fn one_dump_ui(ui: &mut Ui, shown: &Shown, history: &HeapHistory) {
    let Some(sizes) = history.sizes.get(shown.interval.to).copied().flatten() else {
        ui.weak("Nothing is known of this heap in this dump.");
        return;
    };
    egui::Grid::new("one heap").num_columns(2).spacing([16.0, 4.0]).show(ui, |ui| {
        let mut fact = |name: &str, value: Option<String>| {
            ui.label(RichText::new(name).weak());
            ui.label(RichText::new(value.unwrap_or_else(|| "–".to_owned())).monospace());
            ui.end_row();
        };
        fact("committed", Some(ByteSize(sizes.committed_bytes).to_string()));
        fact("virtual blocks", Some(ByteSize(sizes.large_block_bytes).to_string()));
        fact("in use", sizes.in_use.map(|in_use| ByteSize(in_use.user_bytes).to_string()));
        fact("free", Some(ByteSize(sizes.free_bytes).to_string()));
        fact("reserved", Some(ByteSize(sizes.reserved_bytes).to_string()));
    });
    ui.add_space(4.0);
    ui.add(Label::new(RichText::new("A second dump will show whether it grows.").weak()).wrap());
}
