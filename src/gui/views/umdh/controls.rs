//! Above the stacks: what the logs say, which of them are compared, and the filter.

use eframe::egui::{self, ComboBox, Key, Label, Modifiers, RichText, TextEdit, Ui, WidgetInfo};

use crate::analysis::series::umdh_join::PointSource;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::selection::Item;
use crate::present::umdh::{comparison_lines, group_name, point_label, series_lines};

use super::{Mode, Shown, UmdhState, comparison_of};

pub(super) fn header_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut UmdhState, shown: &Shown) {
    processes_ui(ui, ctx);
    let lines = match comparison_of(&shown.series, state.mode) {
        Some(comparison) => comparison_lines(&comparison),
        None => series_lines(&shown.series),
    };
    for (position, line) in lines.iter().enumerate() {
        let mut letters = line.chars();
        let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
        let text = RichText::new(format!("{first}{}.", letters.as_str()));
        ui.add(Label::new(if position == 0 { text } else { text.weak() }).wrap());
    }
    ui.add_space(2.0);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        modes_ui(ui, ctx, state, shown);
        if state.mode == Mode::Stacks {
            points_ui(ui, state, shown);
        }
        filter_ui(ui, state);
    });
    ui.add_space(2.0);
}

/// Logs of several processes: one is shown at a time.
fn processes_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    let groups = &ctx.session.analysis.log_groups;
    if groups.len() < 2 {
        return;
    }
    let shown = ctx.session.log_group();
    ui.horizontal_wrapped(|ui| {
        ui.weak("Process");
        for group in groups {
            let text = group_name(group);
            if ui.selectable_label(shown == Some(group), text).clicked()
                && let Some(log) = group.logs.last()
            {
                ctx.send(Command::Select(Item::Log(*log)));
            }
        }
    });
}

/// The raw logs together, or one of the comparisons.
fn modes_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut UmdhState, shown: &Shown) {
    if shown.series.comparisons.is_empty() || shown.series.logs.is_empty() && shown.series.comparisons.len() == 1 {
        return;
    }
    if !shown.series.logs.is_empty() {
        ui.selectable_value(&mut state.mode, Mode::Stacks, "Logs over time");
    }
    for (log, _) in &shown.series.comparisons {
        let name = ctx.session.analysis.log(*log).map(|log| log.file.file_name()).unwrap_or_default();
        ui.selectable_value(&mut state.mode, Mode::Comparison(*log), name)
            .on_hover_text("A comparison that umdh made: one interval");
    }
    ui.separator();
}

fn points_ui(ui: &mut Ui, state: &mut UmdhState, shown: &Shown) {
    let Some((from, to)) = shown.points.filter(|_| shown.series.points.len() > 1) else { return };
    ui.label("Compare");
    let new_from = point_ui(ui, "umdh from", "First point", shown, from);
    ui.label("with");
    let new_to = point_ui(ui, "umdh to", "Second point", shown, to);
    if (new_from, new_to) != (from, to) {
        let source = |point: usize| shown.series.points.get(point).map(|point| point.source);
        state.chosen = source(new_from.min(new_to)).zip(source(new_from.max(new_to)));
    }
    if state.chosen.is_some() && ui.small_button("First and last").on_hover_text("Of all logs").clicked() {
        state.chosen = None;
    }
    ui.separator();
}

fn point_ui(ui: &mut Ui, id: &str, name: &str, shown: &Shown, chosen: usize) -> usize {
    let mut point = chosen;
    let label =
        |at: usize| shown.series.points.get(at).map_or_else(String::new, |point| point_label(point.source, point.time));
    let text = label(chosen);
    let combo = ComboBox::from_id_salt(id).selected_text(&text).width(136.0).show_ui(ui, |ui| {
        for (at, of) in shown.series.points.iter().enumerate() {
            let response = ui.selectable_value(&mut point, at, label(at));
            if matches!(of.source, PointSource::Dump(_)) {
                response.on_hover_text("What its stack trace database has of the same stacks: entries, not bytes");
            }
        }
    });
    let label = format!("{name}: {text}");
    combo.response.widget_info(|| WidgetInfo::labeled(egui::Role::ComboBox, true, &label));
    point
}

fn filter_ui(ui: &mut Ui, state: &mut UmdhState) {
    let edit = TextEdit::singleline(&mut state.filter).hint_text("With a frame… (Ctrl+F)").desired_width(200.0);
    let response = ui.add(edit);
    response.widget_info(|| WidgetInfo::labeled(egui::Role::TextInput, true, "With a frame"));
    if ui.input_mut(|input| input.consume_key(Modifiers::CTRL, Key::F)) {
        response.request_focus();
    }
    response.on_hover_text("Stacks with a frame for each of these words, in its name, address or source, or in the id");
    if !state.filter.is_empty() && ui.small_button("Clear").clicked() {
        state.filter.clear();
    }
}
