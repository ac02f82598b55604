//! The seeds of the fuzz target `dump`: one small file for each shape that the reader knows, made by the builders.

use dumptrend::base::addr::Va;
use dumptrend::sample::LeBytes;
use dumptrend::sample::minidump_file::{
    HandleFormat, ListShape, MemoryInfo, MemoryRange, MinidumpFile, StackMemory, ThreadEx, UnloadedModule,
};

use super::all_streams::{
    all_streams, handle, handle_operation, misc_info, thread, thread_info, unloaded_module, vm_counters,
};
use super::build_dump::{bytes, module, only, private, reserved_of, x64_dump};
use super::build_process::{HEAP, Process, heap_64, segment_link_64};
use super::build_wow64;

/// Each seed with the name of its file.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = whole_dumps();
    seeds.extend(odd_lists());
    seeds.extend(hostile_counts());
    seeds.extend(damaged_files());
    seeds
}

/// Only the part of each range that holds something, so that a seed stays small.
fn without_holes(ranges: Vec<MemoryRange>) -> Vec<MemoryRange> {
    let used_bytes = |range: &MemoryRange| {
        range.pieces.iter().map(|piece| piece.offset_bytes + piece.bytes.len() as u64).max().unwrap_or(0)
    };
    let cut = ranges.into_iter().map(|range| MemoryRange { size_bytes: used_bytes(&range), ..range });
    cut.filter(|range| range.size_bytes > 0).collect()
}

fn process_with(memory_infos: Vec<MemoryInfo>, ranges: Vec<MemoryRange>) -> Vec<u8> {
    let file = Process::default().dump_without_memory();
    let file = if memory_infos.is_empty() { file } else { file.memory_infos(memory_infos) };
    bytes(&file.memory64(without_holes(ranges)))
}

fn whole_dumps() -> Vec<(&'static str, Vec<u8>)> {
    let process = Process { nt_global_flag: 0x1070, ..Process::default() };
    let wow64 = MinidumpFile::default()
        .system_info(super::build_dump::windows_7(9))
        .threads(vec![dumptrend::sample::minidump_file::Thread {
            id: 0x3490,
            teb: Va(build_wow64::TEB_64),
            ..dumptrend::sample::minidump_file::Thread::default()
        }])
        .memory_infos(build_wow64::memory_infos())
        .memory64(without_holes(build_wow64::memory_ranges()));
    let tiny = x64_dump()
        .modules(vec![module(0x40_0000, 0x2000, "a.exe")])
        .memory(vec![MemoryRange::of_bytes(Va(0x40_0ff0), vec![1; 32])]);
    vec![
        ("all-streams.dmp", bytes(&all_streams())),
        ("process.dmp", process_with(process.memory_infos(), process.memory_ranges())),
        ("process-without-memory-info.dmp", process_with(Vec::new(), process.memory_ranges())),
        ("wow64-process.dmp", bytes(&wow64)),
        ("partial.dmp", bytes(&tiny)),
        (
            "x86.dmp",
            bytes(&MinidumpFile::default().system_info(super::build_dump::windows_7(0)).threads(vec![thread(1)])),
        ),
    ]
}

