//! Totals of one dump in the sections of `!address -summary`.

use eframe::egui::{Align, Grid, Layout, RichText, Ui};

use crate::analysis::snapshot::Snapshot;
use crate::base::units::{ByteSize, grouped};
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::present::summary::{largest_free_text, sections, sections_text};

pub fn totals_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, snapshot: &Snapshot) {
    let sections = sections(snapshot);
    if sections.is_empty() {
        ui.weak("This dump has no memory info list, so the totals of its address space are not known.");
        return;
    }
    if ui.small_button("Copy").on_hover_text("Copy all totals as text").clicked() {
        ctx.send(Command::CopyText(sections_text(snapshot)));
    }
    for section in sections {
        ui.add_space(4.0);
        Grid::new(section.title).num_columns(4).striped(true).spacing([16.0, 2.0]).show(ui, |ui| {
            ui.strong(section.title);
            for head in ["regions", "size", "of busy"] {
                right_ui(ui, RichText::new(head).weak());
            }
            ui.end_row();
            for row in section.rows {
                ui.label(&row.name);
                right_ui(ui, RichText::new(grouped(row.region_count)).monospace());
                right_ui(ui, RichText::new(ByteSize(row.bytes).to_string()).monospace());
                let percent = row.of_busy_percent.map_or_else(String::new, |percent| format!("{percent:.2} %"));
                right_ui(ui, RichText::new(percent).monospace());
                ui.end_row();
            }
        });
    }
    if let Some(text) = largest_free_text(snapshot) {
        ui.add_space(4.0);
        ui.label(format!("largest free block: {text}"));
    }
}

fn right_ui(ui: &mut Ui, text: RichText) {
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| ui.label(text));
}
