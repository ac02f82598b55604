//! Modules over the dumps of a series: loaded, unloaded, moved, replaced, and unloaded again and again.

use std::sync::Arc;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::series::modules::{ModuleChange, SeriesModules, module_histories};
use dumptrend::base::addr::Va;
use dumptrend::base::ids::DumpIdx;
use dumptrend::present::modules::{ModuleTable, change_lines, lm_lines, summary};
use dumptrend::present::table::TableModel;
use dumptrend::report::csv::{CsvTable, csv_report};
use dumptrend::report::html::html_report;
use dumptrend::report::json::json_report;
use dumptrend::report::text::text_report;
use dumptrend::sample::minidump_file::{MinidumpFile, Module, UnloadedModule, flags, rsds_record};
use serde_json::{Value, json};

use crate::support::build_dump::{NEW_YEAR_UNIX_SECONDS, image, module, snapshot, windows_7};
use crate::support::build_process::Process;
use crate::support::sample_series::{analyse, sample_series};

const APP: u64 = 0x1_4000_0000;

fn build(base: u64, name: &str, time_date_stamp: u32) -> Module {
    Module { time_date_stamp, version: Some([1, 0, 0, 1]), ..module(base, 0x1_0000, &format!(r"C:\app\{name}")) }
}

fn unloaded(base: u64, name: &str, time_date_stamp: u32) -> UnloadedModule {
    UnloadedModule { base: Va(base), size_bytes: 0x1_0000, checksum: 0, time_date_stamp, name: name.to_owned() }
}

/// A dump with these modules besides the program; its map has an image at each base.
fn dump(hours: u32, modules: &[Module], unloaded: Option<&[UnloadedModule]>) -> MinidumpFile {
    let mut all = vec![build(APP, "app.exe", 1)];
    all.extend_from_slice(modules);
    let images = modules.iter().map(|module| image(module.base.0, u64::from(module.size_bytes))).collect();
    let file = MinidumpFile::new(flags::WITH_FULL_MEMORY_INFO, NEW_YEAR_UNIX_SECONDS + hours * 3600)
        .system_info(windows_7(9))
        .modules(all)
        .memory_infos(Process::default().with_regions(images).memory_infos());
    match unloaded {
        None => file,
        Some(unloaded) => file.unloaded_modules(unloaded.to_vec()),
    }
}

fn followed(dumps: &[MinidumpFile]) -> SeriesModules {
    module_histories(&dumps.iter().map(|dump| Arc::new(snapshot(dump))).collect::<Vec<_>>())
}

/// What became of the modules of a name, from the first to the last dump.
fn changes(series: &SeriesModules, name: &str) -> Vec<Option<ModuleChange>> {
    let of_name = series.histories.iter().filter(|history| history.name == name);
    of_name.map(|history| series.change(history, 0, series.has_list.len() - 1)).collect()
}

/// What happens, the modules before and after, and what each of them did.
type Case<'a> = (&'a str, &'a [Module], &'a [Module], &'a [ModuleChange]);

const A: u64 = 0x1000_0000;
const B: u64 = 0x2000_0000;

#[test]
fn a_module_is_known_by_its_base_and_build() {
    let cases: [Case<'_>; 7] = [
        ("same", &[build(A, "x.dll", 7)], &[build(A, "X.DLL", 7)], &[ModuleChange::Same]),
        ("loaded", &[], &[build(A, "x.dll", 7)], &[ModuleChange::Loaded]),
        ("unloaded", &[build(A, "x.dll", 7)], &[], &[ModuleChange::Unloaded]),
        ("moved", &[build(A, "x.dll", 7)], &[build(B, "x.dll", 7)], &[ModuleChange::Moved]),
        ("another build in its place", &[build(A, "x.dll", 7)], &[build(A, "x.dll", 8)], &[ModuleChange::Replaced]),
        ("another build elsewhere", &[build(A, "x.dll", 7)], &[build(B, "x.dll", 8)], &[ModuleChange::Replaced]),
        (
            "two of one name, in two places",
            &[build(A, "x.dll", 7), build(B, "x.dll", 7)],
            &[build(B, "x.dll", 7), build(A, "x.dll", 7)],
            &[ModuleChange::Same, ModuleChange::Same],
        ),
    ];
    for (what, before, after, expect) in cases {
        let series = followed(&[dump(0, before, None), dump(1, after, None)]);
        let found: Vec<ModuleChange> =
            ["x.dll", "X.DLL"].iter().flat_map(|name| changes(&series, name)).flatten().collect();
        assert_eq!(found, expect, "{what}");
        assert_eq!(changes(&series, "app.exe"), [Some(ModuleChange::Same)], "{what}");
    }
}

