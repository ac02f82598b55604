//! The console program.

use std::process::ExitCode;

fn main() -> ExitCode {
    dumptrend::cli::run()
}
