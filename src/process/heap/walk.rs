//! Walks all blocks of an NT heap: segment by segment on all cores, then the blocks within the containers of the
//! low-fragmentation heap, then the large blocks. Nothing is listed: each block goes to a sink.
//!
//! **Invariant:** linear in the bytes that the dump has of the heap. Behind damage the walk goes on at the next place
//! where two headers confirm each other.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rayon::prelude::*;

use serde::{Deserialize, Serialize};

use crate::base::addr::{Va, VaRange};
use crate::base::bytes;
use crate::base::memory::{ReadMemory, copy_at};
use crate::base::progress::{Cancelled, Progress};

use super::block::{Block, BlockKind, BlockSink, Loss, Trace};
use super::entry::{EntryFields, EntryRule, INTERNAL, LONGEST_PREFIX_BYTES};
use super::lfh::{Container, Containers, LfhKey, read_container};
use super::segments::Segment;

/// How often a cancel is asked for, in blocks.
const CHECK_INTERVAL: u32 = 1 << 14;
/// Containers that one task reads.
const CONTAINERS_PER_TASK: usize = 256;

/// A heap made ready to be walked, any number of times.
#[derive(Clone, Debug)]
pub struct Walk<'m> {
    pub(super) memory: &'m dyn ReadMemory,
    pub(super) rule: EntryRule,
    pub(super) segments: &'m [Segment],
    /// Entries of blocks that lie in lookaside lists.
    pub(super) lookaside: BTreeSet<Va>,
    /// How containers of the low-fragmentation heap are read; `None` where the heap has none, or they cannot be.
    pub(super) containers: Option<Containers>,
    /// Low half of `ntdll!RtlpLFHKey`, where symbols told it; else the containers tell.
    pub(super) lfh_key: Option<LfhKey>,
    /// Blocks with an allocation of their own, read already: they are few.
    pub(super) large_blocks: Vec<Block>,
}

impl std::fmt::Debug for dyn ReadMemory + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("memory")
    }
}

/// What a walk leaves.
pub(super) struct Walked<S> {
    pub sinks: Vec<S>,
    /// The containers of the low-fragmentation heap, in the order of addresses.
    pub containers: Vec<Container>,
}

/// Walks all blocks. Each worker has a sink of its own; which blocks a sink is told of is not said.
///
/// # Errors
/// Only when cancelled.
pub(super) fn walk_blocks<S: BlockSink>(
    walk: &Walk<'_>,
    new_sink: impl Fn() -> S + Sync + Send,
    progress: &Progress,
) -> Result<Walked<S>, Cancelled> {
    let new_walker =
        || Walker { walk, sink: new_sink(), containers: Vec::new(), progress, until_check: CHECK_INTERVAL };
    let walkers = walk_segments(walk.segments, new_walker)?;
    let (mut sinks, mut containers) = (Vec::new(), Vec::new());
    for walker in walkers {
        sinks.push(walker.sink);
        containers.extend(walker.containers);
    }
    if let Some(rule) = &walk.containers {
        let key = walk.lfh_key.or_else(|| rule.key(walk.memory, &containers));
        // As many sinks as tasks, not as containers.
        let inner: Vec<S> = containers
            .par_chunks(CONTAINERS_PER_TASK)
            .try_fold(&new_sink, |mut sink, chunk| {
                for container in chunk {
                    progress.check()?;
                    read_container(walk.memory, &walk.rule, rule, key, *container, &mut sink);
                }
                Ok(sink)
            })
            .collect::<Result<_, Cancelled>>()?;
        sinks.extend(inner);
    }
    let mut sink = new_sink();
    for block in &walk.large_blocks {
        sink.block(block);
    }
    sinks.push(sink);
    Ok(Walked { sinks, containers })
}

fn walk_segments<'w, 'm: 'w, S: BlockSink>(
    segments: &[Segment],
    new_walker: impl Fn() -> Walker<'w, 'm, S> + Sync + Send,
) -> Result<Vec<Walker<'w, 'm, S>>, Cancelled> {
    segments
        .par_iter()
        .try_fold(new_walker, |mut walker, segment| {
            for run in &segment.runs {
                walker.run(*run)?;
            }
            Ok(walker)
        })
        .collect()
}

struct Walker<'w, 'm, S> {
    walk: &'w Walk<'m>,
    sink: S,
    containers: Vec<Container>,
    progress: &'w Progress,
    until_check: u32,
}

/// Where a walk stands in a run, and what the next header must say.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Place {
    va: Va,
    /// The size of the block before; `None` where a run begins, and behind damage.
    previous_granules: Option<u16>,
}

