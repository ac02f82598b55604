//! Short ways to make a dump and to open it.

use std::path::Path;

use dumptrend::analysis::snapshot::{Snapshot, take_snapshot};
use dumptrend::base::addr::Va;
use dumptrend::base::problems::ProblemKind;
use dumptrend::base::progress::Progress;
use dumptrend::input::dump::{self, Dump};
use dumptrend::sample::address_space::winnt::{
    MEM_COMMIT, MEM_FREE, MEM_IMAGE, MEM_MAPPED, MEM_PRIVATE, MEM_RESERVE, PAGE_NOACCESS, PAGE_READWRITE,
};
use dumptrend::sample::minidump_file::{MemoryInfo, MinidumpFile, Module, SystemInfo, flags};

/// 2020-01-01 00:00:00 UTC.
pub const NEW_YEAR_UNIX_SECONDS: u32 = 1_577_836_800;

/// Windows 7 SP1 on the given processor.
pub fn windows_7(processor_architecture: u16) -> SystemInfo {
    SystemInfo {
        processor_architecture,
        processor_count: 4,
        product_type: 1,
        major_version: 6,
        minor_version: 1,
        build_number: 7601,
        platform_id: 2,
        service_pack: "Service Pack 1".to_owned(),
        ..SystemInfo::default()
    }
}

/// A dump that says which Windows it is of, and nothing more.
pub fn x64_dump() -> MinidumpFile {
    MinidumpFile::new(flags::WITH_FULL_MEMORY_INFO, NEW_YEAR_UNIX_SECONDS)
        .system_info(windows_7(SystemInfo::ARCHITECTURE_AMD64))
}

/// A dump of only the stream that a test is about.
pub fn only(stream_type: u32, bytes: Vec<u8>) -> MinidumpFile {
    x64_dump().raw_stream(stream_type, bytes)
}

pub fn bytes(file: &MinidumpFile) -> Vec<u8> {
    file.to_bytes().expect("the dump fits its format")
}

pub fn open_bytes(bytes: Vec<u8>) -> Dump {
    dump::open_bytes(Path::new("built.dmp"), bytes).expect("the dump can be opened")
}

pub fn open(file: &MinidumpFile) -> Dump {
    open_bytes(bytes(file))
}

pub fn snapshot_of(dump: Dump) -> Snapshot {
    take_snapshot(dump, &Progress::default()).expect("nobody cancels")
}

pub fn snapshot(file: &MinidumpFile) -> Snapshot {
    snapshot_of(open(file))
}

/// The problems that are damage, each as one line.
pub fn damage(dump: &Dump) -> Vec<String> {
    let damaged = dump.problems.iter().filter(|problem| problem.kind == ProblemKind::Damage);
    damaged.map(|problem| format!("{}: {}", problem.place, problem.text)).collect()
}

pub fn module(base: u64, size_bytes: u32, path: &str) -> Module {
    Module { base: Va(base), size_bytes, path: path.to_owned(), ..Module::default() }
}

fn region(base: u64, size_bytes: u64, allocation_base: u64, state: u32, kind: u32) -> MemoryInfo {
    MemoryInfo {
        base: Va(base),
        allocation_base: Va(allocation_base),
        allocation_protect: PAGE_READWRITE,
        size_bytes,
        state,
        protect: if state == MEM_COMMIT { PAGE_READWRITE } else { 0 },
        kind,
    }
}

/// Committed private memory that is an allocation of its own.
pub fn private(base: u64, size_bytes: u64) -> MemoryInfo {
    region(base, size_bytes, base, MEM_COMMIT, MEM_PRIVATE)
}

/// Committed private memory within an allocation.
pub fn private_of(allocation_base: u64, base: u64, size_bytes: u64) -> MemoryInfo {
    region(base, size_bytes, allocation_base, MEM_COMMIT, MEM_PRIVATE)
}

/// Reserved private memory within an allocation.
pub fn reserved_of(allocation_base: u64, base: u64, size_bytes: u64) -> MemoryInfo {
    region(base, size_bytes, allocation_base, MEM_RESERVE, MEM_PRIVATE)
}

pub fn image(base: u64, size_bytes: u64) -> MemoryInfo {
    region(base, size_bytes, base, MEM_COMMIT, MEM_IMAGE)
}

pub fn mapped(base: u64, size_bytes: u64) -> MemoryInfo {
    region(base, size_bytes, base, MEM_COMMIT, MEM_MAPPED)
}

pub fn free(base: u64, size_bytes: u64) -> MemoryInfo {
    MemoryInfo { protect: PAGE_NOACCESS, ..region(base, size_bytes, 0, MEM_FREE, 0) }
}
