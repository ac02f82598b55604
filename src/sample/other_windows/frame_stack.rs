//! The stack of a 32-bit thread: frames chained through EBP, and an x86 CONTEXT.

use crate::base::addr::Va;
use crate::sample::allocfree::live_stack::{LiveStack, Site, call_instruction};
use crate::sample::allocfree::modules::ProcessModule;
use crate::sample::le_bytes::LeBytes;

const LOCALS_BYTES: u64 = 0x18;

/// A stack and the register that chains it.
#[derive(Clone, Debug, Default)]
pub struct FrameStack {
    pub stack: LiveStack,
    pub ebp: Va,
}

/// Builds the stack of `sites`, outermost first, below `stack_base`. Functions that no module has are left out.
pub fn frame_stack(modules: &[ProcessModule], stack_base: Va, sites: &[Site]) -> FrameStack {
    let mut built = FrameStack::default();
    let stack = &mut built.stack;
    // The outermost function returns to 0.
    let (mut return_address, mut caller_index) = (Va(0), None);
    stack.rsp = Va(stack_base.0 - 0x20);
    for site in sites {
        let found = modules.iter().enumerate().find_map(|(index, m)| Some((index, m.image.export_va(&site.function)?)));
        let Some((module_index, function)) = found else { continue };
        // `push ebp; mov ebp, esp`.
        stack.memory.push((function, vec![0x55, 0x8b, 0xec]));
        let mut frame = LeBytes::default();
        frame.push_u32(low_half(built.ebp)).push_u32(low_half(return_address));
        built.ebp = Va(stack.rsp.0 - 8);
        stack.memory.push((built.ebp, frame.into_vec()));
        if return_address != Va(0) {
            stack.memory.push(call_instruction(return_address, function, caller_index == Some(module_index)));
        }
        stack.rsp = Va(built.ebp.0 - LOCALS_BYTES);
        stack.rip = Va(function.0 + site.offset);
        (return_address, caller_index) = (stack.rip, Some(module_index));
    }
    built
}

/// An x86 CONTEXT (winnt.h, 716 bytes) with control, integer, segment, floating-point and debug registers.
pub fn x86_context(stack: &FrameStack) -> Vec<u8> {
    let mut context = LeBytes::zeroed(716);
    // CONTEXT_i386 with all parts but the extended registers; FPU control, status and tag words as a thread starts with.
    context.put_u32(0, 0x0001_001f).put_u32(0x1c, 0xffff_027f).put_u32(0x20, 0xffff_0000).put_u32(0x24, u32::MAX);
    for (at, selector) in [(0x8c, 0x00), (0x90, 0x3b), (0x94, 0x23), (0x98, 0x23), (0xbc, 0x1b), (0xc8, 0x23)] {
        context.put_u32(at, selector);
    }
    context.put_u32(0xb4, low_half(stack.ebp)).put_u32(0xb8, low_half(stack.stack.rip));
    context.put_u32(0xc0, 0x206).put_u32(0xc4, low_half(stack.stack.rsp));
    context.into_vec()
}

fn low_half(va: Va) -> u32 {
    (va.0 & 0xffff_ffff) as u32
}

#[cfg(test)]
mod tests {
    use super::super::seven_x86::{modules, sites};
    use super::*;
    use crate::base::bytes::u32_at;

    #[test]
    fn the_chain_of_frames_leads_to_the_start_of_the_thread() {
        let built = frame_stack(&modules(), Va(0x1b_0000), &sites(1));
        let memory = &built.stack.memory;
        let read = |va: u32| memory.iter().find(|(at, _)| *at == Va(u64::from(va))).map(|(_, bytes)| bytes).unwrap();
        let (mut ebp, mut count) = (low_half(built.ebp), 0);
        while ebp != 0 {
            count += 1;
            let frame = read(ebp);
            ebp = u32_at(frame, 0).unwrap();
        }
        assert_eq!(count, sites(1).len());
        assert_eq!(x86_context(&built).len(), 716);
    }
}
