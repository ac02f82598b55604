//! The segments of a heap, and which runs of each are committed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::addr::{Va, VaRange};
use crate::base::memory::{self, ReadMemory};
use crate::base::problems::Problems;

use super::head::HeapHead;
use super::layouts::{HeapGeneration, HoleLayout, SegmentLayout, hole_layout, segment_layout};
use super::lists::ListReader;

const SEGMENT_SIGNATURE: u32 = 0xffee_ffee;
const PAGE_BYTES: u64 = 0x1000;

/// One segment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Segment {
    pub base: Va,
    /// From BaseAddress: NumberOfPages pages.
    pub range: VaRange,
    pub uncommitted_bytes: u64,
    /// NumberOfUnCommittedRanges, as the segment counts them.
    pub uncommitted_range_count: u32,
    /// XP and 2003: LargestUnCommittedRange.
    pub largest_uncommitted_bytes: Option<u64>,
    /// What holds blocks, in order: from FirstEntry on, without the holes.
    pub runs: Vec<VaRange>,
}

/// Reads the segments at `bases`. One that is not in the dump, or none at all, is a problem; the others are given.
pub fn read_segments(
    memory: &dyn ReadMemory,
    head: &HeapHead,
    bases: &[Va],
    link_budget: &mut usize,
    problems: &mut Problems,
) -> Vec<Segment> {
    let mut segments = Vec::new();
    // Where each known one ends, by its start: memory that two segments claim would be walked twice, or a thousand times.
    let mut ends: BTreeMap<Va, Va> = BTreeMap::new();
    for base in bases {
        match read_segment(memory, head, *base, link_budget, problems) {
            Ok(Segment { range, .. })
                if ends.range(..range.end).next_back().is_some_and(|(_, end)| *end > range.start) =>
            {
                let text = format!("the segment at {base} lies in memory of another one; it is left out");
                problems.damage(format!("heap {}", head.base), text);
            }
            Ok(segment) => {
                ends.insert(segment.range.start, segment.range.end);
                segments.push(segment);
            }
            Err(SegmentFault::NotInDump) => {
                problems.missing(format!("heap {}", head.base), format!("the segment at {base} is not in the dump"));
            }
            Err(SegmentFault::Contradicts) => {
                let text = format!("what its list has at {base} is no segment of this heap; it is left out");
                problems.damage(format!("heap {}", head.base), text);
            }
        }
    }
    segments
}

enum SegmentFault {
    NotInDump,
    Contradicts,
}

fn read_segment(
    memory: &dyn ReadMemory,
    head: &HeapHead,
    base: Va,
    link_budget: &mut usize,
    problems: &mut Problems,
) -> Result<Segment, SegmentFault> {
    let width = head.width();
    let layout = segment_layout(head.layout.generation, width);
    let fields = read_fields(memory, layout, head, base).ok_or(SegmentFault::NotInDump)?;
    let range = VaRange::from_size(fields.base_address, u64::from(fields.page_count).saturating_mul(PAGE_BYTES));
    let is_one = fields.signature == SEGMENT_SIGNATURE
        && fields.heap == head.base
        && fields.page_count > 0
        && range.contains(base)
        && fields.first_entry >= fields.base_address
        && fields.last_valid_entry <= range.end
        && fields.first_entry <= fields.last_valid_entry;
    if !is_one {
        return Err(SegmentFault::Contradicts);
    }
    let mut list = ListReader { memory, width, heap: head.base, link_budget, is_whole: true };
    let holes = holes(&mut list, head.layout.generation, base, layout, problems);
    let whole = VaRange { start: fields.first_entry, end: fields.last_valid_entry };
    Ok(Segment {
        base,
        range,
        uncommitted_bytes: u64::from(fields.uncommitted_page_count).saturating_mul(PAGE_BYTES),
        uncommitted_range_count: fields.uncommitted_range_count,
        largest_uncommitted_bytes: fields.largest_uncommitted_bytes,
        runs: runs_between(whole, holes, head.base, problems),
    })
}

struct SegmentFields {
    signature: u32,
    heap: Va,
    base_address: Va,
    page_count: u32,
    first_entry: Va,
    last_valid_entry: Va,
    uncommitted_page_count: u32,
    uncommitted_range_count: u32,
    largest_uncommitted_bytes: Option<u64>,
}

