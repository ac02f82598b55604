//! Dynamic Memory Corruption (process heap): the records of a heap contradict themselves.

use super::super::evidence::{Evidence, Number, Place, Strength, windbg_address};
use super::super::facts::{HeapDamage, HeapFacts, SeriesFacts};
use super::super::pattern::PatternId;
use super::super::{Finding, NextDumpKind, Subject, Verdict};
use super::{Pattern, plural};
use crate::analysis::thresholds::{MOST_NAMED, UNREAD_SHARE};
use crate::base::units::ByteSize;

const ID: PatternId = PatternId::HeapCorruption;
pub const PATTERN: Pattern = Pattern { id: ID, judge };

/// STATUS_HEAP_CORRUPTION: the heap itself found it.
const HEAP_CORRUPTION: u32 = 0xc000_0374;

fn judge(facts: &SeriesFacts) -> Finding {
    let exceptions: Vec<Evidence> = exception_lines(facts);
    let Some(heaps) = &facts.heaps else {
        return match exceptions.is_empty() {
            true => Finding::new(ID, Verdict::Undecided, "heaps are still being decoded"),
            false => found(exceptions, Vec::new(), "the heap stopped the process with exception c0000374"),
        };
    };
    let last = facts.dumps.len().saturating_sub(1);
    let damaged: Vec<(&HeapFacts, usize, HeapDamage)> =
        heaps.iter().filter_map(|heap| newest_damage(heap).map(|(dump, damage)| (heap, dump, damage))).collect();
    // Of a running process, a heap that is being changed may look damaged in one dump and be in order in the next.
    let (unread, damaged): (Vec<_>, Vec<_>) =
        damaged.into_iter().partition(|(heap, dump, damage)| is_mostly_unread(heap, *dump, damage));
    let (lasting, passed): (Vec<_>, Vec<_>) = damaged.into_iter().partition(|(_, dump, _)| *dump == last);
    let subjects: Vec<Subject> = lasting
        .iter()
        .map(|(heap, dump, _)| Subject {
            name: format!("heap {}", heap.base.windbg(heap.width)),
            place: Some(Place::Heap { dump: facts.dump(*dump), base: heap.base }),
        })
        .collect();
    let lines = |of: &[(&HeapFacts, usize, HeapDamage)], strength| -> Vec<Evidence> {
        of.iter()
            .take(MOST_NAMED)
            .map(|(heap, dump, damage)| damage_line(facts, heap, *dump, damage, strength))
            .collect()
    };
    if !exceptions.is_empty() {
        let evidence = exceptions.into_iter().chain(lines(&lasting, Strength::Supports)).collect();
        return found(evidence, subjects, "the heap stopped the process with exception c0000374");
    }
    if !lasting.is_empty() {
        let is_repeated = lasting.iter().any(|(heap, dump, _)| *dump > 0 && was_damaged(heap, dump - 1));
        let repeated = is_repeated.then(|| {
            Evidence::new(
                Strength::Supports,
                "the same heap was damaged in the dump before: it was not being changed just then",
            )
        });
        let evidence = lines(&lasting, Strength::Supports).into_iter().chain(repeated).collect();
        let who = plural(lasting.len(), "heap has", "heaps have");
        return found(evidence, subjects, &format!("{who} records that contradict themselves"));
    }
    if !unread.is_empty() {
        let who = plural(unread.len(), "heap cannot", "heaps cannot");
        let text = format!(
            "most of {who} be read as blocks, which damage, a layout that is not known, or lost memory would bring"
        );
        return Finding::new(ID, Verdict::Undecided, text.replace("most of 1 heap cannot", "most of one heap cannot"))
            .evidence(lines(&unread, Strength::Background))
            .next(NextDumpKind::Exception, "whether the heap itself finds damage");
    }
    if !passed.is_empty() {
        let who = plural(passed.len(), "heap was", "heaps were");
        return Finding::new(
            ID,
            Verdict::Undecided,
            format!("{who} inconsistent in one dump and in order in a later one, as when a thread changes it"),
        )
        .evidence(lines(&passed, Strength::Background))
        .next(NextDumpKind::Exception, "whether the heap itself finds damage");
    }
    clean(facts, heaps)
}

