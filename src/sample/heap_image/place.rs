//! Decides where each block of a plan lies, before a byte is written.

use super::entry::{BUSY, EXTRA_PRESENT, Granule, INTERNAL};
use super::layout::{lfh_fields, lookup_places, segment_head_bytes};
use super::plan::{
    BusyBlock, FrontEnd, HeapGeneration, HeapPlan, LfhBlocks, PlannedBlock, RunPlan, SegmentPlan, Trace,
};
use crate::base::addr::{Va, VaRange};
use crate::sample::error::SampleError;

pub const PAGE_BYTES: u64 = 0x1000;
/// In XP the first segment lies behind the head of the heap.
pub const XP_SEGMENT_OFFSET: u64 = 0x640;
/// The same for 64 bits: as far behind the head, which is 0xae8 bytes long there. Not confirmed.
pub const XP_SEGMENT_OFFSET_64: u64 = 0xb90;
/// Larger blocks get an allocation of their own, and free ones are not joined beyond it.
const LARGEST_GRANULES: u64 = 0xfe00;
/// 128 lists of 0x30 bytes.
pub const LOOKASIDE_BYTES: u64 = 0x1800;

/// What is behind a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    Head,
    SegmentHead,
    Busy(BusyBlock),
    Free,
    /// Number of the container, over all of the heap.
    Container(usize),
    LfhHeap,
    /// Number of the zone.
    Zone(usize),
    Lookaside,
    /// The end of a committed run, with the description of the hole behind it.
    Sentinel,
}

/// One block of the back end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlacedEntry {
    pub va: Va,
    pub granules: u64,
    pub flags: u8,
    pub content: Content,
}

/// A committed run, the hole behind it, and the blocks that fill the run.
#[derive(Clone, Debug)]
pub struct PlacedRun {
    pub committed: VaRange,
    pub hole: VaRange,
    pub entries: Vec<PlacedEntry>,
}

#[derive(Clone, Debug)]
pub struct PlacedSegment {
    pub base: Va,
    /// Without the guard page.
    pub end: Va,
    pub runs: Vec<PlacedRun>,
}

impl PlacedSegment {
    pub fn page_count(&self) -> u64 {
        (self.end.0 - self.base.0) / PAGE_BYTES
    }

    pub fn uncommitted_bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.hole.size_bytes()).sum()
    }
}

/// A plan with addresses.
#[derive(Clone, Debug)]
pub struct PlacedHeap<'a> {
    pub plan: &'a HeapPlan,
    pub granule: Granule,
    pub segments: Vec<PlacedSegment>,
    /// The containers of the low fragmentation heap, in the order of the plan, with their blocks of the back end.
    pub containers: Vec<(PlacedEntry, &'a LfhBlocks)>,
}

impl<'a> PlacedHeap<'a> {
    pub fn entries(&self) -> impl Iterator<Item = &PlacedEntry> {
        self.segments.iter().flat_map(|segment| &segment.runs).flat_map(|run| &run.entries)
    }

    pub fn find(&self, content: Content) -> Option<&PlacedEntry> {
        self.entries().find(|entry| entry.content == content)
    }

    /// Where the structure of the front end lies.
    pub fn front_end(&self) -> Option<Va> {
        let user = |content| self.find(content).map(|entry| Va(entry.va.0 + self.granule.bytes()));
        match self.plan.front_end {
            FrontEnd::None => None,
            FrontEnd::Lookaside => user(Content::Lookaside),
            FrontEnd::Lfh => user(Content::LfhHeap),
            FrontEnd::LfhAt { base, .. } => Some(base),
        }
    }

    pub fn zone(&self, number: usize) -> Option<Va> {
        self.find(Content::Zone(number)).map(|entry| Va(entry.va.0 + self.granule.bytes()))
    }
}

