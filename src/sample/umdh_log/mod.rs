//! UMDH logs beside the dumps of the samples, in the form that UMDH 6.1 writes on Windows 7: the head with the modules, then for
//! each heap its blocks, each stack printed with the first block that has it.
//!
//! Form: a log of UMDH 6.1.7650 (facts: trace-database, 4.2) and Microsoft's documentation. The reader is not known here.

mod allocfree_blocks;

use crate::base::addr::Va;
use crate::base::time::UtcTime;

pub use allocfree_blocks::allocfree_log;

const RULE: &str = "*- - - - - - - - - -";
const RULE_END: &str = "- - - - - - - - - -";
const LINE_END: &str = "\r\n";

/// What one log says.
#[derive(Clone, Debug)]
pub struct UmdhLog {
    pub tools: Tools,
    /// When it was taken, on the clock of the machine.
    pub local_unix_seconds: u32,
    pub machine: String,
    pub process_id: u32,
    pub modules: Vec<LogModule>,
    pub heaps: Vec<LogHeap>,
}

/// What wrote the log: the debugging tools and the system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tools {
    /// Of the SDK for Windows 7 SP1.
    Seven,
    /// Of the SDK for Windows 10 2004; the lines are those of the older tools.
    Ten,
}

impl Tools {
    const fn version(self) -> &'static str {
        match self {
            Self::Seven => "6.1.7650.0",
            Self::Ten => "10.0.19041.685",
        }
    }

    const fn system(self) -> &'static str {
        match self {
            Self::Seven => "6.1",
            Self::Ten => "10.0",
        }
    }
}

/// A module as the log lists it.
#[derive(Clone, Debug)]
pub struct LogModule {
    pub base: Va,
    pub size_bytes: u64,
    pub path: String,
}

/// The blocks of one heap.
#[derive(Clone, Debug)]
pub struct LogHeap {
    pub base: Va,
    pub blocks: Vec<LogBlock>,
}

/// One block; `stack` is its position in the log's stacks.
#[derive(Clone, Debug)]
pub struct LogBlock {
    pub requested_bytes: u64,
    pub overhead_bytes: u64,
    pub va: Va,
    pub trace_id: u64,
    /// Return addresses, innermost first.
    pub frames: Vec<Va>,
}

/// Blocks that become more and fewer from log to log: the same counts in turn, each log beginning elsewhere among them.
#[derive(Clone, Copy, Debug)]
pub struct FluctuatingBlocks<'a> {
    /// How many blocks a stack has, in turn.
    pub counts: &'a [u64],
    /// Where in that turn this log is.
    pub turn: usize,
    /// What the first block of the first stack asked for; each next stack's asked for `bytes_per_stack` more.
    pub first_bytes: u64,
    pub bytes_per_stack: u64,
    /// What each stack has less than in the beginning.
    pub less_bytes: u64,
}

impl FluctuatingBlocks<'_> {
    /// The blocks of some stacks, each with its id, in a heap. The first lies behind the heap's head; overhead is header,
    /// prefix and second header, and what is missing to 10h.
    pub fn blocks(&self, heap: Va, stacks: impl IntoIterator<Item = (u64, Vec<Va>)>) -> Vec<LogBlock> {
        const FIRST_BLOCK_OFFSET: u64 = 0x1_0000;
        const OVERHEAD_BYTES: u64 = 0x30;
        let mut va = heap.0 + FIRST_BLOCK_OFFSET;
        let mut blocks = Vec::new();
        for (number, (trace_id, frames)) in stacks.into_iter().enumerate() {
            let count = self.counts.get((number + self.turn) % self.counts.len()).copied().unwrap_or(1);
            for block in 0..count {
                let less_bytes = if block == 0 { self.less_bytes } else { 0 };
                let requested_bytes =
                    self.first_bytes + self.bytes_per_stack * number as u64 + 0x20 * block - less_bytes;
                let all_bytes = (requested_bytes + OVERHEAD_BYTES).next_multiple_of(0x10);
                let overhead_bytes = all_bytes - requested_bytes;
                blocks.push(LogBlock { requested_bytes, overhead_bytes, va: Va(va), trace_id, frames: frames.clone() });
                va += all_bytes;
            }
        }
        blocks
    }
}

impl UmdhLog {
    /// The file's text.
    pub fn text(&self) -> String {
        let mut lines = self.head();
        let mut printed = Vec::new();
        for heap in &self.heaps {
            let base = heap.base.0;
            lines.push(format!("{RULE} Start of data for heap @ {base:X} {RULE_END}"));
            lines.push(String::new());
            lines.push("REQUESTED bytes + OVERHEAD at ADDRESS by BackTraceID".to_owned());
            lines.push("     STACK if not already dumped.".to_owned());
            lines.push(String::new());
            lines.push(format!("{RULE} Heap {base:X} Hogs {RULE_END}"));
            lines.push(String::new());
            for block in &heap.blocks {
                let LogBlock { requested_bytes, overhead_bytes, va, trace_id, frames } = block;
                let line =
                    format!("{requested_bytes:X} bytes + {overhead_bytes:X} at {:X} by BackTrace{trace_id:X}", va.0);
                if printed.contains(trace_id) {
                    lines.push(line);
                    continue;
                }
                printed.push(*trace_id);
                lines.push(String::new());
                lines.push(line);
                lines.extend(frames.iter().map(|frame| format!("\t{:X}", frame.0)));
                lines.push(String::new());
            }
            lines.push(String::new());
            lines.push(format!("{RULE} End of data for heap @ {base:X} {RULE_END}"));
            lines.push(String::new());
        }
        lines.join(LINE_END) + LINE_END
    }

    fn head(&self) -> Vec<String> {
        let time = UtcTime::from_unix_seconds(self.local_unix_seconds).map(UtcTime::table_text).unwrap_or_default();
        // Whole minutes.
        let minutes = time.get(..16).unwrap_or(&time);
        let (machine, pid) = (&self.machine, self.process_id);
        let (version, system) = (self.tools.version(), self.tools.system());
        let mut lines = vec![
            "// ".to_owned(),
            format!("// UMDH: version {version}: Logtime {minutes} - Machine={machine} - PID={pid}"),
            "// ".to_owned(),
            String::new(),
            "// Debug privilege has been enabled.".to_owned(),
            format!("// OS version {system} "),
            format!("// Umdh OS version {system}"),
            format!("// Connecting to process {pid} ..."),
            "// Loaded modules: ".to_owned(),
            "//     Base Size Module".to_owned(),
        ];
        lines.extend(
            self.modules
                .iter()
                .map(|module| format!("//{:>20X} {:>8X} {}", module.base.0, module.size_bytes, module.path)),
        );
        lines.push("//".to_owned());
        lines.push("// Process modules enumerated.".to_owned());
        lines.push(String::new());
        lines
    }
}
