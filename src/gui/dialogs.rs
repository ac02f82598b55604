//! The system's file dialogs, each on a thread of its own so that the window goes on painting.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

use eframe::egui;

use crate::analysis::capsule::EXTENSION as CAPSULE_EXTENSION;
use crate::analysis::run::{DUMP_EXTENSIONS, LOG_EXTENSIONS};

use super::command::Command;

/// What a dialog is for.
enum Purpose {
    OpenFiles,
    AddFiles,
    OpenFolder,
    Save(Vec<u8>),
}

/// What came of a dialog.
pub enum Answer {
    Command(Command),
    /// Write these bytes there.
    Save {
        path: PathBuf,
        bytes: Vec<u8>,
    },
}

/// At most one dialog is open.
#[derive(Default)]
pub struct Dialogs {
    open: Option<Receiver<Option<Answer>>>,
    /// What every dialog is made from: it belongs to the window, and so does not fall behind it.
    of_window: Option<rfd::FileDialog>,
}

impl Dialogs {
    pub fn belong_to(&mut self, window: &eframe::Frame) {
        // Elsewhere another program shows the dialog.
        if cfg!(windows) {
            self.of_window.get_or_insert_with(|| rfd::FileDialog::new().set_parent(window));
        }
    }

    fn dialog(&self, title: &str) -> rfd::FileDialog {
        self.of_window.clone().unwrap_or_default().set_title(title)
    }

    pub fn ask_for_files(&mut self, ctx: &egui::Context) {
        self.show(ctx, files_of_series(self.dialog("Open dumps")), Purpose::OpenFiles);
    }

    pub fn ask_for_more_files(&mut self, ctx: &egui::Context) {
        self.show(ctx, files_of_series(self.dialog("Add dumps to the series")), Purpose::AddFiles);
    }

    pub fn ask_for_folder(&mut self, ctx: &egui::Context) {
        self.show(ctx, self.dialog("Open a folder of dumps"), Purpose::OpenFolder);
    }

    pub fn ask_where_to_save(&mut self, ctx: &egui::Context, file_name: &str, bytes: Vec<u8>) {
        let dialog = self.dialog("Save").set_file_name(file_name);
        self.show(ctx, dialog, Purpose::Save(bytes));
    }

    fn show(&mut self, ctx: &egui::Context, dialog: rfd::FileDialog, purpose: Purpose) {
        if self.open.is_some() {
            return;
        }
        let (send, receiver) = channel();
        let ctx = ctx.clone();
        let started = std::thread::Builder::new().name("file dialog".to_owned()).spawn(move || {
            // The window may have been closed meanwhile.
            drop(send.send(answer(dialog, purpose)));
            ctx.request_repaint();
        });
        if started.is_ok() {
            self.open = Some(receiver);
        }
    }

    /// What the dialog that closed since the last call gave.
    pub fn poll(&mut self) -> Option<Answer> {
        let answer = match self.open.as_ref()?.try_recv() {
            Ok(answer) => answer,
            Err(std::sync::mpsc::TryRecvError::Empty) => return None,
            Err(std::sync::mpsc::TryRecvError::Disconnected) => None,
        };
        self.open = None;
        answer
    }
}

fn files_of_series(dialog: rfd::FileDialog) -> rfd::FileDialog {
    let of_series: Vec<&str> = DUMP_EXTENSIONS.into_iter().chain(LOG_EXTENSIONS).chain([CAPSULE_EXTENSION]).collect();
    // Some dialogs tell letters' cases apart.
    let both_cases = |extensions: &[&str]| -> Vec<String> {
        let upper = extensions.iter().map(|extension| extension.to_uppercase());
        extensions.iter().map(|extension| (*extension).to_owned()).chain(upper).collect()
    };
    dialog
        .add_filter("dumps, UMDH logs, case capsules", &both_cases(&of_series))
        .add_filter("process dumps", &both_cases(&DUMP_EXTENSIONS))
        .add_filter("case capsules", &both_cases(&[CAPSULE_EXTENSION]))
        .add_filter("all files", &["*"])
}

fn answer(dialog: rfd::FileDialog, purpose: Purpose) -> Option<Answer> {
    match purpose {
        Purpose::OpenFiles => dialog.pick_files().map(|files| Answer::Command(Command::Open(files))),
        Purpose::AddFiles => dialog.pick_files().map(|files| Answer::Command(Command::Add(files))),
        Purpose::OpenFolder => dialog.pick_folder().map(|folder| Answer::Command(Command::Open(vec![folder]))),
        Purpose::Save(bytes) => dialog.save_file().map(|path| Answer::Save { path, bytes }),
    }
}