/// Places all blocks of `plan`.
pub fn place(plan: &HeapPlan) -> Result<PlacedHeap<'_>, SampleError> {
    let granule = Granule { width: plan.width };
    check_hole_count(plan)?;
    let mut heap = PlacedHeap { plan, granule, segments: Vec::new(), containers: Vec::new() };
    for (number, segment) in plan.segments.iter().enumerate() {
        let placed = place_segment(&mut heap, segment, number == 0)?;
        heap.segments.push(placed);
    }
    Ok(heap)
}

/// In XP the descriptions of holes have the room between the head and the first segment.
fn check_hole_count(plan: &HeapPlan) -> Result<(), SampleError> {
    let runs = plan.segments.iter().flat_map(|segment| &segment.runs);
    let needed = runs.filter(|run| run.uncommitted_pages > 0).count() as u64;
    let available = xp_hole_capacity(plan.width.bytes());
    if plan.generation != HeapGeneration::Xp || needed <= available {
        return Ok(());
    }
    let what = format!("the list of uncommitted ranges of the heap {}", plan.base());
    let entry_bytes = 4 * plan.width.bytes();
    Err(SampleError::DoesNotFit { what, needed_bytes: needed * entry_bytes, available_bytes: available * entry_bytes })
}

/// From behind the head and its lock up to the first segment, in entries of four pointers.
const fn xp_hole_capacity(pointer_bytes: u64) -> u64 {
    if pointer_bytes == 4 { (XP_SEGMENT_OFFSET - 0x5b0) / 0x10 } else { (XP_SEGMENT_OFFSET_64 - 0xb10) / 0x20 }
}

fn place_segment<'a>(
    heap: &mut PlacedHeap<'a>,
    segment: &'a SegmentPlan,
    is_first: bool,
) -> Result<PlacedSegment, SampleError> {
    let mut placed = PlacedSegment { base: segment.base, end: segment.base, runs: Vec::new() };
    for (number, run) in segment.runs.iter().enumerate() {
        let committed = VaRange::from_size(placed.end, run.committed_pages * PAGE_BYTES);
        let is_last = number + 1 == segment.runs.len();
        let guard_pages = u64::from(is_last && segment.has_guard_page && run.uncommitted_pages > 0);
        let hole = VaRange::from_size(committed.end, (run.uncommitted_pages - guard_pages) * PAGE_BYTES);
        let mut filling = Filling::new(heap, committed);
        if number == 0 {
            filling.add_heads(is_first)?;
        }
        filling.fill(run)?;
        let entries = filling.entries;
        placed.runs.push(PlacedRun { committed, hole, entries });
        placed.end = hole.end;
    }
    Ok(placed)
}

/// A run while blocks are put into it.
struct Filling<'h, 'a> {
    heap: &'h mut PlacedHeap<'a>,
    entries: Vec<PlacedEntry>,
    next: Va,
    /// Where blocks end: before the sentinel.
    end: Va,
}

impl<'h, 'a> Filling<'h, 'a> {
    fn new(heap: &'h mut PlacedHeap<'a>, committed: VaRange) -> Self {
        let end = Va(committed.end.0 - sentinel_bytes(heap));
        Self { heap, entries: Vec::new(), next: committed.start, end }
    }

    fn push(&mut self, block_bytes: u64, flags: u8, content: Content) -> Result<PlacedEntry, SampleError> {
        let granules = block_bytes / self.heap.granule.bytes();
        let available_bytes = self.end.0.saturating_sub(self.next.0);
        if block_bytes > available_bytes || granules > LARGEST_GRANULES {
            let what = format!("a block of the heap {} at {}", self.heap.plan.base(), self.next);
            return Err(SampleError::DoesNotFit { what, needed_bytes: block_bytes, available_bytes });
        }
        let entry = PlacedEntry { va: self.next, granules, flags, content };
        self.entries.push(entry);
        self.next = Va(self.next.0 + block_bytes);
        Ok(entry)
    }

