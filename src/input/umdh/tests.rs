//! Logs of all forms, whole and damaged.
#![expect(clippy::indexing_slicing, reason = "in a test a panic is a failure")]

use std::fmt::Write;
use std::path::Path;

use super::raw::read_within;
use super::*;
use crate::base::addr::Va;

const HEAD: &str = "// \n// UMDH: version 6.1.7650.0: Logtime 2012-04-30 12:09 - Machine=BOX - PID=7696\n// \n\n\
                    // Loaded modules: \n//     Base Size Module\n//              400000   11D000 D:\\a\\app.exe\n//\n";

fn heap(base: &str, data: &str) -> String {
    format!(
        "*- - - - - - - - - - Start of data for heap @ {base} - - - - - - - - - -\n\n\
         REQUESTED bytes + OVERHEAD at ADDRESS by BackTraceID\n     STACK if not already dumped.\n\n\
         *- - - - - - - - - - Heap {base} Hogs - - - - - - - - - -\n\n{data}\n\
         *- - - - - - - - - - End of data for heap @ {base} - - - - - - - - - -\n\n"
    )
}

fn contents(text: &str) -> Contents {
    contents_of(text.as_bytes().to_vec())
}

fn contents_of(bytes: Vec<u8>) -> Contents {
    let file = open_bytes(Path::new("a.log"), bytes).expect("a log");
    read(&file, &Progress::default()).expect("nobody cancels")
}

fn raw(text: &str) -> RawLog {
    let Contents::Raw(log) = contents(text) else { panic!("a raw log") };
    log
}

fn comparison(text: &str) -> Comparison {
    let Contents::Comparison(comparison) = contents(text) else { panic!("a comparison") };
    comparison
}

fn addresses(log: &RawLog, frames: &[frames::FrameId]) -> Vec<u64> {
    frames.iter().filter_map(|id| log.frames.frame(*id)?.address).map(|va| va.0).collect()
}

fn problem_lines(problems: &Problems) -> Vec<String> {
    problems.iter().map(|problem| format!("{}: {}: {}", problem.kind.word(), problem.place, problem.text)).collect()
}

const TWO_HEAPS: &str = "64 bytes + 1C at 2E9FA20 by BackTrace18D0A0D0\n\t776CDD82\n\t7768EC66\n\n\
                         68 bytes + 18 at 2E9FAA0 by BackTrace18D0A0D0\n\
                         10 bytes + 10 at 2E9FB20 by BackTrace94C4\n\t400010\n\tAlias\n\t400020\n\tAlias\n\t400030\n\n";

#[test]
fn blocks_are_summed_by_stack_and_heap() {
    let second = "20 bytes + 8 at 1D890010 by BackTrace94C4\n";
    let log = raw(&format!("{HEAD}{}{}", heap("2E60000", TWO_HEAPS), heap("1D890000", second)));
    assert_eq!(log.total, Amounts { block_count: 4, requested_bytes: 0xfc, overhead_bytes: 0x4c });
    let heaps: Vec<_> = log.heaps.iter().map(|heap| (heap.base, heap.amounts.block_count)).collect();
    assert_eq!(heaps, [(Some(Va(0x2e6_0000)), 3), (Some(Va(0x1d89_0000)), 1)]);
    let [large, aliased] = &log.stacks[..] else { panic!("two stacks") };
    assert_eq!((&*large.id, large.amounts.requested_bytes, large.amounts.block_count), ("18D0A0D0", 0xcc, 2));
    assert_eq!(addresses(&log, &large.candidates[0]), [0x776c_dd82, 0x7768_ec66]);
    assert_eq!((&*aliased.id, aliased.candidates.len(), aliased.by_heap.len()), ("94C4", 3, 2));
    assert_eq!(aliased.by_heap[1], (1, Amounts { block_count: 1, requested_bytes: 0x20, overhead_bytes: 8 }));
    assert!(log.has_overhead && log.problems.is_empty(), "{:?}", log.problems);
}

