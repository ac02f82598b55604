//! Files that we open, turned into plain records. The only layer that reads files.
//!
//! **Invariant:** whatever the bytes say, a decoder here returns what it got plus problems; it does not panic, loop without
//! end, or allocate in proportion to a number read from the file.
#![warn(clippy::indexing_slicing, clippy::cast_possible_truncation, clippy::arithmetic_side_effects)]

pub mod dump;
pub mod image;
pub mod symbols;
pub mod umdh;
