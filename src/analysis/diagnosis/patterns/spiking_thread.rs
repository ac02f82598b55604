//! Spiking Thread: one thread uses far more CPU than the others, judged for each interval between two dumps. What it was doing
//! when a dump was taken strengthens it; totals since the start alone do not show who spikes now.

use super::super::evidence::{Evidence, Number, Place, Strength};
use super::super::facts::{SeriesFacts, ThreadFacts, ThreadTotals};
use super::super::pattern::PatternId;
use super::super::{Finding, NextDumpKind, Subject, Verdict};
use super::{Pattern, plural};
use crate::analysis::series::thread_doing::Doing;
use crate::analysis::thresholds::{MOST_NAMED, SPIKE_CORES, SPIKE_TIMES_NEXT};
use crate::base::units::CpuTime;

const ID: PatternId = PatternId::SpikingThread;
pub const PATTERN: Pattern = Pattern { id: ID, judge };

/// A thread in an interval.
#[derive(Clone, Copy)]
struct Use<'f> {
    thread: &'f ThreadFacts,
    interval: usize,
    cores: f64,
    ns: u64,
    next_cores: f64,
}

impl Use<'_> {
    fn is_spike(&self) -> bool {
        self.cores >= SPIKE_CORES && self.cores >= SPIKE_TIMES_NEXT * self.next_cores
    }
}

fn judge(facts: &SeriesFacts) -> Finding {
    if facts.threads.iter().all(|thread| thread.totals.iter().all(Option::is_none)) {
        return Finding::new(ID, Verdict::Undecided, "the dumps do not hold the threads' CPU times")
            .next(NextDumpKind::Full, "how much CPU time each thread used");
    }
    if facts.dumps.len() < 2 {
        return one_dump(facts);
    }
    let uses: Vec<Use<'_>> = (0..facts.dumps.len() - 1).filter_map(|interval| busiest(facts, interval)).collect();
    let spikes: Vec<Use<'_>> = uses.iter().copied().filter(Use::is_spike).collect();
    if spikes.is_empty() {
        return without_spike(facts, &uses);
    }
    let mut threads: Vec<&ThreadFacts> = Vec::new();
    for spike in &spikes {
        if !threads.iter().any(|thread| thread.tid == spike.thread.tid) {
            threads.push(spike.thread);
        }
    }
    let evidence: Vec<Evidence> = spikes
        .iter()
        .take(MOST_NAMED)
        .map(|spike| interval_line(facts, spike, Strength::Proves))
        .chain(
            threads
                .iter()
                .take(MOST_NAMED)
                .flat_map(|thread| [total_line(facts, thread), doing_line(facts, thread)])
                .flatten(),
        )
        .collect();
    Finding::new(ID, Verdict::Found, summary(facts, &spikes, &threads))
        .evidence(evidence)
        .subjects(threads.iter().map(|thread| subject(facts, thread)))
        .refuted_by("the same CPU time spread over other threads in the same interval, or work of the thread that was asked for")
        .next(NextDumpKind::BusyCpu, "what the thread executes while it is busy")
}

fn summary(facts: &SeriesFacts, spikes: &[Use<'_>], threads: &[&ThreadFacts]) -> String {
    let [thread] = *threads else {
        let names: Vec<String> = threads.iter().take(MOST_NAMED).map(|thread| format!("{:x}", thread.tid)).collect();
        return format!("threads {} use most of a core, each in an interval of its own", names.join(", "));
    };
    let most = spikes.iter().max_by(|a, b| a.cores.total_cmp(&b.cores));
    let of_interval = most.map_or_else(String::new, |spike| {
        let (from, to) = (facts.dump(spike.interval), facts.dump(spike.interval + 1));
        format!("used {:.0} % of a core between dumps {from} and {to}", spike.cores * 100.0)
    });
    let total = thread
        .totals
        .iter()
        .rev()
        .flatten()
        .next()
        .map_or_else(String::new, |totals| format!(", {} user time in all", short_time(totals.user_ns)));
    let doing = thread.doing.iter().rev().flatten().next().filter(|doing| **doing != Doing::Waiting);
    let doing = doing.map_or_else(String::new, |doing| format!(", {}", doing.text()));
    format!("thread {:x} {of_interval}{total}{doing}", thread.tid)
}

/// `3:22:02.354`, with the days where there are any.
fn short_time(ns: u64) -> String {
    let text = CpuTime { ns }.to_string();
    text.strip_prefix("0 days ").map_or(text.clone(), str::to_owned)
}

/// The thread that used most of an interval, beside the next one; `None` where no thread's use is known.
fn busiest(facts: &SeriesFacts, interval: usize) -> Option<Use<'_>> {
    let interval_ns = facts.interval_ns(interval)?;
    let mut used: Vec<(&ThreadFacts, u64)> = facts
        .threads
        .iter()
        .filter_map(|thread| Some((thread, thread.cpu_per_interval.get(interval).copied().flatten()?.total_ns())))
        .collect();
    used.sort_by_key(|(thread, ns)| (std::cmp::Reverse(*ns), thread.tid));
    let cores = |ns: u64| ns as f64 / interval_ns as f64;
    let (thread, ns) = *used.first()?;
    let next_cores = used.get(1).map_or(0.0, |(_, ns)| cores(*ns));
    Some(Use { thread, interval, cores: cores(ns), ns, next_cores })
}

fn interval_line(facts: &SeriesFacts, spike: &Use<'_>, strength: Strength) -> Evidence {
    let (from, to) = (facts.dump(spike.interval), facts.dump(spike.interval + 1));
    let next =
        if facts.threads.len() > 1 { format!(", the next thread {:.2}", spike.next_cores) } else { String::new() };
    let text = format!(
        "thread {:x} used {} between dumps {from} and {to}: {:.2} of a core{next}",
        spike.thread.tid,
        short_time(spike.ns),
        spike.cores
    );
    Evidence::new(strength, text)
        .number(Number::Cores(spike.cores))
        .at(Place::Thread { dump: to, tid: spike.thread.tid })
        .windbg("!runaway 7")
}

