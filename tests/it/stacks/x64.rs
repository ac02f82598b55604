//! x64 frames by unwind data: each kind of code, prologues, epilogues, leaves, and data that cannot be true.

use dumptrend::base::addr::Va;
use dumptrend::input::dump::contexts::{Registers, X64Registers};
use dumptrend::process::stacks::StackEnd;
use dumptrend::process::stacks::Trust::{Context, FramePointer, Scan, Unwind};

use crate::support::code_image::{
    CodeImage, IMAGE, MACHINE_X64, STACK, STACK_BYTES, frames_of, small_frame, unwind, unwind_info, x64_at,
};

const LEAF: u32 = 0x1010;
/// A function with a frame of 0x28 bytes from here on, and a call in it that returns to `OUTER_SITE`.
const OUTER: u32 = 0x3000;
const OUTER_SITE: u32 = 0x3020;
const RBP: usize = 5;

/// An image whose outermost function is at [`OUTER`].
fn image() -> CodeImage {
    let mut image = CodeImage::new(MACHINE_X64);
    image.call_before(OUTER_SITE);
    image
}

/// Adds the outermost function last, as the table must ascend, and its frame: it returns to 0 from `offset` on.
fn finish(image: &mut CodeImage, return_slot: u64) {
    image.function(OUTER, OUTER + 0x100, small_frame(0x28));
    image.u64_at(return_slot, IMAGE + u64::from(OUTER_SITE)).u64_at(return_slot + 8 + 0x28, 0);
}

/// One function with these unwind data between the context and the outermost function.
fn check(registers: X64Registers, info: Vec<u8>, return_slot: u64, prepare: impl FnOnce(&mut CodeImage)) {
    let mut image = image();
    image.function(0x2000, 0x2100, info);
    prepare(&mut image);
    finish(&mut image, return_slot);
    let stack = image.unwind(Registers::X64(registers));
    let first = (registers.rip - IMAGE, registers.rsp() - STACK, Context);
    assert_eq!(frames_of(&stack), [first, (u64::from(OUTER_SITE), return_slot + 8, Unwind)]);
    assert_eq!(stack.end, StackEnd::Outermost);
    assert_eq!(stack.frames[1].return_address, Some(Va(0)));
}

#[test]
fn a_leaf_function_returns_from_where_the_stack_pointer_is() {
    let mut image = image();
    finish(&mut image, 0x100);
    let stack = image.unwind(Registers::X64(x64_at(LEAF, 0x100)));
    assert_eq!(frames_of(&stack), [(u64::from(LEAF), 0x100, Context), (u64::from(OUTER_SITE), 0x108, Unwind)]);
}

#[test]
fn frames_of_every_size_are_left() {
    check(x64_at(0x2050, 0x100), small_frame(0x80), 0x180, |_| {});
    // UWOP_ALLOC_LARGE with one further slot of eighths, then with two of bytes.
    check(x64_at(0x2050, 0x100), unwind_info(1, 7, 0, &[[7, 1], [0x5f, 0]], &[]), 0x100 + 0x2f8, |_| {});
    check(x64_at(0x2050, 0x100), unwind_info(1, 7, 0, &[[7, 0x11], [0x08, 0x90], [0, 0]], &[]), 0x9108, |_| {});
}

#[test]
fn a_frame_register_finds_the_frame_below_moving_allocations() {
    // push rbp; sub rsp, 40h; lea rbp, [rsp + 20h]; and then rsp goes 0x400 further down.
    let info = unwind_info(1, 10, 0x25, &[[10, 0x03], [5, 0x72], [1, 0x50]], &[]);
    let mut registers = x64_at(0x2050, 0x100);
    registers.set(RBP, STACK + 0x100 + 0x400 + 0x20);
    check(registers, info, 0x100 + 0x400 + 0x40 + 8, |_| {});
}

