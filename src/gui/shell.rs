//! Once a frame: the bars, the dump list, the tabs and the current view.

use eframe::egui::{self, Align2, CentralPanel, FontId, Frame, Margin, Panel, Ui};

use super::app::App;
use super::bars::{dump_list, help, menu, status};
use super::command::Command;
use super::ctx::ViewCtx;
use super::tab::Tab;
use super::theme::Theme;

/// Paints the whole window.
pub fn shell_ui(app: &mut App, ui: &mut Ui) {
    let theme = Theme::of(ui.visuals().dark_mode);
    let ctx = ViewCtx::new(&app.session, &app.settings, &theme, &app.commands);
    let bar = |ui: &Ui| Frame::new().fill(ui.visuals().panel_fill).inner_margin(Margin::symmetric(8, 4));
    Panel::top("menu").frame(bar(ui)).show(ui, |ui| menu::menu_ui(ui, &ctx, &app.history));
    Panel::bottom("status").frame(bar(ui)).show(ui, |ui| {
        status::status_ui(ui, &ctx, &app.jobs.views(), app.message.as_ref());
    });
    if !app.session.is_empty() {
        Panel::left("dumps")
            .default_size(200.0)
            .min_size(160.0)
            .frame(bar(ui))
            .show(ui, |ui| dump_list::dump_list_ui(ui, &ctx));
    }
    CentralPanel::default().frame(Frame::new().fill(ui.visuals().panel_fill).inner_margin(Margin::same(8))).show(
        ui,
        |ui| {
            let tab = app.history.place().tab;
            tabs_ui(ui, &ctx, tab);
            ui.separator();
            app.views.tab_ui(ui, &ctx, tab, &app.messages);
        },
    );
    help::help_ui(ui.ctx(), &ctx, app.is_help_open);
    help::about_ui(ui.ctx(), &ctx, app.is_about_open);
    drop_hint_ui(ui.ctx(), &theme);
}

fn tabs_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, current: Tab) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 2.0;
        for (index, tab) in Tab::ALL.into_iter().enumerate() {
            let text = egui::RichText::new(tab.title());
            let response = ui.selectable_label(tab == current, text);
            if response.on_hover_text(format!("Ctrl+{}", index + 1)).clicked() {
                ctx.send(Command::Show(tab));
            }
        }
    });
}

/// While files are dragged over the window, it says what dropping them does.
fn drop_hint_ui(ctx: &egui::Context, theme: &Theme) {
    let count = ctx.input(|input| input.raw.hovered_files.len());
    if count == 0 {
        return;
    }
    let painter = ctx.layer_painter(egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("drop hint")));
    let rect = ctx.content_rect();
    painter.rect_filled(rect, 0.0, theme.banner.gamma_multiply(0.92));
    let text = format!("Drop {count} to open as a new series\nHold Ctrl to add to the open one");
    painter.text(rect.center(), Align2::CENTER_CENTER, text, FontId::proportional(20.0), theme.text);
}
