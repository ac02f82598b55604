//! x86 frames: saved ebp, the rest of a function, FPO records and frame programs, scan.

use dumptrend::base::addr::Va;
use dumptrend::process::stacks::StackEnd;
use dumptrend::process::stacks::Trust::{Context, FramePointer, Scan, Unwind};
use dumptrend::process::stacks::frame_data::{FrameData, FrameDataSource, FrameRule};

use crate::support::code_image::{CodeImage, IMAGE, MACHINE_X86, STACK, frames_of, x86_at};

const SITE: u32 = 0x3020;

fn low(value: u64) -> u32 {
    u32::try_from(value).expect("below 4 GB")
}

/// An image with calls that return to [`SITE`] and to some places behind it.
fn image() -> CodeImage {
    let mut image = CodeImage::new(MACHINE_X86);
    for rva in [SITE, 0x3040, 0x3060] {
        image.call_before(rva);
    }
    image
}

fn site(rva: u32) -> u32 {
    low(IMAGE) + rva
}

/// A frame at an offset: saved ebp and return address.
fn frame(image: &mut CodeImage, offset: u64, saved: u64, return_address: u32) {
    image.u32_at(offset, low(saved)).u32_at(offset + 4, return_address);
}

#[test]
fn the_chain_of_ebp_is_followed_to_its_end() {
    let mut image = image();
    frame(&mut image, 0x110, STACK + 0x140, site(SITE));
    frame(&mut image, 0x140, STACK + 0x180, site(0x3040));
    frame(&mut image, 0x180, 0, 0);
    let stack = image.unwind(x86_at(0x2050, 0x100, STACK + 0x110));
    assert_eq!(
        frames_of(&stack),
        [(0x2050, 0x100, Context), (u64::from(SITE), 0x118, FramePointer), (0x3040, 0x148, FramePointer)]
    );
    // ChildEBP of each frame is where its saved ebp lies.
    let child_ebps: Vec<_> = stack.frames.iter().map(|frame| frame.fp.0 - STACK).collect();
    assert_eq!((child_ebps, stack.end), (vec![0x110, 0x140, 0x180], StackEnd::Outermost));
}

#[test]
fn a_chain_that_turns_back_ends() {
    for back_to in [0x110, 0x108, 0x140] {
        let mut image = image();
        frame(&mut image, 0x110, STACK + 0x140, site(SITE));
        frame(&mut image, 0x140, STACK + back_to, site(0x3040));
        let stack = image.unwind(x86_at(0x2050, 0x100, STACK + 0x110));
        assert_eq!(stack.frames.len(), 3);
        assert_eq!(stack.end, StackEnd::NoCallerFound { sp: Va(STACK + 0x148) });
    }
}

#[test]
fn an_ebp_that_leads_to_no_caller_is_not_followed() {
    for ebp in [STACK + 0x110, STACK + 0x111, STACK + 0x10, 0, 0xffff_fffc] {
        let mut image = image();
        // What lies there follows no call.
        frame(&mut image, 0x110, STACK + 0x140, site(0x2050));
        image.u32_at(0x128, site(SITE));
        let stack = image.unwind(x86_at(0x2060, 0x100, ebp));
        assert_eq!(frames_of(&stack)[1..], [(u64::from(SITE), 0x12c, Scan)], "{ebp:#x}");
    }
}

#[test]
fn a_scan_finds_the_way_back_to_the_chain() {
    let mut image = image();
    frame(&mut image, 0x120, STACK + 0x140, site(SITE));
    frame(&mut image, 0x140, 0, 0);
    let stack = image.unwind(x86_at(0x2050, 0x100, 0));
    assert_eq!(frames_of(&stack)[1..], [(u64::from(SITE), 0x128, Scan)]);
    assert_eq!(stack.end, StackEnd::Outermost);
}