impl<S: BlockSink> Walker<'_, '_, S> {
    /// One committed run, which the dump may have in parts.
    fn run(&mut self, run: VaRange) -> Result<(), Cancelled> {
        let mut place = Place { va: run.start, previous_granules: None };
        while place.va < run.end {
            let room_bytes = run.end.0.saturating_sub(place.va.0);
            let part = self.walk.memory.bytes_at(place.va, room_bytes);
            if part.is_empty() {
                let next = self.walk.memory.next_at(place.va).filter(|next| *next < run.end).unwrap_or(run.end);
                self.sink.lost(VaRange { start: place.va, end: next }, Loss::NotInDump);
                place = Place { va: next, previous_granules: None };
                if next < run.end {
                    place.va = self.confirmed_from(next, run.end);
                    if place.va > next {
                        self.sink.lost(VaRange { start: next, end: place.va }, Loss::NotInDump);
                    }
                }
                continue;
            }
            place = self.part(part, place, run.end)?;
        }
        Ok(())
    }

    /// Blocks that begin in `part`, whose first byte is at `place`. Returns where it goes on: behind the part at least.
    fn part(&mut self, part: &[u8], mut place: Place, run_end: Va) -> Result<Place, Cancelled> {
        let part_start = place.va;
        let part_end = Va(part_start.0.saturating_add(part.len() as u64));
        while place.va < part_end {
            if self.until_check == 0 {
                self.progress.check()?;
                self.until_check = CHECK_INTERVAL;
            }
            self.until_check = self.until_check.saturating_sub(1);
            let offset = usize::try_from(place.va.0.wrapping_sub(part_start.0)).unwrap_or(usize::MAX);
            let rest = part.get(offset..).unwrap_or_default();
            let rest = self.enough(rest, place.va, run_end);
            let Some(fields) = self.walk.rule.read_at(&rest) else {
                // The header itself is cut off.
                self.sink.lost(VaRange { start: place.va, end: part_end }, Loss::NotInDump);
                return Ok(Place { va: part_end, previous_granules: None });
            };
            let size_bytes = u64::from(fields.size_granules).wrapping_mul(self.walk.rule.granule_bytes);
            let end = Va(place.va.0.saturating_add(size_bytes));
            if !fields.is_intact || end > run_end {
                let loss = if fields.is_intact { Loss::PastEnd } else { Loss::BadHeader };
                let next = self.confirmed_from(Va(place.va.0.saturating_add(self.walk.rule.granule_bytes)), run_end);
                self.sink.lost(VaRange { start: place.va, end: next }, loss);
                place = Place { va: next, previous_granules: None };
                continue;
            }
            if place.previous_granules.is_some_and(|previous| previous != fields.previous_granules) {
                self.sink.broken_chain(place.va);
            }
            self.entry(&rest, place.va, &fields, size_bytes);
            place = Place { va: end, previous_granules: Some(fields.size_granules) };
        }
        Ok(place)
    }

