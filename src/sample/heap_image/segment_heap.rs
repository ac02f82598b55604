//! A segment heap of Windows 10 (2004 to 22H2) x64: its head with the totals, large blocks in their tree, and page segments
//! with the descriptors of their ranges. What is inside of the ranges is left empty; [`variable_sizes`] makes the content of
//! one.
//!
//! Offsets: lists of `_SEGMENT_HEAP`, `_HEAP_SEG_CONTEXT`, `_HEAP_PAGE_SEGMENT` and `_HEAP_LARGE_ALLOC_DATA` of ntdll.

use crate::base::addr::Va;
use crate::sample::address_space::{AddressSpace, AllocationKind, Run, winnt::PAGE_READWRITE};
use crate::sample::le_bytes::LeBytes;

const PAGE_BYTES: u64 = 0x1000;
const HEAD_BYTES: usize = 0x7c0;
const SIGNATURE: u32 = 0xddee_ddee;
/// A page segment is 1 MB at an address that is a multiple of it; its first two pages hold its descriptors.
const SEGMENT_BYTES: u64 = 0x10_0000;
const DESCRIPTOR_BYTES: u64 = 0x20;
pub const FIRST_DESCRIPTOR: u64 = 2;
const SEGMENT_SIGNATURE: u64 = 0xa2e6_4ead_a2e6_4ead;
const CONTEXT: u64 = 0x100;
const CONTEXT_LIST: u64 = 0x48;

/// What a range of pages in a segment is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RangeUse {
    Free,
    /// One block of the back end.
    Block,
    LowFragmentation,
    VariableSize,
}

/// Pages in a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageRange {
    pub page_count: u64,
    pub usage: RangeUse,
    /// Of a block: bytes at its end that are not the user's.
    pub unused_bytes: u32,
}

/// A block with an allocation of its own, at a multiple of 64 KiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LargeBlock {
    pub base: Va,
    pub user_bytes: u64,
}

/// A chunk of a variable-size range: header, user bytes, and what is left of the last granule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk {
    pub user_bytes: u64,
    pub is_busy: bool,
}

impl Chunk {
    /// With the header of 16 bytes.
    pub const fn size_bytes(self) -> u64 {
        0x10 + self.user_bytes.next_multiple_of(0x10)
    }
}

/// The bytes of a variable-size range of `page_count` pages at `start`, and where each chunk lies. What the chunks leave is a
/// free one.
pub fn variable_sizes(start: Va, page_count: u64, heap_key: u64, chunks: &[Chunk]) -> (Vec<u8>, Vec<(Va, Chunk)>) {
    const FIRST_CHUNK: u64 = 0x30;
    let end = page_count * PAGE_BYTES;
    let used = FIRST_CHUNK + chunks.iter().map(|chunk| chunk.size_bytes()).sum::<u64>();
    let rest = end.checked_sub(used + 0x10).map(|user_bytes| Chunk { user_bytes, is_busy: false });
    let mut bytes = LeBytes::zeroed(usize::try_from(end).unwrap_or_default());
    let size = u16::try_from(end / 0x10).unwrap_or_default();
    bytes.put_u16(0x20, size).put_u16(0x22, (size ^ 0x2bed) & 0x7fff);
    let (mut at, mut previous, mut placed) = (FIRST_CHUNK, 0, Vec::new());
    for chunk in chunks.iter().copied().chain(rest) {
        let va = Va(start.0 + at);
        let granules = chunk.size_bytes() / 0x10;
        let clear = granules << 16 | previous << 32 | u64::from(chunk.is_busy) << 48;
        let offset = usize::try_from(at).unwrap_or_default();
        bytes.put_u64(offset, clear ^ va.0 ^ heap_key);
        let unused_bytes = chunk.size_bytes() - 0x10 - chunk.user_bytes;
        if chunk.is_busy && unused_bytes > 0 {
            let last = offset + usize::try_from(chunk.size_bytes()).unwrap_or_default() - 2;
            let count = u16::try_from(unused_bytes).unwrap_or_default();
            bytes.put_u64(offset + 8, 0x100);
            // A single byte has only room for the flag that says so.
            if unused_bytes == 1 {
                bytes.put_u8(last + 1, 0x80);
            } else {
                bytes.put_u16(last, count);
            }
        }
        placed.push((va, chunk));
        previous = granules;
        at += chunk.size_bytes();
    }
    (bytes.into_vec(), placed)
}

/// A segment heap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentHeapPlan {
    pub base: Va,
    /// Its place in the array of the PEB, counted from 1.
    pub list_index: u16,
    pub global_flags: u32,
    /// `ntdll!RtlpHpHeapGlobals.HeapKey`.
    pub heap_key: u64,
    pub large_blocks: Vec<LargeBlock>,
    /// Base and ranges, which take the segment from its third page on.
    pub segments: Vec<(Va, Vec<PageRange>)>,
}

