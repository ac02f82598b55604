//! Decodes an indexed database: walks its entries on all cores and counts what they say.
//!
//! The area is cut into parts. Each part begins at the first entry that can be made out in it, and must be where the walk
//! of the part before it arrives; if one is not, the whole is walked again in one piece. What the workers keep is bounded
//! by the different stacks and the buckets.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::memory::ReadMemory;
use crate::base::progress::{Cancelled, Progress};

use super::area::{Area, next_page};
use super::chain_sums::ChainSums;
use super::entry::{EntryRule, RawEntry};
use super::frame_words::words;
use super::layouts::{self, MAX_DEPTH};
use super::unique::{Addition, Collector, StackClass, UniqueStacks, collect_stacks};
use super::walk::{KnownEntries, Loss, Position, Step, Steps};

/// A part is long enough that finding its first entry costs nothing, short enough that a cancel is quick.
const PART_BYTES: u64 = 4 << 20;
/// Losses that are described one by one.
const MAX_LOSSES: usize = 32;

/// What `find` read from the header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct IndexedHeader {
    pub rule: EntryRule,
    pub next_free_upper: Va,
    pub index_array: Va,
    pub buckets: Va,
    pub bucket_count: u32,
    pub bucket_bytes: u64,
}

/// What a walk of all entries gives.
pub(super) struct IndexedTotals {
    pub unique: UniqueStacks,
    pub tally: Tally,
    pub verified_entry_count: u64,
    /// Entries whose place the index array knows and the dump has not.
    pub missing_entry_count: u64,
    /// Whether the last entry ends at NextFreeLowerMemory, with nothing lost on the way.
    pub is_whole: bool,
}

/// Counts of one part, or of all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally {
    pub entry_count: u64,
    pub free_entry_count: u64,
    pub free_block_bytes: u64,
    pub saturated_entry_count: u64,
    pub truncated_entry_count: u64,
    pub unindexed_entry_count: u64,
    pub use_count: u64,
    pub losses: Vec<Loss>,
    pub loss_count: u64,
    pub lost_bytes: u64,
    /// Of those, bytes that the dump does not have.
    pub missing_bytes: u64,
}

impl Tally {
    fn count(&mut self, entry: &RawEntry) {
        if entry.is_free {
            self.free_entry_count = self.free_entry_count.wrapping_add(1);
            self.free_block_bytes = self.free_block_bytes.wrapping_add(entry.block_bytes);
            return;
        }
        self.entry_count = self.entry_count.wrapping_add(1);
        self.saturated_entry_count = self.saturated_entry_count.wrapping_add(u64::from(entry.is_saturated));
        self.truncated_entry_count = self.truncated_entry_count.wrapping_add(u64::from(entry.depth >= MAX_DEPTH));
        self.unindexed_entry_count = self.unindexed_entry_count.wrapping_add(u64::from(entry.index == 0));
        self.use_count = self.use_count.wrapping_add(entry.count);
    }

    pub fn lose(&mut self, loss: Loss, missing_bytes: u64) {
        self.loss_count = self.loss_count.saturating_add(1);
        self.lost_bytes = self.lost_bytes.saturating_add(loss.end.saturating_sub(loss.start));
        self.missing_bytes = self.missing_bytes.saturating_add(missing_bytes);
        self.losses.push(loss);
        self.losses.truncate(MAX_LOSSES);
    }

    pub fn absorb(&mut self, other: &Self) {
        let pairs = [
            (&mut self.entry_count, other.entry_count),
            (&mut self.free_entry_count, other.free_entry_count),
            (&mut self.free_block_bytes, other.free_block_bytes),
            (&mut self.saturated_entry_count, other.saturated_entry_count),
            (&mut self.truncated_entry_count, other.truncated_entry_count),
            (&mut self.unindexed_entry_count, other.unindexed_entry_count),
            (&mut self.use_count, other.use_count),
            (&mut self.loss_count, other.loss_count),
            (&mut self.lost_bytes, other.lost_bytes),
            (&mut self.missing_bytes, other.missing_bytes),
        ];
        for (mine, theirs) in pairs {
            *mine = mine.saturating_add(theirs);
        }
        self.losses.extend(&other.losses);
        self.losses.truncate(MAX_LOSSES);
    }
}

/// What a worker keeps from part to part.
struct Worker<'a> {
    stacks: Collector<'a>,
    sums: ChainSums,
}

