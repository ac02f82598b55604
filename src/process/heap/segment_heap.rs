//! Segment heaps (Windows 8.1 and later): what they hold in all, their page segments, and as many of their blocks as can be
//! made out for certain.
//!
//! Offsets: listings of ntdll's public symbols by build, x64 and one row for x86. No real dump with one was at hand, so each row
//! must prove itself: the heap's place in the list, totals that can be true, a list of segments that closes. Blocks of the
//! variable-size part are masked with `RtlpHpHeapGlobals.HeapKey`, which up to Windows 11 23H2 each page segment's signature
//! gives away; segments must agree on it. Blocks of the segment heap's own low-fragmentation part are not made out: their
//! pages are counted and named as that.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::bytes;
use crate::base::memory::{self, ReadMemory};
use crate::base::problems::Problems;
use crate::base::progress::{Cancelled, Progress};
use crate::base::word::{self, Word};

use super::block::{Block, BlockKind, BlockSink, Loss, Trace};
use super::extent::HeapPlace;
use super::lists::ListReader;

const PAGE_BYTES: u64 = 0x1000;
const SEGMENT_SIGNATURE_MASK: u64 = 0xa2e6_4ead_a2e6_4ead;
/// Bytes of one range descriptor, and their number in a page segment: x64.
const DESCRIPTOR_BYTES: u64 = 0x20;
const DESCRIPTOR_COUNT: u64 = 256;

/// One row: where the fields of `_SEGMENT_HEAP` lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Layout {
    name: &'static str,
    width: PointerWidth,
    builds: (u32, u32),
    list_index: u64,
    reserved_pages: u64,
    committed_pages: u64,
    free_committed_pages: u64,
    large_tree: u64,
    large_reserved_pages: u64,
    large_committed_pages: u64,
    contexts: Contexts,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Contexts {
    /// The heads of lists of page segments.
    Lists(&'static [u64]),
    /// Two `_HEAP_SEG_CONTEXT`: where the first lies, their distance, and their SegmentListHead.
    Two { at: u64, stride: u64, list: u64 },
}

static LAYOUTS: [Layout; 8] = [
    Layout {
        name: "11",
        width: PointerWidth::Bits64,
        builds: (22000, u32::MAX),
        list_index: 0x1c,
        reserved_pages: 0x80,
        committed_pages: 0x88,
        free_committed_pages: 0x90,
        large_tree: 0x48,
        large_reserved_pages: 0x58,
        large_committed_pages: 0x60,
        contexts: Contexts::Two { at: 0x140, stride: 0xc0, list: 0x48 },
    },
    Layout {
        name: "10 2004 to 22H2",
        width: PointerWidth::Bits64,
        builds: (18362, 21999),
        list_index: 0x1c,
        reserved_pages: 0x80,
        committed_pages: 0x88,
        free_committed_pages: 0x90,
        large_tree: 0x48,
        large_reserved_pages: 0x58,
        large_committed_pages: 0x60,
        contexts: Contexts::Two { at: 0x100, stride: 0xc0, list: 0x48 },
    },
    Layout {
        name: "10 1809",
        width: PointerWidth::Bits64,
        builds: (17763, 18361),
        list_index: 0x74,
        reserved_pages: 0x18,
        committed_pages: 0x20,
        free_committed_pages: 0x28,
        large_tree: 0x88,
        large_reserved_pages: 0x98,
        large_committed_pages: 0xa0,
        contexts: Contexts::Two { at: 0xa8, stride: 0x98, list: 0x20 },
    },
    Layout {
        name: "10 1803",
        width: PointerWidth::Bits64,
        builds: (17134, 17762),
        list_index: 0x3c,
        reserved_pages: 0x18,
        committed_pages: 0x20,
        free_committed_pages: 0x28,
        large_tree: 0x50,
        large_reserved_pages: 0x60,
        large_committed_pages: 0x68,
        contexts: Contexts::Two { at: 0x70, stride: 0x78, list: 0x20 },
    },
    Layout {
        name: "10 1709",
        width: PointerWidth::Bits64,
        builds: (16299, 17133),
        list_index: 0x3c,
        reserved_pages: 0x18,
        committed_pages: 0x20,
        free_committed_pages: 0x28,
        large_tree: 0x50,
        large_reserved_pages: 0x60,
        large_committed_pages: 0x68,
        contexts: Contexts::Two { at: 0x70, stride: 0x68, list: 0x20 },
    },
    Layout {
        name: "10 1507 to 1703",
        width: PointerWidth::Bits64,
        builds: (10240, 16298),
        list_index: 0x24,
        reserved_pages: 0,
        committed_pages: 0x8,
        free_committed_pages: 0x18,
        large_tree: 0x38,
        large_reserved_pages: 0x48,
        large_committed_pages: 0x50,
        contexts: Contexts::Lists(&[0x60]),
    },
    Layout {
        name: "8.1",
        width: PointerWidth::Bits64,
        builds: (9600, 10239),
        list_index: 0x18,
        reserved_pages: 0,
        committed_pages: 0x8,
        free_committed_pages: 0x20,
        large_tree: 0x30,
        large_reserved_pages: 0x40,
        large_committed_pages: 0x48,
        contexts: Contexts::Lists(&[0x78]),
    },
    Layout {
        name: "10 2004 to 22H2, 32-bit",
        width: PointerWidth::Bits32,
        builds: (18362, u32::MAX),
        list_index: 0x14,
        reserved_pages: 0x80,
        committed_pages: 0x84,
        free_committed_pages: 0x88,
        large_tree: 0x44,
        large_reserved_pages: 0x4c,
        large_committed_pages: 0x50,
        contexts: Contexts::Two { at: 0x100, stride: 0x80, list: 0x44 },
    },
];

/// What a segment heap says of itself, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SegmentHeapFigures {
    /// The row of the tables that fits.
    #[serde(deserialize_with = "word::deserialize")]
    pub layout: Word,
    pub global_flags: u32,
    pub list_index: u16,
    pub reserved_bytes: u64,
    pub committed_bytes: u64,
    pub free_committed_bytes: u64,
    pub large_reserved_bytes: u64,
    pub large_committed_bytes: u64,
}

