//! Whole series: each sample gives its own answer, and not another's.

use std::sync::Arc;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::diagnosis::evidence::{Number, Place};
use dumptrend::analysis::diagnosis::pattern::PatternId::{
    self, DistributedSpike, HandleLeak, HeapCorruption, HighContention, InstrumentationSideEffect, InsufficientMemory,
    InsufficientMemoryStackTraceDatabase, MemoryFluctuation, MemoryLeakProcessHeap, MemoryLeakRegions, SpikingThread,
    StackOverflow, ThreadGrowth, TruncatedDump,
};
use dumptrend::analysis::diagnosis::{Confidence, Finding, Verdict};
use dumptrend::analysis::run::{
    Downloads, decode_heaps, decode_traces, diagnose, join_blocks_and_stacks, load_symbols, read_logs, symbol_search,
    unwind_threads,
};
use dumptrend::base::addr::Va;
use dumptrend::base::ids::DumpIdx;
use dumptrend::base::progress::Progress;
use dumptrend::present::diagnosis::{findings, verdict_line};
use dumptrend::sample::{SampleOptions, Variant};

use crate::support::sample_series::{analyse, sample_series, write};

/// All stages, as the console program runs them.
fn all_stages(opened: &Analysis) -> Arc<Analysis> {
    let progress = Progress::default();
    let decoded = decode_heaps(&decode_traces(opened, &progress).expect("traces"), &progress).expect("heaps");
    let joined = join_blocks_and_stacks(&decoded, &progress).expect("blocks");
    let logged = read_logs(&joined, &progress).expect("logs");
    let unwound = unwind_threads(&logged, &progress).expect("stacks");
    let named = load_symbols(&unwound, &symbol_search(Vec::new(), Downloads::NotYet), &progress).expect("names");
    Arc::new(diagnose(&named, &progress).expect("nobody cancels"))
}

fn variant(variant: Variant) -> Arc<Analysis> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = write(folder.path(), SampleOptions { variant, size_bytes_per_dump: None });
    all_stages(&analyse(&files))
}

fn all_findings(analysis: &Analysis) -> Arc<Vec<Finding>> {
    let group = analysis.main_group().expect("a process");
    findings(analysis, &group.dumps)
}

fn finding(findings: &[Finding], pattern: PatternId) -> &Finding {
    findings.iter().find(|finding| finding.pattern == pattern).expect("one finding for each pattern")
}

/// Compares what was found, in its order, and what was ruled out.
fn check(analysis: &Analysis, found: &[PatternId], ruled_out: &[PatternId]) {
    let findings = all_findings(analysis);
    let of = |verdict| -> Vec<PatternId> {
        findings.iter().filter(|finding| finding.verdict == verdict).map(|finding| finding.pattern).collect()
    };
    assert_eq!(of(Verdict::Found), found, "{:#?}", findings);
    for pattern in ruled_out {
        assert!(of(Verdict::RuledOut).contains(pattern), "{:#?}", finding(&findings, *pattern));
    }
}

/// The numbers in a finding's evidence.
fn numbers(finding: &Finding) -> Vec<Number> {
    finding.evidence.iter().filter_map(|evidence| evidence.number).collect()
}

#[test]
fn the_case_gives_its_verdicts_with_its_numbers() {
    let analysis = all_stages(&sample_series().analysis);
    // The last one in the UMDH logs: the heaps of the dumps stand still.
    let found = [InstrumentationSideEffect, InsufficientMemoryStackTraceDatabase, SpikingThread, MemoryFluctuation];
    let ruled_out = [
        MemoryLeakProcessHeap,
        MemoryLeakRegions,
        DistributedSpike,
        HandleLeak,
        ThreadGrowth,
        HeapCorruption,
        StackOverflow,
        HighContention,
        TruncatedDump,
    ];
    check(&analysis, &found, &ruled_out);
    let all = all_findings(&analysis);
    for pattern in &found[..3] {
        assert_eq!(finding(&all, *pattern).confidence(), Some(Confidence::Certain));
    }

    let side_effect = finding(&all, InstrumentationSideEffect);
    // d2000 + 9000 to 16dc000 + 123000: the committed parts of the database in the case's two dumps.
    let grown = 0x16d_c000 + 0x12_3000 - (0xd_2000 + 0x9000);
    assert_eq!(numbers(side_effect)[..2], [Number::BytesDelta(grown), Number::Code(0x1000)]);

    let database = finding(&all, InsufficientMemoryStackTraceDatabase);
    assert!(database.summary.contains("one page left; 20 stacks for 148,863 entries"), "{}", database.summary);
    let of_database = numbers(database);
    for wanted in [Number::Bytes(0x1000), Number::Count(20), Number::Percent(100.0)] {
        assert!(of_database.contains(&wanted), "{wanted:?} in {of_database:?}");
    }

    let spike = finding(&all, SpikingThread);
    assert!(
        spike.summary.contains("95 % of a core between dumps 2 and 3, 3:22:02.354 user time in all, logging a trace")
    );
    assert!(spike.evidence.iter().any(|evidence| {
        evidence.place == Some(Place::Thread { dump: DumpIdx(2), tid: 0x53b8 })
            && evidence.windbg.as_deref() == Some("!runaway 7")
    }));

    let leak = finding(&all, MemoryLeakProcessHeap);
    let main = Place::Heap { dump: DumpIdx(5), base: Va(0x19c_0000) };
    let line = leak.evidence.iter().find(|evidence| evidence.place == Some(main)).expect("the main heap");
    assert_eq!(line.number, Some(Number::BytesDelta(0)));
    assert_eq!(line.windbg.as_deref(), Some("!heap -s -h 019c0000"));

    let line = verdict_line(&all).expect("a verdict");
    insta::assert_snapshot!(line);
}

