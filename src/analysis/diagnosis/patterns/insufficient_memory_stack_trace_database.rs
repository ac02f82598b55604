//! Insufficient Memory (Stack Trace Database): the database runs out of its own room, or eats the process's memory.

use super::super::evidence::{Evidence, Number, Place, Strength, percent_text, windbg_address};
use super::super::facts::{SeriesFacts, StoreFacts, TraceFacts};
use super::super::pattern::PatternId;
use super::super::{Finding, NextDumpKind, Subject, Verdict};
use super::{Pattern, plural, sizes_text};
use crate::analysis::series::growth::{Values, sum};
use crate::analysis::series::time_to_full::TimeToFull;
use crate::analysis::thresholds::{REPEATING_ENTRIES_PER_STACK, STORE_DOMINANT_PERCENT, STORE_NEARLY_FULL_PERCENT};
use crate::base::units::{ByteDelta, ByteSize, grouped};
use crate::process::peb::global_flag;
use crate::process::traces::StoreKind;

const ID: PatternId = PatternId::InsufficientMemoryStackTraceDatabase;
pub const PATTERN: Pattern = Pattern { id: ID, judge };

fn judge(facts: &SeriesFacts) -> Finding {
    let has_stores = facts.dumps.iter().any(|dump| dump.store_count > 0);
    let Some(traces) = facts.traces.as_ref().filter(|traces| !traces.stores.is_empty()) else {
        return if has_stores && facts.traces.is_none() {
            Finding::new(ID, Verdict::Undecided, "the stack trace database is still being decoded")
        } else {
            without_store(facts)
        };
    };
    let last = facts.dumps.len().saturating_sub(1);
    let full = traces.stores.iter().find(|store| store.is_full.get(last).copied().flatten() == Some(true));
    if let Some(store) = full {
        return full_store(facts, traces, store);
    }
    if let Some(found) = dominant_log(facts, traces) {
        return found;
    }
    let fill = |store: &StoreFacts| store.fill_percent.get(last).copied().flatten();
    let fullest = traces
        .stores
        .iter()
        .filter(|store| store.kind == StoreKind::Indexed)
        .max_by(|a, b| fill(a).unwrap_or(-1.0).total_cmp(&fill(b).unwrap_or(-1.0)));
    let Some((store, percent)) = fullest.and_then(|store| Some((store, fill(store)?))) else {
        return Finding::new(
            ID,
            Verdict::Undecided,
            "how full the stack trace database is cannot be read from the dump",
        )
        .evidence(traces.stores.iter().map(|store| size_line(facts, store)))
        .next(NextDumpKind::Full, "how full the database is");
    };
    let room = store.room_left.last().map_or_else(String::new, |room| format!(", {} left", ByteSize(room)));
    let text = format!("{} of {} used{room}", percent_text(percent), size_text(store));
    let evidence: Vec<Evidence> = std::iter::once(fill_line(facts, store, percent, Strength::Proves))
        .chain(time_line(facts, store))
        .chain(content_lines(facts, traces, store))
        .collect();
    if percent >= STORE_NEARLY_FULL_PERCENT {
        return Finding::new(ID, Verdict::Undecided, format!("nearly: {text}; new stacks still get in"))
            .evidence(evidence)
            .subjects([subject(facts, store)])
            .next(NextDumpKind::Series, "whether the database fills up");
    }
    Finding::new(ID, Verdict::RuledOut, text)
        .evidence(evidence)
        .refuted_by("a later dump in which the database is full: it fills as long as it is on")
}

fn size_text(store: &StoreFacts) -> String {
    store.reserved_bytes.map_or_else(|| "a size that is not known".to_owned(), |bytes| ByteSize(bytes).to_string())
}