/// Where the memory of a segment heap lies: an address in each allocation.
pub(super) struct SegmentHeapParts {
    pub segments: Vec<Va>,
    pub large_blocks: Vec<Va>,
    pub is_whole: bool,
}

struct Heap<'a> {
    memory: &'a dyn ReadMemory,
    place: HeapPlace,
    layout: &'static Layout,
}

impl<'a> Heap<'a> {
    /// The heap with the row that fits; `None` when none does.
    fn of(memory: &'a dyn ReadMemory, place: HeapPlace) -> Option<Self> {
        let rows = LAYOUTS.iter().filter(|layout| layout.width == place.width);
        let scored = rows.map(|layout| Self { memory, place, layout }).map(|heap| (heap.score(), heap));
        let best = scored.max_by_key(|(score, heap)| (*score, heap.is_of_build()))?;
        // Totals that cannot be true prove another layout.
        (best.0 >= 3).then_some(best.1)
    }

    fn is_of_build(&self) -> bool {
        let (first, last) = self.layout.builds;
        self.place.os_build.is_some_and(|build| (first..=last).contains(&build))
    }

    /// How many of the things that must hold do. 0 where the totals cannot be true.
    fn score(&self) -> u32 {
        let Some(figures) = self.figures() else { return 0 };
        let can_be = figures.committed_bytes > 0
            && figures.committed_bytes <= figures.reserved_bytes
            && figures.free_committed_bytes <= figures.committed_bytes
            && figures.large_committed_bytes <= figures.large_reserved_bytes
            && figures.reserved_bytes < 1 << 47;
        if !can_be {
            return 0;
        }
        let is_listed =
            self.place.position.is_some_and(|position| usize::from(figures.list_index) == position.saturating_add(1));
        let closing = self.contexts().iter().all(|(_, list)| self.closes(*list));
        2_u32.saturating_add(u32::from(is_listed)).saturating_add(u32::from(closing).saturating_mul(2))
    }

    fn at(&self, offset: u64) -> Option<Va> {
        self.place.base.checked_add(offset)
    }

    fn pointer(&self, offset: u64) -> Option<Va> {
        memory::pointer_at(self.memory, self.at(offset)?, self.place.width)
    }

    fn pages(&self, offset: u64) -> Option<u64> {
        self.pointer(offset)?.0.checked_mul(PAGE_BYTES)
    }

    fn figures(&self) -> Option<SegmentHeapFigures> {
        let layout = self.layout;
        let flags_at = layout.width.bytes().checked_mul(2)?.checked_add(4)?;
        Some(SegmentHeapFigures {
            layout: layout.name,
            global_flags: memory::u32_at(self.memory, self.at(flags_at)?)?,
            list_index: memory::u16_at(self.memory, self.at(layout.list_index)?)?,
            reserved_bytes: self.pages(layout.reserved_pages)?,
            committed_bytes: self.pages(layout.committed_pages)?,
            free_committed_bytes: self.pages(layout.free_committed_pages)?,
            large_reserved_bytes: self.pages(layout.large_reserved_pages)?,
            large_committed_bytes: self.pages(layout.large_committed_pages)?,
        })
    }

