//! Decodes a heap trace log: makes out the records of its zones, and ties them to the header's buckets.
//!
//! Zones are read one after the other, on all cores, so that each record counts once whatever the links say. Only when
//! the sums of the links do not prove all chains whole are the chains followed, to tell which zones the header reaches.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::memory::{self, ReadMemory};
use crate::base::problems::Problems;
use crate::base::progress::{Cancelled, Progress};

use super::area::Area;
use super::chain_sums::ChainSums;
use super::layouts::{HEAP_LOG_BUCKETS, HeapLogLayout, MAX_DEPTH};
use super::record::{Proof, RecordRule, range_with};
use super::unique::{Addition, Collector, UniqueStacks, collect_stacks};
use super::{Check, StoreHeader, TraceStore};

/// What `find_heap_log` found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LogHeader {
    pub header: Option<Va>,
    pub trace_count: Option<u32>,
    pub proof: Proof,
    /// In order.
    pub modules: Vec<VaRange>,
}

impl LogHeader {
    pub fn rule<'r>(&'r self, width: PointerWidth, zones: &'r [VaRange]) -> RecordRule<'r> {
        RecordRule { width, proof: self.proof, modules: &self.modules, homes: zones }
    }
}

/// Counts of one zone.
#[derive(Clone, Copy, Default)]
struct ZoneTally {
    record_count: u64,
    record_bytes: u64,
    truncated_count: u64,
    missing_bytes: u64,
}

struct Worker<'a> {
    stacks: Collector<'a>,
    sums: ChainSums,
}

pub(super) fn decode(
    memory: &dyn ReadMemory,
    header: &StoreHeader,
    body: &LogHeader,
    progress: &Progress,
) -> Result<(TraceStore, UniqueStacks), Cancelled> {
    let rule = body.rule(header.width, &header.zones);
    let frames_offset = HeapLogLayout::of(header.width).record_frames;
    let mut first_pass = None;
    let unique = collect_stacks(header.width, frames_offset, |class| {
        let pool: Mutex<Vec<Worker<'_>>> = Mutex::new(Vec::new());
        let lock = || pool.lock().unwrap_or_else(PoisonError::into_inner);
        let read_zone = |zone: &VaRange| {
            progress.check()?;
            let new_worker =
                || Worker { stacks: Collector::new(header.width, class), sums: ChainSums::new(HEAP_LOG_BUCKETS) };
            let mut worker = lock().pop().unwrap_or_else(new_worker);
            let tally = zone_tally(memory, rule, *zone, &mut worker);
            lock().push(worker);
            Ok(tally)
        };
        let tallies = header.zones.par_iter().map(read_zone).collect::<Result<Vec<ZoneTally>, Cancelled>>()?;
        let workers = pool.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (collectors, sums): (Vec<Collector<'_>>, Vec<ChainSums>) =
            workers.into_iter().map(|worker| (worker.stacks, worker.sums)).unzip();
        // What is counted over all records is the same in every pass.
        first_pass.get_or_insert((tallies, sums));
        Ok(collectors)
    })?;
    let (tallies, worker_sums) = first_pass.unwrap_or_default();
    let mut sums = ChainSums::new(HEAP_LOG_BUCKETS);
    for of_worker in &worker_sums {
        sums.absorb(of_worker);
    }
    let total = tallies.iter().fold(ZoneTally::default(), ZoneTally::and);
    let head = |bucket: usize| bucket_head(memory, body.header?, header.width, bucket as u64);
    let verified_entry_count = sums.verified_entry_count(head);
    let is_reached = if verified_entry_count == total.record_count {
        vec![true; header.zones.len()]
    } else {
        reached_zones(memory, header, body, progress)?
    };
    let orphans = || header.zones.iter().zip(&tallies).zip(&is_reached).filter(|(_, is_reached)| !**is_reached);
    let mut evidence = header.evidence.clone();
    if let Some(trace_count) = body.trace_count {
        evidence.push(Check {
            text: format!("the header counts {trace_count} records, and as many are in the zones"),
            passed: (total.missing_bytes == 0).then_some(u64::from(trace_count) == total.record_count),
        });
    }
    let zone_bytes = header.zones.iter().map(|zone| zone.size_bytes()).fold(0, u64::saturating_add);
    let store = TraceStore {
        evidence,
        entry_count: total.record_count,
        free_entry_count: 0,
        free_block_bytes: 0,
        saturated_entry_count: 0,
        truncated_entry_count: total.truncated_count,
        unindexed_entry_count: total.record_count,
        use_count: 0,
        verified_entry_count,
        missing_entry_count: 0,
        orphan_entry_count: orphans().map(|((_, tally), _)| tally.record_count).fold(0, u64::saturating_add),
        orphan_zones: orphans().map(|((zone, _), _)| *zone).collect(),
        committed_bytes: zone_bytes,
        used_bytes: total.record_bytes,
        lost_bytes: total.missing_bytes,
        missing_bytes: total.missing_bytes,
        problems: problems(header, &total),
        unique_stack_count: unique.count(),
        truncated_stack_count: unique.truncated_count,
        header: header.clone(),
    };
    Ok((store, unique))
}

impl ZoneTally {
    fn and(self, other: &Self) -> Self {
        Self {
            record_count: self.record_count.saturating_add(other.record_count),
            record_bytes: self.record_bytes.saturating_add(other.record_bytes),
            truncated_count: self.truncated_count.saturating_add(other.truncated_count),
            missing_bytes: self.missing_bytes.saturating_add(other.missing_bytes),
        }
    }
}

fn problems(header: &StoreHeader, total: &ZoneTally) -> Problems {
    let mut problems = Problems::default();
    if total.missing_bytes > 0 {
        let place = format!("heap trace log {}", header.base);
        problems.missing(place, format!("{} bytes of its zones are not in the dump", total.missing_bytes));
    }
    problems
}

fn zone_tally<'a>(
    memory: &'a dyn ReadMemory,
    rule: RecordRule<'_>,
    zone: VaRange,
    worker: &mut Worker<'a>,
) -> ZoneTally {
    let area = Area::new(memory, zone);
    let missing_bytes = area.missing_bytes(zone.start.0, zone.end.0);
    let mut tally = ZoneTally { missing_bytes, ..ZoneTally::default() };
    let mut at = zone.start.0;
    while let Some(run) = area.run_from(at) {
        for (va, record, bytes) in rule.records(run.start, run.bytes) {
            tally.record_count = tally.record_count.saturating_add(1);
            tally.record_bytes = tally.record_bytes.saturating_add(record.size_bytes);
            tally.truncated_count = tally.truncated_count.saturating_add(u64::from(record.depth >= MAX_DEPTH));
            let addition = Addition { va, store_bytes: record.size_bytes, use_count: 0, is_saturated: false, index: 0 };
            worker.stacks.add(Cow::Borrowed(rule.frames(&record, bytes)), &addition);
            worker.sums.add(va, record.hash, record.next);
        }
        at = run.end();
    }
    tally
}

