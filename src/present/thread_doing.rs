//! What a thread was doing when the dump was taken, by the names on its stack.

use crate::analysis::series::thread_stacks::main_stack;
use crate::input::symbols::SymbolTable;
use crate::process::stacks::{ThreadStacks, Trust};

use super::stacks::logging_function;

/// See the file's head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doing {
    /// Caught while it put a stack into the stack trace database.
    LoggingTrace,
    /// In a system call that waits.
    Waiting,
    /// In another system call.
    InSystemCall,
    Running,
}

impl Doing {
    pub const fn text(self) -> &'static str {
        match self {
            Self::LoggingTrace => "logging a trace",
            Self::Waiting => "waiting",
            Self::InSystemCall => "in a system call",
            Self::Running => "running",
        }
    }

    /// Whether a program of its own would not do that.
    pub const fn is_suspicious(self) -> bool {
        matches!(self, Self::LoggingTrace)
    }
}

/// Parts of the names of ntdll's and win32u's system calls that wait, in lower case. Public exports, Windows XP to 11.
const WAITING: [&str; 10] = [
    "wait",
    "delayexecution",
    "removeiocompletion",
    "replyport",
    "listenport",
    "getmessage",
    "suspendthread",
    "alertthreadbythreadid",
    "workerfactory",
    "signalandwait",
];
/// How far a system call's function reaches: named by exports alone, what follows would have its name too.
const SYSTEM_CALL_BYTES: u64 = 0x20;

/// `None` where the stack or its names are not known.
pub fn thread_doing(stacks: &ThreadStacks, symbols: &SymbolTable) -> Option<Doing> {
    if logging_function(stacks, symbols).is_some() {
        return Some(Doing::LoggingTrace);
    }
    let certain = main_stack(stacks).frames.iter().take_while(|frame| frame.trust > Trust::Scan);
    let mut names = certain.map(|frame| symbols.name_of(frame.ip));
    let mut top = names.next()??;
    // On 32-bit Windows system calls end here, and their own function is the caller.
    if top.function.is_some_and(|function| function.starts_with("KiFastSystemCall") || function == "KiIntSystemCall") {
        top = names.next()??;
    }
    let function = top.function?;
    let is_system_module =
        ["ntdll", "win32u", "user32", "gdi32"].iter().any(|name| top.module.eq_ignore_ascii_case(name));
    let is_call = is_system_module
        && (function.starts_with("Nt") || function.starts_with("Zw"))
        && top.offset <= SYSTEM_CALL_BYTES;
    if !is_call {
        return Some(Doing::Running);
    }
    let function = function.to_lowercase();
    Some(if WAITING.iter().any(|part| function.contains(part)) { Doing::Waiting } else { Doing::InSystemCall })
}
