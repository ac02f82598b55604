//! What a tab will show that this version does not have yet.

use eframe::egui::{Label, RichText, Ui};

pub fn coming_ui(ui: &mut Ui, title: &str, text: &str) {
    ui.vertical_centered(|ui| {
        ui.set_max_width(560.0);
        ui.add_space(ui.available_height() * 0.25);
        ui.heading(title);
        ui.add_space(8.0);
        ui.label(RichText::new("Not in this version yet. It will show:").weak());
        ui.add_space(4.0);
        ui.add(Label::new(text).wrap());
    });
}
