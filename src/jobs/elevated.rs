//! Runs a command of an advice as administrator, on Windows: the system asks the user first.
//!
//! **Invariant:** only gflags, and only from the folder that the Windows Kits install it to: a program of that name beside a
//! customer's dumps must never get an administrator's rights.

use std::path::PathBuf;

use super::open_series::JobOutput;

/// Where the debuggers of the Windows 10 and 11 kits are installed.
const KIT_FOLDERS: [&str; 3] = ["x64", "arm64", "x86"];

/// Runs the lines one after the other and stops at the first that fails.
pub fn run_elevated(lines: &[String]) -> JobOutput {
    let Some(gflags) = gflags_path() else {
        let text = "gflags.exe is not where the Windows Kits install it; save the script or the registry file instead";
        return JobOutput::Failed(text.to_owned());
    };
    for line in lines {
        let words = words(line);
        let Some((_, arguments)) = words.split_first().filter(|(program, _)| **program == "gflags") else {
            return JobOutput::Failed(format!("only gflags is run from here: {line}"));
        };
        match runas::Command::new(&gflags).args(arguments).show(true).status() {
            Ok(status) if status.success() => {}
            Ok(status) => {
                return JobOutput::Failed(format!("{line}: ended with {status}; was the question answered with no?"));
            }
            Err(error) => return JobOutput::Failed(format!("{line}: {error}")),
        }
    }
    JobOutput::Ran(lines.join("; "))
}

fn gflags_path() -> Option<PathBuf> {
    let roots = ["ProgramFiles(x86)", "ProgramFiles"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    let kits = roots.flat_map(|root| {
        KIT_FOLDERS.map(|folder| root.join(r"Windows Kits\10\Debuggers").join(folder).join("gflags.exe"))
    });
    kits.into_iter().find(|path| path.is_file())
}

/// The words of a line that this program made: separated by spaces, a name with spaces in quotes.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for (number, part) in line.split('"').enumerate() {
        if number % 2 == 1 {
            words.push(part);
        } else {
            words.extend(part.split_whitespace());
        }
    }
    words
}
