//! The selected stack: what each log has of it, how that goes, and its frames.

use eframe::egui::{Grid, Label, RichText, ScrollArea, Ui};

use crate::base::units::ByteSize;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::input::umdh::Comparison;
use crate::input::umdh::frames::LogFrame;
use crate::present::umdh::comparison_table::{entry_frames, entry_text};
use crate::present::umdh::stack_table::shape_tone;
use crate::present::umdh::{UmdhNaming, amount_text, counted, judgement_text, point_label, shape_hint, stack_text};

use super::Shown;

pub(super) fn stack_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, shown: &Shown, stack: Option<usize>) {
    let series = &shown.series;
    let Some((stack, joined)) = stack.and_then(|stack| Some((stack, series.stacks.get(stack)?))) else {
        ui.weak("No stack passes the filter.");
        return;
    };
    title_ui(ui, ctx, &format!("Stack {}", stack + 1), &joined.id, || stack_text(series, &shown.naming, stack));
    if let Some(judgement) = series.judgement(stack) {
        let text = RichText::new(judgement_text(&judgement)).color(ctx.theme.tone(shape_tone(judgement.shape)));
        ui.add(Label::new(text).wrap()).on_hover_text(shape_hint(judgement.shape));
    }
    ui.add_space(2.0);
    ScrollArea::both().id_salt("umdh frames").auto_shrink(false).show(ui, |ui| {
        let several = joined.candidates.len() > 1;
        if several {
            ui.weak(format!("Its id fits {} stacks, any of which may be the true one.", joined.candidates.len()));
        }
        if joined.candidates.is_empty() {
            ui.weak("The log has no stack for this id.");
        }
        for (position, candidate) in joined.candidates.iter().enumerate() {
            if several {
                ui.weak(format!("Candidate {}", position + 1));
            }
            frames_ui(ui, ctx, &shown.naming, || series.frames_of(candidate));
        }
        ui.add_space(8.0);
        ui.strong("In each log and dump");
        Grid::new("umdh amounts").num_columns(2).spacing([12.0, 2.0]).show(ui, |ui| {
            for (position, point) in series.points.iter().enumerate() {
                ui.label(RichText::new(point_label(point.source, point.time)).weak());
                ui.label(RichText::new(amount_text(series, stack, position)).monospace());
                ui.end_row();
            }
        });
        if joined.by_heap.len() > 1 {
            ui.add_space(8.0);
            ui.strong("By heap, in the last log that has it");
            Grid::new("umdh heaps").num_columns(2).spacing([12.0, 2.0]).show(ui, |ui| {
                let width = shown.naming.names.pointer_width();
                for (base, amounts) in &joined.by_heap {
                    let base = base.map_or_else(|| "no heap".to_owned(), |base| base.windbg(width));
                    ui.label(RichText::new(base).monospace());
                    let text =
                        format!("{} in {}", ByteSize(amounts.requested_bytes), counted(amounts.block_count, "block"));
                    ui.label(RichText::new(text).monospace());
                    ui.end_row();
                }
            });
        }
    });
}

pub(super) fn entry_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, shown: &Shown, comparison: &Comparison, entry: Option<usize>) {
    let Some((position, entry)) = entry.and_then(|entry| Some((entry, comparison.entries.get(entry)?))) else {
        ui.weak("No stack passes the filter.");
        return;
    };
    let name = format!("Entry {}", position + 1);
    title_ui(ui, ctx, &name, &entry.id, || entry_text(comparison, &shown.naming, position));
    let (before, after) = (ByteSize(entry.before_bytes), ByteSize(entry.after_bytes));
    ui.add(Label::new(format!("{before} before, {after} after in {}", counted(entry.after_count, "block"))).wrap());
    ui.add_space(2.0);
    ScrollArea::both().id_salt("umdh frames").auto_shrink(false).show(ui, |ui| {
        if entry.frames.is_empty() {
            ui.weak("The comparison has no stack for this id.");
        }
        frames_ui(ui, ctx, &shown.naming, || entry_frames(comparison, position));
    });
}

fn title_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, name: &str, id: &str, text: impl FnOnce() -> String) {
    ui.horizontal(|ui| {
        ui.strong(name);
        ui.label(RichText::new(format!("BackTrace{id}")).monospace().weak());
        if ui.small_button("Copy").on_hover_text("Copy the stack and its numbers").clicked() {
            ctx.send(Command::CopyText(text()));
        }
    });
}

/// Frames, innermost first. Those that the rules pass over are dim; the one that leads the stack is strong.
fn frames_ui<'a, F: Iterator<Item = &'a LogFrame>>(
    ui: &mut Ui,
    ctx: &ViewCtx<'_>,
    naming: &UmdhNaming,
    frames: impl Fn() -> F,
) {
    let leading = naming.leading(frames());
    let mut is_led = false;
    for frame in frames() {
        let text = RichText::new(naming.frame_line(frame)).monospace();
        let text = if !is_led && leading == Some(frame) {
            is_led = true;
            text.strong()
        } else if naming.is_passed_over(frame) {
            text.color(ctx.theme.dim)
        } else {
            text
        };
        ui.add(Label::new(text).extend());
    }
}
