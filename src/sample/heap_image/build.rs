//! Puts a heap together: blocks first, then the structures that count and chain them.

use super::entry::{BUSY, EXTRA_PRESENT, Entry, INTERNAL, LAST_ENTRY, extended_header};
use super::front_end::add_front_end;
use super::head::put_head;
use super::place::{Content, PAGE_BYTES, PlacedEntry, PlacedHeap, place};
use super::plan::{BusyBlock, FrontEnd, HeapGeneration, HeapPlan, SegmentPlan, SegmentRegion, Trace, VirtualBlock};
use super::truth::{BlockState, BuiltBlock, BuiltHeap, BuiltSegment, HeapTotals};
use super::xp_head::put_xp_head;
use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::sample::address_space::{AddressSpace, AllocationKind, Run, winnt::PAGE_READWRITE};
use crate::sample::error::SampleError;
use crate::sample::le_bytes::LeBytes;

/// A heap as bytes, with the truth about it.
#[derive(Clone, Debug)]
pub struct HeapImage {
    pub truth: BuiltHeap,
    /// The allocations of the heap: base, kind, runs.
    pub regions: Vec<(Va, AllocationKind, Vec<Run>)>,
    /// Its bytes, each piece within one committed run. What no piece covers is zero.
    pub writes: Vec<(Va, Vec<u8>)>,
}

impl HeapImage {
    /// Allocates the heap in `space` and writes it.
    pub fn add_to(&self, space: &mut AddressSpace) {
        for (base, kind, runs) in &self.regions {
            space.allocate(*base, *kind, runs);
        }
        for (va, bytes) in &self.writes {
            space.write(*va, bytes.clone());
        }
    }
}

/// The committed memory of a heap while it is written.
pub(super) struct HeapMemory {
    width: PointerWidth,
    /// In ascending order.
    parts: Vec<(VaRange, LeBytes)>,
}

impl HeapMemory {
    fn new(width: PointerWidth, ranges: impl Iterator<Item = VaRange>) -> Self {
        let sized = |range: VaRange| LeBytes::zeroed(usize::try_from(range.size_bytes()).unwrap_or_default());
        let mut parts: Vec<_> = ranges.map(|range| (range, sized(range))).collect();
        parts.sort_by_key(|(range, _)| range.start);
        Self { width, parts }
    }

    /// Writes `bytes`; what lies outside of the committed memory of the heap is a mistake of the builder.
    pub fn put(&mut self, va: Va, bytes: &[u8]) -> &mut Self {
        let number = self.parts.partition_point(|(range, _)| range.end <= va);
        let part = self
            .parts
            .get_mut(number)
            .filter(|(range, _)| range.start <= va && va.0 + bytes.len() as u64 <= range.end.0);
        debug_assert!(part.is_some(), "{va} is outside of the heap");
        if let Some((range, content)) = part {
            content.put(usize::try_from(va.0 - range.start.0).unwrap_or_default(), bytes);
        }
        self
    }

    pub fn put_u16(&mut self, va: Va, value: u16) -> &mut Self {
        self.put(va, &value.to_le_bytes())
    }

    pub fn put_u32(&mut self, va: Va, value: u32) -> &mut Self {
        self.put(va, &value.to_le_bytes())
    }

    pub fn put_pointer(&mut self, va: Va, value: Va) -> &mut Self {
        let bytes = value.0.to_le_bytes();
        let (narrow, _) = bytes.split_at(4);
        match self.width {
            PointerWidth::Bits64 => self.put(va, &bytes),
            PointerWidth::Bits32 => self.put(va, narrow),
        }
    }

    /// Chains the list entries at `links` behind the head at `head`, in this order, and back to it.
    pub fn put_list(&mut self, head: Va, links: &[Va]) -> &mut Self {
        let back = self.width.bytes();
        let chain: Vec<Va> = [head].into_iter().chain(links.iter().copied()).collect();
        for (from, to) in chain.iter().zip(chain.iter().skip(1).chain([&head])) {
            self.put_pointer(*from, *to).put_pointer(Va(to.0 + back), *from);
        }
        self
    }

    /// The header of a block at `entry`.
    pub fn put_entry(&mut self, heap: &PlacedHeap<'_>, entry: Va, fields: Entry) -> &mut Self {
        let bytes = fields.encoded(heap.plan.generation, heap.plan.encoding);
        self.put(Va(entry.0 + heap.granule.header_offset()), &bytes)
    }
}

