//! The part of the JSON report that is about UMDH logs.

use std::sync::Arc;

use serde::Serialize;

use crate::analysis::Analysis;
use crate::analysis::series::shape::Judgement;
use crate::analysis::series::umdh_group::{Log, LogGroup, Zone, borrowed_module};
use crate::analysis::series::umdh_join::{PointSource, UmdhSeries};
use crate::analysis::snapshot::Snapshot;
use crate::base::ids::LogIdx;
use crate::input::umdh::header::LogModule;
use crate::input::umdh::{Comparison, LogKind};
use crate::present::umdh::comparison_table::entry_frames;
use crate::present::umdh::log_table::problems_of;
use crate::present::umdh::{UmdhNaming, shape_key};

use super::text_umdh::naming_of;

/// More than this help nobody; the first are those with most bytes.
const MOST_ENTRIES: usize = 10_000;

#[derive(Serialize)]
pub(super) struct UmdhLog {
    file: String,
    path: String,
    size_bytes: u64,
    kind: &'static str,
    /// UTC; `time_zone` says how that is known.
    time: Option<String>,
    /// On the clock of the machine, as the log has it.
    local_time: Option<String>,
    /// `log`, `dump` or `null`: not known, and the time is as if it were UTC.
    time_zone: Option<&'static str>,
    encoding: &'static str,
    version: Option<String>,
    machine: Option<String>,
    image: Option<String>,
    pid: Option<u32>,
    modules: Vec<Module>,
    problems: Vec<Problem>,
    /// Comparisons only: `hexadecimal` or `decimal`, and why.
    numbers: Option<&'static str>,
    numbers_reason: Option<String>,
    heaps: Option<Vec<Heap>>,
    /// Of a raw log those that it has blocks of; the difference is to the log before of the same process.
    entries: Option<Vec<Entry>>,
    entries_left_out_count: Option<u64>,
    total_requested_bytes: Option<u64>,
    total_overhead_bytes: Option<u64>,
    block_count: Option<u64>,
    total_requested_delta_bytes: Option<i64>,
    total_overhead_delta_bytes: Option<i64>,
    /// Comparisons only: what the entries add up to.
    entries_delta_bytes: Option<i64>,
}

#[derive(Serialize)]
struct Module {
    base: String,
    size_bytes: u64,
    path: String,
    /// From the dump of the same process that has the same module, else what the log itself names.
    pdb_id: Option<String>,
    /// A dump has it, and names the addresses in it.
    is_of_dump: bool,
}

#[derive(Serialize)]
struct Problem {
    r#where: String,
    text: String,
    kind: &'static str,
}

#[derive(Serialize)]
struct Heap {
    base: Option<String>,
    requested_bytes: u64,
    overhead_bytes: Option<u64>,
    block_count: u64,
}

#[derive(Serialize)]
struct Entry {
    trace_id: String,
    bytes: u64,
    count: u64,
    bytes_delta: Option<i64>,
    count_delta: Option<i64>,
    frames: Vec<String>,
    /// Return addresses; `null` for frames that the log has only names of.
    addresses: Vec<Option<String>>,
    /// More stacks than one fit the id: these are all of the others.
    other_candidates: Vec<Vec<String>>,
}

/// How a stack goes over the logs of its process.
#[derive(Serialize)]
pub(super) struct UmdhStack {
    trace_id: String,
    frames: Vec<String>,
    shape: &'static str,
    net_bytes: i64,
    peak_to_peak_bytes: u64,
    sign_change_count: u32,
    growing_interval_count: u32,
    interval_count: u32,
    bytes_per_log: Vec<Option<u64>>,
    count_per_log: Vec<Option<u64>>,
}

/// The raw logs of one process over time.
#[derive(Serialize)]
pub(super) struct UmdhProcess {
    image: Option<String>,
    pid: Option<u32>,
    /// Numbers of its logs in `umdh`, from 1: the columns of `bytes_per_log`.
    logs: Vec<usize>,
    total_shape: Option<&'static str>,
    total_net_bytes: Option<i64>,
    total_peak_to_peak_bytes: Option<u64>,
    stacks: Vec<UmdhStack>,
    stacks_left_out_count: u64,
}

/// All logs, in time order.
pub(super) fn umdh(analysis: &Analysis) -> Vec<UmdhLog> {
    let of_group = |group: &LogGroup, index: LogIdx| group.logs.contains(&index);
    (0..analysis.logs.len())
        .map(LogIdx)
        .filter_map(|index| {
            let group = analysis.log_groups.iter().find(|group| of_group(group, index))?;
            log(analysis, group, index)
        })
        .collect()
}

