//! The stack that the one thread has in a dump: return addresses in memory, a CPU context, and the calls in the code.
//!
//! The chain is the case's `kc` listing. Each frame has the size that the unwind data of its function tells, so that true
//! unwinding finds exactly these frames, and each return address follows a call instruction.

use super::modules::ProcessModule;
use crate::base::addr::Va;
use crate::sample::le_bytes::LeBytes;

/// A function and the offset in it where its callee returns to; for the innermost, where it is executing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub function: String,
    pub offset: u64,
}

impl Site {
    pub fn new(function: &str, offset: u64) -> Self {
        Self { function: function.to_owned(), offset }
    }
}

/// What the stack adds to the process.
#[derive(Clone, Debug, Default)]
pub struct LiveStack {
    pub rip: Va,
    pub rsp: Va,
    /// Bytes of the stack and of the code that leads to it.
    pub memory: Vec<(Va, Vec<u8>)>,
}

/// Outermost first. `first_depth` is where the call came in: 1 goes through all of foo1 ... foo20.
pub fn sites(first_depth: u32) -> Vec<Site> {
    let site = Site::new;
    let mut sites = vec![
        site("RtlUserThreadStart", 0x1d),
        site("BaseThreadInitThunk", 0xd),
        site("__tmainCRTStartup", 0x144),
        site("wmain", 0x53),
    ];
    sites.extend((first_depth..20).map(|depth| site(&format!("foo{depth}"), 0x11)));
    sites.extend([
        site("foo20", 0x15),
        site("malloc", 0x5b),
        site("_heap_alloc", 0x3d),
        site("RtlAllocateHeap", 0x16c),
        site("RtlpAllocateHeap", 0x33bd),
        site("RtlLogStackBackTraceEx", 0x3a),
        site("RtlStdLogStackTrace", 0x6c),
        site("RtlpStdLogCapturedStackTrace", 0x8d),
    ]);
    sites
}

/// Builds the stack of the case below `stack_base`.
pub fn live_stack(modules: &[ProcessModule], stack_base: Va, first_depth: u32) -> LiveStack {
    x64_stack(modules, stack_base, &sites(first_depth))
}

/// Builds the stack of `sites`, outermost first, below `stack_base`. Functions that no module has are left out.
pub fn x64_stack(modules: &[ProcessModule], stack_base: Va, sites: &[Site]) -> LiveStack {
    let mut stack = LiveStack::default();
    let frames: Vec<_> = sites.iter().filter_map(|site| resolve(modules, site)).collect();
    // RSP on entry to the outermost function; its return address is 0. The calling convention wants RSP at a multiple of 16
    // before each call, so it is 8 more than one on entry.
    let mut entry_rsp = stack_base.0 - 0x48;
    for (position, frame) in frames.iter().enumerate() {
        stack.rsp = Va(entry_rsp - u64::from(frame.frame_bytes));
        stack.rip = frame.site;
        if let Some(callee) = frames.get(position + 1) {
            entry_rsp = stack.rsp.0 - 8;
            stack.memory.push((Va(entry_rsp), frame.site.0.to_le_bytes().to_vec()));
            stack.memory.push(call_before(frame, callee));
        }
    }
    stack
}

struct Frame {
    module_index: usize,
    function: Va,
    frame_bytes: u32,
    site: Va,
}

fn resolve(modules: &[ProcessModule], site: &Site) -> Option<Frame> {
    modules.iter().enumerate().find_map(|(module_index, module)| {
        let rva = module.image.export_rva(&site.function)?;
        let function = module.image.functions.iter().find(|function| function.start == rva)?;
        let va = module.image.export_va(&site.function)?;
        Some(Frame { module_index, function: va, frame_bytes: function.frame_bytes, site: Va(va.0 + site.offset) })
    })
}

fn call_before(caller: &Frame, callee: &Frame) -> (Va, Vec<u8>) {
    call_instruction(caller.site, callee.function, caller.module_index == callee.module_index)
}

/// The call that returns to `site`: `call rel32` within a module, `call rax` out of it (`eax` in 32-bit code).
pub fn call_instruction(site: Va, callee: Va, is_same_module: bool) -> (Va, Vec<u8>) {
    match i32::try_from(callee.0.cast_signed() - site.0.cast_signed()) {
        Ok(distance) if is_same_module => {
            let mut code = vec![0xe8];
            code.extend_from_slice(&distance.to_le_bytes());
            (Va(site.0 - 5), code)
        }
        _ => (Va(site.0 - 2), vec![0xff, 0xd0]),
    }
}

/// An x64 CONTEXT (winnt.h, 1232 bytes) with control, integer, segment, floating-point and debug registers.
pub fn x64_context(rip: Va, rsp: Va) -> Vec<u8> {
    let mut context = LeBytes::zeroed(1232);
    // CONTEXT_AMD64 with all five parts, then MXCSR as Windows starts a thread with.
    context.put_u32(0x30, 0x0010_001f).put_u32(0x34, 0x1f80);
    for (at, selector) in [(0x38, 0x33), (0x3a, 0x2b), (0x3c, 0x2b), (0x3e, 0x53), (0x40, 0x2b), (0x42, 0x2b)] {
        context.put_u16(at, selector);
    }
    context.put_u32(0x44, 0x206).put_va(0x98, rsp).put_va(0xf8, rip);
    // XMM_SAVE_AREA32: FPU control word and MXCSR with its mask.
    context.put_u16(0x100, 0x27f).put_u32(0x118, 0x1f80).put_u32(0x11c, 0xffff);
    context.into_vec()
}

#[cfg(test)]
mod tests {
    use super::super::modules::modules;
    use super::*;

    #[test]
    fn the_stack_of_the_case_has_all_its_frames() {
        let stack = live_stack(&modules(), Va(0x1b_0000), 1);
        assert_eq!(sites(1).len(), 31);
        // Two writes for each of the 30 calls.
        assert_eq!(stack.memory.len(), 60);
        assert_eq!(stack.rip, Va(0x7783_0000 + 0x9_808d));
        assert!(stack.rsp.0.is_multiple_of(16) && stack.rsp > Va(0x1b_0000 - 0x2000));
    }
}