fn odd_lists() -> Vec<(&'static str, Vec<u8>)> {
    let shape = ListShape { extra_header_bytes: 4, extra_entry_bytes: 20 };
    let large_entries = x64_dump()
        .unloaded_modules(vec![unloaded_module(), UnloadedModule::default()])
        .with_shape(shape)
        .thread_infos(vec![thread_info()])
        .with_shape(shape)
        .memory_infos(vec![private(0x1_0000, 0x1000)])
        .with_shape(shape)
        .handles(HandleFormat::V1, vec![handle()])
        .with_shape(shape)
        .handle_operations(vec![handle_operation()])
        .with_shape(shape);
    let backing_store = StackMemory::InMemoryList { start: Va(1), size_bytes: 2 };
    let versions = x64_dump().misc_info(misc_info(3)).vm_counters(vm_counters(false));
    let mut padded = LeBytes::zeroed(8 + 48);
    padded.put_u32(0, 1).put_u32(8, 0x77);
    let overlapping = vec![
        private(0x1_0000, 0x4000),
        reserved_of(0x1_0000, 0x1_2000, 0x4000),
        private(u64::MAX - 0xfff, 0x4000),
        MemoryInfo { state: 0x4000, ..private(0x9_0000, 0x1000) },
    ];
    let overlapping_ranges = vec![
        MemoryRange::of_bytes(Va(0x1_0000), vec![1; 64]),
        MemoryRange::of_bytes(Va(0x1_0020), vec![2; 64]),
        MemoryRange::of_bytes(Va(u64::MAX - 7), vec![3; 16]),
    ];
    let two_lists = x64_dump().modules(vec![module(1, 0, "a.dll")]).modules(vec![module(2, 1, "b\n.dll")]);
    vec![
        ("larger-heads-and-entries.dmp", bytes(&large_entries)),
        ("extended-threads.dmp", bytes(&x64_dump().threads_ex(vec![ThreadEx { thread: thread(7), backing_store }]))),
        ("older-versions.dmp", bytes(&versions)),
        ("padded-thread-list.dmp", bytes(&only(3, padded.into_vec()))),
        ("overlapping-regions.dmp", bytes(&x64_dump().memory_infos(overlapping).memory64(overlapping_ranges))),
        ("stream-twice.dmp", bytes(&two_lists)),
    ]
}

fn hostile_counts() -> Vec<(&'static str, Vec<u8>)> {
    let count = u32::MAX.to_le_bytes().to_vec();
    let mut sized = LeBytes::zeroed(0);
    sized.push_u32(16).push_u32(64).push_u32(u32::MAX).push_u32(u32::MAX);
    let counted = [3, 4, 5, 24].into_iter().fold(x64_dump(), |file, kind| file.raw_stream(kind, count.clone()));
    let counted_and_sized =
        [12, 14, 16, 17, 18].into_iter().fold(counted, |file, kind| file.raw_stream(kind, sized.as_slice().to_vec()));
    let mut wide = LeBytes::zeroed(0);
    wide.push_u64(u64::MAX).push_u64(u64::MAX).push_u64(u64::MAX).push_u64(u64::MAX);
    let mut tokens = LeBytes::zeroed(32);
    tokens.put_u32(4, u32::MAX).put_u32(8, 16);
    let all_ones = [[1, 0, 0, 0].as_slice(), &[0xff; 108]].concat();
    vec![
        ("counts-of-all-ones.dmp", bytes(&counted_and_sized)),
        ("memory64-of-all-ones.dmp", bytes(&only(9, wide.into_vec()))),
        ("token-of-size-0.dmp", bytes(&only(19, tokens.into_vec()))),
        ("module-of-all-ones.dmp", bytes(&only(4, all_ones))),
    ]
}

fn damaged_files() -> Vec<(&'static str, Vec<u8>)> {
    let process = Process::default();
    let segment = 0x600_0000;
    let mut cyclic = process.memory_ranges();
    cyclic[0] = MemoryRange::of_bytes(Va(HEAP), heap_64(HEAP, &[segment], &[]));
    cyclic.push(MemoryRange::of_bytes(Va(segment), segment_link_64(segment + 0x18)));
    let whole = process_with(process.memory_infos(), process.memory_ranges());
    let in_memory = whole[..whole.len() - 0x1000].to_vec();
    let in_lists = bytes(&all_streams())[..900].to_vec();
    let mut no_directory = whole[..64].to_vec();
    no_directory[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    let linux = MinidumpFile::default().system_info(dumptrend::sample::minidump_file::SystemInfo {
        platform_id: 0x8201,
        ..super::build_dump::windows_7(9)
    });
    vec![
        ("cyclic-heap-list.dmp", process_with(process.memory_infos(), cyclic)),
        ("cut-in-memory.dmp", in_memory),
        ("cut-in-lists.dmp", in_lists),
        ("directory-outside.dmp", no_directory),
        ("linux.dmp", bytes(&linux)),
        ("text.dmp", b"no dump\r\n".to_vec()),
    ]
}
