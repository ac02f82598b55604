//! One heap decoded: its figures, and what its blocks add up to.

use serde::{Deserialize, Serialize};

use crate::base::addr::Va;
use crate::base::memory::ReadMemory;
use crate::base::problems::Problems;
use crate::base::progress::{Cancelled, Progress};

use super::block::{BlockKind, BlockSink, Loss};
use super::entry::EntryRule;
use super::extent::{HeapExtent, HeapPlace};
use super::figures::{HeapFigures, WalkedFree, free_list_length, read_figures};
use super::head::{HeapHead, HeapKind};
use super::layouts::LayoutProof;
use super::lfh::{Containers, LfhKey};
use super::lists::LINK_BUDGET;
use super::lookaside::read_lookaside;
use super::segment_heap::SegmentHeapFigures;
use super::segments::{Segment, read_segments};
use super::totals::{BlockTotals, Tally};
use super::walk::{Walk, read_large_block, walk_blocks};
use super::{page_heap, segment_heap};

/// What is known from elsewhere, for instance from symbols.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HeapHints {
    pub os_build: Option<u32>,
    /// `ntdll!RtlpLFHKey`, where symbols tell where it lies.
    pub lfh_key: Option<u64>,
}

/// How much of a segment heap's blocks is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SegmentHeapState {
    /// Its page segments were read: what could not be made out is counted in the totals.
    Walked,
    /// Its totals and large blocks only.
    TotalsOnly,
}

/// One heap.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DecodedHeap {
    /// Of an NT heap.
    pub figures: Option<HeapFigures>,
    pub segment_heap: Option<(SegmentHeapFigures, SegmentHeapState)>,
    pub segments: Vec<Segment>,
    /// `None` where no block could be read.
    pub totals: Option<BlockTotals>,
    /// Of a page heap: whether as many blocks were found as the heap counts.
    pub is_page_heap_whole: Option<bool>,
    /// Low half of `ntdll!RtlpLFHKey`, as the heap's own front end shows it.
    pub lfh_key_low: Option<LfhKey>,
    pub proof: Option<LayoutProof>,
    /// The first bytes of what is no known heap; not in a case capsule, which holds no memory.
    #[serde(skip)]
    pub first_bytes: Vec<u8>,
    pub problems: Problems,
}

/// Decodes one heap: all its blocks are read. Asks `progress` only whether to stop.
///
/// # Errors
/// Only when cancelled.
pub fn decode_heap(
    memory: &dyn ReadMemory,
    extent: &HeapExtent,
    hints: HeapHints,
    progress: &Progress,
) -> Result<DecodedHeap, Cancelled> {
    let mut heap = DecodedHeap {
        figures: None,
        segment_heap: None,
        segments: Vec::new(),
        totals: None,
        is_page_heap_whole: None,
        lfh_key_low: None,
        proof: None,
        first_bytes: Vec::new(),
        problems: Problems::default(),
    };
    let place = place_of(extent, hints);
    let mut link_budget = LINK_BUDGET;
    match (extent.kind, &extent.head) {
        (HeapKind::Nt, Some(head)) => decode_nt(memory, extent, head, hints, &mut heap, progress)?,
        (HeapKind::Segment, _) => {
            heap.proof = Some(LayoutProof::Facts);
            let mut tally = Tally::default();
            let is_walked = segment_heap::walk_blocks(memory, place, &mut link_budget, &mut tally, progress)?;
            let figures = segment_heap::read_figures(memory, place);
            let state = if is_walked { SegmentHeapState::Walked } else { SegmentHeapState::TotalsOnly };
            heap.segment_heap = figures.map(|figures| (figures, state));
            if is_walked {
                let mut totals = BlockTotals::default();
                totals.absorb(tally);
                heap.totals = Some(totals);
            }
        }
        (HeapKind::PageHeap, _) => {
            heap.proof = Some(LayoutProof::Facts);
            let found = page_heap::read_blocks(memory, place, &mut link_budget, progress)?;
            let mut tally = Tally::default();
            found.blocks.iter().for_each(|block| tally.block(block));
            let mut totals = BlockTotals::default();
            totals.absorb(tally);
            heap.totals = found.busy_count.is_some().then_some(totals);
            heap.is_page_heap_whole = Some(found.is_whole);
            if found.unproved_stamp_count > 0 {
                let text = format!(
                    "{} of its blocks in use have no stamp of page heap before them, or their pages are not in the dump",
                    found.unproved_stamp_count
                );
                heap.problems.missing(format!("page heap {}", extent.base), text);
            }
        }
        (HeapKind::Unrecognised, _) => {
            heap.first_bytes = memory.bytes_at(extent.base, 32).to_vec();
        }
        (HeapKind::Nt | HeapKind::NotInDump, _) => {}
    }
    Ok(heap)
}

const fn place_of(extent: &HeapExtent, hints: HeapHints) -> HeapPlace {
    HeapPlace {
        base: extent.base,
        width: extent.width,
        position: extent.position,
        os_build: hints.os_build,
        pdb_layout: None,
    }
}

