//! Facts of each thread over the chosen dumps.

use std::collections::HashMap;

use crate::analysis::series::thread_doing::{lock_wait, thread_doing};
use crate::analysis::series::thread_stacks::main_stack;
use crate::analysis::series::threads::{ThreadHistory, thread_histories};
use crate::analysis::snapshot::Snapshot;
use crate::base::addr::Va;
use crate::input::symbols::{SymbolName, SymbolTable};
use crate::process::stacks::ThreadStacks;
use crate::process::threads::teb::Teb;

use super::super::facts::{StackUse, ThreadFacts, ThreadTotals};
use super::Chosen;

pub(super) fn thread_facts(chosen: &Chosen<'_>) -> Vec<ThreadFacts> {
    let symbols = chosen.analysis.symbols_of(chosen.group);
    let tebs: Vec<HashMap<u32, &Teb>> = chosen.snapshots.iter().map(|snapshot| main_tebs(snapshot)).collect();
    let histories = thread_histories(&chosen.snapshots);
    histories.iter().map(|history| of_thread(chosen, history, &symbols, &tebs)).collect()
}

/// The TEB that bounds the stack of each thread's own code: the 32-bit one of a WOW64 thread.
fn main_tebs(snapshot: &Snapshot) -> HashMap<u32, &Teb> {
    let mut tebs: HashMap<u32, &Teb> = HashMap::with_capacity(snapshot.tebs.len());
    for teb in &snapshot.tebs {
        let is_narrower = tebs.get(&teb.tid).is_none_or(|known| teb.width < known.width);
        if is_narrower {
            tebs.insert(teb.tid, teb);
        }
    }
    tebs
}

fn of_thread(
    chosen: &Chosen<'_>,
    history: &ThreadHistory,
    symbols: &SymbolTable,
    tebs: &[HashMap<u32, &Teb>],
) -> ThreadFacts {
    let stacks_of = |dump: usize| {
        let position = *chosen.positions.get(dump)?;
        let thread = history.positions.get(dump).copied().flatten()?;
        chosen.analysis.thread_stacks_of(chosen.group)?.stacks(position, thread)
    };
    let of_dump = |dump: usize| {
        let thread = history.positions.get(dump).copied().flatten()?;
        chosen.snapshots.get(dump)?.threads.get(thread)
    };
    let dumps = 0..chosen.snapshots.len();
    ThreadFacts {
        tid: history.tid,
        name: history.name.clone(),
        start: history.start_address.map(|va| start_text(symbols, va)),
        is_present: dumps.clone().map(|dump| of_dump(dump).is_some_and(|thread| thread.is_listed)).collect(),
        cpu_per_interval: history.cpu_per_interval.clone(),
        totals: dumps
            .clone()
            .map(|dump| {
                let times = of_dump(dump)?.times;
                Some(ThreadTotals {
                    user_ns: times.user_ns?,
                    kernel_ns: times.kernel_ns?,
                    elapsed_ns: times.elapsed_ns,
                })
            })
            .collect(),
        doing: dumps.clone().map(|dump| thread_doing(stacks_of(dump)?, symbols)).collect(),
        lock_wait: dumps.clone().map(|dump| lock_wait(stacks_of(dump)?, symbols)).collect(),
        stack: dumps.map(|dump| stack_use(tebs.get(dump)?.get(&history.tid)?, stacks_of(dump))).collect(),
    }
}

fn start_text(symbols: &SymbolTable, va: Va) -> String {
    match symbols.name_of(va) {
        Some(SymbolName { module, function: Some(function), offset: 0 }) => format!("{module}!{function}"),
        // By exports alone, an offset from some function in front says less than one from the module.
        Some(name) => format!("{name}"),
        None => va.to_string(),
    }
}

fn stack_use(teb: &Teb, stacks: Option<&ThreadStacks>) -> Option<StackUse> {
    let stack = teb.stack?;
    let frames = stacks.map(|stacks| main_stack(stacks).frames.as_slice()).unwrap_or_default();
    let mut counts: HashMap<Va, u64> = HashMap::with_capacity(frames.len());
    for frame in frames {
        *counts.entry(frame.ip).or_default() += 1;
    }
    Some(StackUse {
        reserved_bytes: stack.size_bytes(),
        uncommitted_bytes: teb.stack_limit.offset_from(stack.start)?,
        frame_count: frames.len() as u64,
        repeated_count: counts.values().copied().max().unwrap_or(0),
    })
}
