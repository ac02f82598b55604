//! Instrumentation Side Effect: diagnostic settings that are on and change what the process does: its memory, its speed.
//! Reported whenever one is on, with what it takes; dominant where it is a good part of the growth.

use super::super::evidence::{Evidence, Number, Place, Strength, percent_text, windbg_address};
use super::super::facts::SeriesFacts;
use super::super::pattern::PatternId;
use super::super::{Finding, NextDumpKind, Subject, Verdict};
use super::{Pattern, delta, plural, share_text, sizes_text};
use crate::analysis::series::growth::{Values, sum};
use crate::analysis::series::thread_doing::Doing;
use crate::analysis::thresholds::{INSTRUMENTATION_DOMINANT_PERCENT, MOST_NAMED};
use crate::base::units::{ByteDelta, ByteSize};
use crate::process::peb::global_flag;
use crate::process::regions::usage::Usage;
use crate::process::traces::StoreKind;

const ID: PatternId = PatternId::InstrumentationSideEffect;
pub const PATTERN: Pattern = Pattern { id: ID, judge };

/// Flags of gflags that make heaps, locks or handles do more: heap checks, verifier, tagging, stack traces, page heap.
const DIAGNOSTIC_FLAGS: u32 = 0x10 | 0x20 | 0x40 | 0x80 | 0x100 | 0x800 | 0x1000 | 0x8000 | 0x20_0000 | 0x0200_0000;
const INSTRUMENTS: [Usage; 2] = [Usage::StackTraceDatabase, Usage::PageHeap];

fn judge(facts: &SeriesFacts) -> Finding {
    let flags = facts.dumps.iter().filter_map(|dump| dump.nt_global_flag).fold(0, |all, flags| all | flags);
    let are_flags_known = facts.dumps.iter().any(|dump| dump.nt_global_flag.is_some());
    let set = flags & DIAGNOSTIC_FLAGS;
    let has_stores = facts.dumps.iter().any(|dump| dump.store_count > 0);
    let modules: Vec<&String> = facts
        .dumps
        .iter()
        .rev()
        .find_map(|dump| Some(&dump.diagnostic_modules).filter(|m| !m.is_empty()))
        .into_iter()
        .flatten()
        .collect();
    let held = held_by_instruments(facts);
    if set == 0 && !has_stores && modules.is_empty() && held.most().unwrap_or(0) == 0 {
        return without(facts, are_flags_known, flags);
    }
    let whole = facts.memory.committed.net();
    let part = held.net();
    let share = part.zip(whole).filter(|(_, whole)| *whole > 0).map(|(part, whole)| part as f64 * 100.0 / whole as f64);
    let is_dominant = share.is_some_and(|share| share >= INSTRUMENTATION_DOMINANT_PERCENT);
    let mut evidence = vec![growth_line(facts, &held, part.zip(whole), is_dominant)];
    if set != 0 {
        let names: Vec<String> = global_flag::names(set).iter().map(|name| format!("+{name}")).collect();
        let descriptions = global_flag::descriptions(set).join("; ");
        evidence.push(
            Evidence::new(
                Strength::Supports,
                format!("NtGlobalFlag {flags:#x} has {}: {descriptions}", names.join(" ")),
            )
            .number(Number::Code(flags))
            .at(Place::Dump(facts.last_dump()))
            .windbg("!gflag"),
        );
    }
    evidence.extend(store_lines(facts));
    evidence.extend(logging_lines(facts));
    evidence.extend(modules.iter().take(MOST_NAMED).map(|name| {
        let text = format!("{name} is loaded, a library of a diagnosing tool");
        Evidence::new(Strength::Supports, text).at(Place::Modules(facts.last_dump())).windbg("lm")
    }));
    let what = instruments_text(facts, set, &modules);
    let summary = match (part.zip(whole), share) {
        (Some((part, whole)), Some(_)) if is_dominant => {
            format!("{what}: it holds {} of the growth of committed memory", share_text(part, whole))
        }
        (Some((part, _)), Some(share)) => {
            format!(
                "{what}: it holds {}, {} of the growth, which is not most of it",
                ByteDelta(part),
                percent_text(share)
            )
        }
        (Some((part, _)), None) => format!("{what}: {}; committed memory as a whole did not grow", ByteDelta(part)),
        _ => held.last().map_or_else(
            || format!("{what}; what it holds is not known"),
            |bytes| format!("{what}: it holds {} in dump {}", ByteSize(bytes), facts.last_dump()),
        ),
    };
    let finding = Finding::new(ID, Verdict::Found, summary).evidence(evidence).subjects(subjects(facts)).refuted_by(
        "a series taken after the setting was switched off and the process started again, which grows just the same",
    );
    if facts.dumps.len() > 1 && is_dominant {
        finding
    } else {
        finding.next(NextDumpKind::Series, "how much of the growth the instrumentation holds")
    }
}

fn held_by_instruments(facts: &SeriesFacts) -> Values {
    let parts: Vec<&Values> =
        INSTRUMENTS.iter().filter_map(|usage| facts.usage(*usage)).map(|facts| &facts.committed).collect();
    if parts.is_empty() { Values(vec![None; facts.dumps.len()]) } else { sum(parts, facts.dumps.len()) }
}

