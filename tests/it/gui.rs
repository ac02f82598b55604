//! The window, driven by the names that a screen reader hears. Needs no display and no renderer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dumptrend::base::addr::Va;
use dumptrend::base::ids::DumpIdx;
use dumptrend::base::units::grouped;
use dumptrend::gui::app::{App, AppOptions};
use dumptrend::gui::command::Command;
use dumptrend::gui::selection::Item;
use dumptrend::gui::settings::{self, ThemeChoice};
use dumptrend::gui::tab::Tab;
use eframe::egui::{self, Key, Modifiers, pos2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};

use crate::support::shared::shared_file;

/// The window as state of a harness; it is made in the first frame, when there is a context.
pub type Window = Harness<'static, Option<App>>;

/// A window of the smallest size that must not cut anything off, with nothing open.
pub fn window(options: AppOptions) -> Window {
    let mut harness = Harness::builder().with_size(vec2(1280.0, 720.0)).build_ui_state(
        move |ui, app: &mut Option<App>| {
            let make = || App::new(ui.ctx(), options.clone(), settings::load(options.settings_path.as_deref()), None);
            app.get_or_insert_with(make).frame(ui);
        },
        None,
    );
    harness.step();
    harness
}

/// A window with files open, waited for.
pub fn window_on(inputs: Vec<PathBuf>) -> Window {
    let mut harness = window(AppOptions { inputs, ..AppOptions::default() });
    wait(&mut harness);
    harness
}

/// A window on the sample series, and the folder that it lies in.
pub fn sample_window() -> (Window, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = AppOptions { open_sample: true, sample_folder: folder.path().to_owned(), ..AppOptions::default() };
    let mut harness = window(options);
    wait(&mut harness);
    (harness, folder)
}

pub fn app(harness: &Window) -> &App {
    harness.state().as_ref().expect("made in the first frame")
}