fn newest_damage(heap: &HeapFacts) -> Option<(usize, HeapDamage)> {
    let of_dump =
        |(dump, damage): (usize, &Option<HeapDamage>)| Some((dump, (*damage).filter(|damage| !damage.is_none())?));
    heap.damage.iter().enumerate().rev().find_map(of_dump)
}

/// Whether it is the reading that failed rather than a block: damage hits some blocks, and the others still fit.
fn is_mostly_unread(heap: &HeapFacts, dump: usize, damage: &HeapDamage) -> bool {
    let committed = heap.committed.0.get(dump).copied().flatten().unwrap_or(0);
    damage.lost_bytes as f64 > UNREAD_SHARE * committed as f64
}

fn was_damaged(heap: &HeapFacts, dump: usize) -> bool {
    heap.damage.get(dump).copied().flatten().is_some_and(|damage| !damage.is_none())
}

fn exception_lines(facts: &SeriesFacts) -> Vec<Evidence> {
    let found = facts.dumps.iter().filter_map(|dump| Some((dump.dump, dump.exception?)));
    found
        .filter(|(_, exception)| exception.code == HEAP_CORRUPTION)
        .map(|(dump, exception)| {
            let text =
                format!("dump {dump} was taken at exception c0000374 (heap corruption) in thread {:x}", exception.tid);
            Evidence::new(Strength::Proves, text)
                .number(Number::Code(exception.code))
                .at(Place::Thread { dump, tid: exception.tid })
                .windbg(".exr -1")
        })
        .collect()
}

fn damage_line(
    facts: &SeriesFacts,
    heap: &HeapFacts,
    dump: usize,
    damage: &HeapDamage,
    strength: Strength,
) -> Evidence {
    let place = Place::Heap { dump: facts.dump(dump), base: heap.base };
    let first = damage.first.map_or_else(String::new, |va| format!(", the first at {}", va.windbg(heap.width)));
    let text = format!(
        "heap {} in dump {}: {}, {} that the next block contradicts, {} unreadable{first}",
        heap.base.windbg(heap.width),
        facts.dump(dump),
        plural(usize::try_from(damage.bad_header_count).unwrap_or(usize::MAX), "bad block header", "bad block headers"),
        plural(usize::try_from(damage.broken_chain_count).unwrap_or(usize::MAX), "size", "sizes"),
        ByteSize(damage.lost_bytes),
    );
    let count = damage.bad_header_count.saturating_add(damage.broken_chain_count);
    let command = format!("!heap -v {}", windbg_address(heap.base));
    Evidence::new(strength, text).number(Number::Count(count)).at(place).windbg(command)
}

fn found(evidence: Vec<Evidence>, subjects: Vec<Subject>, text: &str) -> Finding {
    Finding::new(ID, Verdict::Found, text)
        .evidence(evidence)
        .subjects(subjects)
        .refuted_by("the same heap in order in a dump that was taken while no thread was inside of the heap")
        .next(NextDumpKind::Exception, "which block was damaged, and under page heap by whom")
}

fn clean(facts: &SeriesFacts, heaps: &[HeapFacts]) -> Finding {
    let read = heaps.iter().flat_map(|heap| &heap.damage).filter(|damage| damage.is_some()).count();
    let unread = heaps.iter().any(|heap| heap.damage.last().is_none_or(Option::is_none));
    if read == 0 || unread || heaps.is_empty() {
        return Finding::new(ID, Verdict::Undecided, "not all blocks of all heaps can be read")
            .next(NextDumpKind::Full, "whether the heaps' records agree");
    }
    let text = format!("all blocks of {} agree with each other", plural(heaps.len(), "heap", "heaps"));
    Finding::new(ID, Verdict::RuledOut, text.clone())
        .evidence([Evidence::new(Strength::Proves, format!("{text} in {}", facts.dumps_text()))
            .number(Number::Count(0))
            .at(Place::Dump(facts.last_dump()))
            .windbg("!heap -v")])
        .refuted_by("damage inside of blocks, which the heap's records do not show: page heap would")
}
