//! Names of uses, types, states and protections, in the field's words.

use crate::analysis::snapshot::Snapshot;
use crate::base::addr::PointerWidth;
use crate::process::regions::usage::{HeapPart, Owner, Usage};
use crate::process::regions::{MemoryType, Region, State};

/// How to get a series worth opening: three full dumps of one process, an hour apart.
pub const PROCDUMP_LINE: &str = "procdump -accepteula -ma -s 3600 -n 3 PID";

/// What stands where memory would be shown that a case capsule does not hold.
pub const MEMORY_NOT_IN_CAPSULE: &str =
    "A case capsule holds no memory of the process. Open the dumps themselves to see what lies there.";

/// The name of a use in plots and tables.
pub const fn usage_name(usage: Usage) -> &'static str {
    match usage {
        Usage::StackTraceDatabase => "stack trace database",
        Usage::Heap => "heap",
        Usage::PageHeap => "page heap",
        Usage::Image => "image",
        Usage::MappedFile => "mapped file",
        Usage::Stack => "stack",
        Usage::Teb => "TEB",
        Usage::Peb => "PEB",
        Usage::Other => "other",
        Usage::Unknown => "unknown",
        Usage::Free => "free",
    }
}

/// What a use means, and how sure it is.
pub const fn usage_hint(usage: Usage) -> &'static str {
    match usage {
        Usage::StackTraceDatabase => {
            "Allocation stacks that ntdll keeps under gflags +ust: the instrumentation's own memory."
        }
        Usage::Heap => "Segments and large blocks of the process heaps, from each heap's own lists.",
        Usage::PageHeap => "Stand-ins of heaps under page heap (gflags +hpa).",
        Usage::Image => "Programs and libraries (MEM_IMAGE).",
        Usage::MappedFile => "Mapped sections (MEM_MAPPED); a minidump does not name their files.",
        Usage::Stack => "Thread stacks, from the bounds in each TEB.",
        Usage::Teb => "Thread environment blocks.",
        Usage::Peb => "Process environment blocks.",
        Usage::Other => "Memory that the PEB points at: API set map, NLS tables, activation contexts and the like.",
        Usage::Unknown => "Private memory that nothing above claims: VirtualAlloc by the program or a library.",
        Usage::Free => "Free address space.",
    }
}

/// `!address` names the use so; in a WOW64 process it tells the two halves apart.
pub fn usage_windbg(usage: Usage, owner: Owner, is_wow64: bool) -> String {
    let width = match owner {
        Owner::Thread { width, .. } | Owner::Process { width } | Owner::Heap { width, .. } => Some(width),
        Owner::Nobody | Owner::Module(_) | Owner::Named(_) => None,
    };
    let name = match usage {
        Usage::Free => "Free",
        Usage::Image => "Image",
        Usage::Stack => "Stack",
        Usage::Teb => "TEB",
        Usage::Peb => "PEB",
        Usage::Heap => "Heap",
        Usage::PageHeap => "PageHeap",
        Usage::StackTraceDatabase | Usage::Other => "Other",
        // In a dump WinDbg cannot ask the system for the file behind a section.
        Usage::MappedFile | Usage::Unknown => "<unknown>",
    };
    match width.filter(|_| is_wow64) {
        Some(PointerWidth::Bits32) => format!("{name}32"),
        Some(PointerWidth::Bits64) => format!("{name}64"),
        None => name.to_owned(),
    }
}

/// What stands in brackets behind the use in `!address`; empty where nothing is known.
pub fn owner_text(region: &Region, snapshot: &Snapshot) -> String {
    let pid = snapshot.identity.pid;
    let thread = |tid: u32| {
        let index = snapshot.thread_index(tid).map_or_else(String::new, |index| format!("~{index}; "));
        match pid {
            Some(pid) => format!("{index}{pid:x}.{tid:x}"),
            None => format!("{index}{tid:x}"),
        }
    };
    match region.owner {
        Owner::Nobody if region.usage == Usage::StackTraceDatabase => "Stack Trace Database".to_owned(),
        Owner::Nobody => String::new(),
        Owner::Module(module) => snapshot.module_name(module).unwrap_or_default().to_owned(),
        Owner::Thread { tid, .. } => thread(tid),
        Owner::Process { .. } => pid.map_or_else(String::new, |pid| format!("{pid:x}")),
        Owner::Heap { heap, handle, width, part } => {
            let part = match part {
                HeapPart::Segment => "Segment",
                HeapPart::FrontEnd => "Front End",
                HeapPart::LargeBlock => "Large Block",
            };
            format!("ID: {}; Handle: {}; Type: {part}", heap.0.saturating_add(1), handle.windbg(width).replace('`', ""))
        }
        Owner::Named(name) => name.to_owned(),
    }
}

pub const fn type_name(memory_type: MemoryType) -> &'static str {
    match memory_type {
        MemoryType::Image => "image",
        MemoryType::Mapped => "mapped",
        MemoryType::Private => "private",
    }
}

pub const fn type_windbg(memory_type: Option<MemoryType>) -> &'static str {
    match memory_type {
        Some(MemoryType::Image) => "MEM_IMAGE",
        Some(MemoryType::Mapped) => "MEM_MAPPED",
        Some(MemoryType::Private) => "MEM_PRIVATE",
        None => "",
    }
}

pub const fn state_windbg(state: State) -> &'static str {
    match state {
        State::Commit => "MEM_COMMIT",
        State::Reserve => "MEM_RESERVE",
        State::Free => "MEM_FREE",
    }
}

/// PAGE_* names of a protection; a value that has none in hexadecimal.
pub fn protect_windbg(protect: u32) -> String {
    const KINDS: [(u32, &str); 8] = [
        (0x01, "PAGE_NOACCESS"),
        (0x02, "PAGE_READONLY"),
        (0x04, "PAGE_READWRITE"),
        (0x08, "PAGE_WRITECOPY"),
        (0x10, "PAGE_EXECUTE"),
        (0x20, "PAGE_EXECUTE_READ"),
        (0x40, "PAGE_EXECUTE_READWRITE"),
        (0x80, "PAGE_EXECUTE_WRITECOPY"),
    ];
    const MARKS: [(u32, &str); 3] = [(0x100, "PAGE_GUARD"), (0x200, "PAGE_NOCACHE"), (0x400, "PAGE_WRITECOMBINE")];
    let known = KINDS.iter().chain(&MARKS);
    let names: Vec<&str> = known.clone().filter(|(bit, _)| protect & bit != 0).map(|(_, name)| *name).collect();
    let unknown_bits = known.fold(protect, |rest, (bit, _)| rest & !bit);
    let mut parts: Vec<String> = names.into_iter().map(str::to_owned).collect();
    if unknown_bits != 0 {
        parts.push(format!("{unknown_bits:#x}"));
    }
    parts.join(" | ")
}
