//! Heaps: what they are called, their figures in WinDbg's form, tables of heaps, sizes and blocks, and what they did over
//! the series in one sentence.

pub mod blocks;
pub mod heap_table;
pub mod sizes;
pub mod summary;
pub mod verdict;

use crate::analysis::Analysis;
use crate::analysis::series::shape::Shape;
use crate::analysis::snapshot::heaps::DumpHeaps;
use crate::base::ids::DumpIdx;
use crate::process::heap::block::BlockKind;
use crate::process::heap::head::{FrontEnd, HeapKind};

/// The heaps of a dump; `None` before they were decoded.
pub fn heaps_of(analysis: &Analysis, dump: DumpIdx) -> Option<&DumpHeaps> {
    let group = analysis.group_of(dump)?;
    let position = group.dumps.iter().position(|other| *other == dump)?;
    analysis.heaps_of(group)?.dumps.get(position)
}

pub const fn kind_name(kind: HeapKind) -> &'static str {
    match kind {
        HeapKind::Nt => "NT",
        HeapKind::Segment => "segment",
        HeapKind::PageHeap => "page heap",
        HeapKind::Unrecognised => "not recognised",
        HeapKind::NotInDump => "not in the dump",
    }
}

/// The column `Fast heap` of `!heap -s`.
pub const fn front_end_name(front_end: FrontEnd) -> &'static str {
    match front_end {
        FrontEnd::None => "",
        FrontEnd::Lookaside => "L",
        FrontEnd::LowFragmentation => "LFH",
    }
}

pub const fn block_kind_name(kind: BlockKind) -> &'static str {
    match kind {
        BlockKind::Busy => "busy",
        BlockKind::Free => "free",
        BlockKind::EndOfRun => "end of a committed run",
        BlockKind::LfhContainer => "LFH container",
        BlockKind::LfhBusy => "busy, LFH",
        BlockKind::LfhFree => "free, LFH",
        BlockKind::Large => "virtual block",
        BlockKind::Lookaside => "free, lookaside",
    }
}

/// What a value does over the series, in a word.
pub const fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Growth => "grows",
        Shape::Step => "step",
        Shape::Plateau => "plateau",
        Shape::Fluctuation => "fluctuates",
        Shape::Steady => "steady",
        Shape::Shrinking => "shrinks",
        Shape::Undecided => "undecided",
    }
}
