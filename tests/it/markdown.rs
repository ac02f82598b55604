//! The Markdown report: it says what the text report says, and nothing in a dump becomes a link, HTML or another cell.

use std::sync::Arc;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::run::diagnose;
use dumptrend::base::addr::Va;
use dumptrend::base::progress::Progress;
use dumptrend::report::text::{markdown_report, text_report};
use dumptrend::sample::minidump_file::{Handle, HandleFormat, Module, Thread, ThreadName, UnloadedModule};

use crate::support::all_streams::handle;
use crate::support::build_dump::{bytes, x64_dump};
use crate::support::build_process::Process;
use crate::support::sample_series::{analyse, decode_all, sample_series};

/// Lines that are not in a fenced block.
fn prose(markdown: &str) -> Vec<&str> {
    let mut fence = None;
    let mut lines = Vec::new();
    for line in markdown.lines() {
        match fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if line.starts_with("```") => fence = Some(line.trim_end_matches("text")),
            None => lines.push(line),
        }
    }
    assert_eq!(fence, None, "every block is closed");
    lines
}

/// Cells of the rows of all tables: each row has as many as its head.
fn check_tables(markdown: &str) -> usize {
    let mut cell_count = None;
    let mut row_count = 0;
    for line in prose(markdown) {
        if !line.starts_with('|') {
            cell_count = None;
            continue;
        }
        let count = line.matches('|').count();
        assert_eq!(*cell_count.get_or_insert(count), count, "{line}");
        row_count += 1;
    }
    row_count
}

#[test]
fn it_has_the_sections_and_tables_of_the_text_report() {
    let series = sample_series();
    let progress = Progress::default();
    let analysis = Arc::new(diagnose(&decode_all(&series.analysis), &progress).expect("nobody cancels"));
    let (text, markdown) = (text_report(&analysis, None), markdown_report(&analysis, None));
    let headings: Vec<String> = text
        .lines()
        .zip(text.lines().skip(1))
        .filter(|(before, line)| before.is_empty() && !line.is_empty() && !line.starts_with(' '))
        .map(|(_, line)| line.to_lowercase())
        .collect();
    // Names with a point stand as code.
    let plain = |heading: &str| heading.replace('`', "").to_lowercase();
    let of_markdown = markdown.lines().filter_map(|line| line.strip_prefix("## ")).map(plain);
    // The sentence at the top stands alone in both.
    assert_eq!(of_markdown.collect::<Vec<_>>(), headings.get(1..).expect("sections"));
    assert!(markdown.starts_with("# dumptrend "));
    assert!(check_tables(&markdown) > 30);
    for words in ["\\`", "  - `gflags /i AllocFree.exe -ust`", "`AllocFree.exe`", "148,863"] {
        assert!(markdown.contains(words), "{words}");
    }
}

const HOSTILE: [&str; 9] = [
    "<script>alert(1)</script>.dll",
    "![x](https://evil.example/x.png).dll",
    "[click](javascript:alert(1)).dll",
    "a|b|c.dll",
    r"a\|b.dll",
    "x`|`y.dll",
    "www.evil.example",
    "```.dll",
    "@everyone&lt;b&gt;.dll",
];

fn hostile() -> Arc<Analysis> {
    let folder = tempfile::tempdir().expect("a folder");
    let process = Process::default();
    let modules = HOSTILE.iter().zip(0_u64..).map(|(name, number)| Module {
        base: Va(0x7000_0000 + number * 0x10_0000),
        size_bytes: 0x1000,
        time_date_stamp: 1,
        path: (*name).to_owned(),
        ..Module::default()
    });
    let modules: Vec<Module> = modules.collect();
    let unloaded: Vec<UnloadedModule> = HOSTILE
        .iter()
        .flat_map(|name| {
            vec![UnloadedModule { size_bytes: 1, name: (*name).to_owned(), ..UnloadedModule::default() }; 3]
        })
        .collect();
    let names: Vec<ThreadName> = HOSTILE
        .iter()
        .zip(1_u32..)
        .map(|(name, tid)| ThreadName { thread_id: tid, name: (*name).to_owned() })
        .collect();
    let threads: Vec<Thread> = names.iter().map(|name| Thread { id: name.thread_id, ..Thread::default() }).collect();
    let handles: Vec<Handle> =
        HOSTILE.iter().map(|name| Handle { type_name: Some((*name).to_owned()), ..handle() }).collect();
    let file = x64_dump()
        .modules(modules)
        .unloaded_modules(unloaded)
        .threads(threads)
        .thread_names(names)
        .handles(HandleFormat::V2, handles)
        .memory_infos(process.memory_infos());
    let path = folder.path().join("<b onclick=alert(1)>[x](https:evil)|&.dmp");
    std::fs::write(&path, bytes(&file)).expect("the file can be written");
    Arc::new(diagnose(&decode_all(&analyse(&[path])), &Progress::default()).expect("not cancelled"))
}

/// What is left of a line where code spans and escaped signs are taken out: what Markdown would read as markup.
fn live(line: &str) -> String {
    let mut text = String::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '`' => {
                let mut run = 1;
                while chars.next_if_eq(&'`').is_some() {
                    run += 1;
                }
                let mut closing = 0;
                for c in chars.by_ref() {
                    closing = if c == '`' { closing + 1 } else { 0 };
                    // Spans of these names hold no run of the length of their fence.
                    if closing == run {
                        break;
                    }
                }
            }
            c => text.push(c),
        }
    }
    text
}

#[test]
fn hostile_names_stay_text() {
    let markdown = markdown_report(&hostile(), None);
    assert!(markdown.contains("evil.example"), "the names are there");
    check_tables(&markdown);
    for line in prose(&markdown) {
        let live = live(line);
        let without_entities = live.replace("&#124;", "");
        for sign in ['<', '>', '[', ']', '`', '&'] {
            assert!(!without_entities.contains(sign), "{sign} is live in: {line}");
        }
        for word in ["://", "www.", ".example", "@"] {
            assert!(!live.contains(word), "{word} is live in: {line}");
        }
    }
}
