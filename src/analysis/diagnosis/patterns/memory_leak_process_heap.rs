//! Memory Leak (process heap): committed memory of one heap or a few rises in nearly every dump, and is most of what grew.

use super::super::evidence::{Evidence, Place, Strength, windbg_address};
use super::super::facts::{HeapFacts, SeriesFacts, StackInUse};
use super::super::pattern::PatternId;
use super::super::{Finding, NextDumpKind, Subject, Verdict};
use super::{ONE_DUMP, Pattern, delta, has_grown, plural, rises_steadily, share_text, sizes_text};
use crate::analysis::series::growth::{Values, sum};
use crate::analysis::series::shape::Shape;
use crate::analysis::thresholds::{LEAK_SHARE_PERCENT, LEAST_LEAK_BYTES, MOST_NAMED, NO_PART_PERCENT};
use crate::base::units::ByteDelta;

const ID: PatternId = PatternId::MemoryLeakProcessHeap;
pub const PATTERN: Pattern = Pattern { id: ID, judge };

fn judge(facts: &SeriesFacts) -> Finding {
    let undecided = |text: &str| Finding::new(ID, Verdict::Undecided, text);
    let Some(heaps) = &facts.heaps else {
        return undecided("heaps are still being decoded");
    };
    if heaps.is_empty() || heaps.iter().all(|heap| heap.committed.0.iter().all(Option::is_none)) {
        return undecided("no heap can be read: the dumps lack the PEB or the heaps' memory")
            .next(NextDumpKind::Full, "how much each heap has committed");
    }
    if facts.dumps.len() < 2 {
        let all = sum(heaps.iter().map(|heap| &heap.committed), facts.dumps.len());
        let text = format!("{} in {}: {}; {ONE_DUMP}", sizes_text(&all), facts.dumps_text(), plural_heaps(heaps));
        return Finding::new(ID, Verdict::Undecided, text)
            .evidence(heap_lines(facts, heaps, Strength::Background))
            .next(NextDumpKind::Series, "whether a heap rises from dump to dump");
    }
    judge_series(facts, heaps)
}

fn plural_heaps(heaps: &[HeapFacts]) -> String {
    plural(heaps.len(), "heap", "heaps")
}

/// A heap that is made after the first dump has grown from nothing.
fn filled_in(values: &Values) -> Values {
    let begins = values.0.iter().position(Option::is_some).unwrap_or(0);
    Values(values.0.iter().enumerate().map(|(at, value)| if at < begins { Some(0) } else { *value }).collect())
}

fn judge_series(facts: &SeriesFacts, heaps: &[HeapFacts]) -> Finding {
    let curves: Vec<Values> = heaps.iter().map(|heap| filled_in(&heap.committed)).collect();
    let all = sum(&curves, facts.dumps.len());
    let private = &facts.memory.private;
    let Some(net) = all.net() else {
        return Finding::new(ID, Verdict::Undecided, "not every dump holds all heaps, so their growth is not known")
            .evidence(heap_lines(facts, heaps, Strength::Background))
            .next(NextDumpKind::Full, "how much each heap has committed");
    };
    let growing: Vec<(&HeapFacts, &Values)> = heaps
        .iter()
        .zip(&curves)
        .filter(|(_, curve)| rises_steadily(curve))
        .filter(|(_, curve)| curve.net().is_some_and(|net| net >= i128::from(LEAST_LEAK_BYTES)))
        .collect();
    let rise: i128 = growing.iter().filter_map(|(_, curve)| curve.net()).sum();
    let whole = private.net();
    let share = whole.filter(|whole| *whole > 0).map(|whole| rise as f64 * 100.0 / whole as f64);
    let subjects = growing.iter().map(|(heap, _)| subject(facts, heap));
    if growing.is_empty() {
        return without_growth(facts, heaps, &all, net);
    }
    let of_growth = whole.map_or_else(|| ByteDelta(rise).to_string(), |whole| share_text(rise, whole));
    let who = plural(growing.len(), "heap rises", "heaps rise");
    let evidence = || {
        let lines = growing.iter().map(|(heap, curve)| heap_line(facts, heap, curve, Strength::Supports));
        let stacks = facts.stacks_in_use.iter().flat_map(|stacks| rising_stacks(facts, stacks));
        lines.chain(stacks).collect::<Vec<_>>()
    };
    let Some(share) = share else {
        let text = format!("{who} from dump to dump ({}), but the process as a whole did not grow", ByteDelta(rise));
        return Finding::new(ID, Verdict::Undecided, text)
            .evidence(evidence())
            .subjects(subjects)
            .next(NextDumpKind::Series, "whether the process keeps growing with the heap");
    };
    if !facts.shows_direction() {
        let text =
            format!("suspect: {who} between the two dumps, {of_growth} of private memory; two dumps show no direction");
        return Finding::new(ID, Verdict::Undecided, text)
            .evidence(evidence())
            .subjects(subjects)
            .next(NextDumpKind::Series, "whether the heap keeps rising or was filled once");
    }
    if share < LEAK_SHARE_PERCENT {
        let text =
            format!("{who} in nearly every dump, but as the smaller part of the growth: {of_growth} of private memory");
        return Finding::new(ID, Verdict::Undecided, text)
            .evidence(evidence())
            .subjects(subjects)
            .next(NextDumpKind::Series, "whether the heap goes on rising when the rest stands still");
    }
    let proof = Evidence::new(
        Strength::Proves,
        format!("{of_growth} of private memory is in {}", plural_heaps_that_rise(growing.len())),
    )
    .number(delta(rise))
    .windbg("!heap -s");
    Finding::new(ID, Verdict::Found, format!("{who} in nearly every dump: {of_growth} of private memory"))
        .evidence(std::iter::once(proof).chain(evidence()))
        .subjects(subjects)
        .refuted_by(
            "later dumps in which the heap's committed memory stands still or falls back while the work goes on",
        )
        .next(NextDumpKind::WithStacks, "which allocation stacks the rising blocks have")
}

