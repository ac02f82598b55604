//! Comparison of the dumps of a series. Pure: snapshots in, values out.

pub mod allocations;
pub mod call_tree;
pub mod delta;
pub mod equal_sizes;
pub mod group;
pub mod growth;
pub mod handles;
pub mod heaps;
pub mod leading_frame;
pub mod modules;
pub mod outstanding;
pub mod shape;
pub mod stacks;
pub mod store_growth;
pub mod thread_doing;
pub mod thread_stacks;
pub mod threads;
pub mod time_to_full;
pub mod traces;
pub mod trend;
pub mod umdh_group;
pub mod umdh_join;
pub mod umdh_names;