#[test]
fn an_interval_of_the_case_has_its_own_findings() {
    let analysis = all_stages(&sample_series().analysis);
    // From dump 4 on nobody spikes, and the database is filling still.
    let late = findings(&analysis, &[DumpIdx(3), DumpIdx(4)]);
    assert_eq!(finding(&late, SpikingThread).verdict, Verdict::RuledOut);
    assert_eq!(finding(&late, InsufficientMemoryStackTraceDatabase).verdict, Verdict::Undecided);
    assert_eq!(finding(&late, MemoryFluctuation).verdict, Verdict::Undecided);
    assert_eq!(finding(&late, InstrumentationSideEffect).verdict, Verdict::Found);
}

#[test]
fn one_dump_says_what_it_can_and_which_dump_would_decide_the_rest() {
    let analysis = variant(Variant::CaseA);
    check(
        &analysis,
        &[InstrumentationSideEffect],
        &[InsufficientMemoryStackTraceDatabase, HeapCorruption, TruncatedDump],
    );
    for finding in all_findings(&analysis).iter().filter(|finding| finding.verdict == Verdict::Undecided) {
        assert!(finding.next_dump.is_some(), "{finding:#?}");
    }
}

#[test]
fn a_heap_leak_is_found_with_the_stack_that_allocates() {
    let analysis = variant(Variant::HeapLeak);
    check(
        &analysis,
        &[MemoryLeakProcessHeap, InstrumentationSideEffect],
        &[MemoryLeakRegions, SpikingThread, MemoryFluctuation],
    );
    let all = all_findings(&analysis);
    let leak = finding(&all, MemoryLeakProcessHeap);
    assert!(
        leak.evidence.iter().any(|evidence| evidence.text.starts_with("blocks of OrderServer!cache_order")),
        "{leak:#?}"
    );
}

#[test]
fn a_region_leak_is_found_with_the_size_of_its_regions() {
    let analysis = variant(Variant::RegionLeak);
    check(
        &analysis,
        &[MemoryLeakRegions],
        &[MemoryLeakProcessHeap, InstrumentationSideEffect, InsufficientMemoryStackTraceDatabase],
    );
    let all = all_findings(&analysis);
    let names: Vec<&str> =
        finding(&all, MemoryLeakRegions).subjects.iter().map(|subject| subject.name.as_str()).collect();
    assert_eq!(names, ["private allocations of 256.0 KB each"]);
}

#[test]
fn a_series_that_only_fluctuates_is_no_leak() {
    let analysis = variant(Variant::Fluctuation);
    check(&analysis, &[MemoryFluctuation, InstrumentationSideEffect], &[MemoryLeakProcessHeap, MemoryLeakRegions]);
}

#[test]
fn the_original_case_gives_the_same_verdicts_with_its_own_numbers() {
    let analysis = variant(Variant::Original);
    check(
        &analysis,
        &[
            InstrumentationSideEffect,
            InsufficientMemoryStackTraceDatabase,
            SpikingThread,
            DistributedSpike,
            // In the UMDH logs alone: the heaps stand still.
            MemoryFluctuation,
        ],
        &[
            MemoryLeakProcessHeap,
            MemoryLeakRegions,
            HandleLeak,
            ThreadGrowth,
            HeapCorruption,
            StackOverflow,
            TruncatedDump,
        ],
    );
    let all = all_findings(&analysis);
    let lines: Vec<&str> = all.iter().take(5).map(|finding| finding.summary.as_str()).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn other_systems_give_the_answers_of_their_databases() {
    check(
        &variant(Variant::SevenX86),
        &[InstrumentationSideEffect, SpikingThread],
        &[MemoryLeakProcessHeap, MemoryLeakRegions],
    );
    check(
        &variant(Variant::TenX64),
        &[InstrumentationSideEffect, InsufficientMemoryStackTraceDatabase],
        &[MemoryLeakProcessHeap, MemoryLeakRegions, SpikingThread],
    );
}

#[test]
fn findings_before_the_later_stages_are_honest() {
    let opened = &sample_series().analysis;
    let early = findings(opened, &opened.main_group().expect("a process").dumps);
    for pattern in [MemoryLeakProcessHeap, InsufficientMemoryStackTraceDatabase, HeapCorruption, HighContention] {
        let finding = finding(&early, pattern);
        assert_eq!(finding.verdict, Verdict::Undecided, "{finding:#?}");
    }
    // What needs no later stage is there at once.
    assert_eq!(finding(&early, InstrumentationSideEffect).verdict, Verdict::Found);
    assert_eq!(finding(&early, SpikingThread).verdict, Verdict::Found);
    assert_eq!(finding(&early, InsufficientMemory).verdict, Verdict::Undecided);
}