/// Frames until nothing runs in the background, then a few more for tables to settle.
pub fn wait(harness: &mut Window) {
    const MOST_POLLS: u32 = 3000;
    for _ in 0..MOST_POLLS {
        harness.step();
        if app(harness).is_idle() {
            harness.run_steps(4);
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("jobs are still running");
}

pub fn send(harness: &mut Window, command: Command) {
    app(harness).send(command);
    wait(harness);
}

/// Frames until a text is on the screen: long tables are arranged on a thread.
pub fn wait_for(harness: &mut Window, text: &str) {
    const MOST_POLLS: u32 = 500;
    for _ in 0..MOST_POLLS {
        if harness.query_all_by_label_contains(text).next().is_some() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
        harness.step();
    }
    panic!("{text:?} never came on the screen");
}

fn copied(harness: &Window) -> Option<String> {
    harness.output().platform_output.commands.iter().find_map(|command| match command {
        egui::OutputCommand::CopyText(text) => Some(text.clone()),
        _ => None,
    })
}

#[test]
fn an_empty_window_says_what_to_drop_and_how_to_get_it() {
    let harness = window(AppOptions::default());
    harness.get_by_label("Drop the dumps of one process here");
    harness.get_by_label_contains("procdump -accepteula -ma");
    harness.get_by_label("Open the sample series");
}

#[test]
fn the_button_of_the_empty_window_opens_the_sample() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = AppOptions { sample_folder: folder.path().to_owned(), ..AppOptions::default() };
    let mut harness = window(options);
    harness.get_by_label("Open the sample series").click();
    harness.step();
    wait(&mut harness);
    assert_eq!(app(&harness).session().analysis.snapshots.len(), 6);
    harness.get_by_label_contains("Committed memory grew by");
}

#[test]
fn every_tab_shows_something() {
    let (mut harness, _folder) = sample_window();
    for tab in Tab::ALL {
        harness.get_by_label(tab.title()).click();
        harness.run_steps(3);
        match tab {
            Tab::Overview => {
                harness.get_by_label("From dump 1 to dump 6");
            }
            Tab::Symbols => {
                harness.get_by_label("Symbol path");
            }
            Tab::Threads => {
                harness.get_by_label("Equal stacks");
            }
            Tab::Traces | Tab::Umdh => {
                harness.get_by_label("With a frame");
            }
            Tab::Findings => {
                harness.get_by_label("Copy all");
            }
            Tab::Regions | Tab::Heaps | Tab::Log => {
                harness.get_by_label("Filter");
            }
        }
    }
}

#[test]
fn tabs_have_keys() {
    let (mut harness, _folder) = sample_window();
    harness.key_press_modifiers(Modifiers::CTRL, Key::Num2);
    harness.run_steps(3);
    harness.get_by_label("Address space");
    harness.key_press_modifiers(Modifiers::CTRL, Key::Num1);
    harness.run_steps(3);
    harness.get_by_label("From dump 1 to dump 6");
}

#[test]
fn a_click_in_the_list_selects_a_dump_and_back_undoes_it() {
    let (mut harness, _folder) = sample_window();
    harness.get_by_label_contains("dump 3 allocfree-3.dmp").click();
    harness.run_steps(3);
    harness.get_by_label("Dump 3");
    harness.key_press_modifiers(Modifiers::ALT, Key::ArrowLeft);
    harness.run_steps(3);
    harness.get_by_label("Dump 6");
    harness.key_press_modifiers(Modifiers::ALT, Key::ArrowRight);
    harness.run_steps(3);
    harness.get_by_label("Dump 3");
}

#[test]
fn a_drag_in_the_plot_chooses_an_interval_and_escape_leaves_it() {
    let (mut harness, _folder) = sample_window();
    harness.hover_at(pos2(392.0, 300.0));
    harness.step();
    harness.drag_at(pos2(392.0, 300.0));
    harness.step();
    harness.hover_at(pos2(500.0, 300.0));
    harness.step();
    harness.hover_at(pos2(585.0, 300.0));
    harness.step();
    harness.drop_at(pos2(585.0, 300.0));
    harness.run_steps(4);
    assert_eq!(app(&harness).session().interval, Some((DumpIdx(1), DumpIdx(3))));
    harness.get_by_label("From dump 2 to dump 4");
    harness.key_press(Key::Escape);
    harness.run_steps(4);
    harness.get_by_label("From dump 1 to dump 6");
}

#[test]
fn the_legend_switches_a_use_off_and_on() {
    let (mut harness, _folder) = sample_window();
    let is_on = |harness: &Window| {
        let node =
            harness.get_by(|node| node.role() == egui::Role::CheckBox && node.label().as_deref() == Some("heap"));
        node.accesskit_node().toggled() == Some(egui::accesskit::Toggled::True)
    };
    assert!(is_on(&harness));
    harness.get_by(|node| node.role() == egui::Role::CheckBox && node.label().as_deref() == Some("heap")).click();
    harness.run_steps(3);
    assert!(!is_on(&harness));
}

#[test]
fn the_filter_counts_and_ctrl_c_copies_what_is_shown() {
    let (mut harness, _folder) = sample_window();
    harness.key_press_modifiers(Modifiers::CTRL, Key::Num2);
    harness.run_steps(3);
    harness.get_by_label("75 rows");
    harness.key_press_modifiers(Modifiers::CTRL, Key::F);
    harness.run_steps(2);
    harness.get_by_label("Filter").type_text("~0; reserve");
    harness.run_steps(3);
    harness.get_by_label("1 of 75 rows");
    harness.get_by_label("Copy rows").click();
    // The copy happens in the frame after the click, when commands are applied.
    let text = (0..4).find_map(|_| {
        harness.step();
        copied(&harness)
    });
    let text = text.expect("rows were copied");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines.iter().all(|line| line.matches('\t').count() == 8), "{text}");
    assert!(lines[1].contains("MEM_RESERVE") && lines[1].contains("stack"), "{text}");
}

#[test]
fn a_long_table_paints_only_what_is_in_sight_and_keys_move_through_it() {
    let Some(path) = shared_file("dumps/electron.dmp") else { return };
    let mut harness = window_on(vec![path]);
    harness.key_press_modifiers(Modifiers::CTRL, Key::Num2);
    harness.run_steps(4);
    let row_count = app(&harness).session().analysis.snapshots[0].address_space.regions.len();
    assert!(row_count >= 22_014);
    let rows_text = format!("{} rows", grouped(row_count as u64));
    harness.get_by_label(&rows_text);
    let node_count = harness.root().children_recursive().count();
    assert!(node_count < 1500, "{node_count} nodes for a screen of rows");
    harness.key_press(Key::End);
    harness.run_steps(4);
    let session = app(&harness).session();
    let last = session.analysis.snapshots[0].address_space.regions.last().expect("regions").range.start;
    assert_eq!(session.selected, Some(Item::Region { dump: DumpIdx(0), start: last }));
    harness.get_by_label("Filter").focus();
    harness.run_steps(2);
    harness.get_by_label("Filter").type_text("ntdll.dll");
    wait_for(&mut harness, &format!("of {rows_text}"));
}