    /// Each context (the heap itself where there is none), with the head of its list of page segments.
    fn contexts(&self) -> Vec<(Va, Va)> {
        match self.layout.contexts {
            Contexts::Lists(heads) => {
                heads.iter().filter_map(|head| Some((self.place.base, self.at(*head)?))).collect()
            }
            Contexts::Two { at, stride, list } => [0, stride]
                .into_iter()
                .filter_map(|more| {
                    let context = self.at(at.checked_add(more)?)?;
                    Some((context, context.checked_add(list)?))
                })
                .collect(),
        }
    }

    fn closes(&self, head: Va) -> bool {
        let read = || {
            let step = self.place.width.bytes();
            let next = memory::pointer_at(self.memory, head, self.place.width)?;
            let back = memory::pointer_at(self.memory, next.checked_add(step)?, self.place.width)?;
            Some(back == head)
        };
        read().unwrap_or(false)
    }

    /// The nodes of the tree of large blocks. `None` where it cannot be followed to its end.
    fn large_nodes(&self, link_budget: &mut usize) -> Option<Vec<Va>> {
        let step = self.place.width.bytes();
        let tree = self.at(self.layout.large_tree)?;
        let root = self.pointer(self.layout.large_tree)?;
        let least = self.pointer(self.layout.large_tree.checked_add(step)?)?;
        // The lowest bit of the second field says that pointers are combined with the tree's address.
        let mask = if least.0 & 1 == 1 { tree.0 } else { 0 };
        let clear = |va: Va| if va.is_null() { va } else { Va((va.0 ^ mask) & !1) };
        let (mut waiting, mut seen, mut nodes) = (vec![clear(root)], BTreeSet::new(), Vec::new());
        while let Some(node) = waiting.pop() {
            if node.is_null() {
                continue;
            }
            if !seen.insert(node) {
                return None;
            }
            *link_budget = link_budget.checked_sub(1)?;
            nodes.push(node);
            for offset in [0, step] {
                waiting.push(clear(memory::pointer_at(self.memory, node.checked_add(offset)?, self.place.width)?));
            }
        }
        nodes.sort_unstable();
        Some(nodes)
    }

    /// Address, unused bytes and committed size of the large block of a node.
    fn large_block(&self, node: Va) -> Option<(Va, u64, u64)> {
        let step = self.place.width.bytes();
        let address = memory::pointer_at(self.memory, node.checked_add(step.checked_mul(3)?)?, self.place.width)?;
        let sizes = memory::pointer_at(self.memory, node.checked_add(step.checked_mul(4)?)?, self.place.width)?;
        let size_bytes = (sizes.0 >> 12).checked_mul(PAGE_BYTES)?;
        let unused_bytes = address.0 & 0xffff;
        (size_bytes > 0).then_some((Va(address.0 & !0xffff), unused_bytes, size_bytes))
    }
}

pub(super) fn read_extent(
    memory: &dyn ReadMemory,
    place: HeapPlace,
    link_budget: &mut usize,
    problems: &mut Problems,
) -> SegmentHeapParts {
    let mut parts = SegmentHeapParts { segments: Vec::new(), large_blocks: Vec::new(), is_whole: false };
    let where_it_is = format!("segment heap {}", place.base);
    let Some(heap) = Heap::of(memory, place) else {
        problems.missing(where_it_is, "has a layout that is not known; its size is not told");
        return parts;
    };
    let mut list = ListReader { memory, width: place.width, heap: place.base, link_budget, is_whole: true };
    for (_, head) in heap.contexts() {
        parts.segments.extend(list.linked(head, "list of page segments", problems));
    }
    let mut lists_are_whole = list.is_whole;
    for segment in parts.segments.iter().filter(|segment| !is_segment_place(**segment)) {
        lists_are_whole = false;
        let text = format!("its list has a page segment at {segment}, where none can begin; its blocks are left out");
        problems.damage(where_it_is.clone(), text);
    }
    match heap.large_nodes(link_budget) {
        Some(nodes) => {
            parts.large_blocks = nodes.iter().filter_map(|node| heap.large_block(*node)).map(|(va, _, _)| va).collect();
            parts.is_whole = lists_are_whole && parts.large_blocks.len() == nodes.len();
        }
        None => problems.damage(where_it_is, "the tree of its large blocks cannot be followed; they are left out"),
    }
    parts
}

