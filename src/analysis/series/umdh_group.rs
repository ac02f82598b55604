//! Which logs are of one process, and of which dumps' process; and when they were taken.
//!
//! A raw log names its process id and its modules, a comparison only modules. Modules that lie where a dump has them, with
//! the same size, are the dump's: that is what a log's addresses get their names by.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::analysis::snapshot::{ProcessIdentity, Snapshot};
use crate::base::ids::LogIdx;
use crate::base::printable::file_name;
use crate::base::time::{LocalTime, UtcTime};
use crate::input::dump::modules::ModuleRecord;
use crate::input::umdh::header::LogModule;
use crate::input::umdh::{LogKind, UmdhFile};

use super::group::ProcessGroup;

/// One log of a series.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Log {
    pub file: UmdhFile,
    pub time: LogTime,
}

/// When a log was taken. Its head has the local time of the machine, in whole minutes, without a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogTime {
    pub local: Option<LocalTime>,
    pub zone: Zone,
    /// Under that zone; where it is not known, as if it were UTC.
    pub utc: Option<UtcTime>,
}

/// How the zone of a log is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Zone {
    /// The log says that its time is UTC.
    Utc,
    /// A dump of the same process says by how many minutes local time lies behind UTC.
    OfDump {
        bias_minutes: i32,
    },
    Unknown,
}

/// The logs of one process, in time order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogGroup {
    pub identity: ProcessIdentity,
    pub logs: Vec<LogIdx>,
    /// Position of the dumps of the same process among the groups of dumps.
    pub dumps: Option<usize>,
}

/// How two lists of modules agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Agreement {
    /// The same name at the same base with the same size.
    same_count: usize,
    /// The same name somewhere else, or with another size: another run, or another build.
    other_count: usize,
    /// The program itself is among the same. System libraries lie at one place in all processes until Windows is started
    /// again, so that they alone prove nothing.
    has_image: bool,
}

impl Agreement {
    const fn is_same_run(self) -> bool {
        self.has_image && self.same_count > self.other_count
    }

    const fn speaks_against(self) -> bool {
        self.other_count > self.same_count
    }
}

/// Sorts logs by time and into processes.
pub fn group_logs(
    files: Vec<UmdhFile>,
    snapshots: &[Arc<Snapshot>],
    groups: &[ProcessGroup],
) -> (Vec<Arc<Log>>, Vec<LogGroup>) {
    let mut logs: Vec<(Log, Option<usize>)> = files
        .into_iter()
        .map(|file| {
            let group = group_of_dumps(&file, snapshots, groups);
            let time = log_time(&file, group.and_then(|group| bias_of(groups.get(group)?, snapshots)));
            (Log { file, time }, group)
        })
        .collect();
    // Stable: logs of one minute stay in the order of their names.
    logs.sort_by_key(|(log, _)| (log.time.utc.is_none(), log.time.utc));
    let mut log_groups: Vec<LogGroup> = Vec::new();
    // Raw logs first: they name their process, which a comparison does not.
    for kind in [LogKind::Raw, LogKind::Comparison] {
        for (index, (log, dumps)) in logs.iter().enumerate().filter(|(_, (log, _))| log.file.kind == kind) {
            let position = log_groups.iter().position(|group| match (dumps, group.dumps) {
                (Some(ours), Some(theirs)) => *ours == theirs,
                (None, None) => is_of_group(&log.file, group, &logs),
                _ => false,
            });
            match position.and_then(|position| log_groups.get_mut(position)) {
                Some(group) => group.logs.push(LogIdx(index)),
                None => {
                    let identity = dumps.and_then(|dumps| groups.get(dumps)).map(|group| group.identity.clone());
                    let identity = identity.unwrap_or_else(|| identity_of(&log.file));
                    log_groups.push(LogGroup { identity, logs: vec![LogIdx(index)], dumps: *dumps });
                }
            }
        }
    }
    for group in &mut log_groups {
        group.logs.sort_unstable();
    }
    log_groups.sort_by_key(|group| std::cmp::Reverse(group.logs.len()));
    (logs.into_iter().map(|(log, _)| Arc::new(log)).collect(), log_groups)
}

fn identity_of(file: &UmdhFile) -> ProcessIdentity {
    ProcessIdentity { image: file.image().map(str::to_owned), pid: file.header.pid, created: None }
}

