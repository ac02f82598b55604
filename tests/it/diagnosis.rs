//! Findings: each pattern judged by facts that are written down here, and whole series that must give their answer.

mod advice;
mod leaks;
mod limits;
mod samples;
mod support;
mod threads;
mod traces;

use dumptrend::analysis::diagnosis::PATTERNS;
use dumptrend::analysis::diagnosis::pattern::PatternId;

use support::{Case, Kind};

/// All cases of all patterns, by the file that has them.
fn all_cases() -> Vec<Case> {
    [leaks::cases(), limits::cases(), threads::cases(), traces::cases()].concat()
}

#[test]
fn every_case_gets_its_verdict() {
    let faults: Vec<String> = all_cases().iter().filter_map(support::Case::fault).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_pattern_has_a_case_where_it_is_found_one_that_just_misses_it_and_one_where_it_is_ruled_out() {
    let cases = all_cases();
    for pattern in PATTERNS {
        for kind in [Kind::Found, Kind::NearMiss, Kind::RuledOut] {
            let has_case = cases.iter().any(|case| case.pattern == pattern.id && case.kind == kind);
            assert!(has_case, "{:?} has no case: {kind:?}", pattern.id);
        }
    }
    assert_eq!(PATTERNS.map(|pattern| pattern.id), PatternId::ALL);
}

#[test]
fn names_of_patterns_read_back() {
    for pattern in PatternId::ALL {
        assert_eq!(PatternId::parse(pattern.key()), Some(pattern));
        assert!(!pattern.title().is_empty());
        assert!(pattern.source().url().is_none_or(|url| url.starts_with("https://")));
    }
    assert_eq!(PatternId::parse("leak"), None);
}

#[test]
fn without_any_dump_nothing_is_found_and_nothing_ruled_out() {
    let findings = dumptrend::analysis::diagnosis::judge(&Default::default());
    assert_eq!(findings.len(), PATTERNS.len());
    for finding in findings {
        assert_eq!(finding.verdict, dumptrend::analysis::diagnosis::Verdict::Undecided, "{finding:?}");
    }
}

#[test]
fn what_is_not_decoded_yet_is_never_ruled_out() {
    let facts = support::Series::new(6).with_ust().facts_before_decoding();
    for pattern in [
        PatternId::MemoryLeakProcessHeap,
        PatternId::MemoryFluctuation,
        PatternId::HeapCorruption,
        PatternId::InsufficientMemoryStackTraceDatabase,
        PatternId::HighContention,
    ] {
        let finding = support::judge_one(&facts, pattern);
        assert_eq!(finding.verdict, dumptrend::analysis::diagnosis::Verdict::Undecided, "{finding:?}");
        assert!(finding.summary.contains("still being"), "{}", finding.summary);
        assert_eq!(finding.confidence(), None);
    }
}
