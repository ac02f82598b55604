//! Findings as a table: one row for each pattern, for a spreadsheet or a tracker.

use std::sync::Arc;

use crate::analysis::diagnosis::Finding;

use super::diagnosis::{evidence_text, verdict_tone};
use super::table::{Cell, Column, TableModel};
use super::value::Value;

/// What was judged, in the order of the report.
pub struct FindingTable {
    findings: Arc<Vec<Finding>>,
}

const COLUMNS: [Column; 9] = [
    Column::words("pattern", 36, "As --fail-on and the JSON report name it"),
    Column::words("title", 36, "The pattern's name"),
    Column::words("verdict", 10, "found, ruled out or undecided"),
    Column::words("confidence", 10, "certain, likely or possible"),
    Column::words("summary", 60, "In one sentence"),
    Column::words("subjects", 24, "Threads, heaps or regions that it is about"),
    Column::words("evidence", 80, "What was seen, in which dump"),
    Column::words("refuted by", 40, "What would show that the verdict is wrong"),
    Column::words("next dump", 40, "What the next dump would decide"),
];

impl FindingTable {
    pub const fn new(findings: Arc<Vec<Finding>>) -> Self {
        Self { findings }
    }
}

impl TableModel for FindingTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.findings.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let Some(finding) = self.findings.get(row) else { return Cell::new(Value::Absent) };
        let some = |text: String| if text.is_empty() { Value::Absent } else { Value::Text(text) };
        let joined = |texts: Vec<String>| some(texts.join("; "));
        let value = match column {
            0 => Value::text(finding.pattern.key()),
            1 => Value::text(finding.pattern.title()),
            2 => return Cell::toned(Value::text(finding.verdict.text()), verdict_tone(finding.verdict)),
            3 => finding.confidence().map_or(Value::Absent, |confidence| Value::text(confidence.text())),
            4 => some(finding.summary.clone()),
            5 => joined(finding.subjects.iter().map(|subject| subject.name.clone()).collect()),
            6 => joined(finding.evidence.iter().map(evidence_text).collect()),
            7 => some(finding.refuted_by.clone()),
            _ => some(finding.next_dump.as_ref().map(|next| next.decides.clone()).unwrap_or_default()),
        };
        Cell::new(value)
    }
}