pub(super) fn build(plan: &HeapPlan) -> Result<HeapImage, SampleError> {
    let heap = place(plan)?;
    let committed = heap.segments.iter().flat_map(|segment| segment.runs.iter().map(|run| run.committed));
    let virtual_heads = plan.virtual_blocks.iter().map(|block| VaRange::from_size(block.base, PAGE_BYTES));
    let front_end = match plan.front_end {
        FrontEnd::LfhAt { base, .. } => Some(VaRange::from_size(base, FRONT_END_COMMITTED_BYTES)),
        _ => None,
    };
    let mut memory = HeapMemory::new(plan.width, committed.chain(virtual_heads).chain(front_end));
    let mut blocks = put_blocks(&mut memory, &heap);
    blocks.extend(add_front_end(&mut memory, &heap));
    blocks.sort_by_key(|block| block.entry);
    for block in &plan.virtual_blocks {
        blocks.push(put_virtual_block(&mut memory, &heap, block));
    }
    let totals = totals(&heap, &blocks);
    if plan.generation == HeapGeneration::Xp {
        put_xp_head(&mut memory, &heap, &totals);
    } else {
        put_head(&mut memory, &heap, &totals);
    }
    let segments = heap.segments.iter().map(|segment| BuiltSegment {
        range: VaRange { start: segment.base, end: segment.end },
        committed: segment.runs.iter().map(|run| run.committed).collect(),
        uncommitted: segment.runs.iter().map(|run| run.hole).filter(|hole| !hole.is_empty()).collect(),
    });
    let truth =
        BuiltHeap { base: plan.base(), list_index: plan.list_index, blocks, segments: segments.collect(), totals };
    let writes = memory.parts.into_iter().map(|(range, bytes)| (range.start, bytes.into_vec())).collect();
    Ok(HeapImage { truth, regions: regions(plan), writes })
}

const FRONT_END_COMMITTED_BYTES: u64 = 2 * PAGE_BYTES;

fn regions(plan: &HeapPlan) -> Vec<(Va, AllocationKind, Vec<Run>)> {
    let committed = |bytes| Run::committed(bytes, PAGE_READWRITE);
    let segment_region = |segment: &SegmentPlan| {
        let mut runs: Vec<Run> = segment
            .runs
            .iter()
            .flat_map(|run| {
                [committed(run.committed_pages * PAGE_BYTES), Run::reserved(run.uncommitted_pages * PAGE_BYTES)]
            })
            .collect();
        let kind = match segment.region {
            SegmentRegion::Private => AllocationKind::PRIVATE,
            SegmentRegion::Mapped | SegmentRegion::MappedWhole => AllocationKind::MAPPED,
        };
        if segment.region == SegmentRegion::MappedWhole {
            runs = vec![committed(runs.iter().map(|run| run.size_bytes).sum())];
        }
        (segment.base, kind, runs)
    };
    let mut regions: Vec<_> = plan.segments.iter().map(segment_region).collect();
    for block in &plan.virtual_blocks {
        regions.push((block.base, AllocationKind::PRIVATE, vec![committed(virtual_commit_bytes(plan, block))]));
    }
    if let FrontEnd::LfhAt { base, reserved_pages } = plan.front_end {
        let rest = (reserved_pages * PAGE_BYTES).saturating_sub(FRONT_END_COMMITTED_BYTES);
        regions.push((base, AllocationKind::PRIVATE, vec![committed(FRONT_END_COMMITTED_BYTES), Run::reserved(rest)]));
    }
    regions
}

/// Writes the blocks of the back end with what is in front of their user bytes.
fn put_blocks(memory: &mut HeapMemory, heap: &PlacedHeap<'_>) -> Vec<BuiltBlock> {
    let mut blocks = Vec::new();
    for run in heap.segments.iter().flat_map(|segment| &segment.runs) {
        let mut previous_size = 0;
        for (number, placed) in run.entries.iter().enumerate() {
            let is_last = number + 1 == run.entries.len();
            let granules = u16::try_from(placed.granules).unwrap_or(u16::MAX);
            let is_xp = heap.plan.generation == HeapGeneration::Xp;
            let fields = Entry {
                size: granules,
                previous_size,
                flags: placed.flags | if is_last && is_xp { LAST_ENTRY } else { 0 },
                unused_bytes: unused_byte(heap, placed),
            };
            memory.put_entry(heap, placed.va, fields);
            previous_size = granules;
            blocks.extend(built_block(heap, placed));
            if let Content::Busy(busy) = placed.content {
                put_busy_content(memory, heap, placed.va, placed.granules * heap.granule.bytes(), busy);
            }
        }
    }
    blocks
}

