//! Raw UMDH logs and comparisons, written by hand.

use std::fmt::Write;

/// A log of one process: a block of `bytes` for each stack, whose frames are given innermost first.
pub struct RawLog<'a> {
    pub minute: u32,
    pub pid: u32,
    pub modules: &'a [(u64, u64, &'a str)],
    /// Requested bytes, blocks and frames of each stack; its id is its position from 1.
    pub stacks: Vec<(u64, u64, Vec<u64>)>,
}

pub const APP: (u64, u64, &str) = (0x40_0000, 0x2_0000, r"C:\app\app.exe");
pub const NTDLL: (u64, u64, &str) = (0x7770_0000, 0x18_0000, r"C:\Windows\System32\ntdll.dll");

impl RawLog<'_> {
    pub fn text(&self) -> String {
        let mut text = format!(
            "// \n// UMDH: version 6.1.7650.0: Logtime 2012-04-30 12:{:02} - Machine=BOX - PID={}\n// \n\n\
             // Loaded modules: \n//     Base Size Module\n",
            self.minute, self.pid
        );
        for (base, size, path) in self.modules {
            writeln!(text, "//{base:>20X} {size:>8X} {path}").expect("text");
        }
        text.push_str("//\n\n*- - - - - - - - - - Start of data for heap @ 2E60000 - - - - - - - - - -\n\n");
        text.push_str("REQUESTED bytes + OVERHEAD at ADDRESS by BackTraceID\n     STACK if not already dumped.\n\n");
        text.push_str("*- - - - - - - - - - Heap 2E60000 Hogs - - - - - - - - - -\n\n");
        let mut va = 0x2e7_0000;
        for (position, (bytes, count, frames)) in self.stacks.iter().enumerate() {
            for block in 0..*count {
                writeln!(text, "{bytes:X} bytes + 10 at {va:X} by BackTrace{:X}", position + 1).expect("text");
                va += bytes + 0x10;
                if block == 0 {
                    frames.iter().for_each(|frame| writeln!(text, "\t{frame:X}").expect("text"));
                    text.push('\n');
                }
            }
        }
        text.push_str("\n*- - - - - - - - - - End of data for heap @ 2E60000 - - - - - - - - - -\n");
        text
    }
}

/// One entry of a comparison: id, before and after in bytes, before and after in blocks, and frames.
pub type Entry<'a> = (u64, (u64, u64), (u64, u64), &'a [&'a str]);

/// A comparison of two logs.
pub fn comparison(entries: &[Entry<'_>]) -> String {
    let mut text =
        String::from("// Debug library initialized ...\n400000-41FFFF DBGHELP: app - private symbols & lines \n");
    text.push_str("        C:\\Symbols\\app.pdb\\0123456789ABCDEF0123456789ABCDEF1\\app.pdb\n");
    text.push_str("//\n// Each log entry has the following syntax:\n//\n\n\n");
    let mut sum = 0_i64;
    for (id, (before, after), (before_count, after_count), frames) in entries {
        let sign = |before: u64, after: u64| if after >= before { '+' } else { '-' };
        let (bytes, counts) = (before.abs_diff(*after), before_count.abs_diff(*after_count));
        let (of_bytes, of_counts) = (sign(*before, *after), sign(*before_count, *after_count));
        writeln!(text, "{of_bytes} {bytes:>7x} ({after:>7x} -{before:>7x}) {after_count:>6x} allocs\tBackTrace{id:X}")
            .expect("text");
        writeln!(
            text,
            "{of_counts} {counts:>7x} ({after_count:>7x} -{before_count:>7x})\tBackTrace{id:X}\tallocations\n"
        )
        .expect("text");
        frames.iter().for_each(|frame| writeln!(text, "\t{frame}").expect("text"));
        text.push('\n');
        sum += *after as i64 - *before as i64;
    }
    let word = if sum < 0 { "decrease" } else { "increase" };
    let (sum, all) = (sum.unsigned_abs(), sum.unsigned_abs() + 0x20);
    writeln!(text, "\nTotal {word} == {sum:>6x} requested + {:>6x} overhead = {all:>6x}", 0x20).expect("text");
    text
}

/// The seeds of the fuzz target `umdh`.
pub fn umdh_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let stacks = vec![(0x40, 3, vec![0x7770_1234, 0x40_1000]), (0x10fc, 1, vec![0x7770_1234, 0x40_2000, 0x40_1000])];
    let raw = RawLog { minute: 9, pid: 7696, modules: &[APP, NTDLL], stacks }.text();
    let frames = ["ntdll!RtlAllocateHeap+A64", r"app!f+83 (c:\src\a.cpp, 228)", "app!???+0 : 401000"];
    let compared = comparison(&[(0x94c4, (0x64, 0x20c8), (1, 2), &frames), (0x18d0, (0x40, 0), (1, 0), &frames[..1])]);
    let wide = |text: &str, mark: [u8; 2], to_bytes: fn(u16) -> [u8; 2]| {
        let units = text.encode_utf16().flat_map(to_bytes);
        mark.into_iter().chain(units).collect::<Vec<u8>>()
    };
    let aliased = raw.replacen("\t401000\n", "\t401000\n\tAlias\n\t402000\n\tAlias\n\t403000\n", 1);
    let old = "*- - - - - - - - - - Heap 0x00140000 Hogs - - - - - - - - - -\n\
               00005320 bytes in 0x14 allocations (@ 0x00000428) by: BackTrace00B53\nntdll!RtlDebugAllocateHeap+0x000000FD\n\
               MyApp!operator new+0x0000000E\n";
    let one_line =
        "+ 5320 (f110 - 9df0) 3a allocs BackTrace00053 \nTotal increase == 5320\nMyApp!LeakyFunc+0x0000001E\n";
    let decimal = "+  90000 ( 100000 -  10000)     19 allocs\tBackTraceA\n\ta!b+1\n\n\
                   Total increase ==  90000 requested +    216 overhead =  90216\n";
    let mut garbage = raw.clone().into_bytes();
    let block = raw.find("10FC bytes").expect("a block");
    garbage[block..block + 40].fill(0xfe);
    let huge = raw.replace("40 bytes + 10", "FFFFFFFFFFFFFFFF bytes + FFFFFFFFFFFFFFFF");
    vec![
        ("raw.log", raw.clone().into_bytes()),
        ("raw-crlf.log", raw.replace('\n', "\r\n").into_bytes()),
        ("raw-utf16-le.log", wide(&raw, [0xff, 0xfe], u16::to_le_bytes)),
        ("comparison-utf16-be.log", wide(&compared, [0xfe, 0xff], u16::to_be_bytes)),
        ("aliased.log", aliased.into_bytes()),
        ("old.log", old.as_bytes().to_vec()),
        ("comparison.txt", compared.clone().into_bytes()),
        ("comparison-one-line.txt", one_line.as_bytes().to_vec()),
        ("comparison-decimal.txt", decimal.as_bytes().to_vec()),
        ("cut.log", raw.as_bytes()[..raw.len() - 100].to_vec()),
        ("cut-comparison.txt", compared.as_bytes()[..compared.len() / 2].to_vec()),
        ("garbage.log", garbage),
        ("huge-numbers.log", huge.into_bytes()),
    ]
}