/// One part after its walk.
struct Part {
    /// The first entry that was made out.
    first: Option<u64>,
    /// What lies before it, if the part before did not arrive there.
    skipped: VaRange,
    end: Position,
    tally: Tally,
}

pub(super) fn decode(
    memory: &dyn ReadMemory,
    header: &IndexedHeader,
    progress: &Progress,
) -> Result<IndexedTotals, Cancelled> {
    let area = Area::new(memory, header.rule.area);
    let (known, missing_entry_count) = known_entries(memory, header, &area, progress)?;
    let store = Walked { header, area: &area, known: &known, progress };
    let mut starts = part_starts(header.rule.area);
    let mut first_pass = None;
    let frames_offset = layouts::entry_frames_offset(header.rule.width);
    let unique = collect_stacks(header.rule.width, frames_offset, |class| {
        let (workers, tally, end) = match store.in_parts(&starts, class)? {
            Some(walked) => walked,
            // Never refused: a single part has no neighbour to disagree with.
            None => {
                starts.truncate(1);
                store.in_parts(&starts, class)?.unwrap_or((Vec::new(), Tally::default(), Position::Searching))
            }
        };
        let (collectors, sums): (Vec<Collector<'_>>, Vec<ChainSums>) =
            workers.into_iter().map(|worker| (worker.stacks, worker.sums)).unzip();
        // What is counted over all entries is the same in every pass.
        first_pass.get_or_insert((tally, end, sums));
        Ok(collectors)
    })?;
    let (tally, end, worker_sums) = first_pass.unwrap_or((Tally::default(), Position::Searching, Vec::new()));
    let mut sums = ChainSums::new(header.bucket_count);
    for of_worker in &worker_sums {
        sums.absorb(of_worker);
    }
    let head = |bucket: usize| bucket_head(memory, header, bucket as u64);
    Ok(IndexedTotals {
        verified_entry_count: sums.verified_entry_count(head),
        unique,
        is_whole: end == Position::At(header.rule.area.end.0) && tally.loss_count == 0,
        tally,
        missing_entry_count,
    })
}

/// The first entry of a bucket; 0 when it has none.
pub(super) fn bucket_head(memory: &dyn ReadMemory, header: &IndexedHeader, bucket: u64) -> Option<u64> {
    let at = header.buckets.checked_add(bucket.checked_mul(header.bucket_bytes)?)?;
    crate::base::memory::pointer_at(memory, at, header.rule.width).map(|head| head.0)
}

fn part_starts(area: VaRange) -> Vec<u64> {
    let part_count = area.size_bytes().div_ceil(PART_BYTES).max(1);
    (0..part_count).map(|part| area.start.0.saturating_add(part.saturating_mul(PART_BYTES))).collect()
}

struct Walked<'a, 'w> {
    header: &'w IndexedHeader,
    area: &'w Area<'a>,
    known: &'w KnownEntries,
    progress: &'w Progress,
}

impl<'a> Walked<'a, '_> {
    /// Walks all parts; `None` when two neighbours do not agree where an entry begins.
    fn in_parts(
        &self,
        starts: &[u64],
        class: StackClass,
    ) -> Result<Option<(Vec<Worker<'a>>, Tally, Position)>, Cancelled> {
        let pool: Mutex<Vec<Worker<'a>>> = Mutex::new(Vec::new());
        let area_end = self.area.range.end.0;
        let ends = starts.iter().skip(1).copied().chain([area_end]);
        let bounds: Vec<(u64, u64)> = starts.iter().copied().zip(ends).collect();
        let walk = |(from, to): &(u64, u64)| {
            self.progress.check()?;
            let mut worker = lock(&pool).pop().unwrap_or_else(|| self.new_worker(class));
            let part = self.walk_part(*from, *to, &mut worker);
            lock(&pool).push(worker);
            part
        };
        let parts = bounds.par_iter().map(walk).collect::<Result<Vec<Part>, Cancelled>>()?;
        let mut total = Tally::default();
        let mut position = Position::At(self.area.range.start.0);
        for part in &parts {
            let agrees = match position {
                Position::At(at) => part.first == Some(at) || (part.first.is_none() && at >= part.skipped.end.0),
                Position::Searching => true,
            };
            if !agrees {
                return Ok(None);
            }
            if position == Position::Searching && !part.skipped.is_empty() {
                total.lose(self.skipped_loss(part.skipped), self.missing_in(part.skipped));
            }
            total.absorb(&part.tally);
            position = if part.first.is_some() { part.end } else { position };
        }
        Ok(Some((pool.into_inner().unwrap_or_else(PoisonError::into_inner), total, position)))
    }

    fn new_worker(&self, class: StackClass) -> Worker<'a> {
        Worker { stacks: Collector::new(self.header.rule.width, class), sums: ChainSums::new(self.header.bucket_count) }
    }

    fn walk_part(&self, from: u64, to: u64, worker: &mut Worker<'a>) -> Result<Part, Cancelled> {
        let rule = self.header.rule;
        let (mut steps, first) = if from == self.area.range.start.0 {
            (Steps::new(self.area, rule, self.known, from, to), Some(from))
        } else {
            Steps::searched(self.area, rule, self.known, from, to)
        };
        let skipped_end = first.unwrap_or(to);
        let skipped = VaRange::new(Va(from), Va(skipped_end)).unwrap_or_default();
        let mut tally = Tally::default();
        let mut until_check = 0_u32;
        for step in &mut steps {
            until_check = until_check.wrapping_add(1);
            if until_check & 0xffff == 0 {
                self.progress.check()?;
            }
            match step {
                Step::Entry { va, entry, bytes } => count_entry(rule, va, &entry, bytes, &mut tally, worker),
                Step::Loss(loss) => tally.lose(loss, self.area.missing_bytes(loss.start, loss.end)),
            }
        }
        Ok(Part { first, skipped, end: steps.position(), tally })
    }

    fn missing_in(&self, range: VaRange) -> u64 {
        self.area.missing_bytes(range.start.0, range.end.0)
    }

    /// The fault at the start of a stretch that the part before left in the midst of a search.
    fn skipped_loss(&self, range: VaRange) -> Loss {
        let start = range.start.0;
        let fault = self.header.rule.read_doubted(start, &self.area.entry_bytes(start)).err();
        Loss { start, end: range.end.0, fault: fault.unwrap_or(super::entry::Fault::Place) }
    }
}

