//! Reads built heaps back by offsets of its own, and holds them against the invariants that published descriptions name: links
//! close, signatures and self references fit, headers decode, sizes chain, counters are sums, and every block of the truth is
//! where it says.
//!
//! The offsets are written out once more on purpose: they were taken from the lists of types, not from `layout`.

use std::collections::BTreeMap;

use super::{BlockState, BuiltHeap, HeapGeneration, HeapImage, Trace};
use crate::base::addr::{PointerWidth, Va};

/// Offsets of one generation: what a reader needs.
pub struct Offsets {
    segment_signature: u64,
    segment_list_entry: u64,
    heap: u64,
    base: u64,
    page_count: u64,
    first_entry: u64,
    last_valid: u64,
    uncommitted_pages: u64,
    ucr_segment_list: u64,
    flags: u64,
    key: u64,
    signature: u64,
    total_free: u64,
    list_index: u64,
    ucr_list: u64,
    virtual_blocks: u64,
    segment_list: u64,
    free_lists: u64,
    front_end: u64,
    front_end_type: u64,
    counters: u64,
}

/// In the order of the fields.
fn offsets(generation: HeapGeneration, width: PointerWidth) -> Offsets {
    use HeapGeneration::{Eight, EightOne, Seven, Ten1607, Ten1809, Vista, Xp};
    let rest: [u64; 10] = match (width, generation) {
        (_, Xp) => unreachable!("XP is read by another function"),
        (PointerWidth::Bits64, Vista | Seven) => [0xa0, 0xc8, 0xd8, 0xf8, 0x118, 0x128, 0x158, 0x178, 0x182, 0x188],
        (PointerWidth::Bits64, Eight | EightOne) => [0x98, 0xc0, 0xd0, 0xf0, 0x110, 0x120, 0x150, 0x170, 0x17a, 0x210],
        (PointerWidth::Bits64, Ten1607) => [0x98, 0xc0, 0xd0, 0xf0, 0x110, 0x120, 0x150, 0x178, 0x182, 0x218],
        (PointerWidth::Bits64, Ten1809) => [0x98, 0xc0, 0xd0, 0xf0, 0x110, 0x120, 0x150, 0x198, 0x1a2, 0x238],
        (PointerWidth::Bits32, Vista | Seven) => [0x64, 0x78, 0x80, 0x90, 0xa0, 0xa8, 0xc4, 0xd4, 0xda, 0xdc],
        (PointerWidth::Bits32, Eight | EightOne) => [0x60, 0x74, 0x7c, 0x8c, 0x9c, 0xa4, 0xc0, 0xd0, 0xd6, 0x1e0],
        (PointerWidth::Bits32, Ten1607) => [0x60, 0x74, 0x7c, 0x8c, 0x9c, 0xa4, 0xc0, 0xd4, 0xda, 0x1e4],
        (PointerWidth::Bits32, Ten1809) => [0x60, 0x74, 0x7c, 0x8c, 0x9c, 0xa4, 0xc0, 0xe4, 0xea, 0x1f4],
    };
    let [
        signature,
        total_free,
        list_index,
        ucr_list,
        virtual_blocks,
        segment_list,
        free_lists,
        front_end,
        front_end_type,
        counters,
    ] = rest;
    let same: [u64; 11] = match width {
        PointerWidth::Bits64 => [0x10, 0x18, 0x28, 0x30, 0x38, 0x40, 0x48, 0x50, 0x60, 0x70, 0x88],
        PointerWidth::Bits32 => [0x8, 0x10, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x38, 0x40, 0x50],
    };
    let [
        segment_signature,
        segment_list_entry,
        heap,
        base,
        page_count,
        first_entry,
        last_valid,
        uncommitted_pages,
        ucr_segment_list,
        flags,
        key,
    ] = same;
    Offsets {
        segment_signature,
        segment_list_entry,
        heap,
        base,
        page_count,
        first_entry,
        last_valid,
        uncommitted_pages,
        ucr_segment_list,
        flags,
        key,
        signature,
        total_free,
        list_index,
        ucr_list,
        virtual_blocks,
        segment_list,
        free_lists,
        front_end,
        front_end_type,
        counters,
    }
}

/// The memory of an image.
pub struct Reader {
    parts: BTreeMap<Va, Vec<u8>>,
    pub width: PointerWidth,
}

impl Reader {
    pub fn new(image: &HeapImage, width: PointerWidth) -> Self {
        Self { parts: image.writes.iter().cloned().collect(), width }
    }