#[test]
fn the_difference_of_two_dumps_shows_what_grew_first() {
    let (mut harness, _folder) = sample_window();
    harness.key_press_modifiers(Modifiers::CTRL, Key::Num2);
    harness.run_steps(3);
    harness.get_by_label("Difference of dumps 1 and 6").click();
    wait_for(&mut harness, "Allocations: 2 grew (+23.1 MB)");
}

#[test]
fn from_the_database_region_to_its_stacks() {
    let (mut harness, _folder) = sample_window();
    let region = Item::Region { dump: DumpIdx(5), start: Va(0x1b_0000) };
    send(&mut harness, Command::Show(Tab::Regions));
    send(&mut harness, Command::Select(region));
    harness.get_by_label("Show its stacks").click();
    harness.run_steps(4);
    harness.get_by_label_contains("148,863 entries, 20 unique stacks");
    wait_for(&mut harness, "20 of 20 rows");
    harness.get_by_label("00000001`3fcc1015 AllocFree!foo20+0x15");
}

#[test]
fn a_bad_file_is_told_in_one_line_and_what_was_open_stays() {
    let (mut harness, folder) = sample_window();
    let text_file = folder.path().join("notes.txt");
    std::fs::write(&text_file, "no dump").expect("written");
    send(&mut harness, Command::Open(vec![text_file]));
    harness.get_by_label_contains("is a text file, not a user-mode minidump");
    assert_eq!(app(&harness).session().analysis.snapshots.len(), 6);
    harness.get_by_label("Dismiss").click();
    harness.run_steps(3);
    assert!(harness.query_by_label("Dismiss").is_none());
    // It stays in the log.
    harness.key_press_modifiers(Modifiers::CTRL, Key::Num9);
    harness.run_steps(3);
    harness.get_by_label_contains("is a text file, not a user-mode minidump");
}

#[test]
fn one_bad_file_among_good_ones_leaves_the_good_ones() {
    let (mut harness, folder) = sample_window();
    std::fs::write(folder.path().join("cut.dmp"), b"MDMP").expect("written");
    send(&mut harness, Command::Open(vec![folder.path().to_owned()]));
    assert_eq!(app(&harness).session().analysis.snapshots.len(), 6);
    harness.get_by_label_contains("only the first bytes of a minidump");
}

#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &std::path::Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("the window opens paths".to_owned())
    }
}

#[test]
fn dropped_files_open() {
    let (mut source, folder) = sample_window();
    source.step();
    let mut harness = window(AppOptions::default());
    harness.input_mut().dropped_files.push(Arc::new(Dropped(folder.path().join("allocfree-2.dmp"))));
    harness.step();
    harness.input_mut().dropped_files.clear();
    wait(&mut harness);
    harness.get_by_label_contains("dump 1 allocfree-2.dmp");
}

#[test]
fn choices_survive_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = AppOptions { settings_path: Some(folder.path().join("settings.json")), ..AppOptions::default() };
    let mut harness = window(options.clone());
    send(&mut harness, Command::SetTheme(ThemeChoice::Light));
    drop(harness);
    let harness = window(options);
    assert_eq!(harness.ctx.theme(), egui::Theme::Light);
}

#[test]
fn a_dump_without_a_map_says_so_instead_of_showing_zeros() {
    let Some(path) = shared_file("dumps/null_write_av.dmp") else { return };
    let harness = window_on(vec![path]);
    harness.get_by_label_contains("This dump does not hold the map of the process's memory");
    harness.get_by_label_contains("there is nothing to plot");
}

/// The sample, on the Traces tab, in one of its views.
fn traces_in(view: &str) -> (Window, tempfile::TempDir) {
    let (mut harness, folder) = sample_window();
    harness.key_press_modifiers(Modifiers::CTRL, Key::Num5);
    harness.run_steps(3);
    harness.get_by_label(view).click();
    harness.run_steps(4);
    (harness, folder)
}

