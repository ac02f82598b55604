//! Who uses the CPU, and who waits.

use dumptrend::analysis::diagnosis::pattern::PatternId;
use dumptrend::analysis::diagnosis::{Confidence, Verdict};
use dumptrend::analysis::series::growth::Values;
use dumptrend::analysis::series::thread_doing::Doing;

use super::support::{Case, Kind, Series, case};

pub fn cases() -> Vec<Case> {
    [spikes(), distributed(), contention()].concat()
}

fn spikes() -> Vec<Case> {
    let id = PatternId::SpikingThread;
    let two =
        |first: &[u64], second: &[u64]| Series::new(first.len() + 1).with_thread(0x88, first).with_thread(0x8c, second);
    let running = |series: Series| series.each_thread(|thread| thread.doing.fill(Some(Doing::Running)));
    let one_dump = |hundredths: u64| {
        Series::new(1).each_thread(|thread| {
            for totals in thread.totals.iter_mut().flatten() {
                totals.user_ns = hundredths * super::support::HOUR_NS / 100;
            }
        })
    };
    vec![
        case(
            id,
            Kind::Found,
            running(two(&[5, 92, 3], &[4, 6, 5])),
            "thread 88 used 92 % of a core between dumps 2 and 3",
        )
        .sure(Confidence::Certain),
        // It waits in every dump: the spike was between them.
        case(id, Kind::Found, two(&[92, 3], &[6, 5]), "thread 88").sure(Confidence::Likely),
        case(id, Kind::Found, two(&[92, 3], &[6, 90]), "threads 88, 8c use most of a core"),
        // Busy, and so is the next one.
        case(id, Kind::NearMiss, two(&[60, 60], &[25, 25]), "not alone").gives(Verdict::RuledOut),
        case(id, Kind::NearMiss, one_dump(90), "suspect: thread 88"),
        case(id, Kind::RuledOut, two(&[45, 20], &[4, 6]), "no thread used half of a core").sure(Confidence::Certain),
        case(id, Kind::Open, one_dump(20), "totals of one dump"),
        case(
            id,
            Kind::Open,
            Series::new(3).each_thread(|thread| thread.totals.fill(None)),
            "do not hold the threads' CPU times",
        ),
    ]
}

fn distributed() -> Vec<Case> {
    let id = PatternId::DistributedSpike;
    let many = |count: u32, hundredths: u64| {
        (0..count)
            .fold(Series::new(3), |series, number| series.with_thread(0x88 + 4 * number, &[hundredths, hundredths]))
    };
    let logging = many(8, 25).each_thread(|thread| thread.doing.fill(Some(Doing::LoggingTrace)));
    vec![
        case(id, Kind::Found, many(8, 25), "2.00 cores over dumps 1 to 3, spread over 8 threads")
            .sure(Confidence::Certain),
        case(id, Kind::Found, logging, "none has more than 12 %"),
        // Three threads are a few spiking threads.
        case(id, Kind::NearMiss, many(3, 90), "but not spread").gives(Verdict::RuledOut),
        // One of many has most of it.
        case(id, Kind::NearMiss, many(8, 10).with_thread(0x88, &[90, 90]), "thread 88 has").gives(Verdict::RuledOut),
        case(id, Kind::RuledOut, many(8, 5), "less than 0.80").sure(Confidence::Certain),
        case(id, Kind::Open, Series::new(1), "totals since the start"),
        case(
            id,
            Kind::Open,
            many(8, 25).each_thread(|thread| thread.cpu_per_interval[0] = None),
            "not known over the whole series",
        ),
    ]
}

fn contention() -> Vec<Case> {
    let id = PatternId::HighContention;
    let waiting = |count: u32, at_lock: u32| {
        let series = (0..count).fold(Series::new(2), |series, number| series.with_thread(0x88 + 4 * number, &[1]));
        series.each_thread(|thread| {
            if thread.tid < 0x88 + 4 * at_lock {
                thread.lock_wait.fill(Some("RtlpWaitForCriticalSection"));
            }
        })
    };
    let heap_lock =
        |times: u64| Series::new(2).each_heap(|heap| heap.lock_contention = Values(vec![Some(10), Some(10 + times)]));
    let unknown = waiting(4, 0).each_thread(|thread| thread.doing.fill(None));
    vec![
        case(id, Kind::Found, waiting(10, 6), "6 of 10 threads wait for locks").sure(Confidence::Likely),
        case(id, Kind::Found, heap_lock(200_000), "a heap's lock").sure(Confidence::Certain),
        case(id, Kind::NearMiss, waiting(10, 3), "at most 3 threads wait").gives(Verdict::RuledOut),
        case(id, Kind::NearMiss, heap_lock(5_000), "no thread waits").gives(Verdict::RuledOut),
        case(id, Kind::RuledOut, waiting(10, 0), "no thread waits for a lock").sure(Confidence::Certain),
        case(id, Kind::Open, unknown, "what the threads do cannot be told"),
    ]
}
