//! Whatever stack and unwind data hold, a stack ends, goes up only, and nothing panics.

use dumptrend::input::dump::contexts::{Arm64Registers, Registers, X64Registers, X86Registers};
use dumptrend::process::stacks::ThreadStack;
use dumptrend::process::stacks::frame_data::{FrameData, FrameDataSource, FrameRule};
use proptest::prelude::*;

use dumptrend::base::addr::Va;

use crate::support::code_image::{CODE, CodeImage, IMAGE, MACHINE_ARM64, MACHINE_X64, MACHINE_X86, STACK, STACK_BYTES};

const CASES: u32 = 192;

fn check(stack: &ThreadStack) {
    assert!((1..=1024).contains(&stack.frames.len()));
    for (index, pair) in stack.frames.windows(2).enumerate() {
        assert!(pair[0].sp < pair[1].sp || index == 0 && pair[0].sp == pair[1].sp, "{pair:?}");
        assert_eq!(pair[0].return_address, Some(pair[1].ip));
    }
}

/// A word of the stack: anything, or a pointer into stack or code.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0..STACK_BYTES).prop_map(|offset| STACK + (offset & !7)),
        (u64::from(CODE)..0x4000).prop_map(|rva| IMAGE + rva),
    ]
}

/// Unwind data: random, or with a head that passes the first checks.
fn info() -> impl Strategy<Value = Vec<u8>> {
    let tail = || prop::collection::vec(any::<u8>(), 0..0x80);
    prop_oneof![
        tail(),
        (prop::sample::select(vec![0x01_u8, 0x02, 0x21, 0x09]), any::<u8>(), 0..12_u8, any::<u8>(), tail())
            .prop_map(|(head, prologue, count, frame, tail)| [vec![head, prologue, count, frame], tail].concat()),
    ]
}

fn image(machine: u16) -> impl Strategy<Value = CodeImage> {
    let words = prop::collection::vec(word(), 0x100);
    let code =
        prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(vec![0xe8_u8, 0xc3, 0x5d, 0xeb])], 0x3000);
    let functions = prop::collection::vec((any::<u16>(), any::<u16>(), info()), 0..8);
    (words, code, functions).prop_map(move |(words, code, functions)| {
        let mut image = CodeImage::new(machine);
        image.code = code;
        for (begin, end, info) in functions {
            let begin = CODE + u32::from(begin) % 0x3000;
            image.function(begin, begin.saturating_add(u32::from(end)), info);
        }
        image.functions.sort_by_key(|function| function.begin);
        for (index, word) in words.iter().enumerate() {
            image.u64_at(0x100 + index as u64 * 8, *word);
        }
        image
    })
}

struct Source(String, u32);

impl FrameDataSource for Source {
    fn frame_data(&self, ip: Va) -> Option<FrameData> {
        let rule = if ip.0.is_multiple_of(3) {
            FrameRule::Fpo { saves_ebp: true }
        } else {
            FrameRule::Program(self.0.as_str().into())
        };
        Some(FrameData {
            start: ip,
            prologue_bytes: 0,
            local_bytes: self.1,
            saved_register_bytes: 4,
            parameter_bytes: self.1,
            rule,
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn x64_stacks_end(image in image(MACHINE_X64), registers in prop::array::uniform16(word()), rva in 0x1000_u32..0x4000) {
        let mut registers = X64Registers { rip: IMAGE + u64::from(rva), general: registers };
        registers.set_rsp(STACK + 0x100);
        check(&image.unwind(Registers::X64(registers)));
    }

    #[test]
    fn x64_stacks_end_from_anywhere(image in image(MACHINE_X64), registers in prop::array::uniform16(word()), rip in word()) {
        check(&image.unwind(Registers::X64(X64Registers { rip, general: registers })));
    }

    #[test]
    fn x86_stacks_end(
        image in image(MACHINE_X86),
        [eip, esp, ebp] in prop::array::uniform3(word()),
        program in "([$.=^@+*/%-]|\\$(eip|esp|ebp|T0)|\\.raSearch|[0-9]{1,9}| ){0,40}",
        local_bytes in prop_oneof![any::<u32>(), 0..64_u32],
    ) {
        let low = |value: u64| u32::try_from(value & 0xffff_ffff).expect("32 bits");
        let registers = X86Registers { eip: low(eip), esp: low(esp), ebp: low(ebp), ..X86Registers::default() };
        check(&image.unwind(Registers::X86(registers)));
        check(&image.unwind_with(Registers::X86(registers), &Source(program, local_bytes)));
    }

    #[test]
    fn arm64_stacks_end(image in image(MACHINE_ARM64), [pc, sp, fp, lr] in prop::array::uniform4(word())) {
        check(&image.unwind(Registers::Arm64(Arm64Registers { pc, sp, fp, lr })));
    }
}