#[test]
fn two_keys_lead_from_the_plot_to_a_decoded_stack() {
    let (mut harness, _folder) = sample_window();
    harness.key_press_modifiers(Modifiers::CTRL, Key::Num5);
    harness.run_steps(4);
    wait_for(&mut harness, "20 of 20 rows");
    harness.get_by_label("00000000`77891142 ntdll!RtlpAllocateHeap+0x33bd");
    // Down to another stack, and into its memory.
    harness.key_press(Key::ArrowDown);
    harness.run_steps(3);
    harness.key_press(Key::Enter);
    harness.run_steps(4);
    harness.get_by_label_contains("Entry at 00000000`001d");
    harness.get_by_label_contains("2,996,224 rows");
}

#[test]
fn the_table_tells_what_grew_and_that_the_database_is_full() {
    let (mut harness, _folder) = traces_in("Table");
    wait_for(&mut harness, "became full between dumps 5 and 6");
    harness.get_by_label_contains("+144,447 entries, 100.0 % of them repeat 20 stacks");
    harness.get_by_label_contains("100.0 % of the reservation is used");
}

#[test]
fn stacks_are_filtered_by_any_of_their_frames() {
    let (mut harness, _folder) = traces_in("Table");
    harness.key_press_modifiers(Modifiers::CTRL, Key::F);
    harness.run_steps(2);
    harness.get_by_label("With a frame").type_text("foo15 malloc");
    harness.run_steps(4);
    harness.get_by_label("15 of 20 stacks");
    harness.get_by_label("Without a frame").focus();
    harness.run_steps(2);
    harness.get_by_label("Without a frame").type_text("FOO3");
    harness.run_steps(4);
    harness.get_by_label("12 of 20 stacks");
    harness.get_by_label("Clear").click();
    harness.run_steps(4);
    harness.get_by_label("20 stacks");
}

#[test]
fn the_tree_opens_and_closes_by_keys() {
    let (mut harness, _folder) = traces_in("Tree");
    wait_for(&mut harness, "24 rows");
    harness.get_by_label_contains("AllocFree!wmain");
    for _ in 0..5 {
        harness.key_press(Key::ArrowDown);
        harness.run_steps(2);
    }
    harness.key_press(Key::ArrowRight);
    harness.run_steps(3);
    harness.get_by_label("25 rows");
    harness.key_press(Key::ArrowLeft);
    harness.run_steps(3);
    harness.get_by_label("24 rows");
    // Once more, and the parent closes.
    harness.key_press(Key::ArrowLeft);
    harness.run_steps(3);
    harness.get_by_label("4 rows");
    harness.get_by_label("callees first").click();
    wait_for(&mut harness, "▾ ntdll!RtlpAllocateHeap");
}

#[test]
fn a_click_zooms_into_the_flame_graph() {
    let (mut harness, _folder) = traces_in("Flame");
    wait_for(&mut harness, "AllocFree!wmain  148,863 entries (100.0 %), +144,447");
    harness.get_by_label_contains("AllocFree!foo1  7,4").click();
    harness.run_steps(2);
    // The others are gone: one stack, in which each function stands once, fills the width.
    for _ in 0..200 {
        if harness.query_all_by_label_contains("AllocFree!foo10  ").count() == 1 {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(5));
        harness.step();
    }
    assert_eq!(harness.query_all_by_label_contains("AllocFree!foo10  ").count(), 1);
    harness.get_by_label("Whole graph").click();
    for _ in 0..200 {
        if harness.query_all_by_label_contains("AllocFree!foo10  ").count() == 10 {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(5));
        harness.step();
    }
    panic!("the whole graph did not come back");
}

