//! A few pictures of the window, where geometry matters. They need a Vulkan device; Mesa's software one will do.

use dumptrend::base::addr::Va;
use dumptrend::base::ids::DumpIdx;
use dumptrend::gui::app::AppOptions;
use dumptrend::gui::command::Command;
use dumptrend::gui::selection::Item;
use dumptrend::gui::settings::ThemeChoice;
use dumptrend::gui::tab::Tab;

use egui_kittest::kittest::Queryable;

use crate::gui::{Window, sample_window, wait, wait_for, window};

fn check(harness: &mut Window, commands: Vec<Command>, picture: &str) {
    for command in commands {
        harness.state().as_ref().expect("made in the first frame").send(command);
        wait(harness);
    }
    harness.run_steps(8);
    harness.snapshot(picture);
}

#[test]
fn the_empty_window() {
    check(&mut window(AppOptions::default()), vec![Command::SetTheme(ThemeChoice::Dark)], "empty");
}

#[test]
fn the_overview_in_the_dark() {
    let (mut harness, _folder) = sample_window();
    check(&mut harness, vec![Command::SetTheme(ThemeChoice::Dark)], "overview-dark");
}

#[test]
fn an_interval_in_the_light() {
    let (mut harness, _folder) = sample_window();
    let interval = Some((DumpIdx(1), DumpIdx(3)));
    check(&mut harness, vec![Command::SetTheme(ThemeChoice::Light), Command::SetInterval(interval)], "interval-light");
}

#[test]
fn the_regions() {
    let (mut harness, _folder) = sample_window();
    let region = Item::Region { dump: DumpIdx(5), start: Va(0x1b_0000) };
    let commands = vec![Command::SetTheme(ThemeChoice::Dark), Command::Show(Tab::Regions), Command::Select(region)];
    check(&mut harness, commands, "regions-dark");
}

#[test]
fn the_flame_graph_in_the_light() {
    let (mut harness, _folder) = sample_window();
    let app = harness.state().as_ref().expect("made in the first frame");
    app.send(Command::SetTheme(ThemeChoice::Light));
    app.send(Command::Show(Tab::Traces));
    wait(&mut harness);
    harness.get_by_label("Flame").click();
    wait_for(&mut harness, "AllocFree!wmain  148,863 entries");
    wait_for(&mut harness, "became full between dumps 5 and 6");
    check(&mut harness, Vec::new(), "flame-light");
}