/// The newest record of a bucket; 0 when it has none.
pub(super) fn bucket_head(memory: &dyn ReadMemory, header: Va, width: PointerWidth, bucket: u64) -> Option<u64> {
    let layout = HeapLogLayout::of(width);
    let offset = layout.buckets.checked_add(bucket.checked_mul(layout.bucket_bytes)?)?;
    memory::pointer_at(memory, header.checked_add(offset)?, width).map(|head| head.0)
}

/// Which zones hold a record that a chain leads to. Each place of a zone is passed once, so no chain can run in a circle.
fn reached_zones(
    memory: &dyn ReadMemory,
    header: &StoreHeader,
    body: &LogHeader,
    progress: &Progress,
) -> Result<Vec<bool>, Cancelled> {
    let mut is_reached = vec![false; header.zones.len()];
    let Some(log) = body.header else { return Ok(is_reached) };
    let mut passed: Vec<Vec<u64>> = vec![Vec::new(); header.zones.len()];
    let mut step_count = 0_u32;
    for bucket in 0..u64::from(HEAP_LOG_BUCKETS) {
        let mut at = bucket_head(memory, log, header.width, bucket).unwrap_or(0);
        while let Some((index, zone)) = range_with(&header.zones, Va(at)) {
            step_count = step_count.wrapping_add(1);
            if step_count & 0xfff == 0 {
                progress.check()?;
            }
            let place = at.saturating_sub(zone.start.0) / 4;
            if !passed.get_mut(index).is_some_and(|bits| set_bit(bits, place, zone.size_bytes() / 4)) {
                break;
            }
            if let Some(is_reached) = is_reached.get_mut(index) {
                *is_reached = true;
            }
            at = memory::pointer_at(memory, Va(at), header.width).map_or(0, |next| next.0);
        }
    }
    Ok(is_reached)
}

/// Sets a bit that was not set; `false` when it was. `bits` gets room for `bit_count` when first used.
fn set_bit(bits: &mut Vec<u64>, place: u64, bit_count: u64) -> bool {
    if bits.is_empty() {
        bits.resize(usize::try_from(bit_count.div_ceil(64)).unwrap_or(0), 0);
    }
    let word = usize::try_from(place / 64).ok().and_then(|at| bits.get_mut(at));
    let mask = 1_u64.rotate_left(u32::try_from(place % 64).unwrap_or(0));
    word.is_some_and(|word| {
        let is_new = *word & mask == 0;
        *word |= mask;
        is_new
    })
}
