//! Logs alone, logs of several processes, leaks beside fluctuations, and where the dumps' names do not fit.

use std::path::PathBuf;
use std::sync::Arc;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::run::read_logs;
use dumptrend::analysis::series::shape::Shape;
use dumptrend::analysis::series::umdh_group::Zone;
use dumptrend::base::progress::Progress;
use dumptrend::present::umdh::shape_name;
use dumptrend::report::csv::{CsvTable, csv_report};
use dumptrend::report::text::text_report;
use tempfile::TempDir;

use crate::support::build_umdh::{APP, NTDLL, RawLog, comparison};
use crate::support::sample_series::{analyse, sample_series};

const LEAKS: [u64; 3] = [0x7770_1234, 0x40_1000, 0x40_0100];
const SWINGS: [u64; 3] = [0x7770_1234, 0x40_2000, 0x40_0100];

fn folder_with(files: &[(&str, String)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn read(inputs: &[PathBuf]) -> Arc<Analysis> {
    Arc::new(read_logs(&analyse(inputs), &Progress::default()).expect("nobody cancels"))
}

/// Five logs of one process: one stack grows in each, one swings. Their ids change places in the last log.
fn five_logs() -> TempDir {
    let logs: Vec<(String, String)> = (1..=5_u64)
        .map(|number| {
            let leak = (0x100, 10 * number, LEAKS.to_vec());
            let swing = (0x40, 5 + number % 2, SWINGS.to_vec());
            let stacks = if number == 5 { vec![swing, leak] } else { vec![leak, swing] };
            let log = RawLog { minute: number as u32, pid: 7696, modules: &[APP, NTDLL], stacks };
            (format!("log{number}.txt"), log.text())
        })
        .collect();
    folder_with(&logs.iter().map(|(name, text)| (name.as_str(), text.clone())).collect::<Vec<_>>())
}

#[test]
fn a_leak_and_a_fluctuation_are_told_apart() {
    let folder = five_logs();
    let analysis = read(&[folder.path().to_owned()]);
    let series = analysis.umdh_of(&analysis.log_groups[0]).expect("read");
    let shapes: Vec<_> =
        (0..series.stacks.len()).map(|stack| series.judgement(stack).expect("five logs").shape).collect();
    assert_eq!(shapes, [Shape::Growth, Shape::Fluctuation], "{:?}", shapes.map_names());
    let requested: Vec<Vec<Option<u64>>> = (0..2).map(|stack| series.requested(stack)).collect();
    assert_eq!(requested[0], [2560, 5120, 7680, 10_240, 12_800].map(Some));
    assert_eq!(requested[1], [384, 320, 384, 320, 384].map(Some));
}

trait MapNames {
    fn map_names(&self) -> Vec<&'static str>;
}

impl MapNames for Vec<Shape> {
    fn map_names(&self) -> Vec<&'static str> {
        self.iter().map(|shape| shape_name(*shape)).collect()
    }
}

#[test]
fn logs_alone_are_a_series_whose_zone_is_not_known() {
    let folder = five_logs();
    let analysis = read(&[folder.path().to_owned()]);
    assert!(analysis.snapshots.is_empty() && !analysis.is_empty());
    assert!(analysis.logs.iter().all(|log| log.time.zone == Zone::Unknown));
    assert!(analysis.notes[0].text.contains("the times of 5 logs are taken as UTC"), "{:?}", analysis.notes);
    insta::with_settings!({ snapshot_path => "../snapshots" }, { insta::assert_snapshot!("logs_alone", text_report(&analysis, None)) });
}

#[test]
fn logs_of_other_processes_are_kept_apart() {
    let other = RawLog { minute: 1, pid: 8, modules: &[APP, NTDLL], stacks: vec![(0x10, 1, LEAKS.to_vec())] };
    let same = RawLog { minute: 2, pid: 7696, ..RawLog { stacks: other.stacks.clone(), ..other } };
    let elsewhere = [(0x90_0000, 0x2_0000, APP.2), (0x7000_0000, 0x18_0000, NTDLL.2)];
    let moved = RawLog { minute: 3, pid: 7696, modules: &elsewhere, stacks: vec![(0x10, 1, LEAKS.to_vec())] };
    let first = RawLog { minute: 0, pid: 7696, modules: &[APP, NTDLL], stacks: vec![(0x10, 1, LEAKS.to_vec())] };
    let compared = comparison(&[(1, (0, 0xabc), (0, 1), &["app!f+1"])]);
    let folder = folder_with(&[
        ("a.log", first.text()),
        ("b.log", RawLog { minute: 1, pid: 8, modules: &[APP, NTDLL], stacks: Vec::new() }.text()),
        ("c.log", same.text()),
        ("d.log", moved.text()),
        ("e.log", compared),
    ]);
    let analysis = read(&[folder.path().to_owned()]);
    let names: Vec<Vec<String>> = analysis
        .log_groups
        .iter()
        .map(|group| group.logs.iter().map(|log| analysis.log(*log).expect("a log").file.file_name()).collect())
        .collect();
    // The comparison goes with the first process whose modules lie where its own do.
    assert_eq!(names, [vec!["a.log", "c.log", "e.log"], vec!["b.log"], vec!["d.log"]]);
}

#[test]
fn a_module_that_the_dump_has_not_is_not_named_by_it() {
    let series = sample_series();
    let dump = series.analysis.snapshots[0].dump.path.clone();
    let image = (0x1_3fcc_0000, 0x1_1000, r"C:\AllocFree\AllocFree.exe");
    // As the dump has it, but for another build of ntdll.
    let ntdll = (0x7783_0000, 0x1a_8000, r"C:\Windows\System32\ntdll.dll");
    let kernel = (0x7771_0000, 0x11_f000, r"C:\Windows\System32\kernel32.dll");
    let frames = vec![0x7789_1142, 0x1_3fcc_13cb];
    let log = RawLog { minute: 1, pid: 0x53b4, modules: &[image, ntdll, kernel], stacks: vec![(0x10, 1, frames)] };
    let folder = folder_with(&[("a.log", log.text())]);
    let analysis = read(&[dump, folder.path().join("a.log")]);
    let group = &analysis.log_groups[0];
    assert_eq!(group.dumps, Some(0));
    let names = analysis.umdh_names_of(group);
    let umdh = analysis.umdh_of(group).expect("read");
    let texts: Vec<String> = umdh.frames(0).map(|frame| names.frame_text(frame)).collect();
    assert_eq!(texts, ["ntdll+0x61142", "AllocFree!malloc+0x5b"]);
}

#[test]
fn a_copy_of_a_log_is_left_out() {
    let log = RawLog { minute: 1, pid: 8, modules: &[APP], stacks: vec![(0x10, 1, LEAKS.to_vec())] }.text();
    let folder = folder_with(&[("a.log", log.clone()), ("b.log", log)]);
    let analysis = read(&[folder.path().to_owned()]);
    assert_eq!(analysis.logs.len(), 1);
    assert!(analysis.notes.iter().any(|note| note.text.starts_with("left out as a copy of a.log")));
}

/// An id of 16 bits fits more stacks the more the database has: the id is what says that it is the same.
#[test]
fn a_stack_with_several_candidates_is_known_by_its_id() {
    let log =
        |minute, count| RawLog { minute, pid: 8, modules: &[APP], stacks: vec![(0x10, count, LEAKS.to_vec())] }.text();
    let with_alias = |text: String, more: &str| text.replacen("\t400100\n", &format!("\t400100\n{more}"), 1);
    let folder = folder_with(&[
        ("a.log", with_alias(log(1, 2), "\tAlias\n\t402000\n")),
        ("b.log", with_alias(log(2, 5), "\tAlias\n\t402000\n\tAlias\n\t403000\n")),
    ]);
    let analysis = read(&[folder.path().to_owned()]);
    let series = analysis.umdh_of(&analysis.log_groups[0]).expect("read");
    assert_eq!((series.stacks.len(), series.stacks[0].candidates.len()), (1, 3));
    assert_eq!(series.requested(0), [Some(0x20), Some(0x50)]);
    // One log has no growth.
    let analysis = read(&[folder.path().join("a.log")]);
    let csv = csv_report(&analysis, CsvTable::Umdh, None);
    assert!(csv.lines().nth(1).expect("a row").contains("app+0x1000 (or another of 2),,32,,32,,,"), "{csv}");
}
