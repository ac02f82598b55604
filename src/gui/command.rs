//! Everything that a view or a menu can ask for. Applied in one place, once a frame: `logic`.

use std::path::PathBuf;

use crate::analysis::diagnosis::evidence::Place;
use crate::analysis::diagnosis::pattern::PatternId;
use crate::base::ids::DumpIdx;
use crate::jobs::JobId;
use crate::present::series_plot::Axis;
use crate::present::traces::leading::SkipRules;
use crate::present::uses::Division;

use super::selection::Item;
use super::settings::{Scale, ThemeChoice};
use super::tab::Tab;

/// A request.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Open these files and folders as a new series.
    Open(Vec<PathBuf>),
    /// Open these files and folders together with those that are open.
    Add(Vec<PathBuf>),
    OpenSample,
    AskForFiles,
    /// Ask for files to open together with those that are open.
    AskForMoreFiles,
    AskForFolder,
    Reload,
    CloseSeries,
    ForgetRecent,
    Show(Tab),
    Select(Item),
    /// Show where a piece of evidence can be looked at.
    ShowPlace(Place),
    /// Show one finding with its advice.
    ShowFinding(PatternId),
    Back,
    Forward,
    /// Compare with this dump; `None` is the first of the process.
    SetBaseline(Option<DumpIdx>),
    /// Compare these two dumps; `None` is from the baseline to the last.
    SetInterval(Option<(DumpIdx, DumpIdx)>),
    SetDivision(Division),
    SetAxis(Axis),
    SetScale(Scale),
    /// Whether the plot leaves out what instrumentation holds.
    SetNet(bool),
    SetSkipRules(SkipRules),
    /// Look for symbols in these places, now and from now on.
    SetSymbolPath(String),
    /// Ask the servers of `_NT_SYMBOL_PATH` for symbols.
    SetDownload(bool),
    SetTheme(ThemeChoice),
    SetTextSize(f32),
    /// Whether other starts hand their files to this window.
    SetOneWindow(bool),
    CopyText(String),
    /// Ask where to save a text and save it.
    SaveText {
        file_name: String,
        text: String,
    },
    /// Run commands of an advice as administrator; the user has seen them and agreed.
    #[cfg(windows)]
    RunElevated(Vec<String>),
    /// Make the HTML report and ask where to save it.
    SaveReport,
    /// Make a case capsule and ask where to save it.
    SaveCapsule,
    SaveScreenshot,
    CopyScreenshot,
    CancelJob(JobId),
    CancelAll,
    DismissMessage,
    ShowHelp(bool),
    ShowAbout(bool),
    Quit,
}