    pub fn bytes<const N: usize>(&self, va: u64) -> [u8; N] {
        let (start, bytes) = self.parts.range(..=Va(va)).next_back().expect("an address of the heap");
        let at = usize::try_from(va - start.0).unwrap();
        bytes[at..at + N].try_into().unwrap()
    }

    pub fn u16(&self, va: u64) -> u64 {
        u16::from_le_bytes(self.bytes(va)).into()
    }

    pub fn u32(&self, va: u64) -> u64 {
        u32::from_le_bytes(self.bytes(va)).into()
    }

    pub fn pointer(&self, va: u64) -> u64 {
        match self.width {
            PointerWidth::Bits64 => u64::from_le_bytes(self.bytes(va)),
            PointerWidth::Bits32 => self.u32(va),
        }
    }

    /// The links of a list, whose back links must lead the same way.
    pub fn list(&self, head: u64) -> Vec<u64> {
        let step = self.width.bytes();
        let mut links = Vec::new();
        let mut at = head;
        loop {
            let next = self.pointer(at);
            assert_eq!(self.pointer(next + step), at, "the back link at {next:x}");
            if next == head {
                return links;
            }
            links.push(next);
            assert!(links.len() < 100_000, "the list at {head:x} does not close");
            at = next;
        }
    }

    fn granule(&self) -> u64 {
        2 * self.width.bytes()
    }

    /// Size, flags, previous size, unused bytes of a header.
    fn header(&self, entry: u64, key: Option<[u8; 8]>) -> (u64, u8, u64, u8) {
        let mut bytes: [u8; 8] = self.bytes(entry + self.granule() - 8);
        if let Some(key) = key {
            for (byte, key) in bytes.iter_mut().zip(key) {
                *byte ^= key;
            }
            assert_eq!(bytes[0] ^ bytes[1] ^ bytes[2], bytes[3], "the checksum at {entry:x}");
        }
        let [size_0, size_1, flags, _, previous_0, previous_1, _, unused] = bytes;
        (
            u16::from_le_bytes([size_0, size_1]).into(),
            flags,
            u16::from_le_bytes([previous_0, previous_1]).into(),
            unused,
        )
    }
}

/// Checks a heap of Vista or later.
pub fn check(image: &HeapImage, generation: HeapGeneration, width: PointerWidth) {
    let (reader, truth) = (Reader::new(image, width), &image.truth);
    let at = offsets(generation, width);
    let base = truth.base.0;
    assert_eq!(reader.u32(base + at.segment_signature), 0xffee_ffee);
    assert_eq!(reader.u32(base + at.signature), 0xeeff_eeff);
    assert_eq!(reader.u32(base + at.flags), u64::from(truth.totals.flags));
    assert_eq!(reader.u16(base + at.list_index), u64::from(truth.list_index));
    let key: [u8; 8] = reader.bytes(base + at.key);
    let mask = reader.u32(base + at.key - if width == PointerWidth::Bits64 { 0xc } else { 0x4 });
    let key = (mask != 0).then_some(key);
    if let Some(key) = key {
        assert_eq!((mask, key[2] & 0x10, &key[6..]), (0x10_0000, 0x10, &[0, 0][..]));
    }

    let segments = reader.list(base + at.segment_list);
    let mut walked = BTreeMap::new();
    let mut committed_bytes = 0;
    let mut reserved_bytes = 0;
    let mut ranges = 0;
    for link in &segments {
        let segment = link - at.segment_list_entry;
        assert_eq!((reader.pointer(segment + at.heap), reader.pointer(segment + at.base)), (base, segment));
        reserved_bytes += reader.u32(segment + at.page_count) * 0x1000;
        committed_bytes += (reader.u32(segment + at.page_count) - reader.u32(segment + at.uncommitted_pages)) * 0x1000;
        ranges += reader.u32(segment + at.uncommitted_pages + 4);
        walk_segment(&reader, &at, segment, key, &mut walked);
    }
    assert_eq!(segments[0], base + at.segment_list_entry);
    check_blocks(&reader, truth, &walked);
    check_counts(&reader, &at, truth, [segments.len() as u64, ranges, reserved_bytes, committed_bytes]);
    check_virtual_blocks(&reader, &at, truth, key);
}

/// Size in granules, flags, unused bytes by address.
type Walked = BTreeMap<u64, (u64, u8, u8)>;

