//! A raw log: for each heap its blocks, each with the id of its stack; a stack stands behind the first block that has it.
//!
//! ```text
//! *- - - - - - - - - - Heap 2E60000 Hogs - - - - - - - - - -
//! 64 bytes + 1C at 2E9FA20 by BackTrace18D0A0D0
//! <TAB>776CDD82
//! ```
//!
//! Sums by stack are kept, never the blocks. Where a log has more different stacks than memory should hold, it is read once
//! for each class of their ids, so that all sums stay exact.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};

use crate::base::addr::Va;
use crate::base::problems::Problems;
use crate::base::progress::{Cancelled, Progress};

use super::fields::{after, has_word, split_at_word, take_hex, trim, whole_hex};
use super::frames::{FrameId, FrameTable, Interned};
use super::lines::Line;
use super::noise::Noise;
use super::{MAX_DEPTH, MAX_STACKS, Ticker, UmdhFile};

/// Different ids that are told apart at one time.
const MAX_IDS: usize = 1 << 19;
/// More classes than this have so many ids that a log of 200 million lines is needed to fill them.
const MAX_CLASSES: u64 = 1 << 10;
/// A process has some dozens of heaps.
const MAX_HEAPS: usize = 4096;
/// Stacks that share one id of 16 bits.
const MAX_CANDIDATES: usize = 64;

/// Sums over blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Amounts {
    pub block_count: u64,
    pub requested_bytes: u64,
    pub overhead_bytes: u64,
}

impl Amounts {
    pub const fn plus(self, other: Self) -> Self {
        Self {
            block_count: self.block_count.saturating_add(other.block_count),
            requested_bytes: self.requested_bytes.saturating_add(other.requested_bytes),
            overhead_bytes: self.overhead_bytes.saturating_add(other.overhead_bytes),
        }
    }
}

/// One heap of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogHeap {
    /// `None` for blocks that stand in no heap.
    pub base: Option<Va>,
    pub amounts: Amounts,
}

/// All blocks that one stack allocated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogStack {
    /// As the log writes it, so that it can be searched for there: `18D0A0D0` of `BackTrace18D0A0D0`.
    pub id: Box<str>,
    /// Innermost first. Several where the log has `Alias` lines: an id of 16 bits that fits several entries of the
    /// database, any of which may be the true one. None where the log has no stack for the id.
    pub candidates: Vec<Vec<FrameId>>,
    pub amounts: Amounts,
    /// By position in [`RawLog::heaps`].
    pub by_heap: Vec<(u16, Amounts)>,
}

/// What a raw log holds.
#[derive(Debug, Default)]
pub struct RawLog {
    pub heaps: Vec<LogHeap>,
    /// Those with most requested bytes first.
    pub stacks: Vec<LogStack>,
    pub frames: FrameTable,
    /// Of all blocks.
    pub total: Amounts,
    /// Old versions list no overhead.
    pub has_overhead: bool,
    /// Stacks that are counted and not kept, and their sums.
    pub left_out_stack_count: u64,
    pub left_out: Amounts,
    pub problems: Problems,
}

/// A line with blocks: one, or several of one stack in old versions.
pub(super) struct BlockLine<'a> {
    amounts: Amounts,
    has_overhead: bool,
    id: &'a [u8],
}