fn growth_line(facts: &SeriesFacts, held: &Values, growth: Option<(i128, i128)>, is_dominant: bool) -> Evidence {
    let here = Place::Use { dump: facts.last_dump(), usage: Usage::StackTraceDatabase };
    match growth {
        Some((part, whole)) => {
            let strength = if is_dominant { Strength::Proves } else { Strength::Background };
            let text = format!("instrumentation holds {}: {} of the growth", sizes_text(held), share_text(part, whole));
            Evidence::new(strength, text).number(delta(part)).at(here).windbg("!address -summary")
        }
        None => {
            let text = format!("instrumentation holds {}", sizes_text(held));
            let evidence = Evidence::new(Strength::Background, text).at(here).windbg("!address -summary");
            held.last().map_or(evidence.clone(), |bytes| evidence.number(Number::Bytes(bytes)))
        }
    }
}

fn instruments_text(facts: &SeriesFacts, set: u32, modules: &[&String]) -> String {
    let is_set = |flag: u32| set & flag != 0;
    let has_page_heap = facts.usage(Usage::PageHeap).is_some_and(|heap| heap.committed.most().unwrap_or(0) > 0);
    let mut names = Vec::new();
    if is_set(global_flag::UST) || facts.dumps.iter().any(|dump| dump.store_count > 0) {
        names.push("the user mode stack trace database (gflags +ust)".to_owned());
    }
    if is_set(0x0200_0000) || has_page_heap {
        names.push("page heap (gflags +hpa)".to_owned());
    }
    let others = set & !(global_flag::UST | 0x0200_0000);
    if others != 0 {
        names.push(format!("gflags +{}", global_flag::names(others).join(" +")));
    }
    if names.is_empty() {
        names.extend(modules.iter().take(MOST_NAMED).map(|name| (*name).clone()));
    }
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb} on", names.join(", "))
}

fn store_lines(facts: &SeriesFacts) -> Vec<Evidence> {
    let Some(traces) = &facts.traces else { return Vec::new() };
    let line = |store: &super::super::facts::StoreFacts| {
        let name = match store.kind {
            StoreKind::Indexed => "stack trace database",
            StoreKind::HeapLog => "heap trace log",
        };
        let entries = store
            .entries
            .last()
            .map_or_else(String::new, |count| format!(", {} entries", crate::base::units::grouped(count)));
        let text = format!(
            "{name} at {}: {} committed{entries}",
            store.base.windbg(store.width),
            sizes_text(&store.committed)
        );
        let evidence = Evidence::new(Strength::Background, text)
            .at(Place::Store { dump: facts.last_dump(), base: store.base })
            .windbg(format!("!address {}", windbg_address(store.base)));
        match store.committed.net() {
            Some(net) => evidence.number(delta(net)),
            None => evidence,
        }
    };
    traces.stores.iter().take(MOST_NAMED).map(line).collect()
}

/// Threads caught in the logger.
fn logging_lines(facts: &SeriesFacts) -> Vec<Evidence> {
    let caught: Vec<(u32, usize)> = facts
        .threads
        .iter()
        .filter_map(|thread| {
            let dumps = thread.doing.iter().enumerate().rev().find(|(_, doing)| **doing == Some(Doing::LoggingTrace));
            dumps.map(|(dump, _)| (thread.tid, dump))
        })
        .collect();
    let line = |(tid, dump): &(u32, usize)| {
        let times = facts
            .threads
            .iter()
            .find(|thread| thread.tid == *tid)
            .map_or(0, |thread| thread.doing.iter().filter(|doing| **doing == Some(Doing::LoggingTrace)).count());
        let of = plural(facts.dumps.len(), "dump", "dumps");
        Evidence::new(Strength::Supports, format!("thread {tid:x} was logging a stack trace in {times} of {of}"))
            .number(Number::Count(times as u64))
            .at(Place::Thread { dump: facts.dump(*dump), tid: *tid })
            .windbg(format!("~~[{tid:x}]kc"))
    };
    caught.iter().take(MOST_NAMED).map(line).collect()
}

fn subjects(facts: &SeriesFacts) -> Vec<Subject> {
    let stores = facts.traces.iter().flat_map(|traces| &traces.stores).take(MOST_NAMED);
    stores
        .map(|store| Subject {
            name: format!("store at {}", store.base.windbg(store.width)),
            place: Some(Place::Store { dump: facts.last_dump(), base: store.base }),
        })
        .collect()
}

fn without(facts: &SeriesFacts, are_flags_known: bool, flags: u32) -> Finding {
    if !are_flags_known {
        return Finding::new(ID, Verdict::Undecided, "no PEB is in the dumps, so the flags are not known")
            .next(NextDumpKind::Full, "which diagnostic settings are on");
    }
    let known_count = facts.dumps.iter().filter(|dump| dump.nt_global_flag.is_some()).count();
    let text = format!("NtGlobalFlag is {flags:#x}: no diagnostic setting that costs memory or time is on");
    Finding::new(ID, Verdict::RuledOut, text.clone())
        .evidence([Evidence::new(Strength::Proves, format!("{text}, in {}", plural(known_count, "dump", "dumps")))
            .number(Number::Code(flags))
            .at(Place::Dump(facts.last_dump()))
            .windbg("!gflag")])
        .refuted_by("a tool that no flag shows, for instance one that patches functions of the heap")
}
