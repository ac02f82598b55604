//! High Contention: many threads wait for locks of the process at one moment, or a heap's lock is waited for again and again.

use std::collections::BTreeMap;

use super::super::evidence::{Evidence, Number, Place, Strength, windbg_address};
use super::super::facts::SeriesFacts;
use super::super::pattern::PatternId;
use super::super::{Finding, NextDumpKind, Subject, Verdict};
use super::{Pattern, plural};
use crate::analysis::thresholds::{CONTENDED_LEAST_THREADS, CONTENDED_SHARE, CONTENTION_PER_HOUR, MOST_NAMED};
use crate::base::units::grouped;

const ID: PatternId = PatternId::HighContention;
pub const PATTERN: Pattern = Pattern { id: ID, judge };

/// Threads at locks in one dump.
struct Queue {
    dump: usize,
    waiting: Vec<(u32, &'static str)>,
    thread_count: usize,
}

impl Queue {
    fn is_contended(&self) -> bool {
        self.waiting.len() >= CONTENDED_LEAST_THREADS
            && self.waiting.len() as f64 >= CONTENDED_SHARE * self.thread_count as f64
    }
}

fn judge(facts: &SeriesFacts) -> Finding {
    let queues: Vec<Queue> = (0..facts.dumps.len()).map(|dump| queue(facts, dump)).collect();
    let longest = queues.iter().max_by_key(|queue| queue.waiting.len());
    let heap_lines = heap_lines(facts);
    let contended: Vec<&Queue> = queues.iter().filter(|queue| queue.is_contended()).collect();
    if let Some(queue) = contended.iter().max_by_key(|queue| queue.waiting.len()) {
        let repeated = (contended.len() > 1).then(|| {
            Evidence::new(Strength::Supports, format!("the same in {} of {} dumps", contended.len(), facts.dumps.len()))
                .number(Number::Count(contended.len() as u64))
        });
        let text = format!(
            "{} of {} threads wait for locks in dump {}",
            queue.waiting.len(),
            queue.thread_count,
            facts.dump(queue.dump)
        );
        return Finding::new(ID, Verdict::Found, text)
            .evidence(queue_lines(facts, queue, Strength::Supports).into_iter().chain(repeated).chain(heap_lines))
            .subjects(queue.waiting.iter().take(MOST_NAMED).map(|(tid, _)| Subject {
                name: format!("thread {tid:x}"),
                place: Some(Place::Thread { dump: facts.dump(queue.dump), tid: *tid }),
            }))
            .refuted_by("dumps a second apart in which other threads wait each time for a moment only")
            .next(NextDumpKind::BusyCpu, "whether the same threads wait for the same lock");
    }
    if !heap_lines.is_empty() {
        return Finding::new(ID, Verdict::Found, "a heap's lock is waited for many times a second")
            .evidence(heap_lines)
            .refuted_by("the same counter standing still in later dumps")
            .next(NextDumpKind::BusyCpu, "which threads wait for the heap");
    }
    if !facts.are_stacks_unwound {
        return Finding::new(ID, Verdict::Undecided, "stacks are still being unwound");
    }
    let known = facts.threads.iter().flat_map(|thread| &thread.doing).filter(|doing| doing.is_some()).count();
    let Some(longest) = longest.filter(|_| known > 0) else {
        return Finding::new(
            ID,
            Verdict::Undecided,
            "what the threads do cannot be told: their stacks or the names on them are missing",
        )
        .next(NextDumpKind::Full, "which threads wait for locks");
    };
    let text = if longest.waiting.is_empty() {
        format!("no thread waits for a lock in {}", facts.dumps_text())
    } else {
        format!(
            "at most {} for a lock, in dump {}",
            plural(longest.waiting.len(), "thread waits", "threads wait"),
            facts.dump(longest.dump)
        )
    };
    Finding::new(ID, Verdict::RuledOut, text.clone())
        .evidence([Evidence::new(Strength::Proves, text)
            .number(Number::Count(longest.waiting.len() as u64))
            .at(Place::Dump(facts.dump(longest.dump)))
            .windbg("!locks")])
        .refuted_by("waits between the dumps; locks that are no critical sections and no SRW locks are not seen")
}

fn queue(facts: &SeriesFacts, dump: usize) -> Queue {
    let waiting =
        facts.threads.iter().filter_map(|thread| Some((thread.tid, thread.lock_wait.get(dump).copied().flatten()?)));
    let thread_count = facts.threads.iter().filter(|thread| thread.is_present.get(dump) == Some(&true)).count();
    Queue { dump, waiting: waiting.collect(), thread_count }
}

fn queue_lines(facts: &SeriesFacts, queue: &Queue, strength: Strength) -> Vec<Evidence> {
    let mut by_function: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (tid, function) in &queue.waiting {
        by_function.entry(*function).or_default().push(*tid);
    }
    let line = |(function, tids): (&str, Vec<u32>)| {
        let dump = facts.dump(queue.dump);
        let evidence = Evidence::new(
            strength,
            format!("{} in ntdll!{function}", plural(tids.len(), "thread waits", "threads wait")),
        )
        .number(Number::Count(tids.len() as u64))
        .windbg("!locks");
        match tids.first() {
            Some(tid) => evidence.at(Place::Thread { dump, tid: *tid }),
            None => evidence,
        }
    };
    by_function.into_iter().map(line).collect()
}

/// Heaps whose own counter of waits rises fast.
fn heap_lines(facts: &SeriesFacts) -> Vec<Evidence> {
    let times = facts.times();
    let line = |heap: &super::super::facts::HeapFacts| {
        let net = heap.lock_contention.net().filter(|net| *net > 0)?;
        let per_hour = heap.lock_contention.per_hour(&times).filter(|rate| *rate >= CONTENTION_PER_HOUR)?;
        let count = u64::try_from(net).unwrap_or(0);
        let text = format!(
            "the lock of heap {} was waited for {} times more, {per_hour:.0} times an hour",
            heap.base.windbg(heap.width),
            grouped(count)
        );
        Some(
            Evidence::new(Strength::Proves, text)
                .number(Number::CountDelta(net))
                .at(Place::Heap { dump: facts.last_dump(), base: heap.base })
                .windbg(format!("!heap -s -h {}", windbg_address(heap.base))),
        )
    };
    facts.heaps.iter().flatten().filter_map(line).take(MOST_NAMED).collect()
}