fn full_store(facts: &SeriesFacts, traces: &TraceFacts, store: &StoreFacts) -> Finding {
    let room = store.room_left.last();
    let left = room.map_or_else(
        || "no room left".to_owned(),
        |room| match room / crate::analysis::thresholds::PAGE_BYTES {
            0 => "no page left".to_owned(),
            1 => "one page left".to_owned(),
            pages => format!("{pages} pages left"),
        },
    );
    let repeat = repetition(store).map_or_else(String::new, |text| format!("; {text}"));
    let summary = format!("the database of {} is full, {left}{repeat}", size_text(store));
    let proof = Evidence::new(
        Strength::Proves,
        format!("{left} of {} reserved: a new entry needs a page for itself and one for its pointer", size_text(store)),
    );
    let proof = proof.at(Place::Store { dump: facts.last_dump(), base: store.base }).windbg(address_command(store));
    let proof = room.map_or(proof.clone(), |room| proof.number(Number::Bytes(room)));
    let percent = store.fill_percent.last().copied().flatten();
    Finding::new(ID, Verdict::Found, summary)
        .evidence(std::iter::once(proof))
        .evidence(percent.map(|percent| fill_line(facts, store, percent, Strength::Supports)))
        .evidence(time_line(facts, store))
        .evidence(content_lines(facts, traces, store))
        .subjects([subject(facts, store)])
        .refuted_by("a later dump of the same process in which the database has more entries")
}

/// The heap trace log has no limit of its own: it is insufficient memory when it takes most of the process's.
fn dominant_log(facts: &SeriesFacts, traces: &TraceFacts) -> Option<Finding> {
    let logs: Vec<&StoreFacts> = traces.stores.iter().filter(|store| store.kind == StoreKind::HeapLog).collect();
    let (log, private) = (logs.first()?, facts.memory.private.last()?);
    let held = sum(logs.iter().map(|log| &log.committed), facts.dumps.len());
    let last = held.last()?;
    let percent = last as f64 * 100.0 / private.max(1) as f64;
    (percent >= STORE_DOMINANT_PERCENT).then_some(())?;
    let grew = held.net().filter(|net| *net > 0);
    let growth = grew.map_or_else(String::new, |net| format!(", {} over {}", ByteDelta(net), facts.dumps_text()));
    let repeat = repetition(log).map_or_else(String::new, |text| format!("; {text}"));
    let summary = format!(
        "the heap trace log has no limit and holds {} of the process's private memory: {}{growth}{repeat}",
        percent_text(percent),
        ByteSize(last),
    );
    let text = format!("heap trace log: {}, {} of private memory", sizes_text(&held), percent_text(percent));
    let strength = if grew.is_some() { Strength::Proves } else { Strength::Supports };
    let proof = Evidence::new(strength, text)
        .number(Number::Bytes(last))
        .at(Place::Store { dump: facts.last_dump(), base: log.base })
        .windbg("!address -summary");
    Some(
        Finding::new(ID, Verdict::Found, summary)
            .evidence(std::iter::once(proof).chain(content_lines(facts, traces, log)))
            .subjects([subject(facts, log)])
            .refuted_by("a later dump in which the log stands still while the program goes on allocating"),
    )
}

fn address_command(store: &StoreFacts) -> String {
    format!("!address {}", windbg_address(store.base))
}

fn subject(facts: &SeriesFacts, store: &StoreFacts) -> Subject {
    let place = Place::Store { dump: facts.last_dump(), base: store.base };
    Subject { name: format!("store at {}", store.base.windbg(store.width)), place: Some(place) }
}

fn size_line(facts: &SeriesFacts, store: &StoreFacts) -> Evidence {
    let text = format!("store at {}: {} committed", store.base.windbg(store.width), sizes_text(&store.committed));
    Evidence::new(Strength::Background, text)
        .at(Place::Store { dump: facts.last_dump(), base: store.base })
        .windbg(address_command(store))
}

fn fill_line(facts: &SeriesFacts, store: &StoreFacts, percent: f64, strength: Strength) -> Evidence {
    let used =
        store.used.last().map_or_else(String::new, |used| format!(" ({} of {})", ByteSize(used), size_text(store)));
    Evidence::new(strength, format!("{} used{used}", percent_text(percent)))
        .number(Number::Percent(percent))
        .at(Place::Store { dump: facts.last_dump(), base: store.base })
        .windbg(address_command(store))
}

fn time_line(facts: &SeriesFacts, store: &StoreFacts) -> Option<Evidence> {
    let here = Place::Store { dump: facts.last_dump(), base: store.base };
    let text = match store.time_to_full? {
        TimeToFull::Full { since_dump: 0 } => format!("full since dump {} or earlier", facts.dump(0)),
        TimeToFull::Full { since_dump } => {
            format!("became full between dumps {} and {}", facts.dump(since_dump - 1), facts.dump(since_dump))
        }
        TimeToFull::NotGrowing => format!("did not grow over {}", facts.dumps_text()),
        TimeToFull::At { expected, per_hour, .. } => {
            let rate = ByteDelta(per_hour.round() as i128);
            let text = format!("full at {} UTC at the rate of {}, {rate}/h", expected.table_text(), facts.dumps_text());
            return Some(Evidence::new(Strength::Background, text).number(Number::BytesPerHour(per_hour)).at(here));
        }
    };
    Some(Evidence::new(Strength::Background, text).at(here))
}

