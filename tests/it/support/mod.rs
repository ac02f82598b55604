//! What the tests share: builders of dumps and processes, the sample series, real files.
//!
//! **Invariant:** nothing here knows a layout of the decoders; bytes come from `dumptrend::sample` or are written by hand.

pub mod all_streams;
pub mod build_dump;
pub mod build_heap;
pub mod build_log;
pub mod build_process;
pub mod build_umdh;
pub mod build_wow64;
pub mod capsule_seeds;
pub mod code_image;
pub mod heap_seeds;
pub mod process_image;
pub mod sample_series;
pub mod seeds;
pub mod shared;
pub mod store_seeds;
