//! The memory of one heap: its segments and large blocks, found by the heap's own lists.
//!
//! Offsets of `_HEAP`, `_HEAP_SEGMENT`: public symbols of ntoskrnl and ntdll, Windows XP to 11 23H2. The generation is
//! chosen by where the signature lies, not by the version of Windows.

use std::collections::BTreeSet;

use crate::base::addr::{PointerWidth, Va};
use crate::base::memory::{self, ReadMemory};
use crate::base::problems::Problems;

const NT_HEAP_SEGMENT: u32 = 0xffee_ffee;
const NT_HEAP: u32 = 0xeeff_eeff;
const SEGMENT_HEAP: u32 = 0xddee_ddee;
/// Set in ForceFlags of the stand-in that page heap puts into the heap list.
const PAGE_HEAP: u32 = 0x0100_0000;
/// Segments and large blocks of all heaps of a process together. A 32-bit process has room for 65,536 allocations; more
/// than this come from lists made to lead many heaps through the same links.
pub const LINK_BUDGET: usize = 1 << 20;

/// What kind of heap lies at an address of the heap list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeapKind {
    Nt,
    Segment,
    PageHeap,
    /// The first page is in the dump and is none of these.
    Unrecognised,
    /// The first page is not in the dump.
    NotInDump,
}

/// One heap and where its memory lies. Each address lies in an allocation that belongs to the heap as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeapExtent {
    pub base: Va,
    pub width: PointerWidth,
    pub kind: HeapKind,
    pub flags: Option<u32>,
    /// Segments, the heap itself first.
    pub segments: Vec<Va>,
    /// Blocks with an allocation of their own (`!heap` calls them virtual blocks).
    pub large_blocks: Vec<Va>,
    /// The low-fragmentation heap's own allocation, Windows 8 and later; before, it lies in a segment or a large block.
    pub front_end: Option<Va>,
    /// Whether that is all its memory: every list was followed to its end, and the kind of heap is one that has them.
    pub is_whole: bool,
}

struct Layout {
    /// Of the first signature: at the same place in all generations.
    segment_signature: u64,
    flags: u64,
    signature: u64,
    segment_list: SegmentList,
    large_blocks: u64,
    /// FrontEndHeap and FrontEndHeapType in the layouts of Windows 8 and later, which differ in nothing else that is read
    /// here; and where the front end holds the address of its heap.
    front_ends: &'static [FrontEnd],
}

struct FrontEnd {
    pointer: u64,
    kind: u64,
    back_pointer: u64,
}

#[derive(Clone, Copy)]
enum SegmentList {
    /// Vista and later: a list of `_HEAP_SEGMENT.SegmentListEntry`, which lies at `entry` in each segment.
    Linked { head: u64, entry: u64 },
    /// XP and 2003: an array of 64 pointers.
    Array { at: u64 },
}

const LAYOUTS_32: [Layout; 3] = [
    // 8 and later
    Layout {
        segment_signature: 8,
        flags: 0x40,
        signature: 0x60,
        segment_list: SegmentList::Linked { head: 0xa4, entry: 0x10 },
        large_blocks: 0x9c,
        front_ends: &[
            FrontEnd { pointer: 0xd0, kind: 0xd6, back_pointer: 0xc },
            FrontEnd { pointer: 0xd4, kind: 0xda, back_pointer: 0xc },
            FrontEnd { pointer: 0xe4, kind: 0xea, back_pointer: 0xc },
        ],
    },
    // Vista and 7
    Layout {
        segment_signature: 8,
        flags: 0x40,
        signature: 0x64,
        segment_list: SegmentList::Linked { head: 0xa8, entry: 0x10 },
        large_blocks: 0xa0,
        front_ends: &[],
    },
    // XP and 2003: the only signature is the heap's
    Layout {
        segment_signature: 8,
        flags: 0xc,
        signature: 8,
        segment_list: SegmentList::Array { at: 0x58 },
        large_blocks: 0x50,
        front_ends: &[],
    },
];

const LAYOUTS_64: [Layout; 3] = [
    Layout {
        segment_signature: 0x10,
        flags: 0x70,
        signature: 0x98,
        segment_list: SegmentList::Linked { head: 0x120, entry: 0x18 },
        large_blocks: 0x110,
        front_ends: &[
            FrontEnd { pointer: 0x170, kind: 0x17a, back_pointer: 0x18 },
            FrontEnd { pointer: 0x178, kind: 0x182, back_pointer: 0x18 },
            FrontEnd { pointer: 0x198, kind: 0x1a2, back_pointer: 0x18 },
        ],
    },
    Layout {
        segment_signature: 0x10,
        flags: 0x70,
        signature: 0xa0,
        segment_list: SegmentList::Linked { head: 0x128, entry: 0x18 },
        large_blocks: 0x118,
        front_ends: &[],
    },
    Layout {
        segment_signature: 0x10,
        flags: 0x14,
        signature: 0x10,
        segment_list: SegmentList::Array { at: 0xa0 },
        large_blocks: 0x90,
        front_ends: &[],
    },
];