#[test]
fn old_versions_list_stacks_with_names() {
    let data = "00005320 bytes in 0x14 allocations (@ 0x00000428) by: BackTrace00B53\n\
                ntdll!RtlDebugAllocateHeap+0x000000FD\nMyApp!operator new+0x0000000E\n\n";
    let log = raw(&heap("0x00140000", data));
    assert_eq!(log.total, Amounts { block_count: 0x14, requested_bytes: 0x5320, overhead_bytes: 0 });
    assert!(!log.has_overhead);
    let names: Vec<_> =
        log.stacks[0].candidates[0].iter().filter_map(|id| log.frames.frame(*id)?.name.as_deref()).collect();
    assert_eq!(names, ["ntdll!RtlDebugAllocateHeap+0xfd", "MyApp!operator new+0xe"]);
}

#[test]
fn many_stacks_are_read_in_classes_and_the_largest_kept() {
    let mut data = String::new();
    for id in 1..=500 {
        writeln!(data, "{id:X} bytes + 8 at {:X} by BackTrace{id:X}\n\t{:X}", 0x1000 + id, 0x40_0000 + id)
            .expect("text");
    }
    let file = open_bytes(Path::new("a.log"), format!("{HEAD}{}", heap("10000", &data)).into_bytes()).expect("a log");
    let log = read_within(&file, 60, 100, &Progress::default()).expect("nobody cancels");
    assert_eq!(log.total.requested_bytes, (1..=500).sum::<u64>());
    assert_eq!((log.stacks.len(), log.left_out_stack_count), (100, 400));
    let kept: Vec<_> = log.stacks.iter().map(|stack| stack.amounts.requested_bytes).collect();
    assert_eq!(kept, (401..=500).rev().collect::<Vec<_>>());
    assert_eq!(log.left_out.requested_bytes, (1..=400).sum::<u64>());
    assert!(log.stacks.iter().all(|stack| stack.candidates.len() == 1));
}

#[test]
fn damage_loses_a_line_and_says_which() {
    let data = "64 bytes + 1C at 2E9FA20 by BackTrace18\n\t776CDD82\n\n64 bytes + 1C a\n\t7768EC66\n\t7768EC67\n\n\
                \u{1}\u{2}\u{0}\n10 bytes + 8 at 2E9FB20 by BackTrace19\n\t400010\n\tzz\n";
    let text = format!("{HEAD}{}", heap("2E60000", data));
    let cut = text.split("\n*- - - - - - - - - - End").next().expect("the data");
    let log = raw(cut);
    assert_eq!(log.total, Amounts { block_count: 2, requested_bytes: 0x74, overhead_bytes: 0x24 });
    assert_eq!(addresses(&log, &log.stacks[0].candidates[0]), [0x776c_dd82]);
    assert_eq!(
        problem_lines(&log.problems),
        [
            "damaged: line 19 (offset 0x1c6): this line is a block that is cut or damaged; left out",
            "damaged: line 20 (offset 0x1d6): 2 lines are a frame of a stack that no block has; left out",
            "damaged: line 23 (offset 0x1eb): this line is no text; left out",
            "damaged: line 26 (offset 0x21e): this line is no frame of a stack; left out",
            "damaged: end of the file (offset 0x222): the log is cut off in the midst of a heap; what follows there is not in it",
        ]
    );
}

#[test]
fn all_encodings_give_the_same() {
    let text = format!("{HEAD}{}", heap("2E60000", TWO_HEAPS)).replace('\n', "\r\n");
    let expect = raw(&text).stacks;
    let wide = |mark: &[u8], to_bytes: fn(u16) -> [u8; 2]| {
        mark.iter().copied().chain(text.encode_utf16().flat_map(to_bytes)).collect::<Vec<u8>>()
    };
    for bytes in [wide(&[0xff, 0xfe], u16::to_le_bytes), wide(&[0xfe, 0xff], u16::to_be_bytes)] {
        let Contents::Raw(log) = contents_of(bytes) else { panic!("a raw log") };
        assert_eq!(log.stacks, expect);
    }
}

