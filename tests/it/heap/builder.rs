//! The heaps that tests and samples build: damage does what it says, and the samples' blocks name traces that are there.

use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::base::memory::{ReadMemory, copy_at, pointer_at, u16_at, u32_at};
use dumptrend::input::dump::{self, Dump};
use dumptrend::sample::heap_image::{BlockState, BuiltHeap, HeapGeneration, Trace};
use dumptrend::sample::{Variant, built_heaps};

use crate::support::build_heap::{
    HEAP, Header, SECOND_SEGMENT, build, header_of, heap_plan, put_header, windows_11_x64,
};
use crate::support::sample_series::write_dumps;

#[test]
fn a_page_that_is_dropped_is_not_there_and_all_else_is() {
    let (mut memory, heap) = build(&windows_11_x64());
    let page = Va(HEAP.0 + 0x3000);
    memory.drop_page(Va(page.0 + 0x123));
    assert_eq!(memory.bytes_at(page, 0x1000).len(), 0);
    assert_eq!(memory.bytes_at(HEAP, 0x9000).len(), 0x3000);
    assert_eq!(memory.bytes_at(Va(page.0 + 0x1000), 8).len(), 8);
    assert_eq!(memory.bytes_at(SECOND_SEGMENT, u64::MAX).len(), 0x8000);
    assert_eq!(heap.segments.len(), 2);
}

#[test]
fn a_flipped_header_no_longer_has_its_checksum() {
    let width = PointerWidth::Bits32;
    let plan = heap_plan(HeapGeneration::Seven, width);
    let (mut memory, heap) = build(&plan);
    let header = header_of(&heap, width, BlockState::Busy, 3);
    let sum = |memory: &dyn ReadMemory| {
        let bytes = memory.bytes_at(header, 4).iter().zip(plan.encoding.expect("a key"));
        bytes.fold(0, |sum, (byte, key)| sum ^ byte ^ key)
    };
    assert_eq!(sum(&memory), 0);
    memory.flip(header, 0x40);
    assert_eq!(sum(&memory), 0x40);
    memory.put_pointer(width, header, HEAP);
    assert_eq!(u32_at(&memory, header), Some(0x50_0000));
}

#[test]
fn a_header_written_by_hand_is_that_of_the_builder() {
    let plan = windows_11_x64();
    let (mut memory, heap) = build(&plan);
    let at = header_of(&heap, plan.width, BlockState::Sentinel, 0);
    let built = memory.bytes_at(at, 8).to_vec();
    let key = plan.encoding.expect("a key");
    let previous_size = u16::from_le_bytes([built[4] ^ key[4], built[5] ^ key[5]]);
    let header = Header { size: 4, flags: 1, previous_size, unused_bytes: 3 };
    put_header(&mut memory, &plan, at, Header { size: 0xffff, ..header });
    assert_ne!(memory.bytes_at(at, 8), built);
    put_header(&mut memory, &plan, at, header);
    assert_eq!(memory.bytes_at(at, 8), built);
}

#[test]
fn every_generation_builds_and_tells_its_columns() {
    for generation in HeapGeneration::ALL {
        for width in [PointerWidth::Bits32, PointerWidth::Bits64] {
            let (_, heap) = build(&heap_plan(generation, width));
            let [reserved, committed, virt, _, list_length, ucr_count, large, contention] = heap.totals.columns();
            assert!(committed < reserved && virt <= reserved, "{generation:?} {width:?}");
            assert_eq!((list_length, ucr_count, large, contention), (4, 3, 1, 5), "{generation:?} {width:?}");
        }
    }
}

/// How a record tells its depth: where, how wide; and where its addresses begin.
struct RecordShape {
    width: PointerWidth,
    depth: u64,
    frames: u64,
    is_wide_depth: bool,
}

fn check_traces(dump: &Dump, heaps: &[BuiltHeap], shape: &RecordShape, no_trace: Va) -> usize {
    let modules: Vec<_> = dump.modules.iter().flatten().map(|module| (module.base, module.size_bytes)).collect();
    let in_module = |va: Va| modules.iter().any(|(base, size)| (base.0..base.0 + size).contains(&va.0));
    let mut traced = 0;
    for block in heaps.iter().flat_map(BuiltHeap::outstanding) {
        let Trace::Pointer(record) = block.trace else { continue };
        // What the truth says stands in the dump, two granules and a header in front of the user's bytes.
        let tail = copy_at(&dump.memory, Va(block.user.0 - 8), 8).expect("the second header");
        assert_eq!((&tail[..4], &tail[6..]), (&[1, 0, 0, 0][..], &[2, 5][..]), "{block:?}");
        let granule = 2 * shape.width.bytes();
        assert_eq!(pointer_at(&dump.memory, Va(block.user.0 - 2 * granule), shape.width), Some(record));
        if record == no_trace {
            continue;
        }
        let depth = if shape.is_wide_depth {
            u32_at(&dump.memory, Va(record.0 + shape.depth))
        } else {
            u16_at(&dump.memory, Va(record.0 + shape.depth)).map(u32::from)
        };
        let depth = depth.expect("a record");
        assert!((3..=32).contains(&depth), "{depth} frames at {record}");
        for number in 0..u64::from(depth) {
            let frame =
                pointer_at(&dump.memory, Va(record.0 + shape.frames + number * shape.width.bytes()), shape.width);
            assert!(frame.is_some_and(in_module), "{frame:?} at {record}");
        }
        traced += 1;
    }
    traced
}

#[test]
fn blocks_of_the_samples_name_records_that_are_in_their_dumps() {
    let database = |width, depth, frames| RecordShape { width, depth, frames, is_wide_depth: false };
    let log = RecordShape { width: PointerWidth::Bits64, depth: 0xc, frames: 0x10, is_wide_depth: true };
    let seven = database(PointerWidth::Bits64, 0xe, 0x10);
    let cases = [
        (Variant::Series, &seven),
        (Variant::CaseA, &seven),
        (Variant::SevenX86, &database(PointerWidth::Bits32, 0xa, 0xc)),
        (Variant::TenX64, &log),
        (Variant::HeapLeak, &log),
        (Variant::Fluctuation, &log),
    ];
    for (variant, shape) in cases {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = write_dumps(folder.path(), variant);
        let truth = built_heaps(variant).expect("the heaps can be built");
        // Logs stand behind the dumps.
        assert_eq!(files.len(), truth.len());
        for (file, heaps) in files.iter().zip(&truth) {
            let dump = dump::open(file).expect("the dump can be opened");
            let traced = check_traces(&dump, heaps, shape, Va(0x0101_0000_0000_0000));
            assert!(traced > 100, "{variant:?}: {traced}");
        }
    }
}
