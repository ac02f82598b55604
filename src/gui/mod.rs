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
mod screenshot;
pub mod selection;
pub mod session;
pub mod settings;
mod shell;
pub mod tab;
mod theme;
mod views;
mod widgets;

use std::path::PathBuf;

use app::{App, AppOptions};
use eframe::egui;

/// The window could not be opened; the text report can still be printed.
#[derive(Debug, thiserror::Error)]
pub enum GuiError {
    #[error("no display can be opened: {0}")]
    NoDisplay(String),
}

/// Opens the window and runs it until it is closed.
///
/// # Errors
/// When the system has no display, or none that OpenGL can draw on.
pub fn run(options: AppOptions) -> Result<(), GuiError> {
    let settings = settings::load(options.settings_path.as_deref());
    let viewport = egui::ViewportBuilder::default()
        .with_title("dumptrend")
        .with_app_id("dumptrend")
        .with_inner_size(settings.settings.window_size)
        .with_min_inner_size([640.0, 400.0])
        .with_drag_and_drop(true)
        .with_icon(icon());
    let native = eframe::NativeOptions { viewport, renderer: eframe::Renderer::Glow, ..Default::default() };
    eframe::run_native(
        "dumptrend",
        native,
        Box::new(move |creation| Ok(Box::new(App::new(&creation.egui_ctx, options, settings)))),
    )
    .map_err(|error| GuiError::NoDisplay(reason(&error.to_string())))
}

/// winit puts its own source file before the reason.
fn reason(text: &str) -> String {
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
