//! Above all views of the stacks: the health of the stores, the way here, the switch of views, and the filter.

use std::sync::Arc;

use eframe::egui::{
    self, ComboBox, CornerRadius, Key, Label, Modifiers, Rect, RichText, Sense, TextEdit, TextStyle, Ui, WidgetInfo,
    vec2,
};

use crate::analysis::series::call_tree::{Direction, Measure};
use crate::analysis::series::stacks::SeriesStacks;
use crate::base::ids::DumpIdx;
use crate::base::units::grouped;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::selection::Item;
use crate::gui::tab::Tab;
use crate::present::traces::tree::measure_name;
use crate::present::traces::{growth_lines, store_text, stores_of};
use crate::process::regions::usage::Usage;
use crate::process::traces::{Health, TraceStore};

use super::{Mode, Scope, TracesState};

/// More stores are told of in the report.
const MOST_STORES: usize = 3;

/// How full the stores of a dump are, and what they grew by.
pub(super) fn header_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut TracesState, from: DumpIdx, to: DumpIdx) {
    let stores = stores_of(&ctx.session.analysis, to).unwrap_or_default();
    for store in stores.iter().take(MOST_STORES) {
        store_ui(ui, ctx, to, store);
    }
    if stores.is_empty() {
        ui.label(format!("Dump {to} has no stack trace database."));
    }
    if stores.len() > MOST_STORES {
        ui.weak(format!("and {} more stores", stores.len() - MOST_STORES));
    }
    let analysis = Arc::clone(&ctx.session.analysis);
    let key = (ctx.session.generation, from, to);
    let lines = state.growth.get_current(ui.ctx(), &key, move |_| Ok(growth_lines(&analysis, from, to)));
    for line in lines.into_iter().flatten() {
        let text = capitalised(line);
        ui.add(Label::new(RichText::new(format!("{text}.")).weak()).wrap());
    }
}

fn store_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, dump: DumpIdx, store: &TraceStore) {
    ui.horizontal_top(|ui| {
        if let Some(percent) = Health::of(store).fill_percent {
            fill_ui(ui, ctx, percent);
        }
        let text = format!("Dump {dump}: {}.", store_text(store));
        let checks: Vec<String> = store
            .evidence
            .iter()
            .map(|check| match check.passed {
                Some(true) => format!("✔ {}", check.text),
                Some(false) => format!("✘ {}", check.text),
                None => format!("? {} (the dump does not tell)", check.text),
            })
            .collect();
        ui.add(Label::new(text).wrap()).on_hover_text(checks.join("\n"));
    });
}

/// A bar: how much of the reservation is used.
fn fill_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, percent: f64) {
    let (place, response) = ui.allocate_exact_size(vec2(96.0, ui.text_style_height(&TextStyle::Body)), Sense::hover());
    let rect = Rect::from_center_size(place.center(), vec2(place.width(), 10.0));
    ui.painter().rect_filled(rect, CornerRadius::same(3), ctx.theme.faint);
    let width = rect.width() * (percent / 100.0).clamp(0.0, 1.0) as f32;
    let used = Rect::from_min_size(rect.min, vec2(width, rect.height()));
    ui.painter().rect_filled(used, CornerRadius::same(3), ctx.theme.usage(Usage::StackTraceDatabase));
    let text = format!("{percent:.1} % of the reservation is used");
    response.widget_info(|| WidgetInfo::labeled(egui::Role::ProgressIndicator, true, &text));
    response.on_hover_text(text);
}