/// `20 stacks for 148,863 entries`, where entries repeat.
fn repetition(store: &StoreFacts) -> Option<String> {
    let (entries, stacks) = (store.entries.last()?, store.unique_stacks.last().filter(|stacks| *stacks > 0)?);
    let text = format!("{} for {} entries", plural(usize::try_from(stacks).ok()?, "stack", "stacks"), grouped(entries));
    (entries as f64 / stacks as f64 >= REPEATING_ENTRIES_PER_STACK).then_some(text)
}

fn content_lines(facts: &SeriesFacts, traces: &TraceFacts, store: &StoreFacts) -> Vec<Evidence> {
    let here = Place::Store { dump: facts.last_dump(), base: store.base };
    let mut lines = Vec::new();
    if let (Some(entries), Some(stacks)) = (store.entries.last(), store.unique_stacks.last()) {
        let text = format!("{} unique stacks for {} entries", grouped(stacks), grouped(entries));
        let per_stack = entries as f64 / stacks.max(1) as f64;
        let text = if per_stack >= REPEATING_ENTRIES_PER_STACK {
            format!(
                "{text}: entries of the same stacks repeat, {per_stack:.0} for each; it is no variety of stacks that fills it"
            )
        } else {
            text
        };
        lines.push(Evidence::new(Strength::Supports, text).number(Number::Count(stacks)).at(here));
    }
    if let (Some(saturated), Some(entries)) = (store.saturated_entries.last(), store.entries.last())
        && store.kind == StoreKind::Indexed
    {
        let percent = saturated as f64 * 100.0 / entries.max(1) as f64;
        let text = format!(
            "{} of the entries are saturated: their use count has stopped at 2,047 (7ff)",
            percent_text(percent)
        );
        lines.push(Evidence::new(Strength::Background, text).number(Number::Percent(percent)).at(here));
    }
    if let Some(failures) = store.failures.last().filter(|failures| *failures > 0) {
        let text = format!("the database itself counts {} stacks that it could not take", grouped(failures));
        lines.push(Evidence::new(Strength::Supports, text).number(Number::Count(failures)).at(here));
    }
    if let Some(growth) = traces.growth.filter(|_| facts.dumps.len() > 1) {
        let added = growth.repeated_entry_count.saturating_add(growth.new_entry_count);
        if added > 0 {
            let percent = growth.repeated_entry_count as f64 * 100.0 / added as f64;
            let text = format!(
                "of {} entries added, {} repeat stacks that dump {} had",
                grouped(added),
                percent_text(percent),
                facts.dump(0)
            );
            lines.push(Evidence::new(Strength::Background, text).number(Number::Percent(percent)).at(here));
        }
    }
    lines
}

fn without_store(facts: &SeriesFacts) -> Finding {
    let is_on = facts.dumps.iter().any(|dump| dump.nt_global_flag.is_some_and(|flags| flags & global_flag::UST != 0));
    let is_known_off = facts.dumps.iter().all(|dump| dump.nt_global_flag.is_some()) && !facts.dumps.is_empty();
    if is_on {
        return Finding::new(
            ID,
            Verdict::Undecided,
            "gflags +ust is set, and no stack trace database was found in the dumps",
        )
        .next(NextDumpKind::Full, "how full the database is");
    }
    if !is_known_off || !facts.dumps.iter().all(|dump| dump.has_full_memory) {
        let text = "no stack trace database was found, and the dumps do not hold all that would show one";
        return Finding::new(ID, Verdict::Undecided, text).next(NextDumpKind::Full, "whether there is a database");
    }
    let text = "there is no stack trace database: gflags +ust is not set, and none was found";
    let none: Values = Values(vec![Some(0); facts.dumps.len()]);
    Finding::new(ID, Verdict::RuledOut, text)
        .evidence([Evidence::new(Strength::Proves, format!("{text} in {}", facts.dumps_text()))
            .number(Number::Count(none.last().unwrap_or(0)))
            .at(Place::Dump(facts.last_dump()))
            .windbg("!gflag")])
        .refuted_by("a database that another setting than +ust made, of a layout that is not known")
}