/// What the heap at `place` says of itself; `None` where its layout is not known.
pub fn read_figures(memory: &dyn ReadMemory, place: HeapPlace) -> Option<SegmentHeapFigures> {
    Heap::of(memory, place)?.figures()
}

/// Tells the sink of the blocks that can be made out: large ones, ranges of pages, and the variable-size part where the key
/// is known. Returns whether page segments were read at all: only the layouts of 2004 and later are.
///
/// # Errors
/// Only when cancelled.
pub(super) fn walk_blocks<S: BlockSink>(
    memory: &dyn ReadMemory,
    place: HeapPlace,
    link_budget: &mut usize,
    sink: &mut S,
    progress: &Progress,
) -> Result<bool, Cancelled> {
    let Some(heap) = Heap::of(memory, place) else { return Ok(false) };
    for (va, unused_bytes, size_bytes) in
        heap.large_nodes(link_budget).unwrap_or_default().iter().filter_map(|node| heap.large_block(*node))
    {
        sink.block(&in_use(va, va, size_bytes, size_bytes.checked_sub(unused_bytes), BlockKind::Large));
    }
    let is_read = place.width == PointerWidth::Bits64 && heap.layout.list_index == 0x1c;
    if !is_read {
        return Ok(false);
    }
    let segments = page_segments(&heap, link_budget);
    let key = heap_key(&segments);
    for segment in &segments {
        progress.check()?;
        walk_segment(memory, segment, key, sink);
    }
    Ok(true)
}

const fn in_use(entry: Va, user: Va, size_bytes: u64, user_bytes: Option<u64>, kind: BlockKind) -> Block {
    Block { entry, size_bytes, kind, user: Some(user), user_bytes, trace: Trace::NotKept }
}

/// Page segments begin at multiples of a megabyte. Else they could lie in each other, and memory be walked for each of them.
const fn is_segment_place(base: Va) -> bool {
    base.0.is_multiple_of(1 << 20)
}

struct PageSegment {
    base: Va,
    unit_shift: u8,
    first_descriptor: u64,
    /// What the heap key would be by this segment's signature.
    key: u64,
}

fn page_segments(heap: &Heap<'_>, link_budget: &mut usize) -> Vec<PageSegment> {
    let mut problems = Problems::default();
    let mut list =
        ListReader { memory: heap.memory, width: heap.place.width, heap: heap.place.base, link_budget, is_whole: true };
    let mut segments = Vec::new();
    for (context, head) in heap.contexts() {
        let read = |offset: u64| memory::u8_at(heap.memory, context.checked_add(offset)?);
        let (Some(unit_shift), Some(first)) = (read(0x8), read(0xa)) else { continue };
        if !(12..=20).contains(&unit_shift) {
            continue;
        }
        let bases = list.linked(head, "list of page segments", &mut problems);
        for base in bases.into_iter().filter(|base| is_segment_place(*base)) {
            let Some(signature) = base.checked_add(0x10).and_then(|at| memory::u64_at(heap.memory, at)) else {
                continue;
            };
            segments.push(PageSegment {
                base,
                unit_shift,
                first_descriptor: u64::from(first),
                key: signature ^ base.0 ^ context.0 ^ SEGMENT_SIGNATURE_MASK,
            });
        }
    }
    segments
}

/// The key, where all page segments give the same.
fn heap_key(segments: &[PageSegment]) -> Option<u64> {
    let key = segments.first()?.key;
    segments.iter().all(|segment| segment.key == key).then_some(key)
}

/// RangeFlags of a range's first descriptor.
const RANGE_FREE: u8 = 0x2;
const RANGE_BACKEND: u8 = 0x3;
const RANGE_LFH: u8 = 0xb;
const RANGE_VS: u8 = 0xf;

