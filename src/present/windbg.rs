//! The WinDbg commands that show a number of ours in the dump that it is of.
//!
//! Commands are those of WinDbg 10 (dbgeng, ext, exts): `!address`, `!heap`, `!runaway`, `!handle`, `lm`, `dps`, `k`.

use crate::base::addr::{PointerWidth, Va};
use crate::process::regions::MemoryType;
use crate::process::regions::usage::Usage;

/// Totals of the address space, by use, type, state and protection.
pub const ADDRESS_SUMMARY: &str = "!address -summary";
/// All heaps of the process, with their figures.
pub const HEAP_SUMMARY: &str = "!heap -s";
/// User, kernel and elapsed times of all threads.
pub const RUNAWAY: &str = "!runaway 7";
/// All threads.
pub const THREADS: &str = "~*";
/// How many handles there are, by type.
pub const HANDLES: &str = "!handle 0 0";
/// The modules that were unloaded, as far as Windows remembers.
pub const UNLOADED_MODULES: &str = "lmu";
/// When the dump was written, and for how long Windows and the process had run.
pub const TIME: &str = ".time";

/// The region at an address.
pub fn address(va: Va, width: PointerWidth) -> String {
    format!("!address {}", va.windbg(width))
}

/// The regions of one use, by the name that WinDbg has for it: the stack trace database is among its "Other".
pub fn regions_of_use(usage: Usage) -> String {
    let filter = match usage {
        Usage::Unknown => "VAR",
        Usage::MappedFile => "MEM_MAPPED",
        Usage::Heap => "Heap",
        Usage::PageHeap => "PageHeap",
        Usage::Image => "Image",
        Usage::Stack => "Stack",
        Usage::Teb => "TEB",
        Usage::Peb => "PEB",
        Usage::StackTraceDatabase | Usage::Other => "Other",
        Usage::Free => "Free",
    };
    format!("!address -f:{filter}")
}

/// The regions of one type.
pub const fn regions_of_type(memory_type: MemoryType) -> &'static str {
    match memory_type {
        MemoryType::Image => "!address -f:MEM_IMAGE",
        MemoryType::Mapped => "!address -f:MEM_MAPPED",
        MemoryType::Private => "!address -f:MEM_PRIVATE",
    }
}

/// The blocks of a heap by size.
pub fn heap_blocks_by_size(heap: Va, width: PointerWidth) -> String {
    format!("!heap -stat -h {}", heap.windbg(width))
}

/// All blocks of one size, which WinDbg takes as what was asked for.
pub fn heap_blocks_of_size(size_bytes: u64) -> String {
    format!("!heap -flt s {size_bytes:x}")
}

/// The block that holds an address, and with +ust its stack.
pub fn heap_block(va: Va, width: PointerWidth) -> String {
    format!("!heap -p -a {}", va.windbg(width))
}

/// The stack of one thread, by its id.
pub fn thread_stack(tid: u32) -> String {
    format!("~~[{tid:x}]k")
}

/// The module at an address, with version, time stamp and symbols.
pub fn module_at(va: Va, width: PointerWidth) -> String {
    format!("lmv a {}", va.windbg(width))
}

/// `count` pointers with their symbols.
pub fn dps(va: Va, width: PointerWidth, count: u64) -> String {
    format!("dps {} L{count:x}", va.windbg(width))
}

/// Handles of one type; a type of another alphabet than WinDbg's commands take is left to the summary.
pub fn handles_of_type(type_name: &str) -> String {
    let is_plain = !type_name.is_empty() && type_name.chars().all(|c| c.is_ascii_alphanumeric());
    if is_plain { format!("!handle 0 0 {type_name}") } else { HANDLES.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_as_they_are_typed() {
        let bits64 = PointerWidth::Bits64;
        assert_eq!(address(Va(0x1b_0000), PointerWidth::Bits32), "!address 001b0000");
        assert_eq!(dps(Va(0x1_0188_be00), bits64, 16), "dps 00000001`0188be00 L10");
        assert_eq!(thread_stack(0x53b8), "~~[53b8]k");
        assert_eq!(heap_blocks_by_size(Va(0x2a_0000), bits64), "!heap -stat -h 00000000`002a0000");
        assert_eq!(handles_of_type("Event"), "!handle 0 0 Event");
    }

    #[test]
    fn a_name_from_a_dump_is_no_command() {
        assert_eq!(handles_of_type("File; .shell del"), HANDLES);
        assert_eq!(handles_of_type(""), HANDLES);
    }
}
