//! Joins the parts of each dump, and compares the dumps of a series. What the window, the console and the reports may see.
//!
//! **Invariant:** an [`Analysis`] never changes; a later stage or another set of files makes a new one.

pub mod advice;
pub mod capsule;
pub mod diagnosis;
mod find_files;
pub mod fuzz;
pub mod names;
pub mod run;
mod run_logs;
pub mod series;
pub mod snapshot;
pub mod thresholds;

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::addr::Va;
use crate::base::file_name;
use crate::base::ids::{DumpIdx, LogIdx};
use crate::base::problems::Problem;
use crate::input::symbols::SymbolTable;
use crate::process::heap::DecodedHeap;
use capsule::CapsuleSource;
use diagnosis::Finding;
use series::group::ProcessGroup;
use series::heaps::SeriesHeaps;
use series::outstanding::SeriesOutstanding;
use series::thread_stacks::SeriesThreadStacks;
use series::traces::SeriesTraces;
use series::umdh_group::{Log, LogGroup};
use series::umdh_join::UmdhSeries;
use series::umdh_names::UmdhNames;
use snapshot::Snapshot;

/// Everything known about the files that were opened.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Analysis {
    /// All dumps that could be read, in time order.
    pub snapshots: Vec<Arc<Snapshot>>,
    /// The dumps by process, the group with most dumps first; within a group in time order.
    pub groups: Vec<ProcessGroup>,
    /// The decoded trace stores of each group, in the order of the groups; `None` before they were decoded.
    pub traces: Option<Vec<Arc<SeriesTraces>>>,
    /// The decoded heaps of each group, in the order of the groups; `None` before they were decoded.
    pub heaps: Option<Vec<Arc<SeriesHeaps>>>,
    /// Blocks in use by the stacks of `traces`, in the order of the groups; `None` before both are decoded.
    pub outstanding: Option<Vec<Arc<SeriesOutstanding>>>,
    /// The stacks of all threads of each group, in the order of the groups; `None` before they were unwound.
    pub thread_stacks: Option<Vec<Arc<SeriesThreadStacks>>>,
    /// Names for each group, in the order of the groups; `None` before they were loaded.
    pub symbols: Option<Vec<Arc<SymbolTable>>>,
    /// What each group's whole series shows, in the order of the groups; `None` before it was judged. Another interval is
    /// judged when it is chosen: [`diagnosis::diagnose`].
    #[serde(skip)]
    pub findings: Option<Vec<Arc<Vec<Finding>>>>,
    /// All UMDH logs, in time order.
    pub logs: Vec<Arc<Log>>,
    /// The logs by process, the group with most logs first.
    pub log_groups: Vec<LogGroup>,
    /// What the logs of each group hold, in the order of the groups of logs; `None` before they were read.
    pub umdh: Option<Vec<Arc<UmdhSeries>>>,
    /// Files of which nothing can be said, and why, as one line each.
    pub failures: Vec<Failure>,
    /// What the reader of the series should know: mixed processes, equal times, copies.
    pub notes: Vec<Note>,
    /// Set for what a case capsule held: nothing of it can be decoded further.
    #[serde(skip)]
    pub capsule: Option<CapsuleSource>,
}

/// A file that could not be analysed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    #[serde(serialize_with = "file_name::serialize")]
    pub path: PathBuf,
    /// What is wrong, where, and what to do; ends with the path.
    pub text: String,
}

/// A remark about the series as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Note {
    pub text: String,
    /// The dumps that it is about.
    pub dumps: Vec<DumpIdx>,
}

impl Analysis {
    pub fn snapshot(&self, dump: DumpIdx) -> Option<&Arc<Snapshot>> {
        self.snapshots.get(dump.0)
    }

    /// The group that a dump belongs to.
    pub fn group_of(&self, dump: DumpIdx) -> Option<&ProcessGroup> {
        self.groups.iter().find(|group| group.dumps.contains(&dump))
    }

    /// The group that a report is about: the process with most dumps.
    pub fn main_group(&self) -> Option<&ProcessGroup> {
        self.groups.first()
    }

    /// The decoded trace stores of a group; `None` before they were decoded.
    pub fn traces_of(&self, group: &ProcessGroup) -> Option<&Arc<SeriesTraces>> {
        let position = self.groups.iter().position(|other| other == group)?;
        self.traces.as_ref()?.get(position)
    }

    /// The decoded heaps of a group; `None` before they were decoded.
    pub fn heaps_of(&self, group: &ProcessGroup) -> Option<&Arc<SeriesHeaps>> {
        let position = self.groups.iter().position(|other| other == group)?;
        self.heaps.as_ref()?.get(position)
    }

    /// Blocks in use by stack, of a group; `None` before heaps and traces were decoded.
    pub fn outstanding_of(&self, group: &ProcessGroup) -> Option<&Arc<SeriesOutstanding>> {
        let position = self.groups.iter().position(|other| other == group)?;
        self.outstanding.as_ref()?.get(position)
    }

    /// The unwound threads of a group; `None` before they were unwound.
    pub fn thread_stacks_of(&self, group: &ProcessGroup) -> Option<&Arc<SeriesThreadStacks>> {
        let position = self.groups.iter().position(|other| other == group)?;
        self.thread_stacks.as_ref()?.get(position)
    }

