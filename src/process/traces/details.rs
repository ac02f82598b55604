//! Single entries of a store: one by its address, or those in a range. For views of a part; a whole store is decoded.

use std::borrow::Cow;

use crate::base::addr::{Va, VaRange};
use crate::base::memory::{ReadMemory, pointer_at};
use crate::base::progress::{Cancelled, Progress};

use super::area::{Area, next_page};
use super::entry::RawEntry;
use super::frame_words::{sum_of, words};
use super::heap_log::LogHeader;
use super::indexed::IndexedHeader;
use super::layouts::{self, HEAP_LOG_BUCKETS, HeapLogLayout, MAX_BLOCK_BYTES, MAX_DEPTH};
use super::record::{Record, range_with};
use super::unique::{Addition, Collector, UniqueStacks, collect_stacks};
use super::walk::{KnownEntries, Position, Step, Steps};
use super::{StoreBody, StoreHeader, StoreKind};

/// How much of a range is read at a time.
const SLAB_BYTES: u64 = 1 << 20;

/// One entry of an indexed database, or one record of a heap log, with its own fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub va: Va,
    /// Of the block (indexed), of the record (heap log).
    pub size_bytes: u64,
    /// TraceCount; a heap log has none.
    pub use_count: Option<u64>,
    /// The count has stopped at 0x7ff: at least so many uses.
    pub is_saturated: bool,
    /// Given back; `frames` is empty then, because the link of the free list lies over the first one.
    pub is_free: bool,
    pub is_truncated: bool,
    pub index: Option<u32>,
    /// BlockDepth + 1, where the entry has one.
    pub slot_count: Option<u16>,
    /// Next entry of the bucket (HashChain, Next); null at the chain's end.
    pub next_in_bucket: Va,
    /// As stored (heap log), else as computed from the frames.
    pub hash: u32,
    pub bucket: Option<u32>,
    /// Whether the next entry of the bucket hashes into the same one; `None` where there is none, or not in the dump.
    pub is_chain_right: Option<bool>,
    /// Innermost first.
    pub frames: Vec<Va>,
}

/// The entry that begins at `va`; `None` when there is none, or not in the dump.
pub fn entry_at(memory: &dyn ReadMemory, header: &StoreHeader, va: Va) -> Option<Entry> {
    match &header.body {
        StoreBody::Indexed(body) => {
            let (raw, bytes) = indexed_at(memory, body, va)?;
            Some(indexed_entry(memory, body, va.0, &raw, &bytes))
        }
        StoreBody::HeapLog(body) => {
            let (record, bytes) = record_at(memory, header, body, va)?;
            Some(log_entry(memory, header, body, va.0, &record, bytes))
        }
    }
}

/// The entries that a block's 16-bit number may mean: index `number`, and every 65,536 behind it. Of a heap log, none: its
/// records have no index.
pub fn entries_of_index(memory: &dyn ReadMemory, header: &StoreHeader, number: u16) -> Vec<Entry> {
    const STEP: u32 = 1 << 16;
    /// An index array has no room for more; an ambiguity of more helps nobody.
    const MOST_CANDIDATES: usize = 256;
    let StoreBody::Indexed(body) = &header.body else { return Vec::new() };
    let Some(counts) = header.counts else { return Vec::new() };
    let first = if number == 0 { STEP } else { u32::from(number) };
    let indexes = std::iter::successors(Some(first), |index| index.checked_add(STEP));
    let entry_of = |index: u32| {
        let slot = body.index_array.0.checked_sub(u64::from(index).checked_mul(header.width.bytes())?)?;
        let va = pointer_at(memory, Va(slot), header.width)?;
        entry_at(memory, header, va).filter(|entry| !entry.is_free)
    };
    indexes.take_while(|index| *index <= counts.added_count).take(MOST_CANDIDATES).filter_map(entry_of).collect()
}

/// The entry that `va` lies in; `None` when there is none, or not in the dump.
pub fn entry_around(memory: &dyn ReadMemory, header: &StoreHeader, va: Va) -> Option<Entry> {
    // So far before it that the walk has found its step when it comes there.
    let start = Va(va.0.saturating_sub(MAX_BLOCK_BYTES.saturating_mul(16)));
    let range = VaRange::new(start, va.checked_add(1)?)?;
    let holds = |entry: &Entry| entry.va.checked_add(entry.size_bytes).is_some_and(|end| entry.va <= va && va < end);
    entries_in(memory, header, range).find(holds)
}