fn walk_segment<S: BlockSink>(memory: &dyn ReadMemory, segment: &PageSegment, key: Option<u64>, sink: &mut S) {
    let descriptors = memory.bytes_at(segment.base, DESCRIPTOR_BYTES.saturating_mul(DESCRIPTOR_COUNT));
    let mut index = segment.first_descriptor.max(1);
    while index < DESCRIPTOR_COUNT {
        let at = index.saturating_mul(DESCRIPTOR_BYTES);
        let fields = (
            bytes::u32_at(descriptors, at.saturating_add(0x4)),
            bytes::u8_at(descriptors, at.saturating_add(0x18)),
            bytes::u8_at(descriptors, at.saturating_add(0x1f)),
        );
        let (Some(unused_bytes), Some(flags), Some(units)) = fields else { return };
        // A range does not reach out of its segment.
        let units = u64::from(units.max(1)).min(DESCRIPTOR_COUNT.saturating_sub(index));
        let start = Va(segment.base.0.saturating_add(index << segment.unit_shift));
        let range = VaRange::from_size(start, units << segment.unit_shift);
        match flags {
            RANGE_BACKEND => {
                let size_bytes = range.size_bytes();
                let user_bytes = size_bytes.checked_sub(u64::from(unused_bytes));
                sink.block(&in_use(start, start, size_bytes, user_bytes, BlockKind::Busy));
            }
            RANGE_VS => walk_variable_sizes(memory, range, key, sink),
            RANGE_LFH => sink.lost(range, Loss::UnknownContainer),
            RANGE_FREE => {}
            // Anything else is no range's first descriptor: what follows cannot be told apart.
            _ => {
                let end = Va(segment.base.0.saturating_add(DESCRIPTOR_COUNT << segment.unit_shift));
                if let Some(rest) = VaRange::new(start, end).filter(|_| flags != 0) {
                    sink.lost(rest, Loss::BadHeader);
                }
                return;
            }
        }
        index = index.saturating_add(units);
    }
}

/// The chunks of a variable-size subsegment. Each says how large the one before is: a chain that does not hold is not told
/// at all.
fn walk_variable_sizes<S: BlockSink>(memory: &dyn ReadMemory, range: VaRange, key: Option<u64>, sink: &mut S) {
    const FIRST_CHUNK: u64 = 0x30;
    const HEADER_BYTES: u64 = 0x10;
    const SIZE_CHECK: u16 = 0x2bed;
    let part = memory.bytes_at(range.start, range.size_bytes());
    let size = bytes::u16_at(part, 0x20);
    let signature = bytes::u16_at(part, 0x22);
    let is_one =
        size.zip(signature).is_some_and(|(size, signature)| signature & 0x7fff == (size ^ SIZE_CHECK) & 0x7fff);
    let Some(key) = key.filter(|_| is_one) else {
        sink.lost(range, Loss::UnknownContainer);
        return;
    };
    let mut chunks = Vec::new();
    let (mut at, mut previous) = (FIRST_CHUNK, None);
    while at.saturating_add(HEADER_BYTES) <= part.len() as u64 {
        let va = range.start.0.saturating_add(at);
        let (Some(raw), Some(second)) = (bytes::u64_at(part, at), bytes::u64_at(part, at.saturating_add(8))) else {
            break;
        };
        let clear = raw ^ va ^ key;
        let [_, _, size_low, size_high, previous_low, previous_high, allocated, _] = clear.to_le_bytes();
        let granules = u64::from(u16::from_le_bytes([size_low, size_high]));
        let before = u64::from(u16::from_le_bytes([previous_low, previous_high]));
        let end = at.saturating_add(granules.saturating_mul(HEADER_BYTES));
        if granules == 0 || previous.is_some_and(|previous| previous != before) || end > range.size_bytes() {
            sink.lost(range, Loss::UnknownContainer);
            return;
        }
        chunks.push((Va(va), granules.saturating_mul(HEADER_BYTES), allocated != 0, second >> 8 & 1 == 1));
        previous = Some(granules);
        at = end;
    }
    for (va, size_bytes, is_busy, has_unused) in chunks {
        let user = va.checked_add(HEADER_BYTES);
        if !is_busy {
            let free = Block {
                entry: va,
                size_bytes,
                kind: BlockKind::Free,
                user: None,
                user_bytes: None,
                trace: Trace::NotKept,
            };
            sink.block(&free);
            continue;
        }
        let rest =
            has_unused.then(|| memory::u16_at(memory, Va(va.0.saturating_add(size_bytes).saturating_sub(2)))).flatten();
        let unused_bytes = rest.map_or(0, |rest| if rest & 0x8000 != 0 { 1 } else { u64::from(rest & 0x3fff) });
        let user_bytes = size_bytes.checked_sub(HEADER_BYTES).and_then(|bytes| bytes.checked_sub(unused_bytes));
        sink.block(&in_use(va, user.unwrap_or(va), size_bytes, user_bytes, BlockKind::Busy));
    }
}