#[test]
fn memory_is_listed_from_any_address() {
    let (mut harness, _folder) = traces_in("dps");
    harness.get_by_label("Go to address").focus();
    harness.run_steps(2);
    harness.get_by_label("Go to address").type_text("0188be50");
    harness.key_press(Key::Enter);
    harness.run_steps(4);
    harness.get_by_label("Entry at 00000000`0188be50");
    harness.get_by_label("2457d (148,861)");
    harness.get_by_label("Copy entry as dps text").click();
    let text = (0..4).find_map(|_| {
        harness.step();
        copied(&harness)
    });
    let text = text.expect("the entry was copied");
    assert_eq!(text.lines().next(), Some("00000000`0188be50 00000000`0188b1d0"));
    assert_eq!(text.lines().nth(2), Some("00000000`0188be60 00000000`77891142 ntdll!RtlpAllocateHeap+0x33bd"));
    harness.get_by_label("Go to address").focus();
    harness.run_steps(2);
    harness.get_by_label("Go to address").type_text("5");
    harness.key_press(Key::Enter);
    harness.run_steps(4);
    harness.get_by_label("no committed memory of dump 6 lies there");
}

#[test]
fn which_frame_leads_a_stack_is_the_users_choice() {
    let (mut harness, _folder) = traces_in("Table");
    harness.get_by_label("Leading frame…").click();
    harness.run_steps(3);
    harness.get_by_label("Functions to pass over, one a line").focus();
    harness.run_steps(2);
    harness.key_press_modifiers(Modifiers::CTRL, Key::End);
    harness.run_steps(2);
    harness.get_by_label("Functions to pass over, one a line").type_text("\nfoo*");
    harness.run_steps(2);
    harness.get_by_label("Apply").click();
    harness.run_steps(4);
    assert!(harness.query_all_by_label("AllocFree!wmain+0x53").count() > 10, "the rows in sight");
    assert!(harness.query_all_by_label("AllocFree!foo20+0x15").next().is_none(), "no stack is named by it any more");
}

#[test]
fn opening_the_sample_ends_another_opening() {
    let (mut harness, folder) = sample_window();
    app(&harness).send(Command::Open(vec![folder.path().join("allocfree-1.dmp")]));
    app(&harness).send(Command::OpenSample);
    wait(&mut harness);
    assert_eq!(app(&harness).session().analysis.snapshots.len(), 6, "the one asked for last is shown");
}

#[test]
fn the_threads_tab_shows_who_burns_the_cpu_and_what_it_does() {
    let (mut harness, _folder) = sample_window();
    harness.key_press_modifiers(Modifiers::CTRL, Key::Num4);
    wait_for(&mut harness, "0:53b8");
    wait_for(&mut harness, "logging a trace");
    harness.get_by_label("0 days 3:22:02.354");
    // From dump 2 to 3 the thread kept nearly one core busy, and its stack changed.
    harness.get_by_label("0.95 ≠");
    harness.get_by_label_contains("4 outer frames are the same");
    harness.get_by_label_contains("above them ntdll!");
    harness.get_by_label_contains("(2.7 KB in use, 0.2 % of it; 24.0 KB of 1.0 MB committed)");
    let kc = "Call Site\nntdll!RtlpStdLogCapturedStackTrace\nntdll!RtlStdLogStackTrace\n";
    assert_eq!(harness.query_all_by_label_contains(kc).count(), 2, "in two dumps, side by side");
    harness.get_by_label("k").click();
    harness.run_steps(3);
    let k = "00000000`001af510 00000000`778c848c     ntdll!RtlpStdLogCapturedStackTrace+0x8d";
    harness.get_by_label_contains(k);
}

#[test]
fn threads_are_joined_to_a_tree_and_to_equal_stacks() {
    let (mut harness, _folder) = sample_window();
    harness.key_press_modifiers(Modifiers::CTRL, Key::Num4);
    harness.run_steps(3);
    harness.get_by_label("Tree").click();
    wait_for(&mut harness, "▾ ntdll!RtlUserThreadStart");
    harness.get_by_label("threads");
    harness.get_by_label("Equal stacks").click();
    wait_for(&mut harness, "ntdll!RtlpStdLogCapturedStackTrace+0x8d");
}

