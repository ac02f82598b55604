//! The series that is open: its analysis, and what the user chose to compare.

use std::path::PathBuf;
use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::diagnosis::Finding;
use crate::analysis::diagnosis::pattern::PatternId;
use crate::analysis::series::group::ProcessGroup;
use crate::analysis::series::umdh_group::LogGroup;
use crate::analysis::snapshot::Snapshot;
use crate::base::ids::{DumpIdx, LogIdx};

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
        self.analysis.is_empty()
    }

    /// The dump that views of one dump show: the selected one, for a log the nearest in time of its process, else the last
    /// of the process with most dumps.
    pub fn dump(&self) -> Option<DumpIdx> {
        let selected = self.selected.and_then(|item| match item {
            Item::Log(log) => self.dump_nearest_to(log),
            item => item.dump().filter(|dump| dump.0 < self.analysis.snapshots.len()),
        });
        selected.or_else(|| self.analysis.main_group()?.dumps.last().copied())
    }

    fn dump_nearest_to(&self, log: LogIdx) -> Option<DumpIdx> {
        let time = self.analysis.log(log)?.time.utc?;
        let logs = self.analysis.log_groups.iter().find(|group| group.logs.contains(&log))?;
        let dumps = self.analysis.dumps_of(logs)?.dumps.iter();
        let distance = |dump: &DumpIdx| {
            let taken = self.analysis.snapshot(*dump).and_then(|snapshot| snapshot.time());
            taken.map_or(u128::MAX, |taken| taken.ns_since(time).unsigned_abs())
        };
        dumps.copied().min_by_key(distance)
    }

    /// The logs that the UMDH tab shows: those that the selected one is of, else those of the process that is shown.
    pub fn log_group(&self) -> Option<&LogGroup> {
        let groups = &self.analysis.log_groups;
        if let Some(Item::Log(log)) = self.selected {
            return groups.iter().find(|group| group.logs.contains(&log));
        }
        self.group().and_then(|group| self.analysis.logs_of(group)).or_else(|| groups.first())
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
