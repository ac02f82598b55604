//! The way in for fuzz targets, and for the tests that replay their corpora: any bytes, through reader and snapshot, through
//! the decoders of the trace stores (`stores`) and of heaps (`heaps`), through the reader of UMDH logs (`logs`), or any text as a case capsule (`capsule`).
//!
//! What must not happen: a panic, a hang, or memory in proportion to a number found in the bytes.

mod capsule;
mod heaps;
mod logs;
mod process_image;
mod stores;

pub use capsule::read_as_capsule;
pub use heaps::walk_heap;
pub use logs::read_as_log;
pub use stores::find_and_decode;

use std::hint::black_box;
use std::path::Path;

use crate::analysis::series::allocations::allocations;
use crate::analysis::series::equal_sizes::equal_sizes;
use crate::analysis::series::traces::decode_series;
use crate::analysis::snapshot::take_snapshot;
use crate::analysis::snapshot::thread_stacks::{UnwindHelp, thread_stacks};
use crate::analysis::snapshot::trace_entries::trace_entries;
use crate::base::memory::ReadMemory;
use crate::base::progress::Progress;
use crate::input::dump;

/// Reads `data` as a dump and touches what came of it: records, problems, regions with the memory they start with,
/// allocations, trace stores, stacks. Whether it was a dump.
///
/// # Panics
/// When the regions break their invariant: sorted, none empty, without overlap; or when a stack goes down.
pub fn open_and_walk(data: &[u8]) -> bool {
    let dump = match dump::open_bytes(Path::new("any.dmp"), data.to_vec()) {
        Ok(dump) => dump,
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "an error takes one line: {error}");
            return false;
        }
    };
    let Ok(snapshot) = take_snapshot(dump, &Progress::default()) else { return false };
    let regions = &snapshot.address_space.regions;
    assert!(regions.iter().all(|region| !region.range.is_empty()), "a region is empty");
    let in_order = |pair: &[crate::process::regions::Region]| {
        pair.first().zip(pair.last()).is_none_or(|(before, after)| before.range.end <= after.range.start)
    };
    assert!(regions.windows(2).all(in_order), "regions overlap or are not sorted");
    for region in regions {
        let start = snapshot.dump.memory.bytes_at(region.range.start, 16);
        black_box(start.iter().fold(0_u8, |sum, byte| sum ^ byte));
    }
    for problem in snapshot.problems.iter() {
        black_box((problem.place.len(), problem.text.len()));
    }
    for header in &snapshot.trace_stores {
        black_box(trace_entries(&snapshot, header).count());
    }
    let snapshot = std::sync::Arc::new(snapshot);
    black_box(decode_series(std::slice::from_ref(&snapshot), &Progress::default()).is_ok());
    let stacks = thread_stacks(&snapshot, UnwindHelp::default(), &Progress::default()).unwrap_or_default();
    for frames in stacks.iter().map(|(_, stacks)| &stacks.native.frames) {
        // The stack pointer may stay once, behind the innermost frame.
        let grows = |pair: &[crate::process::stacks::Frame]| matches!(pair, [before, after] if before.sp < after.sp);
        assert!(frames.windows(2).skip(1).all(grows), "a stack goes down");
    }
    black_box((allocations(&snapshot), equal_sizes(&snapshot), &snapshot.threads, &snapshot.dump.modules));
    true
}