fn read_fields(memory: &dyn ReadMemory, layout: &SegmentLayout, head: &HeapHead, base: Va) -> Option<SegmentFields> {
    let u32_at = |offset: u64| memory::u32_at(memory, base.checked_add(offset)?);
    let pointer_at = |offset: u64| memory::pointer_at(memory, base.checked_add(offset)?, head.width());
    Some(SegmentFields {
        // The first segment of XP lies behind the heap's head, the others begin as a heap does.
        signature: u32_at(layout.signature)?,
        heap: pointer_at(layout.heap)?,
        base_address: pointer_at(layout.base_address)?,
        page_count: u32_at(layout.number_of_pages)?,
        first_entry: pointer_at(layout.first_entry)?,
        last_valid_entry: pointer_at(layout.last_valid_entry)?,
        uncommitted_page_count: u32_at(layout.number_of_uncommitted_pages)?,
        uncommitted_range_count: u32_at(layout.number_of_uncommitted_ranges)?,
        largest_uncommitted_bytes: layout.largest_uncommitted_range.and_then(pointer_at).map(|bytes| bytes.0),
    })
}

/// The uncommitted ranges of a segment: a circle of links (Vista and later), or a chain that ends (XP).
fn holes(
    list: &mut ListReader<'_>,
    generation: HeapGeneration,
    base: Va,
    layout: &SegmentLayout,
    problems: &mut Problems,
) -> Vec<VaRange> {
    const NAME: &str = "list of a segment's uncommitted ranges";
    let Some(at) = base.checked_add(layout.uncommitted) else { return Vec::new() };
    let links = match generation {
        HeapGeneration::Xp => list.single(at, NAME, problems),
        _ => list.linked(at, NAME, problems),
    };
    let hole = hole_layout(generation, list.width);
    links.into_iter().filter_map(|link| hole_at(list, &hole, link.0.checked_sub(hole.link).map(Va)?)).collect()
}

fn hole_at(list: &ListReader<'_>, hole: &HoleLayout, at: Va) -> Option<VaRange> {
    let start = memory::pointer_at(list.memory, at.checked_add(hole.address)?, list.width)?;
    let size = memory::pointer_at(list.memory, at.checked_add(hole.size)?, list.width)?;
    Some(VaRange::from_size(start, size.0)).filter(|range| !range.is_empty())
}

/// What is left of `whole` without the holes.
fn runs_between(whole: VaRange, mut holes: Vec<VaRange>, heap: Va, problems: &mut Problems) -> Vec<VaRange> {
    holes.sort_unstable_by_key(|hole| hole.start);
    let mut runs = Vec::new();
    let mut at = whole.start;
    for hole in holes {
        if hole.start < at || hole.end > whole.end {
            let text = format!("the uncommitted range {} to {} does not lie in its segment", hole.start, hole.end);
            problems.damage(format!("heap {heap}"), text);
            continue;
        }
        runs.push(VaRange { start: at, end: hole.start });
        at = hole.end;
    }
    runs.push(VaRange { start: at, end: whole.end });
    runs.retain(|run| !run.is_empty());
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> VaRange {
        VaRange { start: Va(start), end: Va(end) }
    }

    #[test]
    fn holes_divide_a_segment_into_runs() {
        let mut problems = Problems::default();
        let holes = vec![range(0x5000, 0x6000), range(0x2000, 0x3000), range(0x8000, 0x9000)];
        let runs = runs_between(range(0x1000, 0x9000), holes, Va(0x1000), &mut problems);
        assert_eq!(runs, [range(0x1000, 0x2000), range(0x3000, 0x5000), range(0x6000, 0x8000)]);
        assert!(problems.is_empty());
    }

    #[test]
    fn a_hole_outside_is_told_and_left_out() {
        let mut problems = Problems::default();
        let runs = runs_between(range(0x1000, 0x9000), vec![range(0x8000, 0xa000)], Va(0x1000), &mut problems);
        assert_eq!(runs, [range(0x1000, 0x9000)]);
        assert_eq!(problems.len(), 1);
    }
}
