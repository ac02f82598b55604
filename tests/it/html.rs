//! The HTML report: it tells what the text report tells, and nothing in a dump becomes markup, a script or a connection.

use std::sync::Arc;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::run::diagnose;
use dumptrend::base::addr::Va;
use dumptrend::base::progress::Progress;
use dumptrend::present::diagnosis::{findings, verdict_line};
use dumptrend::report::csv::{CsvTable, csv_report};
use dumptrend::report::html::html_report;
use dumptrend::report::text::text_report;
use dumptrend::sample::minidump_file::{Module, Thread, ThreadName};

use crate::support::build_dump::{bytes, x64_dump};
use crate::support::build_process::Process;
use crate::support::sample_series::{analyse, decode_all, sample_series};

/// What is a report on its own: no script, no file of another place, each element that is opened is closed.
fn check_form(html: &str) {
    assert!(html.starts_with("<!DOCTYPE html>"));
    for forbidden in
        ["<script", "<img", "<iframe", "<link", "javascript:", "src=", "@import", "url(", " onload", " onerror="]
    {
        assert!(!html.to_lowercase().contains(forbidden), "{forbidden}");
    }
    assert!(html.contains("default-src 'none'"));
    for element in
        ["section", "table", "div", "details", "svg", "pre", "ul", "dl", "header", "nav", "p", "tr", "td", "h2"]
    {
        let opened = html.matches(&format!("<{element}>")).count() + html.matches(&format!("<{element} ")).count();
        assert_eq!(opened, html.matches(&format!("</{element}>")).count(), "{element}");
    }
}

fn sample() -> Arc<Analysis> {
    let decoded = decode_all(&sample_series().analysis);
    Arc::new(diagnose(&decoded, &Progress::default()).expect("not cancelled"))
}

#[test]
fn the_sample_tells_its_story_in_both_reports() {
    let analysis = sample();
    let html = html_report(&analysis, None);
    check_form(&html);
    // Nothing in the sample needs a substitute, registry files with the line ends of Windows neither.
    assert!(html.contains("Windows Registry Editor Version 5.00\n") && !html.contains('\u{fffd}'));
    let group = analysis.main_group().expect("a process");
    let judged = findings(&analysis, &group.dumps);
    let line = verdict_line(&judged).expect("a verdict");
    let text = text_report(&analysis, None);
    assert!(text.contains(&line), "{text}");
    let told: String = line.chars().skip(1).collect();
    assert!(html.contains(&told), "{told}");
    for finding in judged.iter() {
        assert!(html.contains(finding.pattern.title()), "{}", finding.pattern.title());
    }
    for words in [
        "gflags /i AllocFree.exe -ust",
        "148,863",
        "No heap leak",
        "00000000`019c0000",
        "<polygon class=\"u-stack_trace_database\"",
    ] {
        assert!(html.contains(words), "{words}");
    }
    // All six dumps are on the axis of the plot.
    for time in ["10:08", "12:04", "14:05", "16:07", "18:09", "20:13"] {
        assert!(html.contains(&format!(">{time}</text>")), "{time}");
    }
}

const HOSTILE: [&str; 7] = [
    "<script>alert(1)</script>.dll",
    "\"><img src=x onerror=alert(1)>.dll",
    "' onmouseover='alert(1).dll",
    "=cmd|' /c calc'!A1",
    "a\r\nb<td>.dll",
    "evil\u{202e}lld.exe",
    "&lt;b&gt;]]>.dll",
];

#[test]
fn hostile_names_stay_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let process = Process::default();
    let modules = HOSTILE.iter().zip(0_u64..).map(|(name, number)| Module {
        base: Va(0x7000_0000 + number * 0x10_0000),
        size_bytes: 0x1000,
        checksum: 0,
        time_date_stamp: 1,
        path: (*name).to_owned(),
        version: None,
        code_view: Vec::new(),
    });
    let modules: Vec<Module> = modules.collect();
    let names: Vec<ThreadName> = HOSTILE
        .iter()
        .zip(1_u32..)
        .map(|(name, tid)| ThreadName { thread_id: tid, name: (*name).to_owned() })
        .collect();
    let threads: Vec<Thread> = names.iter().map(|name| Thread { id: name.thread_id, ..Thread::default() }).collect();
    let file = x64_dump().modules(modules).threads(threads).thread_names(names).memory_infos(process.memory_infos());
    // A file may be called so where it comes from.
    let path = folder.path().join("<b onclick=alert(1)>=dump&.dmp");
    std::fs::write(&path, bytes(&file)).expect("the file can be written");
    let analysis = Arc::new(diagnose(&decode_all(&analyse(&[path])), &Progress::default()).expect("not cancelled"));
    let html = html_report(&analysis, None);
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;.dll"), "the names are there");
    assert!(html.contains("&lt;b onclick=alert(1)&gt;=dump&amp;.dmp"));
    assert!(!html.contains('\u{202e}'));
    // What is left of a name without its markup is text.
    let without_text = html.replace("&lt;", "").replace("src=x onerror=", "").replace("javascript:", "");
    check_form(&without_text);
    for table in [
        CsvTable::Dumps,
        CsvTable::Threads,
        CsvTable::Regions,
        CsvTable::Uses,
        CsvTable::Modules,
        CsvTable::Symbols,
        CsvTable::Findings,
        CsvTable::Log,
    ] {
        let csv = csv_report(&analysis, table, None);
        assert!(
            !csv.lines().any(|line| line.split(',').any(|field| field.trim_matches('"').starts_with('='))),
            "{csv}"
        );
    }
}

#[test]
fn one_dump_and_no_dump_make_a_report_too() {
    let analysis = Arc::new(analyse(&[sample_series().analysis.snapshots[0].dump.path.clone()]));
    check_form(&html_report(&analysis, None));
    let empty = Arc::new(Analysis::default());
    check_form(&html_report(&empty, None));
}