/// `64 bytes + 1C at 2E9FA20 by BackTrace18D0A0D0`, and `00005320 bytes in 0x14 allocations (@ 0x00000428) by:
/// BackTrace00B53` of old versions. All numbers are hexadecimal.
///
/// Seen: 6.1.7650 (x86, Windows 7): blocks of 64 + 1C bytes lie 80h apart.
pub(super) fn block_line(line: &[u8]) -> Option<BlockLine<'_>> {
    let (requested_bytes, rest) = take_hex(line)?;
    let rest = after(rest, b" bytes ")?;
    if let Some(rest) = after(rest, b"+ ") {
        let (overhead_bytes, rest) = take_hex(rest)?;
        let (_, rest) = take_hex(after(rest, b" at ")?)?;
        let id = after(rest, b" by BackTrace")?;
        let amounts = Amounts { block_count: 1, requested_bytes, overhead_bytes };
        return Some(BlockLine { amounts, has_overhead: true, id: id_of(id)? });
    }
    let (block_count, rest) = take_hex(after(rest, b"in ")?)?;
    let (_, id) = split_at_word(after(rest, b" allocations ")?, b" by: BackTrace")?;
    let amounts = Amounts { block_count, requested_bytes, overhead_bytes: 0 };
    Some(BlockLine { amounts, has_overhead: false, id: id_of(id)? })
}

fn id_of(text: &[u8]) -> Option<&[u8]> {
    let id = trim(text);
    whole_hex(id).map(|_| id)
}

/// What a line that begins with `*-` says.
pub(super) enum HeapLine {
    Start(Va),
    End,
}

pub(super) fn heap_line(line: &[u8]) -> Option<HeapLine> {
    let rest = after(line, b"*- - - - - - - - - - ")?;
    if let Some(rest) = after(rest, b"Start of data for heap @ ") {
        return take_hex(rest).map(|(base, _)| HeapLine::Start(Va(base)));
    }
    if after(rest, b"End of data for heap @ ").is_some() {
        return Some(HeapLine::End);
    }
    let (base, rest) = take_hex(after(rest, b"Heap ")?)?;
    after(rest, b" Hogs").map(|_| HeapLine::Start(Va(base)))
}

/// Reads all heaps.
///
/// # Errors
/// Only when cancelled.
pub(super) fn read_raw(file: &UmdhFile, progress: &Progress) -> Result<RawLog, Cancelled> {
    read_within(file, MAX_IDS, MAX_STACKS, progress)
}

/// The same with other limits, for tests.
pub(super) fn read_within(
    file: &UmdhFile,
    max_ids: usize,
    max_stacks: usize,
    progress: &Progress,
) -> Result<RawLog, Cancelled> {
    let mut class_count = 1_u64;
    loop {
        let mut log = RawLog::default();
        let mut is_overfull = false;
        for class in 0..class_count {
            let may_split = class_count < MAX_CLASSES;
            let mut reader = Reader::new(file, &mut log, Class { class, class_count, max_ids, may_split });
            if !reader.read(progress)? {
                is_overfull = true;
                break;
            }
            let stacks = reader.stacks;
            keep_largest(&mut log, stacks, max_stacks);
        }
        if !is_overfull {
            let left_out = log.left_out_stack_count;
            if left_out > 0 {
                let text =
                    format!("has {left_out} more different stacks than are kept apart; those with most bytes are");
                log.problems.missing("stacks", text);
            }
            return Ok(log);
        }
        class_count = class_count.saturating_mul(4);
    }
}

fn keep_largest(log: &mut RawLog, stacks: Vec<LogStack>, max_stacks: usize) {
    log.stacks.extend(stacks);
    log.stacks.sort_by(|a, b| b.amounts.requested_bytes.cmp(&a.amounts.requested_bytes).then_with(|| a.id.cmp(&b.id)));
    for stack in log.stacks.drain(max_stacks.min(log.stacks.len())..) {
        log.left_out_stack_count = log.left_out_stack_count.saturating_add(1);
        log.left_out = log.left_out.plus(stack.amounts);
    }
}

/// Which ids one pass over the file keeps.
#[derive(Clone, Copy)]
struct Class {
    class: u64,
    class_count: u64,
    max_ids: usize,
    /// Whether more classes may be made when this one is overfull.
    may_split: bool,
}

impl Class {
    fn has(self, id: u64) -> bool {
        // Ids are addresses of entries, or small numbers; the product spreads both.
        let spread = id.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_right(32);
        spread.checked_rem(self.class_count).is_none_or(|class| class == self.class)
    }
}