fn capitalised(line: &str) -> String {
    let mut chars = line.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Table, tree, flame graph or memory; and of which region.
pub(super) fn mode_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut TracesState, scope: Option<Scope>) {
    ui.add_space(2.0);
    ui.horizontal(|ui| {
        for (mode, name, hint) in Mode::ALL {
            ui.selectable_value(&mut state.mode, mode, name).on_hover_text(hint);
        }
        ui.separator();
        if let Some(scope) = scope {
            if ui.link("Regions").on_hover_text("Back to the region (Alt+Left)").clicked() {
                ctx.send(Command::Show(Tab::Regions));
            }
            ui.label("›");
            let width = ctx.session.analysis.snapshot(scope.dump).map(|snapshot| snapshot.pointer_width());
            let start = width.map_or_else(|| scope.range.start.to_string(), |width| scope.range.start.windbg(width));
            ui.label(RichText::new(format!("{start} of dump {}", scope.dump)).monospace());
            ui.label("› stacks");
            if ui.small_button("All stacks").on_hover_text("Of all stores of the process").clicked() {
                ctx.send(Command::Select(Item::Dump(scope.dump)));
            }
        } else {
            let hint = "All stores. Double-click a region of a store in the Regions tab to see its stacks alone.";
            ui.add(Label::new(RichText::new(hint).weak()).truncate());
        }
    });
}

/// The filter of all views, and what only some of them have.
pub(super) fn filter_ui(
    ui: &mut Ui,
    ctx: &ViewCtx<'_>,
    state: &mut TracesState,
    stacks: &SeriesStacks,
    rows: Option<&Arc<Vec<u32>>>,
    has_outstanding: bool,
) {
    ui.horizontal(|ui| {
        let with = ui.add(TextEdit::singleline(&mut state.filter.with).hint_text("With a frame… (Ctrl+F)").desired_width(190.0));
        with.widget_info(|| WidgetInfo::labeled(egui::Role::TextInput, true, "With a frame"));
        if ui.input_mut(|input| input.consume_key(Modifiers::CTRL, Key::F)) {
            with.request_focus();
        }
        with.on_hover_text("Stacks with a frame for each of these words, in its name or address");
        let has_without = state.mode != Mode::Dps;
        let edit = TextEdit::singleline(&mut state.filter.without).hint_text("Without a frame…").desired_width(150.0);
        let without = ui.add_enabled(has_without, edit);
        without.widget_info(|| WidgetInfo::labeled(egui::Role::TextInput, has_without, "Without a frame"));
        if !state.filter.is_empty() && ui.small_button("Clear").clicked() {
            state.filter.with.clear();
            state.filter.without.clear();
        }
        match state.mode {
            Mode::Tree | Mode::Flame => {
                for (direction, name, hint) in [
                    (Direction::CallerFirst, "callers first", "From the start of the thread to the allocator"),
                    (Direction::CalleeFirst, "callees first", "From the allocator to the start of the thread"),
                ] {
                    ui.selectable_value(&mut state.direction, direction, name).on_hover_text(hint);
                }
                let name = measure_name(state.measure);
                let chosen = ComboBox::from_id_salt("measure").selected_text(name).width(110.0).show_ui(ui, |ui| {
                    let measures = if has_outstanding { &Measure::ALL[..] } else { &Measure::LOGGED[..] };
                    for measure in measures.iter().copied() {
                        ui.selectable_value(&mut state.measure, measure, measure_name(measure));
                    }
                });
                let label = format!("Amount: {name}");
                chosen.response.widget_info(|| WidgetInfo::labeled(egui::Role::ComboBox, true, &label));
            }
            Mode::Table => {
                let button = ui.small_button("Leading frame…");
                if button.on_hover_text("Which modules and functions are passed over to find the leading frame").clicked() {
                    state.skip_rules.open(&ctx.settings.skip_rules);
                }
            }
            Mode::Dps => {}
        }
        if let Some(rows) = rows.filter(|_| state.mode != Mode::Dps) {
            let all = grouped(stacks.len() as u64);
            let text = if rows.len() == stacks.len() {
                format!("{all} stacks")
            } else {
                format!("{} of {all} stacks", grouped(rows.len() as u64))
            };
            ui.weak(text);
            if stacks.left_out_count > 0 {
                let more = grouped(stacks.left_out_count);
                ui.weak(format!("+ {more} not kept apart")).on_hover_text(
                    "There are more different stacks than are shown one by one. Those with most entries are; the figures \
                     above count all of them.",
                );
            }
        }
    });
}