#[test]
fn the_symbols_tab_says_what_was_tried_for_each_module() {
    let (mut harness, folder) = sample_window();
    harness.get_by_label("PDBs: 0 of 4 modules").click();
    harness.run_steps(4);
    harness.get_by_label("4 rows");
    harness.get_by_label("AllocFree").click();
    harness.run_steps(4);
    harness.get_by_label_contains("AllocFree.pdb: not in");
    // Another path is looked in at once, and remembered.
    let place = folder.path().join("symbols");
    harness.get_by_label("Symbol path").focus();
    harness.run_steps(2);
    harness.get_by_label("Symbol path").type_text(&place.display().to_string());
    harness.key_press(Key::Enter);
    harness.run_steps(2);
    wait(&mut harness);
    harness.run_steps(4);
    harness.get_by_label_contains(&format!("AllocFree.pdb: not in {}", place.display()));
    // Servers that nobody named to this program are asked only with this box.
    let is_on = |harness: &Window| {
        harness.get_by_label("Download from the servers of _NT_SYMBOL_PATH").accesskit_node().toggled()
    };
    assert_eq!(is_on(&harness), Some(egui::accesskit::Toggled::False));
    harness.get_by_label("Download from the servers of _NT_SYMBOL_PATH").click();
    harness.run_steps(4);
    wait(&mut harness);
    harness.run_steps(4);
    assert_eq!(is_on(&harness), Some(egui::accesskit::Toggled::True));
}

#[test]
fn the_overview_tells_the_case_and_a_finding_leads_to_its_card_and_its_evidence() {
    let (mut harness, _folder) = sample_window();
    harness.get_by_label_contains(
        "Found: Instrumentation Side Effect, Insufficient Memory (Stack Trace Database), Spiking Thread 53b8, Memory Fluctuation; ruled out",
    );
    harness.get_by_label_contains("20 stacks for 148,863 entries");
    harness.get_by_label("Spiking Thread 53b8").click();
    wait(&mut harness);
    harness.get_by_label_contains("What would refute this: the same CPU time");
    harness.get_by_label("thread 53b8 was logging a trace in 6 of 6 dumps").click();
    wait(&mut harness);
    let selected = app(&harness).session().selected;
    assert_eq!(selected, Some(Item::Thread { dump: DumpIdx(5), tid: 0x53b8 }));
    harness.get_by_label("Equal stacks");
}

/// Clicks what has this name, and gives what that copied: a command takes effect in a later frame.
fn copied_by(harness: &mut Window, label: &str) -> Option<String> {
    harness.get_all_by_label(label).next().expect("a button").click();
    (0..5).find_map(|_| {
        harness.step();
        copied(harness)
    })
}

#[test]
fn a_card_copies_the_windbg_command_and_the_advice() {
    let (mut harness, _folder) = sample_window();
    send(&mut harness, Command::Show(Tab::Findings));
    assert_eq!(copied_by(&mut harness, "!gflag").as_deref(), Some("!gflag"));
    assert_eq!(copied_by(&mut harness, "Copy command").as_deref(), Some("gflags /i AllocFree.exe -ust"));
    assert_eq!(copied_by(&mut harness, "Copy undo").as_deref(), Some("gflags /i AllocFree.exe +ust"));
}

#[test]
fn another_interval_has_other_findings() {
    let (mut harness, _folder) = sample_window();
    send(&mut harness, Command::SetInterval(Some((DumpIdx(3), DumpIdx(4)))));
    harness.get_by_label("Spiking Thread");
    harness.get_by_label("Memory Leak (process heap)");
    assert!(harness.query_by_label("Spiking Thread 53b8").is_none());
}

#[test]
fn the_plot_can_leave_out_what_instrumentation_holds_and_handles_are_counted_by_type() {
    let (mut harness, _folder) = sample_window();
    harness.get_by_label("stack trace database");
    harness.get_by_label("net of instrumentation").click();
    wait(&mut harness);
    assert!(harness.query_by_label("stack trace database").is_none());
    harness.get_by_label("Handles").click();
    wait(&mut harness);
    harness.get_by_label("Event");
}

/// The Heaps tab on the sample series, its blocks counted.
fn heaps_tab() -> (Window, tempfile::TempDir) {
    let (mut harness, folder) = sample_window();
    harness.key_press_modifiers(Modifiers::CTRL, Key::Num3);
    wait_for(&mut harness, "No heap leak: the heaps do not grow.");
    wait_for(&mut harness, "3 rows");
    harness.run_steps(4);
    (harness, folder)
}

