//! Memory Fluctuation: what is allocated goes up and down, so that the difference of two dumps misleads; a baseline, taken
//! before the growth, shows which stack has the larger absolute increase.
//!
//! Sources: heaps, allocation stacks of blocks in use, and allocation stacks of UMDH logs (`SeriesFacts::logged_curves`).

use super::super::evidence::{Evidence, Number, Place, Strength};
use super::super::facts::SeriesFacts;
use super::super::pattern::PatternId;
use super::super::{Finding, NextDumpKind, Subject, Verdict};
use super::{Pattern, plural};
use crate::analysis::series::growth::Values;
use crate::analysis::series::shape::{self, Counted, Shape};
use crate::analysis::thresholds::{
    BASELINE_SHARE, LEAST_DUMPS_FOR_A_DIRECTION, LEAST_FLUCTUATION_BYTES, LEAST_LOGGED_FLUCTUATION_BYTES,
    LEAST_SWING_SHARE, MOST_NAMED,
};
use crate::base::units::{ByteDelta, ByteSize};

const ID: PatternId = PatternId::MemoryFluctuation;
pub const PATTERN: Pattern = Pattern { id: ID, judge };

/// Something whose size is known at several points.
struct Curve {
    name: String,
    values: Values,
    place: Option<Place>,
    /// From UMDH logs, else from dumps.
    is_logged: bool,
}

fn judge(facts: &SeriesFacts) -> Finding {
    let curves = curves(facts);
    let is_long_enough = |curve: &&Curve| curve.values.0.iter().flatten().count() >= LEAST_DUMPS_FOR_A_DIRECTION;
    let judged: Vec<&Curve> = curves.iter().filter(is_long_enough).collect();
    if judged.is_empty() {
        let text = if facts.heaps.is_none() {
            "heaps are still being decoded"
        } else if facts.dumps.len() < LEAST_DUMPS_FOR_A_DIRECTION {
            "up and down needs three dumps or logs at least"
        } else {
            "no heap can be followed over three dumps"
        };
        return Finding::new(ID, Verdict::Undecided, text)
            .next(NextDumpKind::Series, "whether what is allocated goes up and down");
    }
    let mut fluctuating: Vec<&Curve> = judged.iter().copied().filter(|curve| fluctuates(curve)).collect();
    fluctuating.sort_by_key(|curve| std::cmp::Reverse(curve.values.peak_to_peak()));
    if fluctuating.is_empty() && facts.are_logs_pending {
        return Finding::new(ID, Verdict::Undecided, "UMDH logs are still being read");
    }
    if fluctuating.is_empty() {
        return steady(facts, &judged);
    }
    let has_baseline = has_baseline(&fluctuating);
    let evidence = fluctuating.iter().take(MOST_NAMED).map(|curve| line(curve, Strength::Supports));
    let baseline = Evidence::new(
        if has_baseline { Strength::Against } else { Strength::Background },
        if has_baseline {
            "the first point is a baseline: these have less than a quarter there of what they have in the last"
                .to_owned()
        } else {
            "there is no baseline: these have as much at the first point as later, or nearly".to_owned()
        },
    );
    let baseline = baseline.at(Place::Dump(facts.dump(0)));
    let summary = format!(
        "{} up and down with little left of it{}",
        plural(fluctuating.len(), "curve goes", "curves go"),
        fluctuating.first().map_or_else(String::new, |curve| format!(": {}, {}", curve.name, amounts(&curve.values))),
    );
    Finding::new(ID, Verdict::Found, summary)
        .evidence(evidence.chain(std::iter::once(baseline)))
        .subjects(
            fluctuating.iter().take(MOST_NAMED).map(|curve| Subject { name: curve.name.clone(), place: curve.place }),
        )
        .refuted_by(
            "a baseline just after the start, against which the same curve has risen clearly more than it swings",
        )
        .next(NextDumpKind::Baseline, "which curves rise absolutely, whatever they do in between")
}