    /// `rest`, or a copy with what follows it in another part of the dump, when it is too short for header and prefix.
    #[inline]
    fn enough<'b>(&self, rest: &'b [u8], va: Va, run_end: Va) -> Cow<'b, [u8]> {
        if rest.len() as u64 >= LONGEST_PREFIX_BYTES {
            return Cow::Borrowed(rest);
        }
        let room_bytes = run_end.0.saturating_sub(va.0).min(LONGEST_PREFIX_BYTES);
        match copy_at(self.walk.memory, va, room_bytes) {
            Some(joined) => Cow::Owned(joined.into_owned()),
            None => Cow::Borrowed(rest),
        }
    }

    #[inline]
    fn entry(&mut self, rest: &[u8], va: Va, fields: &EntryFields, size_bytes: u64) {
        let rule = &self.walk.rule;
        let plain = |kind| Block { entry: va, size_bytes, kind, user: None, user_bytes: None, trace: Trace::NotKept };
        if !fields.is_busy() {
            self.sink.block(&plain(BlockKind::Free));
            return;
        }
        if fields.is_end_of_run() && !rule.is_xp {
            self.sink.block(&plain(BlockKind::EndOfRun));
            return;
        }
        if fields.flags & INTERNAL != 0
            && let Some(rule) = &self.walk.containers
            && rule.is_container(rest, size_bytes)
        {
            self.sink.block(&plain(BlockKind::LfhContainer));
            self.containers.push(Container { entry: va, size_bytes });
            return;
        }
        if !self.walk.lookaside.is_empty() && self.walk.lookaside.contains(&va) {
            self.sink.block(&plain(BlockKind::Lookaside));
            return;
        }
        // What is not in the dump, or a rest larger than the block, leaves the user's part unknown.
        let part = rule.user_part(rest, size_bytes, fields.flags, fields.unused);
        self.sink.block(&Block {
            entry: va,
            size_bytes,
            kind: BlockKind::Busy,
            user: part.and_then(|part| va.checked_add(part.offset)),
            user_bytes: part.map(|part| part.user_bytes),
            trace: part.map_or(Trace::Missing, |part| part.trace),
        });
    }

    /// The first place from `from` on where a block is confirmed by the one behind it; the run's end if there is none.
    fn confirmed_from(&self, from: Va, run_end: Va) -> Va {
        let granule = self.walk.rule.granule_bytes;
        let mut va = Va(from.0.next_multiple_of(granule));
        while va < run_end {
            let part = self.walk.memory.bytes_at(va, run_end.0.saturating_sub(va.0));
            if part.is_empty() {
                match self.walk.memory.next_at(va).filter(|next| *next < run_end) {
                    Some(next) => va = Va(next.0.next_multiple_of(granule)),
                    None => return run_end,
                }
                continue;
            }
            let part_end = va.0.saturating_add(part.len() as u64);
            let mut offset = 0_u64;
            while offset < part.len() as u64 {
                if self.is_confirmed(part, offset, run_end.0.saturating_sub(va.0)) {
                    return Va(va.0.saturating_add(offset));
                }
                offset = offset.saturating_add(granule);
            }
            va = Va(part_end.next_multiple_of(granule));
        }
        run_end
    }

    /// Whether the header at `offset` and those of the next two blocks fit together, as far as `room_bytes` reach.
    fn is_confirmed(&self, part: &[u8], offset: u64, room_bytes: u64) -> bool {
        const CONFIRMING_HEADERS: u32 = 3;
        let rule = &self.walk.rule;
        let (mut at, mut previous) = (offset, None);
        for _ in 0..CONFIRMING_HEADERS {
            let block = usize::try_from(at).ok().and_then(|at| part.get(at..)).unwrap_or_default();
            let Some(fields) = rule.read_at(block) else { return false };
            let is_next = previous.is_none_or(|previous| previous == fields.previous_granules);
            if !fields.is_intact || !is_next {
                return false;
            }
            at = at.saturating_add(u64::from(fields.size_granules).saturating_mul(rule.granule_bytes));
            if at >= room_bytes {
                return at == room_bytes && previous.is_some();
            }
            previous = Some(fields.size_granules);
        }
        true
    }
}

/// Reads a large block; `None` when its header is not in the dump.
pub(super) fn read_large_block(memory: &dyn ReadMemory, rule: &EntryRule, at: Va) -> Option<LargeBlock> {
    let layout = super::layouts::large_block_layout(rule.width);
    let head = copy_at(memory, at, layout.entry_bytes.checked_add(LONGEST_PREFIX_BYTES)?)
        .or_else(|| copy_at(memory, at, layout.entry_bytes))?;
    let word = |offset: u64| match rule.width {
        crate::base::addr::PointerWidth::Bits32 => bytes::u32_at(&head, offset).map(u64::from),
        crate::base::addr::PointerWidth::Bits64 => bytes::u64_at(&head, offset),
    };
    let committed_bytes = word(layout.commit_size)?;
    let reserved_bytes = word(layout.reserve_size)?;
    let busy_block = usize::try_from(layout.busy_block).ok().and_then(|at| head.get(at..))?;
    let fields = rule.read_at(busy_block)?;
    // Size counts the bytes that are not used, not granules; UnusedBytes is 4.
    let unused_bytes = u64::from(fields.size_granules);
    let is_intact = fields.is_intact && committed_bytes <= reserved_bytes && unused_bytes <= committed_bytes;
    let plain = Block {
        entry: at,
        size_bytes: committed_bytes,
        kind: BlockKind::Large,
        user: at.checked_add(layout.entry_bytes),
        user_bytes: committed_bytes.checked_sub(unused_bytes).filter(|_| is_intact),
        trace: if rule.captures_stacks() { Trace::Missing } else { Trace::NotKept },
    };
    let block = match rule.large_prefix(busy_block, &head, layout.extra_stuff) {
        Some((offset, trace)) => {
            Block { user: at.checked_add(layout.busy_block).and_then(|va| va.checked_add(offset)), trace, ..plain }
        }
        None => plain,
    };
    Some(LargeBlock { block, is_intact })
}

/// See [`read_large_block`].
#[derive(Clone, Copy, Debug)]
pub(super) struct LargeBlock {
    pub block: Block,
    /// Whether checksum and sizes can be true.
    pub is_intact: bool,
}
