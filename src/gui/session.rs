//! The series that is open: its analysis, and what the user chose to compare.

use std::path::PathBuf;
use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::diagnosis::Finding;
use crate::analysis::diagnosis::pattern::PatternId;
use crate::analysis::series::group::ProcessGroup;
use crate::analysis::snapshot::Snapshot;
use crate::base::ids::DumpIdx;

use super::selection::Item;

/// What is open. Empty before the first series.
#[derive(Clone, Default)]
pub struct Session {
    pub inputs: Vec<PathBuf>,
    pub analysis: Arc<Analysis>,
    /// Counts the analyses, so that what was derived from an older one is known to be stale.
    pub generation: u64,
    pub selected: Option<Item>,
    pub baseline: Option<DumpIdx>,
    pub interval: Option<(DumpIdx, DumpIdx)>,
    /// What was judged last.
    pub judged: Option<Judged>,
    /// The finding that the Findings tab is to show.
    pub asked_finding: Option<PatternId>,
}

/// The findings over some dumps.
#[derive(Clone)]
pub struct Judged {
    /// Of the analysis that was judged.
    pub generation: u64,
    pub dumps: Vec<DumpIdx>,
    pub findings: Arc<Vec<Finding>>,
}

impl Session {
    pub fn is_empty(&self) -> bool {
        self.analysis.snapshots.is_empty()
    }

    /// The dump that views of one dump show: the selected one, else the last of the process with most dumps.
    pub fn dump(&self) -> Option<DumpIdx> {
        let selected = self.selected.map(Item::dump).filter(|dump| dump.0 < self.analysis.snapshots.len());
        selected.or_else(|| self.analysis.main_group()?.dumps.last().copied())
    }

    pub fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.analysis.snapshot(self.dump()?)
    }

    /// The process that views of a series show: the selected dump's.
    pub fn group(&self) -> Option<&ProcessGroup> {
        self.dump().and_then(|dump| self.analysis.group_of(dump)).or_else(|| self.analysis.main_group())
    }

    /// The dump that others are compared with.
    pub fn baseline(&self) -> Option<DumpIdx> {
        let group = self.group()?;
        self.baseline.filter(|dump| group.dumps.contains(dump)).or_else(|| group.dumps.first().copied())
    }

    /// The two dumps that are compared: what the user chose, else the baseline and the last dump.
    pub fn ends(&self) -> Option<(DumpIdx, DumpIdx)> {
        let dumps = self.interval_dumps();
        Some((*dumps.first()?, *dumps.last()?))
    }

    /// The findings over the compared dumps; `None` before they were judged. Those of an earlier stage of the same dumps are
    /// shown until the next are there.
    pub fn findings(&self) -> Option<&Arc<Vec<Finding>>> {
        let dumps = self.interval_dumps();
        self.judged.as_ref().filter(|judged| judged.dumps == dumps).map(|judged| &judged.findings)
    }

    /// The dumps of the process from the first to the second end.
    pub fn interval_dumps(&self) -> Vec<DumpIdx> {
        let Some(group) = self.group() else { return Vec::new() };
        let is_of_group = |(from, to): &(DumpIdx, DumpIdx)| group.dumps.contains(from) && group.dumps.contains(to);
        match self.interval.filter(is_of_group) {
            Some((from, to)) => group.dumps.iter().copied().filter(|dump| (from..=to).contains(dump)).collect(),
            None => group.compared_dumps(self.baseline()),
        }
    }
}
