//! What the window says before anything is open: what to drop, and how to get it.

use eframe::egui::{Align, Frame, Label, Layout, Margin, RichText, Ui};

use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::present::words::PROCDUMP_LINE;

pub fn empty_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    ui.vertical_centered(|ui| {
        ui.set_max_width(620.0);
        ui.add_space((ui.available_height() * 0.18).max(16.0));
        ui.label(RichText::new("Drop the dumps of one process here").size(24.0));
        ui.add_space(4.0);
        ui.label(RichText::new("a folder, or two and more .dmp, .mdmp or .hdmp files taken some time apart; UMDH logs with them, or alone").weak());
        ui.add_space(20.0);
        buttons_ui(ui, ctx);
        ui.add_space(28.0);
        Frame::new().fill(ctx.theme.banner).corner_radius(6).inner_margin(Margin::same(16)).show(ui, |ui| {
            ui.set_width(588.0);
            ui.with_layout(Layout::top_down(Align::Min), |ui| {
                ui.strong("How to get a good series");
                ui.add_space(4.0);
                ui.add(Label::new("On the machine where it happens, take three full dumps, an hour apart, while the process grows:").wrap());
                ui.add_space(4.0);
                ui.horizontal(|ui| {
                    ui.label(RichText::new(PROCDUMP_LINE).monospace().size(14.0));
                    if ui.small_button("Copy").clicked() {
                        ctx.send(Command::CopyText(PROCDUMP_LINE.to_owned()));
                    }
                });
                ui.add_space(4.0);
                ui.weak("Full dumps (-ma) hold the memory map and the CPU times of threads; small ones do not.");
            });
        });
    });
}

fn buttons_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    const BUTTONS_WIDTH: f32 = 400.0;
    ui.horizontal(|ui| {
        ui.add_space(((ui.available_width() - BUTTONS_WIDTH) / 2.0).max(0.0));
        for (name, command) in [
            ("Open dumps…", Command::AskForFiles),
            ("Open folder…", Command::AskForFolder),
            ("Open the sample series", Command::OpenSample),
        ] {
            if ui.button(RichText::new(name).size(15.0)).clicked() {
                ctx.send(command);
            }
        }
    });
}
