//! What memory is used for, and by whom.

use serde::{Deserialize, Serialize};

use crate::base::addr::{PointerWidth, Va};
use crate::base::ids::{HeapIdx, ModuleIdx};
use crate::base::word::{self, Word};

/// The use of a region, in the classes of `!address`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Usage {
    StackTraceDatabase,
    Heap,
    PageHeap,
    Image,
    MappedFile,
    Stack,
    Teb,
    Peb,
    Other,
    Unknown,
    Free,
}

impl Usage {
    /// All uses of memory that is not free, in the order in which plots and tables show them.
    pub const IN_USE: [Self; 10] = [
        Self::StackTraceDatabase,
        Self::Heap,
        Self::PageHeap,
        Self::Unknown,
        Self::Stack,
        Self::Image,
        Self::MappedFile,
        Self::Other,
        Self::Teb,
        Self::Peb,
    ];

    /// The key in the JSON report.
    pub const fn key(self) -> &'static str {
        match self {
            Self::StackTraceDatabase => "stack_trace_database",
            Self::Heap => "heap",
            Self::PageHeap => "page_heap",
            Self::Image => "image",
            Self::MappedFile => "mapped_file",
            Self::Stack => "stack",
            Self::Teb => "teb",
            Self::Peb => "peb",
            Self::Other => "other",
            Self::Unknown => "unknown",
            Self::Free => "free",
        }
    }
}

/// Who uses a region.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Owner {
    Nobody,
    Module(ModuleIdx),
    Thread {
        tid: u32,
        width: PointerWidth,
    },
    Process {
        width: PointerWidth,
    },
    Heap {
        heap: HeapIdx,
        handle: Va,
        width: PointerWidth,
        part: HeapPart,
    },
    /// A thing that the PEB points at, by WinDbg's name.
    Named(#[serde(deserialize_with = "word::deserialize")] Word),
}

/// Which part of a heap a region holds, in WinDbg's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum HeapPart {
    Segment,
    FrontEnd,
    LargeBlock,
}
