//! The head of a heap: which kind it is, which layout it has and why, and its own fields.
//!
//! The layout is chosen by what must hold of a heap, not by the version of Windows: signatures, the heap's own address in
//! its fields, lists that close, counters that agree with the segments. The build only decides between layouts that fit
//! equally well.

use serde::{Deserialize, Serialize};

use crate::base::addr::{PointerWidth, Va};
use crate::base::memory::{self, ReadMemory};
use crate::base::word::{self, Word};

use super::extent::HeapPlace;
use super::layouts::{
    CountersLayout, HeapGeneration, HeapLayout, LayoutProof, ModernFields, counters_layout, generation_of_build,
    layouts, lfh_layout, segment_layout,
};

const NT_HEAP_SEGMENT: u32 = 0xffee_ffee;
const NT_HEAP: u32 = 0xeeff_eeff;
const SEGMENT_HEAP: u32 = 0xddee_ddee;
/// Set in ForceFlags of the stand-in that page heap puts into the heap list.
const PAGE_HEAP: u32 = 0x0100_0000;
/// What the stand-in's page is filled with but for Flags and ForceFlags.
const PAGE_HEAP_FILL: u32 = 0xeeee_eeee;
/// HEAP_NO_SERIALIZE: the heap has no lock.
const NO_SERIALIZE: u32 = 1;
/// In `_HEAP.Flags` while blocks carry the stack that allocated them. Seen with +ust on Windows 7 and 10.
const CAPTURE_STACK_BACKTRACES: u32 = 0x0800_0000;
const PAGE_BYTES: u64 = 0x1000;

/// What kind of heap lies at an address of the heap list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum HeapKind {
    Nt,
    Segment,
    PageHeap,
    /// The first page is in the dump and is none of these.
    Unrecognised,
    /// The first page is not in the dump.
    NotInDump,
}

/// What serves small blocks in front of the heap's own lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FrontEnd {
    None,
    /// XP and 2003.
    Lookaside,
    LowFragmentation,
}

/// The counters that Vista and later keep in a heap, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HeapCounters {
    pub reserved_bytes: u64,
    pub committed_bytes: u64,
    pub large_ucr_bytes: u64,
    pub virtual_block_bytes: u64,
    pub segment_count: u32,
    pub ucr_count: u32,
    pub lock_collisions: u32,
}

/// How headers of blocks are masked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Encoding {
    /// EncodeFlagMask: 0 where headers are in clear.
    pub flag_mask: u32,
    /// The 8 bytes of a header that headers are combined with.
    pub key: u64,
}

/// The fields of an NT heap.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeapHead {
    pub base: Va,
    pub layout: HeapLayout,
    pub flags: u32,
    pub force_flags: u32,
    /// `None` before Vista.
    pub encoding: Option<Encoding>,
    pub free_bytes: u64,
    /// ProcessHeapsListIndex: from 1.
    pub list_index: u16,
    pub front_end: FrontEnd,
    /// FrontEndHeap, where the heap has one.
    pub front_end_at: Option<Va>,
    /// Whether what `front_end_at` points at points back at the heap; `None` where that cannot be asked.
    pub is_front_end_proved: Option<bool>,
    /// `None` before Vista, and where they cannot be true.
    pub counters: Option<HeapCounters>,
    /// What speaks for the layout.
    #[serde(deserialize_with = "word::deserialize_list")]
    pub evidence: Vec<Word>,
}

impl HeapHead {
    pub const fn width(&self) -> PointerWidth {
        self.layout.width
    }

    /// Whether blocks may carry the stack that allocated them.
    pub const fn captures_stacks(&self) -> bool {
        self.flags & CAPTURE_STACK_BACKTRACES != 0
    }

    /// Whether the heap has a lock that threads can wait for.
    pub const fn has_lock(&self) -> bool {
        self.flags & NO_SERIALIZE == 0
    }
}

/// A heap as far as its first page tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HeadFound {
    Nt(Box<HeapHead>),
    Segment,
    /// The stand-in of page heap, with its flags.
    PageHeap {
        flags: u32,
    },
    Unrecognised,
    NotInDump,
}