#[test]
fn a_function_that_is_entered_or_left_does_not_hide_its_caller() {
    // The code at the instruction pointer, and where the return address lies then; ebp is the caller's already.
    for (code, slot) in [
        (&[0xc2, 0x14, 0][..], 0x100),
        (&[0x83, 0xc4, 4, 0xc2, 0x14, 0], 0x104),
        (&[0x55, 0x8b, 0xec], 0x100),
        (&[0x8b, 0xff, 0x55, 0x8b, 0xec], 0x100),
        (&[0x5f, 0x5e, 0xc3], 0x108),
        (&[0x81, 0xc4, 0x10, 0, 0, 0, 0xc3], 0x110),
    ] {
        let mut image = image();
        image.code_at(0x2050, code);
        image.u32_at(slot, site(SITE));
        frame(&mut image, 0x140, 0, site(0x3040));
        frame(&mut image, 0x180, 0, 0);
        let stack = image.unwind(x86_at(0x2050, 0x100, STACK + 0x140));
        let frames = frames_of(&stack);
        assert_eq!((frames[1].0, frames[1].2), (u64::from(SITE), Unwind), "{code:x?}");
        assert_eq!(frames[2], (0x3040, 0x148, FramePointer), "{code:x?}");
    }
    // push ebp is done, mov ebp, esp is not; and leave; ret, where ebp is the function's own.
    for (code, offset) in [(&[0x55, 0x8b, 0xec][..], 1), (&[0x90, 0xc9, 0xc3], 1)] {
        let mut image = image();
        image.code_at(0x2050, code);
        frame(&mut image, 0x100, STACK + 0x140, site(SITE));
        frame(&mut image, 0x140, 0, site(0x3040));
        let ebp = if code[0] == 0x55 { STACK + 0x140 } else { STACK + 0x100 };
        let frames = frames_of(&image.unwind(x86_at(0x2050 + offset, 0x100, ebp)));
        assert_eq!(frames[1..3], [(u64::from(SITE), 0x108, Unwind), (0x3040, 0x148, FramePointer)], "{code:x?}");
    }
}

/// Frame data of some functions, by the page that they lie in.
struct Source(Vec<(u64, FrameData)>);

impl FrameDataSource for Source {
    fn frame_data(&self, ip: Va) -> Option<FrameData> {
        let page = (ip.0 - IMAGE) & !0xfff;
        self.0.iter().find(|(start, _)| *start == page).map(|(_, data)| data.clone())
    }
}

fn data(
    rva: u64,
    local_bytes: u32,
    saved_register_bytes: u32,
    parameter_bytes: u32,
    rule: FrameRule,
) -> (u64, FrameData) {
    let start = Va(IMAGE + rva);
    (rva, FrameData { start, prologue_bytes: 3, local_bytes, saved_register_bytes, parameter_bytes, rule })
}

fn program(text: &str) -> FrameRule {
    FrameRule::Program(text.into())
}

#[test]
fn fpo_records_tell_the_distance_to_the_return_address() {
    let mut image = image();
    // 0x20 bytes of locals and 8 of saved registers, ebp among them; the caller passed 12 bytes of arguments and has 8 of
    // its own.
    image.u32_at(0x128, site(SITE)).u32_at(0x100, 0x1234_5678);
    image.u32_at(0x12c + 12 + 8, 0);
    let source = Source(vec![
        data(0x2000, 0x20, 8, 12, FrameRule::Fpo { saves_ebp: true }),
        data(0x3000, 4, 4, 0, FrameRule::Fpo { saves_ebp: false }),
    ]);
    let stack = image.unwind_with(x86_at(0x2050, 0x100, 0), &source);
    assert_eq!(frames_of(&stack), [(0x2050, 0x100, Context), (u64::from(SITE), 0x12c, Unwind)]);
    assert_eq!((stack.frames[1].fp, stack.end), (Va(STACK + 0x140 - 4), StackEnd::Outermost));
    // At the very first instruction nothing is on the stack yet.
    image.u32_at(0x100, site(SITE)).u32_at(0x104 + 12 + 8, 0);
    let stack = image.unwind_with(x86_at(0x2000, 0x100, 0), &source);
    assert_eq!(frames_of(&stack)[1..], [(u64::from(SITE), 0x104, Unwind)]);
}