/// Entries that begin in `range`, in order. In the midst of an entry it begins with the next one.
pub fn entries_in<'m>(
    memory: &'m dyn ReadMemory,
    header: &'m StoreHeader,
    range: VaRange,
) -> Box<dyn Iterator<Item = Entry> + 'm> {
    match &header.body {
        StoreBody::Indexed(body) => {
            let blocks = Slabs::new(memory, body, range).flatten();
            Box::new(blocks.map(move |(va, raw, bytes)| indexed_entry(memory, body, va, &raw, &bytes)))
        }
        StoreBody::HeapLog(body) => Box::new(
            records_in(memory, header, body, range)
                .map(move |(va, record, bytes)| log_entry(memory, header, body, va, &record, bytes)),
        ),
    }
}

/// The different stacks of entries that begin in `range`: a region's stacks. Asks `progress` only whether to stop.
pub fn unique_stacks_in(
    memory: &dyn ReadMemory,
    header: &StoreHeader,
    range: VaRange,
    progress: &Progress,
) -> Result<UniqueStacks, Cancelled> {
    let frames_offset = match header.kind {
        StoreKind::Indexed => layouts::entry_frames_offset(header.width),
        StoreKind::HeapLog => HeapLogLayout::of(header.width).record_frames,
    };
    collect_stacks(header.width, frames_offset, |class| {
        let mut stacks = Collector::new(header.width, class);
        match &header.body {
            StoreBody::Indexed(body) => {
                for slab in Slabs::new(memory, body, range) {
                    progress.check()?;
                    for (va, raw, bytes) in slab.into_iter().filter(|(_, raw, _)| !raw.is_free) {
                        let addition = Addition {
                            va,
                            store_bytes: raw.block_bytes,
                            use_count: raw.count,
                            is_saturated: raw.is_saturated,
                            index: raw.index,
                        };
                        stacks.add(body.rule.frames_of(&raw, bytes), &addition);
                    }
                }
            }
            StoreBody::HeapLog(body) => {
                let rule = body.rule(header.width, &header.zones);
                for (index, (va, record, bytes)) in records_in(memory, header, body, range).enumerate() {
                    if index & 0xffff == 0 {
                        progress.check()?;
                    }
                    let addition =
                        Addition { va, store_bytes: record.size_bytes, use_count: 0, is_saturated: false, index: 0 };
                    stacks.add(Cow::Borrowed(rule.frames(&record, bytes)), &addition);
                }
            }
        }
        Ok(vec![stacks])
    })
}

type Block<'m> = (u64, RawEntry, Cow<'m, [u8]>);

/// Entries of a range, so many at a time that little is held.
struct Slabs<'m> {
    memory: &'m dyn ReadMemory,
    body: &'m IndexedHeader,
    at: Position,
    next_slab: u64,
    end: u64,
}

impl<'m> Slabs<'m> {
    fn new(memory: &'m dyn ReadMemory, body: &'m IndexedHeader, range: VaRange) -> Self {
        let part = body.rule.area.intersection(range).unwrap_or(VaRange { start: range.end, end: range.end });
        let at = if part.start == body.rule.area.start { Position::At(part.start.0) } else { Position::Searching };
        Self { memory, body, at, next_slab: part.start.0, end: part.end.0 }
    }
}

impl<'m> Iterator for Slabs<'m> {
    type Item = Vec<Block<'m>>;

    fn next(&mut self) -> Option<Vec<Block<'m>>> {
        if self.next_slab >= self.end {
            return None;
        }
        let rule = self.body.rule;
        let slab_start = self.next_slab;
        let slab_end = slab_start.saturating_add(SLAB_BYTES).min(self.end);
        // Room for the last entry, which may end past the slab, and for the look ahead at the one after it.
        let last_end = slab_end.saturating_add(MAX_BLOCK_BYTES.saturating_mul(2)).min(rule.area.end.0);
        let area = Area::new(self.memory, VaRange { start: Va(slab_start), end: Va(last_end) });
        let known = KnownEntries::default();
        let mut steps = match self.at {
            Position::At(at) => Steps::new(&area, rule, &known, at, slab_end),
            Position::Searching => Steps::searched(&area, rule, &known, slab_start, slab_end).0,
        };
        let mut blocks = Vec::new();
        for step in &mut steps {
            if let Step::Entry { va, entry, bytes } = step {
                blocks.push((va, entry, bytes));
            }
        }
        self.at = steps.position();
        self.next_slab = slab_end;
        Some(blocks)
    }
}

