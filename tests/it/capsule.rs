//! Case capsules: what was analysed comes back as it was, without what must not be sent, from whatever file is given.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::capsule::{CapsuleError, is_capsule, read_capsule, write_capsule};
use dumptrend::analysis::run::{SymbolSearch, diagnose, load_symbols, run};
use dumptrend::base::progress::Progress;
use dumptrend::report::csv::{CsvTable, csv_report};
use dumptrend::report::html::html_report;
use dumptrend::report::json::json_report;
use dumptrend::report::text::text_report;
use dumptrend::sample::{SampleOptions, Variant};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::capsule_seeds::{all_stages, capsule_of, text_of};
use crate::support::sample_series::{sample_series, write};
use crate::support::shared::shared_file;

fn progress() -> Progress {
    Progress::default()
}

/// All stages, as the console program runs them.
fn analysed(inputs: &[PathBuf]) -> Arc<Analysis> {
    Arc::new(diagnose(&all_stages(inputs), &progress()).expect("nobody cancels"))
}

fn named(analysis: &Analysis) -> Arc<Analysis> {
    let named = load_symbols(analysis, &SymbolSearch::default(), &progress()).expect("nobody cancels");
    Arc::new(diagnose(&named, &progress()).expect("nobody cancels"))
}

fn opened(bytes: &[u8]) -> Result<Analysis, CapsuleError> {
    read_capsule(PathBuf::from("case.dumptrend"), bytes, &progress())
}

fn packed(text: &str) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(text.as_bytes()).expect("memory takes it");
    out.finish().expect("memory takes it")
}

/// What differs by intent: folders, what was tried for symbols, what the process was started with, and the note that says so.
fn comparable(analysis: &Arc<Analysis>) -> Value {
    const LEFT_OUT: [&str; 5] = ["path", "tried", "symbols_note", "command_line", "notes"];
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|key, _| !LEFT_OUT.contains(&key.as_str()));
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut report = serde_json::from_str(&json_report(analysis, None).expect("a report")).expect("valid JSON");
    strip(&mut report);
    report
}

/// All but those about symbol files and about the capsule itself.
const TABLES: [CsvTable; 17] = [
    CsvTable::Findings,
    CsvTable::Dumps,
    CsvTable::Uses,
    CsvTable::Types,
    CsvTable::Regions,
    CsvTable::Allocations,
    CsvTable::Handles,
    CsvTable::Modules,
    CsvTable::Threads,
    CsvTable::Cpu,
    CsvTable::ThreadStacks,
    CsvTable::Stacks,
    CsvTable::Heaps,
    CsvTable::BlockSizes,
    CsvTable::Umdh,
    CsvTable::UmdhLogs,
    CsvTable::UmdhComparison,
];

fn first_difference(a: &Value, b: &Value, place: &str) -> Option<String> {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) if x.keys().eq(y.keys()) => {
            x.iter().find_map(|(key, value)| first_difference(value, &y[key], &format!("{place}.{key}")))
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            let mut pairs = x.iter().zip(y).enumerate();
            pairs.find_map(|(at, (x, y))| first_difference(x, y, &format!("{place}[{at}]")))
        }
        _ => (a != b).then(|| format!("{place}: {a} became {b}")),
    }
}

/// A capsule of an analysis says what the analysis says, in every form of report.
fn check(analysis: &Arc<Analysis>) {
    let bytes = capsule_of(analysis);
    let back = named(&opened(&bytes).expect("its own capsule"));
    let difference = first_difference(&comparable(analysis), &comparable(&back), "report");
    assert_eq!(difference, None);
    for table in TABLES {
        assert_eq!(csv_report(analysis, table, None), csv_report(&back, table, None), "{table:?}");
    }
    let findings = |text: &str| text.split("\n\n").filter(|part| part.contains("refuted by")).collect::<String>();
    assert_eq!(findings(&text_report(analysis, None)), findings(&text_report(&back, None)));
    assert_eq!(html_report(analysis, None).matches("<svg").count(), html_report(&back, None).matches("<svg").count());
    // What was saved again is still the same.
    let again = named(&opened(&capsule_of(&back)).expect("a capsule of a capsule"));
    assert_eq!(first_difference(&comparable(&back), &comparable(&again), "report"), None);
}

fn of_variant(variant: Variant) -> Arc<Analysis> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    analysed(&write(folder.path(), SampleOptions { variant, size_bytes_per_dump: None }))
}

