//! Findings as sentences, lines and marks. What was found is decided in the analysis.

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::diagnosis::evidence::{Evidence, Number, Place};
use crate::analysis::diagnosis::pattern::PatternId;
use crate::analysis::diagnosis::{Finding, Verdict, diagnose};
use crate::base::ids::DumpIdx;

use super::table::Tone;

/// The findings over some dumps of one process: those of the whole series when these are all of them.
pub fn findings(analysis: &Analysis, dumps: &[DumpIdx]) -> Arc<Vec<Finding>> {
    let group = dumps.first().and_then(|dump| analysis.group_of(*dump));
    let whole = group.filter(|group| group.dumps == dumps).and_then(|group| analysis.findings_of(group));
    whole.map_or_else(|| Arc::new(diagnose(analysis, dumps)), Arc::clone)
}

/// The patterns that were found.
pub fn found_patterns(findings: &[Finding]) -> Vec<PatternId> {
    findings.iter().filter(|finding| finding.verdict == Verdict::Found).map(|finding| finding.pattern).collect()
}

/// `found, certain`; `ruled out`; `undecided`. How sure a ruling out is, is said where it is not certain.
pub fn verdict_text(finding: &Finding) -> String {
    match finding.confidence() {
        Some(confidence) => format!("{}, {}", finding.verdict.text(), confidence.text()),
        None => finding.verdict.text().to_owned(),
    }
}

/// A sign before the verdict, for those who do not see its colour.
pub const fn verdict_mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Found => "●",
        Verdict::RuledOut => "○",
        Verdict::Undecided => "?",
    }
}

pub const fn verdict_tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Found => Tone::Warning,
        Verdict::RuledOut => Tone::Dim,
        Verdict::Undecided => Tone::Normal,
    }
}

/// Title, and the subject where there is one.
pub fn title(finding: &Finding) -> String {
    let name = finding.pattern.title();
    match (finding.verdict, finding.subjects.as_slice()) {
        (Verdict::Found, [subject]) if finding.pattern == PatternId::SpikingThread => {
            format!("{name} {}", subject.name.trim_start_matches("thread "))
        }
        _ => name.to_owned(),
    }
}

/// The whole judgement in one line: what was found, and whether the usual suspect is ruled out.
pub fn verdict_line(findings: &[Finding]) -> Option<String> {
    let titles =
        |verdict| -> Vec<String> { findings.iter().filter(|finding| finding.verdict == verdict).map(title).collect() };
    let found = titles(Verdict::Found);
    let is_leak =
        |finding: &&Finding| matches!(finding.pattern, PatternId::MemoryLeakProcessHeap | PatternId::MemoryLeakRegions);
    let not_leaks: Vec<String> =
        findings.iter().filter(|finding| finding.verdict == Verdict::RuledOut).filter(is_leak).map(title).collect();
    let mut parts = Vec::new();
    if !found.is_empty() {
        parts.push(format!("found: {}", found.join(", ")));
    }
    if !not_leaks.is_empty() {
        parts.push(format!("ruled out: {}", not_leaks.join(", ")));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// With a capital letter and a full stop, for the window; reports have lines.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// When a database will be full at its present rate.
pub fn time_to_full_line(findings: &[Finding]) -> Option<String> {
    let of_database =
        findings.iter().find(|finding| finding.pattern == PatternId::InsufficientMemoryStackTraceDatabase)?;
    let line = of_database.evidence.iter().find(|line| matches!(line.number, Some(Number::BytesPerHour(_))))?;
    Some(format!("the stack trace database is {}", line.text))
}

/// A finding in the text report.
pub fn finding_text(finding: &Finding) -> String {
    let mut text = format!(
        "{} {} ({}): {}\n",
        verdict_mark(finding.verdict),
        title(finding),
        verdict_text(finding),
        finding.summary
    );
    for evidence in &finding.evidence {
        text.push_str(&format!("    - {}\n", evidence_text(evidence)));
    }
    if !finding.refuted_by.is_empty() {
        text.push_str(&format!("    would be refuted by: {}\n", finding.refuted_by));
    }
    if let Some(next) = &finding.next_dump {
        text.push_str(&format!("    the next dump would decide: {}\n", next.decides));
    }
    text
}

/// With the dump that shows it, where the sentence does not name it.
pub fn evidence_text(evidence: &Evidence) -> String {
    match evidence.dump {
        Some(dump) if !evidence.text.contains("dump") => format!("{} [dump {dump}]", evidence.text),
        _ => evidence.text.clone(),
    }
}

/// What a click on a place leads to, for the hover text.
pub const fn place_hint(place: Place) -> &'static str {
    match place {
        Place::Dump(_) => "Select this dump",
        Place::Region { .. } => "Show this region",
        Place::Use { .. } => "Show this use on the overview",
        Place::Heap { .. } => "Show this heap",
        Place::Thread { .. } => "Show this thread",
        Place::Store { .. } => "Show this store of the stack trace database",
        Place::TraceStack { .. } => "Show the stacks of the database",
        Place::Handles(_) => "Show the handles by type",
        Place::Modules(_) => "Show the modules and their symbols",
        Place::Problems(_) => "Show what was wrong with the file",
    }
}