fn walk_segment(reader: &Reader, at: &Offsets, segment: u64, key: Option<[u8; 8]>, walked: &mut Walked) {
    let granule = reader.granule();
    let step = reader.width.bytes();
    let descriptors = reader.list(segment + at.ucr_segment_list);
    let holes: BTreeMap<u64, u64> =
        descriptors.iter().map(|link| (reader.pointer(link + 2 * step), reader.pointer(link + 3 * step))).collect();
    let last_valid = reader.pointer(segment + at.last_valid);
    let mut entry = reader.pointer(segment + at.first_entry);
    let mut previous = reader.header(segment, key).0;
    assert_eq!(entry, segment + previous * granule, "the first entry follows the head");
    let mut uncommitted_bytes = 0;
    while entry < last_valid {
        let (size, flags, previous_size, unused) = reader.header(entry, key);
        assert!(size > 0, "an entry without size at {entry:x}");
        assert_eq!(previous_size, previous, "the chain of sizes at {entry:x}");
        walked.insert(entry, (size, flags, unused));
        previous = size;
        entry += size * granule;
        if unused == 3 && size == 4 {
            let hole = holes[&entry];
            uncommitted_bytes += hole;
            entry += hole;
            previous = 0;
        }
    }
    assert_eq!(entry, last_valid);
    assert_eq!(uncommitted_bytes, reader.u32(segment + at.uncommitted_pages) * 0x1000);
}

fn check_blocks(reader: &Reader, truth: &BuiltHeap, walked: &Walked) {
    let granule = reader.granule();
    let mut back_end = 0;
    for block in &truth.blocks {
        let entry = block.entry.0;
        match block.state {
            BlockState::LfhBusy | BlockState::LfhFree => {
                let byte = reader.bytes::<1>(entry + granule - 1)[0];
                let container = truth
                    .of_state(BlockState::LfhContainer)
                    .find(|c| (c.entry.0..c.entry.0 + c.block_bytes).contains(&entry))
                    .expect("a container");
                assert!(entry + block.block_bytes <= container.entry.0 + container.block_bytes);
                let expect = match (block.state, block.trace) {
                    (BlockState::LfhFree, _) => 0x80,
                    (_, Trace::Pointer(_)) => 0xc2,
                    _ => 0x80 + u8::try_from((block.block_bytes - block.user_bytes).min(0x3f)).unwrap(),
                };
                assert_eq!(byte, expect, "{block:?}");
                check_trace(reader, block.entry.0, block.user.0, block.block_bytes - block.user_bytes, block.trace);
            }
            BlockState::Virtual => {}
            _ => {
                back_end += 1;
                let (size, flags, unused) = walked[&entry];
                assert_eq!(size * granule, block.block_bytes);
                let flags_of_state = match block.state {
                    BlockState::Free => 0,
                    BlockState::LfhContainer => 9,
                    BlockState::Internal => flags & 9,
                    _ => 1,
                };
                assert_eq!(flags, flags_of_state, "{block:?}");
                let overhead = block.block_bytes - block.user_bytes;
                if block.state == BlockState::Busy {
                    if block.trace == Trace::None && overhead < 0x3f {
                        assert_eq!(u64::from(unused), overhead);
                        assert_eq!(block.user.0, entry + granule);
                    }
                    check_trace(reader, entry, block.user.0, overhead, block.trace);
                }
            }
        }
    }
    assert_eq!(back_end, walked.len());
}

/// `01 00 00 00 LL LL 02 05` in front of the user's bytes, and the pointer behind the first header.
fn check_trace(reader: &Reader, entry: u64, user: u64, overhead: u64, trace: Trace) {
    if let Trace::Pointer(trace) = trace {
        let tail: [u8; 8] = reader.bytes(user - 8);
        let [low, high] = u16::try_from(overhead).unwrap().to_le_bytes();
        assert_eq!(tail, [1, 0, 0, 0, low, high, 2, 5]);
        let granule = reader.granule();
        assert_eq!((entry, reader.pointer(entry + granule)), (user - granule - 2 * granule, trace.0));
    }
}

