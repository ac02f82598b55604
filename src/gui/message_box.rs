//! Says something where there is no console: a window program of Windows started from Explorer has none.

/// Shows a text until the user has read it.
pub fn show(text: &str, is_error: bool) {
    let level = if is_error { rfd::MessageLevel::Error } else { rfd::MessageLevel::Info };
    rfd::MessageDialog::new().set_title("dumptrend").set_description(text).set_level(level).show();
}