#[test]
fn saved_registers_are_restored_for_the_frames_above() {
    let mut image = image();
    // push rbp in the inner function, which uses rbp for something else; the outer one has its frame in rbp.
    image.function(0x2000, 0x2100, unwind_info(1, 1, 0, &[[1, 0x50]], &[]));
    image.call_before(0x2220);
    image.function(0x2200, 0x2300, unwind_info(1, 8, 0x05, &[[8, 0x03], [1, 0x50]], &[]));
    finish(&mut image, 0x800);
    image.u64_at(0x100, STACK + 0x7f8).u64_at(0x108, IMAGE + 0x2220);
    let mut registers = x64_at(0x2050, 0x100);
    registers.set(RBP, 0xdead_beef);
    let frames = frames_of(&image.unwind(Registers::X64(registers)));
    assert_eq!(frames[1..], [(0x2220, 0x110, Unwind), (u64::from(OUTER_SITE), 0x808, Unwind)]);
    // The same with mov [rsp + 10h], rbp: UWOP_SAVE_NONVOL.
    image.functions[0].info = unwind_info(1, 9, 0, &[[9, 0x54], [2, 0], [4, 0x32]], &[]);
    image.u64_at(0x110, STACK + 0x7f8).u64_at(0x120, IMAGE + 0x2220);
    let frames = frames_of(&image.unwind(Registers::X64(registers)));
    assert_eq!(frames[1..], [(0x2220, 0x128, Unwind), (u64::from(OUTER_SITE), 0x808, Unwind)]);
}

#[test]
fn in_a_prologue_only_what_is_done_is_undone() {
    // push rdi (offset 1); sub rsp, 20h (offset 5).
    let info = || unwind_info(1, 5, 0, &[[5, 0x32], [1, 0x70]], &[]);
    check(x64_at(0x2000, 0x100), info(), 0x100, |_| {});
    check(x64_at(0x2001, 0x100), info(), 0x108, |_| {});
    check(x64_at(0x2005, 0x100), info(), 0x128, |_| {});
}

#[test]
fn in_an_epilogue_only_what_is_left_is_done() {
    // add rsp, 28h; pop rdi; pop r12; ret
    let code = [0x48, 0x83, 0xc4, 0x28, 0x5f, 0x41, 0x5c, 0xc3];
    let info = || unwind_info(1, 7, 0, &[[7, 0x42], [3, 0x70], [2, 0xc0]], &[]);
    let epilogue = |image: &mut CodeImage| image.code_at(0x2050, &code);
    for (rip, left_bytes) in [(0x2050, 0x38), (0x2054, 0x10), (0x2055, 8), (0x2057, 0)] {
        check(x64_at(rip, 0x100), info(), 0x100 + left_bytes, epilogue);
    }
    // lea rsp, [rbp + 8]; pop rbp; ret, with the frame at rbp.
    let mut registers = x64_at(0x2050, 0x100);
    registers.set(RBP, STACK + 0x200);
    let info = unwind_info(1, 8, 0x05, &[[8, 0x03], [1, 0x50]], &[]);
    check(registers, info, 0x210, |image| image.code_at(0x2050, &[0x48, 0x8d, 0x65, 8, 0x5d, 0xc3]));
}

#[test]
fn a_jump_ends_an_epilogue_only_if_it_leaves_the_function() {
    let to = |target: u32| {
        let distance = target.wrapping_sub(0x2055);
        let mut code = vec![0xe9];
        code.extend(distance.to_le_bytes());
        code
    };
    // Within the function the frame is still there; to its own start and out of it the frame is gone.
    check(x64_at(0x2050, 0x100), small_frame(0x28), 0x128, |image| image.code_at(0x2050, &to(0x2080)));
    check(x64_at(0x2050, 0x100), small_frame(0x28), 0x100, |image| image.code_at(0x2050, &to(0x2000)));
    check(x64_at(0x2050, 0x100), small_frame(0x28), 0x100, |image| image.code_at(0x2050, &to(0x1100)));
    // To the middle of another entry: the other half of this function.
    check(x64_at(0x2050, 0x100), small_frame(0x28), 0x128, |image| image.code_at(0x2050, &to(OUTER + 0x40)));
    // A switch's jump alone is no epilogue; a jump through the import table, rep ret and rex.w jmp rax are.
    for (code, return_slot) in [
        (&[0xff, 0x24, 0xc8][..], 0x128),
        (&[0xff, 0x25, 0, 0, 0, 0], 0x100),
        (&[0xf3, 0xc3], 0x100),
        (&[0x48, 0xff, 0xe0], 0x100),
    ] {
        check(x64_at(0x2050, 0x100), small_frame(0x28), return_slot, |image| image.code_at(0x2050, code));
    }
}

