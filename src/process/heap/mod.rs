//! Process heaps: which memory belongs to each, their figures as `!heap -s` shows them, and all their blocks.
//!
//! - `head`, `layouts`: which heap it is; `extent`: which memory is its own. That much is read when a dump is opened.
//! - [`decode_heap`]: figures and totals over all blocks; `walk` tells of the blocks one by one.
//!
//! **Invariant:** nothing here is proportional to the number of blocks but time.

pub mod block;
mod decode;
mod entry;
pub mod extent;
pub mod figures;
pub mod head;
pub mod layouts;
mod lfh;
pub mod lists;
mod lookaside;
pub mod page_heap;
pub mod segment_heap;
pub mod segments;
pub mod totals;
mod walk;

pub use decode::{DecodedHeap, HeapHints, SegmentHeapState, decode_heap, visit_blocks};
