//! The kinds of streams, by the numbers and names of minidumpapiset.h.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The type number of a stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct StreamKind(pub u32);

impl StreamKind {
    pub const THREAD_LIST: Self = Self(3);
    pub const MODULE_LIST: Self = Self(4);
    pub const MEMORY_LIST: Self = Self(5);
    pub const EXCEPTION: Self = Self(6);
    pub const SYSTEM_INFO: Self = Self(7);
    pub const THREAD_EX_LIST: Self = Self(8);
    pub const MEMORY64_LIST: Self = Self(9);
    pub const COMMENT_A: Self = Self(10);
    pub const COMMENT_W: Self = Self(11);
    pub const HANDLE_DATA: Self = Self(12);
    pub const UNLOADED_MODULE_LIST: Self = Self(14);
    pub const MISC_INFO: Self = Self(15);
    pub const MEMORY_INFO_LIST: Self = Self(16);
    pub const THREAD_INFO_LIST: Self = Self(17);
    pub const HANDLE_OPERATION_LIST: Self = Self(18);
    pub const TOKEN: Self = Self(19);
    pub const SYSTEM_MEMORY_INFO: Self = Self(21);
    pub const PROCESS_VM_COUNTERS: Self = Self(22);
    pub const THREAD_NAMES: Self = Self(24);

    /// Type 0 marks a directory slot that the writer reserved and did not use.
    pub const fn is_unused(self) -> bool {
        self.0 == 0
    }

    /// The stream's name in words; `None` for a number that minidumpapiset.h does not know.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            3 => "thread list",
            4 => "module list",
            5 => "memory list",
            6 => "exception",
            7 => "system info",
            8 => "extended thread list",
            9 => "memory64 list",
            10 | 11 => "comment",
            12 => "handle data",
            13 => "function table",
            14 => "unloaded module list",
            15 => "misc info",
            16 => "memory info list",
            17 => "thread info list",
            18 => "handle operation list",
            19 => "token",
            20 => "JavaScript data",
            21 => "system memory info",
            22 => "process VM counters",
            23 => "Intel PT trace",
            24 => "thread names",
            _ => return None,
        })
    }
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "stream {} ({name})", self.0),
            None => write!(f, "stream {:#x}", self.0),
        }
    }
}