fn check_counts(reader: &Reader, at: &Offsets, truth: &BuiltHeap, sums: [u64; 4]) {
    let [segments, ranges, reserved_bytes, committed_bytes] = sums;
    let (base, step) = (truth.base.0, reader.width.bytes());
    let counters = base + at.counters;
    let free = reader.list(base + at.free_lists);
    let sizes: Vec<_> = free
        .iter()
        .map(|link| truth.of_state(BlockState::Free).find(|b| b.user.0 == *link).expect("a free block").block_bytes)
        .collect();
    assert!(sizes.is_sorted());
    assert_eq!(sizes.len() as u64, truth.totals.free_list_length);
    assert_eq!(sizes.iter().sum::<u64>(), reader.pointer(base + at.total_free) * reader.granule());
    assert_eq!(reader.u32(counters + 4 * step), segments);
    assert_eq!(reader.u32(counters + 4 * step + 4), ranges);
    assert_eq!(reader.u32(counters + 4 * step + 20), u64::from(truth.totals.lock_collisions));
    let own = reader.pointer(counters) - reserved_bytes;
    assert_eq!(own == 0, reader.pointer(counters + step) == committed_bytes);
    assert_eq!(reader.pointer(counters) - reader.pointer(counters + 2 * step), truth.totals.virtual_bytes);
    assert!(reader.list(base + at.ucr_list).len() as u64 <= ranges);
    let kind = reader.bytes::<1>(base + at.front_end_type)[0];
    assert_eq!(kind == 2, truth.totals.front_end.is_lfh());
    assert_eq!(reader.pointer(base + at.front_end) == 0, kind == 0);
}

fn check_virtual_blocks(reader: &Reader, at: &Offsets, truth: &BuiltHeap, key: Option<[u8; 8]>) {
    let links = reader.list(truth.base.0 + at.virtual_blocks);
    let blocks: Vec<_> = truth.of_state(BlockState::Virtual).collect();
    assert_eq!(links, blocks.iter().map(|block| block.entry.0).collect::<Vec<_>>());
    let step = reader.width.bytes();
    for block in blocks {
        let commit_bytes = reader.pointer(block.entry.0 + 4 * step);
        let (unused_bytes, flags, _, mark) = reader.header(block.entry.0 + 6 * step, key);
        assert_eq!((commit_bytes - unused_bytes, flags & 9, mark), (block.user_bytes, 9, 4));
        check_trace(reader, block.entry.0 + 6 * step, block.user.0, unused_bytes, block.trace);
    }
}

/// Checks the containers of the low fragmentation heap as a reader without zones finds them, and the zones' subsegments.
pub fn check_containers(image: &HeapImage, generation: HeapGeneration, width: PointerWidth, lfh_key: u64) {
    let (reader, truth) = (Reader::new(image, width), &image.truth);
    let at = offsets(generation, width);
    let granule = reader.granule();
    let lfh = reader.pointer(truth.base.0 + at.front_end);
    let is_wide = width == PointerWidth::Bits64;
    let is_old = generation <= HeapGeneration::Seven;
    let pick = |old: (u64, u64), new: (u64, u64)| {
        let (narrow, wide) = if is_old { old } else { new };
        if is_wide { wide } else { narrow }
    };
    assert_eq!(reader.pointer(lfh + pick((0x24, 0x40), (0xc, 0x18))), truth.base.0);
    let mut subsegments = 0;
    for zone in reader.list(lfh + pick((0x18, 0x28), (0x4, 0x8))) {
        let first = zone + pick((0x10, 0x20), (0x10, 0x20));
        let size = pick((0x20, 0x30), (0x28, 0x40));
        let count = if generation <= HeapGeneration::Eight {
            (reader.pointer(zone + pick((0x8, 0x10), (0x8, 0x10))) - first) / size
        } else {
            reader.u32(zone + pick((0, 0), (0x8, 0x10)))
        };
        for subsegment in (0..count).map(|number| first + number * size) {
            subsegments += 1;
            let user_blocks = reader.pointer(subsegment + pick((0x4, 0x8), (0x4, 0x8)));
            assert_eq!(reader.pointer(user_blocks), subsegment);
            assert_eq!(reader.u32(user_blocks + pick((0xc, 0x18), (0xc, 0x14))), 0xf0e0_d0c0);
            let block_bytes = reader.u16(subsegment + pick((0x10, 0x18), (0x14, 0x24))) * granule;
            let block_count = reader.u16(subsegment + pick((0x14, 0x1c), (0x18, 0x28)));
            let free_count = reader.u16(subsegment + pick((0x8, 0x10), (0x10, 0x20)));
            let (first_block, stride) = if is_old {
                (user_blocks + pick((0x10, 0x20), (0, 0)), block_bytes)
            } else {
                let raw = reader.u32(user_blocks + pick((0, 0), (0x10, 0x18)));
                let hidden = if generation == HeapGeneration::Eight { 0 } else { user_blocks ^ lfh ^ lfh_key };
                let offsets = (raw ^ hidden) & 0xffff_ffff;
                (user_blocks + (offsets & 0xffff), offsets >> 16)
            };
            assert_eq!(stride, block_bytes);
            let mut in_use = 0;
            for number in 0..block_count {
                let entry = first_block + number * stride;
                let block = truth.blocks.iter().find(|block| block.entry.0 == entry).expect("a block of the front end");
                let is_busy = reader.bytes::<1>(entry + granule - 1)[0] > 0x80;
                assert_eq!(is_busy, block.state == BlockState::LfhBusy);
                if !is_old {
                    let bits = user_blocks + pick((0, 0), (0x1c, 0x30));
                    assert_eq!(reader.pointer(user_blocks + pick((0, 0), (0x18, 0x28))), bits);
                    assert_eq!(reader.bytes::<1>(bits + number / 8)[0] >> (number % 8) & 1 == 1, is_busy);
                }
                in_use += u64::from(is_busy);
            }
            assert_eq!(in_use + free_count, block_count);
        }
    }
    assert_eq!(subsegments, truth.of_state(BlockState::LfhContainer).count());
}