    /// The heads that a segment begins with; in the first one also the front end.
    fn add_heads(&mut self, is_first: bool) -> Result<(), SampleError> {
        let plan = self.heap.plan;
        let segment_head = segment_head_bytes(plan.generation, plan.width);
        if !is_first {
            self.push(segment_head, BUSY, Content::SegmentHead)?;
            return Ok(());
        }
        if plan.generation == HeapGeneration::Xp {
            self.push(xp_segment_offset(plan), BUSY, Content::Head)?;
            self.push(segment_head, BUSY, Content::SegmentHead)?;
        } else {
            self.push(lookup_places(plan.generation, plan.width).first_entry, BUSY, Content::Head)?;
        }
        let granule = self.heap.granule;
        match plan.front_end {
            FrontEnd::None => {}
            FrontEnd::Lookaside => {
                self.push(granule.block_bytes(LOOKASIDE_BYTES), BUSY, Content::Lookaside)?;
            }
            FrontEnd::Lfh => {
                self.push(granule.block_bytes(lfh_heap_bytes(plan)), BUSY | INTERNAL, Content::LfhHeap)?;
            }
            FrontEnd::LfhAt { .. } => {}
        }
        if plan.front_end.is_lfh() {
            let container_count = planned_containers(plan).count();
            // An activated front end has a zone even before its first container.
            for number in 0..container_count.div_ceil(zone_capacity(plan)).max(1) {
                self.push(zone_block_bytes(plan), BUSY | INTERNAL, Content::Zone(number))?;
            }
        }
        Ok(())
    }

    fn fill(&mut self, run: &'a RunPlan) -> Result<(), SampleError> {
        for block in &run.blocks {
            match block {
                PlannedBlock::Busy(busy) => {
                    self.push(
                        busy_block_bytes(self.heap.granule, *busy),
                        busy_flags(busy.trace),
                        Content::Busy(*busy),
                    )?;
                }
                PlannedBlock::Free { block_bytes } => {
                    self.push(*block_bytes, 0, Content::Free)?;
                }
                PlannedBlock::BusyRest(trace) => self.fill_rest(*trace)?,
                PlannedBlock::Lfh(blocks) => {
                    let number = self.heap.containers.len();
                    let block_bytes = container_bytes(self.heap.plan, blocks);
                    let entry = self.push(block_bytes, BUSY | INTERNAL, Content::Container(number))?;
                    self.heap.containers.push((entry, blocks));
                }
            }
        }
        self.free_rest()?;
        let sentinel_bytes = sentinel_bytes(self.heap);
        if sentinel_bytes > 0 {
            self.end = Va(self.end.0 + sentinel_bytes);
            self.push(sentinel_bytes, BUSY, Content::Sentinel)?;
        }
        Ok(())
    }

    fn fill_rest(&mut self, trace: Trace) -> Result<(), SampleError> {
        let granule = self.heap.granule;
        let block_bytes = self.end.0.saturating_sub(self.next.0);
        let overhead = match trace {
            Trace::None => 8,
            Trace::Pointer(_) => 8 + granule.prefix_bytes(),
            Trace::Index(_) => 2 * granule.bytes(),
        };
        let user_bytes = block_bytes.saturating_sub(overhead);
        let busy = BusyBlock::traced(user_bytes, trace);
        self.push(block_bytes, busy_flags(trace), Content::Busy(busy))?;
        Ok(())
    }

    /// Makes what is left a free block, several where it is too large for one. A single granule is too small for a block and
    /// goes to the last one.
    fn free_rest(&mut self) -> Result<(), SampleError> {
        let granule_bytes = self.heap.granule.bytes();
        loop {
            let left = (self.end.0.saturating_sub(self.next.0)) / granule_bytes;
            match left {
                0 => return Ok(()),
                1 => {
                    if let Some(last) = self.entries.last_mut() {
                        last.granules += 1;
                    }
                    self.next = self.end;
                }
                _ => {
                    // Not so much that a single granule would be left.
                    let granules = if left == LARGEST_GRANULES + 1 { left - 2 } else { left.min(LARGEST_GRANULES) };
                    self.push(granules * granule_bytes, 0, Content::Free)?;
                }
            }
        }
    }
}

