//! The menu bar. Every shortcut stands beside its command.

use eframe::egui::{self, Button, Key, KeyboardShortcut, MenuBar, Modifiers, Ui};

use crate::base::printable::printable;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::logic::SHORTCUTS;
use crate::gui::selection::History;
use crate::gui::settings::ThemeChoice;
use crate::gui::tab::Tab;
use crate::present::series_plot::Axis;
use crate::present::uses::Division;

pub fn menu_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, history: &History) {
    MenuBar::new().ui(ui, |ui| {
        ui.menu_button("File", |ui| file_ui(ui, ctx));
        ui.menu_button("View", |ui| view_ui(ui, ctx));
        ui.menu_button("Series", |ui| series_ui(ui, ctx));
        ui.menu_button("Help", |ui| {
            item(ui, ctx, "Keys and first steps", Command::ShowHelp(true), true);
            item(ui, ctx, "About dumptrend", Command::ShowAbout(true), true);
        });
        ui.separator();
        let back = ui.add_enabled(history.can_go_back(), Button::new("Back").small());
        if back.on_hover_text("To what was shown before (Alt+Left)").clicked() {
            ctx.send(Command::Back);
        }
        let forward = ui.add_enabled(history.can_go_forward(), Button::new("Forward").small());
        if forward.on_hover_text("Forward again (Alt+Right)").clicked() {
            ctx.send(Command::Forward);
        }
    });
}

fn file_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    let is_open = !ctx.session.is_empty();
    item(ui, ctx, "Open dumps…", Command::AskForFiles, true);
    item(ui, ctx, "Open folder…", Command::AskForFolder, true);
    item(ui, ctx, "Add dumps to the series…", Command::AskForMoreFiles, is_open);
    item(ui, ctx, "Open the sample series", Command::OpenSample, true);
    ui.menu_button("Recent", |ui| recent_ui(ui, ctx));
    let mut has_one_window = ctx.settings.has_one_window;
    let hint = "Files opened in Explorer or named by another start join the series in the open window";
    if ui.checkbox(&mut has_one_window, "One window for all starts").on_hover_text(hint).clicked() {
        ctx.send(Command::SetOneWindow(has_one_window));
    }
    ui.separator();
    item(ui, ctx, "Read the files again", Command::Reload, is_open);
    item(ui, ctx, "Close the series", Command::CloseSeries, is_open);
    ui.separator();
    item(ui, ctx, "Save the report…", Command::SaveReport, is_open);
    item(ui, ctx, "Save a case capsule…", Command::SaveCapsule, is_open);
    item(ui, ctx, "Save a picture of the window…", Command::SaveScreenshot, true);
    item(ui, ctx, "Copy a picture of the window", Command::CopyScreenshot, true);
    ui.separator();
    item(ui, ctx, "Quit", Command::Quit, true);
}

fn recent_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    if ctx.settings.recent.is_empty() {
        ui.weak("Nothing was opened yet");
        return;
    }
    for inputs in &ctx.settings.recent {
        let Some(first) = inputs.first() else { continue };
        let more = if inputs.len() > 1 { format!(" and {} more", inputs.len() - 1) } else { String::new() };
        let text = format!("{}{more}", shortened(&printable(&first.display().to_string())));
        if ui.button(text).on_hover_text(printable(&first.display().to_string())).clicked() {
            ctx.send(Command::Open(inputs.clone()));
            ui.close();
        }
    }
    ui.separator();
    item(ui, ctx, "Forget these", Command::ForgetRecent, true);
}

/// The end of a long path: that is where paths differ.
fn shortened(path: &str) -> String {
    const MOST_CHARS: usize = 60;
    let count = path.chars().count();
    if count <= MOST_CHARS {
        path.to_owned()
    } else {
        format!("…{}", path.chars().skip(count - MOST_CHARS).collect::<String>())
    }
}

fn view_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    for (tab, key) in Tab::ALL.into_iter().zip([
        Key::Num1,
        Key::Num2,
        Key::Num3,
        Key::Num4,
        Key::Num5,
        Key::Num6,
        Key::Num7,
        Key::Num8,
        Key::Num9,
    ]) {
        let shortcut = ui.ctx().format_shortcut(&KeyboardShortcut::new(Modifiers::CTRL, key));
        if ui.add(Button::new(tab.title()).shortcut_text(shortcut)).clicked() {
            ctx.send(Command::Show(tab));
            ui.close();
        }
    }
    ui.separator();
    ui.menu_button("Theme", |ui| {
        for (choice, name) in
            [(ThemeChoice::System, "As the system"), (ThemeChoice::Light, "Light"), (ThemeChoice::Dark, "Dark")]
        {
            if ui.radio(ctx.settings.theme == choice, name).clicked() {
                ctx.send(Command::SetTheme(choice));
                ui.close();
            }
        }
    });
    ui.menu_button("Text size", |ui| {
        for (factor, name) in [(0.85, "Small"), (1.0, "Normal"), (1.25, "Large"), (1.5, "Very large"), (2.0, "Double")]
        {
            if ui.radio((ctx.settings.text_size - factor).abs() < 0.01, name).clicked() {
                ctx.send(Command::SetTextSize(factor));
                ui.close();
            }
        }
    });
}

fn series_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    let is_open = !ctx.session.is_empty();
    item(ui, ctx, "Compare with the first dump", Command::SetBaseline(None), is_open);
    if let Some(dump) = ctx.session.dump() {
        let text = format!("Compare with dump {dump} (the selected one)");
        item(ui, ctx, &text, Command::SetBaseline(Some(dump)), is_open);
    }
    item(ui, ctx, "Compare the whole series", Command::SetInterval(None), ctx.session.interval.is_some());
    ui.separator();
    for (division, name) in [(Division::Use, "Memory by use"), (Division::Type, "Memory by type")] {
        if ui.radio(ctx.settings.division == division, name).clicked() {
            ctx.send(Command::SetDivision(division));
            ui.close();
        }
    }
    ui.separator();
    for (axis, name) in [(Axis::Time, "Axis by time"), (Axis::DumpNumber, "Axis by dump number")] {
        if ui.radio(ctx.settings.axis == axis, name).clicked() {
            ctx.send(Command::SetAxis(axis));
            ui.close();
        }
    }
}

fn item(ui: &mut Ui, ctx: &ViewCtx<'_>, name: &str, command: Command, is_enabled: bool) {
    let shortcut = SHORTCUTS.iter().find(|(_, shortcut_command)| *shortcut_command == command);
    let mut button = Button::new(name);
    if let Some((shortcut, _)) = shortcut {
        button = button.shortcut_text(ui.ctx().format_shortcut(shortcut));
    }
    if ui.add_enabled(is_enabled, button).clicked() {
        ctx.send(command);
        ui.close_kind(egui::UiKind::Menu);
    }
}