/// Checks a heap of XP: its 64 places for segments, its free lists, the chain of sizes of its entries.
pub fn check_xp(image: &HeapImage, width: PointerWidth) {
    let (reader, truth) = (Reader::new(image, width), &image.truth);
    let is_wide = width == PointerWidth::Bits64;
    let pick = |narrow: u64, wide: u64| if is_wide { wide } else { narrow };
    let (base, granule, step) = (truth.base.0, reader.granule(), width.bytes());
    assert_eq!(reader.u32(base + pick(0x8, 0x10)), 0xeeff_eeff);
    assert_eq!(reader.u16(base + pick(0x30, 0x50)), u64::from(truth.list_index));
    let mut walked = 0;
    let header = |entry: u64| {
        let bytes: [u8; 8] = reader.bytes(entry + granule - 8);
        let size = u64::from(u16::from_le_bytes([bytes[0], bytes[1]]));
        (size, u64::from(u16::from_le_bytes([bytes[2], bytes[3]])), bytes[5], bytes[6])
    };
    for number in 0..64 {
        let segment = reader.pointer(base + pick(0x58, 0xa0) + number * step);
        if segment == 0 {
            continue;
        }
        assert_eq!(reader.u32(segment + pick(0x8, 0x10)), 0xffee_ffee);
        assert_eq!(reader.pointer(segment + pick(0x10, 0x18)), base);
        let mut holes = BTreeMap::new();
        let mut hole = reader.pointer(segment + pick(0x30, 0x50));
        while hole != 0 {
            holes.insert(reader.pointer(hole + step), reader.pointer(hole + 2 * step));
            hole = reader.pointer(hole);
        }
        assert_eq!(holes.len() as u64, reader.u32(segment + pick(0x2c, 0x4c)));
        assert_eq!(holes.values().sum::<u64>(), reader.u32(segment + pick(0x28, 0x48)) * 0x1000);
        let mut entry = reader.pointer(segment + pick(0x20, 0x38));
        let mut previous = header(segment).0;
        let end = reader.pointer(segment + pick(0x24, 0x40));
        while entry < end {
            let (size, previous_size, flags, unused) = header(entry);
            let block = truth.blocks.iter().find(|block| block.entry.0 == entry).expect("a block");
            assert_eq!((previous_size, size * granule), (previous, block.block_bytes));
            assert_eq!(flags & 1 == 0, block.state == BlockState::Free);
            if block.state == BlockState::Busy {
                assert_eq!(u64::from(unused), block.block_bytes - block.user_bytes);
                assert_eq!(flags & 2 != 0, matches!(block.trace, Trace::Index(_)));
            }
            if let Trace::Index(index) = block.trace {
                assert_eq!(reader.u16(entry + size * granule - granule), u64::from(index));
            }
            walked += 1;
            previous = size;
            entry += size * granule;
            if flags & 0x10 != 0 {
                entry += holes.get(&entry).copied().unwrap_or(0);
                previous = 0;
            }
        }
        assert_eq!(entry, end);
    }
    assert_eq!(walked, truth.blocks.iter().filter(|block| block.state != BlockState::Virtual).count());
    let mut listed = 0;
    for list in 0..128 {
        for link in reader.list(base + pick(0x178, 0x2c8) + list * granule) {
            let size = header(link - granule).0;
            assert!(if list == 0 { size >= 128 } else { size == list });
            listed += 1;
        }
    }
    assert_eq!(listed, truth.totals.free_list_length);
}
