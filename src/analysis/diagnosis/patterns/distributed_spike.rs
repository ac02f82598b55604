//! Distributed Spike: the process uses much CPU, spread over many threads of which none dominates. Judged over the whole of
//! the chosen dumps, so that it may hold beside a Spiking Thread of one interval.

use super::super::evidence::{Evidence, Number, Place, Strength, percent_text};
use super::super::facts::{SeriesFacts, ThreadFacts};
use super::super::pattern::PatternId;
use super::super::{Finding, NextDumpKind, Subject, Verdict};
use super::{Pattern, plural};
use crate::analysis::series::thread_doing::Doing;
use crate::analysis::thresholds::{
    DISTRIBUTED_CORES, DISTRIBUTED_LEAST_THREADS, DISTRIBUTED_MACHINE_SHARE, DISTRIBUTED_MOST_SHARE,
    DISTRIBUTED_PART_SHARE, MOST_NAMED,
};

const ID: PatternId = PatternId::DistributedSpike;
pub const PATTERN: Pattern = Pattern { id: ID, judge };

fn judge(facts: &SeriesFacts) -> Finding {
    let decides = "how the CPU time is spread over the threads";
    if facts.dumps.len() < 2 {
        return Finding::new(
            ID,
            Verdict::Undecided,
            "one dump has totals since the start alone, which do not show a spike",
        )
        .next(NextDumpKind::BusyCpu, decides);
    }
    let (Some(span_ns), Some(used)) = (facts.span_ns(), used_in_all(facts)) else {
        return Finding::new(ID, Verdict::Undecided, "the threads' CPU times are not known over the whole series")
            .next(NextDumpKind::Full, decides);
    };
    let sum_ns = used.iter().map(|(_, ns)| *ns).fold(0, u64::saturating_add);
    let cores = sum_ns as f64 / span_ns as f64;
    let processors = facts.dumps.iter().rev().find_map(|dump| dump.processor_count).filter(|count| *count > 0);
    let wanted = processors
        .map_or(DISTRIBUTED_CORES, |count| DISTRIBUTED_CORES.min(f64::from(count) * DISTRIBUTED_MACHINE_SHARE));
    let share = |ns: u64| ns as f64 / sum_ns.max(1) as f64;
    let most_share = used.first().map_or(0.0, |(_, ns)| share(*ns));
    let taking_part: Vec<&(&ThreadFacts, u64)> =
        used.iter().filter(|(_, ns)| share(*ns) >= DISTRIBUTED_PART_SHARE).collect();
    let busiest = used.first().map_or(0, |(thread, _)| thread.tid);
    let sum_line = Evidence::new(
        Strength::Proves,
        format!(
            "all threads together used {cores:.2} cores over {}, none more than {}",
            facts.dumps_text(),
            percent_text(most_share * 100.0)
        ),
    );
    let sum_line = sum_line
        .number(Number::Cores(cores))
        .at(Place::Thread { dump: facts.last_dump(), tid: busiest })
        .windbg("!runaway 7");
    if cores < wanted {
        return Finding::new(
            ID,
            Verdict::RuledOut,
            format!("all threads together used {cores:.2} cores, less than {wanted:.2}"),
        )
        .evidence([sum_line])
        .refuted_by("a short spike within an interval, which the sum over the series does not show");
    }
    if most_share >= DISTRIBUTED_MOST_SHARE || taking_part.len() < DISTRIBUTED_LEAST_THREADS {
        let text = format!(
            "{cores:.2} cores in all, but not spread: thread {busiest:x} has {}, and {} a part of it",
            percent_text(most_share * 100.0),
            plural(taking_part.len(), "thread has", "threads have"),
        );
        return Finding::new(ID, Verdict::RuledOut, text)
            .evidence([sum_line])
            .refuted_by("other threads that ended before a dump saw their CPU time");
    }
    let logging_count = taking_part.iter().filter(|(thread, _)| was_logging(thread)).count();
    let logging = (logging_count > 0).then(|| {
        let text =
            format!("{logging_count} of the {} busy threads were caught logging a stack trace", taking_part.len());
        Evidence::new(Strength::Supports, text).number(Number::Count(logging_count as u64))
    });
    let lines = taking_part.iter().take(MOST_NAMED).map(|(thread, ns)| {
        Evidence::new(
            Strength::Background,
            format!("thread {:x}: {} of the CPU time", thread.tid, percent_text(share(*ns) * 100.0)),
        )
        .number(Number::Percent(share(*ns) * 100.0))
        .at(Place::Thread { dump: facts.last_dump(), tid: thread.tid })
        .windbg("!runaway 7")
    });
    let summary = format!(
        "{cores:.2} cores over {}, spread over {} threads; none has more than {}",
        facts.dumps_text(),
        taking_part.len(),
        percent_text(most_share * 100.0)
    );
    Finding::new(ID, Verdict::Found, summary)
        .evidence(std::iter::once(sum_line).chain(logging).chain(lines))
        .subjects(taking_part.iter().take(MOST_NAMED * 4).map(|(thread, _)| Subject {
            name: format!("thread {:x}", thread.tid),
            place: Some(Place::Thread { dump: facts.last_dump(), tid: thread.tid }),
        }))
        .refuted_by("one thread that dominates every interval by turns: then it is a Spiking Thread of each")
        .next(NextDumpKind::BusyCpu, "what the threads execute while they are busy")
}

fn was_logging(thread: &ThreadFacts) -> bool {
    thread.doing.contains(&Some(Doing::LoggingTrace))
}

/// CPU time of each thread over all intervals, the busiest first; `None` where an interval is known for no thread.
fn used_in_all(facts: &SeriesFacts) -> Option<Vec<(&ThreadFacts, u64)>> {
    let is_known = |interval: usize| {
        facts.threads.iter().any(|thread| thread.cpu_per_interval.get(interval).is_some_and(Option::is_some))
    };
    (0..facts.dumps.len() - 1).all(is_known).then_some(())?;
    let mut used: Vec<(&ThreadFacts, u64)> = facts
        .threads
        .iter()
        .map(|thread| {
            let all = thread.cpu_per_interval.iter().flatten();
            (thread, all.map(|spent| spent.total_ns()).fold(0, u64::saturating_add))
        })
        .collect();
    used.sort_by_key(|(thread, ns)| (std::cmp::Reverse(*ns), thread.tid));
    Some(used)
}