struct Reader<'a> {
    file: &'a UmdhFile,
    log: &'a mut RawLog,
    class: Class,
    ids: HashMap<u64, usize>,
    stacks: Vec<LogStack>,
    /// The stack whose frames come now.
    current: Current,
    frames: Vec<FrameId>,
    is_after_blank: bool,
    heap: Option<u16>,
    is_in_heap: bool,
    noise: Noise,
    has_full_frames: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Current {
    None,
    /// One that this pass does not keep.
    Other,
    Stack(usize),
}

impl<'a> Reader<'a> {
    fn new(file: &'a UmdhFile, log: &'a mut RawLog, class: Class) -> Self {
        Self {
            file,
            log,
            class,
            ids: HashMap::new(),
            stacks: Vec::new(),
            current: Current::None,
            frames: Vec::new(),
            is_after_blank: false,
            heap: None,
            is_in_heap: false,
            noise: Noise::default(),
            has_full_frames: false,
        }
    }

    /// The first pass counts everything and tells of problems; the others only collect their stacks.
    const fn is_first(&self) -> bool {
        self.class.class == 0
    }

    /// `false` when there are too many ids.
    fn read(&mut self, progress: &Progress) -> Result<bool, Cancelled> {
        let file = self.file;
        let mut lines = file.lines();
        let mut ticker = Ticker::new(progress);
        while let Some(line) = lines.next_line() {
            ticker.pass(line.offset.0)?;
            if !self.take(&line) {
                return Ok(false);
            }
        }
        self.end_stack();
        let mut problems = std::mem::take(&mut self.log.problems);
        if self.is_first() {
            self.noise.end(&mut problems);
            if self.is_in_heap {
                let place = format!("end of the file (offset {:#x})", file.file_bytes);
                problems.damage(place, "the log is cut off in the midst of a heap; what follows there is not in it");
            }
            if self.has_full_frames {
                problems.damage("stacks", "the log has more different frames than a program; some stacks are cut");
            }
        }
        self.log.problems = problems;
        Ok(true)
    }

    fn take(&mut self, line: &Line<'_>) -> bool {
        if line.is_piece {
            self.lose(line, None);
            return true;
        }
        if let Some(block) = block_line(line.bytes) {
            self.end_noise();
            return self.take_block(&block);
        }
        let text = trim(line.bytes);
        if text.is_empty() {
            self.is_after_blank = true;
        } else if let Some(heap) = heap_line(text) {
            self.end_noise();
            self.take_heap(&heap);
        } else if text.starts_with(b"//") || is_legend(text) {
            self.end_noise();
            self.end_stack();
            self.current = Current::None;
        } else if text == b"Alias" {
            self.end_stack();
            self.is_after_blank = false;
        } else {
            self.take_frame(line, text);
        }
        true
    }

    fn take_heap(&mut self, line: &HeapLine) {
        self.end_stack();
        self.current = Current::None;
        self.is_in_heap = matches!(line, HeapLine::Start(_));
        self.heap = match line {
            HeapLine::Start(base) => Some(self.heap_position(Some(*base))),
            HeapLine::End => None,
        };
    }

    fn heap_position(&mut self, base: Option<Va>) -> u16 {
        let heaps = &mut self.log.heaps;
        let known = heaps.iter().position(|heap| heap.base == base);
        let position = known.unwrap_or_else(|| {
            // More than a process has share the last one.
            if heaps.len() < MAX_HEAPS {
                heaps.push(LogHeap { base, amounts: Amounts::default() });
            }
            heaps.len().saturating_sub(1)
        });
        u16::try_from(position).unwrap_or(u16::MAX)
    }