/// The byte that says how much of a block is not the user's.
fn unused_byte(heap: &PlacedHeap<'_>, placed: &PlacedEntry) -> u8 {
    let block_bytes = placed.granules * heap.granule.bytes();
    match placed.content {
        Content::Head | Content::SegmentHead => 1,
        Content::Free => 0,
        Content::Sentinel => 3,
        // As in a real dump: nothing but the header.
        Content::Container(_) | Content::Zone(_) | Content::LfhHeap | Content::Lookaside => {
            u8::try_from(heap.granule.bytes()).unwrap_or(8)
        }
        Content::Busy(busy) => busy_unused_byte(block_bytes, busy),
    }
}

/// Of a traced block it says that there is a prefix of two granules: a front end's block in use has 0xc2 then, and the byte of a
/// back end's block is taken to be the same without the front end's bit.
const TRACED: u8 = 0x42;
/// The count did not fit and stands at the end of the block.
const UNUSED_ELSEWHERE: u8 = 0x3f;

pub(super) fn busy_unused_byte(block_bytes: u64, busy: BusyBlock) -> u8 {
    match (busy.trace, u8::try_from(block_bytes.saturating_sub(busy.user_bytes))) {
        (Trace::Pointer(_), _) => TRACED,
        (_, Ok(unused)) if unused < UNUSED_ELSEWHERE => unused,
        _ => UNUSED_ELSEWHERE,
    }
}

/// What a block in use has besides its header and its user bytes.
pub(super) fn put_busy_content(
    memory: &mut HeapMemory,
    heap: &PlacedHeap<'_>,
    entry: Va,
    block_bytes: u64,
    busy: BusyBlock,
) {
    let granule = heap.granule;
    let unused_bytes = block_bytes - busy.user_bytes;
    match busy.trace {
        Trace::Pointer(trace) => {
            memory.put_pointer(Va(entry.0 + granule.bytes()), trace);
            // The second header is a whole one: on x64 its 8 bytes are the latter half.
            let header = entry.0 + granule.bytes() + granule.prefix_bytes() - 8;
            memory.put(Va(header), &extended_header(unused_bytes));
        }
        Trace::Index(index) => {
            memory.put_u16(Va(entry.0 + block_bytes - granule.bytes()), index);
        }
        Trace::None => {
            if unused_bytes >= u64::from(UNUSED_ELSEWHERE) {
                memory.put_pointer(Va(entry.0 + block_bytes - granule.width.bytes()), Va(unused_bytes));
            }
        }
    }
}

/// From the header of a block to its user bytes.
pub(super) fn user_of(heap: &PlacedHeap<'_>, entry: Va, trace: Trace) -> Va {
    let prefix_bytes = if matches!(trace, Trace::Pointer(_)) { heap.granule.prefix_bytes() } else { 0 };
    Va(entry.0 + heap.granule.bytes() + prefix_bytes)
}

fn built_block(heap: &PlacedHeap<'_>, placed: &PlacedEntry) -> Option<BuiltBlock> {
    let block_bytes = placed.granules * heap.granule.bytes();
    let (state, user_bytes, trace) = match placed.content {
        Content::Head | Content::SegmentHead => return None,
        Content::Busy(busy) => (BlockState::Busy, busy.user_bytes, busy.trace),
        Content::Free => (BlockState::Free, 0, Trace::None),
        Content::Container(_) => (BlockState::LfhContainer, block_bytes - heap.granule.bytes(), Trace::None),
        Content::LfhHeap | Content::Zone(_) | Content::Lookaside => {
            (BlockState::Internal, block_bytes - heap.granule.bytes(), Trace::None)
        }
        Content::Sentinel => (BlockState::Sentinel, 0, Trace::None),
    };
    let user = user_of(heap, placed.va, trace);
    Some(BuiltBlock { entry: placed.va, user, user_bytes, block_bytes, state, trace })
}

