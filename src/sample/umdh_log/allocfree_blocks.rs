//! The blocks that AllocFree has at the moment of each log: a few of each of its twenty stacks, now more and now fewer, and
//! in the last log no more than in the first. So the case has it: UMDH logs taken with the dumps show only fluctuation.
//!
//! Ids are the addresses of entries in the stack trace database of the same dumps, as the ids of eight digits in logs of
//! Windows 7 look. Overhead is 30h and what is missing to a multiple of 10h: header, a prefix with the pointer to the trace,
//! and a second header.

use super::{FluctuatingBlocks, LogBlock, LogHeap, LogModule, Tools, UmdhLog};
use crate::base::addr::Va;
use crate::sample::allocfree::figures::{DATABASE_BUCKETS, LOCAL_OFFSET_SECONDS, Moment, ProcessRun};
use crate::sample::allocfree::logged_stacks::{entries_bytes, logged_stacks};
use crate::sample::allocfree::{heap_bases, modules::modules};
use crate::sample::trace_database::DatabaseShape;

/// How many blocks a stack has, in turn.
const BLOCK_COUNTS: [u64; 6] = [3, 1, 4, 2, 5, 2];
/// Where in that turn each log is; the last is where the first was.
const TURNS: [usize; 6] = [0, 2, 4, 1, 3, 0];
/// Entries of the run's warm-up, which come before the first cycle of all twenty stacks.
const WARM_UP_ENTRIES: u64 = 63;

/// The log that was taken with the dump at `moment`, the `position`th of the series, from 0.
pub fn allocfree_log(run: &ProcessRun, moment: &Moment, position: usize) -> UmdhLog {
    let modules = modules();
    let stacks = logged_stacks(&modules);
    let [main, others @ ..] = heap_bases(run);
    let mut heaps = vec![LogHeap { base: main, blocks: blocks(run, &stacks, main, position) }];
    heaps.extend(others.map(|base| LogHeap { base, blocks: Vec::new() }));
    UmdhLog {
        tools: Tools::Seven,
        local_unix_seconds: moment.dump_unix_seconds + LOCAL_OFFSET_SECONDS,
        machine: "MODEL".to_owned(),
        process_id: run.process_id,
        modules: modules
            .iter()
            .map(|module| LogModule {
                base: module.image.base,
                size_bytes: u64::from(module.image.size_bytes),
                path: module.path.clone(),
            })
            .collect(),
        heaps,
    }
}

fn blocks(run: &ProcessRun, stacks: &[Vec<Va>], heap: Va, position: usize) -> Vec<LogBlock> {
    let fluctuating = FluctuatingBlocks {
        counts: &BLOCK_COUNTS,
        turn: TURNS.get(position).copied().unwrap_or(0),
        first_bytes: 0x40,
        bytes_per_stack: 0x18,
        // In the end each stack has a little less than in the beginning.
        less_bytes: if position + 1 == TURNS.len() { 8 } else { 0 },
    };
    let with_ids = stacks.iter().enumerate().map(|(number, frames)| (trace_id(run, number), frames.clone()));
    fluctuating.blocks(heap, with_ids)
}

/// The address of the entry that the first whole cycle made for a stack: foo2 to foo20, then foo1, whose stack is number 0.
fn trace_id(run: &ProcessRun, number: usize) -> u64 {
    let in_cycle = (number as u64 + 19) % 20;
    let first = run.database.0 + DatabaseShape::SEVEN_X64.first_entry_offset(DATABASE_BUCKETS);
    first + entries_bytes(WARM_UP_ENTRIES + in_cycle)
}

#[cfg(test)]
mod tests {
    use super::super::super::allocfree::figures::{SERIES_MOMENTS, SERIES_RUN};
    use super::*;

    fn requested(position: usize) -> Vec<u64> {
        let log = allocfree_log(&SERIES_RUN, &SERIES_MOMENTS[position], position);
        let mut sums = [0; 20];
        for block in &log.heaps[0].blocks {
            let stack = (0..20).find(|number| trace_id(&SERIES_RUN, *number) == block.trace_id).expect("a stack");
            sums[stack] += block.requested_bytes;
        }
        sums.to_vec()
    }

    #[test]
    fn no_stack_has_more_in_the_end() {
        let (first, last) = (requested(0), requested(5));
        assert!(first.iter().zip(&last).all(|(first, last)| *last + 8 == *first));
        assert!(first.iter().all(|bytes| *bytes > 0));
    }

    #[test]
    fn the_text_is_a_log_with_each_stack_once() {
        let text = allocfree_log(&SERIES_RUN, &SERIES_MOMENTS[0], 0).text();
        assert!(text.contains("Logtime 2011-05-12 12:08 - Machine=MODEL - PID=21428\r\n"));
        assert!(text.contains("//           13FCC0000    11000 C:\\AllocFree\\AllocFree.exe\r\n"), "{text}");
        assert_eq!(text.matches("\t13FCC12E3\r\n").count(), 20, "wmain stands once in each stack");
        assert_eq!(text.matches("Hogs").count(), 3);
    }
}