/// Reads the head of a heap.
pub fn read_head(memory: &dyn ReadMemory, place: HeapPlace) -> HeadFound {
    let HeapPlace { base, width, position, os_build, pdb_layout } = place;
    let fields = Fields { memory, base, width };
    let [newest, ..] = layouts(width);
    let Some(first_signature) = fields.u32(newest.first_signature) else { return HeadFound::NotInDump };
    if first_signature == SEGMENT_HEAP {
        return HeadFound::Segment;
    }
    if let Some(flags) = fields.page_heap_flags() {
        return HeadFound::PageHeap { flags };
    }
    let rows = pdb_layout.iter().chain(layouts(width));
    let fitting: Vec<Fit> = rows.filter_map(|layout| fields.fit(*layout, first_signature, position)).collect();
    let likely = os_build.map(generation_of_build);
    // Of equal fits what ntdll's PDB says, then that of the dump's Windows, then the newest: rows go from new to old.
    let best = fitting.iter().enumerate().max_by_key(|(at, fit)| {
        let is_from_pdb = fit.layout.proof == LayoutProof::Pdb;
        (fit.evidence.len(), is_from_pdb, likely == Some(fit.layout.generation), std::cmp::Reverse(*at))
    });
    let Some((_, fit)) = best else { return HeadFound::Unrecognised };
    let flags = fields.u32(fit.layout.flags).unwrap_or_default();
    let force_flags = fields.u32(fit.layout.force_flags).unwrap_or_default();
    if force_flags & PAGE_HEAP != 0 {
        return HeadFound::PageHeap { flags };
    }
    HeadFound::Nt(Box::new(fields.head(fit, flags, force_flags)))
}

struct Fields<'a> {
    memory: &'a dyn ReadMemory,
    base: Va,
    width: PointerWidth,
}

struct Fit {
    layout: HeapLayout,
    evidence: Vec<&'static str>,
}

