//! The version that the programs show, and on Windows their icon, version resource and manifest. Nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let version = match commit() {
        Some(commit) => format!("{} ({commit})", variable("CARGO_PKG_VERSION")),
        None => variable("CARGO_PKG_VERSION"),
    };
    println!("cargo::rustc-env=DUMPTREND_VERSION={version}");
    if variable("CARGO_CFG_TARGET_OS") == "windows" {
        // The window cannot be built without its feature, and a resource for what is not built is an error.
        if std::env::var_os("CARGO_FEATURE_GUI").is_some() {
            add_resources("dumptrend", "dumptrend", &version);
        }
        add_resources("dumptrend-cli", "dumptrend on the console", &version);
    }
}

/// The short id of the commit that is built, from `DUMPTREND_COMMIT` where the source has no history. A quick build for
/// development has none: it would be built again after each commit.
fn commit() -> Option<String> {
    println!("cargo::rerun-if-env-changed=DUMPTREND_COMMIT");
    if let Ok(commit) = std::env::var("DUMPTREND_COMMIT") {
        return Some(commit).filter(|commit| !commit.is_empty());
    }
    if variable("PROFILE") == "debug" {
        return None;
    }
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")).canonicalize().ok()?;
    // Source that was unpacked inside of another repository has not that one's history.
    let repository = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()?;
    if repository != root {
        return None;
    }
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        // Cargo builds each time when it waits for a file that is not there.
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=10", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
}

/// Compiled by windres, which comes with MinGW's gcc, or by the Windows SDK's rc.
fn add_resources(program: &str, description: &str, version: &str) {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let icon = root.join("assets").join("icon.ico");
    let manifest = root.join("assets").join("windows.manifest");
    for file in [&icon, &manifest] {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let mut resource = winresource::WindowsResource::new();
    resource
        .set_icon(&text(&icon))
        .set_manifest_file(&text(&manifest))
        .set("FileDescription", description)
        .set("ProductName", "dumptrend")
        .set("ProductVersion", version)
        .set("CompanyName", "dumptrend")
        .set("LegalCopyright", "MIT OR Apache-2.0")
        .set("InternalName", program)
        .set("OriginalFilename", &format!("{program}.exe"));
    if let Err(error) = resource.compile_for(program) {
        panic!(
            "the resources of {program}.exe cannot be made: {error}; is windres of MinGW or the Windows SDK installed?"
        );
    }
}

/// A path as it stands in a resource script.
fn text(path: &Path) -> String {
    path.display().to_string()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