fn records_in<'m>(
    memory: &'m dyn ReadMemory,
    header: &'m StoreHeader,
    body: &'m LogHeader,
    range: VaRange,
) -> impl Iterator<Item = (u64, Record, &'m [u8])> {
    let rule = body.rule(header.width, &header.zones);
    let zones = header.zones.iter().filter(move |zone| zone.intersection(range).is_some());
    zones.flat_map(move |zone| {
        // From the zone's start on, so that the records are the same as in a decode of the whole.
        let mut at = zone.start.0;
        let end = zone.end.0;
        std::iter::from_fn(move || {
            while at < end {
                let bytes = memory.bytes_at(Va(at), end.saturating_sub(at));
                let start = at;
                if bytes.is_empty() {
                    at = next_page(at);
                    continue;
                }
                at = at.saturating_add(bytes.len() as u64);
                return Some(rule.records(start, bytes));
            }
            None
        })
        .flatten()
        .filter(move |(va, _, _)| range.contains(Va(*va)))
    })
}

fn indexed_at<'m>(memory: &'m dyn ReadMemory, body: &IndexedHeader, va: Va) -> Option<(RawEntry, Cow<'m, [u8]>)> {
    body.rule.may_begin_at(va.0).then_some(())?;
    let end = va.0.saturating_add(MAX_BLOCK_BYTES).min(body.rule.area.end.0);
    let bytes = Area::new(memory, VaRange::new(va, Va(end))?).entry_bytes(va.0);
    let raw = body.rule.read(va.0, &bytes).ok()?;
    Some((raw, bytes))
}

fn indexed_entry(memory: &dyn ReadMemory, body: &IndexedHeader, va: u64, raw: &RawEntry, bytes: &[u8]) -> Entry {
    let rule = body.rule;
    let frames = if raw.is_free { &[][..] } else { rule.frames(raw, bytes) };
    let hash = sum_of(frames, rule.width);
    let bucket = hash.checked_rem(body.bucket_count).filter(|_| !raw.is_free);
    let next_bucket = || {
        let (next, bytes) = indexed_at(memory, body, Va(raw.hash_chain))?;
        (!next.is_free).then(|| sum_of(rule.frames(&next, &bytes), rule.width).checked_rem(body.bucket_count))
    };
    Entry {
        va: Va(va),
        size_bytes: raw.block_bytes,
        use_count: Some(raw.count),
        is_saturated: raw.is_saturated,
        is_free: raw.is_free,
        is_truncated: !raw.is_free && raw.depth >= MAX_DEPTH,
        index: (raw.index != 0).then_some(raw.index),
        slot_count: raw.block_depth.map(|depth| u16::from(depth).saturating_add(1)),
        next_in_bucket: Va(raw.hash_chain),
        hash,
        bucket,
        is_chain_right: bucket.and_then(|_| next_bucket()).map(|next| next == bucket),
        frames: words(frames, rule.width).map(Va).collect(),
    }
}

fn record_at<'m>(
    memory: &'m dyn ReadMemory,
    header: &StoreHeader,
    body: &LogHeader,
    va: Va,
) -> Option<(Record, &'m [u8])> {
    let (_, zone) = range_with(&header.zones, va)?;
    va.0.is_multiple_of(header.width.bytes()).then_some(())?;
    let bytes = memory.bytes_at(va, zone.end.offset_from(va)?.min(MAX_BLOCK_BYTES));
    Some((body.rule(header.width, &header.zones).read(bytes)?, bytes))
}

fn log_entry(
    memory: &dyn ReadMemory,
    header: &StoreHeader,
    body: &LogHeader,
    va: u64,
    record: &Record,
    bytes: &[u8],
) -> Entry {
    let frames = body.rule(header.width, &header.zones).frames(record, bytes);
    let bucket = record.hash.checked_rem(HEAP_LOG_BUCKETS);
    let next = record_at(memory, header, body, Va(record.next));
    Entry {
        va: Va(va),
        size_bytes: record.size_bytes,
        use_count: None,
        is_saturated: false,
        is_free: false,
        is_truncated: record.depth >= MAX_DEPTH,
        index: None,
        slot_count: None,
        next_in_bucket: Va(record.next),
        hash: record.hash,
        bucket,
        is_chain_right: next.map(|(next, _)| next.hash.checked_rem(HEAP_LOG_BUCKETS) == bucket),
        frames: words(frames, header.width).map(Va).collect(),
    }
}