#[test]
fn another_pdb_is_another_build_and_a_missing_one_says_nothing() {
    let with = |guid: u8| Module { code_view: rsds_record([guid; 16], 1, "x.pdb"), ..build(A, "x.dll", 7) };
    let replaced = followed(&[dump(0, &[with(1)], None), dump(1, &[with(2)], None)]);
    assert_eq!(changes(&replaced, "x.dll"), [Some(ModuleChange::Replaced)]);
    let same = followed(&[dump(0, &[with(1)], None), dump(1, &[build(A, "x.dll", 7)], None)]);
    assert_eq!(changes(&same, "x.dll"), [Some(ModuleChange::Same)]);
}

#[test]
fn what_is_loaded_between_two_dumps_comes_and_goes() {
    let x = || build(A, "x.dll", 7);
    let series = followed(&[dump(0, &[], None), dump(1, &[x()], None), dump(2, &[], None)]);
    assert_eq!(changes(&series, "x.dll"), [Some(ModuleChange::CameAndWent)]);
    // Back at another base after a dump without it: still the same module.
    let y = build(B, "x.dll", 7);
    let series = followed(&[dump(0, &[x()], None), dump(1, &[], None), dump(2, &[y], None)]);
    assert_eq!(changes(&series, "x.dll"), [Some(ModuleChange::Moved)]);
}

#[test]
fn a_dump_without_a_module_list_says_nothing_about_modules() {
    let without = MinidumpFile::new(flags::WITH_FULL_MEMORY_INFO, NEW_YEAR_UNIX_SECONDS).system_info(windows_7(9));
    let series =
        followed(&[dump(0, &[build(A, "x.dll", 7)], None), without.memory_infos(Process::default().memory_infos())]);
    assert_eq!(changes(&series, "x.dll"), [None]);
}

#[test]
fn more_entries_for_unloaded_modules_are_unloads_in_between() {
    let x = || build(A, "x.dll", 7);
    let gone = |count: usize| vec![unloaded(A, "x.dll", 7); count];
    let series = followed(&[dump(0, &[x()], Some(&gone(1))), dump(1, &[x()], Some(&gone(2)))]);
    assert_eq!(changes(&series, "x.dll"), [Some(ModuleChange::Reloaded)]);
    let series = followed(&[dump(0, &[], Some(&gone(0))), dump(1, &[], Some(&gone(1)))]);
    assert_eq!(changes(&series, "x.dll"), [Some(ModuleChange::CameAndWent)]);
    // Windows forgot some: no change. And a dump without the list proves nothing.
    let series = followed(&[dump(0, &[x()], Some(&gone(2))), dump(1, &[x()], Some(&gone(1)))]);
    assert_eq!(changes(&series, "x.dll"), [Some(ModuleChange::Same)]);
    let series = followed(&[dump(0, &[x()], None), dump(1, &[x()], Some(&gone(1)))]);
    assert_eq!(changes(&series, "x.dll"), [Some(ModuleChange::Same)]);
}

#[test]
fn windows_cuts_the_names_of_unloaded_modules() {
    let name = "a-plug-in-with-a-rather-long-name-for-a-file.dll";
    let cut: String = name.chars().take(31).collect();
    let series = followed(&[dump(0, &[build(A, name, 7)], Some(&[unloaded(A, &cut, 7)]))]);
    let counts: Vec<_> =
        series.histories.iter().map(|history| (history.name.as_str(), history.unload_count(0))).collect();
    assert_eq!(counts, [(name, Some(1)), ("app.exe", None)]);
}

/// A series in which each kind of change happens once, in a folder of its own.
pub fn eventful_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stays = build(0x3000_0000, "stays.dll", 5);
    let plug_in = |count| vec![unloaded(0x5000_0000, "plugin.dll", 6); count];
    let dumps = [
        dump(0, &[build(A, "old.dll", 7), stays.clone(), build(B, "wanders.dll", 9)], Some(&plug_in(0))),
        dump(1, &[build(A, "old.dll", 8), stays.clone()], Some(&plug_in(2))),
        dump(
            2,
            &[build(A, "old.dll", 8), stays, build(0x4000_0000, "wanders.dll", 9), build(0x6000_0000, "new.dll", 3)],
            Some(&plug_in(4)),
        ),
    ];
    for (number, dump) in dumps.iter().enumerate() {
        dump.write_to(&folder.path().join(format!("{number}.dmp"))).expect("the dump is written");
    }
    folder
}

