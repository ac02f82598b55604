//! Lines that are no part of a log: told once for each run of them.

use crate::base::problems::{Problem, ProblemKind, Problems};

use super::lines::Line;

/// The run of such lines that is going on.
#[derive(Debug, Default)]
pub(super) struct Noise {
    run: Option<Run>,
}

#[derive(Debug)]
struct Run {
    first_number: u64,
    offset: u64,
    count: u64,
    kind: ProblemKind,
    what: &'static str,
}

impl Noise {
    /// A line that should be something and is not: damage. `what` is what it should be.
    pub fn broken(&mut self, line: &Line<'_>, what: &'static str, problems: &mut Problems) {
        self.add(line, ProblemKind::Damage, what, problems);
    }

    /// A line of text that is not understood; binary garbage is damage.
    pub fn unknown(&mut self, line: &Line<'_>, problems: &mut Problems) {
        let text = String::from_utf8_lossy(line.bytes);
        let is_text = !line.is_piece && !text.contains(|c: char| c.is_control() && c != '\t' || c == '\u{fffd}');
        let kind = if is_text { ProblemKind::Missing } else { ProblemKind::Damage };
        let what = if is_text { "text that is not understood" } else { "no text" };
        self.add(line, kind, what, problems);
    }

    /// A line that belongs to the log ends a run.
    pub fn end(&mut self, problems: &mut Problems) {
        let Some(run) = self.run.take() else { return };
        let lines = if run.count == 1 { "this line is".to_owned() } else { format!("{} lines are", run.count) };
        problems.push(Problem {
            place: format!("line {} (offset {:#x})", run.first_number, run.offset),
            text: format!("{lines} {}; left out", run.what),
            kind: run.kind,
        });
    }

    fn add(&mut self, line: &Line<'_>, kind: ProblemKind, what: &'static str, problems: &mut Problems) {
        match &mut self.run {
            Some(run) if (run.kind, run.what) == (kind, what) => run.count = run.count.saturating_add(1),
            _ => {
                self.end(problems);
                let (first_number, offset) = (line.number, line.offset.0);
                self.run = Some(Run { first_number, offset, count: 1, kind, what });
            }
        }
    }
}