/// What the raw logs of each process say together.
pub(super) fn umdh_series(analysis: &Analysis) -> Vec<UmdhProcess> {
    let with_logs = analysis.log_groups.iter().filter_map(|group| {
        let series = analysis.umdh_of(group).filter(|series| !series.logs.is_empty())?;
        let naming = naming_of(analysis, group);
        let judgement = series.judge_total();
        Some(UmdhProcess {
            image: group.identity.image.clone(),
            pid: group.identity.pid,
            logs: series.logs.iter().map(|facts| facts.log.0 + 1).collect(),
            total_shape: judgement.map(|judgement| shape_key(judgement.shape)),
            total_net_bytes: judgement.map(|judgement| signed(judgement.net_bytes)),
            total_peak_to_peak_bytes: judgement.map(|judgement| judgement.peak_to_peak_bytes),
            stacks: stacks(series, &naming),
            stacks_left_out_count: series
                .left_out_stack_count
                .saturating_add(series.stacks.len().saturating_sub(MOST_ENTRIES) as u64),
        })
    });
    with_logs.collect()
}

fn stacks(series: &UmdhSeries, naming: &UmdhNaming) -> Vec<UmdhStack> {
    let log_points: Vec<usize> =
        series.logs.iter().filter_map(|facts| series.point_of(PointSource::Log(facts.log))).collect();
    let listed = series.stacks.iter().enumerate().take(MOST_ENTRIES);
    let judged = listed.filter_map(|(position, stack)| Some((position, stack, series.judgement(position)?)));
    let made = judged.map(|(position, stack, judgement)| {
        let Judgement {
            shape,
            net_bytes,
            peak_to_peak_bytes,
            sign_change_count,
            growing_interval_count,
            interval_count,
        } = judgement;
        let amounts = || log_points.iter().map(|point| series.amount(position, *point));
        UmdhStack {
            trace_id: stack.id.to_string(),
            frames: series.frames(position).map(|frame| naming.names.frame_text(frame)).collect(),
            shape: shape_key(shape),
            net_bytes: signed(net_bytes),
            peak_to_peak_bytes,
            sign_change_count,
            growing_interval_count,
            interval_count,
            bytes_per_log: amounts().map(|amount| amount.requested_bytes).collect(),
            count_per_log: amounts().map(|amount| amount.block_count).collect(),
        }
    });
    made.collect()
}

