//! Memory Leak (Regions): private memory that no heap, stack or database claims rises in nearly every dump, and is most of what
//! grew: VirtualAlloc by the program or a library.

use super::super::evidence::{Evidence, Number, Place, Strength, count_delta};
use super::super::facts::{EqualSizeFacts, SeriesFacts, UseFacts};
use super::super::pattern::PatternId;
use super::super::{Finding, NextDumpKind, Subject, Verdict};
use super::{ONE_DUMP, Pattern, delta, rises_steadily, share_text, sizes_text};
use crate::analysis::series::shape::Shape;
use crate::analysis::thresholds::{LEAK_SHARE_PERCENT, LEAST_LEAK_BYTES, MOST_NAMED, NO_PART_PERCENT};
use crate::base::units::{ByteDelta, ByteSize, grouped};
use crate::process::regions::usage::Usage;

const ID: PatternId = PatternId::MemoryLeakRegions;
pub const PATTERN: Pattern = Pattern { id: ID, judge };

fn judge(facts: &SeriesFacts) -> Finding {
    let undecided = |text: String| Finding::new(ID, Verdict::Undecided, text);
    let Some(unknown) = facts.usage(Usage::Unknown).filter(|unknown| unknown.committed.last().is_some()) else {
        return undecided("the dumps do not hold the map of the process's memory".to_owned())
            .next(NextDumpKind::Full, "which private regions there are");
    };
    let here = Place::Use { dump: facts.last_dump(), usage: Usage::Unknown };
    if facts.dumps.len() < 2 {
        let text = format!("{} of private memory of unknown use; {ONE_DUMP}", sizes_text(&unknown.committed));
        return undecided(text)
            .evidence(size_lines(facts, Strength::Background))
            .next(NextDumpKind::Series, "whether private regions rise from dump to dump");
    }
    if !unknown.is_comparable {
        let text =
            "the dumps do not hold the same structures, so what is of unknown use in one may be a heap in another";
        return undecided(text.to_owned()).next(NextDumpKind::Full, "whether private regions rise from dump to dump");
    }
    let (Some(net), whole) = (unknown.committed.net(), facts.memory.private.net()) else {
        return undecided("not every dump holds the map of the process's memory".to_owned())
            .next(NextDumpKind::Full, "whether private regions rise from dump to dump");
    };
    let of_growth = whole.map_or_else(|| ByteDelta(net).to_string(), |whole| share_text(net, whole));
    let share = whole.filter(|whole| *whole > 0).map(|whole| net as f64 * 100.0 / whole as f64);
    let is_growth = rises_steadily(&unknown.committed) && net >= i128::from(LEAST_LEAK_BYTES);
    let is_a_part = share.is_none_or(|share| share >= NO_PART_PERCENT) && net >= i128::from(LEAST_LEAK_BYTES);
    match share {
        Some(share) if is_growth && share >= LEAK_SHARE_PERCENT && facts.shows_direction() => {
            found(facts, unknown, net, &of_growth, here)
        }
        _ if is_a_part => {
            let why = match unknown.committed.shape() {
                Some(Shape::Growth) if !facts.shows_direction() => {
                    "suspect: risen between the two dumps, and two dumps show no direction"
                }
                Some(Shape::Growth) => "rises, but as the smaller part of the growth",
                Some(Shape::Step) => "rose once and stayed",
                Some(Shape::Plateau) => "rose, and then stayed",
                _ => "ends higher, after ups and downs",
            };
            undecided(format!("private memory of unknown use {why}: {of_growth} of private memory"))
                .evidence(size_lines(facts, Strength::Supports))
                .next(NextDumpKind::Series, "whether private regions go on rising")
        }
        _ => {
            let text = format!("{of_growth} of private memory is of unknown use, {}", sizes_text(&unknown.committed));
            let proof = Evidence::new(
                Strength::Proves,
                format!("private memory of unknown use: {}", sizes_text(&unknown.committed)),
            )
            .number(delta(net))
            .at(here)
            .windbg("!address -summary");
            Finding::new(ID, Verdict::RuledOut, text)
                .evidence([proof])
                .refuted_by("a dump in which private memory of unknown use is clearly more than in all dumps before")
        }
    }
}

fn found(facts: &SeriesFacts, unknown: &UseFacts, net: i128, of_growth: &str, here: Place) -> Finding {
    let proof = Evidence::new(
        Strength::Proves,
        format!("private memory of unknown use rises in nearly every dump: {}", sizes_text(&unknown.committed)),
    );
    let subjects: Vec<Subject> = rising_sizes(facts)
        .iter()
        .take(MOST_NAMED)
        .map(|group| Subject {
            name: format!("private allocations of {} each", ByteSize(group.size_bytes)),
            place: Some(Place::Region { dump: facts.last_dump(), start: group.first }),
        })
        .collect();
    Finding::new(ID, Verdict::Found, format!("private memory outside of heaps rises: {of_growth} of private memory"))
        .evidence([proof.number(delta(net)).at(here).windbg("!address -summary")])
        .evidence(size_lines(facts, Strength::Supports))
        .subjects(subjects)
        .refuted_by("later dumps in which these regions are freed again, or a structure found in them that owns them")
        .next(NextDumpKind::Series, "whether regions of the same size go on being added")
}

/// Groups of unknown use that have more members in the last dump than in the first.
fn rising_sizes(facts: &SeriesFacts) -> Vec<&EqualSizeFacts> {
    let groups = facts.memory.equal_sizes.iter().filter(|group| group.usage == Usage::Unknown);
    let mut rising: Vec<&EqualSizeFacts> =
        groups.filter(|group| group.counts.0.len() < 2 || group.counts.net().is_some_and(|net| net > 0)).collect();
    rising.sort_by_key(|group| std::cmp::Reverse(group.committed.net()));
    rising
}

fn size_lines(facts: &SeriesFacts, strength: Strength) -> Vec<Evidence> {
    let line = |group: &&EqualSizeFacts| {
        let count = group.counts.last().unwrap_or(0);
        let run = if group.longest_run_count > 1 {
            format!(", {} of them in a row", grouped(group.longest_run_count))
        } else {
            String::new()
        };
        let change = group.counts.net().map_or_else(String::new, |net| format!(" ({})", count_delta(net)));
        let size = ByteSize(group.size_bytes);
        Evidence::new(strength, format!("{}{change} private allocations of {size} each{run}", grouped(count)))
            .number(group.counts.net().map_or(Number::Count(count), Number::CountDelta))
            .at(Place::Region { dump: facts.last_dump(), start: group.first })
            .windbg(format!("!address {}", super::super::evidence::windbg_address(group.first)))
    };
    rising_sizes(facts).iter().take(MOST_NAMED).map(line).collect()
}
