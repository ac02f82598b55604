//! The decoder of heaps, on the memory of a made-up process: fuzz/README.md, "Format of the heaps' target".

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::bytes;
use crate::base::problems::Problems;
use crate::base::progress::Progress;
use crate::process::heap::block::{Block, BlockKind, BlockSink, Loss};
use crate::process::heap::extent::{HeapExtent, HeapPlace, read_extent};
use crate::process::heap::head::HeapKind;
use crate::process::heap::lists::LINK_BUDGET;
use crate::process::heap::{DecodedHeap, HeapHints, decode_heap, visit_blocks};

use super::process_image::ProcessImage;

/// Width and place in the list, address, build.
const HEAD_BYTES: u64 = 7;

/// Reads `data` as a process with a heap, and walks all its blocks. `None` where there is not even an address.
///
/// # Panics
/// When a result contradicts itself: a block outside of its heap, more blocks than the bytes have room for, a block in use
/// that is larger than it is, totals that are not those of the blocks.
pub fn walk_heap(data: &[u8]) -> Option<(HeapExtent, DecodedHeap)> {
    let first = bytes::u8_at(data, 0)?;
    let place = HeapPlace {
        base: Va(u64::from(bytes::u32_at(data, 1)?)),
        width: if first & 1 == 1 { PointerWidth::Bits64 } else { PointerWidth::Bits32 },
        position: usize::from(first >> 1).checked_sub(1),
        os_build: Some(u32::from(bytes::u16_at(data, 5)?)).filter(|build| *build > 0),
        pdb_layout: None,
    };
    let image = ProcessImage::read(bytes::available_at(data, HEAD_BYTES, data.len() as u64));
    let mut problems = Problems::default();
    let extent = read_extent(&image, place, &mut LINK_BUDGET.clone(), &mut problems);
    let hints = HeapHints { os_build: place.os_build, lfh_key: None };
    let heap = decode_heap(&image, &extent, hints, &Progress::default()).ok()?;
    let sinks = visit_blocks(&image, &extent, hints, Sums::default, &Progress::default()).ok()?;
    let mut sums = Sums::default();
    for sink in sinks {
        sums.add(&sink);
        for block in sink.blocks {
            check_block(&extent, &heap, &block);
        }
    }
    let is_listed_apart = matches!(extent.kind, HeapKind::PageHeap | HeapKind::Segment);
    // A header has 8 bytes. A node of a page heap may begin at any byte, and a descriptor of a segment heap, of which there
    // are 256 in a page segment, stands for pages that need not be there.
    let bytes = image.size_bytes();
    let most = if extent.kind == HeapKind::Nt { bytes / 8 } else { bytes + 256 * extent.segments.len() as u64 };
    assert!(sums.block_count - sums.large_count <= most, "{} blocks in {bytes} bytes", sums.block_count);
    if let Some(totals) = heap.totals.as_ref().filter(|_| !is_listed_apart) {
        assert_eq!(totals.in_use().block_count, sums.in_use_count, "totals are those of the blocks");
        assert_eq!(totals.free().block_count, sums.free_count, "totals are those of the blocks");
    }
    Some((extent, heap))
}

fn check_block(extent: &HeapExtent, heap: &DecodedHeap, block: &Block) {
    assert!(block.user_bytes.is_none_or(|user| user <= block.size_bytes), "{block:?} is larger inside than outside");
    if extent.kind != HeapKind::Nt {
        return;
    }
    let range = VaRange::from_size(block.entry, block.size_bytes);
    let is_inside = match block.kind {
        BlockKind::Large => extent.large_blocks.contains(&block.entry),
        _ => heap.segments.iter().any(|segment| segment.range.contains(range.start) && range.end <= segment.range.end),
    };
    assert!(is_inside, "{block:?} lies outside of its heap");
}

#[derive(Default)]
struct Sums {
    blocks: Vec<Block>,
    block_count: u64,
    large_count: u64,
    in_use_count: u64,
    free_count: u64,
}

impl Sums {
    const fn add(&mut self, other: &Self) {
        self.block_count += other.block_count;
        self.large_count += other.large_count;
        self.in_use_count += other.in_use_count;
        self.free_count += other.free_count;
    }
}

impl BlockSink for Sums {
    fn block(&mut self, block: &Block) {
        self.block_count += 1;
        self.large_count += u64::from(block.kind == BlockKind::Large);
        self.in_use_count += u64::from(block.kind.is_in_use());
        self.free_count += u64::from(block.kind.is_free());
        self.blocks.push(*block);
    }

    fn lost(&mut self, range: VaRange, _: Loss) {
        assert!(range.start <= range.end, "{range:?} ends before it starts");
    }

    fn broken_chain(&mut self, _: Va) {}
}
