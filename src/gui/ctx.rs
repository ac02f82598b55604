//! What a view is given: everything to read, and a way to ask.

use std::cell::RefCell;

use eframe::egui::{RichText, Ui};

use super::command::Command;
use super::session::Session;
use super::settings::Settings;
use super::theme::Theme;
use super::widgets::table::TableOutput;

/// Read-only but for the queue of commands.
pub struct ViewCtx<'a> {
    pub session: &'a Session,
    pub settings: &'a Settings,
    pub theme: &'a Theme,
    commands: &'a RefCell<Vec<Command>>,
}

impl<'a> ViewCtx<'a> {
    pub const fn new(
        session: &'a Session,
        settings: &'a Settings,
        theme: &'a Theme,
        commands: &'a RefCell<Vec<Command>>,
    ) -> Self {
        Self { session, settings, theme, commands }
    }

    /// Asks for something; it happens before the next frame is painted.
    pub fn send(&self, command: Command) {
        self.commands.borrow_mut().push(command);
    }

    /// A small button that copies the WinDbg command which shows the same.
    pub fn windbg_button(&self, ui: &mut Ui, command: &str) {
        let text = RichText::new(command).monospace().small();
        if ui.small_button(text).on_hover_text("Copy as WinDbg").clicked() {
            self.send(Command::CopyText(command.to_owned()));
        }
    }

    /// Passes on what the user copied from a table or saves of it.
    pub fn send_texts(&self, output: TableOutput, file_name: impl FnOnce() -> String) {
        if let Some(text) = output.copied {
            self.send(Command::CopyText(text));
        }
        if let Some(text) = output.csv {
            self.send(Command::SaveText { file_name: file_name(), text });
        }
    }
}
