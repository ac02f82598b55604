//! Findings and advice in the JSON report.

use serde::Serialize;
use serde_json::Value as Json;

use crate::analysis::advice::{Advice, Target, advice};
use crate::analysis::diagnosis::Finding;
use crate::analysis::diagnosis::evidence::{Evidence, Number, Place, Strength};

#[derive(Serialize)]
pub(super) struct FindingEntry {
    pattern: &'static str,
    title: &'static str,
    verdict: &'static str,
    /// `null` for what is undecided.
    confidence: Option<&'static str>,
    summary: String,
    subjects: Vec<SubjectEntry>,
    evidence: Vec<EvidenceEntry>,
    refuted_by: Option<String>,
    next_dump: Option<String>,
    advice: Vec<AdviceEntry>,
    /// Where the pattern is described; `null` for a name of our own.
    source: Option<String>,
    /// The catalogue has the name only, and the meaning here is this program's own.
    is_related_only: bool,
}

#[derive(Serialize)]
struct SubjectEntry {
    name: String,
    place: Option<PlaceEntry>,
}

#[derive(Serialize)]
struct EvidenceEntry {
    text: String,
    /// Number of the dump, from 1.
    dump: Option<usize>,
    value: Option<Json>,
    unit: Option<&'static str>,
    /// `proves`, `supports`, `against` or `background`.
    strength: &'static str,
    place: Option<PlaceEntry>,
    windbg: Option<String>,
}

#[derive(Serialize)]
struct PlaceEntry {
    kind: &'static str,
    /// An address, a thread id in hexadecimal, a use.
    name: Option<String>,
}

#[derive(Serialize)]
struct AdviceEntry {
    what: String,
    /// The first of `commands`.
    command: Option<String>,
    commands: Vec<String>,
    undo: Option<String>,
    takes_effect: String,
    remarks: Vec<String>,
    registry_file: Option<String>,
    registry_undo_file: Option<String>,
    needs_administrator: bool,
}

pub(super) fn finding_entries(findings: &[Finding], target: &Target) -> Vec<FindingEntry> {
    findings.iter().map(|finding| finding_entry(finding, target)).collect()
}

fn finding_entry(finding: &Finding, target: &Target) -> FindingEntry {
    let source = finding.pattern.source();
    FindingEntry {
        pattern: finding.pattern.key(),
        title: finding.pattern.title(),
        verdict: finding.verdict.key(),
        confidence: finding.confidence().map(|confidence| confidence.text()),
        summary: finding.summary.clone(),
        subjects: finding
            .subjects
            .iter()
            .map(|subject| SubjectEntry { name: subject.name.clone(), place: subject.place.map(place_entry) })
            .collect(),
        evidence: finding.evidence.iter().map(evidence_entry).collect(),
        refuted_by: Some(finding.refuted_by.clone()).filter(|text| !text.is_empty()),
        next_dump: finding.next_dump.as_ref().map(|next| next.decides.clone()),
        advice: advice(finding, target).into_iter().map(advice_entry).collect(),
        source: source.url(),
        is_related_only: source.is_name_only,
    }
}

fn evidence_entry(evidence: &Evidence) -> EvidenceEntry {
    EvidenceEntry {
        text: evidence.text.clone(),
        dump: evidence.dump.map(|dump| dump.0 + 1),
        value: evidence.number.and_then(value),
        unit: evidence.number.map(Number::unit),
        strength: match evidence.strength {
            Strength::Proves => "proves",
            Strength::Supports => "supports",
            Strength::Against => "against",
            Strength::Background => "background",
        },
        place: evidence.place.map(place_entry),
        windbg: evidence.windbg.clone(),
    }
}

/// Whole numbers stay whole; one that JSON cannot hold exactly is absent.
fn value(number: Number) -> Option<Json> {
    match number {
        Number::Bytes(value) | Number::Count(value) | Number::Cpu { ns: value } => Some(Json::from(value)),
        Number::BytesDelta(value) | Number::CountDelta(value) => i64::try_from(value).ok().map(Json::from),
        Number::Percent(value) | Number::Cores(value) | Number::BytesPerHour(value) => {
            serde_json::Number::from_f64(value).map(Json::Number)
        }
        Number::Code(value) => Some(Json::from(value)),
    }
}

fn place_entry(place: Place) -> PlaceEntry {
    let (kind, name) = match place {
        Place::Dump(_) => ("dump", None),
        Place::Region { start, .. } => ("region", Some(start.to_string())),
        Place::Use { usage, .. } => ("use", Some(usage.key().to_owned())),
        Place::Heap { base, .. } => ("heap", Some(base.to_string())),
        Place::Thread { tid, .. } => ("thread", Some(format!("{tid:#x}"))),
        Place::Store { base, .. } => ("trace_store", Some(base.to_string())),
        Place::TraceStack { stack, .. } => ("trace", Some((stack + 1).to_string())),
        Place::Handles(_) => ("handles", None),
        Place::Modules(_) => ("modules", None),
        Place::Problems(_) => ("problems", None),
    };
    PlaceEntry { kind, name }
}

fn advice_entry(advice: Advice) -> AdviceEntry {
    let (registry_file, registry_undo_file) =
        advice.registry.map_or((None, None), |registry| (Some(registry.apply), Some(registry.undo)));
    AdviceEntry {
        what: advice.what,
        command: advice.commands.first().cloned(),
        commands: advice.commands,
        undo: advice.undo.first().cloned(),
        takes_effect: advice.takes_effect,
        remarks: advice.remarks,
        registry_file,
        registry_undo_file,
        needs_administrator: advice.needs_administrator,
    }
}