#[test]
fn a_comparison_has_both_forms_of_entries() {
    let text = "// Debug library initialized ...\n\n\
                +      68 (     cc -     64)      2 allocs\tBackTrace18D0A0D0\n\
                +       1 (      2 -      1)\tBackTrace18D0A0D0\tallocations\n\n\tntdll!RtlAllocateHeap+A64\n\
                \tapp!f+1 (c:\\a.cpp, 12)\n\n\
                - 10 (0 - 10) 0 allocs BackTrace94C4\n\n\
                Total increase ==     58 requested +     18 overhead =     70\n";
    let found = comparison(text);
    let [grown, gone] = &found.entries[..] else { panic!("two entries") };
    assert_eq!((grown.before_bytes, grown.after_bytes, grown.bytes_delta()), (0x64, 0xcc, 0x68));
    assert_eq!((grown.after_count, grown.before_count, grown.count_delta()), (2, Some(1), Some(1)));
    assert_eq!((&*gone.id, gone.bytes_delta(), gone.count_delta(), gone.frames.len()), ("94C4", -0x10, None, 0));
    assert_eq!(found.frames.frame(grown.frames[1]).expect("a frame").source.as_ref().expect("a line").line, 12);
    assert_eq!(found.radix, Radix::Hexadecimal);
    assert_eq!((found.adds_up(), found.sum_delta_bytes), (Some(true), 0x58));
    assert!(found.problems.is_empty(), "{:?}", found.problems);
}

#[test]
fn the_documented_sample_reads_in_hexadecimal() {
    let text = "+ 5320 (f110 - 9df0) 3a allocs BackTrace00053 \nTotal increase == 5320\n\
                ntdll!RtlDebugAllocateHeap+0x000000FD\nMyApp!LeakyFunc+0x0000001E\n";
    let found = comparison(text);
    let entry = &found.entries[0];
    assert_eq!((entry.before_bytes, entry.after_bytes, entry.after_count), (40_432, 61_712, 58));
    assert_eq!((entry.frames.len(), found.adds_up()), (2, Some(true)));
    let totals = found.totals.expect("a closing line");
    assert_eq!((totals.requested_delta_bytes, totals.all_delta_bytes), (None, 21_280));
}

#[test]
fn decimal_totals_with_a_decrease() {
    let text = "-   90000 (  10000 - 100000)     10 allocs\tBackTraceA\n-       9 (     10 -     19)\tBackTraceA\tallocations\n\
                \n\ta!b+1\n\nTotal decrease ==  90000 requested +    216 overhead =  90216\n";
    let found = comparison(text);
    assert_eq!(found.radix, Radix::Decimal, "{}", found.radix_reason);
    assert_eq!((found.entries[0].bytes_delta(), found.entries[0].count_delta()), (-90_000, Some(-9)));
    assert_eq!(found.totals.expect("totals").overhead_delta_bytes, Some(-216));
    assert_eq!(found.adds_up(), Some(true));
}

#[test]
fn damaged_comparisons_say_where() {
    let text = "+ f0 (f0 - 0) 1 allocs BackTraceA\n\ta!b+1\n+ f0 (f0 - 0) 1 allocs Back\n\ta!c+1\n\
                + f1 (f0 - 0) 1 allocs BackTraceB\n+ 1 (1 - 0)\tBackTraceC\tallocations\n";
    let found = comparison(text);
    assert_eq!(found.entries.len(), 2);
    assert_eq!(found.entries[0].frames.len(), 1);
    assert_eq!(
        problem_lines(&found.problems),
        [
            "damaged: line 3 (offset 0x29): this line is an entry that is cut or damaged; left out",
            "damaged: line 4 (offset 0x45): this line is a frame of an entry that is cut or damaged; left out",
            "damaged: line 6: counts allocations of a stack whose bytes are not on the line before; left out",
            "damaged: end of the file (offset 0x91): there is no closing line (Total increase == ...); the comparison is cut off",
            "damaged: line 5: BackTraceB: its growth is not the difference of its two amounts, which are used",
        ]
    );
}

#[test]
fn logs_are_known_by_their_first_lines() {
    for text in [
        HEAD,
        "*- - - - - - - - - - Start of data for heap @ 2E60000 - - - - - - - - - -\n",
        "+ 5320 (f110 - 9df0) 3a allocs BackTrace00053\n",
        "7FF738EC0000-7FF738F02FFF DBGHELP: notepad - no symbols loaded\n",
        "Warning: a banner\n\n// Debug library initialized ...\n",
    ] {
        assert!(is_log(text.as_bytes()), "{text}");
    }
    let late = format!("a\nb\nc\n{HEAD}");
    for text in ["", "notes\n", "// a program\nfn main() {}\nlet a;\nlet b;\n", &late, "MDMP"] {
        assert!(!is_log(text.as_bytes()), "{text}");
    }
}