/// By its shape; and the size of the swing must be worth a word. Heaps' blocks are counted to the byte, as logs are.
fn fluctuates(curve: &Curve) -> bool {
    let values = &curve.values;
    let swing = values.peak_to_peak();
    let least = if curve.is_logged { LEAST_LOGGED_FLUCTUATION_BYTES } else { LEAST_FLUCTUATION_BYTES };
    let is_swing = swing >= least && swing as f64 >= LEAST_SWING_SHARE * values.most().unwrap_or(0) as f64;
    let judgement = shape::judge(values.0.iter().copied(), Counted::Requested);
    is_swing && judgement.is_some_and(|judgement| judgement.shape == Shape::Fluctuation)
}

fn curves(facts: &SeriesFacts) -> Vec<Curve> {
    let last = facts.last_dump();
    let heaps = facts.heaps.iter().flatten().map(|heap| {
        let is_in_use_known = heap.in_use.0.iter().any(Option::is_some);
        let (what, values) =
            if is_in_use_known { ("in use in", &heap.in_use) } else { ("committed of", &heap.committed) };
        Curve {
            name: format!("memory {what} heap {}", heap.base.windbg(heap.width)),
            values: values.clone(),
            place: Some(Place::Heap { dump: last, base: heap.base }),
            is_logged: false,
        }
    });
    let stacks = facts.stacks_in_use.iter().flatten().map(|stack| Curve {
        name: format!("blocks of {}", stack.name),
        values: stack.user_bytes.clone(),
        place: Some(Place::TraceStack { dump: last, stack: stack.stack }),
        is_logged: false,
    });
    let logged = facts.logged_curves.iter().map(|curve| Curve {
        name: format!("allocations of {}", curve.name),
        values: Values(curve.bytes.iter().copied().map(Some).collect()),
        place: None,
        is_logged: true,
    });
    heaps.chain(stacks).chain(logged).collect()
}

/// Whether the first point was taken before these rose.
fn has_baseline(fluctuating: &[&Curve]) -> bool {
    let sum =
        |end: fn(&Values) -> Option<u64>| -> u64 { fluctuating.iter().filter_map(|curve| end(&curve.values)).sum() };
    (sum(Values::first) as f64) < BASELINE_SHARE * sum(Values::last) as f64
}

fn amounts(values: &Values) -> String {
    let net = values.net().unwrap_or(0);
    format!("{} from end to end, {} between lowest and highest", ByteDelta(net), ByteSize(values.peak_to_peak()))
}

fn line(curve: &Curve, strength: Strength) -> Evidence {
    let known = curve.values.0.iter().flatten().count();
    let points = if curve.is_logged { "UMDH logs" } else { "dumps" };
    let turns = plural(curve.values.turn_count(), "turn", "turns");
    let text = format!("{}: {}, {turns} over {known} {points}", curve.name, amounts(&curve.values));
    let evidence = Evidence::new(strength, text).number(Number::Bytes(curve.values.peak_to_peak()));
    match curve.place {
        Some(place) => evidence.at(place),
        None => evidence,
    }
}

fn steady(facts: &SeriesFacts, judged: &[&Curve]) -> Finding {
    let most = judged.iter().max_by_key(|curve| curve.values.peak_to_peak());
    let text = match most.filter(|curve| curve.values.peak_to_peak() > 0) {
        Some(curve) => format!("; the most is {}, {}", curve.name, amounts(&curve.values)),
        None => ": nothing changes at all".to_owned(),
    };
    let has_logs = !facts.logged_curves.is_empty();
    let sources = if has_logs { "in the dumps and the UMDH logs" } else { "in the heaps of these dumps" };
    let proof = most.map(|curve| line(curve, Strength::Proves));
    let finding = Finding::new(ID, Verdict::RuledOut, format!("nothing goes up and down {sources}{text}"))
        .evidence(proof)
        .refuted_by("allocations that come and go between two dumps; UMDH logs taken more often would show them");
    if has_logs {
        finding
    } else {
        finding.next(NextDumpKind::WithStacks, "whether single allocation stacks go up and down")
    }
}
