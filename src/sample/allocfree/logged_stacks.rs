//! The entries of the stack trace database: which stacks the program logged, in which order and how often.
//!
//! A stack is logged into its newest entry until that is saturated (2047 times), then into a new one. Call i of the loop
//! starts at foo(i mod 20 + 1), so new entries come in cycles of twenty: foo2, foo3 ... foo20, foo1.
//!
//! The arithmetic: in dump B the first entry lies at 001d57e0 and the last, index 2457F, ends at 0188bff0: 148,863 entries in
//! 23,816,208 bytes. A cycle takes 3200, so 7442 of them leave 23 entries in 1808 bytes: less than the 80 that a stack of 8
//! frames takes. What comes first must be shorter than a cycle, and that with the same twenty stacks is possible only when
//! some have more entries than others. The run therefore warms up through the shorter chains: once foo10 to foo20,
//! then four times foo8 to foo20. That is 63 entries in 8208 bytes, and 7440 cycles of 3200 bytes make the rest. No other
//! stack is needed: the whole database has twenty.

use super::figures::{FULL_ENTRY_COUNT, Moment};
use super::live_stack::{Site, sites};
use super::modules::ProcessModule;
use crate::base::addr::Va;
use crate::sample::trace_database::{DatabaseShape, SATURATED_COUNT, TraceEntry};

/// foo1 ... foo20.
const CHAIN_LENGTH: u32 = 20;
/// Frames around the chain of calls: three of the allocator, four of the start of the thread.
const OTHER_FRAMES: u32 = 7;
/// The first call of a pass of the warm-up, and how many such passes there are.
const WARM_UP: [(u32, usize); 2] = [(10, 1), (8, 4)];
/// The warm-up used the stacks unevenly, so they reach saturation one after the other, this many calls apart.
const USES_BETWEEN_ENTRIES: u64 = 102;
/// Calls of the last dump that found the database full.
const FAILED_CALLS: u64 = 1_046_220;

/// The outermost of foo1 ... foo20 in each entry, without end.
fn outermost_calls() -> impl Iterator<Item = u32> {
    let warm_up = WARM_UP.into_iter().flat_map(|(first, passes)| (0..passes).flat_map(move |_| first..=CHAIN_LENGTH));
    warm_up.chain((2..=CHAIN_LENGTH).chain([1]).cycle())
}

/// How long the first `entry_count` entries are.
pub fn entries_bytes(entry_count: u64) -> u64 {
    let bytes_of =
        |first: u32| DatabaseShape::SEVEN_X64.entry_bytes(u64::from(OTHER_FRAMES + 1 + CHAIN_LENGTH - first));
    outermost_calls().take(usize::try_from(entry_count).unwrap_or(usize::MAX)).map(bytes_of).sum()
}

/// The twenty stacks as the database holds them, innermost first; the one from foo1 on has position 0.
///
/// `_heap_alloc` stands in the live stack only, as in the case.
pub fn logged_stacks(modules: &[ProcessModule]) -> Vec<Vec<Va>> {
    (1..=CHAIN_LENGTH).map(|first| logged_stack(modules, &sites(first), "RtlpAllocateHeap")).collect()
}

/// What the database holds of a live stack, whose sites are given outermost first: `innermost` and its callers, innermost
/// first. Functions that no module has are left out.
pub fn logged_stack(modules: &[ProcessModule], sites: &[Site], innermost: &str) -> Vec<Va> {
    let address =
        |site: &Site| modules.iter().find_map(|m| m.image.export_va(&site.function)).map(|va| Va(va.0 + site.offset));
    let logged = sites.iter().rev().skip_while(|site| site.function != innermost);
    logged.filter(|site| site.function != "_heap_alloc").filter_map(address).collect()
}

/// The entries at `moment`. All but the newest twenty are saturated; in the full database those are as well.
pub fn entries(moment: &Moment) -> Vec<TraceEntry> {
    entries_of(moment.entry_count, moment.entry_count >= FULL_ENTRY_COUNT)
}

/// The first `entry_count` entries; the newest have room for more unless the database is full.
pub fn entries_of(entry_count: u64, is_full: bool) -> Vec<TraceEntry> {
    let newest_use_count = 1 + entry_count % (USES_BETWEEN_ENTRIES - 1);
    let use_count = |position: u64| {
        let newer_count = entry_count - 1 - position;
        if is_full || newer_count >= u64::from(CHAIN_LENGTH) {
            return SATURATED_COUNT;
        }
        let count = newest_use_count + newer_count * USES_BETWEEN_ENTRIES;
        u32::try_from(count).map_or(SATURATED_COUNT, |count| count.min(SATURATED_COUNT))
    };
    (0..entry_count)
        .zip(outermost_calls())
        .map(|(position, first)| TraceEntry { stack_index: first as usize - 1, use_count: use_count(position) })
        .collect()
}

/// Calls that found no room until `moment`.
pub fn failure_count(moment: &Moment) -> u64 {
    if moment.entry_count >= FULL_ENTRY_COUNT { FAILED_CALLS } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::super::figures::SERIES_MOMENTS;
    use super::super::modules::modules;
    use super::*;

    #[test]
    fn the_last_dump_is_full_to_the_byte() {
        assert_eq!(entries_bytes(FULL_ENTRY_COUNT), 0x188_bff0 - 0x1d_57e0);
        let last = entries(&SERIES_MOMENTS[5]);
        let outermost: Vec<_> = last.iter().rev().take(4).map(|entry| entry.stack_index + 1).collect();
        // The listing of the case ends with the stacks from foo18, foo19, foo20 and foo1 on.
        assert_eq!(outermost, [1, 20, 19, 18]);
        assert!(last.iter().all(|entry| entry.use_count == SATURATED_COUNT));
    }

    #[test]
    fn a_cycle_has_the_length_of_the_hash_chains() {
        assert_eq!(entries_bytes(63), 8208);
        assert_eq!(entries_bytes(83) - entries_bytes(63), 0xc80);
    }

    #[test]
    fn stacks_are_those_of_the_listing() {
        let stacks = logged_stacks(&modules());
        let depths: Vec<_> = stacks.iter().map(Vec::len).collect();
        assert_eq!(depths, (8..=27).rev().collect::<Vec<_>>());
        let shortest = [
            0x7789_1142,
            0x7788_34d8,
            0x1_3fcc_13cb,
            0x1_3fcc_1015,
            0x1_3fcc_12e3,
            0x1_3fcc_156c,
            0x7772_59ed,
            0x7785_c541,
        ];
        assert_eq!(stacks[19], shortest.map(Va));
    }

    #[test]
    fn only_the_newest_entries_have_room_for_more() {
        for moment in &SERIES_MOMENTS[..5] {
            let entries = entries(moment);
            let (old, newest) = entries.split_at(entries.len() - 20);
            assert!(old.iter().all(|entry| entry.use_count == SATURATED_COUNT));
            assert!(newest.windows(2).all(|pair| pair[0].use_count > pair[1].use_count));
            assert!((1..SATURATED_COUNT).contains(&newest[0].use_count) && newest[19].use_count > 0);
        }
    }
}