#[inline]
fn count_entry<'a>(
    rule: EntryRule,
    va: u64,
    entry: &RawEntry,
    bytes: Cow<'a, [u8]>,
    tally: &mut Tally,
    worker: &mut Worker<'a>,
) {
    tally.count(entry);
    if entry.is_free {
        return;
    }
    let addition = Addition {
        va,
        store_bytes: entry.block_bytes,
        use_count: entry.count,
        is_saturated: entry.is_saturated,
        index: entry.index,
    };
    let sum = worker.stacks.add(rule.frames_of(entry, bytes), &addition);
    worker.sums.add(va, sum, entry.hash_chain);
}

/// Of a dump with gaps: the first indexed entry after each gap, and how many indexed entries lie in gaps.
fn known_entries(
    memory: &dyn ReadMemory,
    header: &IndexedHeader,
    area: &Area<'_>,
    progress: &Progress,
) -> Result<(KnownEntries, u64), Cancelled> {
    let gap_ends = area.ends_of_gaps();
    let mut missing_count: u64 = 0;
    if area.missing_bytes(area.range.start.0, area.range.end.0) == 0 {
        return Ok((KnownEntries::default(), 0));
    }
    let mut firsts = vec![u64::MAX; gap_ends.len()];
    let Some(pointers) = VaRange::new(header.next_free_upper, header.index_array) else {
        return Ok((KnownEntries::default(), 0));
    };
    let mut at = pointers.start;
    while at < pointers.end {
        progress.check()?;
        let bytes = memory.bytes_at(at, pointers.end.0.saturating_sub(at.0).min(PART_BYTES));
        for pointer in words(bytes, header.rule.width).filter(|va| header.rule.may_begin_at(*va)) {
            if area.present_from(pointer) != pointer {
                missing_count = missing_count.saturating_add(1);
            }
            let before = gap_ends.partition_point(|end| *end <= pointer).checked_sub(1);
            if let Some(first) = before.and_then(|index| firsts.get_mut(index)) {
                *first = pointer.min(*first);
            }
        }
        at = after_bytes(at, bytes.len() as u64, header.rule.width);
    }
    let known = gap_ends.into_iter().zip(firsts).filter(|(_, first)| *first != u64::MAX).collect();
    Ok((KnownEntries(known), missing_count))
}

/// The next pointer to read after `length` bytes at `at`; over a gap, the first of the next page.
fn after_bytes(at: Va, length: u64, width: PointerWidth) -> Va {
    let whole = length & !(width.bytes().saturating_sub(1));
    if whole == 0 {
        return Va(next_page(at.0));
    }
    Va(at.0.saturating_add(whole))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
