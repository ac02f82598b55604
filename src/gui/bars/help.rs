//! The help and about windows.

use eframe::egui::{Align2, Context, Grid, RichText, Window};

use crate::base::version::VERSION;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::present::words::PROCDUMP_LINE;

const KEYS: [(&str, &str); 16] = [
    ("Ctrl+O, Ctrl+Shift+O", "open dumps, open a folder; or drop them on the window"),
    ("Ctrl while dropping", "add the files to the open series"),
    ("Ctrl+1 … Ctrl+9", "go to a tab"),
    ("Alt+Left, Alt+Right", "back, forward"),
    ("drag in the plot", "choose an interval: every difference is taken over it; Esc goes back to the whole series"),
    ("click in the plot", "select the nearest dump"),
    ("Ctrl+F", "filter the table"),
    ("click on a column head", "sort; again the other way; again as it was"),
    ("Up, Down, Page Up, Page Down, Home, End", "move through the table"),
    ("Enter, double-click", "go into a row: a region's stacks, a stack's memory, a branch of the tree"),
    ("Left, Right", "close and open a branch of the tree"),
    ("Ctrl+A, Ctrl+C", "select all rows, copy them as a table"),
    ("wheel and drag over the address strip", "zoom into it; double-click shows all"),
    ("F5", "read the files again"),
    ("F12, Shift+F12", "picture of the window to a file, to the clipboard"),
    ("Esc", "cancel what runs"),
];

pub fn help_ui(ui_ctx: &Context, ctx: &ViewCtx<'_>, is_open: bool) {
    let mut is_still_open = is_open;
    Window::new("Keys and first steps")
        .open(&mut is_still_open)
        .collapsible(false)
        .resizable(false)
        .anchor(Align2::CENTER_CENTER, [0.0, 0.0])
        .show(ui_ctx, |ui| {
            ui.set_max_width(560.0);
            ui.label("Open several dumps of one process. The plot shows which use of memory grew; the table beside it says by how much.");
            ui.horizontal(|ui| {
                ui.label("Take them with");
                ui.monospace(PROCDUMP_LINE);
            });
            ui.add_space(8.0);
            Grid::new("keys").num_columns(2).spacing([16.0, 4.0]).show(ui, |ui| {
                for (key, meaning) in KEYS {
                    ui.label(RichText::new(key).strong());
                    ui.label(meaning);
                    ui.end_row();
                }
            });
        });
    if is_open && !is_still_open {
        ctx.send(Command::ShowHelp(false));
    }
}

pub fn about_ui(ui_ctx: &Context, ctx: &ViewCtx<'_>, is_open: bool) {
    let mut is_still_open = is_open;
    Window::new("About dumptrend")
        .open(&mut is_still_open)
        .collapsible(false)
        .resizable(false)
        .anchor(Align2::CENTER_CENTER, [0.0, 0.0])
        .show(ui_ctx, |ui| {
            ui.heading(format!("dumptrend {VERSION}"));
            ui.label("What grew over a series of Windows process memory dumps, and who did it.");
            ui.weak("Licensed under MIT or Apache-2.0. Reads files only; connects to nothing.");
        });
    if is_open && !is_still_open {
        ctx.send(Command::ShowAbout(false));
    }
}
