//! The window. Built with egui; the only folder that knows a toolkit.
//!
//! Each frame has two halves: `logic` (jobs, commands; no painting) and `shell` (bars and the current view). A view reads
//! the analysis, writes only its own state, and asks for anything else by sending a [`command::Command`].

pub mod app;
mod background;
mod bars;
mod call_panels;
pub mod command;
mod ctx;
mod dialogs;
mod logic;
pub mod message_box;
pub mod renderer;
mod running_window;
mod screenshot;
pub mod selection;
pub mod session;
pub mod settings;
mod shell;
pub mod tab;
mod theme;
mod views;
mod widgets;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::jobs::panic_text;

use app::{App, AppOptions};
use eframe::egui;
use renderer::Renderer;
use running_window::{Start, hand_over_or_listen, name_of_this_user};

/// The window could not be opened; the text report can still be printed.
#[derive(Debug, thiserror::Error)]
pub enum GuiError {
    #[error("no display can be opened: {0}")]
    NoDisplay(String),
}

/// Opens the window and runs it until it is closed, or hands the files to the window that is open already.
///
/// # Errors
/// When the system has no display, or none that the renderer can draw on.
pub fn run(options: AppOptions, renderer: Renderer) -> Result<(), GuiError> {
    let settings = settings::load(options.settings_path.as_deref());
    let incoming = if settings.settings.has_one_window && options.screenshot_and_quit.is_none() {
        match hand_over_or_listen(&name_of_this_user(), &options.inputs) {
            Start::HandedOver => return Ok(()),
            Start::Window(incoming) => incoming,
        }
    } else {
        None
    };
    let viewport = egui::ViewportBuilder::default()
        .with_title("dumptrend")
        .with_app_id("dumptrend")
        .with_inner_size(settings.settings.window_size)
        .with_min_inner_size([640.0, 400.0])
        .with_drag_and_drop(true)
        .with_icon(icon());
    let native = renderer.choose(eframe::NativeOptions { viewport, ..Default::default() });
    let is_open = Arc::new(AtomicBool::new(false));
    let opened = Arc::clone(&is_open);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        eframe::run_native(
            "dumptrend",
            native,
            Box::new(move |creation| {
                opened.store(true, Ordering::Relaxed);
                Ok(Box::new(App::new(&creation.egui_ctx, options, settings, incoming)))
            }),
        )
    }));
    match ended {
        Ok(result) => result.map_err(|error| GuiError::NoDisplay(reason(&error))),
        // A driver that is not what it claims to be can end in a panic of the renderer, before there is a window.
        Err(panic) if !is_open.load(Ordering::Relaxed) => Err(GuiError::NoDisplay(panic_text(panic.as_ref()))),
        Err(panic) => resume_unwind(panic),
    }
}

/// The reason in words: winit puts its own source file before it, the renderers print whole structures.
fn reason(error: &eframe::Error) -> String {
    if let eframe::Error::NoGlutinConfigs(_, error) = error {
        return format!("none of its configurations can draw a window ({error})");
    }
    let text = error.to_string();
    let text = text.trim_end_matches(": {}");
    text.rsplit(".rs:").next().and_then(|rest| rest.split_once(": ")).map_or(text, |(_, reason)| reason).to_owned()
}

/// Where settings live when nothing else is asked for; `None` when the system does not say where a user's files go.
pub fn default_settings_path() -> Option<PathBuf> {
    let folders = directories::ProjectDirs::from("", "", "dumptrend")?;
    Some(folders.config_dir().join("settings.json"))
}

fn icon() -> egui::IconData {
    let bytes = include_bytes!("../../assets/icon-256.png");
    eframe::icon_data::from_png_bytes(bytes).unwrap_or_default()
}
