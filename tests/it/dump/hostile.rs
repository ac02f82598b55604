//! Dumps made to mislead or to exhaust: what they say of sizes and counts is never believed.

use dumptrend::sample::minidump_file::{MinidumpFile, ThreadName, rsds_record};
use dumptrend::sample::{LeBytes, utf16_bytes};

use crate::support::build_dump::{bytes, damage, module, only, open, open_bytes, snapshot, x64_dump};

#[test]
fn what_could_mislead_in_a_name_comes_out_replaced() {
    let name = "C:\\evil\r\n\u{202e}exe.txt\u{1b}[2J\u{0}.dll";
    let file = x64_dump()
        .modules(vec![dumptrend::sample::minidump_file::Module {
            code_view: rsds_record([1; 16], 1, "a\nb.pdb"),
            ..module(0x1_0000, 0x1000, name)
        }])
        .thread_names(vec![ThreadName { thread_id: 1, name: name.to_owned() }]);
    let dump = open(&file);
    let safe = "C:\\evil\u{fffd}\u{fffd}\u{fffd}exe.txt\u{fffd}[2J\u{fffd}.dll";
    let modules = dump.modules.expect("modules");
    assert_eq!(modules[0].path.as_deref(), Some(safe));
    assert_eq!(modules[0].pdb.as_ref().map(|pdb| pdb.path.as_str()), Some("a\u{fffd}b.pdb"));
    assert_eq!(dump.thread_names.get(&1).map(String::as_str), Some(safe));
}

/// Tens of thousands of modules that share one long name: together their texts stay within the budget of one dump.
#[test]
fn a_huge_name_shared_by_many_modules_is_not_copied_for_each() {
    const MODULE_COUNT: u32 = 20_000;
    const BUDGET_BYTES: usize = 64 << 20;
    let name = utf16_bytes(&"n".repeat(32_000));
    let mut list = LeBytes::zeroed(4 + 108 * MODULE_COUNT as usize);
    list.put_u32(0, MODULE_COUNT);
    let mut file = bytes(&only(4, list.into_vec()));
    let list_at = file.len() - (4 + 108 * MODULE_COUNT as usize);
    let name_at = u32::try_from(file.len()).expect("a small file");
    file.extend(u32::try_from(name.len()).expect("a short name").to_le_bytes());
    file.extend(name);
    for index in 0..MODULE_COUNT as usize {
        let at = list_at + 4 + index * 108 + 0x14;
        file[at..at + 4].copy_from_slice(&name_at.to_le_bytes());
    }
    let dump = open_bytes(file);
    let modules = dump.modules.as_deref().expect("modules");
    assert_eq!(modules.len(), MODULE_COUNT as usize);
    let text_bytes: usize = modules.iter().filter_map(|module| module.path.as_deref()).map(str::len).sum();
    assert!(0 < text_bytes && text_bytes <= BUDGET_BYTES, "{text_bytes}");
    let is_told = dump.problems.iter().any(|problem| problem.text.contains("has no readable name for the module at"));
    assert!(is_told && dump.problems.len() < 10, "{:?}", dump.problems);
}

/// Each list with a count of all ones in a file of a few hundred bytes: nothing is there, so nothing is kept.
#[test]
fn counts_of_all_ones_give_what_is_there() {
    let mut sized = LeBytes::zeroed(0);
    sized.push_u32(16).push_u32(64).push_u32(u32::MAX).push_u32(u32::MAX);
    let counted = u32::MAX.to_le_bytes().to_vec();
    let mut wide = LeBytes::default();
    wide.push_u64(u64::MAX).push_u64(u64::MAX);
    let lists: [(u32, Vec<u8>); 11] = [
        (3, counted.clone()),
        (4, counted.clone()),
        (5, counted.clone()),
        (8, counted.clone()),
        (9, wide.into_vec()),
        (12, sized.as_slice().to_vec()),
        (14, sized.as_slice().to_vec()),
        (16, sized.as_slice().to_vec()),
        (17, sized.as_slice().to_vec()),
        (18, sized.into_vec()),
        (24, counted),
    ];
    for (kind, list) in lists {
        let file = bytes(&only(kind, list));
        assert!(file.len() < 400);
        let dump = open_bytes(file);
        assert!(dump.problems.has_damage(), "stream {kind} is not called damaged");
        let capacities = [
            dump.threads.as_ref().map_or(0, Vec::capacity),
            dump.modules.as_ref().map_or(0, Vec::capacity),
            dump.unloaded_modules.as_ref().map_or(0, Vec::capacity),
            dump.memory_info.as_ref().map_or(0, Vec::capacity),
            dump.thread_infos.as_ref().map_or(0, Vec::capacity),
            dump.handles.as_ref().map_or(0, Vec::capacity),
            dump.handle_operations.as_ref().map_or(0, Vec::capacity),
            dump.memory.ranges().len(),
            dump.thread_names.len(),
        ];
        assert_eq!(capacities, [0; 9], "stream {kind}");
    }
}

#[test]
fn a_directory_of_four_billion_streams_ends_with_the_file() {
    let mut file = bytes(&x64_dump());
    file[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    let dump = open_bytes(file);
    assert!(damage(&dump).iter().any(|text| text.starts_with("stream directory: is cut off")), "{:?}", damage(&dump));
    assert!(dump.system.is_some());
}

/// Every list leads into itself: the module list is also the thread list, and the memory is the header.
#[test]
fn streams_that_share_their_bytes_are_read() {
    let mut file = bytes(&x64_dump().modules(vec![module(0x1_0000, 0x1000, "a.dll")]).raw_stream(3, vec![0; 4]));
    let modules_entry = file[32 + 12 + 4..32 + 24].to_vec();
    file[32 + 24 + 4..32 + 36].copy_from_slice(&modules_entry);
    let dump = open_bytes(file);
    assert_eq!(dump.modules.map(|modules| modules.len()), Some(1));
    assert_eq!(dump.threads.map(|threads| threads.len()), Some(1));
}

/// A dump whose numbers are all at their limit.
#[test]
fn the_largest_numbers_do_not_overflow() {
    let all_ones = |kind, header: &[u8], entry_bytes: usize| {
        let stream = [header, &vec![0xff; entry_bytes]].concat();
        let file: MinidumpFile = only(kind, stream);
        snapshot(&file)
    };
    let sized = |head_bytes: u32, entry_bytes: u32| {
        [head_bytes.to_le_bytes(), entry_bytes.to_le_bytes(), 1_u32.to_le_bytes(), [0; 4]].concat()
    };
    let one = 1_u32.to_le_bytes();
    for (kind, header, entry_bytes) in [
        (3, one.to_vec(), 48),
        (4, one.to_vec(), 108),
        (5, one.to_vec(), 16),
        (8, one.to_vec(), 64),
        (9, [1_u64.to_le_bytes(), u64::MAX.to_le_bytes()].concat(), 16),
        (12, sized(16, 40), 40),
        (14, sized(16, 24), 24),
        (15, Vec::new(), 1364),
        (16, sized(16, 48), 48),
        (17, sized(16, 64), 64),
        (18, sized(16, 288), 288),
        (19, Vec::new(), 64),
        (21, Vec::new(), 492),
        (22, Vec::new(), 152),
        (24, one.to_vec(), 12),
    ] {
        let taken = all_ones(kind, &header, entry_bytes);
        assert!(taken.address_space.regions.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start));
        assert!(taken.dump.streams.iter().any(|entry| entry.kind.0 == kind));
    }
}
