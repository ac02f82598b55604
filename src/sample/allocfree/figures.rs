//! The figures of the case: where the database lies, how full it is in each dump, and what CPU time that took.
//!
//! Source: the listings of the published AllocFree case (`!address`, `!heap -s`, `!runaway f`, `dps`). The last dump of the
//! series is dump B of the case, the variant `case-a` is dump A; the dumps between are made up so that the database grows in
//! proportion to the CPU time.

use super::logged_stacks::entries_bytes;
use crate::base::addr::Va;
use crate::sample::trace_database::DatabaseShape;

/// The database of 24 MB: entries grow up from the bottom, their pointers down from the top.
pub const DATABASE_BYTES: u64 = 0x180_0000;
pub const DATABASE_BUCKETS: u32 = 9551;
/// Header and hash buckets; the first entry follows.
const DATABASE_HEADER_BYTES: u64 = DatabaseShape::SEVEN_X64.first_entry_offset(DATABASE_BUCKETS);
const POINTER_BYTES: u64 = 8;
const PAGE_BYTES: u64 = 0x1000;
pub const MAIN_HEAP_BYTES: u64 = 0x40_0000;
pub const STACK_BYTES: u64 = 0x10_0000;

/// The entries of dump B, the fullest, and the CPU time of its thread.
pub const FULL_ENTRY_COUNT: u64 = 148_863;
const FULL_USER_MS: u64 = 12_122_354;
const FULL_KERNEL_MS: u64 = 1_239_022;

/// One run of the program: what is the same in all its dumps.
#[derive(Clone, Copy, Debug)]
pub struct ProcessRun {
    pub process_id: u32,
    pub thread_id: u32,
    pub create_filetime: u64,
    pub stack_bottom: Va,
    pub database: Va,
    pub main_heap: Va,
    pub locale_file: Va,
    pub parameters: Va,
    pub loader_entries: Va,
    pub lfh_key: u64,
}

/// One dump of a run.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub dump_unix_seconds: u32,
    /// How many stacks the database holds.
    pub entry_count: u64,
    /// The outermost of the chain foo1 ... foo20 that the call in progress came in through.
    pub first_call_depth: u32,
    pub stack_committed_pages: u64,
    /// A buffer of the program that comes and goes; 0 when it is not there.
    pub buffer_bytes: u64,
}

/// The machine's clock is two hours ahead of UTC: Central European summer time.
pub const LOCAL_OFFSET_SECONDS: u32 = 2 * 3600;

/// 2011-05-12 00:00 UTC.
const SERIES_DAY_UNIX_SECONDS: u32 = 1_305_158_400;
/// 2011-05-11 00:00 UTC.
const CASE_A_DAY_UNIX_SECONDS: u32 = 1_305_072_000;

/// The run of the series, with the addresses of dump B. Created 10:01:41.404, so that the elapsed time of the last dump,
/// whose header has whole seconds, is the case's 10:11:23.596.
pub const SERIES_RUN: ProcessRun = ProcessRun {
    process_id: 0x53b4,
    thread_id: 0x53b8,
    create_filetime: filetime(SERIES_DAY_UNIX_SECONDS, 36_101_404),
    stack_bottom: Va(0xb_0000),
    database: Va(0x1b_0000),
    main_heap: Va(0x19c_0000),
    locale_file: Va(0x1dc_0000),
    parameters: Va(0x5_0000),
    loader_entries: Va(0x6_0000),
    lfh_key: 0x47_3a63_9107,
};

/// The run of dump A. The case does not tell its process and thread.
pub const CASE_A_RUN: ProcessRun = ProcessRun {
    process_id: 0x4a1c,
    thread_id: 0x4a20,
    create_filetime: filetime(CASE_A_DAY_UNIX_SECONDS, 33_114_250),
    stack_bottom: Va(0x14_0000),
    database: Va(0x24_0000),
    main_heap: Va(0x1a4_0000),
    locale_file: Va(0x5_0000),
    parameters: Va(0xc_0000),
    loader_entries: Va(0xd_0000),
    lfh_key: 0xf8_41c4_f9c0,
};