    /// Names for the addresses of a group; `None` before they were loaded.
    pub fn loaded_symbols_of(&self, group: &ProcessGroup) -> Option<&Arc<SymbolTable>> {
        let position = self.groups.iter().position(|other| other == group)?;
        self.symbols.as_ref()?.get(position)
    }

    /// Names for the addresses of a group: those that were loaded, else the exports of the images in its last dump.
    pub fn symbols_of(&self, group: &ProcessGroup) -> Arc<SymbolTable> {
        let known = self.loaded_symbols_of(group).or_else(|| self.traces_of(group).map(|traces| &traces.symbols));
        let exports = || {
            let last = group.dumps.last().and_then(|dump| self.snapshot(*dump));
            last.map(|snapshot| Arc::new(series::traces::symbols_of(snapshot))).unwrap_or_default()
        };
        known.map_or_else(exports, Arc::clone)
    }

    /// Every address of a group that is shown by its name: in stacks of traces, threads and logs, where threads began, and
    /// where exceptions were.
    pub fn shown_addresses(&self, group: &ProcessGroup) -> impl Iterator<Item = Va> {
        let position = self.groups.iter().position(|other| other == group);
        let snapshots = group.dumps.iter().filter_map(|dump| self.snapshot(*dump));
        let of_dumps = snapshots.flat_map(|snapshot| {
            let starts = snapshot.threads.iter().filter_map(|thread| thread.start_address);
            starts.chain(snapshot.dump.exception.as_ref().map(|exception| exception.address))
        });
        let of_traces = self.traces_of(group).into_iter().flat_map(|traces| traces.stacks.addresses()).copied();
        let of_threads = self.thread_stacks_of(group).into_iter().flat_map(|stacks| stacks.addresses());
        let series = self.umdh.iter().flatten().zip(&self.log_groups);
        let of_group = series.filter(move |(_, logs)| logs.dumps.is_some() && logs.dumps == position);
        let of_logs = of_group.flat_map(|(series, _)| series.all_frames()).filter_map(|frame| frame.address);
        of_dumps.chain(of_traces).chain(of_threads).chain(of_logs)
    }

    /// What is wrong with a dump, and with the heaps in it as far as they are decoded.
    pub fn problems_of(&self, dump: DumpIdx) -> impl Iterator<Item = &Problem> {
        let of_dump = self.snapshot(dump).into_iter().flat_map(|snapshot| snapshot.problems.iter());
        of_dump.chain(self.decoded_heaps_of(dump).flat_map(|heap| heap.problems.iter()))
    }

    fn decoded_heaps_of(&self, dump: DumpIdx) -> impl Iterator<Item = &DecodedHeap> {
        let found = || {
            let group = self.group_of(dump)?;
            let position = group.dumps.iter().position(|other| *other == dump)?;
            self.heaps_of(group)?.dumps.get(position)
        };
        found().into_iter().flat_map(|heaps| &heaps.heaps)
    }

    /// What the whole series of a group shows; `None` before it was judged.
    pub fn findings_of(&self, group: &ProcessGroup) -> Option<&Arc<Vec<Finding>>> {
        let position = self.groups.iter().position(|other| other == group)?;
        self.findings.as_ref()?.get(position)
    }

    pub fn log(&self, log: LogIdx) -> Option<&Arc<Log>> {
        self.logs.get(log.0)
    }

    /// Whether no file could be opened.
    pub fn is_empty(&self) -> bool {
        self.snapshots.is_empty() && self.logs.is_empty()
    }

    /// The logs of the process of a group of dumps.
    pub fn logs_of(&self, group: &ProcessGroup) -> Option<&LogGroup> {
        let position = self.groups.iter().position(|other| other == group)?;
        self.log_groups.iter().find(|logs| logs.dumps == Some(position))
    }

    /// The dumps of the process of a group of logs.
    pub fn dumps_of(&self, logs: &LogGroup) -> Option<&ProcessGroup> {
        self.groups.get(logs.dumps?)
    }

    /// What the logs of a group hold; `None` before they were read.
    pub fn umdh_of(&self, logs: &LogGroup) -> Option<&Arc<UmdhSeries>> {
        let position = self.log_groups.iter().position(|other| other == logs)?;
        self.umdh.as_ref()?.get(position)
    }

    /// Names for the frames of a group's logs.
    pub fn umdh_names_of(&self, logs: &LogGroup) -> UmdhNames {
        let dumps = self.dumps_of(logs);
        let snapshots: Vec<Arc<Snapshot>> = dumps
            .iter()
            .flat_map(|group| &group.dumps)
            .filter_map(|dump| self.snapshot(*dump))
            .map(Arc::clone)
            .collect();
        let files: Vec<Arc<Log>> = logs.logs.iter().filter_map(|log| self.log(*log)).map(Arc::clone).collect();
        UmdhNames::new(&files, &snapshots, dumps.map(|group| self.symbols_of(group)).unwrap_or_default())
    }

    /// Whether something was damaged or could not be read: exit code 3.
    pub fn has_damage(&self) -> bool {
        let is_damaged = |dump: usize| {
            self.snapshots.get(dump).is_some_and(|snapshot| snapshot.problems.has_damage())
                || self.decoded_heaps_of(DumpIdx(dump)).any(|heap| heap.problems.has_damage())
        };
        !self.failures.is_empty() || (0..self.snapshots.len()).any(is_damaged) || run_logs::has_damaged_logs(self)
    }
}