/// Whether a log is of the process of logs that have no dumps.
fn is_of_group(file: &UmdhFile, group: &LogGroup, logs: &[(Log, Option<usize>)]) -> bool {
    let Some((first, _)) = group.logs.first().and_then(|log| logs.get(log.0)) else { return false };
    let agreement = agreement_of(&file.modules, &first.file.modules, |module| (module.range, module.name()));
    if file.kind == LogKind::Comparison || first.file.kind == LogKind::Comparison {
        return agreement.is_same_run();
    }
    let is_known = file.header.pid.is_some() || agreement.is_same_run();
    is_known
        && file.header.pid == first.file.header.pid
        && has_image(file, &group.identity)
        && !agreement.speaks_against()
}

fn has_image(file: &UmdhFile, identity: &ProcessIdentity) -> bool {
    file.image().zip(identity.image.as_deref()).is_none_or(|(a, b)| a.eq_ignore_ascii_case(b))
}

/// The dumps of the process that a log is of.
fn group_of_dumps(file: &UmdhFile, snapshots: &[Arc<Snapshot>], groups: &[ProcessGroup]) -> Option<usize> {
    let candidates = groups.iter().enumerate().filter_map(|(position, group)| {
        let agreements = group.dumps.iter().filter_map(|dump| snapshots.get(dump.0)).map(|snapshot| {
            let modules = snapshot.dump.modules.as_deref().unwrap_or_default();
            agreement_of(&file.modules, modules, |module| (module.range(), stem(module)))
        });
        let agreement = agreements.max_by_key(|agreement| agreement.same_count).unwrap_or_default();
        let pids = file.header.pid.zip(group.identity.pid);
        let is_same = match (file.kind, pids) {
            (LogKind::Raw, Some((ours, theirs))) => {
                ours == theirs && has_image(file, &group.identity) && !agreement.speaks_against()
            }
            (LogKind::Raw, None) => has_image(file, &group.identity) && agreement.is_same_run(),
            (LogKind::Comparison, _) => agreement.is_same_run(),
        };
        is_same.then_some((position, agreement.same_count))
    });
    // Of equally good ones the first, which has most dumps.
    candidates.max_by_key(|(position, same_count)| (*same_count, std::cmp::Reverse(*position))).map(|(at, _)| at)
}

fn stem(module: &ModuleRecord) -> &str {
    let name = file_name(module.file_name());
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn agreement_of<'a, M>(
    ours: &[LogModule],
    theirs: &'a [M],
    place_and_name: impl Fn(&'a M) -> (crate::base::addr::VaRange, &'a str),
) -> Agreement {
    let known: std::collections::HashMap<String, crate::base::addr::VaRange> = theirs
        .iter()
        .map(|module| {
            let (range, name) = place_and_name(module);
            (name.to_lowercase(), range)
        })
        .collect();
    // The image is the first that any list has.
    let image = theirs.first().map(|module| place_and_name(module).0);
    let mut agreement = Agreement::default();
    for module in ours {
        match known.get(&module.name().to_lowercase()) {
            Some(range) if *range == module.range => {
                agreement.same_count += 1;
                agreement.has_image |= image == Some(module.range);
            }
            Some(_) => agreement.other_count += 1,
            None => {}
        }
    }
    agreement
}

/// By how many minutes local time lay behind UTC in the dumps of a process.
fn bias_of(group: &ProcessGroup, snapshots: &[Arc<Snapshot>]) -> Option<i32> {
    let of_dump = |snapshot: &Arc<Snapshot>| snapshot.dump.misc.as_ref()?.time_zone_bias_minutes;
    group.dumps.iter().filter_map(|dump| snapshots.get(dump.0)).find_map(of_dump)
}

fn log_time(file: &UmdhFile, bias_minutes: Option<i32>) -> LogTime {
    let local = file.header.log_time;
    let zone = match bias_minutes {
        _ if file.header.is_utc => Zone::Utc,
        Some(bias_minutes) => Zone::OfDump { bias_minutes },
        None => Zone::Unknown,
    };
    let bias_minutes = if let Zone::OfDump { bias_minutes } = zone { bias_minutes } else { 0 };
    LogTime { local, zone, utc: local.map(|local| local.to_utc(bias_minutes)) }
}

/// The module of a dump that a log's module is: the same base and size, and the same name.
pub fn borrowed_module<'a>(module: &LogModule, snapshots: &'a [Arc<Snapshot>]) -> Option<&'a ModuleRecord> {
    let modules = snapshots.iter().rev().flat_map(|snapshot| snapshot.dump.modules.iter().flatten());
    modules
        .filter(|of_dump| of_dump.range() == module.range)
        .find(|of_dump| stem(of_dump).eq_ignore_ascii_case(module.name()))
}
