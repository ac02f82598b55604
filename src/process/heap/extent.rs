//! The memory of one heap: its segments and large blocks, found by the heap's own lists.

use serde::{Deserialize, Serialize};

use crate::base::addr::{PointerWidth, Va};
use crate::base::memory::{self, ReadMemory};
use crate::base::problems::Problems;

use super::head::{FrontEnd, HeadFound, HeapHead, HeapKind, read_head};
use super::layouts::{HeapGeneration, HeapLayout, segment_layout};
use super::lists::ListReader;
use super::{page_heap, segment_heap};

/// Where a heap is listed, and what is known of the Windows it is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeapPlace {
    pub base: Va,
    pub width: PointerWidth,
    /// In the PEB's list, from 0; `None` for a heap that is in no list, such as the one behind a page heap.
    pub position: Option<usize>,
    pub os_build: Option<u32>,
    /// What ntdll's own PDB says of `_HEAP`.
    pub pdb_layout: Option<HeapLayout>,
}

/// One heap and where its memory lies. Each address lies in an allocation that belongs to the heap as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeapExtent {
    pub base: Va,
    pub width: PointerWidth,
    /// In the PEB's list, from 0.
    pub position: Option<usize>,
    pub kind: HeapKind,
    pub flags: Option<u32>,
    /// Of an NT heap.
    pub head: Option<Box<HeapHead>>,
    /// Segments, the heap itself first.
    pub segments: Vec<Va>,
    /// Blocks with an allocation of their own (`!heap` calls them virtual blocks).
    pub large_blocks: Vec<Va>,
    /// The low-fragmentation heap's own allocation, Windows 8 and later; before, it lies in a segment or a large block.
    pub front_end: Option<Va>,
    /// Of a page heap: the heap that serves what page heap does not.
    pub normal_heap: Option<Va>,
    /// Whether that is all its memory: every list was followed to its end, and the kind of heap is one that has them.
    pub is_whole: bool,
}

/// Reads which memory belongs to a heap. Takes the links that it follows from `link_budget`, which starts as
/// [`super::lists::LINK_BUDGET`] for a process.
pub fn read_extent(
    memory: &dyn ReadMemory,
    place: HeapPlace,
    link_budget: &mut usize,
    problems: &mut Problems,
) -> HeapExtent {
    let HeapPlace { base, width, position, .. } = place;
    let mut extent = HeapExtent {
        base,
        width,
        position,
        kind: HeapKind::NotInDump,
        flags: None,
        head: None,
        segments: vec![base],
        large_blocks: Vec::new(),
        front_end: None,
        normal_heap: None,
        is_whole: false,
    };
    match read_head(memory, place) {
        HeadFound::NotInDump => {}
        HeadFound::Unrecognised => extent.kind = HeapKind::Unrecognised,
        HeadFound::Segment => {
            extent.kind = HeapKind::Segment;
            let parts = segment_heap::read_extent(memory, place, link_budget, problems);
            extent.segments.extend(parts.segments);
            extent.large_blocks = parts.large_blocks;
            extent.is_whole = parts.is_whole;
        }
        HeadFound::PageHeap { flags } => {
            extent.kind = HeapKind::PageHeap;
            extent.flags = Some(flags);
            let parts = page_heap::read_extent(memory, place, link_budget, problems);
            extent.large_blocks = parts.allocations;
            extent.normal_heap = parts.normal_heap;
            extent.is_whole = parts.is_whole;
        }
        HeadFound::Nt(head) => {
            extent.kind = HeapKind::Nt;
            extent.flags = Some(head.flags);
            read_nt_lists(memory, &head, &mut extent, link_budget, problems);
            extent.head = Some(head);
        }
    }
    extent
}

fn read_nt_lists(
    memory: &dyn ReadMemory,
    head: &HeapHead,
    extent: &mut HeapExtent,
    link_budget: &mut usize,
    problems: &mut Problems,
) {
    let mut list = ListReader { memory, width: head.width(), heap: head.base, link_budget, is_whole: true };
    let at = |offset: u64| head.base.checked_add(offset);
    extent.segments = match segment_layout(head.layout.generation, head.width()).list_entry {
        Some(entry) => {
            let links = at(head.layout.segment_list).map(|at| list.linked(at, "segment list", problems));
            links.unwrap_or_default().into_iter().filter_map(|link| link.0.checked_sub(entry).map(Va)).collect()
        }
        None => segment_array(memory, head),
    };
    // In XP the first segment lies behind the head; the others, and all of later Windows, begin as the heap does.
    let has_own = head.layout.generation == HeapGeneration::Xp && !extent.segments.is_empty();
    if !has_own && !extent.segments.contains(&head.base) {
        extent.segments.insert(0, head.base);
    }
    if let Some(at) = at(head.layout.virtual_allocd_blocks) {
        extent.large_blocks = list.linked(at, "list of large blocks", problems);
    }
    extent.is_whole = list.is_whole;
    // Situation: from Windows 8 on the low-fragmentation heap has an allocation of its own, outside of the segments. Where
    // known from: public symbols of ntdll, `_HEAP.FrontEndHeap` in three places by build and `_LFH_HEAP.Heap` on Windows
    // 10 and 11. Handled: one that does not point back at its heap makes the extent incomplete, so that no total is given.
    // Test: `a_front_end_that_does_not_point_back_leaves_the_total_unknown`.
    let has_allocation = !matches!(head.layout.generation, HeapGeneration::Xp | HeapGeneration::Seven);
    if has_allocation && head.front_end == FrontEnd::LowFragmentation {
        if head.is_front_end_proved == Some(true) {
            extent.front_end = head.front_end_at;
        } else {
            extent.is_whole = false;
        }
    }
}

fn segment_array(memory: &dyn ReadMemory, head: &HeapHead) -> Vec<Va> {
    (0..64_u64)
        .filter_map(|index| {
            let offset = head.layout.segment_list.checked_add(index.checked_mul(head.width().bytes())?)?;
            memory::pointer_at(memory, head.base.checked_add(offset)?, head.width())
        })
        .filter(|segment| !segment.is_null())
        .collect()
}
