//! One heap in a memory of its own, whole or damaged, without a dump around it.

use std::collections::BTreeMap;

use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::base::memory::ReadMemory;
use dumptrend::sample::heap_image::{
    BlockState, BuiltHeap, BusyBlock, FrontEnd, HeapGeneration, HeapPlan, LfhBlocks, PlannedBlock, RunPlan,
    SegmentPlan, Trace, VirtualBlock,
};

const PAGE_BYTES: u64 = 0x1000;
pub const HEAP: Va = Va(0x50_0000);
pub const SECOND_SEGMENT: Va = Va(0x90_0000);
const FRONT_END: Va = Va(0x80_0000);
/// What traced blocks of [`heap_plan`] name: an address without anything in it, or the lower half of an index.
pub const TRACE: Trace = Trace::Pointer(Va(0x18_be50));
pub const TRACE_INDEX: Trace = Trace::Index(0x94c4);

/// A few bytes by address, as a decoder reads them. Pieces that touch are still pieces, as in a dump.
#[derive(Clone, Default)]
pub struct BuiltMemory {
    pieces: BTreeMap<u64, Vec<u8>>,
}

impl ReadMemory for BuiltMemory {
    fn bytes_at(&self, va: Va, length: u64) -> &[u8] {
        let Some((start, bytes)) = self.pieces.range(..=va.0).next_back() else { return &[] };
        let rest = usize::try_from(va.0 - start).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        rest.get(..usize::try_from(length).unwrap_or(usize::MAX)).unwrap_or(rest)
    }

    fn next_at(&self, va: Va) -> Option<Va> {
        if !self.bytes_at(va, 1).is_empty() {
            return Some(va);
        }
        self.pieces.range(va.0..).find(|(_, bytes)| !bytes.is_empty()).map(|(start, _)| Va(*start))
    }
}

impl BuiltMemory {
    /// All pieces in order.
    pub fn pieces(&self) -> impl Iterator<Item = (Va, &[u8])> {
        self.pieces.iter().map(|(va, bytes)| (Va(*va), bytes.as_slice()))
    }

    /// Adds a piece.
    pub fn add(&mut self, va: Va, bytes: Vec<u8>) {
        self.pieces.insert(va.0, bytes);
    }

    /// Overwrites bytes that are there.
    pub fn put(&mut self, va: Va, bytes: &[u8]) {
        let (start, piece) = self.pieces.range_mut(..=va.0).next_back().expect("memory");
        let at = usize::try_from(va.0 - start).expect("a small offset");
        piece.get_mut(at..at + bytes.len()).expect("memory").copy_from_slice(bytes);
    }

    /// Changes bits of one byte.
    pub fn flip(&mut self, va: Va, bits: u8) {
        let byte = self.bytes_at(va, 1).first().copied().expect("memory");
        self.put(va, &[byte ^ bits]);
    }

    /// Overwrites a pointer.
    pub fn put_pointer(&mut self, width: PointerWidth, va: Va, value: Va) {
        let bytes = value.0.to_le_bytes();
        self.put(va, &bytes[..usize::try_from(width.bytes()).expect("4 or 8")]);
    }

    /// Takes away the page that `va` lies in, as a dump without it.
    pub fn drop_page(&mut self, va: Va) {
        let page = va.0 / PAGE_BYTES * PAGE_BYTES;
        let (start, bytes) = self.pieces.range(..=page).next_back().expect("memory");
        let (start, bytes) = (*start, bytes.clone());
        let (before, after) = (page - start, page + PAGE_BYTES - start);
        self.pieces.remove(&start);
        let at = |offset: u64| usize::try_from(offset).expect("a small offset");
        let split = |from: u64, to: u64| bytes[at(from)..at(to)].to_vec();
        let length = bytes.len() as u64;
        if before > 0 {
            self.pieces.insert(start, split(0, before));
        }
        if after < length {
            self.pieces.insert(start + after, split(after, length));
        }
    }
}

/// The heap of `plan` as memory, with the truth about it.
pub fn build(plan: &HeapPlan) -> (BuiltMemory, BuiltHeap) {
    let image = plan.build().expect("the heap has room for its blocks");
    let mut memory = BuiltMemory::default();
    for (va, bytes) in image.writes {
        memory.add(va, bytes);
    }
    (memory, image.truth)
}

