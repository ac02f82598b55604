//! Lists that are odd but tell something: larger entries, padding, sizes of 0, counts beyond the file, duplicates.

use dumptrend::input::dump::Dump;
use dumptrend::sample::LeBytes;
use dumptrend::sample::minidump_file::{HandleFormat, ListShape, MinidumpFile, UnloadedModule};

use crate::support::all_streams::{handle, handle_operation, thread, thread_info, unloaded_module};
use crate::support::build_dump::{bytes, damage, module, only, open, open_bytes, private, x64_dump};

const DIRECTORY_AT: usize = 32;

/// Opens the dump; what is damaged in it must be exactly `expect`.
fn check(file: &MinidumpFile, expect: &[&str]) -> Dump {
    let dump = open(file);
    assert_eq!(damage(&dump), expect);
    dump
}

/// How many entries each list of the dump has: unloaded modules, thread infos, memory infos, handles, operations.
fn counts(dump: &Dump) -> [Option<usize>; 5] {
    [
        dump.unloaded_modules.as_ref().map(Vec::len),
        dump.thread_infos.as_ref().map(Vec::len),
        dump.memory_info.as_ref().map(Vec::len),
        dump.handles.as_ref().map(Vec::len),
        dump.handle_operations.as_ref().map(Vec::len),
    ]
}

#[test]
fn larger_heads_and_entries_of_a_later_version_are_stepped_over() {
    let shape = ListShape { extra_header_bytes: 8, extra_entry_bytes: 12 };
    let file = x64_dump()
        .unloaded_modules(vec![unloaded_module(), unloaded_module()])
        .with_shape(shape)
        .thread_infos(vec![thread_info(), thread_info()])
        .with_shape(shape)
        .memory_infos(vec![private(0x1_0000, 0x1000), private(0x3_0000, 0x1000)])
        .with_shape(shape)
        .handles(HandleFormat::V2, vec![handle(), handle()])
        .with_shape(shape)
        .handle_operations(vec![handle_operation(), handle_operation()])
        .with_shape(shape);
    let dump = check(&file, &[]);
    assert_eq!(counts(&dump), [Some(2); 5]);
    assert!(dump.has_whole_memory_info);
    let last_region = dump.memory_info.as_ref().and_then(|list| list.last());
    assert_eq!(last_region.map(|record| (record.base.0, record.state)), Some((0x3_0000, 0x1000)));
    let last_handle = dump.handles.as_ref().and_then(|list| list.last());
    assert_eq!(last_handle.and_then(|handle| handle.type_name.as_deref()), Some("Event"));
}

/// The thread list of a dump with four bytes of padding behind its count, as breakpad's writers align it.
#[test]
fn padding_after_the_count_is_stepped_over() {
    let mut list = LeBytes::zeroed(8 + 48);
    list.put_u32(0, 1).put_u32(8, 0x77).put_u64(8 + 0x10, 0x7ffd_e000);
    let dump = check(&only(3, list.into_vec()), &[]);
    let threads: Vec<_> = dump.threads.iter().flatten().map(|thread| (thread.tid, thread.teb.0)).collect();
    assert_eq!(threads, [(0x77, 0x7ffd_e000)]);
}

#[test]
fn a_module_of_size_0_is_kept_and_told() {
    let file = x64_dump().modules(vec![module(0x1_0000, 0, r"C:\odd.dll"), module(0x2_0000, 0x1000, "b.dll")]);
    let dump = check(&file, &["stream 4 (module list): gives the size 0 to odd.dll at 0x10000"]);
    assert_eq!(dump.modules.map(|modules| modules.len()), Some(2));
}

#[test]
fn a_name_outside_the_file_is_told_and_the_module_kept() {
    let mut list = LeBytes::zeroed(4 + 108);
    list.put_u32(0, 1).put_u64(4, 0x40_0000).put_u32(4 + 8, 0x1000).put_u32(4 + 0x14, 0x7fff_ffff);
    let dump =
        check(&only(4, list.into_vec()), &["stream 4 (module list): has no readable name for the module at 0x400000"]);
    let names: Vec<_> = dump.modules.iter().flatten().map(|module| module.file_name()).collect();
    assert_eq!(names, ["<name not readable>"]);
}

#[test]
fn an_unloaded_module_of_size_0_is_normal() {
    let empty = UnloadedModule { size_bytes: 0, ..unloaded_module() };
    let dump = check(&x64_dump().unloaded_modules(vec![empty, unloaded_module()]), &[]);
    assert_eq!(dump.unloaded_modules.map(|modules| modules.len()), Some(2));
}