/// The six dumps of the series.
pub const SERIES_MOMENTS: [Moment; 6] = [
    moment(hms(10, 8, 52), 4_416, 7, 4, 0x4_0000),
    moment(hms(12, 4, 10), 10_585, 14, 4, 0),
    moment(hms(14, 5, 33), 87_692, 2, 5, 0x8_0000),
    moment(hms(16, 7, 21), 121_842, 11, 5, 0x2_0000),
    moment(hms(18, 9, 40), 137_381, 18, 6, 0x6_0000),
    moment(hms(20, 13, 5), FULL_ENTRY_COUNT, 1, 6, 0x4_0000),
];

/// Dump A.
pub const CASE_A_MOMENT: Moment = Moment {
    dump_unix_seconds: CASE_A_DAY_UNIX_SECONDS + hms(9, 19, 5),
    entry_count: 4_416,
    first_call_depth: 1,
    stack_committed_pages: 4,
    buffer_bytes: 0x4_0000,
};

const fn moment(
    second_of_day: u32,
    entry_count: u64,
    first_call_depth: u32,
    stack_committed_pages: u64,
    buffer_bytes: u64,
) -> Moment {
    let dump_unix_seconds = SERIES_DAY_UNIX_SECONDS + second_of_day;
    Moment { dump_unix_seconds, entry_count, first_call_depth, stack_committed_pages, buffer_bytes }
}

const fn hms(hours: u32, minutes: u32, seconds: u32) -> u32 {
    hours * 3600 + minutes * 60 + seconds
}

/// 100 ns since 1601 of a time given as a day and the milliseconds in it.
pub const fn filetime(day_unix_seconds: u32, ms_of_day: u64) -> u64 {
    (11_644_473_600 + day_unix_seconds as u64) * 10_000_000 + ms_of_day * 10_000
}

impl Moment {
    /// CPU time is spent on new entries alone, so it is in proportion to them.
    pub const fn user_ms(&self) -> u64 {
        FULL_USER_MS * self.entry_count / FULL_ENTRY_COUNT
    }

    pub const fn kernel_ms(&self) -> u64 {
        FULL_KERNEL_MS * self.entry_count / FULL_ENTRY_COUNT
    }

    /// Committed from the bottom of the database: header and entries, in whole pages.
    pub fn lower_committed_bytes(&self) -> u64 {
        (DATABASE_HEADER_BYTES + entries_bytes(self.entry_count)).next_multiple_of(PAGE_BYTES)
    }

    /// Committed from the top of the database: a pointer for each entry, in whole pages.
    pub const fn upper_committed_bytes(&self) -> u64 {
        (self.entry_count * POINTER_BYTES).next_multiple_of(PAGE_BYTES)
    }

    pub fn database_committed_bytes(&self) -> u64 {
        self.lower_committed_bytes() + self.upper_committed_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_dump_have_the_sizes_of_the_case() {
        let first = SERIES_MOMENTS[0];
        let last = SERIES_MOMENTS[5];
        assert_eq!((first.lower_committed_bytes(), first.upper_committed_bytes()), (0xd_2000, 0x9000));
        assert_eq!((last.lower_committed_bytes(), last.upper_committed_bytes()), (0x16d_c000, 0x12_3000));
        // One page is left between the two, and the database is full.
        assert_eq!(DATABASE_BYTES - last.database_committed_bytes(), PAGE_BYTES);
    }

    #[test]
    fn the_last_dump_has_the_times_of_the_case() {
        let last = SERIES_MOMENTS[5];
        assert_eq!((last.user_ms(), last.kernel_ms()), (FULL_USER_MS, FULL_KERNEL_MS));
        let elapsed_100ns = filetime(last.dump_unix_seconds, 0) - SERIES_RUN.create_filetime;
        assert_eq!(elapsed_100ns / 10_000, 36_683_596);
    }

    #[test]
    fn no_interval_uses_more_than_one_core_and_one_nearly_does() {
        let mut before = (SERIES_RUN.create_filetime, 0);
        let mut shares_percent = Vec::new();
        for moment in SERIES_MOMENTS {
            let now = (filetime(moment.dump_unix_seconds, 0), moment.user_ms() + moment.kernel_ms());
            shares_percent.push((now.1 - before.1) * 100 / ((now.0 - before.0) / 10_000));
            before = now;
        }
        assert_eq!(shares_percent, [92, 8, 95, 41, 19, 13]);
    }
}