    fn take_block(&mut self, block: &BlockLine<'_>) -> bool {
        self.end_stack();
        self.is_after_blank = false;
        self.current = Current::Other;
        let heap = match self.heap {
            Some(heap) => heap,
            None => self.heap_position(None),
        };
        if self.is_first() {
            self.log.total = self.log.total.plus(block.amounts);
            self.log.has_overhead |= block.has_overhead;
            if let Some(heap) = self.log.heaps.get_mut(usize::from(heap)) {
                heap.amounts = heap.amounts.plus(block.amounts);
            }
        }
        let Some(id) = whole_hex(block.id).filter(|id| self.class.has(*id)) else { return true };
        let is_full = self.ids.len() >= self.class.max_ids;
        let position = match self.ids.entry(id) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(_) if is_full && self.class.may_split => return false,
            Entry::Vacant(_) if is_full => {
                self.log.left_out = self.log.left_out.plus(block.amounts);
                return true;
            }
            Entry::Vacant(free) => {
                let position = *free.insert(self.stacks.len());
                self.stacks.push(LogStack {
                    id: String::from_utf8_lossy(block.id).into(),
                    candidates: Vec::new(),
                    amounts: Amounts::default(),
                    by_heap: Vec::new(),
                });
                position
            }
        };
        self.current = Current::Stack(position);
        if let Some(stack) = self.stacks.get_mut(position) {
            stack.amounts = stack.amounts.plus(block.amounts);
            match stack.by_heap.iter_mut().find(|(of, _)| *of == heap) {
                Some((_, amounts)) => *amounts = amounts.plus(block.amounts),
                None => stack.by_heap.push((heap, block.amounts)),
            }
        }
        true
    }

    fn take_frame(&mut self, line: &Line<'_>, text: &[u8]) {
        let is_indented = line.bytes.first().is_some_and(|byte| matches!(byte, b'\t' | b' '));
        let may_be_frame = is_indented || has_word(text, b"!");
        // A second stack without a block of its own: its block is lost.
        let is_stray = self.is_after_blank && !self.frames.is_empty();
        match self.current {
            Current::None => self.lose(line, may_be_frame.then_some("a frame of a stack that no block has")),
            _ if !may_be_frame => self.lose(line, None),
            _ if is_stray => {
                self.end_stack();
                self.lose(line, Some("a frame of a stack that no block has"));
            }
            // Only whether it looks like one matters: the pass for its class reads it.
            Current::Other => {}
            Current::Stack(_) => match self.log.frames.intern(text) {
                Interned::Frame(id) if self.frames.len() < MAX_DEPTH => self.frames.push(id),
                Interned::Frame(_) => {}
                Interned::Full => self.has_full_frames = true,
                Interned::NoFrame => self.lose(line, Some("no frame of a stack")),
            },
        }
    }

    /// The frames so far are one stack of the current id.
    fn end_stack(&mut self) {
        let frames = std::mem::take(&mut self.frames);
        let Current::Stack(position) = self.current else { return };
        let Some(stack) = self.stacks.get_mut(position).filter(|_| !frames.is_empty()) else { return };
        if stack.candidates.len() < MAX_CANDIDATES && !stack.candidates.contains(&frames) {
            stack.candidates.push(frames);
        }
    }

    /// A line that is no part of the log. What looks like a cut block ends the stack before it.
    fn lose(&mut self, line: &Line<'_>, what: Option<&'static str>) {
        let is_cut_block = has_word(line.bytes, b" bytes") || has_word(line.bytes, b"BackTrace");
        if is_cut_block {
            self.end_stack();
            self.current = Current::None;
        }
        if !self.is_first() {
            return;
        }
        let problems = &mut self.log.problems;
        match what.or(is_cut_block.then_some("a block that is cut or damaged")) {
            Some(what) => self.noise.broken(line, what, problems),
            None => self.noise.unknown(line, problems),
        }
    }

    fn end_noise(&mut self) {
        if self.is_first() {
            self.noise.end(&mut self.log.problems);
        }
    }
}

/// The lines that explain the form of a heap's data.
fn is_legend(text: &[u8]) -> bool {
    text.starts_with(b"REQUESTED bytes + OVERHEAD") || text.starts_with(b"STACK if not already dumped")
}
