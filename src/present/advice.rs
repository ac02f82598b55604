//! Advice as text: for the report, the clipboard and files.

use crate::analysis::Analysis;
use crate::analysis::advice::{Advice, advice, target_of};
use crate::analysis::diagnosis::{Finding, Verdict};
use crate::base::ids::DumpIdx;

/// What to do about a finding, for the process of these dumps.
pub fn advice_for(analysis: &Analysis, dumps: &[DumpIdx], finding: &Finding) -> Vec<Advice> {
    advice(finding, &target_of(analysis, dumps))
}

/// All advice of a series, each once: what was found first, then the dumps that would decide what is open.
pub fn all_advice(analysis: &Analysis, dumps: &[DumpIdx], findings: &[Finding]) -> Vec<Advice> {
    let target = target_of(analysis, dumps);
    let mut all: Vec<Advice> = Vec::new();
    let by_verdict = |verdict| findings.iter().filter(move |finding| finding.verdict == verdict);
    for finding in by_verdict(Verdict::Found).chain(by_verdict(Verdict::Undecided)) {
        for advice in advice(finding, &target) {
            // Two findings may want the same dump for different reasons: one command is enough.
            let is_told = all.iter().any(|told| told.commands == advice.commands && !advice.commands.is_empty());
            if !is_told {
                all.push(advice);
            }
        }
    }
    all
}

/// One piece of advice in the text report.
pub fn advice_text(advice: &Advice) -> String {
    let mut text = format!("- {}\n", advice.what);
    for command in &advice.commands {
        text.push_str(&format!("      {command}\n"));
    }
    for undo in &advice.undo {
        text.push_str(&format!("    undo: {undo}\n"));
    }
    let rights = if advice.needs_administrator { "; needs an administrator" } else { "" };
    text.push_str(&format!("    takes effect {}{rights}\n", advice.takes_effect));
    for remark in &advice.remarks {
        text.push_str(&format!("    note: {remark}\n"));
    }
    text
}

/// The name that a saved script or registry file is offered with.
pub fn file_name(advice: &Advice, is_undo: bool, extension: &str) -> String {
    let words: Vec<String> = advice
        .what
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(6)
        .map(str::to_lowercase)
        .collect();
    let undo = if is_undo { "-undo" } else { "" };
    format!("{}{undo}.{extension}", words.join("-"))
}
