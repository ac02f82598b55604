//! What a frame of the window costs with 10 million entries of half a million stacks open.
//!
//! `cargo bench --bench window_frame`; see README.md in this folder.

use std::path::Path;
use std::time::{Duration, Instant};

use dumptrend::base::addr::Va;
use dumptrend::gui::app::{App, AppOptions};
use dumptrend::gui::command::Command;
use dumptrend::gui::settings;
use dumptrend::gui::tab::Tab;
use dumptrend::sample::address_space::AddressSpace;
use dumptrend::sample::minidump_file::{MinidumpFile, SystemInfo, flags};
use dumptrend::sample::trace_database::{DatabaseShape, TraceDatabase, TraceEntry};
use eframe::egui::vec2;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;

const ENTRY_COUNT: usize = 10_000_000;
const STACK_COUNT: u64 = 500_000;
const FRAMES: usize = 101;
const BASE: Va = Va(0x1_0000_0000);

type Window = Harness<'static, Option<App>>;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("entries.dmp");
    write_dump(&path);
    let options = AppOptions { inputs: vec![path], ..AppOptions::default() };
    let mut window: Window = Harness::builder().with_size(vec2(1280.0, 720.0)).build_ui_state(
        move |ui, app: &mut Option<App>| {
            let make = || App::new(ui.ctx(), options.clone(), settings::load(None), None);
            app.get_or_insert_with(make).frame(ui);
        },
        None,
    );
    window.step();
    until(&mut window, |window| window.state().as_ref().is_some_and(App::is_idle));
    if let Some(app) = window.state() {
        app.send(Command::Show(Tab::Traces));
    }
    window.run_steps(2);
    println!("{:<10} {:>12} {:>12} {:>8}", "view", "median", "longest", "shapes");
    for view in ["Table", "Tree", "Flame", "dps"] {
        window.get_by_label(view).click();
        window.run_steps(2);
        until(&mut window, |window| {
            ["Joining", "Drawing", "Filtering"]
                .iter()
                .all(|text| window.query_all_by_label_contains(text).next().is_none())
        });
        // What is arranged on a thread is there now.
        std::thread::park_timeout(Duration::from_secs(3));
        window.run_steps(5);
        let mut times: Vec<Duration> = (0..FRAMES).map(|_| frame_time(&mut window)).collect();
        times.sort_unstable();
        let shape_count = window.output().shapes.len();
        println!("{view:<10} {:>9.2} ms {:>9.2} ms {shape_count:>8}", ms(times[FRAMES / 2]), ms(times[FRAMES - 1]));
    }
}

/// Layout and what the renderer is handed: all that a frame costs on the processor but the upload.
fn frame_time(window: &mut Window) -> Duration {
    let start = Instant::now();
    window.step();
    let shapes = window.output().shapes.clone();
    let primitives = window.ctx.tessellate(shapes, 1.0);
    std::hint::black_box(primitives);
    start.elapsed()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn until(window: &mut Window, is_ready: impl Fn(&Window) -> bool) {
    for _ in 0..6000 {
        window.step();
        if is_ready(window) {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("the window is not ready after a minute");
}

/// Stacks that branch at each of their eight levels, so that the tree is as wide as trees are.
fn stack(number: u64) -> Vec<Va> {
    (0..8).map(|level| Va(0x7ff9_0000_0000 + level * 0x1000 + (number >> (level * 2) & 7) * 0x35)).collect()
}

fn write_dump(path: &Path) {
    let shape = DatabaseShape::SEVEN_X64;
    let mut database = TraceDatabase {
        base: BASE,
        reserved_bytes: 1 << 30,
        shape,
        bucket_count: 9551,
        stacks: (0..STACK_COUNT).map(stack).collect(),
        entries: Vec::new(),
        lookup_count: 0,
        failure_count: 0,
    };
    database.entries = (0..ENTRY_COUNT)
        .map(|position| TraceEntry { stack_index: position % STACK_COUNT as usize, use_count: 1 })
        .collect();
    let mut space = AddressSpace::default();
    database.add_to(&mut space).expect("the database fits its reservation");
    drop(database);
    let system =
        SystemInfo { processor_architecture: SystemInfo::ARCHITECTURE_AMD64, platform_id: 2, ..SystemInfo::default() };
    MinidumpFile::new(flags::WITH_FULL_MEMORY | flags::WITH_FULL_MEMORY_INFO, 1_300_000_000)
        .system_info(system)
        .memory64(space.memory_ranges().expect("the pieces lie in their runs"))
        .memory_infos(space.memory_infos(Va(0x7fff_0000_0000)).expect("no overlap"))
        .write_to(path)
        .expect("there is room for 1 GiB");
}