#[test]
fn parts_of_a_function_are_chained_to_its_beginning() {
    // UNW_FLAG_CHAININFO, one slot and its padding, then the RUNTIME_FUNCTION of the first part.
    for slots in [&[[4, 0x12]][..], &[[6, 0x12], [2, 0x70]]] {
        let own_bytes = if slots.len() == 1 { 0x10 } else { 0x18 };
        let mut image = image();
        image.function(0x2000, 0x2100, small_frame(0x28));
        let chained = [0x2000, 0x2100, CodeImage::info_rva(0)];
        image.function(0x2800, 0x2900, unwind_info(0x21, 0, 0, slots, &chained));
        finish(&mut image, 0x100 + own_bytes + 0x28);
        let stack = image.unwind(Registers::X64(x64_at(0x2850, 0x100)));
        assert_eq!(frames_of(&stack)[1..], [(u64::from(OUTER_SITE), 0x108 + own_bytes + 0x28, Unwind)]);
        assert_eq!(stack.end, StackEnd::Outermost);
    }
}

#[test]
fn an_entry_that_stands_for_another_leads_to_it() {
    let mut image = image();
    image.function(0x2000, 0x2100, vec![0; 0x40]);
    finish(&mut image, 0x128);
    let mut memory = image.memory();
    // RUNTIME_FUNCTION_INDIRECT: the lowest bit is set, the rest is the place of the other entry.
    let entry = |words: [u32; 3]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut table = entry([0x2000, 0x2100, 0x9000 | 1]);
    table.extend(entry([OUTER, OUTER + 0x100, CodeImage::info_rva(1)]));
    memory.put(IMAGE + 0x5000, table);
    memory.put(IMAGE + 0x9000, entry([0x2000, 0x2100, CodeImage::info_rva(1)]));
    let stack = unwind(&memory, Registers::X64(x64_at(0x2050, 0x100)), None);
    assert_eq!(frames_of(&stack)[1..], [(u64::from(OUTER_SITE), 0x130, Unwind)]);
}

#[test]
fn behind_a_machine_frame_the_interrupted_instruction_goes_on() {
    // UWOP_PUSH_MACHFRAME without and with an error code: RIP, CS, EFLAGS, RSP, SS.
    for (code, error_bytes) in [(0x0a, 0), (0x1a, 8)] {
        let mut image = image();
        image.function(0x2000, 0x2100, unwind_info(1, 4, 0, &[[4, 0x42], [0, code]], &[]));
        finish(&mut image, 0x400);
        let at = 0x100 + 0x28 + error_bytes;
        image.u64_at(at, IMAGE + u64::from(LEAF)).u64_at(at + 24, STACK + 0x400);
        let stack = image.unwind(Registers::X64(x64_at(0x2050, 0x100)));
        // The leaf function is one although it is not the innermost.
        assert_eq!(frames_of(&stack)[1..], [(u64::from(LEAF), 0x400, Unwind), (u64::from(OUTER_SITE), 0x408, Unwind)]);
    }
}

#[test]
fn a_call_that_never_returns_belongs_to_its_own_function() {
    let mut image = image();
    image.call_before(0x2100);
    image.function(0x2000, 0x2100, small_frame(0x28));
    // Right behind it another function begins, with another frame.
    image.function(0x2100, 0x2200, small_frame(0x80));
    finish(&mut image, 0x108 + 0x28);
    image.u64_at(0x100, IMAGE + 0x2100);
    let stack = image.unwind(Registers::X64(x64_at(LEAF, 0x100)));
    assert_eq!(frames_of(&stack)[1..], [(0x2100, 0x108, Unwind), (u64::from(OUTER_SITE), 0x138, Unwind)]);
}

#[test]
fn a_stack_that_is_not_in_the_dump_says_where_it_goes_on() {
    let mut image = image();
    image.function(0x2000, 0x2100, unwind_info(1, 7, 0, &[[7, 0x11], [0, 0], [1, 0]], &[]));
    let stack = image.unwind(Registers::X64(x64_at(0x2050, 0x100)));
    assert_eq!(stack.end, StackEnd::MemoryMissing { at: Va(STACK + 0x1_0100) });
    assert_eq!(stack.frames.len(), 1);
    assert_eq!(stack.frames[0].return_address, None);
}

#[test]
fn a_call_of_address_0_returns_to_its_caller() {
    let mut image = image();
    finish(&mut image, 0x100);
    let mut registers = x64_at(0, 0x100);
    registers.rip = 0;
    let stack = image.unwind(Registers::X64(registers));
    assert_eq!(frames_of(&stack)[1..], [(u64::from(OUTER_SITE), 0x108, Scan)]);
}