/// A segment heap as bytes, with its totals.
#[derive(Clone, Debug)]
pub struct SegmentHeapImage {
    /// Of page segments, without large blocks.
    pub reserved_bytes: u64,
    pub committed_bytes: u64,
    pub free_committed_bytes: u64,
    pub large_reserved_bytes: u64,
    pub large_committed_bytes: u64,
    pub regions: Vec<(Va, AllocationKind, Vec<Run>)>,
    pub writes: Vec<(Va, Vec<u8>)>,
}

impl SegmentHeapImage {
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

impl SegmentHeapPlan {
    /// Bytes, regions and truth.
    pub fn build(&self) -> SegmentHeapImage {
        let committed_pages_of =
            |ranges: &[PageRange]| FIRST_DESCRIPTOR + ranges.iter().map(|r| r.page_count).sum::<u64>();
        let committed_bytes =
            self.segments.iter().map(|(_, ranges)| committed_pages_of(ranges) * PAGE_BYTES).sum::<u64>();
        let free_pages = self.segments.iter().flat_map(|(_, ranges)| ranges).filter(|r| r.usage == RangeUse::Free);
        let large_bytes = self.large_blocks.iter().map(|block| large_pages(block) * PAGE_BYTES).sum();
        let mut image = SegmentHeapImage {
            reserved_bytes: self.segments.len() as u64 * SEGMENT_BYTES,
            committed_bytes,
            free_committed_bytes: free_pages.map(|range| range.page_count * PAGE_BYTES).sum(),
            large_reserved_bytes: large_bytes,
            large_committed_bytes: large_bytes,
            regions: vec![(
                self.base,
                AllocationKind::PRIVATE,
                vec![Run::committed(2 * PAGE_BYTES, PAGE_READWRITE), Run::reserved(14 * PAGE_BYTES)],
            )],
            writes: Vec::new(),
        };
        let mut page = LeBytes::zeroed(2 * PAGE_BYTES as usize);
        self.put_head(&mut page, &image);
        self.put_large_blocks(&mut page);
        image.writes.push((self.base, page.into_vec()));
        for block in &self.large_blocks {
            let run = Run::committed(large_pages(block) * PAGE_BYTES, PAGE_READWRITE);
            image.regions.push((block.base, AllocationKind::PRIVATE, vec![run]));
        }
        for (number, (segment, ranges)) in self.segments.iter().enumerate() {
            let committed = committed_pages_of(ranges) * PAGE_BYTES;
            let runs =
                vec![Run::committed(committed, PAGE_READWRITE), Run::reserved(SEGMENT_BYTES.saturating_sub(committed))];
            image.regions.push((*segment, AllocationKind::PRIVATE, runs));
            image.writes.push((*segment, self.segment_head(number, *segment, ranges)));
        }
        image
    }

    fn put_head(&self, page: &mut LeBytes, image: &SegmentHeapImage) {
        page.put_u32(0x10, SIGNATURE).put_u32(0x14, self.global_flags).put_u16(0x1c, self.list_index);
        page.put_u64(0x58, image.large_reserved_bytes / PAGE_BYTES)
            .put_u64(0x60, image.large_committed_bytes / PAGE_BYTES);
        page.put_u64(0x80, image.reserved_bytes / PAGE_BYTES).put_u64(0x88, image.committed_bytes / PAGE_BYTES);
        page.put_u64(0x90, image.free_committed_bytes / PAGE_BYTES);
        for (number, value) in [HEAD_BYTES as u64, PAGE_BYTES * 2, PAGE_BYTES * 16].into_iter().enumerate() {
            page.put_va(0xe8 + number * 8, Va(self.base.0 + value));
        }
        // The first context has pages as units, the second 64 KiB and no segments here.
        for (context, unit_shift) in [(CONTEXT as usize, 12_u8), (CONTEXT as usize + 0xc0, 16)] {
            let list = context + CONTEXT_LIST as usize;
            page.put_u8(context + 8, unit_shift).put_u8(context + 9, unit_shift - 12);
            page.put_u8(context + 0xa, FIRST_DESCRIPTOR as u8).put_va(context + 0x38, self.base);
            page.put_u64(context, !(SEGMENT_BYTES - 1));
            page.put_list_entry(list, Va(self.base.0 + list as u64), Va(self.base.0 + list as u64));
        }
        if let (Some((first, _)), Some((last, _))) = (self.segments.first(), self.segments.last()) {
            page.put_list_entry((CONTEXT + CONTEXT_LIST) as usize, *first, *last);
            page.put_u64(CONTEXT as usize + 0x58, self.segments.len() as u64);
        }
    }

