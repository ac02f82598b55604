//! Handle Leak: the number of open handles rises in nearly every dump, or is abnormal in itself.

use super::super::evidence::{Evidence, Number, Place, Strength};
use super::super::facts::SeriesFacts;
use super::super::pattern::PatternId;
use super::super::{Finding, NextDumpKind, Subject, Verdict};
use super::{Pattern, counts_text, rises_steadily};
use crate::analysis::series::handles::HandleHistory;
use crate::analysis::thresholds::{ABNORMAL_HANDLES, LEAST_GROWTH_RATIO, LEAST_HANDLE_GROWTH, MOST_NAMED};
use crate::base::units::grouped;

const ID: PatternId = PatternId::HandleLeak;
pub const PATTERN: Pattern = Pattern { id: ID, judge };

fn judge(facts: &SeriesFacts) -> Finding {
    let total = &facts.handles.total;
    let here = Place::Handles(facts.last_dump());
    let Some(last) = total.last() else {
        return Finding::new(ID, Verdict::Undecided, "the dumps hold no list of handles")
            .next(NextDumpKind::Full, "how many handles of which type are open");
    };
    let count_line = |strength| {
        let text = total.first().filter(|_| total.0.len() > 1).map_or_else(
            || format!("{} handles", grouped(last)),
            |first| match first == last {
                true => format!("{} handles in the first and the last dump", grouped(last)),
                false => format!("{} to {} handles over {}", grouped(first), grouped(last), facts.dumps_text()),
            },
        );
        let number = total.net().map_or(Number::Count(last), Number::CountDelta);
        Evidence::new(strength, text).number(number).at(here).windbg("!handle 0 0")
    };
    let rises =
        |history: &&HandleHistory| history.counts.net().is_some_and(|net| net >= i128::from(LEAST_HANDLE_GROWTH));
    let mut rising: Vec<&HandleHistory> = facts.handles.types.iter().filter(rises).collect();
    rising.sort_by_key(|history| std::cmp::Reverse(history.counts.net()));
    let type_lines = |strength| {
        rising.iter().take(MOST_NAMED).map(move |history| type_line(history, here, strength)).collect::<Vec<_>>()
    };
    let net = total.net();
    let has_grown = net.is_some_and(|net| net >= i128::from(LEAST_HANDLE_GROWTH))
        && total.ratio().is_none_or(|ratio| ratio >= LEAST_GROWTH_RATIO);
    if has_grown && rises_steadily(total) && facts.shows_direction() {
        let what = rising.first().map_or_else(String::new, |history| format!(", most of them {}", history.type_name));
        return Finding::new(ID, Verdict::Found, format!("{}{what}", counts_text(net.unwrap_or(0), "open handles")))
            .evidence(std::iter::once(count_line(Strength::Proves)).chain(type_lines(Strength::Supports)))
            .subjects(
                rising
                    .iter()
                    .take(MOST_NAMED)
                    .map(|history| Subject { name: format!("{} handles", history.type_name), place: Some(here) }),
            )
            .refuted_by("later dumps in which the number stands still or falls while the work goes on")
            .next(NextDumpKind::Series, "whether the number goes on rising");
    }
    if last >= ABNORMAL_HANDLES {
        let most = facts.handles.types.first().map_or_else(String::new, |history| {
            format!(", {} of them {}", grouped(history.counts.last().unwrap_or(0)), history.type_name)
        });
        return Finding::new(
            ID,
            Verdict::Found,
            format!("{} open handles{most}: abnormal, whether it grows or not", grouped(last)),
        )
        .evidence(std::iter::once(count_line(Strength::Supports)).chain(type_lines(Strength::Supports)))
        .refuted_by("a program that needs so many, and a number that stands still in later dumps")
        .next(NextDumpKind::Series, "whether the number rises");
    }
    let Some(net) = net else {
        let text = format!("{} open handles, a usual number; one list does not show whether it grows", grouped(last));
        return Finding::new(ID, Verdict::Undecided, text)
            .evidence([count_line(Strength::Background)])
            .next(NextDumpKind::Series, "whether the number rises");
    };
    if has_grown {
        let why = if facts.shows_direction() { "but not in every dump" } else { "and two dumps show no direction" };
        let text = format!("{}, {why}", counts_text(net, "open handles"));
        return Finding::new(ID, Verdict::Undecided, text)
            .evidence(std::iter::once(count_line(Strength::Supports)).chain(type_lines(Strength::Supports)))
            .next(NextDumpKind::Series, "whether the number goes on rising");
    }
    let text = if net == 0 {
        format!("{} open handles in the first and the last dump", grouped(last))
    } else {
        format!("{}, {} in the last dump", counts_text(net, "open handles"), grouped(last))
    };
    Finding::new(ID, Verdict::RuledOut, text)
        .evidence([count_line(Strength::Proves)])
        .refuted_by("a dump with clearly more handles than all before")
}

fn type_line(history: &HandleHistory, here: Place, strength: Strength) -> Evidence {
    let (first, last) = (history.counts.first().unwrap_or(0), history.counts.last().unwrap_or(0));
    let text = format!("{}: {} to {} handles", history.type_name, grouped(first), grouped(last));
    Evidence::new(strength, text)
        .number(Number::CountDelta(history.counts.net().unwrap_or(0)))
        .at(here)
        .windbg("!handle 0 0")
}
