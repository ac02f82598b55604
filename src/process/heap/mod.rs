//! Process heaps: which memory belongs to each. Blocks and totals come with the heap decoder.

pub mod extent;
