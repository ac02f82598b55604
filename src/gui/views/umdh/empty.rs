//! What the tab says without logs: how to get them; and what the other tabs say without dumps.

use eframe::egui::{Align, Frame, Grid, Label, Layout, Margin, RichText, Ui};

use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::present::umdh::UMDH_LINES;
use crate::present::words::PROCDUMP_LINE;

pub(super) fn no_logs_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    let image = ctx.session.group().and_then(|group| group.identity.image.clone());
    let pid = ctx.session.group().and_then(|group| group.identity.pid);
    ui.vertical_centered(|ui| {
        ui.set_max_width(760.0);
        ui.add_space((ui.available_height() * 0.12).max(8.0));
        ui.label(RichText::new("No UMDH log is open").size(20.0));
        ui.add_space(4.0);
        let text = "Logs tell how many bytes each allocation stack holds. Several of them, dropped among the dumps, tell a \
                    leak from a fluctuation, stack by stack. Hold Ctrl while dropping to add them to what is open.";
        ui.add(Label::new(RichText::new(text).weak()).wrap());
        ui.add_space(16.0);
        Frame::new().fill(ctx.theme.banner).corner_radius(6).inner_margin(Margin::same(16)).show(ui, |ui| {
            ui.with_layout(Layout::top_down(Align::Min), |ui| {
                ui.strong("How to take logs, as administrator");
                ui.add_space(4.0);
                Grid::new("umdh lines").num_columns(3).spacing([12.0, 6.0]).show(ui, |ui| {
                    for (line, meaning) in UMDH_LINES {
                        let line = image.as_ref().map_or_else(|| line.to_owned(), |name| line.replace("IMAGE.exe", name));
                        let line = pid.map_or_else(|| line.clone(), |pid| line.replace("PID", &pid.to_string()));
                        if ui.small_button("Copy").clicked() {
                            ctx.send(Command::CopyText(line.clone()));
                        }
                        ui.label(RichText::new(line).monospace());
                        ui.add(Label::new(RichText::new(meaning).weak()).wrap());
                        ui.end_row();
                    }
                });
                ui.add_space(8.0);
                let text = "Drop the raw logs: umdh's own comparison of two (umdh log1.txt log2.txt) is one interval and has \
                            no times. Raw logs need no symbols on the machine; their names come from the dumps here.";
                ui.add(Label::new(RichText::new(text).weak()).wrap());
            });
        });
    });
}

/// Only logs are open, and this tab is about dumps.
pub fn without_dumps_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, title: &str) {
    ui.vertical_centered(|ui| {
        ui.set_max_width(560.0);
        ui.add_space(ui.available_height() * 0.25);
        ui.heading(title);
        ui.add_space(8.0);
        let text = "Only UMDH logs are open, and this is told by dumps. Drop dumps of the same process with Ctrl held: they \
                    share the time axis with the logs, and name their addresses. Take them with:";
        ui.add(Label::new(text).wrap());
        ui.add_space(4.0);
        ui.label(RichText::new(PROCDUMP_LINE).monospace());
        if ui.small_button("Copy").clicked() {
            ctx.send(Command::CopyText(PROCDUMP_LINE.to_owned()));
        }
    });
}