    /// A tree that leans to the right; the nodes lie on the second page of the heap.
    fn put_large_blocks(&self, page: &mut LeBytes) {
        let node = |number: usize| Va(self.base.0 + PAGE_BYTES + number as u64 * 0x40);
        if !self.large_blocks.is_empty() {
            page.put_va(0x48, node(0));
        }
        for (number, block) in self.large_blocks.iter().enumerate() {
            let at = PAGE_BYTES as usize + number * 0x40;
            if number + 1 < self.large_blocks.len() {
                page.put_va(at + 8, node(number + 1));
            }
            let parent = number.checked_sub(1).map_or(Va(0), node);
            let unused_bytes = large_pages(block) * PAGE_BYTES - block.user_bytes;
            page.put_va(at + 0x10, parent).put_u64(at + 0x18, block.base.0 | unused_bytes);
            page.put_u64(at + 0x20, large_pages(block) << 12);
        }
    }

    fn segment_head(&self, number: usize, segment: Va, ranges: &[PageRange]) -> Vec<u8> {
        let list = Va(self.base.0 + CONTEXT + CONTEXT_LIST);
        let neighbour = |at: Option<usize>| at.and_then(|at| self.segments.get(at)).map_or(list, |(base, _)| *base);
        let mut head = LeBytes::zeroed(FIRST_DESCRIPTOR as usize * PAGE_BYTES as usize);
        head.put_list_entry(0, neighbour(number.checked_add(1)), neighbour(number.checked_sub(1)));
        let context = self.base.0 + CONTEXT;
        head.put_u64(0x10, segment.0 ^ context ^ self.heap_key ^ SEGMENT_SIGNATURE);
        let mut first_page = FIRST_DESCRIPTOR;
        for range in ranges {
            let at = (first_page * DESCRIPTOR_BYTES) as usize;
            let flags = match range.usage {
                RangeUse::Free => 2,
                RangeUse::Block => 3,
                RangeUse::LowFragmentation => 0xb,
                RangeUse::VariableSize => 0xf,
            };
            head.put_u32(at + 4, range.unused_bytes).put_u8(at + 0x18, flags);
            head.put_u8(at + 0x19, range.page_count as u8).put_u8(at + 0x1f, range.page_count as u8);
            // The other pages say how far they are from the first.
            for page in 1..range.page_count {
                let at = ((first_page + page) * DESCRIPTOR_BYTES) as usize;
                head.put_u8(at + 0x18, flags & !2).put_u8(at + 0x1f, page as u8);
            }
            first_page += range.page_count;
        }
        head.into_vec()
    }
}

fn large_pages(block: &LargeBlock) -> u64 {
    block.user_bytes.div_ceil(PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::bytes::{u8_at, u16_at, u32_at, u64_at};

    #[test]
    fn head_tree_and_descriptors_say_what_was_planned() {
        let range = |page_count, usage| PageRange { page_count, usage, unused_bytes: 0x10 };
        let ranges = vec![
            range(4, RangeUse::VariableSize),
            range(1, RangeUse::LowFragmentation),
            range(33, RangeUse::Block),
            range(7, RangeUse::Free),
        ];
        let plan = SegmentHeapPlan {
            base: Va(0x1e0_0000_0000),
            list_index: 2,
            global_flags: 2,
            heap_key: 0x1234_5678_9abc_def0,
            large_blocks: vec![
                LargeBlock { base: Va(0x1e0_0100_0000), user_bytes: 0x10_0123 },
                LargeBlock { base: Va(0x1e0_0200_0000), user_bytes: 0x20_0000 },
            ],
            segments: vec![
                (Va(0x1e0_0010_0000), ranges.clone()),
                (Va(0x1e0_0020_0000), vec![range(1, RangeUse::Free)]),
            ],
        };
        let image = plan.build();
        let head = &image.writes[0].1;
        assert_eq!((u32_at(head, 0x10), u16_at(head, 0x1c)), (Some(0xddee_ddee), Some(2)));
        assert_eq!([0x80, 0x88, 0x90].map(|at| u64_at(head, at).unwrap()), [512, 2 + 45 + 2 + 1, 8]);
        assert_eq!(u64_at(head, 0x58), Some(0x101 + 0x200));
        let tree = u64_at(head, 0x48).unwrap() - plan.base.0;
        assert_eq!(u64_at(head, tree + 0x18).map(|value| value & !0xffff), Some(0x1e0_0100_0000));
        assert_eq!(u64_at(head, tree + 0x18).map(|value| 0x10_1000 - (value & 0xffff)), Some(0x10_0123));
        assert_eq!(u64_at(head, u64_at(head, tree + 8).unwrap() - plan.base.0 + 0x20), Some(0x200 << 12));
        let (segment, bytes) = &image.writes[1];
        let signature = u64_at(bytes, 0x10).unwrap();
        assert_eq!(signature ^ segment.0 ^ (plan.base.0 + 0x100) ^ plan.heap_key, 0xa2e6_4ead_a2e6_4ead);
        let mut at = 2;
        for range in &ranges {
            let size = u64::from(u8_at(bytes, at * 0x20 + 0x1f).unwrap());
            assert_eq!(size, range.page_count);
            at += size;
        }
        let mut space = AddressSpace::default();
        image.add_to(&mut space);
        assert!(space.memory_ranges().is_ok() && space.memory_infos(Va(0x7fff_ffff_0000)).is_ok());
    }
}