fn signed(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

fn log(analysis: &Analysis, group: &LogGroup, index: LogIdx) -> Option<UmdhLog> {
    let log = analysis.log(index)?;
    let series = analysis.umdh_of(group).map(|series| &**series);
    let facts = series.and_then(|series| series.logs.iter().find(|facts| facts.log == index));
    let comparison =
        series.and_then(|series| series.comparisons.iter().find(|(of, _)| *of == index)).map(|(_, found)| &**found);
    let file = &log.file;
    let naming = naming_of(analysis, group);
    let before = series.and_then(|series| point_before(series, index));
    let totals = comparison.and_then(|comparison| comparison.totals);
    let delta = |pick: fn(&crate::input::umdh::Amounts) -> u64| {
        let before = series.and_then(|series| series.points.get(before?)).map(|point| point.total);
        facts.zip(before).map(|(facts, before)| signed(i128::from(pick(&facts.total)) - i128::from(pick(&before))))
    };
    let entries = match (facts, comparison, series) {
        (Some(_), _, Some(series)) => Some(raw_entries(series, &naming, index, before)),
        (_, Some(comparison), _) => Some(comparison_entries(comparison, &naming)),
        _ => None,
    };
    let known_count = facts.map(|facts| facts.stack_count).or_else(|| comparison.map(|found| found.entry_count));
    let listed_count = entries.as_ref().map_or(0, |entries| entries.len() as u64);
    Some(UmdhLog {
        file: file.file_name(),
        path: file.path.display().to_string(),
        size_bytes: file.file_bytes,
        kind: file.kind.word(),
        time: log.time.utc.map(|time| time.to_string()),
        local_time: log.time.local.map(|time| time.table_text()),
        time_zone: match log.time.zone {
            _ if file.kind == LogKind::Comparison => None,
            Zone::Utc => Some("log"),
            Zone::OfDump { .. } => Some("dump"),
            Zone::Unknown => None,
        },
        encoding: file.encoding.name(),
        version: file.header.version.clone(),
        machine: file.header.machine.clone(),
        image: group.identity.image.clone(),
        pid: file.header.pid.or(group.identity.pid),
        modules: modules(analysis, group, log),
        problems: problems_of(log, series, index)
            .map(|problem| Problem {
                r#where: problem.place.clone(),
                text: problem.text.clone(),
                kind: problem.kind.word(),
            })
            .collect(),
        numbers: comparison.map(|comparison| comparison.radix.word()),
        numbers_reason: comparison.map(|comparison| comparison.radix_reason.clone()),
        heaps: facts.map(|facts| {
            let heap = |heap: &crate::input::umdh::LogHeap| Heap {
                base: heap.base.map(|base| base.to_string()),
                requested_bytes: heap.amounts.requested_bytes,
                overhead_bytes: facts.has_overhead.then_some(heap.amounts.overhead_bytes),
                block_count: heap.amounts.block_count,
            };
            facts.heaps.iter().map(heap).collect()
        }),
        entries,
        entries_left_out_count: known_count.map(|count| count.saturating_sub(listed_count)),
        total_requested_bytes: facts.map(|facts| facts.total.requested_bytes),
        total_overhead_bytes: facts.filter(|facts| facts.has_overhead).map(|facts| facts.total.overhead_bytes),
        block_count: facts.map(|facts| facts.total.block_count),
        total_requested_delta_bytes: totals
            .and_then(|totals| totals.requested_delta_bytes)
            .map(signed)
            .or_else(|| delta(|amounts| amounts.requested_bytes)),
        total_overhead_delta_bytes: totals.and_then(|totals| totals.overhead_delta_bytes).map(signed).or_else(|| {
            facts.filter(|facts| facts.has_overhead)?;
            delta(|amounts| amounts.overhead_bytes)
        }),
        entries_delta_bytes: comparison.map(|comparison| signed(comparison.sum_delta_bytes)),
    })
}

fn modules(analysis: &Analysis, group: &LogGroup, log: &Log) -> Vec<Module> {
    let dumps = analysis.dumps_of(group).into_iter().flat_map(|dumps| &dumps.dumps);
    let snapshots: Vec<Arc<Snapshot>> = dumps.filter_map(|dump| analysis.snapshot(*dump)).map(Arc::clone).collect();
    let module = |module: &LogModule| {
        let of_dump = borrowed_module(module, &snapshots);
        let pdb = of_dump.and_then(|of_dump| of_dump.pdb.as_ref()).map(|pdb| pdb.store_id.clone());
        Module {
            base: module.range.start.to_string(),
            size_bytes: module.range.size_bytes(),
            path: module.path.clone(),
            pdb_id: pdb.or_else(|| module.pdb_id.clone()),
            is_of_dump: of_dump.is_some(),
        }
    };
    log.file.modules.iter().map(module).collect()
}

/// The raw log before this one.
fn point_before(series: &UmdhSeries, log: LogIdx) -> Option<usize> {
    let position = series.logs.iter().position(|facts| facts.log == log)?.checked_sub(1)?;
    series.point_of(PointSource::Log(series.logs.get(position)?.log))
}

fn raw_entries(series: &UmdhSeries, naming: &UmdhNaming, log: LogIdx, before: Option<usize>) -> Vec<Entry> {
    let Some(point) = series.point_of(PointSource::Log(log)) else { return Vec::new() };
    let difference = |from: Option<u64>, to: u64| from.map(|from| signed(i128::from(to) - i128::from(from)));
    let entries = series.stacks.iter().enumerate().filter_map(|(position, stack)| {
        let amount = series.amount(position, point);
        let (bytes, count) = amount.requested_bytes.zip(amount.block_count).filter(|(_, count)| *count > 0)?;
        let earlier = before.map(|before| series.amount(position, before)).unwrap_or_default();
        let names = |ids: &[u32]| series.frames_of(ids).map(|frame| naming.names.frame_text(frame)).collect();
        Some(Entry {
            trace_id: series.id_in(position, point).unwrap_or_default().to_owned(),
            bytes,
            count,
            bytes_delta: difference(earlier.requested_bytes, bytes),
            count_delta: difference(earlier.block_count, count),
            frames: stack.candidates.first().map(|ids| names(ids)).unwrap_or_default(),
            addresses: series.frames(position).map(|frame| frame.address.map(|va| va.to_string())).collect(),
            other_candidates: stack.candidates.iter().skip(1).map(|ids| names(ids)).collect(),
        })
    });
    entries.take(MOST_ENTRIES).collect()
}

fn comparison_entries(comparison: &Comparison, naming: &UmdhNaming) -> Vec<Entry> {
    let entries = comparison.entries.iter().enumerate().take(MOST_ENTRIES).map(|(position, entry)| Entry {
        trace_id: entry.id.to_string(),
        bytes: entry.after_bytes,
        count: entry.after_count,
        bytes_delta: Some(signed(entry.bytes_delta())),
        count_delta: entry.count_delta().map(signed),
        frames: entry_frames(comparison, position).map(|frame| naming.names.frame_text(frame)).collect(),
        addresses: entry_frames(comparison, position).map(|frame| frame.address.map(|va| va.to_string())).collect(),
        other_candidates: Vec::new(),
    });
    entries.collect()
}
