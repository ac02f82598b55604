//! The UMDH tab, by the names that a screen reader hears.

use dumptrend::base::ids::LogIdx;
use dumptrend::gui::command::Command;
use dumptrend::gui::selection::Item;
use dumptrend::gui::tab::Tab;
use eframe::egui::{Key, Modifiers, Role};
use egui_kittest::kittest::{NodeT, Queryable};

use crate::gui::{Window, sample_window, send, wait_for, window_on};
use crate::support::build_umdh::umdh_seeds;
use crate::support::shared::shared_file;

fn umdh_tab() -> (Window, tempfile::TempDir) {
    let (mut harness, folder) = sample_window();
    send(&mut harness, Command::Show(Tab::Umdh));
    (harness, folder)
}

#[test]
fn the_tab_says_that_nothing_leaks_and_shows_the_stacks() {
    let (mut harness, _folder) = umdh_tab();
    harness.get_by_label("20 stacks in 6 logs: none leaks, 20 fluctuate.");
    harness.get_by_label_contains("All blocks together: Fluctuation");
    wait_for(&mut harness, "20 of 20 rows");
    harness.get_by_label("00000001`3fcc1015 AllocFree!foo20+0x15");
    assert_eq!(harness.query_all_by_label("Fluctuation").count(), harness.query_all_by_label("-8 B").count());
}

#[test]
fn stacks_are_filtered_by_any_frame() {
    let (mut harness, _folder) = umdh_tab();
    harness.key_press_modifiers(Modifiers::CTRL, Key::F);
    harness.run_steps(2);
    harness.get_by_label("With a frame").type_text("foo15 malloc");
    wait_for(&mut harness, "15 of 15 rows");
    harness.get_by_label("Clear").click();
    wait_for(&mut harness, "20 of 20 rows");
}

#[test]
fn a_log_that_is_chosen_becomes_the_second_point() {
    let (mut harness, _folder) = umdh_tab();
    harness.get_by_label("First point: log 1 · 05-12 10:08");
    harness.get_by_label("Second point: log 6 · 05-12 20:13");
    send(&mut harness, Command::Select(Item::Log(LogIdx(2))));
    harness.get_by_label("Second point: log 3 · 05-12 14:05");
    // The dump of that moment is the one that other tabs show.
    harness.get_by_label("Dump 3");
    harness.get_by_label("First and last").click();
    harness.run_steps(3);
    harness.get_by_label("Second point: log 6 · 05-12 20:13");
}

#[test]
fn a_log_is_compared_with_what_a_dump_has() {
    let (mut harness, _folder) = umdh_tab();
    harness.get_by_label("First point: log 1 · 05-12 10:08").click();
    harness.run_steps(3);
    // It stands among the stack's amounts too, where it cannot be clicked.
    let mut found = harness.query_all_by_label("dump 2 · 05-12 12:04");
    found.find(|node| node.accesskit_node().role() == Role::Button).expect("in the list").click();
    drop(found);
    harness.run_steps(3);
    harness.get_by_label("First point: dump 2 · 05-12 12:04");
    harness.get_by_label("dump 2");
    harness.get_by_label_contains("531 entries of the database");
}

#[test]
fn the_list_at_the_left_leads_to_a_log() {
    let (_source, folder) = sample_window();
    let names = ["allocfree-1.dmp", "allocfree-1.log", "allocfree-2.log", "allocfree-3.log", "allocfree-4.log"];
    let mut harness = window_on(names.map(|name| folder.path().join(name)).to_vec());
    harness.get_by_label("4 UMDH logs").click();
    // It unfolds over some frames.
    harness.run_steps(20);
    harness
        .get_by_label_contains("log 3 allocfree-3.log (raw, 2011-05-12 14:05:00 UTC (local 2011-05-12 16:05:00")
        .click();
    harness.run_steps(4);
    harness.get_by_label("Second point: log 3 · 05-12 14:05");
}

#[test]
fn without_logs_the_tab_says_how_to_take_them() {
    let (_source, folder) = sample_window();
    let mut harness = window_on(vec![folder.path().join("allocfree-1.dmp")]);
    send(&mut harness, Command::Show(Tab::Umdh));
    harness.get_by_label("No UMDH log is open");
    harness.get_by_label("umdh -p:21428 -f:log1.txt");
    harness.get_by_label("gflags /i AllocFree.exe +ust");
}

#[test]
fn logs_alone_open_on_their_tab_and_the_others_say_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in umdh_seeds() {
        std::fs::write(folder.path().join(name), bytes).expect("written");
    }
    let mut harness = window_on(vec![folder.path().to_owned()]);
    harness.get_by_label("Process");
    harness.get_by_label_contains("stacks in 7 logs");
    for tab in [Tab::Overview, Tab::Regions, Tab::Threads, Tab::Traces] {
        send(&mut harness, Command::Show(tab));
        harness.get_by_label_contains("Only UMDH logs are open");
    }
    send(&mut harness, Command::Show(Tab::Log));
    harness.get_by_label("Filter");
}

#[test]
fn a_comparison_is_shown_as_one_interval() {
    let Some(path) = shared_file("umdh/notepad-comparison.txt") else { return };
    let mut harness = window_on(vec![path]);
    harness.get_by_label_contains("One interval: 734 stacks changed by +865,847 bytes, as its closing line says");
    harness.get_by_label_contains("Its numbers are decimal");
    harness.key_press_modifiers(Modifiers::CTRL, Key::F);
    harness.run_steps(2);
    harness.get_by_label("With a frame").type_text("pgalloc.cxx");
    wait_for(&mut harness, "of 1");
    harness.get_by_label_contains("combase!CInternalPageAllocator::Grow+0x3b (onecore");
}
