//! What runs out or breaks: memory, stacks, heaps, the file itself.

use dumptrend::analysis::diagnosis::facts::HeapDamage;
use dumptrend::analysis::diagnosis::pattern::PatternId;
use dumptrend::analysis::diagnosis::{Confidence, Verdict};
use dumptrend::base::addr::{PointerWidth, Va, VaRange};

use super::support::{Case, Kind, MB, Series, case};

pub fn cases() -> Vec<Case> {
    [memory(), stacks(), heaps(), files()].concat()
}

/// A 32-bit process whose largest free block has so many MB.
fn narrow(largest_mb: u64) -> Series {
    Series::new(3).each_dump(|_, dump| {
        dump.width = PointerWidth::Bits32;
        dump.free_bytes = Some(200 * MB);
        dump.largest_free = Some(VaRange::from_size(Va(0x1000_0000), largest_mb * MB));
    })
}

fn memory() -> Vec<Case> {
    let id = PatternId::InsufficientMemory;
    let commit = |percent: u64| Series::new(3).with_commit(percent << 30, 100 << 30);
    vec![
        case(id, Kind::Found, narrow(3), "largest free block of the 32-bit address space: 3.0 MB of 200.0 MB free")
            .sure(Confidence::Certain),
        case(id, Kind::Found, commit(97), "").sure(Confidence::Certain),
        case(id, Kind::Found, Series::new(1).with_exception(0xc000_0017), "exception c0000017")
            .sure(Confidence::Certain),
        case(id, Kind::NearMiss, narrow(40), "near"),
        case(id, Kind::NearMiss, commit(90), "near"),
        case(id, Kind::NearMiss, Series::new(1).with_exception(0xc000_0005), "the machine had committed")
            .gives(Verdict::RuledOut),
        case(id, Kind::RuledOut, narrow(500), "500.0 MB").sure(Confidence::Certain),
        case(id, Kind::RuledOut, commit(10), "7.0 TB").sure(Confidence::Certain),
        case(
            id,
            Kind::Open,
            Series::new(3).each_dump(|_, dump| dump.system_commit = None),
            "commit and its limit are not",
        ),
        case(
            id,
            Kind::Open,
            Series::new(3).each_dump(|_, dump| dump.largest_free = None),
            "free address space is not known",
        ),
    ]
}

fn stacks() -> Vec<Case> {
    let id = PatternId::StackOverflow;
    let stack = |left: u64, frames: u64, repeated: u64| {
        Series::new(2).each_thread(|thread| {
            for stack in thread.stack.iter_mut().flatten() {
                (stack.uncommitted_bytes, stack.frame_count, stack.repeated_count) = (left, frames, repeated);
            }
        })
    };
    let without =
        Series::new(2).each_thread(|thread| thread.stack.fill(None)).each_dump(|_, dump| dump.has_tebs = false);
    vec![
        case(id, Kind::Found, Series::new(1).with_exception(0xc000_00fd), "exception c00000fd")
            .sure(Confidence::Certain),
        case(id, Kind::Found, stack(0x1000, 1_000, 480), "functions that repeat").sure(Confidence::Likely),
        // All committed, as some runtimes do, and an ordinary stack on it.
        case(id, Kind::NearMiss, stack(0x1000, 30, 2), "some programs commit whole stacks"),
        // Recursion with room left.
        case(id, Kind::NearMiss, stack(0x8_0000, 1_000, 480), "512.0 KB left").gives(Verdict::RuledOut),
        case(id, Kind::RuledOut, stack(0xf_0000, 30, 2), "960.0 KB left").sure(Confidence::Certain),
        case(id, Kind::Open, without, "bounds of the stacks"),
    ]
}

fn heaps() -> Vec<Case> {
    let id = PatternId::HeapCorruption;
    let damaged = |of: [u64; 3]| {
        Series::new(3).each_heap(|heap| {
            heap.damage = of
                .map(|bad_header_count| {
                    Some(HeapDamage { bad_header_count, first: Some(Va(0x10_1000)), ..HeapDamage::default() })
                })
                .to_vec();
        })
    };
    let unread = Series::new(3).each_heap(|heap| {
        heap.damage.fill(Some(HeapDamage { bad_header_count: 1, lost_bytes: 9 * MB, ..HeapDamage::default() }));
    });
    vec![
        case(id, Kind::Found, Series::new(1).with_exception(0xc000_0374), "exception c0000374")
            .sure(Confidence::Certain),
        case(id, Kind::Found, damaged([0, 2, 2]), "1 heap has records that contradict").sure(Confidence::Likely),
        case(id, Kind::Found, damaged([0, 0, 1]), "1 heap has records").sure(Confidence::Possible),
        // In order again in the last dump.
        case(id, Kind::NearMiss, damaged([0, 2, 0]), "as when a thread changes it"),
        case(id, Kind::NearMiss, unread, "most of one heap cannot be read"),
        case(id, Kind::RuledOut, damaged([0, 0, 0]), "all blocks of 1 heap agree").sure(Confidence::Certain),
        case(id, Kind::Open, Series::new(3).each_heap(|heap| heap.damage.fill(None)), "not all blocks"),
    ]
}

fn files() -> Vec<Case> {
    let id = PatternId::TruncatedDump;
    let cut = Series::new(2).each_dump(|at, dump| dump.cut_off_bytes = at as u64 * 5 * MB);
    let stream = Series::new(1).each_dump(|_, dump| dump.cut_off_streams = vec!["memory info list".to_owned()]);
    vec![
        case(id, Kind::Found, cut, "dump 2 cut off: 5.0 MB of memory").sure(Confidence::Certain),
        case(id, Kind::Found, stream, "dump 1 cut off").sure(Confidence::Certain),
        // Small by design is not cut off.
        case(id, Kind::NearMiss, Series::new(1).each_dump(|_, dump| dump.has_full_memory = false), "by design")
            .gives(Verdict::RuledOut),
        case(
            id,
            Kind::NearMiss,
            Series::new(1).each_dump(|_, dump| dump.is_region_list_whole = Some(false)),
            "list of regions is damaged",
        ),
        case(id, Kind::RuledOut, Series::new(3), "hold all that they name").sure(Confidence::Certain),
    ]
}
