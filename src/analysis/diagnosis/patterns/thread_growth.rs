//! Thread growth: the number of threads rises in nearly every dump, and the new ones begin at one place. No name of the
//! catalogue.

use std::collections::BTreeMap;

use super::super::evidence::{Evidence, Number, Place, Strength};
use super::super::facts::SeriesFacts;
use super::super::pattern::PatternId;
use super::super::{Finding, NextDumpKind, Subject, Verdict};
use super::{Pattern, counts_text, delta, plural, rises_steadily, sizes_text};
use crate::analysis::series::growth::Values;
use crate::analysis::thresholds::{LEAST_GROWTH_RATIO, LEAST_THREAD_GROWTH, MOST_NAMED};
use crate::base::units::grouped;
use crate::process::regions::usage::Usage;

const ID: PatternId = PatternId::ThreadGrowth;
pub const PATTERN: Pattern = Pattern { id: ID, judge };

fn judge(facts: &SeriesFacts) -> Finding {
    if facts.threads.is_empty() {
        return Finding::new(ID, Verdict::Undecided, "the dumps hold no list of threads")
            .next(NextDumpKind::Full, "how many threads there are");
    }
    let count_in = |dump: usize| {
        facts.threads.iter().filter(|thread| thread.is_present.get(dump).copied().unwrap_or(false)).count() as u64
    };
    let counts = Values((0..facts.dumps.len()).map(|dump| Some(count_in(dump)).filter(|count| *count > 0)).collect());
    let here = Place::Dump(facts.last_dump());
    let (Some(last), net) = (counts.last(), counts.net()) else {
        return Finding::new(ID, Verdict::Undecided, "the last dump holds no list of threads")
            .next(NextDumpKind::Full, "how many threads there are");
    };
    let text = counts.first().filter(|_| counts.0.len() > 1).map_or_else(
        || threads_text(last),
        |first| match first == last {
            true => format!("{} in the first and the last dump", threads_text(last)),
            false => format!("{} to {} over {}", grouped(first), threads_text(last), facts.dumps_text()),
        },
    );
    let count_line = |strength| {
        let number = net.map_or(Number::Count(last), Number::CountDelta);
        Evidence::new(strength, text.clone()).number(number).at(here).windbg("~*")
    };
    let Some(net) = net else {
        return Finding::new(
            ID,
            Verdict::Undecided,
            format!("{text}; one dump does not show whether they become more"),
        )
        .evidence([count_line(Strength::Background)])
        .next(NextDumpKind::Series, "whether there are more threads in each dump");
    };
    let has_grown =
        net >= i128::from(LEAST_THREAD_GROWTH) && counts.ratio().is_some_and(|ratio| ratio >= LEAST_GROWTH_RATIO);
    if !has_grown {
        return Finding::new(ID, Verdict::RuledOut, text.clone())
            .evidence([count_line(Strength::Proves)])
            .refuted_by("a dump with clearly more threads than all before");
    }
    let starts = new_starts(facts);
    let supporting: Vec<Evidence> = starts
        .iter()
        .take(MOST_NAMED)
        .map(|(start, count)| {
            let text = format!("{} of the new threads began at {start}", grouped(*count));
            Evidence::new(Strength::Supports, text).number(Number::Count(*count)).at(here).windbg("~*")
        })
        .chain(stack_line(facts))
        .collect();
    if !rises_steadily(&counts) || !facts.shows_direction() {
        return Finding::new(ID, Verdict::Undecided, format!("{}, {}", counts_text(net, "threads"), not_yet(facts)))
            .evidence(std::iter::once(count_line(Strength::Supports)).chain(supporting))
            .next(NextDumpKind::Series, "whether there are more threads in each dump");
    }
    let begun = starts
        .first()
        .map_or_else(String::new, |(start, count)| format!(", {} of them begun at {start}", grouped(*count)));
    Finding::new(ID, Verdict::Found, format!("{}{begun}", counts_text(net, "threads")))
        .evidence(std::iter::once(count_line(Strength::Proves)).chain(supporting))
        .subjects(
            starts
                .iter()
                .take(MOST_NAMED)
                .map(|(start, _)| Subject { name: format!("threads of {start}"), place: None }),
        )
        .refuted_by("later dumps in which the threads end again while the work goes on")
        .next(NextDumpKind::Series, "whether there are more threads in each dump")
}

fn threads_text(count: u64) -> String {
    plural(usize::try_from(count).unwrap_or(usize::MAX), "thread", "threads")
}

fn not_yet(facts: &SeriesFacts) -> &'static str {
    if facts.shows_direction() { "but not in every dump" } else { "and two dumps show no direction" }
}

/// Where the threads began that the last dump has and the first has not, the most frequent place first.
fn new_starts(facts: &SeriesFacts) -> Vec<(String, u64)> {
    let mut by_start: BTreeMap<&str, u64> = BTreeMap::new();
    let is_new = |is_present: &[bool]| is_present.last() == Some(&true) && is_present.first() == Some(&false);
    for thread in facts.threads.iter().filter(|thread| is_new(&thread.is_present)) {
        *by_start.entry(thread.start.as_deref().unwrap_or("a place that is not known")).or_default() += 1;
    }
    let mut starts: Vec<(String, u64)> = by_start.into_iter().map(|(start, count)| (start.to_owned(), count)).collect();
    starts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    starts
}

/// Committed memory of stacks, where it rises with the threads.
fn stack_line(facts: &SeriesFacts) -> Option<Evidence> {
    let stacks = facts.usage(Usage::Stack)?;
    let net = stacks.committed.net().filter(|net| *net > 0)?;
    let place = Place::Use { dump: facts.last_dump(), usage: Usage::Stack };
    let text = format!("stacks: {} committed", sizes_text(&stacks.committed));
    Some(Evidence::new(Strength::Supports, text).number(delta(net)).at(place).windbg("!address -f:Stack"))
}
