//! Totals of one dump in the sections of `!address -summary`.

use eframe::egui::{Grid, RichText, Ui};

use crate::analysis::snapshot::Snapshot;
use crate::base::units::{ByteSize, grouped};
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::present::summary::{largest_free_text, sections, sections_text};
use crate::present::windbg;

const COUNT_CHARS: usize = 8;
const SIZE_CHARS: usize = 9;
const PERCENT_CHARS: usize = 8;
/// Of the names, so that the sections stand under each other.
const NAME_WIDTH: f32 = 230.0;

pub fn totals_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, snapshot: &Snapshot) {
    let sections = sections(snapshot);
    if sections.is_empty() {
        ui.weak("This dump has no memory info list, so the totals of its address space are not known.");
        return;
    }
    ui.horizontal(|ui| {
        if ui.small_button("Copy").on_hover_text("Copy all totals as text").clicked() {
            ctx.send(Command::CopyText(sections_text(snapshot)));
        }
        ctx.windbg_button(ui, windbg::ADDRESS_SUMMARY);
    });
    for section in sections {
        ui.add_space(4.0);
        Grid::new(section.title).num_columns(4).striped(true).spacing([8.0, 2.0]).min_col_width(16.0).show(ui, |ui| {
            ui.scope(|ui| {
                ui.set_min_width(NAME_WIDTH);
                ui.strong(section.title);
            });
            for (head, width) in [("regions", COUNT_CHARS), ("size", SIZE_CHARS), ("of busy", PERCENT_CHARS)] {
                number_ui(ui, RichText::new(format!("{head:>width$}")).weak());
            }
            ui.end_row();
            for row in section.rows {
                ui.label(&row.name);
                let percent = row.of_busy_percent.map_or_else(String::new, |percent| format!("{percent:.2} %"));
                let size = ByteSize(row.bytes).to_string();
                number_ui(ui, RichText::new(format!("{:>COUNT_CHARS$}", grouped(row.region_count))));
                number_ui(ui, RichText::new(format!("{size:>SIZE_CHARS$}")));
                number_ui(ui, RichText::new(format!("{percent:>PERCENT_CHARS$}")));
                ui.end_row();
            }
        });
    }
    if let Some(text) = largest_free_text(snapshot) {
        ui.add_space(4.0);
        ui.label(format!("largest free block: {text}"));
    }
}

/// Numbers are padded instead of laid out from the right: a grid gives its last column all the room there is.
fn number_ui(ui: &mut Ui, text: RichText) {
    ui.label(text.monospace());
}