#[test]
fn frame_programs_compute_the_caller() {
    // Where the return address lies, ebp, locals, and the program.
    for (slot, ebp, local_bytes, text) in [
        (0x114, 0x110, 0x40, "$T0 $ebp = $eip $T0 4 + ^ = $ebp $T0 ^ = $esp $T0 8 + ="),
        (0x140, 0, 0x40, "$T0 .raSearch = $eip $T0 ^ = $esp $T0 4 + ="),
        // The return address lies two words above where the sizes say.
        (0x148, 0, 0x40, "$T0 .raSearch = $eip $T0 ^ = $esp $T0 4 + ="),
        (0x140, 0, 0x40, "$T0 .raSearchStart =$eip $T0 ^ =$esp $T0 4 + = $ebx .undef ="),
        // An aligned frame, whose address was kept in a saved register.
        (0x134, 0x130, 0x40, "$T1 .raSearch = $T0 $T1 4 - 8 @ = $ebp $T1 4 - ^ = $eip $T1 ^ = $esp $T1 4 + ="),
        (0x120, 0, 0x20, "$T0 $esp .cbLocals + .cbSavedRegs + = $eip $T0 ^ = $esp $T0 2 2 * + 7 2 / 3 - + ="),
    ] {
        let mut image = image();
        image.u32_at(slot, site(SITE));
        let source = Source(vec![data(0x2000, local_bytes, 0, 0, program(text))]);
        let stack = image.unwind_with(x86_at(0x2050, 0x100, STACK + ebp), &source);
        assert_eq!(frames_of(&stack)[1], (u64::from(SITE), slot + 4, Unwind), "{text}");
    }
}

#[test]
fn registers_that_a_program_names_by_number_are_restored() {
    let mut image = image();
    // As MSVC writes it for a function that saved ebx, ebp, esi and edi; ebp holds something else at the moment.
    let text = "$T0 .raSearch = $eip $T0 ^ = $esp $T0 4 + =  $20 $T0 4 - ^ =  $22 $T0 8 - ^ =  $23 $T0 12 - ^ =  $24 $T0 16 - ^ = ";
    image.u32_at(0x140, site(SITE)).u32_at(0x138, low(STACK + 0x180));
    frame(&mut image, 0x180, 0, site(0x3040));
    let source = Source(vec![data(0x2000, 0x30, 0x10, 0, program(text))]);
    let stack = image.unwind_with(x86_at(0x2050, 0x100, STACK + 0x160), &source);
    assert_eq!(
        frames_of(&stack),
        [(0x2050, 0x100, Context), (u64::from(SITE), 0x144, Unwind), (0x3040, 0x188, FramePointer)]
    );
}

#[test]
fn where_a_frame_is_not_made_yet_the_code_knows_better_than_frame_data() {
    let mut image = image();
    // At the first instruction ebp is the caller's: the program, which speaks of the whole function, would skip that one.
    image.code_at(0x2050, &[0x55, 0x8b, 0xec]);
    image.u32_at(0x100, site(SITE));
    frame(&mut image, 0x140, 0, site(0x3040));
    let text = "$T0 $ebp = $eip $T0 4 + ^ = $ebp $T0 ^ = $esp $T0 8 + =";
    let source = Source(vec![data(0x2000, 0, 0, 0, program(text)), data(0x3000, 0, 0, 0, program(text))]);
    let stack = image.unwind_with(x86_at(0x2050, 0x100, STACK + 0x140), &source);
    assert_eq!(frames_of(&stack)[1..], [(u64::from(SITE), 0x104, Unwind), (0x3040, 0x148, Unwind)]);
}

#[test]
fn programs_that_make_no_sense_leave_the_other_ways() {
    for text in [
        "",
        "=",
        "$eip",
        "+ - *",
        "$eip 1 0 / =",
        "$eip 1 0 % =",
        "$eip 8 3 @ =",
        "$eip $nothing =",
        "$eip 4294967295 ^ =",
        "$eip x =",
        "$eip .undef =",
        "1 2 =",
        "$eip 12 = $esp 0 =",
        "$esp $esp 4 - = $eip 0 =",
    ] {
        let mut image = image();
        frame(&mut image, 0x110, 0, site(SITE));
        let source = Source(vec![data(0x2000, 0x40, 0, 0, program(text))]);
        let stack = image.unwind_with(x86_at(0x2050, 0x100, STACK + 0x110), &source);
        assert_eq!(frames_of(&stack)[1], (u64::from(SITE), 0x118, FramePointer), "{text}");
    }
    // Sizes that overflow.
    let mut image = image();
    frame(&mut image, 0x110, 0, site(SITE));
    for rule in [FrameRule::Fpo { saves_ebp: true }, program("$eip .raSearch ^ = $esp 0 =")] {
        let source = Source(vec![data(0x2000, u32::MAX, u32::MAX, u32::MAX, rule)]);
        let stack = image.unwind_with(x86_at(0x2050, 0x100, STACK + 0x110), &source);
        assert_eq!(frames_of(&stack)[1].2, FramePointer);
    }
}