#[test]
fn a_count_beyond_the_file_gives_the_entries_that_are_there() {
    let threads = x64_dump().threads(vec![thread(1), thread(2)]);
    let mut file = bytes(&threads);
    let stream_at = stream_offset(&file, 1);
    file[stream_at..stream_at + 4].copy_from_slice(&900_u32.to_le_bytes());
    let dump = open_bytes(file);
    assert_eq!(damage(&dump), ["stream 3 (thread list): names 900 entries, 2 of them are in the file; those are used"]);
    assert_eq!(dump.threads.map(|threads| threads.len()), Some(2));
}

#[test]
fn a_cut_memory_info_list_is_not_whole() {
    let infos = x64_dump().memory_infos(vec![private(0x1_0000, 0x1000), private(0x3_0000, 0x1000)]);
    let mut file = bytes(&infos);
    file.truncate(file.len() - 40);
    let dump = open_bytes(file);
    assert_eq!(
        damage(&dump),
        [
            "stream 16 (memory info list): needs 112 bytes at offset 0x5a, the file holds 72 of them; it is cut off or damaged"
                .replace("0x5a", &format!("{:#x}", stream_offset(&bytes(&infos), 1))),
            "stream 16 (memory info list): names 2 entries, 1 of them are in the file; those are used".to_owned(),
        ]
    );
    assert_eq!(dump.memory_info.as_ref().map(Vec::len), Some(1));
    assert!(!dump.has_whole_memory_info);
}

#[test]
fn entries_smaller_than_known_ones_are_left_out_with_a_reason() {
    let mut list = LeBytes::zeroed(12 + 40);
    list.put_u32(0, 12).put_u32(4, 20).put_u32(8, 2);
    check(
        &only(14, list.into_vec()),
        &[
            "stream 14 (unloaded module list): states a head of 12 and entries of 20 bytes, less than the 12 and 24 that they need; it is left out",
        ],
    );
}

#[test]
fn a_stream_without_room_for_its_head_is_told() {
    for (kind, name, lack) in [
        (3, "thread list", "has no room for its count; it is left out"),
        (4, "module list", "has no room for its count; it is left out"),
        (5, "memory list", "has no room for its count; it is left out"),
        (9, "memory64 list", "has no room for its head; the memory is left out"),
        (12, "handle data", "has no room for its head; it is left out"),
        (14, "unloaded module list", "has no room for its head; it is left out"),
        (16, "memory info list", "has no room for its head; it is left out"),
        (17, "thread info list", "has no room for its head; it is left out"),
        (18, "handle operation list", "has no room for its head; it is left out"),
        (19, "token", "has no room for its head; it is left out"),
        (21, "system memory info", "has 2 bytes, too few; it is left out"),
        (22, "process VM counters", "has 2 bytes and no known revision; it is left out"),
        (24, "thread names", "has no room for its count; it is left out"),
    ] {
        check(&only(kind, vec![1, 0]), &[&format!("stream {kind} ({name}): {lack}")]);
    }
}

#[test]
fn of_two_streams_of_one_kind_the_last_is_used_and_that_is_told() {
    let file = x64_dump().modules(vec![module(1, 1, "a.dll")]).modules(vec![module(2, 1, "b.dll")]);
    let dump = check(&file, &["stream 4 (module list): is in the directory more than once; the last one is used"]);
    let names: Vec<_> = dump.modules.iter().flatten().map(|module| module.file_name()).collect();
    assert_eq!(names, ["b.dll"]);
}

#[test]
fn a_stream_of_an_unknown_kind_disturbs_nobody() {
    let dump = check(&x64_dump().raw_stream(0x4b6b_0002, vec![1, 2, 3]).raw_stream(23, vec![9]), &[]);
    assert_eq!(dump.streams.len(), 3);
}

#[test]
fn unused_directory_slots_are_no_streams() {
    let dump = check(&x64_dump().raw_stream(0, Vec::new()).raw_stream(0, Vec::new()), &[]);
    assert_eq!(dump.streams.len(), 1);
}

#[test]
fn a_directory_cut_off_gives_the_streams_before_the_cut() {
    // The directory of this file lies at its end.
    let mut file = bytes(&x64_dump());
    let directory = file[DIRECTORY_AT..DIRECTORY_AT + 12].to_vec();
    let at = u32::try_from(file.len()).expect("a small file");
    file.extend(directory);
    file.extend([4, 0, 0, 0, 8]);
    file[8..12].copy_from_slice(&5_u32.to_le_bytes());
    file[12..16].copy_from_slice(&at.to_le_bytes());
    let dump = open_bytes(file);
    assert_eq!(damage(&dump), ["stream directory: is cut off: it names 5 streams, the file holds 1 of its entries"]);
    assert!(dump.system.is_some());
}

/// Where the stream of a directory entry lies.
fn stream_offset(file: &[u8], index: usize) -> usize {
    let at = DIRECTORY_AT + index * 12 + 8;
    file[at..at + 4].iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte))
}
