//! Which analysis patterns a series shows: each found, ruled out, or undecided, with the numbers that say so.
//!
//! `gather` takes numbers from an analysis, `patterns` judges them; `analysis::thresholds` has every limit with its reason. A cause is
//! never named where there is only a number.
//!
//! **Invariant:** values in, values out; there is one finding for each pattern, whatever is missing.

pub mod evidence;
pub mod facts;
pub mod gather;
pub mod pattern;
pub mod patterns;

use crate::base::ids::DumpIdx;

use super::Analysis;
use evidence::{Evidence, Place, Strength};
use facts::SeriesFacts;
use pattern::PatternId;
pub use patterns::PATTERNS;

/// What was decided about a pattern.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    Found,
    RuledOut,
    Undecided,
}

impl Verdict {
    /// The word in the JSON report.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::RuledOut => "ruled_out",
            Self::Undecided => "undecided",
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::RuledOut => "ruled out",
            Self::Undecided => "undecided",
        }
    }
}

/// How sure a verdict is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Confidence {
    Certain,
    Likely,
    Possible,
}

impl Confidence {
    pub const fn text(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
            Self::Possible => "possible",
        }
    }
}

/// A thing that a finding is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subject {
    pub name: String,
    pub place: Option<Place>,
}

/// Which dump would decide more, and what it would decide. The exact commands are made in `advice`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NextDump {
    pub kind: NextDumpKind,
    /// What it will tell.
    pub decides: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NextDumpKind {
    /// More full dumps of the running process.
    Series,
    /// A dump that holds all memory and all streams.
    Full,
    /// One just after the start, then the others.
    Baseline,
    /// Several within a minute while the CPU is busy.
    BusyCpu,
    /// When the process raises an exception that it does not handle.
    Exception,
    /// A series taken with allocation stacks on.
    WithStacks,
}

/// What was decided about one pattern over one series.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    pub pattern: PatternId,
    pub verdict: Verdict,
    /// In one sentence, with the number that tells most.
    pub summary: String,
    pub evidence: Vec<Evidence>,
    /// What would show that the verdict is wrong.
    pub refuted_by: String,
    pub next_dump: Option<NextDump>,
    pub subjects: Vec<Subject>,
}

impl Finding {
    pub fn new(pattern: PatternId, verdict: Verdict, summary: impl Into<String>) -> Self {
        Self {
            pattern,
            verdict,
            summary: summary.into(),
            evidence: Vec::new(),
            refuted_by: String::new(),
            next_dump: None,
            subjects: Vec::new(),
        }
    }

    #[must_use]
    pub fn evidence(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    #[must_use]
    pub fn refuted_by(mut self, text: impl Into<String>) -> Self {
        self.refuted_by = text.into();
        self
    }

    #[must_use]
    pub fn next(mut self, kind: NextDumpKind, decides: impl Into<String>) -> Self {
        self.next_dump = Some(NextDump { kind, decides: decides.into() });
        self
    }

    #[must_use]
    pub fn subjects(mut self, subjects: impl IntoIterator<Item = Subject>) -> Self {
        self.subjects.extend(subjects);
        self
    }

    /// Derived from the evidence: a measured fact that nothing contradicts is certain; two facts that fit are likely, one is
    /// possible; what is contradicted is one step less sure. Nothing is sure of what is undecided: `None`.
    pub fn confidence(&self) -> Option<Confidence> {
        let has = |strength| self.evidence.iter().any(|evidence| evidence.strength == strength);
        let supporting = self.evidence.iter().filter(|evidence| evidence.strength == Strength::Supports).count();
        let is_contradicted = has(Strength::Against);
        (self.verdict != Verdict::Undecided).then(|| match (has(Strength::Proves), is_contradicted, supporting) {
            (true, false, _) => Confidence::Certain,
            (true, true, _) | (false, false, 2..) => Confidence::Likely,
            _ => Confidence::Possible,
        })
    }
}

/// Judges every pattern by the facts: what was found first, the most certain first of it.
pub fn judge(facts: &SeriesFacts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = PATTERNS.iter().map(|pattern| (pattern.judge)(facts)).collect();
    let order = |pattern| PatternId::ALL.iter().position(|other| *other == pattern);
    findings.sort_by_key(|finding| (finding.verdict, finding.confidence(), order(finding.pattern)));
    findings
}

/// Judges every pattern over some dumps of one process, in time order.
pub fn diagnose(analysis: &Analysis, dumps: &[DumpIdx]) -> Vec<Finding> {
    judge(&gather::gather(analysis, dumps))
}
