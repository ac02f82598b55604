//! Stack Overflow (user mode): a thread has used up its stack, often by functions that call themselves.

use super::super::evidence::{Evidence, Number, Place, Strength};
use super::super::facts::{SeriesFacts, StackUse, ThreadFacts};
use super::super::pattern::PatternId;
use super::super::{Finding, NextDumpKind, Subject, Verdict};
use super::{Pattern, plural};
use crate::analysis::thresholds::{
    MOST_NAMED, PAGE_BYTES, REPEATED_FRAME_COUNT, REPEATED_FRAME_SHARE, STACK_RESERVE_PAGES,
};
use crate::base::units::{ByteSize, grouped};

const ID: PatternId = PatternId::StackOverflow;
pub const PATTERN: Pattern = Pattern { id: ID, judge };

/// STATUS_STACK_OVERFLOW.
const STACK_OVERFLOW: u32 = 0xc000_00fd;

fn judge(facts: &SeriesFacts) -> Finding {
    let exceptions = exception_lines(facts);
    let stacks: Vec<(&ThreadFacts, usize, StackUse)> = facts
        .threads
        .iter()
        .filter_map(|thread| {
            let newest = thread.stack.iter().enumerate().rev().find_map(|(dump, stack)| Some((dump, (*stack)?)));
            newest.map(|(dump, stack)| (thread, dump, stack))
        })
        .collect();
    let is_used_up = |stack: &StackUse| stack.uncommitted_bytes <= STACK_RESERVE_PAGES * PAGE_BYTES;
    let used_up: Vec<&(&ThreadFacts, usize, StackUse)> =
        stacks.iter().filter(|(_, _, stack)| is_used_up(stack)).collect();
    let repeating: Vec<&(&ThreadFacts, usize, StackUse)> =
        used_up.iter().copied().filter(|(_, _, stack)| repeats(stack)).collect();
    let subjects = |of: &[&(&ThreadFacts, usize, StackUse)]| -> Vec<Subject> {
        of.iter()
            .take(MOST_NAMED)
            .map(|(thread, dump, _)| Subject {
                name: format!("thread {:x}", thread.tid),
                place: Some(Place::Thread { dump: facts.dump(*dump), tid: thread.tid }),
            })
            .collect()
    };
    if !exceptions.is_empty() || !repeating.is_empty() {
        let text = exceptions.first().map_or_else(
            || format!("{} used up by functions that repeat", plural(repeating.len(), "stack is", "stacks are")),
            |line| line.text.clone(),
        );
        let lines = repeating.iter().take(MOST_NAMED).flat_map(|(thread, dump, stack)| {
            [use_line(facts, thread, *dump, stack, Strength::Supports), repeat_line(facts, thread, *dump, stack)]
        });
        return Finding::new(ID, Verdict::Found, text)
            .evidence(exceptions.into_iter().chain(lines))
            .subjects(subjects(&repeating))
            .refuted_by("room left on the thread's stack at the moment of the exception")
            .next(NextDumpKind::Exception, "which calls fill the stack");
    }
    if !facts.last().is_some_and(|dump| dump.has_tebs) || stacks.is_empty() {
        return Finding::new(ID, Verdict::Undecided, "the bounds of the stacks are not in the dumps")
            .next(NextDumpKind::Full, "how much of each stack is used");
    }
    if !used_up.is_empty() {
        let who = plural(used_up.len(), "stack is", "stacks are");
        let text = format!(
            "{who} committed to the end, without functions that repeat: some programs commit whole stacks at the start"
        );
        return Finding::new(ID, Verdict::Undecided, text)
            .evidence(
                used_up
                    .iter()
                    .take(MOST_NAMED)
                    .map(|(thread, dump, stack)| use_line(facts, thread, *dump, stack, Strength::Background)),
            )
            .subjects(subjects(&used_up))
            .next(NextDumpKind::Exception, "whether the stack really overflows");
    }
    let fullest = stacks.iter().min_by_key(|(_, _, stack)| stack.uncommitted_bytes);
    let text = fullest.map_or_else(String::new, |(thread, _, stack)| {
        format!("the fullest stack has {} left: thread {:x}", ByteSize(stack.uncommitted_bytes), thread.tid)
    });
    Finding::new(ID, Verdict::RuledOut, text)
        .evidence(fullest.map(|(thread, dump, stack)| use_line(facts, thread, *dump, stack, Strength::Proves)))
        .refuted_by("a deeper call that only some inputs bring about: then the dump of the exception shows it")
}

fn repeats(stack: &StackUse) -> bool {
    stack.repeated_count >= REPEATED_FRAME_COUNT
        && stack.repeated_count as f64 >= REPEATED_FRAME_SHARE * stack.frame_count as f64
}

fn exception_lines(facts: &SeriesFacts) -> Vec<Evidence> {
    let found = facts.dumps.iter().filter_map(|dump| Some((dump.dump, dump.exception?)));
    found
        .filter(|(_, exception)| exception.code == STACK_OVERFLOW)
        .map(|(dump, exception)| {
            let text =
                format!("dump {dump} was taken at exception c00000fd (stack overflow) in thread {:x}", exception.tid);
            Evidence::new(Strength::Proves, text)
                .number(Number::Code(exception.code))
                .at(Place::Thread { dump, tid: exception.tid })
                .windbg(".exr -1")
        })
        .collect()
}

fn use_line(facts: &SeriesFacts, thread: &ThreadFacts, dump: usize, stack: &StackUse, strength: Strength) -> Evidence {
    let text = format!(
        "thread {:x} has {} of its stack of {} left to commit",
        thread.tid,
        ByteSize(stack.uncommitted_bytes),
        ByteSize(stack.reserved_bytes)
    );
    Evidence::new(strength, text)
        .number(Number::Bytes(stack.uncommitted_bytes))
        .at(Place::Thread { dump: facts.dump(dump), tid: thread.tid })
        .windbg(format!("~~[{:x}]e !teb", thread.tid))
}

fn repeat_line(facts: &SeriesFacts, thread: &ThreadFacts, dump: usize, stack: &StackUse) -> Evidence {
    let text = format!(
        "one return address stands {} times among the {} frames of thread {:x}",
        grouped(stack.repeated_count),
        grouped(stack.frame_count),
        thread.tid
    );
    Evidence::new(Strength::Supports, text)
        .number(Number::Count(stack.repeated_count))
        .at(Place::Thread { dump: facts.dump(dump), tid: thread.tid })
        .windbg(format!("~~[{:x}]kc", thread.tid))
}