#[test]
fn the_sample_and_its_logs_come_back_as_they_were() {
    check(&of_variant(Variant::Series));
}

#[test]
fn other_windows_and_other_causes_come_back_as_they_were() {
    for variant in [Variant::SevenX86, Variant::XpX86, Variant::TenX64, Variant::HeapLeak, Variant::Fluctuation] {
        check(&of_variant(variant));
    }
}

#[test]
fn the_case_before_it_was_modelled_makes_a_small_file() {
    let analysis = of_variant(Variant::Original);
    check(&analysis);
    let bytes = capsule_of(&analysis);
    assert!(bytes.len() < 8 << 20, "{} bytes", bytes.len());
}

#[test]
fn real_dumps_come_back_as_they_were() {
    for name in ["fizzbuzz_wow64.dmp", "electron.dmp", "test.dmp", "minidump2.dmp"] {
        if let Some(path) = shared_file(&format!("dumps/{name}")) {
            check(&analysed(&[path]));
        }
    }
}

#[test]
fn logs_alone_come_back_as_they_were() {
    if let Some(path) = shared_file("umdh/notepad-comparison.txt") {
        let analysis = analysed(&[path]);
        check(&analysis);
        assert_eq!(opened(&capsule_of(&analysis)).expect("its own capsule").logs.len(), 1);
    }
}

#[test]
fn what_may_be_secret_is_not_in_it() {
    let series = sample_series();
    let analysis = analysed(&[series.folder().to_owned()]);
    let peb = analysis.snapshots[0].main_peb().expect("a PEB");
    let parameters = peb.parameters.as_ref().expect("parameters");
    let environment = parameters.environment.as_ref().expect("an environment");
    let text = text_of(&capsule_of(&analysis));
    let folder = series.folder().to_string_lossy().into_owned();
    let variables = environment.iter().filter(|variable| variable.len() > 12);
    for secret in variables.chain([&folder]) {
        let escaped = secret.replace('\\', "\\\\");
        assert!(!escaped.is_empty() && !text.contains(&escaped), "{secret}");
    }
    // No string of bytes of memory: the only long lists of numbers are counts and addresses.
    assert!(!text.contains("\"head\":[") && !text.contains("first_bytes") && !text.contains("command_line"));
    assert!(text.starts_with("{\"dumptrend_capsule\":1,"));
}

#[test]
fn equal_analyses_make_equal_files() {
    let analysis = of_variant(Variant::XpX86);
    assert_eq!(capsule_of(&analysis), capsule_of(&analysis));
}

#[test]
fn names_are_kept_for_what_occurs_and_nothing_is_named_wrongly() {
    let analysis = of_variant(Variant::Series);
    let back = opened(&capsule_of(&analysis)).expect("its own capsule");
    let group = analysis.main_group().expect("a process");
    let (before, after) = (analysis.symbols_of(group), back.symbols_of(group));
    let mut named_count = 0;
    for va in analysis.shown_addresses(group) {
        assert_eq!(before.name_of(va), after.name_of(va), "{va}");
        named_count += usize::from(after.name_of(va).is_some_and(|name| name.function.is_some()));
    }
    assert!(named_count > 100, "{named_count}");
    // What was left out has no name, never a neighbour's.
    for module in before.modules() {
        for (rva, name, _) in module.names().iter() {
            let va = module.range.start.checked_add(u64::from(rva.0)).expect("inside");
            let kept = after.name_of(va).and_then(|kept| kept.function.map(str::to_owned));
            assert!(kept.is_none_or(|kept| before.name_of(va).and_then(|name| name.function) == Some(&kept)), "{name}");
        }
    }
}