pub fn busy(user_bytes: u64, trace: Trace) -> PlannedBlock {
    PlannedBlock::Busy(BusyBlock::traced(user_bytes, trace))
}

/// `in_use` of `count` blocks of a container are in use, those with the lowest addresses.
pub fn lfh(block_bytes: u64, count: u64, in_use: u64, busy: BusyBlock) -> PlannedBlock {
    PlannedBlock::Lfh(LfhBlocks { block_bytes, blocks: (0..count).map(|n| (n < in_use).then_some(busy)).collect() })
}

pub fn run(committed_pages: u64, uncommitted_pages: u64, blocks: Vec<PlannedBlock>) -> RunPlan {
    RunPlan { committed_pages, uncommitted_pages, blocks }
}

/// What a trace of this generation looks like.
pub fn trace_of(generation: HeapGeneration) -> Trace {
    if generation == HeapGeneration::Xp { TRACE_INDEX } else { TRACE }
}

/// Two segments with holes in them, blocks with and without traces, free ones between, the front end of its generation with
/// two containers, one large block, and lock contention.
pub fn heap_plan(generation: HeapGeneration, width: PointerWidth) -> HeapPlan {
    let trace = trace_of(generation);
    let mut first: Vec<_> = (0..60).map(|n| busy(n * 9, if n % 4 == 0 { Trace::None } else { trace })).collect();
    first.push(PlannedBlock::Free { block_bytes: 0x60 });
    first.push(busy(0x18, trace));
    if generation != HeapGeneration::Xp {
        first.push(lfh(0x50, 20, 13, BusyBlock::traced(0x20, trace)));
        first.push(lfh(0x30, 33, 33, BusyBlock::new(0x21)));
    }
    let segment = |base, runs| SegmentPlan {
        base,
        runs,
        has_guard_page: generation >= HeapGeneration::Ten1607,
        ..SegmentPlan::default()
    };
    HeapPlan {
        flags: 0x0800_0002,
        front_end: match generation {
            HeapGeneration::Xp => FrontEnd::Lookaside,
            HeapGeneration::Vista | HeapGeneration::Seven | HeapGeneration::Eight => FrontEnd::Lfh,
            _ => FrontEnd::LfhAt { base: FRONT_END, reserved_pages: 50 },
        },
        segments: vec![
            segment(HEAP, vec![run(24, 8, first), run(4, 28, vec![busy(7, trace)])]),
            segment(SECOND_SEGMENT, vec![run(8, 56, vec![busy(0x123, Trace::None), busy(0x400, trace)])]),
        ],
        virtual_blocks: vec![VirtualBlock { base: Va(0xc0_0000), user_bytes: 0x9_1234, trace }],
        lock_collisions: 5,
        ..HeapPlan::new(generation, width, HEAP)
    }
}

/// A heap of Windows 11 x64, whose layout is that of 10 since 1809.
pub fn windows_11_x64() -> HeapPlan {
    heap_plan(HeapGeneration::Ten1809, PointerWidth::Bits64)
}

/// Where the header bytes of block number `number` of `state` lie, from Size to UnusedBytes.
pub fn header_of(heap: &BuiltHeap, width: PointerWidth, state: BlockState, number: usize) -> Va {
    let block = heap.of_state(state).nth(number).expect("such a block");
    Va(block.entry.0 + 2 * width.bytes() - 8)
}

/// What a header can be made to say.
#[derive(Clone, Copy)]
pub struct Header {
    /// In granules.
    pub size: u16,
    pub flags: u8,
    pub previous_size: u16,
    pub unused_bytes: u8,
}

/// Writes a header at `at` (see [`header_of`]) that decodes well, whatever it says. Vista and later.
pub fn put_header(memory: &mut BuiltMemory, plan: &HeapPlan, at: Va, header: Header) {
    let [size_low, size_high] = header.size.to_le_bytes();
    let [previous_low, previous_high] = header.previous_size.to_le_bytes();
    let checksum = size_low ^ size_high ^ header.flags;
    let plain = [size_low, size_high, header.flags, checksum, previous_low, previous_high, 0, header.unused_bytes];
    let key = plan.encoding.unwrap_or_default();
    let bytes: Vec<u8> = plain.iter().zip(key).map(|(byte, key)| byte ^ key).collect();
    memory.put(at, &bytes);
}
