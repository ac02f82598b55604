//! Walls that a process goes towards: only those that the dumps prove, and only where something grows towards them.

use std::sync::Arc;

use dumptrend::analysis::Analysis;
use dumptrend::analysis::series::time_to_full::{Wall, walls_ahead};
use dumptrend::base::addr::Va;
use dumptrend::base::ids::DumpIdx;
use dumptrend::present::time_to_full::wall_lines;
use dumptrend::report::html::html_report;
use dumptrend::report::json::json_report;
use dumptrend::report::text::text_report;
use dumptrend::sample::LeBytes;
use dumptrend::sample::minidump_file::{
    HandleFormat, MemoryRange, MinidumpFile, SystemInfo, SystemMemoryInfo, Thread, flags,
};
use serde_json::Value;

use crate::support::all_streams::handle;
use crate::support::build_dump::{NEW_YEAR_UNIX_SECONDS, free, module, private, snapshot, windows_7};
use crate::support::build_wow64;
use crate::support::sample_series::{analyse, sample_series};

const TOP: u64 = 0x7fff_0000;
const START: u64 = 0x1_0000;
const MB: u64 = 1 << 20;

fn dump_of(architecture: u16, hours: u32) -> MinidumpFile {
    MinidumpFile::new(flags::WITH_FULL_MEMORY_INFO, NEW_YEAR_UNIX_SECONDS + hours * 3600)
        .system_info(windows_7(architecture))
}

/// A 32-bit process with so much memory in one piece at the bottom.
fn narrow(hours: u32, used_bytes: u64) -> MinidumpFile {
    let after = START + used_bytes;
    dump_of(SystemInfo::ARCHITECTURE_X86, hours).memory_infos(vec![
        free(0, START),
        private(START, used_bytes),
        free(after, TOP - after),
    ])
}

fn kinds(dumps: &[MinidumpFile]) -> Vec<Wall> {
    let snapshots: Vec<_> = dumps.iter().map(|dump| Arc::new(snapshot(dump))).collect();
    walls_ahead(&snapshots).into_iter().map(|ahead| ahead.wall).collect()
}

fn series(dumps: &[MinidumpFile]) -> Arc<Analysis> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (number, dump) in dumps.iter().enumerate() {
        dump.write_to(&folder.path().join(format!("{number}.dmp"))).expect("the dump is written");
    }
    Arc::new(analyse(&[folder.path().to_owned()]))
}

#[test]
fn a_32_bit_program_that_grows_fills_its_address_space() {
    let dumps = [narrow(1, 500 * MB), narrow(2, 600 * MB), narrow(3, 900 * MB)];
    let least_bytes = 16 * MB;
    assert_eq!(kinds(&dumps), [Wall::LargestFreeBlock { least_bytes }, Wall::AddressSpace { limit_bytes: TOP }]);
    let analysis = series(&dumps);
    let lines = wall_lines(&analysis, &[DumpIdx(0), DumpIdx(1), DumpIdx(2)]);
    // 400 MB in two hours, 100 MB in the first, 300 MB in the second.
    assert_eq!(
        lines,
        [
            "no free block of 16.0 MB is left in the 32-bit address space at 2020-01-01 08:39:33 UTC at the rate of dumps 1 to \
             3, -200.0 MB/h (the largest has 1.1 GB), between 2020-01-01 06:46:22 and 2020-01-01 14:19:07",
            "the 32-bit address space of 1.9 GB is full at 2020-01-01 08:44:22 UTC at the rate of dumps 1 to 3, +200.0 MB/h \
             (1.1 GB free), between 2020-01-01 06:49:35 and 2020-01-01 14:28:45",
        ]
    );
    let text = text_report(&analysis, None);
    assert!(text.contains(&format!("  {}\n", lines[0])), "{text}");
    assert!(html_report(&analysis, None).contains("<p>No free block of 16.0 MB is left"));
    let report: Value = serde_json::from_str(&json_report(&analysis, None).expect("a report")).expect("valid JSON");
    let wall = &report["time_to_full"][1];
    assert_eq!((&wall["wall"], &wall["limit"]), (&Value::from("address_space"), &Value::from(TOP)));
    assert_eq!(wall["expected"].as_str().map(|time| &time[..19]), Some("2020-01-01T08:44:22"));
}

#[test]
fn what_does_not_grow_has_no_line() {
    assert_eq!(kinds(&[narrow(1, 500 * MB), narrow(2, 500 * MB)]), []);
    assert_eq!(kinds(&[narrow(1, 500 * MB), narrow(2, 400 * MB)]), []);
    assert_eq!(kinds(&[narrow(1, 500 * MB)]), []);
    // So slowly that it takes years.
    assert_eq!(kinds(&[narrow(1, 500 * MB), narrow(25, 500 * MB + 0x1_0000)]), []);
}

