//! Heaps of a real dump, against figures that were worked out by hand.

use dumptrend::base::progress::Progress;
use dumptrend::process::heap::{HeapHints, decode_heap};

use crate::support::shared::shared_file;
use dumptrend::analysis::snapshot::take_snapshot;
use dumptrend::input::dump;

#[test]
fn fizz() {
    let Some(path) = shared_file("dumps/fizzbuzz_wow64.dmp") else { return };
    let snapshot = take_snapshot(dump::open(&path).unwrap(), &Progress::default()).unwrap();
    for heap in &snapshot.heaps {
        let d = decode_heap(
            &snapshot.dump.memory,
            &heap.extent,
            HeapHints { os_build: heap.os_build, lfh_key: None },
            &Progress::default(),
        )
        .unwrap();
        println!(
            "{} {:?} {:#x?}",
            heap.extent.base,
            heap.extent.head.as_ref().map(|h| (h.layout.generation, h.evidence.clone())),
            d.figures
        );
        let t = d.totals.unwrap();
        println!(
            "  entries {:?} busy {:?} in use {:?} free {:?} undamaged {} whole {}",
            t.entries(),
            t.busy_entries(),
            t.in_use(),
            t.free(),
            t.is_undamaged(),
            t.is_whole()
        );
        println!(
            "  lfh key {:x?} kinds {:?}",
            d.lfh_key_low,
            dumptrend::process::heap::block::BlockKind::ALL.map(|k| (k, t.of(k)))
        );
        println!("  {:?} {:?}", t.damaged_places, d.problems);
    }
    panic!();
}