/// sizeof(_HEAP_VIRTUAL_ALLOC_ENTRY): list entry, extra, commit and reserve size, header.
const fn virtual_head_bytes(width: PointerWidth) -> u64 {
    8 * width.bytes()
}

fn virtual_commit_bytes(plan: &HeapPlan, block: &VirtualBlock) -> u64 {
    let prefix_bytes = if matches!(block.trace, Trace::Pointer(_)) { 4 * plan.width.bytes() } else { 0 };
    (virtual_head_bytes(plan.width) + prefix_bytes + block.user_bytes).next_multiple_of(PAGE_BYTES)
}

/// A block with an allocation of its own. The size in its header is what is unused; the list is chained with the head.
fn put_virtual_block(memory: &mut HeapMemory, heap: &PlacedHeap<'_>, block: &VirtualBlock) -> BuiltBlock {
    let (plan, granule) = (heap.plan, heap.granule);
    let pointer_bytes = plan.width.bytes();
    let commit_bytes = virtual_commit_bytes(plan, block);
    let unused_bytes = commit_bytes - block.user_bytes;
    let entry = Va(block.base.0 + virtual_head_bytes(plan.width) - granule.bytes());
    memory.put_pointer(Va(block.base.0 + 4 * pointer_bytes), Va(commit_bytes));
    memory.put_pointer(Va(block.base.0 + 5 * pointer_bytes), Va(commit_bytes));
    let fields = Entry {
        size: u16::try_from(unused_bytes).unwrap_or(u16::MAX),
        previous_size: 0,
        flags: BUSY | EXTRA_PRESENT | INTERNAL,
        unused_bytes: 4,
    };
    memory.put_entry(heap, entry, fields);
    match block.trace {
        Trace::Index(index) => {
            memory.put_u16(Va(block.base.0 + 2 * pointer_bytes), index);
        }
        Trace::Pointer(_) => {
            let busy = BusyBlock::traced(block.user_bytes, block.trace);
            put_busy_content(memory, heap, entry, commit_bytes, busy);
        }
        Trace::None => {}
    }
    BuiltBlock {
        entry: block.base,
        user: user_of(heap, entry, block.trace),
        user_bytes: block.user_bytes,
        block_bytes: commit_bytes,
        state: BlockState::Virtual,
        trace: block.trace,
    }
}

fn totals(heap: &PlacedHeap<'_>, blocks: &[BuiltBlock]) -> HeapTotals {
    let plan = heap.plan;
    let of_state = |state| blocks.iter().filter(move |block| block.state == state);
    let bytes_of = |state| of_state(state).map(|block| block.block_bytes).sum::<u64>();
    let (own_reserved, own_committed) = match plan.front_end {
        FrontEnd::LfhAt { reserved_pages, .. } => (reserved_pages * PAGE_BYTES, FRONT_END_COMMITTED_BYTES),
        _ => (0, 0),
    };
    let reserved_bytes = heap.segments.iter().map(|segment| segment.page_count() * PAGE_BYTES).sum::<u64>();
    let uncommitted_bytes = heap.segments.iter().map(|segment| segment.uncommitted_bytes()).sum::<u64>();
    let runs = || heap.segments.iter().flat_map(|segment| &segment.runs);
    let is_xp = plan.generation == HeapGeneration::Xp;
    let large_ucr_bytes = if is_xp {
        let largest = heap.segments.iter().map(|s| s.runs.iter().map(|run| run.hole.size_bytes()).max().unwrap_or(0));
        largest.sum()
    } else {
        plan.large_ucr_bytes
    };
    HeapTotals {
        flags: plan.flags,
        reserved_bytes: reserved_bytes + own_reserved,
        committed_bytes: reserved_bytes - uncommitted_bytes + own_committed,
        virtual_bytes: reserved_bytes - large_ucr_bytes,
        free_bytes: bytes_of(BlockState::Free),
        free_list_length: of_state(BlockState::Free).count() as u64,
        // Since Vista each run's end counts, also one without a hole behind it; so it is in a real dump of Windows 7.
        ucr_count: u32::try_from(runs().filter(|run| !is_xp || !run.hole.is_empty()).count()).unwrap_or(u32::MAX),
        virtual_block_count: plan.virtual_blocks.len() as u64,
        virtual_block_bytes: bytes_of(BlockState::Virtual),
        lock_collisions: plan.lock_collisions,
        front_end: plan.front_end,
    }
}
