//! The window program. Without a display it says so and prints the text report.
#![cfg_attr(windows, windows_subsystem = "windows")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use dumptrend::cli;
use dumptrend::gui::app::AppOptions;

/// Shows what grew over a series of Windows process memory dumps, and who did it.
#[derive(Parser)]
#[command(name = "dumptrend", version)]
struct Arguments {
    /// Dumps and UMDH logs, and folders that hold them (.dmp, .mdmp, .hdmp; .log, .txt).
    inputs: Vec<PathBuf>,
    /// Open the built-in sample series.
    #[arg(long, conflicts_with = "inputs")]
    sample: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return cli::usage_outcome(&error).into(),
    };
    let options = AppOptions {
        inputs: arguments.inputs.clone(),
        open_sample: arguments.sample,
        sample_folder: cli::sample_folder(),
        settings_path: dumptrend::gui::default_settings_path(),
        screenshot_and_quit: std::env::var_os("DUMPTREND_SCREENSHOT").map(PathBuf::from),
    };
    match dumptrend::gui::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dumptrend: {error}; the text report follows");
            cli::print_text_report(&arguments.inputs, arguments.sample)
        }
    }
}
