//! Stacks of threads as text, in the forms of WinDbg's `kc`, `k` and `~*k`, and with what makes each frame believed.

use crate::analysis::snapshot::{Snapshot, Thread};
use crate::base::addr::{PointerWidth, Va};
use crate::input::symbols::{SymbolName, SymbolTable};
use crate::process::stacks::{Frame, StackEnd, ThreadStack, ThreadStacks, Trust};

/// What a debugger says where frames are guessed.
const UNCERTAIN: &str = "WARNING: Stack unwind information not available. Following frames may be wrong.\n";

/// Which columns a listing has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StackForm {
    /// `kc`: call sites alone.
    CallSites,
    /// `k`: stack pointer, return address, call site.
    Plain,
    /// `k` with the trust in each frame.
    Full,
}

/// The symbol of a frame: that of its own instruction pointer.
pub fn frame_symbol(symbols: &SymbolTable, frame: &Frame) -> String {
    symbols.name_of(frame.ip).map_or_else(|| format!("0x{}", frame.ip.windbg(frame.width)), |name| name.to_string())
}

/// The frames of one stack, a line each below a line of titles.
pub fn stack_text(stack: &ThreadStack, symbols: &SymbolTable, form: StackForm) -> String {
    let mut text = title(width_of(stack), form).to_owned();
    let mut is_certain = true;
    for frame in &stack.frames {
        if is_certain && frame.trust < Trust::Unwind && form != StackForm::CallSites {
            is_certain = false;
            text.push_str(UNCERTAIN);
        }
        text.push_str(&frame_line(frame, symbols, form));
        text.push('\n');
    }
    text
}

fn width_of(stack: &ThreadStack) -> PointerWidth {
    stack.frames.first().map_or(PointerWidth::Bits64, |frame| frame.width)
}

const fn title(width: PointerWidth, form: StackForm) -> &'static str {
    match (form, width) {
        (StackForm::CallSites, _) => "Call Site\n",
        (StackForm::Plain, PointerWidth::Bits64) => "Child-SP          RetAddr               Call Site\n",
        (StackForm::Plain, PointerWidth::Bits32) => "ChildEBP RetAddr      Call Site\n",
        (StackForm::Full, PointerWidth::Bits64) => "Child-SP          RetAddr               Trust          Call Site\n",
        (StackForm::Full, PointerWidth::Bits32) => "ChildEBP RetAddr      Trust          Call Site\n",
    }
}

fn frame_line(frame: &Frame, symbols: &SymbolTable, form: StackForm) -> String {
    if form == StackForm::CallSites {
        return call_site(symbols, frame);
    }
    let child = match frame.width {
        PointerWidth::Bits64 => frame.sp,
        PointerWidth::Bits32 => frame.fp,
    };
    let return_address =
        frame.return_address.map_or_else(|| unknown(frame.width).to_owned(), |va| va.windbg(frame.width));
    let trust = match form {
        StackForm::Full => format!("{:<15}", frame.trust.key()),
        StackForm::CallSites | StackForm::Plain => String::new(),
    };
    format!("{} {return_address}     {trust}{}", child.windbg(frame.width), frame_symbol(symbols, frame))
}

const fn unknown(width: PointerWidth) -> &'static str {
    match width {
        PointerWidth::Bits32 => "????????",
        PointerWidth::Bits64 => "????????`????????",
    }
}

/// Module and function without an offset.
fn call_site(symbols: &SymbolTable, frame: &Frame) -> String {
    match symbols.name_of(frame.ip) {
        Some(SymbolName { module, function: Some(function), .. }) => format!("{module}!{function}"),
        _ => frame_symbol(symbols, frame),
    }
}

