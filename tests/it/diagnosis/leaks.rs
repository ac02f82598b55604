//! What grows: heaps, regions, handles, threads; and what only goes up and down.

use dumptrend::analysis::diagnosis::facts::{EqualSizeFacts, LoggedCurve, StackInUse};
use dumptrend::analysis::diagnosis::pattern::PatternId;
use dumptrend::analysis::diagnosis::{Confidence, Verdict};
use dumptrend::analysis::series::growth::Values;
use dumptrend::base::addr::Va;
use dumptrend::process::regions::usage::Usage;

use super::support::{Case, Kind, MB, Series, case};

pub fn cases() -> Vec<Case> {
    [heap_leaks(), region_leaks(), fluctuations(), handle_leaks(), thread_growths()].concat()
}

fn mb(of: &[u64]) -> Vec<u64> {
    of.iter().map(|mb| mb * MB).collect()
}

/// A heap and private memory, in MB.
fn heap(heap: &[u64], private: &[u64]) -> Series {
    Series::new(heap.len()).with_heap(0x10_0000, &mb(heap)).with_private(&mb(private))
}

fn heap_leaks() -> Vec<Case> {
    let id = PatternId::MemoryLeakProcessHeap;
    let with_stack = |mut series: Series| {
        series.facts.stacks_in_use = Some(vec![StackInUse {
            stack: 3,
            name: "app!leak+0x10".to_owned(),
            user_bytes: Values(mb(&[90, 180, 280]).into_iter().map(Some).collect()),
        }]);
        series
    };
    vec![
        // The catalogue's own numbers.
        case(id, Kind::Found, heap(&[100, 200, 300], &[120, 220, 320]), "1 heap rises in nearly every dump: +200.0 MB")
            .sure(Confidence::Certain),
        case(id, Kind::Found, with_stack(heap(&[100, 200, 300], &[120, 220, 320])), "(100 %)"),
        // Most of the growth is elsewhere.
        case(id, Kind::NearMiss, heap(&[100, 130, 160], &[100, 300, 500]), "smaller part"),
        // Half of the growth, and not a fifth more than before.
        case(id, Kind::NearMiss, heap(&[100, 300, 301], &[100, 305, 310]), "rose once and stayed"),
        case(id, Kind::NearMiss, heap(&[100, 200], &[120, 220]), "suspect"),
        case(
            id,
            Kind::RuledOut,
            heap(&[100, 100, 100], &[120, 220, 320]),
            "0 B in all heaps, 100.0 MB in every dump; private memory grew by 200.0 MB",
        )
        .sure(Confidence::Certain),
        // Two dumps are enough to see that nothing changed.
        case(id, Kind::RuledOut, heap(&[100, 100], &[120, 320]), "0 B in all heaps"),
        case(id, Kind::RuledOut, heap(&[100, 100, 100], &[120, 120, 120]), "did not grow either"),
        case(id, Kind::Open, heap(&[100], &[120]), "one dump shows how much"),
        case(
            id,
            Kind::Open,
            heap(&[100, 200, 300], &[120, 220, 320]).each_heap(|heap| heap.committed.0[1..].fill(None)),
            "not every dump",
        ),
        case(
            id,
            Kind::Open,
            heap(&[100, 200, 300], &[1, 1, 1]).each_heap(|heap| heap.committed.0.fill(None)),
            "no heap can be read",
        ),
    ]
}

/// Private memory of unknown use and all private memory, in MB, and many regions of 64 KB.
fn regions(unknown: &[u64], private: &[u64]) -> Series {
    let mut series = Series::new(unknown.len()).with_use(Usage::Unknown, &mb(unknown)).with_private(&mb(private));
    let counts: Vec<Option<u64>> = unknown.iter().map(|mb| Some(mb * 16)).collect();
    series.facts.memory.equal_sizes = vec![EqualSizeFacts {
        size_bytes: 0x1_0000,
        usage: Usage::Unknown,
        counts: Values(counts),
        committed: Values(mb(unknown).into_iter().map(Some).collect()),
        longest_run_count: 40,
        first: Va(0x200_0000),
    }];
    series
}

fn region_leaks() -> Vec<Case> {
    let id = PatternId::MemoryLeakRegions;
    let incomparable = |mut series: Series| {
        series.facts.memory.uses.iter_mut().for_each(|facts| facts.is_comparable = false);
        series
    };
    vec![
        case(
            id,
            Kind::Found,
            regions(&[10, 60, 110], &[30, 80, 130]),
            "private memory outside of heaps rises: +100.0 MB of +100.0 MB (100 %)",
        )
        .sure(Confidence::Certain),
        case(id, Kind::NearMiss, regions(&[10, 20, 30], &[30, 80, 130]), "smaller part"),
        case(id, Kind::NearMiss, regions(&[10, 110, 110], &[30, 130, 130]), "rose once and stayed"),
        case(id, Kind::NearMiss, regions(&[10, 110], &[30, 130]), "suspect"),
        case(id, Kind::RuledOut, regions(&[10, 10, 10], &[30, 80, 130]), "0 B of +100.0 MB").sure(Confidence::Certain),
        case(id, Kind::RuledOut, regions(&[10, 60, 10], &[30, 80, 130]), "0 B of +100.0 MB"),
        case(id, Kind::Open, incomparable(regions(&[10, 60, 110], &[30, 80, 130])), "same structures"),
        case(id, Kind::Open, regions(&[10], &[30]), "one dump"),
    ]
}

