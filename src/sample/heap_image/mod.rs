//! Writes process heaps as they lie in memory: NT heaps of each Windows since XP, page heaps, and segment heaps but for what is
//! inside of their ranges.
//!
//! A [`HeapPlan`] says what a heap has; [`HeapPlan::build`] gives its bytes, its regions and the truth about it
//! ([`BuiltHeap`]), against which decoders are tested. The same plan gives the same bytes.
//!
//! - `plan`: what to build. `truth`: what was built.
//! - `layout`: where fields lie, for each Windows. `entry`: the headers of blocks.
//! - `place`: which block lies where. `head`, `xp_head`, `front_end`: the structures around the blocks.
//! - `page_heap`, `segment_heap`: the two other kinds of heaps.

mod build;
#[cfg(test)]
mod checks;
mod entry;
mod front_end;
mod head;
mod layout;
pub mod page_heap;
mod place;
mod plan;
pub mod segment_heap;
#[cfg(test)]
mod tests;
mod truth;
mod xp_head;

pub use build::HeapImage;
pub use plan::{
    BusyBlock, CAPTURE_STACK_TRACES, FrontEnd, HeapGeneration, HeapPlan, LfhBlocks, PlannedBlock, RunPlan, SegmentPlan,
    SegmentRegion, Trace, VirtualBlock, encoding_key,
};
pub use truth::{BlockState, BuiltBlock, BuiltHeap, BuiltSegment, HeapTotals};
