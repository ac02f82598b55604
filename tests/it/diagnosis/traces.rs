//! Instrumentation: what it holds, and when its database is full.

use dumptrend::analysis::diagnosis::pattern::PatternId;
use dumptrend::analysis::diagnosis::{Confidence, Verdict};

use super::support::{Case, Kind, MB, Series, case};

pub fn cases() -> Vec<Case> {
    [side_effects(), databases()].concat()
}

fn side_effects() -> Vec<Case> {
    let id = PatternId::InstrumentationSideEffect;
    let database = |of: &[u64], private: &[u64]| {
        let mb = |of: &[u64]| of.iter().map(|mb| mb * MB).collect::<Vec<_>>();
        Series::new(of.len()).with_database(&mb(of)).with_private(&mb(private))
    };
    vec![
        case(id, Kind::Found, database(&[1, 10, 20], &[20, 29, 39]), "it holds +19.0 MB of +19.0 MB (100 %)")
            .sure(Confidence::Certain),
        // On, and not what grows.
        case(id, Kind::Found, database(&[1, 2, 3], &[20, 120, 220]), "not most of it").sure(Confidence::Possible),
        case(id, Kind::Found, database(&[10], &[20]), "it holds 10.0 MB in dump 1").sure(Confidence::Possible),
        case(
            id,
            Kind::Found,
            Series::new(3).each_dump(|_, dump| dump.nt_global_flag = Some(0x70)),
            "gflags +htc +hfc +hpc is on",
        )
        .gives(Verdict::Found),
        case(
            id,
            Kind::Found,
            Series::new(1).each_dump(|_, dump| dump.diagnostic_modules = vec!["LeakTrack.dll".to_owned()]),
            "LeakTrack.dll is on",
        ),
        // A flag that costs nothing.
        case(
            id,
            Kind::NearMiss,
            Series::new(3).each_dump(|_, dump| dump.nt_global_flag = Some(0x2)),
            "NtGlobalFlag is 0x2",
        )
        .gives(Verdict::RuledOut),
        case(id, Kind::RuledOut, Series::new(3), "NtGlobalFlag is 0x0").sure(Confidence::Certain),
        case(id, Kind::Open, Series::new(3).each_dump(|_, dump| dump.nt_global_flag = None), "no PEB"),
    ]
}

fn databases() -> Vec<Case> {
    let id = PatternId::InsufficientMemoryStackTraceDatabase;
    let full = 24 * MB - 0x1000;
    let two_pages = 24 * MB - 0x2000;
    let without_full_memory = Series::new(2).each_dump(|_, dump| dump.has_full_memory = false);
    vec![
        case(
            id,
            Kind::Found,
            Series::new(3).with_database(&[MB, 12 * MB, full]),
            "is full, one page left; 20 stacks for 157,260 entries",
        )
        .sure(Confidence::Certain),
        case(id, Kind::Found, Series::new(1).with_database(&[full]), "is full").sure(Confidence::Certain),
        case(
            id,
            Kind::Found,
            Series::new(3).with_log(&[100 * MB, 900 * MB, 1_900 * MB]).with_private(&[
                200 * MB,
                1_000 * MB,
                2_000 * MB,
            ]),
            "the heap trace log has no limit and holds 95 %",
        )
        .sure(Confidence::Certain),
        // One more pair of pages fits.
        case(id, Kind::NearMiss, Series::new(2).with_database(&[MB, two_pages]), "nearly"),
        case(id, Kind::NearMiss, Series::new(2).with_ust(), "no stack trace database was found"),
        case(id, Kind::RuledOut, Series::new(2).with_database(&[MB, 12 * MB]), "50 % of 24.0 MB used, 12.0 MB left")
            .sure(Confidence::Certain),
        case(id, Kind::RuledOut, Series::new(2), "there is no stack trace database").sure(Confidence::Certain),
        case(id, Kind::Open, without_full_memory, "do not hold all"),
    ]
}
