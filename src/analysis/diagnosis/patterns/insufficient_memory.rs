//! Insufficient Memory: what an allocation needs is used up. A process dump proves the address space; commit only where it
//! tells the machine's own numbers.

use super::super::evidence::{Evidence, Number, Place, Strength, percent_text, windbg_address};
use super::super::facts::SeriesFacts;
use super::super::pattern::PatternId;
use super::super::{Finding, NextDumpKind, Verdict};
use super::Pattern;
use crate::analysis::thresholds::{
    COMMIT_EXHAUSTED_PERCENT, COMMIT_ROOMY_PERCENT, MOST_NAMED, NEAR_FREE_BLOCK_BYTES, SMALL_FREE_BLOCK_BYTES,
};
use crate::base::addr::PointerWidth;
use crate::base::units::ByteSize;

const ID: PatternId = PatternId::InsufficientMemory;
pub const PATTERN: Pattern = Pattern { id: ID, judge };

/// STATUS_NO_MEMORY, STATUS_COMMITMENT_LIMIT, STATUS_INSUFFICIENT_RESOURCES of ntstatus.h.
const OUT_OF_MEMORY_CODES: [u32; 3] = [0xc000_0017, 0xc000_012d, 0xc000_009a];

/// How one resource stands.
enum Standing {
    Exhausted(Evidence),
    Near(Evidence),
    Plenty(Evidence),
    Unknown(&'static str),
}

fn judge(facts: &SeriesFacts) -> Finding {
    let standings = [address_space(facts), commit(facts)];
    let mut evidence: Vec<Evidence> = exceptions(facts);
    let has_exception = !evidence.is_empty();
    let (mut exhausted, mut near, mut unknown) = (false, false, Vec::new());
    for standing in standings {
        match standing {
            Standing::Exhausted(line) => {
                exhausted = true;
                evidence.push(line);
            }
            Standing::Near(line) => {
                near = true;
                evidence.push(line);
            }
            Standing::Plenty(line) => evidence.push(line),
            Standing::Unknown(what) => unknown.push(what),
        }
    }
    evidence.extend(last_errors(facts));
    let first_text = evidence.first().map(|line| line.text.clone()).unwrap_or_default();
    if exhausted || has_exception {
        // What has plenty is no contradiction: one of the resources is enough.
        return Finding::new(ID, Verdict::Found, first_text)
            .evidence(evidence)
            .refuted_by("an allocation of the wanted size that succeeds afterwards in the same process")
            .next(NextDumpKind::Exception, "which allocation fails, and for how much it asked");
    }
    if near || !unknown.is_empty() {
        let text = if near {
            format!("near: {first_text}")
        } else if evidence.is_empty() {
            unknown.join("; ")
        } else {
            format!("{first_text}; {}", unknown.join("; "))
        };
        let kind = if near { NextDumpKind::Series } else { NextDumpKind::Full };
        return Finding::new(ID, Verdict::Undecided, text)
            .evidence(evidence)
            .next(kind, "how much the process and the machine still have");
    }
    let texts: Vec<&str> = evidence.iter().map(|line| line.text.as_str()).collect();
    Finding::new(ID, Verdict::RuledOut, texts.join("; "))
        .evidence(evidence)
        .refuted_by("a failed allocation: a limit of a job, a quota or a pool is in no process dump")
}

/// 64-bit programs have 8 TB and more; what they lack is commit.
fn address_space(facts: &SeriesFacts) -> Standing {
    let Some((dump, facts_of_dump)) = facts.last().map(|dump| (dump.dump, dump)) else {
        return Standing::Unknown("there is no dump");
    };
    let Some(largest) = facts_of_dump.largest_free else {
        return Standing::Unknown("free address space is not known: the dump lists no free regions");
    };
    let bytes = largest.size_bytes();
    let free = facts_of_dump.free_bytes.filter(|_| facts_of_dump.width == PointerWidth::Bits32);
    let of_free = free.map_or_else(String::new, |free| format!(" of {} free", ByteSize(free)));
    let bits = facts_of_dump.width.bits();
    let before = facts.first().filter(|first| first.dump != dump).and_then(|first| first.largest_free);
    let change = before.map(|range| range.size_bytes()).filter(|before| *before != bytes && bits == 32);
    let change = change.map_or_else(String::new, |before| format!(" (dump {}: {})", facts.dump(0), ByteSize(before)));
    let text = format!("largest free block of the {bits}-bit address space: {}{of_free}{change}", ByteSize(bytes));
    let line = |strength| {
        Evidence::new(strength, text)
            .number(Number::Bytes(bytes))
            .at(Place::Region { dump, start: largest.start })
            .windbg(format!("!address {}", windbg_address(largest.start)))
    };
    match bytes {
        small if small < SMALL_FREE_BLOCK_BYTES => Standing::Exhausted(line(Strength::Proves)),
        near if near < NEAR_FREE_BLOCK_BYTES => Standing::Near(line(Strength::Supports)),
        _ => Standing::Plenty(line(Strength::Background)),
    }
}

fn commit(facts: &SeriesFacts) -> Standing {
    let told = facts.dumps.iter().rev().find_map(|dump| Some((dump.dump, dump.system_commit?)));
    let Some((dump, commit)) = told.filter(|(_, commit)| commit.limit_bytes > 0) else {
        return Standing::Unknown("the machine's commit and its limit are not in the dumps");
    };
    let percent = commit.committed_bytes as f64 * 100.0 / commit.limit_bytes as f64;
    let text = format!(
        "the machine had committed {} of {} ({})",
        ByteSize(commit.committed_bytes),
        ByteSize(commit.limit_bytes),
        percent_text(percent)
    );
    let line = |strength| Evidence::new(strength, text).number(Number::Percent(percent)).at(Place::Dump(dump));
    match percent {
        exhausted if exhausted >= COMMIT_EXHAUSTED_PERCENT => Standing::Exhausted(line(Strength::Proves)),
        near if near >= COMMIT_ROOMY_PERCENT => Standing::Near(line(Strength::Supports)),
        // With room at the limit and in the address space, nothing is short.
        _ => Standing::Plenty(line(Strength::Proves)),
    }
}

fn exceptions(facts: &SeriesFacts) -> Vec<Evidence> {
    let found = facts.dumps.iter().filter_map(|dump| Some((dump.dump, dump.exception?)));
    found
        .filter(|(_, exception)| OUT_OF_MEMORY_CODES.contains(&exception.code))
        .map(|(dump, exception)| {
            let text = format!(
                "dump {dump} was taken at exception {:08x} (no memory) in thread {:x}",
                exception.code, exception.tid
            );
            Evidence::new(Strength::Proves, text)
                .number(Number::Code(exception.code))
                .at(Place::Thread { dump, tid: exception.tid })
                .windbg(".exr -1")
        })
        .collect()
}

/// An old error of a thread says that an allocation failed some time.
fn last_errors(facts: &SeriesFacts) -> Vec<Evidence> {
    let Some(last) = facts.last() else { return Vec::new() };
    let line = |(tid, error): &(u32, u32)| {
        let text = format!("thread {tid:x}'s last error is {error} (no memory); it may be an old one");
        Evidence::new(Strength::Background, text)
            .number(Number::Code(*error))
            .at(Place::Thread { dump: last.dump, tid: *tid })
            .windbg(format!("~~[{tid:x}]e !gle"))
    };
    last.out_of_memory_threads.iter().take(MOST_NAMED).map(line).collect()
}
