//! The window program. Where no window can be opened it says why and what to do, and prints the text report where there
//! is a console for it.
#![cfg_attr(windows, windows_subsystem = "windows")]

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;
use dumptrend::base::version::VERSION;
use dumptrend::cli;
use dumptrend::gui::app::AppOptions;
use dumptrend::gui::renderer::Renderer;
use dumptrend::gui::{self, GuiError, message_box};

/// Shows what grew over a series of Windows process memory dumps, and who did it.
#[derive(Parser)]
#[command(name = "dumptrend", version = VERSION)]
struct Arguments {
    /// Dumps and UMDH logs, and folders that hold them (.dmp, .mdmp, .hdmp; .log, .txt).
    inputs: Vec<PathBuf>,
    /// Open the built-in sample series.
    #[arg(long, conflicts_with = "inputs")]
    sample: bool,
    /// Draw the window with this and nothing else. Without it each is tried, the first one first.
    #[arg(long)]
    renderer: Option<Renderer>,
    /// Delete the caches of this user and end; the uninstaller asks for it.
    #[arg(long, hide = true)]
    remove_caches: bool,
    /// Why those renderers failed that were tried before.
    #[arg(long, hide = true, value_name = "TEXT")]
    failed: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return answer_usage(&error).into(),
    };
    if arguments.remove_caches {
        return cli::forget_caches();
    }
    let options = AppOptions {
        inputs: arguments.inputs.clone(),
        open_sample: arguments.sample,
        sample_folder: cli::sample_folder(),
        settings_path: gui::default_settings_path(),
        screenshot_and_quit: std::env::var_os("DUMPTREND_SCREENSHOT").map(PathBuf::from),
    };
    let renderer = arguments.renderer.unwrap_or(Renderer::FIRST);
    let error = match gui::run(options, renderer) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(error) => error,
    };
    let GuiError::NoDisplay(reason) = &error;
    let failed = format!("{}: {reason}", renderer.title());
    let is_forced = arguments.renderer.is_some() && arguments.failed.is_empty();
    if !is_forced && renderer.next().is_some_and(|next| start_again(&arguments, next, &failed)) {
        return ExitCode::SUCCESS;
    }
    if has_console() {
        eprintln!("dumptrend: {error}; the text report follows");
        return cli::print_text_report(&arguments.inputs, arguments.sample);
    }
    message_box::show(&no_window_text(&arguments.failed, &failed, is_forced), true);
    ExitCode::FAILURE
}

/// Starts the program again with another renderer: a process can have one event loop.
fn start_again(arguments: &Arguments, renderer: Renderer, failed: &str) -> bool {
    let Ok(program) = std::env::current_exe() else { return false };
    let mut command = Command::new(program);
    command.args(["--renderer", renderer.name()]);
    for reason in arguments.failed.iter().map(String::as_str).chain([failed]) {
        // One word, so that a reason that begins with a hyphen is no option.
        command.arg(format!("--failed={reason}"));
    }
    if arguments.sample {
        command.arg("--sample");
    }
    command.arg("--").args(&arguments.inputs);
    command.spawn().is_ok()
}

fn no_window_text(earlier: &[String], failed: &str, is_forced: bool) -> String {
    let reasons = earlier.iter().map(String::as_str).chain([failed]).collect::<Vec<_>>().join("\n");
    let advice = if is_forced {
        "Start dumptrend without --renderer, which tries everything that can draw.".to_owned()
    } else {
        // No installer puts it where a console finds it by its name.
        let console_program = std::env::current_exe().unwrap_or_default().with_file_name("dumptrend-cli");
        format!(
            "Update the graphics driver; on a machine without graphics hardware update Windows, whose own software device \
             can draw the window too.\n\nUntil then the console program gives the same answers:\n\"{}\" report FILES",
            console_program.display()
        )
    };
    format!(
        "The window cannot be opened: nothing that was tried can draw it.\n\n{advice}\n\nWhat was tried:\n{reasons}"
    )
}

/// The help or what is wrong with the command line, where the user can see it.
fn answer_usage(error: &clap::Error) -> cli::Outcome {
    if !has_console() {
        message_box::show(&error.render().to_string(), error.use_stderr());
    }
    cli::usage_outcome(error)
}

/// Whether anybody can see what is printed. A window program of Windows has no console, but may have been given a file
/// or a pipe.
#[cfg(windows)]
fn has_console() -> bool {
    use std::os::windows::io::AsRawHandle;
    !std::io::stdout().as_raw_handle().is_null() && !std::io::stderr().as_raw_handle().is_null()
}

#[cfg(not(windows))]
const fn has_console() -> bool {
    true
}
