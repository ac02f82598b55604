//! The window's state: its fields and how it begins. What happens each frame is in `logic` and `shell`.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui;

use crate::base::ids::DumpIdx;
use crate::jobs::open_series::JobOutput;
use crate::jobs::{JobId, Jobs};
use crate::present::log::LogEntry;

use super::command::Command;
use super::dialogs::Dialogs;
use super::running_window::Incoming;
use super::screenshot::Screenshots;
use super::selection::History;
use super::session::Session;
use super::settings::{Loaded, Settings};
use super::views::Views;
use super::{shell, theme};

/// How the window begins.
#[derive(Clone, Debug, Default)]
pub struct AppOptions {
    /// Files and folders to open at once.
    pub inputs: Vec<PathBuf>,
    /// Open the sample series at once.
    pub open_sample: bool,
    /// Where the sample series is written when it is asked for.
    pub sample_folder: PathBuf,
    /// Where settings live; `None` remembers nothing (tests).
    pub settings_path: Option<PathBuf>,
    /// Save one picture when the first series is open, and end (for checks without a person).
    pub screenshot_and_quit: Option<PathBuf>,
}

/// The window.
pub struct App {
    pub(super) options: AppOptions,
    pub(super) settings: Settings,
    pub(super) saved_settings: Settings,
    pub(super) session: Session,
    pub(super) history: History,
    pub(super) views: Views,
    pub(super) jobs: Jobs<JobOutput>,
    /// The job that opens a series, with what it opens.
    pub(super) opening: Option<(JobId, Vec<PathBuf>)>,
    /// Files of other starts, when they come to this window.
    pub(super) incoming: Option<Incoming>,
    /// The one that reads symbols, if it still runs.
    pub(super) naming_job: Option<JobId>,
    pub(super) dialogs: Dialogs,
    pub(super) screenshots: Screenshots,
    pub(super) commands: RefCell<Vec<Command>>,
    /// The program's own messages, for the Log tab.
    pub(super) messages: Vec<LogEntry>,
    /// The newest message, in the status bar until it is dismissed.
    pub(super) message: Option<Message>,
    /// What is judged now, or was last: the generation and the dumps.
    pub(super) judging: Option<((u64, Vec<DumpIdx>), JobId)>,
    /// A case capsule is to be made as soon as nothing runs.
    pub(super) is_capsule_wanted: bool,
    pub(super) is_help_open: bool,
    pub(super) is_about_open: bool,
    /// Whether the window's size has been held against its monitor's.
    pub(super) is_fitted: bool,
}

/// One line in the status bar.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub text: String,
    /// Stays until it is dismissed.
    pub is_error: bool,
}

impl App {
    pub fn new(ctx: &egui::Context, options: AppOptions, loaded: Loaded, incoming: Option<Incoming>) -> Self {
        theme::install(ctx, loaded.settings.theme);
        ctx.set_zoom_factor(loaded.settings.text_size);
        let to_wake = ctx.clone();
        let mut app = Self {
            settings: loaded.settings.clone(),
            saved_settings: loaded.settings,
            session: Session::default(),
            history: History::default(),
            views: Views::default(),
            jobs: Jobs::new(Arc::new(move || to_wake.request_repaint())),
            opening: None,
            incoming: None,
            naming_job: None,
            dialogs: Dialogs::default(),
            screenshots: Screenshots::new(options.screenshot_and_quit.clone()),
            commands: RefCell::new(Vec::new()),
            messages: Vec::new(),
            message: None,
            judging: None,
            is_capsule_wanted: false,
            is_help_open: false,
            is_about_open: false,
            is_fitted: false,
            options,
        };
        app.receive_from(ctx, incoming);
        if let Some(text) = loaded.message {
            app.tell(text, true);
        }
        if app.options.open_sample {
            app.commands.borrow_mut().push(Command::OpenSample);
        } else if !app.options.inputs.is_empty() {
            app.commands.borrow_mut().push(Command::Open(app.options.inputs.clone()));
        }
        app
    }

    /// What is open.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Whether nothing runs in the background.
    pub fn is_idle(&self) -> bool {
        self.jobs.is_idle() && self.commands.borrow().is_empty()
    }

    /// Asks for something, as a menu does.
    pub fn send(&self, command: Command) {
        self.commands.borrow_mut().push(command);
    }

    /// One frame without eframe around it, for tests.
    pub fn frame(&mut self, ui: &mut egui::Ui) {
        self.run_logic(ui.ctx());
        shell::shell_ui(self, ui);
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, frame: &mut eframe::Frame) {
        self.dialogs.belong_to(frame);
        self.run_logic(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        shell::shell_ui(self, ui);
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.jobs.cancel_all();
        self.save_settings();
    }
}