fn eventful() -> Arc<Analysis> {
    Arc::new(analyse(&[eventful_folder().path().to_owned()]))
}

#[test]
fn the_table_has_the_columns_of_lm_and_what_became_of_each() {
    let analysis = eventful();
    let table = ModuleTable::new(&analysis, DumpIdx(0), DumpIdx(2)).expect("dumps of one process");
    let shown = |title: &str| -> Vec<String> {
        let column = table.columns().iter().position(|column| column.title == title).expect("a column");
        (0..table.row_count()).map(|row| table.cell(row, column).value.display()).collect()
    };
    assert_eq!(shown("module"), ["old", "stays", "wanders", "new", "app", "plugin"]);
    assert_eq!(shown("change"), ["replaced", "same", "moved", "loaded", "same", "came and went"]);
    assert_eq!(shown("before"), ["00000007", "–", "00000000`20000000", "–", "–", "–"]);
    assert_eq!(shown("since"), ["1", "1", "1", "3", "1", "–"]);
    assert_eq!(shown("until"), ["3", "3", "3", "3", "3", "–"]);
    assert_eq!(shown("unloads"), ["0", "0", "0", "0", "0", "4"]);
    assert_eq!(shown("committed"), ["64.0 KB", "64.0 KB", "64.0 KB", "64.0 KB", "64.0 KB", "–"]);
    assert_eq!(shown("Δ committed"), ["0 B", "0 B", "0 B", "+64.0 KB", "0 B", "0 B"]);
    assert_eq!(summary(&table), "5 modules in dump 3, 1 loaded, 1 came and went, 1 moved, 1 replaced");
    assert_eq!(
        change_lines(&table),
        [
            "1 module was loaded between dumps 1 and 3: new.dll",
            "1 module came and went between dumps 1 and 3: plugin.dll",
            "1 module was moved to another address between dumps 1 and 3: wanders.dll (before: 00000000`20000000)",
            "1 module was replaced by another build between dumps 1 and 3: old.dll (before: 00000007)",
            "loaded and unloaded again and again, by the 4 unloads that dump 3 remembers: plugin.dll (4 times)",
        ]
    );
    assert_eq!(
        lm_lines(&table, &table.changed_rows(), 2),
        [
            "start             end               module name timestamp",
            "00000000`10000000 00000000`10010000 old         00000008  1.0.0.1 replaced",
            "00000000`40000000 00000000`40010000 wanders     00000009  1.0.0.1 moved",
            "and 2 more",
        ]
    );
    let details = table.detail_lines(2).join("\n");
    assert!(details.contains("from dump 1       00000000`20000000, 1.0.0.1, 00000009"), "{details}");
    assert!(details.contains("from dump 3       00000000`40000000, 1.0.0.1, 00000009"), "{details}");
}

#[test]
fn every_report_tells_what_changed() {
    let analysis = eventful();
    let text = text_report(&analysis, None);
    assert!(text.contains("\nmodules that changed\n  1 module was loaded between dumps 1 and 3: new.dll\n"), "{text}");
    let html = html_report(&analysis, None);
    assert!(html.contains("1 module was replaced by another build between dumps 1 and 3: old.dll"));
    let csv = csv_report(&analysis, CsvTable::Modules, None);
    assert_eq!(csv.lines().count(), 7, "{csv}");
    assert!(csv.lines().next().is_some_and(|head| head.starts_with("start,end,module,change,")), "{csv}");
    let report: Value = serde_json::from_str(&json_report(&analysis, None).expect("a report")).expect("valid JSON");
    let series = &report["module_series"];
    assert_eq!(series["unloaded_count_per_dump"], json!([0, 2, 4]));
    let moved = &series["modules"][2];
    assert_eq!((&moved["name"], &moved["change"]), (&json!("wanders.dll"), &json!("moved")));
    assert_eq!(moved["per_dump"][1], Value::Null);
    assert_eq!(moved["per_dump"][2]["base"], "0x40000000");
    // From the second dump on nothing was replaced.
    assert!(!text_report(&analysis, Some(DumpIdx(1))).contains("was replaced"));
}

#[test]
fn a_series_whose_modules_stay_says_nothing_of_them() {
    let series = sample_series();
    assert!(!text_report(&series.analysis, None).contains("modules that changed"));
    let table = ModuleTable::new(&series.analysis, DumpIdx(0), DumpIdx(5)).expect("dumps of one process");
    assert_eq!((table.changed_rows(), change_lines(&table)), (Vec::new(), Vec::new()));
}