#[test]
fn a_64_bit_program_has_no_wall_but_what_the_dump_tells() {
    let wide = |hours, used_bytes: u64| {
        let after = START + used_bytes;
        dump_of(SystemInfo::ARCHITECTURE_AMD64, hours).memory_infos(vec![
            free(0, START),
            private(START, used_bytes),
            free(after, 0x7ff_ffff_0000 - after),
        ])
    };
    assert_eq!(kinds(&[wide(1, 500 * MB), wide(2, 900 * MB)]), []);
    let commit = |pages| SystemMemoryInfo {
        revision: 1,
        page_size_bytes: 4096,
        committed_pages: pages,
        commit_limit_pages: 4 << 20,
        ..SystemMemoryInfo::default()
    };
    let dumps = [wide(1, 500 * MB).system_memory(commit(1 << 20)), wide(2, 900 * MB).system_memory(commit(2 << 20))];
    assert_eq!(kinds(&dumps), [Wall::SystemCommit { limit_bytes: 16 << 30 }]);
    let lines = wall_lines(&series(&dumps), &[DumpIdx(0), DumpIdx(1)]);
    assert_eq!(
        lines,
        [
            "the machine's commit limit of 16.0 GB is reached at 2020-01-01 04:00:00 UTC at the rate of dumps 1 to 2, +4.0 GB/h \
          (8.0 GB left)"
        ]
    );
}

/// A 32-bit program in a 64-bit dump; its image's head says how far its addresses go, where the dump has it.
fn wow64(hours: u32, used_bytes: u64, characteristics: Option<u16>) -> MinidumpFile {
    const EXE: u64 = 0xe3_0000;
    const END: u64 = 1 << 32;
    let mut listed = build_wow64::memory_infos();
    listed.push(private(0x1000_0000, used_bytes));
    listed.sort_by_key(|info| info.base);
    let (mut infos, mut at) = (Vec::new(), 0);
    for info in listed {
        if info.base.0 > at {
            infos.push(free(at, info.base.0 - at));
        }
        at = info.base.0 + info.size_bytes;
        infos.push(info);
    }
    infos.push(free(at, END - at));
    let mut ranges = build_wow64::memory_ranges();
    if let Some(characteristics) = characteristics {
        let mut head = LeBytes::zeroed(0x1000);
        head.put(0, b"MZ").put_u32(0x3c, 0x80).put(0x80, b"PE\0\0").put_u16(0x84, 0x14c);
        head.put_u16(0x94, 0xe0).put_u16(0x96, characteristics).put_u16(0x98, 0x10b).put_u32(0x98 + 0x5c, 16);
        ranges.push(MemoryRange::hole(Va(EXE), 0x1000).with(0, head.into_vec()));
    }
    MinidumpFile::new(flags::WITH_FULL_MEMORY | flags::WITH_FULL_MEMORY_INFO, NEW_YEAR_UNIX_SECONDS + hours * 3600)
        .system_info(windows_7(SystemInfo::ARCHITECTURE_AMD64))
        .modules(vec![module(EXE, 0x1000, r"C:\fizz.exe")])
        .threads(vec![Thread { id: 0x3490, teb: Va(build_wow64::TEB_64), ..Thread::default() }])
        .memory_infos(infos)
        .memory64(ranges)
}

#[test]
fn the_head_of_the_image_tells_how_far_the_addresses_of_a_wow64_program_go() {
    let limits = |characteristics| -> Vec<u64> {
        let dumps = [wow64(1, 100 * MB, characteristics), wow64(2, 300 * MB, characteristics)];
        let of_space = kinds(&dumps).into_iter().filter_map(|wall| match wall {
            Wall::AddressSpace { limit_bytes } => Some(limit_bytes),
            _ => None,
        });
        of_space.collect()
    };
    assert_eq!(limits(Some(0x102)), [2 << 30]);
    // IMAGE_FILE_LARGE_ADDRESS_AWARE.
    assert_eq!(limits(Some(0x122)), [4 << 30]);
    assert_eq!(limits(None), [0; 0]);
}

#[test]
fn a_list_of_regions_without_free_memory_proves_nothing() {
    let without_free = |hours, used_bytes| {
        dump_of(SystemInfo::ARCHITECTURE_X86, hours)
            .memory_infos(vec![private(START, used_bytes), private(0x7000_0000, 0x1000)])
    };
    assert_eq!(kinds(&[without_free(1, 500 * MB), without_free(2, 900 * MB)]), []);
}

#[test]
fn handles_have_a_limit_that_every_windows_has() {
    let with = |hours, count: usize| {
        dump_of(SystemInfo::ARCHITECTURE_AMD64, hours).handles(HandleFormat::V2, vec![handle(); count])
    };
    assert_eq!(kinds(&[with(1, 100), with(2, 20_100)]), [Wall::Handles { limit: 1 << 24 }]);
    assert_eq!(kinds(&[with(1, 100), with(2, 100)]), []);
}

#[test]
fn the_sample_goes_towards_no_wall_but_its_database() {
    let series = sample_series();
    let dumps: Vec<DumpIdx> = (0..6).map(DumpIdx).collect();
    assert_eq!(wall_lines(&series.analysis, &dumps), [""; 0]);
}