fn fluctuations() -> Vec<Case> {
    let id = PatternId::MemoryFluctuation;
    let heap = |of: &[u64]| Series::new(of.len()).with_heap(0x10_0000, &mb(of));
    let with_logs = |curves: &[&[u64]]| {
        let mut series = Series::new(6);
        series.facts.logged_curves =
            curves.iter().map(|bytes| LoggedCurve { name: "app!f".to_owned(), bytes: mb(bytes) }).collect();
        series
    };
    vec![
        case(id, Kind::Found, heap(&[40, 90, 35, 88, 45]), "1 curve goes up and down").sure(Confidence::Possible),
        // A log fluctuates while the heaps of the dumps stand still.
        case(id, Kind::Found, with_logs(&[&[5, 9, 4, 8, 5], &[1, 3, 1, 3, 1]]), "2 curves go up and down")
            .sure(Confidence::Likely),
        // Turns once, and what is left is most of the swing.
        case(id, Kind::NearMiss, heap(&[40, 60, 100, 140, 130]), "nothing goes up and down").gives(Verdict::RuledOut),
        case(id, Kind::RuledOut, heap(&[40, 40, 40, 40]), "nothing changes at all").sure(Confidence::Certain),
        case(id, Kind::RuledOut, heap(&[40, 60, 80, 100]), "nothing goes up and down"),
        case(id, Kind::Open, heap(&[40, 90]), "three dumps or logs"),
    ]
}

fn handle_leaks() -> Vec<Case> {
    let id = PatternId::HandleLeak;
    let handles = |counts: &[u64]| Series::new(counts.len()).with_handles("Event", counts);
    let without = |mut series: Series| {
        series.facts.handles.total.0.fill(None);
        series
    };
    vec![
        case(id, Kind::Found, handles(&[1_000, 2_000, 3_000]), "+2,000 open handles, most of them Event")
            .sure(Confidence::Certain),
        // The catalogue's example of one dump.
        case(id, Kind::Found, handles(&[273_020]), "273,020 open handles").sure(Confidence::Possible),
        case(id, Kind::NearMiss, handles(&[1_000, 2_000, 1_500]), "but not in every dump"),
        case(id, Kind::NearMiss, handles(&[1_000, 2_000]), "two dumps show no direction"),
        case(id, Kind::NearMiss, handles(&[1_000, 1_040, 1_090]), "+90 open handles").gives(Verdict::RuledOut),
        case(id, Kind::RuledOut, handles(&[1_000, 1_000, 1_000]), "1,000 open handles in the first and the last dump")
            .sure(Confidence::Certain),
        case(id, Kind::Open, handles(&[1_000]), "one list does not show"),
        case(id, Kind::Open, without(handles(&[1, 1, 1])), "no list of handles"),
    ]
}

/// So many threads in each dump, all begun at one place.
fn threads(counts: &[u64]) -> Series {
    let count = counts.len();
    let most = counts.iter().copied().max().unwrap_or(0);
    let mut series = (0..most)
        .fold(Series::new(count), |series, tid| series.with_thread(0x88 + 4 * tid as u32, &vec![0; count - 1]));
    for (number, thread) in series.facts.threads.iter_mut().enumerate() {
        thread.is_present = counts.iter().map(|count| (number as u64) < *count).collect();
    }
    series
}

fn thread_growths() -> Vec<Case> {
    let id = PatternId::ThreadGrowth;
    let stacks = |series: Series| series.with_use(Usage::Stack, &mb(&[1, 2, 3]));
    vec![
        case(id, Kind::Found, stacks(threads(&[10, 20, 30])), "+20 threads, 20 of them begun at app!worker")
            .sure(Confidence::Certain),
        case(id, Kind::NearMiss, threads(&[10, 30, 25]), "but not in every dump"),
        case(id, Kind::NearMiss, threads(&[10, 30]), "two dumps show no direction"),
        case(id, Kind::NearMiss, threads(&[100, 105, 109]), "100 to 109 threads").gives(Verdict::RuledOut),
        case(id, Kind::RuledOut, threads(&[10, 10, 10]), "10 threads in the first and the last dump")
            .sure(Confidence::Certain),
        case(id, Kind::Open, threads(&[10]), "one dump does not show"),
    ]
}