#[test]
fn a_damaged_capsule_is_told_in_one_line() {
    let bytes = capsule_of(&of_variant(Variant::XpX86));
    let text = text_of(&bytes);
    let error = |bytes: &[u8]| opened(bytes).expect_err("damage").to_string();
    for length in [0, 1, 10, 100, bytes.len() / 2, bytes.len() - 1] {
        assert!(error(&bytes[..length]).contains("damaged"), "{length}");
    }
    for at in (0..bytes.len()).step_by(bytes.len() / 40) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        if let Err(error) = opened(&changed) {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
    let newer = text.replacen("\"dumptrend_capsule\":1", "\"dumptrend_capsule\":99", 1);
    assert!(error(&packed(&newer)).contains("of form 99"));
    assert!(error(&packed(&text.replacen("\"dumps\":[0", "\"dumps\":[7", 1))).contains("do not fit together"));
    assert!(error(&packed("{\"dumptrend_capsule\":1,\"made_by\":\"x\"}")).contains("damaged"));
    assert!(error(&packed(&" ".repeat(200 << 20))).contains("expands"));
    assert!(is_capsule(&bytes) && !is_capsule(&packed("{\"dumptrend\":1}")) && !is_capsule(b"MDMP"));
}

#[test]
fn texts_of_a_forged_capsule_cannot_break_a_line() {
    let text = text_of(&capsule_of(&of_variant(Variant::XpX86)));
    let image =
        opened(&packed(&text)).expect("its own capsule").main_group().and_then(|group| group.identity.image.clone());
    let image = image.expect("a name");
    let forged = text.replace(&image, "a\\u001b[31m\\nb\u{202e}.exe");
    let back = opened(&packed(&forged)).expect("still JSON");
    let report = text_report(&named(&back), None);
    assert!(report.contains("a\u{fffd}[31m\u{fffd}b\u{fffd}.exe"), "{report}");
    assert!(!report.contains('\u{1b}') && !report.contains('\u{202e}'));
}

#[test]
fn cancelling_ends_both_ways() {
    let analysis = of_variant(Variant::XpX86);
    let cancelled = progress();
    cancelled.cancel();
    let written = write_capsule(&analysis, &cancelled, &mut Vec::new());
    assert!(matches!(written, Err(CapsuleError::Cancelled(_))));
    let read = read_capsule(PathBuf::from("x"), &capsule_of(&analysis), &cancelled);
    assert!(matches!(read, Err(CapsuleError::Cancelled(_))));
}

#[test]
fn a_capsule_opens_by_its_file_and_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = write(folder.path(), SampleOptions { variant: Variant::XpX86, size_bytes_per_dump: None });
    let path = folder.path().join("case.dumptrend");
    std::fs::write(&path, capsule_of(&analysed(&files))).expect("a folder to write to");
    let run = |inputs: &[&Path]| {
        let inputs: Vec<PathBuf> = inputs.iter().map(|path| path.to_path_buf()).collect();
        run(&inputs, &progress()).expect("nobody cancels")
    };
    let alone = run(&[&path]);
    assert_eq!(alone.capsule.as_ref().map(|capsule| &capsule.path), Some(&path));
    assert!(alone.failures.is_empty() && alone.notes[0].text.starts_with("from a case capsule"));
    // In its folder it does not stand for a dump; named with others, the others are opened.
    let in_folder = run(&[folder.path()]);
    assert!(in_folder.capsule.is_none() && in_folder.failures.is_empty() && !in_folder.is_empty());
    let with_others = run(&[&path, &files[0]]);
    assert_eq!((with_others.snapshots.len(), with_others.failures.len()), (1, 1));
    assert!(with_others.failures[0].text.contains("opens alone"), "{}", with_others.failures[0].text);
}

/// Capsule texts of small samples, to be damaged.
fn small_texts() -> &'static [String] {
    static TEXTS: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    TEXTS.get_or_init(|| [Variant::XpX86].map(|variant| text_of(&capsule_of(&of_variant(variant)))).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Numbers and words exchanged anywhere: it opens or it does not, and what opens can be reported.
    #[test]
    fn a_forged_capsule_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), 0..6_usize), 1..12)) {
        const NUMBERS: [&str; 6] = ["0", "18446744073709551615", "4294967295", "1", "null", "9223372036854775808"];
        let mut text = small_texts()[0].clone();
        for (at, with) in changes {
            let digits: Vec<usize> = text.match_indices([':', ',', '[']).map(|(at, _)| at + 1)
                .filter(|at| text.as_bytes().get(*at).is_some_and(u8::is_ascii_digit)).collect();
            let start = *at.get(&digits);
            let length = text[start..].bytes().take_while(u8::is_ascii_digit).count();
            text.replace_range(start..start + length, NUMBERS[with]);
        }
        if let Ok(back) = opened(&packed(&text)) {
            let back = named(&back);
            prop_assert!(!text_report(&back, None).is_empty());
            prop_assert!(json_report(&back, None).is_ok());
            prop_assert!(!html_report(&back, None).is_empty());
        }
    }
}
