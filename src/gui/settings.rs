//! What is remembered from one start to the next. A damaged file is put aside, never overwritten in silence.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::present::series_plot::Axis;
use crate::present::traces::leading::SkipRules;
use crate::present::uses::Division;

/// Raised when a field changes its meaning.
const VERSION: u32 = 1;
const MOST_RECENT: usize = 10;

/// Light, dark, or as the system is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum ThemeChoice {
    #[default]
    System,
    Light,
    Dark,
}

/// How the plot's vertical axis counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Scale {
    /// Layers on top of each other.
    #[default]
    Stacked,
    /// One line each, on a logarithmic axis.
    Log,
}

/// The remembered choices. A field that the file lacks has its default.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    pub version: u32,
    pub theme: ThemeChoice,
    /// Factor on all sizes: 1 is normal.
    pub text_size: f32,
    pub window_size: [f32; 2],
    pub division: Division,
    pub axis: Axis,
    pub scale: Scale,
    /// Whether the plot leaves out what instrumentation holds.
    pub is_net: bool,
    /// Where symbols are looked for first, in the form of `_NT_SYMBOL_PATH`.
    pub symbol_path: String,
    /// Whether the servers of `_NT_SYMBOL_PATH` may be asked; those of the path above may, since they were given to this
    /// program.
    pub is_download_on: bool,
    /// Which frames are passed over to find the one that leads a stack.
    pub skip_rules: SkipRules,
    /// Files of another start go to the window that is open. Otherwise each start has a window of its own.
    pub has_one_window: bool,
    /// What was opened, the newest first; each entry is the files and folders of one series.
    pub recent: Vec<Vec<PathBuf>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: VERSION,
            theme: ThemeChoice::default(),
            text_size: 1.0,
            window_size: [1280.0, 720.0],
            division: Division::default(),
            axis: Axis::default(),
            scale: Scale::default(),
            is_net: false,
            symbol_path: String::new(),
            is_download_on: false,
            skip_rules: SkipRules::default(),
            has_one_window: false,
            recent: Vec::new(),
        }
    }
}

impl Settings {
    /// Puts a series at the head of the recent ones.
    pub fn remember(&mut self, inputs: &[PathBuf]) {
        self.recent.retain(|other| other != inputs);
        self.recent.insert(0, inputs.to_vec());
        self.recent.truncate(MOST_RECENT);
    }

    /// Values that a hand-edited file could have, brought into sane bounds.
    fn bounded(mut self) -> Self {
        let bound = |value: f32, least: f32, most: f32, normal: f32| {
            if value.is_finite() { value.clamp(least, most) } else { normal }
        };
        self.text_size = bound(self.text_size, 0.5, 3.0, 1.0);
        let [width, height] = self.window_size;
        self.window_size = [bound(width, 640.0, 16_384.0, 1280.0), bound(height, 400.0, 16_384.0, 720.0)];
        self.recent.truncate(MOST_RECENT);
        self
    }
}

/// Settings as loaded, with what there is to say about that.
pub struct Loaded {
    pub settings: Settings,
    pub message: Option<String>,
}

/// Loads the settings. Without a file they are the defaults; a damaged one is renamed and the defaults are used.
pub fn load(path: Option<&Path>) -> Loaded {
    let defaults = || Loaded { settings: Settings::default(), message: None };
    let Some(path) = path else { return defaults() };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return defaults(),
        Err(error) => return put_aside(path, &error.to_string()),
    };
    match serde_json::from_str::<Settings>(&text) {
        Ok(settings) if settings.version > VERSION => put_aside(path, "a newer version of dumptrend wrote it"),
        Ok(settings) => Loaded { settings: settings.bounded(), message: None },
        Err(error) => put_aside(path, &error.to_string()),
    }
}

fn put_aside(path: &Path, reason: &str) -> Loaded {
    let aside = path.with_extension("damaged.json");
    let kept = match std::fs::rename(path, &aside) {
        Ok(()) => format!("it was kept as {}", aside.display()),
        Err(error) => format!("it could not be kept: {error}"),
    };
    let message = format!("the settings file cannot be used ({reason}) and the defaults are; {kept}");
    Loaded { settings: Settings::default(), message: Some(message) }
}

/// The settings could not be saved; those of the last time are still there.
#[derive(Debug, thiserror::Error)]
#[error("settings cannot be saved: {source}: {}", path.display())]
pub struct SettingsError {
    path: PathBuf,
    source: std::io::Error,
}

/// Saves the settings.
///
/// # Errors
/// When the folder cannot be made or written to.
pub fn save(path: &Path, settings: &Settings) -> Result<(), SettingsError> {
    // The window's way to files goes through jobs, but settings are saved when it closes and must not wait for one.
    let part = path.with_extension("part");
    let write = || {
        let text = serde_json::to_string_pretty(settings)?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&part, text)?;
        std::fs::rename(&part, path)
    };
    write().map_err(|source| SettingsError { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_a_restart() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deep").join("settings.json");
        let mut settings = Settings { theme: ThemeChoice::Dark, ..Settings::default() };
        settings.remember(&[PathBuf::from("a.dmp")]);
        save(&path, &settings).expect("saved");
        assert_eq!(load(Some(&path)).settings, settings);
    }

    #[test]
    fn a_damaged_file_is_kept_and_the_defaults_are_used() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("settings.json");
        std::fs::write(&path, "{ \"theme\": 7").expect("written");
        let loaded = load(Some(&path));
        assert_eq!(loaded.settings, Settings::default());
        assert!(loaded.message.is_some_and(|message| message.contains("damaged.json")));
        assert!(folder.path().join("settings.damaged.json").exists());
    }

    #[test]
    fn absurd_values_are_brought_into_bounds() {
        let settings = Settings { text_size: f32::NAN, window_size: [1.0, 1e9], ..Settings::default() }.bounded();
        assert_eq!(settings.text_size, 1.0);
        assert_eq!(settings.window_size, [640.0, 16_384.0]);
    }
}