#[test]
fn a_scan_takes_only_what_follows_a_call() {
    let mut image = image();
    // An address in code that follows no call, one in the headers, one in data.
    image.u64_at(0x100, IMAGE + 0x2050).u64_at(0x108, IMAGE + 0x10).u64_at(0x110, IMAGE + 0x8000);
    finish(&mut image, 0x128);
    let mut registers = x64_at(0, 0x100);
    registers.rip = 0x7777_0000;
    let stack = image.unwind(Registers::X64(registers));
    assert_eq!(frames_of(&stack)[1..], [(u64::from(OUTER_SITE), 0x130, Scan)]);
    image.u64_at(0x128, 0);
    let stack = image.unwind(Registers::X64(registers));
    assert_eq!((stack.frames.len(), stack.end), (1, StackEnd::OutsideModules { ip: Va(0x7777_0000) }));
}

#[test]
fn code_outside_of_modules_is_left_by_its_frame_pointer() {
    let mut image = image();
    finish(&mut image, 0x208);
    image.u64_at(0x200, STACK + 0x300);
    let mut registers = x64_at(0, 0x100);
    registers.rip = 0x7777_0000;
    registers.set(RBP, STACK + 0x200);
    let stack = image.unwind(Registers::X64(registers));
    assert_eq!(frames_of(&stack)[1..], [(u64::from(OUTER_SITE), 0x210, FramePointer)]);
    assert_eq!((stack.frames[1].fp, stack.end), (Va(STACK + 0x300), StackEnd::Outermost));
}

#[test]
fn a_function_without_a_frame_is_the_caller_of_nothing() {
    let mut image = image();
    image.function(0x2000, 0x2100, small_frame(0x28));
    image.u64_at(0x128, IMAGE + u64::from(LEAF));
    let stack = image.unwind(Registers::X64(x64_at(0x2050, 0x100)));
    assert_eq!(stack.frames.len(), 2);
    assert_eq!(stack.end, StackEnd::NotACaller { ip: Va(IMAGE + u64::from(LEAF)) });
}

#[test]
fn unwind_data_that_cannot_be_true_end_the_stack() {
    let own_record = [0x2000, 0x2100, CodeImage::info_rva(0)];
    for (name, info) in [
        ("a version nobody knows", unwind_info(7, 4, 0, &[[4, 0x42]], &[])),
        ("a code nobody knows", unwind_info(1, 4, 0, &[[4, 0x0f]], &[])),
        ("a code that is cut off", unwind_info(1, 4, 0, &[[4, 0x11]], &[])),
        ("a chain without end", unwind_info(0x21, 0, 0, &[], &own_record)),
        ("a frame register of 0", unwind_info(1, 4, 0x25, &[[4, 0x03]], &[])),
    ] {
        let mut image = image();
        image.function(0x2000, 0x2100, info);
        let stack = image.unwind(Registers::X64(x64_at(0x2050, 0x100)));
        assert_eq!(
            (stack.frames.len(), stack.end),
            (1, StackEnd::DamagedUnwindData { ip: Va(IMAGE + 0x2050) }),
            "{name}"
        );
    }
    // A frame register that points back down the stack, and one that points out of it.
    for (frame, end) in
        [(STACK + 0x20, StackEnd::NoProgress { sp: Va(STACK + 0x28) }), (STACK + STACK_BYTES - 8, StackEnd::Outermost)]
    {
        let mut image = image();
        image.function(0x2000, 0x2100, unwind_info(1, 4, 0x05, &[[4, 0x03]], &[]));
        let mut registers = x64_at(0x2050, 0x100);
        registers.set(RBP, frame);
        assert_eq!(image.unwind(Registers::X64(registers)).end, end);
    }
}

#[test]
fn a_table_that_is_not_in_the_dump_leaves_the_scan() {
    let mut image = image();
    finish(&mut image, 0x140);
    let mut memory = image.memory();
    memory.put(IMAGE + 0x5000, Vec::new());
    let stack = unwind(&memory, Registers::X64(x64_at(0x2050, 0x100)), None);
    assert_eq!(frames_of(&stack)[1..], [(u64::from(OUTER_SITE), 0x148, Scan)]);
    assert_eq!(stack.end, StackEnd::NoUnwindData { ip: Va(IMAGE + u64::from(OUTER_SITE)) });
}

#[test]
fn recursion_is_followed_up_to_the_limit() {
    let mut image = image();
    image.call_before(0x2020);
    image.function(0x2000, 0x2100, small_frame(8));
    for offset in (0..STACK_BYTES).step_by(8) {
        image.u64_at(offset, IMAGE + 0x2020);
    }
    let stack = image.unwind(Registers::X64(x64_at(0x2020, 0x100)));
    assert_eq!((stack.frames.len(), stack.end), (1024, StackEnd::FrameLimit));
}