fn plural_heaps_that_rise(count: usize) -> String {
    plural(count, "heap that rises", "heaps that rise")
}

fn without_growth(facts: &SeriesFacts, heaps: &[HeapFacts], all: &Values, net: i128) -> Finding {
    let private = &facts.memory.private;
    let stepped = heaps.iter().find(|heap| matches!(heap.committed.shape(), Some(Shape::Step | Shape::Plateau)));
    let whole = private.net();
    let is_a_part = whole.is_some_and(|whole| whole > 0 && net as f64 * 100.0 >= NO_PART_PERCENT * whole as f64);
    if let Some(heap) = stepped.filter(|_| is_a_part && net >= i128::from(LEAST_LEAK_BYTES)) {
        let how =
            if heap.committed.shape() == Some(Shape::Step) { "rose once and stayed" } else { "rose, and then stayed" };
        let text = format!("heap {} {how}: {}", windbg_address(heap.base), sizes_text(&heap.committed));
        return Finding::new(ID, Verdict::Undecided, text)
            .evidence(heap_lines(facts, heaps, Strength::Background))
            .subjects([subject(facts, heap)])
            .next(NextDumpKind::Series, "whether the heap rises again");
    }
    let of_growth = match whole {
        Some(whole) if has_grown(private) == Some(true) => {
            format!("; private memory grew by {}", ByteDelta(whole).to_string().trim_start_matches('+'))
        }
        Some(_) => "; private memory did not grow either".to_owned(),
        None => String::new(),
    };
    let text = format!("{} in all heaps, {}{of_growth}", ByteDelta(net), sizes_text(all));
    let proof =
        Evidence::new(Strength::Proves, format!("{} of all heaps together: {}", ByteDelta(net), sizes_text(all)))
            .number(delta(net))
            .at(Place::Use { dump: facts.last_dump(), usage: crate::process::regions::usage::Usage::Heap })
            .windbg("!heap -s");
    Finding::new(ID, Verdict::RuledOut, text)
        .evidence(std::iter::once(proof).chain(heap_lines(facts, heaps, Strength::Background)))
        .refuted_by("a dump in which a heap has clearly more committed than in all dumps before")
}

fn subject(facts: &SeriesFacts, heap: &HeapFacts) -> Subject {
    let place = Place::Heap { dump: facts.last_dump(), base: heap.base };
    Subject { name: format!("heap {}", heap.base.windbg(heap.width)), place: Some(place) }
}

fn heap_line(facts: &SeriesFacts, heap: &HeapFacts, curve: &Values, strength: Strength) -> Evidence {
    let handle = heap.base.windbg(heap.width);
    let evidence = Evidence::new(strength, format!("heap {handle}: {} committed", sizes_text(curve)))
        .at(Place::Heap { dump: facts.last_dump(), base: heap.base })
        .windbg(format!("!heap -s -h {}", windbg_address(heap.base)));
    match (curve.net(), curve.last()) {
        (Some(net), _) => evidence.number(delta(net)),
        (None, Some(last)) => evidence.number(super::Number::Bytes(last)),
        _ => evidence,
    }
}

/// The largest heaps, one line each.
fn heap_lines(facts: &SeriesFacts, heaps: &[HeapFacts], strength: Strength) -> Vec<Evidence> {
    let mut heaps: Vec<&HeapFacts> = heaps.iter().collect();
    heaps.sort_by_key(|heap| std::cmp::Reverse(heap.committed.most()));
    heaps.iter().take(MOST_NAMED).map(|heap| heap_line(facts, heap, &heap.committed, strength)).collect()
}

/// Stacks whose blocks in use rise with the heap.
fn rising_stacks(facts: &SeriesFacts, stacks: &[StackInUse]) -> Vec<Evidence> {
    let mut rising: Vec<(&StackInUse, i128)> = stacks
        .iter()
        .filter(|stack| rises_steadily(&stack.user_bytes))
        .filter_map(|stack| Some((stack, stack.user_bytes.net()?)))
        .collect();
    rising.sort_by_key(|(_, net)| std::cmp::Reverse(*net));
    let line = |(stack, net): &(&StackInUse, i128)| {
        Evidence::new(Strength::Supports, format!("blocks of {}: {}", stack.name, sizes_text(&stack.user_bytes)))
            .number(delta(*net))
            .at(Place::TraceStack { dump: facts.last_dump(), stack: stack.stack })
    };
    rising.iter().take(MOST_NAMED).map(line).collect()
}