pub fn xp_segment_offset(plan: &HeapPlan) -> u64 {
    if plan.width.bytes() == 4 { XP_SEGMENT_OFFSET } else { XP_SEGMENT_OFFSET_64 }
}

/// Four granules: a header and `_HEAP_UCR_DESCRIPTOR`. XP has none.
fn sentinel_bytes(heap: &PlacedHeap<'_>) -> u64 {
    if heap.plan.generation == HeapGeneration::Xp { 0 } else { 4 * heap.granule.bytes() }
}

const fn busy_flags(trace: Trace) -> u8 {
    if matches!(trace, Trace::Index(_)) { BUSY | EXTRA_PRESENT } else { BUSY }
}

/// Header, prefix or `_HEAP_ENTRY_EXTRA`, user bytes, slack.
pub fn busy_block_bytes(granule: Granule, busy: BusyBlock) -> u64 {
    let block_bytes = match busy.trace {
        Trace::None => granule.block_bytes(busy.user_bytes),
        Trace::Pointer(_) => granule.block_bytes(busy.user_bytes + granule.prefix_bytes()),
        // The last granule of the block itself: user bytes do not reach into the next one.
        Trace::Index(_) => busy.user_bytes.next_multiple_of(granule.bytes()) + 2 * granule.bytes(),
    };
    block_bytes + busy.slack_bytes
}

fn planned_containers(plan: &HeapPlan) -> impl Iterator<Item = &LfhBlocks> {
    let runs = plan.segments.iter().flat_map(|segment| &segment.runs);
    runs.flat_map(|run| &run.blocks).filter_map(|block| match block {
        PlannedBlock::Lfh(blocks) => Some(blocks),
        _ => None,
    })
}

/// From the header of a container's user blocks to its first block.
pub fn first_block_offset(plan: &HeapPlan, block_count: usize) -> u64 {
    let fields = lfh_fields(plan.generation, plan.width);
    if plan.generation <= HeapGeneration::Seven {
        return fields.user_header_bytes;
    }
    let word_bits = 8 * plan.width.bytes() as usize;
    let bitmap_bytes = (block_count.div_ceil(word_bits) * word_bits / 8) as u64;
    (fields.bits as u64 + bitmap_bytes).next_multiple_of(2 * plan.width.bytes())
}

/// A power of two, the header of the back end included.
fn container_bytes(plan: &HeapPlan, blocks: &LfhBlocks) -> u64 {
    let granule = Granule { width: plan.width };
    let count = blocks.blocks.len();
    let needed = granule.bytes() + first_block_offset(plan, count) + count as u64 * blocks.block_bytes;
    needed.next_power_of_two().max(0x400)
}

fn zone_block_bytes(plan: &HeapPlan) -> u64 {
    if plan.width.bytes() == 4 { 0x400 } else { 0x800 }
}

/// How many subsegments a zone has room for.
pub fn zone_capacity(plan: &HeapPlan) -> usize {
    let fields = lfh_fields(plan.generation, plan.width);
    let room = zone_block_bytes(plan) - 2 * plan.width.bytes() - fields.first_subsegment;
    usize::try_from(room / fields.subsegment_bytes).unwrap_or(1)
}

/// With one slot of local data.
pub fn lfh_heap_bytes(plan: &HeapPlan) -> u64 {
    let fields = lfh_fields(plan.generation, plan.width);
    let infos = if plan.generation <= HeapGeneration::Seven { 128 * fields.segment_info_bytes } else { 0 };
    (fields.local_data + fields.local_head_bytes + infos) as u64
}