impl Fields<'_> {
    fn at(&self, offset: u64) -> Option<Va> {
        self.base.checked_add(offset)
    }

    fn u8(&self, offset: u64) -> Option<u8> {
        memory::u8_at(self.memory, self.at(offset)?)
    }

    fn u16(&self, offset: u64) -> Option<u16> {
        memory::u16_at(self.memory, self.at(offset)?)
    }

    fn u32(&self, offset: u64) -> Option<u32> {
        memory::u32_at(self.memory, self.at(offset)?)
    }

    fn pointer(&self, offset: u64) -> Option<Va> {
        memory::pointer_at(self.memory, self.at(offset)?, self.width)
    }

    /// Flags of a stand-in of page heap.
    ///
    /// Situation: with page heap the list has the address of a page that is a heap in name only; debuggers show its fields as
    /// eeeeeeee but for Flags and ForceFlags, which both say page heap. Known from published debugger sessions; no dump with
    /// one was at hand. Handled: the fill must stand where the signature would, and both flags have the bit, which the fill
    /// has not. A stand-in that has a heap's signatures is known by ForceFlags alone. Test:
    /// `blocks_of_a_page_heap_are_those_that_were_built`.
    fn page_heap_flags(&self) -> Option<u32> {
        layouts(self.width).iter().find_map(|layout| {
            let [signature, flags, force_flags] =
                [layout.first_signature, layout.flags, layout.force_flags].map(|at| self.u32(at));
            let is_one = signature == Some(PAGE_HEAP_FILL) && flags? & force_flags? & PAGE_HEAP != 0;
            flags.filter(|_| is_one)
        })
    }

    /// Whether a heap of this layout can lie here, and what says so. Signatures must hold; the rest is counted.
    fn fit(&self, layout: HeapLayout, first_signature: u32, position: Option<usize>) -> Option<Fit> {
        let expected = if layout.modern.is_some() { NT_HEAP_SEGMENT } else { NT_HEAP };
        (first_signature == expected && self.u32(layout.signature)? == NT_HEAP).then_some(())?;
        let mut evidence = vec!["signatures"];
        let mut check = |holds: bool, what| {
            if holds {
                evidence.push(what);
            }
        };
        let segment = segment_layout(layout.generation, self.width);
        if layout.modern.is_some() {
            let own = [self.pointer(segment.heap), self.pointer(segment.base_address)];
            check(own == [Some(self.base); 2], "the heap's own address");
        }
        let list_index = self.u16(layout.process_heaps_list_index).map(usize::from);
        check(position.is_some_and(|position| list_index == position.checked_add(1)), "its place in the list of heaps");
        check(self.closes(layout.virtual_allocd_blocks), "the list of large blocks closes");
        check(self.closes(layout.free_lists), "the list of free blocks closes");
        if let Some(modern) = &layout.modern {
            check(self.closes(layout.segment_list), "the list of segments closes");
            check(self.closes(modern.ucr_list), "the list of uncommitted ranges closes");
            check(self.counters(modern).is_some(), "the counters can be true");
        }
        check(self.front_end(&layout).is_some_and(|(_, _, proved)| proved != Some(false)), "the kind of front end");
        Some(Fit { layout, evidence })
    }

    /// Whether a list's head and its first and last element point at each other.
    fn closes(&self, head_offset: u64) -> bool {
        let read = || {
            let head = self.at(head_offset)?;
            let step = self.width.bytes();
            let next = memory::pointer_at(self.memory, head, self.width)?;
            let last = memory::pointer_at(self.memory, head.checked_add(step)?, self.width)?;
            let back = memory::pointer_at(self.memory, next.checked_add(step)?, self.width)?;
            let forth = memory::pointer_at(self.memory, last, self.width)?;
            Some(back == head && forth == head)
        };
        read().unwrap_or(false)
    }

    /// The counters, where they agree with what the heap's first segment says.
    fn counters(&self, modern: &ModernFields) -> Option<HeapCounters> {
        let CountersLayout {
            total_memory_reserved,
            total_memory_committed,
            total_memory_large_ucr,
            total_size_in_virtual_blocks,
            total_segments,
            total_ucrs,
            lock_collisions,
        } = counters_layout(self.width);
        let at = |offset: u64| modern.counters.checked_add(offset);
        let size = |offset: u64| self.pointer(at(offset)?).map(|va| va.0);
        let count = |offset: u64| self.u32(at(offset)?);
        let counters = HeapCounters {
            reserved_bytes: size(total_memory_reserved)?,
            committed_bytes: size(total_memory_committed)?,
            large_ucr_bytes: size(total_memory_large_ucr)?,
            virtual_block_bytes: size(total_size_in_virtual_blocks)?,
            segment_count: count(total_segments)?,
            ucr_count: count(total_ucrs)?,
            lock_collisions: count(lock_collisions)?,
        };
        let segment = segment_layout(HeapGeneration::Seven, self.width);
        let first_segment_bytes = u64::from(self.u32(segment.number_of_pages)?).checked_mul(PAGE_BYTES)?;
        let are_pages = [counters.reserved_bytes, counters.committed_bytes, counters.large_ucr_bytes]
            .iter()
            .all(|bytes| bytes.is_multiple_of(PAGE_BYTES));
        let can_be = are_pages
            && counters.segment_count > 0
            && counters.committed_bytes > 0
            && counters.committed_bytes <= counters.reserved_bytes
            && counters.large_ucr_bytes <= counters.reserved_bytes
            && first_segment_bytes <= counters.reserved_bytes;
        can_be.then_some(counters)
    }

    /// The kind of front end, its address, and whether it points back at the heap. `None` where type and pointer contradict
    /// each other.
    fn front_end(&self, layout: &HeapLayout) -> Option<(FrontEnd, Option<Va>, Option<bool>)> {
        let pointer = self.pointer(layout.front_end_heap)?;
        match (self.u8(layout.front_end_heap_type)?, pointer.is_null()) {
            (0, true) => Some((FrontEnd::None, None, None)),
            (1, false) if layout.modern.is_none() => Some((FrontEnd::Lookaside, Some(pointer), None)),
            (2, false) => {
                let back_pointer = lfh_layout(layout.generation, self.width).and_then(|lfh| lfh.back_pointer);
                let back = back_pointer
                    .and_then(|offset| memory::pointer_at(self.memory, pointer.checked_add(offset)?, self.width));
                Some((FrontEnd::LowFragmentation, Some(pointer), back.map(|back| back == self.base)))
            }
            _ => None,
        }
    }

    fn head(&self, fit: &Fit, flags: u32, force_flags: u32) -> HeapHead {
        let layout = fit.layout;
        let encoding = layout.modern.as_ref().and_then(|modern| {
            let key_at = self.at(modern.encoding.checked_add(layout.header_offset())?)?;
            Some(Encoding { flag_mask: self.u32(modern.encode_flag_mask)?, key: memory::u64_at(self.memory, key_at)? })
        });
        let (front_end, front_end_at, is_front_end_proved) =
            self.front_end(&layout).unwrap_or((FrontEnd::None, None, None));
        HeapHead {
            base: self.base,
            layout,
            flags,
            force_flags,
            encoding,
            free_bytes: self
                .pointer(layout.total_free_size)
                .map_or(0, |granules| granules.0.saturating_mul(layout.granule_bytes())),
            list_index: self.u16(layout.process_heaps_list_index).unwrap_or_default(),
            front_end,
            front_end_at,
            is_front_end_proved,
            counters: layout.modern.as_ref().and_then(|modern| self.counters(modern)),
            evidence: fit.evidence.clone(),
        }
    }
}
