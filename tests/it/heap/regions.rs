//! What a heap counts is what the map of the address space gives to it: for every heap of every dump.

use std::path::Path;

use dumptrend::analysis::snapshot::{Snapshot, take_snapshot};
use dumptrend::base::addr::Va;
use dumptrend::base::progress::Progress;
use dumptrend::input::dump;
use dumptrend::process::heap::block::BlockKind;
use dumptrend::process::heap::layouts::HeapGeneration;
use dumptrend::process::regions::usage::{HeapPart, Owner, Usage};
use dumptrend::process::regions::{MemoryType, Region, State};
use dumptrend::sample::Variant;

use super::decode;
use crate::support::sample_series::write_dumps;
use crate::support::shared::shared_file;

const PAGE_BYTES: u64 = 0x1000;

fn sum<'a>(regions: impl Iterator<Item = &'a Region>) -> u64 {
    regions.map(|region| region.range.size_bytes()).sum()
}

fn take(path: &Path) -> Snapshot {
    take_snapshot(dump::open(path).expect("a dump"), &Progress::default()).expect("not cancelled")
}

/// Every heap of a dump. Returns how many.
fn check(path: &Path) -> usize {
    let snapshot = take(path);
    let mut all_committed_bytes = 0;
    for heap in &snapshot.heaps {
        let base = heap.extent.base;
        let what = format!("{} heap {base}", path.display());
        let decoded = decode(&snapshot.dump.memory, &heap.extent);
        let figures = decoded.figures.expect("figures");
        let of = |parts: &[HeapPart]| -> Vec<&Region> {
            let is_part = |owner: Owner| match owner {
                Owner::Heap { handle, part, width, .. } => {
                    handle == base && width == heap.extent.width && parts.contains(&part)
                }
                _ => false,
            };
            snapshot.address_space.regions.iter().filter(|region| is_part(region.owner)).collect()
        };
        let own = of(&[HeapPart::Segment, HeapPart::FrontEnd]);
        let committed = sum(own.iter().copied().filter(|region| region.state == State::Commit));
        let reserved = sum(own.iter().copied());
        // Windows 10 and later: the last page of a segment's allocation is a guard page that the heap does not count.
        let guards: u64 =
            decoded.segments.iter().map(|segment| guard_bytes(&own, segment.base, segment.range.end)).sum();
        let generation = heap.extent.head.as_ref().expect("a head").layout.generation;
        assert!(guards == 0 || generation >= HeapGeneration::Ten1607, "{what}");
        assert_eq!(reserved, figures.reserved_bytes + guards, "{what}");
        if own.iter().all(|region| region.memory_type == Some(MemoryType::Private)) {
            assert_eq!(committed, figures.committed_bytes, "{what}");
        } else {
            // A section that another process made may be committed as a whole, whatever the heap uses of it.
            assert!(own.iter().all(|region| region.memory_type == Some(MemoryType::Mapped)), "{what}");
            assert!(committed == figures.committed_bytes || committed == figures.reserved_bytes, "{what}");
        }
        let large = decoded.totals.expect("totals").of(BlockKind::Large);
        let large_regions = of(&[HeapPart::LargeBlock]);
        assert_eq!(sum(large_regions.iter().copied()), large.block_bytes, "{what}");
        all_committed_bytes += committed + large.block_bytes;
    }
    // And nothing else is taken for heap memory.
    assert_eq!(snapshot.address_space.totals.committed_bytes_of(Usage::Heap), Some(all_committed_bytes));
    snapshot.heaps.len()
}

/// From the end of a segment to the end of its allocation: nothing, or one reserved page.
fn guard_bytes(regions: &[&Region], segment: Va, end: Va) -> u64 {
    let allocation = regions.iter().find(|region| region.range.contains(segment)).expect("a region").allocation_base;
    let behind: Vec<_> =
        regions.iter().filter(|region| region.allocation_base == allocation && region.range.end > end).collect();
    let bytes: u64 = behind.iter().map(|region| region.range.end.0 - region.range.start.0.max(end.0)).sum();
    assert!(bytes <= PAGE_BYTES && behind.iter().all(|region| region.state == State::Reserve), "{segment}: {bytes:x}");
    bytes
}

#[test]
fn heaps_of_all_samples_agree_with_the_map() {
    let mut heap_count = 0;
    for variant in Variant::ALL {
        let folder = tempfile::tempdir().expect("a folder");
        let files = write_dumps(folder.path(), variant);
        heap_count += files.iter().map(|file| check(file)).sum::<usize>();
    }
    assert!(heap_count > 90, "{heap_count}");
}

#[test]
fn heaps_of_a_real_process_agree_with_the_map() {
    let Some(path) = shared_file("dumps/fizzbuzz_wow64.dmp") else { return };
    assert_eq!(check(&path), 5);
}
