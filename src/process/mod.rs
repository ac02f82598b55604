//! What the dumped process looked like: PEB, threads, heaps, regions. The folders here do not know each other; what
//! joins them is `analysis::snapshot`.
//!
//! **Invariant:** decoders here get memory and plain values, never files, paths, settings or clocks.
#![warn(clippy::indexing_slicing, clippy::cast_possible_truncation, clippy::arithmetic_side_effects)]

pub mod heap;
pub mod peb;
pub mod regions;
pub mod stacks;
pub mod threads;
pub mod traces;
