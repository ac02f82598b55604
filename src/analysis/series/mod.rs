//! Comparison of the dumps of a series. Pure: snapshots in, values out.

pub mod allocations;
pub mod delta;
pub mod equal_sizes;
pub mod group;
pub mod threads;
pub mod traces;
pub mod trend;
