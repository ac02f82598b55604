//! Modules in the window: what the Symbols tab compares.

use std::path::PathBuf;

use dumptrend::base::ids::DumpIdx;
use dumptrend::gui::command::Command;
use dumptrend::gui::tab::Tab;
use egui_kittest::kittest::Queryable;

use crate::gui::{sample_window, send, wait_for, window_on};
use crate::modules::eventful_folder;

#[test]
fn modules_that_changed_are_told_and_shown() {
    let folder = eventful_folder();
    let mut harness = window_on(vec![PathBuf::from(folder.path())]);
    send(&mut harness, Command::Show(Tab::Symbols));
    harness.get_by_label("Modules compared").click();
    wait_for(&mut harness, "1 module was replaced by another build between dumps 1 and 3: old.dll (before: 00000007).");
    harness.get_by_label_contains("5 modules in dump 3, 1 loaded, 1 came and went, 1 moved, 1 replaced");
    wait_for(&mut harness, "stays");
    harness.get_by_label("Only changed ones").click();
    harness.run_steps(4);
    assert!(harness.query_by_label("stays").is_none(), "what is the same is left out");
    harness.get_by_label("wanders").click();
    harness.run_steps(4);
    harness.get_by_label("Copy as WinDbg text");
    harness.get_by_label_contains("from dump 3");
    // Another interval has its own changes.
    send(&mut harness, Command::SetInterval(Some((DumpIdx(0), DumpIdx(1)))));
    wait_for(&mut harness, "1 module was unloaded between dumps 1 and 2: wanders.dll.");
}

#[test]
fn modules_that_stay_are_said_to() {
    let (mut harness, _folder) = sample_window();
    send(&mut harness, Command::Show(Tab::Symbols));
    harness.get_by_label("Modules compared").click();
    wait_for(&mut harness, "modules in dump 6");
    harness.get_by_label("ntdll");
    assert!(harness.query_all_by_label_contains("between dumps").next().is_none());
}
