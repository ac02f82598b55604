//! What a thread was doing when the dump was taken, by the names on its stack.

use crate::input::symbols::{SymbolName, SymbolTable};
use crate::process::stacks::{ThreadStacks, Trust};

use super::thread_stacks::main_stack;

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

/// ntdll's functions that log a stack trace, innermost first where they call each other. Public symbols of ntdll, Windows
/// 2000 to 11; RtlCaptureStackBackTrace is not among them, because programs call it for themselves.
const LOGGING_FUNCTIONS: [&str; 17] = [
    "RtlpStdExtendLowerWatermark",
    "RtlpStdExtendUpperWatermark",
    "RtlpStdGetSpaceForTrace",
    "RtlpStdGetRecordedStackTraceIndex",
    "RtlpStdLogCapturedStackTrace",
    "RtlStdLogStackTrace",
    "RtlpExtendStackTraceDataBase",
    "RtlpLogCapturedStackTrace",
    "RtlpCaptureStackTraceForLogging",
    "RtlpLogStackBackTraceEx",
    "RtlLogStackBackTrace",
    "RtlLogStackBackTraceEx",
    "RtlLogStackTrace",
    "RtlpRegisterStackTrace",
    "RtlpStackTracePrefix",
    "RtlpStackTraceDatabaseLogPrefix",
    "RtlpGetStackTraceAddress",
];

/// The innermost frame's function that logs a stack trace for the stack trace database, when the thread was caught in one.
pub fn is_logging_trace<'a>(names: impl IntoIterator<Item = SymbolName<'a>>) -> Option<&'static str> {
    /// Named by exports alone, all code behind such a function has its name; none of them is longer.
    const LONGEST_BYTES: u64 = 0x400;
    names.into_iter().find_map(|name| {
        let is_ntdll = name.module.to_ascii_lowercase().starts_with("ntdll");
        let function = name.function.filter(|_| is_ntdll && name.offset < LONGEST_BYTES)?;
        LOGGING_FUNCTIONS.into_iter().find(|logging| *logging == function)
    })
}

/// The same for the stacks of one thread.
pub fn logging_function(stacks: &ThreadStacks, symbols: &SymbolTable) -> Option<&'static str> {
    [Some(&stacks.native), stacks.wow64.as_ref()]
        .into_iter()
        .flatten()
        .find_map(|stack| is_logging_trace(stack.frames.iter().filter_map(|frame| symbols.name_of(frame.ip))))
}

/// Functions of ntdll in which a thread waits for a lock of the process. Public symbols; the first five are no exports, and
/// the others are what exports alone show of them, XP to 11.
const LOCK_WAITS: [&str; 9] = [
    "RtlpWaitForCriticalSection",
    "RtlpWaitOnCriticalSection",
    "RtlpEnterCriticalSectionContended",
    "RtlpAcquireSRWLockExclusiveContended",
    "RtlpAcquireSRWLockSharedContended",
    "RtlEnterCriticalSection",
    "RtlAcquireSRWLockExclusive",
    "RtlAcquireSRWLockShared",
    "RtlAcquireResourceExclusive",
];
/// A lock's function stands near the top of a stack that waits in it: the system call, and at most these between.
const LOCK_WAIT_DEPTH: usize = 5;

/// The function of a lock that the thread waits in; `None` where it does not wait in one, or nothing is known.
pub fn lock_wait(stacks: &ThreadStacks, symbols: &SymbolTable) -> Option<&'static str> {
    (thread_doing(stacks, symbols)? == Doing::Waiting).then_some(())?;
    let certain = main_stack(stacks).frames.iter().take_while(|frame| frame.trust > Trust::Scan);
    let names = certain.take(LOCK_WAIT_DEPTH).filter_map(|frame| symbols.name_of(frame.ip));
    names.filter(|name| name.module.to_ascii_lowercase().starts_with("ntdll")).find_map(|name| {
        let function = name.function?;
        LOCK_WAITS.into_iter().find(|lock| *lock == function)
    })
}