fn total_line(facts: &SeriesFacts, thread: &ThreadFacts) -> Option<Evidence> {
    let (dump, totals) = thread.totals.iter().enumerate().rev().find_map(|(dump, totals)| Some((dump, (*totals)?)))?;
    let elapsed = totals.elapsed_ns.map_or_else(String::new, |ns| format!(" of {} elapsed", short_time(ns)));
    let text = format!(
        "thread {:x} at dump {}: {} user, {} kernel{elapsed}",
        thread.tid,
        facts.dump(dump),
        short_time(totals.user_ns),
        short_time(totals.kernel_ns)
    );
    let here = Place::Thread { dump: facts.dump(dump), tid: thread.tid };
    Some(
        Evidence::new(Strength::Background, text)
            .number(Number::Cpu { ns: totals.total_ns() })
            .at(here)
            .windbg("!runaway 7"),
    )
}

/// What it was caught doing.
fn doing_line(facts: &SeriesFacts, thread: &ThreadFacts) -> Option<Evidence> {
    let known: Vec<(usize, Doing)> =
        thread.doing.iter().enumerate().filter_map(|(dump, doing)| Some((dump, (*doing)?))).collect();
    let (dump, doing) = *known.last()?;
    let count = known.iter().filter(|(_, other)| *other == doing).count();
    let strength = if doing == Doing::Waiting { Strength::Against } else { Strength::Supports };
    let of = plural(known.len(), "dump", "dumps");
    Some(
        Evidence::new(strength, format!("thread {:x} was {} in {count} of {of}", thread.tid, doing.text()))
            .number(Number::Count(count as u64))
            .at(Place::Thread { dump: facts.dump(dump), tid: thread.tid })
            .windbg(format!("~~[{:x}]kc", thread.tid)),
    )
}

fn subject(facts: &SeriesFacts, thread: &ThreadFacts) -> Subject {
    let name = thread.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    let dump = thread.is_present.iter().rposition(|is_present| *is_present).unwrap_or(0);
    let place = Place::Thread { dump: facts.dump(dump), tid: thread.tid };
    Subject { name: format!("thread {:x}{name}", thread.tid), place: Some(place) }
}

fn without_spike(facts: &SeriesFacts, uses: &[Use<'_>]) -> Finding {
    if uses.len() < facts.dumps.len() - 1 {
        return Finding::new(
            ID,
            Verdict::Undecided,
            "CPU times are not known for every interval, and no thread spikes in the known ones",
        )
        .evidence(uses.iter().take(MOST_NAMED).map(|most| interval_line(facts, most, Strength::Background)))
        .next(NextDumpKind::Full, "how much CPU time each thread used");
    }
    let Some(most) = uses.iter().max_by(|a, b| a.cores.total_cmp(&b.cores)) else {
        return Finding::new(ID, Verdict::Undecided, "no interval has a length");
    };
    let why = if most.cores >= SPIKE_CORES {
        format!(
            "the busiest thread is not alone: {:x} used {:.2} of a core, the next {:.2}",
            most.thread.tid, most.cores, most.next_cores
        )
    } else {
        format!("no thread used half of a core in an interval: at most {:.2}, thread {:x}", most.cores, most.thread.tid)
    };
    Finding::new(ID, Verdict::RuledOut, why)
        .evidence([interval_line(facts, most, Strength::Proves)])
        .refuted_by("a short spike within an interval, which the sum over the interval does not show")
}

/// Totals since the start: a suspect at most.
fn one_dump(facts: &SeriesFacts) -> Finding {
    let totals = |thread: &ThreadFacts| -> Option<ThreadTotals> { thread.totals.first().copied().flatten() };
    let share =
        |totals: ThreadTotals| totals.elapsed_ns.filter(|ns| *ns > 0).map(|ns| totals.total_ns() as f64 / ns as f64);
    let mut known: Vec<(&ThreadFacts, ThreadTotals)> =
        facts.threads.iter().filter_map(|thread| Some((thread, totals(thread)?))).collect();
    known.sort_by_key(|(thread, totals)| (std::cmp::Reverse(totals.total_ns()), thread.tid));
    let decides = "how much CPU time each thread used between the dumps";
    let Some((thread, of_thread)) = known.first().copied() else {
        return Finding::new(ID, Verdict::Undecided, "no thread's CPU time is known")
            .next(NextDumpKind::Series, decides);
    };
    let next_ns = known.get(1).map_or(0, |(_, totals)| totals.total_ns());
    let stands_out = of_thread.total_ns() as f64 >= SPIKE_TIMES_NEXT * next_ns as f64;
    let is_suspect = stands_out && share(of_thread).is_some_and(|share| share >= SPIKE_CORES);
    let evidence = [total_line(facts, thread), doing_line(facts, thread)].into_iter().flatten();
    let share = share(of_thread).map_or_else(String::new, |share| format!(" ({share:.2} of a core)"));
    let text = if is_suspect {
        format!(
            "suspect: thread {:x} used {} since it began{share}; one dump does not show when",
            thread.tid,
            short_time(of_thread.total_ns())
        )
    } else {
        format!("totals of one dump do not show who is busy now; the most has thread {:x}{share}", thread.tid)
    };
    let finding = Finding::new(ID, Verdict::Undecided, text).evidence(evidence).next(NextDumpKind::BusyCpu, decides);
    if is_suspect { finding.subjects([subject(facts, thread)]) } else { finding }
}