/// Why a stack ends, as a sentence; `None` where it is whole.
pub fn end_text(stack: &ThreadStack) -> Option<String> {
    let width = width_of(stack);
    let va = |va: Va| va.windbg(width);
    Some(match stack.end {
        StackEnd::Outermost => return None,
        StackEnd::NoContext => "the dump has no registers of the thread".to_owned(),
        StackEnd::MemoryMissing { at } => format!("the stack goes on at {}, which is not in the dump", va(at)),
        StackEnd::OutsideModules { ip } => {
            format!("{} lies in no module, and no caller was found on the stack", va(ip))
        }
        StackEnd::NoUnwindData { ip } => {
            format!("the unwind data for {} is not in the dump, and no caller was found on the stack", va(ip))
        }
        StackEnd::DamagedUnwindData { ip } => {
            format!("the unwind data for {} is damaged, and no caller was found on the stack", va(ip))
        }
        StackEnd::NotACaller { ip } => {
            format!("no function that makes calls lies at {}, and no other caller was found on the stack", va(ip))
        }
        StackEnd::NoCallerFound { sp } => format!("no caller was found on the stack from {} on", va(sp)),
        StackEnd::NoProgress { sp } => format!("the next frame would lie at {}, not further up the stack", va(sp)),
        StackEnd::OutsideStack { sp } => format!("the next frame would lie at {}, beyond the thread's stack", va(sp)),
        StackEnd::In32BitCode { ip } => {
            format!("the thread runs 32-bit code at {}; where its 64-bit stack goes on is not known", va(ip))
        }
        StackEnd::FrameLimit => format!("only the innermost {} frames are followed", stack.frames.len()),
    })
}

/// A thread as `~` lists it: number, ids, suspend count, TEB and name. `.` marks the current thread; `#` the one with the
/// event for which the dump was written, where that is another.
pub fn thread_line(snapshot: &Snapshot, thread: &Thread, current: Option<u32>) -> String {
    let event = snapshot.dump.exception.as_ref().map(|exception| exception.tid);
    let mark = if current == Some(thread.tid) {
        '.'
    } else if event == Some(thread.tid) {
        '#'
    } else {
        ' '
    };
    let number = snapshot.thread_index(thread.tid).map_or_else(|| "?".to_owned(), |index| index.to_string());
    let pid = snapshot.identity.pid.map_or_else(|| "?".to_owned(), |pid| format!("{pid:x}"));
    let suspend = thread.suspend_count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let width = snapshot.pointer_width();
    let teb = thread.teb.map_or_else(|| unknown(width).to_owned(), |teb| teb.windbg(width));
    let name = thread.name.as_ref().map_or_else(String::new, |name| format!(" \"{name}\""));
    format!("{mark}{number:>3}  Id: {pid}.{:x} Suspend: {suspend} Teb: {teb} Unfrozen{name}", thread.tid)
}

/// The thread that a debugger makes current when it opens the dump: that of the exception, else the first.
pub fn current_thread(snapshot: &Snapshot) -> Option<u32> {
    let event = snapshot.dump.exception.as_ref().map(|exception| exception.tid);
    event.or_else(|| snapshot.threads.iter().find(|thread| thread.is_listed).map(|thread| thread.tid))
}

/// One thread with all its stacks, as `~*k` lists it, and why a stack ends early.
pub fn thread_text(
    snapshot: &Snapshot,
    thread: &Thread,
    stacks: &ThreadStacks,
    symbols: &SymbolTable,
    form: StackForm,
) -> String {
    let mut text = thread_line(snapshot, thread, current_thread(snapshot)) + "\n";
    let parts = [
        ("", Some(&stacks.native)),
        ("32-bit stack:\n", stacks.wow64.as_ref()),
        ("at the exception:\n", stacks.exception.as_ref()),
    ];
    for (heading, stack) in parts {
        let Some(stack) = stack else { continue };
        text.push_str(heading);
        text.push_str(&stack_text(stack, symbols, form));
        if let Some(reason) = end_text(stack) {
            text.push_str(&format!("(ends here: {reason})\n"));
        }
    }
    text
}