fn decode_nt(
    memory: &dyn ReadMemory,
    extent: &HeapExtent,
    head: &HeapHead,
    hints: HeapHints,
    heap: &mut DecodedHeap,
    progress: &Progress,
) -> Result<(), Cancelled> {
    heap.proof = Some(head.layout.proof);
    // Lists of segments and large blocks were followed, and their faults told, when the dump was opened.
    let mut link_budget = LINK_BUDGET;
    heap.segments = read_segments(memory, head, &extent.segments, &mut link_budget, &mut heap.problems);
    heap.figures = read_figures(head, &heap.segments, extent.large_blocks.len());
    let segments = std::mem::take(&mut heap.segments);
    let walk = walk_of(memory, extent, head, hints, &segments, &mut heap.problems);
    let mut totals = BlockTotals::default();
    let walked = walk_blocks(&walk, Tally::default, progress)?;
    for tally in walked.sinks {
        totals.absorb(tally);
    }
    if let Some(containers) = &walk.containers {
        let found = walked.containers;
        heap.lfh_key_low = walk
            .lfh_key
            .or_else(|| containers.key(memory, &found))
            .or_else(|| containers.key_in_blocks(memory, head.base, &found));
    }
    heap.segments = segments;
    if let Some(figures) = &mut heap.figures {
        let free = totals.of(BlockKind::Free);
        let walked = WalkedFree {
            block_count: free.block_count,
            block_bytes: free.block_bytes,
            is_whole: totals.is_undamaged() && totals.missing_bytes == 0,
        };
        figures.free_list_length = free_list_length(memory, head, walked, &mut heap.problems);
    }
    tell_damage(head.base, &totals, &mut heap.problems);
    heap.totals = Some(totals);
    Ok(())
}

fn walk_of<'m>(
    memory: &'m dyn ReadMemory,
    extent: &HeapExtent,
    head: &HeapHead,
    hints: HeapHints,
    segments: &'m [Segment],
    problems: &mut Problems,
) -> Walk<'m> {
    let rule = EntryRule::of(head);
    let mut large_blocks = Vec::new();
    for at in &extent.large_blocks {
        match read_large_block(memory, &rule, *at) {
            Some(large) => {
                if !large.is_intact {
                    let text =
                        format!("the header of the large block at {at} is damaged; what was asked for is not known");
                    problems.damage(format!("heap {}", head.base), text);
                }
                large_blocks.push(large.block);
            }
            None => {
                let text = format!("the header of the large block at {at} is not in the dump");
                problems.missing(format!("heap {}", head.base), text);
            }
        }
    }
    Walk {
        memory,
        rule,
        segments,
        lookaside: read_lookaside(memory, head, &rule),
        containers: Containers::of(head),
        lfh_key: hints.lfh_key.and_then(|key| LfhKey::try_from(key & 0xffff_ffff).ok()),
        large_blocks,
    }
}

fn tell_damage(base: Va, totals: &BlockTotals, problems: &mut Problems) {
    for place in &totals.damaged_places {
        let range = place.range;
        let text = match place.loss {
            Some(Loss::BadHeader) => format!(
                "the block header at {} is damaged; blocks are known again from {} on, {} bytes are lost",
                range.start,
                range.end,
                range.size_bytes()
            ),
            Some(Loss::PastEnd) => format!(
                "the block at {} would end outside of its committed run; {} bytes are lost",
                range.start,
                range.size_bytes()
            ),
            Some(Loss::UnknownContainer) => {
                format!("the blocks of the front end in {} to {} could not be made out", range.start, range.end)
            }
            Some(Loss::NotInDump) => continue,
            None => format!("the block at {} does not know the size of the one before it", range.start),
        };
        // A container that cannot be read is our limit as often as damage.
        if place.loss == Some(Loss::UnknownContainer) {
            problems.missing(format!("heap {base}"), text);
        } else {
            problems.damage(format!("heap {base}"), text);
        }
    }
    if totals.missing_bytes > 0 {
        let text =
            format!("{} bytes of its segments are not in the dump; their blocks are not counted", totals.missing_bytes);
        problems.missing(format!("heap {base}"), text);
    }
}

/// Tells sinks of all blocks of a heap, one sink for each task; for lists of a part of them.
///
/// # Errors
/// Only when cancelled.
pub fn visit_blocks<S: BlockSink>(
    memory: &dyn ReadMemory,
    extent: &HeapExtent,
    hints: HeapHints,
    new_sink: impl Fn() -> S + Sync + Send,
    progress: &Progress,
) -> Result<Vec<S>, Cancelled> {
    let mut problems = Problems::default();
    let mut link_budget = LINK_BUDGET;
    let place = place_of(extent, hints);
    match (extent.kind, &extent.head) {
        (HeapKind::Nt, Some(head)) => {
            let segments = read_segments(memory, head, &extent.segments, &mut link_budget, &mut problems);
            let walk = walk_of(memory, extent, head, hints, &segments, &mut problems);
            Ok(walk_blocks(&walk, new_sink, progress)?.sinks)
        }
        (HeapKind::Segment, _) => {
            let mut sink = new_sink();
            segment_heap::walk_blocks(memory, place, &mut link_budget, &mut sink, progress)?;
            Ok(vec![sink])
        }
        (HeapKind::PageHeap, _) => {
            let mut sink = new_sink();
            let found = page_heap::read_blocks(memory, place, &mut link_budget, progress)?;
            found.blocks.iter().for_each(|block| sink.block(block));
            Ok(vec![sink])
        }
        _ => Ok(Vec::new()),
    }
}