/// Reads which memory belongs to the heap at `base`. Takes the links that it follows from `link_budget`, which starts as
/// [`LINK_BUDGET`] for a process.
pub fn read_extent(
    memory: &dyn ReadMemory,
    base: Va,
    width: PointerWidth,
    link_budget: &mut usize,
    problems: &mut Problems,
) -> HeapExtent {
    let layouts = match width {
        PointerWidth::Bits32 => &LAYOUTS_32,
        PointerWidth::Bits64 => &LAYOUTS_64,
    };
    let mut extent = HeapExtent {
        base,
        width,
        kind: HeapKind::NotInDump,
        flags: None,
        segments: vec![base],
        large_blocks: Vec::new(),
        front_end: None,
        is_whole: false,
    };
    let u32_at = |offset: u64| memory::u32_at(memory, base.checked_add(offset)?);
    let [first, ..] = layouts;
    let Some(first_signature) = u32_at(first.segment_signature) else { return extent };
    if first_signature == SEGMENT_HEAP {
        extent.kind = HeapKind::Segment;
        return extent;
    }
    let is_generation = |layout: &&Layout| {
        let expected = if matches!(layout.segment_list, SegmentList::Array { .. }) { NT_HEAP } else { NT_HEAP_SEGMENT };
        first_signature == expected && u32_at(layout.signature) == Some(NT_HEAP)
    };
    let Some(layout) = layouts.iter().find(is_generation) else {
        extent.kind = HeapKind::Unrecognised;
        return extent;
    };
    extent.flags = u32_at(layout.flags);
    let force_flags = layout.flags.checked_add(4).and_then(u32_at);
    if force_flags.is_some_and(|flags| flags & PAGE_HEAP != 0) {
        extent.kind = HeapKind::PageHeap;
        return extent;
    }
    extent.kind = HeapKind::Nt;
    let mut list = ListReader { memory, width, heap: base, link_budget, is_whole: true };
    extent.segments = match layout.segment_list {
        SegmentList::Linked { head, entry } => list
            .linked(head, "segment list", problems)
            .into_iter()
            .filter_map(|link| link.0.checked_sub(entry).map(Va))
            .collect(),
        SegmentList::Array { at } => list.array(at),
    };
    if !extent.segments.contains(&base) {
        extent.segments.insert(0, base);
    }
    extent.large_blocks = list.linked(layout.large_blocks, "list of large blocks", problems);
    extent.is_whole = list.is_whole;
    match read_front_end(memory, base, width, layout.front_ends) {
        FrontEndPlace::None => {}
        FrontEndPlace::At(va) => extent.front_end = Some(va),
        FrontEndPlace::NotProved => extent.is_whole = false,
    }
    extent
}

enum FrontEndPlace {
    None,
    At(Va),
    /// The heap has one, and where it lies is not proved.
    NotProved,
}

/// Situation: from Windows 8 on the low-fragmentation heap has an allocation of its own, outside of the segments. Where
/// known from: public symbols of ntdll, `_HEAP.FrontEndHeap` in three places by build and `_LFH_HEAP.Heap` on Windows 10
/// and 11. Handled: the place whose type says LFH and whose target points back at the heap is taken; a type without that
/// proof makes the heap's extent incomplete, so that no total is given. Test: `tests/it/hostile_heaps.rs`.
fn read_front_end(memory: &dyn ReadMemory, base: Va, width: PointerWidth, places: &[FrontEnd]) -> FrontEndPlace {
    const LOW_FRAGMENTATION: u8 = 2;
    let mut is_seen = false;
    for place in places {
        let read = || {
            let kind = memory::u8_at(memory, base.checked_add(place.kind)?)?;
            let pointer = memory::pointer_at(memory, base.checked_add(place.pointer)?, width)?;
            (kind == LOW_FRAGMENTATION && !pointer.is_null()).then_some(pointer)
        };
        let Some(pointer) = read() else { continue };
        is_seen = true;
        let back = pointer.checked_add(place.back_pointer).and_then(|at| memory::pointer_at(memory, at, width));
        if back == Some(base) {
            return FrontEndPlace::At(pointer);
        }
    }
    if is_seen { FrontEndPlace::NotProved } else { FrontEndPlace::None }
}

struct ListReader<'a> {
    memory: &'a dyn ReadMemory,
    width: PointerWidth,
    heap: Va,
    link_budget: &'a mut usize,
    is_whole: bool,
}

impl ListReader<'_> {
    /// Addresses of the links of a LIST_ENTRY list, in order; what a broken list still gives, with a problem record.
    fn linked(&mut self, head_offset: u64, name: &str, problems: &mut Problems) -> Vec<Va> {
        let place = format!("heap {}", self.heap);
        let mut links = Vec::new();
        let mut seen = BTreeSet::new();
        let Some(head) = self.heap.checked_add(head_offset) else { return links };
        let mut at = head;
        loop {
            let Some(next) = memory::pointer_at(self.memory, at, self.width) else {
                self.is_whole = false;
                problems.missing(place, format!("the {name} goes on at {at}, which is not in the dump"));
                return links;
            };
            if next == head {
                return links;
            }
            if !seen.insert(next) {
                self.is_whole = false;
                problems.damage(place, format!("the {name} does not end: it comes back to {next}"));
                return links;
            }
            let Some(budget) = self.link_budget.checked_sub(1) else {
                self.is_whole = false;
                problems
                    .damage(place, format!("the {name} goes on at {next} after too many links; the rest is left out"));
                return links;
            };
            *self.link_budget = budget;
            links.push(next);
            at = next;
        }
    }

    fn array(&self, offset: u64) -> Vec<Va> {
        (0..64_u64)
            .filter_map(|index| {
                let at = self.heap.checked_add(offset)?.checked_add(index.checked_mul(self.width.bytes())?)?;
                memory::pointer_at(self.memory, at, self.width)
            })
            .filter(|segment| !segment.is_null())
            .collect()
    }
}