#[test]
fn the_heaps_tab_answers_first_and_lists_all_heaps() {
    let (harness, _folder) = heaps_tab();
    harness.get_by_label_contains("All 3 heaps together: 1.4 MB committed in both dumps");
    harness.get_by_label_contains("with the stack that allocated them");
    for heap in ["00000000`019c0000", "00000000`00010000", "00000000`00020000"] {
        assert!(harness.query_all_by_label(heap).next().is_some(), "{heap}");
    }
    harness.get_by_label("3 of 3 rows");
    harness.get_by_label("Blocks by size");
}

#[test]
fn the_heaps_tab_prints_what_windbg_prints() {
    let (mut harness, _folder) = heaps_tab();
    harness.get_by_label("!heap -s").click();
    harness.run_steps(3);
    harness.get_by_label_contains(
        "00000000019c0000 08000002    4096   1444   4096   1164     4     3    0      0   LFH\n    \
         External fragmentation  80 % (4 free blocks)",
    );
    harness.get_by_label("Copy").click();
    let text = (0..4).find_map(|_| {
        harness.step();
        copied(&harness)
    });
    assert!(text.expect("the listing was copied").starts_with("NtGlobalFlag enables following debugging aids"));
}

#[test]
fn the_blocks_of_a_heap_have_their_memory_and_their_stack() {
    let (mut harness, _folder) = heaps_tab();
    harness.get_by_label("Blocks").click();
    wait_for(&mut harness, "Heap 00000000`019c0000 in dump 6.");
    wait_for(&mut harness, " rows");
    harness.run_steps(4);
    // The first block is shown beside the list: its fields, its stack, its memory.
    for title in ["Block 00000000`019c", "UserPtr", "UserSize", "Allocated by", "Memory"] {
        assert!(harness.query_all_by_label_contains(title).next().is_some(), "{title}");
    }
    harness.get_by_label_contains("!heap -p -a 00000000`019c").click();
    let text = (0..4).find_map(|_| {
        harness.step();
        copied(&harness)
    });
    assert!(text.expect("the command was copied").starts_with("!heap -p -a 00000000`019c"));
    harness.get_by_label("Filter").focus();
    harness.run_steps(2);
    harness.get_by_label("Filter").type_text("LFH");
    wait_for(&mut harness, "busy, LFH");
}

/// Two clicks in one frame: a harness lets a quarter of a second pass with each frame, too long for a double click.
fn double_click(harness: &mut Window, pos: egui::Pos2) {
    harness.hover_at(pos);
    harness.step();
    for pressed in [true, false, true, false] {
        let button = egui::PointerButton::Primary;
        let click = egui::Event::PointerButton { pos, button, pressed, modifiers: Modifiers::NONE };
        harness.input_mut().events.push(click);
    }
    harness.step();
}

#[test]
fn a_double_click_on_a_size_lists_its_blocks() {
    let (mut harness, _folder) = heaps_tab();
    // The largest share comes first. A size with a letter in it is no count.
    let has_letter = |text: &String| text.contains(['a', 'b', 'c', 'd', 'e', 'f']);
    let mut sizes = (1..0x1000_u64).map(|granules| format!("{:x}", granules * 0x10)).filter(has_letter);
    let shown = |text: &String| harness.query_all_by_label(text).next().map(|node| node.rect().center());
    let (text, size) = sizes.find_map(|text| Some((text.clone(), shown(&text)?))).expect("a size");
    double_click(&mut harness, size);
    wait_for(&mut harness, &format!("size {text}"));
    wait_for(&mut harness, "Heap 00000000`019c0000 in dump 6.");
    harness.get_by_label("All sizes").click();
    harness.run_steps(3);
    assert!(harness.query_by_label(&format!("size {text}")).is_none());
}

#[test]
fn a_cells_menu_copies_it_and_the_command_by_which_windbg_shows_it() {
    let (mut harness, _folder) = sample_window();
    send(&mut harness, Command::Show(Tab::Regions));
    harness.query_all_by_label("MEM_IMAGE").next().expect("a region's type").click_secondary();
    harness.run_steps(4);
    harness.get_by_label("Copy the value");
    harness.get_by_label("Copy the row");
    harness.get_by_label_contains("Copy as WinDbg: !address ").click();
    let command = (0..5).find_map(|_| {
        harness.step();
        copied(&harness)
    });
    assert!(command.as_ref().is_some_and(|text| text.starts_with("!address 0")), "{command:?}");
}
