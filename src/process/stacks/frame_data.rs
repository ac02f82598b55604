//! What PDBs tell of the frames of x86 functions, and how the caller is computed from it: FPO records and the small programs
//! of newer compilers, such as `$T0 $ebp = $eip $T0 4 + ^ = $ebp $T0 ^ = $esp $T0 8 + =`.
//!
//! The programs' language is described by the comments of Google Breakpad's `stackwalker_x86.cc` and
//! `postfix_evaluator.h` (BSD-3-Clause), whose rules for what no document tells (`.raSearch`, where an FPO function
//! saves ebp) are followed here. The crate breakpad-symbols has an evaluator, which is not public and brings a symbol
//! supplier and a parser of text files with it.
//!
//! **Invariant:** a program runs once from front to back, over at most `MAX_TOKENS` words.

use std::sync::Arc;

use crate::base::addr::{PointerWidth, Va};
use crate::base::memory;
use crate::input::dump::contexts::X86Registers;

use super::Walk;

/// Programs of real PDBs have some twenty words.
const MAX_TOKENS: usize = 256;
/// How many words `.raSearch` looks at for something that is a return address.
const SEARCHED_WORDS: u32 = 4;
const WORD: u32 = 4;

/// Where frame data of PDBs comes from.
pub trait FrameDataSource: Sync {
    /// The frame data of the function at `ip`.
    fn frame_data(&self, ip: Va) -> Option<FrameData>;
}

/// The frame of an x86 function at one place in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameData {
    /// Where the range of code begins that this is said of.
    pub start: Va,
    pub prologue_bytes: u32,
    pub local_bytes: u32,
    pub saved_register_bytes: u32,
    /// Arguments on the stack.
    pub parameter_bytes: u32,
    pub rule: FrameRule,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FrameRule {
    /// FPO_DATA of a function without a frame pointer. `saves_ebp`: it uses ebp as a register like any other.
    Fpo { saves_ebp: bool },
    /// The program of a FRAMEDATA record.
    Program(Arc<str>),
}

/// The registers of the caller and where the return address lay; `None` when the data does not lead to any.
pub(super) fn caller_registers(
    walk: &Walk<'_>,
    data: &FrameData,
    registers: &X86Registers,
    callee_parameter_bytes: u32,
) -> Option<(X86Registers, Va)> {
    let frame_bytes = data.local_bytes.checked_add(data.saved_register_bytes)?.checked_add(callee_parameter_bytes)?;
    match &data.rule {
        FrameRule::Fpo { saves_ebp } => {
            let slot = if Va(u64::from(registers.eip)) == data.start {
                registers.esp
            } else {
                registers.esp.checked_add(frame_bytes)?
            };
            let mut caller = *registers;
            if *saves_ebp && slot != registers.esp {
                let saved_at =
                    registers.esp.checked_add(callee_parameter_bytes)?.checked_add(data.saved_register_bytes)?;
                caller.ebp = word_at(walk, saved_at.checked_sub(8)?)?;
            }
            caller.eip = word_at(walk, slot)?;
            caller.esp = slot.checked_add(WORD)?;
            Some((caller, Va(u64::from(slot))))
        }
        FrameRule::Program(program) => {
            // A frame that was aligned lies at no fixed distance from esp; its ebp is right.
            let search_start = if program.contains('@') {
                registers.ebp.checked_add(WORD)?
            } else {
                registers.esp.checked_add(frame_bytes)?
            };
            let mut variables = Variables::default();
            for (name, value) in [
                ("$eip", registers.eip),
                ("$esp", registers.esp),
                ("$ebp", registers.ebp),
                ("$ebx", registers.ebx),
                ("$esi", registers.esi),
                ("$edi", registers.edi),
                (".cbParams", data.parameter_bytes),
                (".cbCalleeParams", callee_parameter_bytes),
                (".cbSavedRegs", data.saved_register_bytes),
                (".cbLocals", data.local_bytes),
                (".raSearch", search(walk, search_start)),
                (".raSearchStart", search_start),
            ] {
                variables.set(name, value);
            }
            run(walk, program, &mut variables)?;
            let caller = X86Registers {
                eip: variables.get("$eip")?,
                esp: variables.get("$esp")?,
                ebp: variables.get("$ebp").unwrap_or(registers.ebp),
                ebx: variables.get("$ebx").unwrap_or(registers.ebx),
                esi: variables.get("$esi").unwrap_or(registers.esi),
                edi: variables.get("$edi").unwrap_or(registers.edi),
            };
            Some((caller, Va(u64::from(caller.esp.checked_sub(WORD)?))))
        }
    }
}

/// The first of some words from `start` on that holds a return address, else `start`.
fn search(walk: &Walk<'_>, start: u32) -> u32 {
    let holds_one = |at: &u32| {
        word_at(walk, *at).is_some_and(|word| walk.is_return_address(Va(u64::from(word)), PointerWidth::Bits32))
    };
    let words = (0..SEARCHED_WORDS).filter_map(|index| start.checked_add(index.saturating_mul(WORD)));
    words.into_iter().find(holds_one).unwrap_or(start)
}

fn word_at(walk: &Walk<'_>, at: u32) -> Option<u32> {
    memory::u32_at(walk.unwinder.memory, Va(u64::from(at)))
}

/// A program has at most one variable a word, and mostly fewer than fifteen: a list is searched as quickly as a map.
#[derive(Default)]
struct Variables<'a> {
    list: Vec<(&'a str, u32)>,
}

impl<'a> Variables<'a> {
    fn get(&self, name: &str) -> Option<u32> {
        self.list.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    fn set(&mut self, name: &'a str, value: u32) {
        match self.list.iter_mut().find(|(other, _)| *other == name) {
            Some(variable) => variable.1 = value,
            None => self.list.push((name, value)),
        }
    }
}

#[derive(Clone, Copy)]
enum Operand<'a> {
    Value(u32),
    Variable(&'a str),
    /// `.undef`: the register is not known any more.
    Undefined,
}

/// Runs a program: words are operands, or operators that take the last ones. Arithmetic wraps, as the processor's does.
fn run<'a>(walk: &Walk<'_>, program: &'a str, variables: &mut Variables<'a>) -> Option<()> {
    let mut operands: Vec<Operand<'a>> = Vec::new();
    for token in program.split_ascii_whitespace().take(MAX_TOKENS).flat_map(split_assignment) {
        match token {
            "+" | "-" | "*" | "/" | "%" | "@" => {
                let right = value_of(operands.pop()?, variables)?;
                let left = value_of(operands.pop()?, variables)?;
                operands.push(Operand::Value(match token {
                    "+" => left.wrapping_add(right),
                    "-" => left.wrapping_sub(right),
                    "*" => left.wrapping_mul(right),
                    "/" => left.checked_div(right)?,
                    "%" => left.checked_rem(right)?,
                    _ if right.is_power_of_two() => left & right.wrapping_neg(),
                    _ => return None,
                }));
            }
            "^" => {
                let at = value_of(operands.pop()?, variables)?;
                operands.push(Operand::Value(word_at(walk, at)?));
            }
            "=" => {
                let value = operands.pop()?;
                let Operand::Variable(name) = operands.pop()? else { return None };
                match value {
                    Operand::Undefined => variables.list.retain(|(other, _)| *other != name),
                    other => {
                        let value = value_of(other, variables)?;
                        variables.set(name, value);
                    }
                }
            }
            ".undef" => operands.push(Operand::Undefined),
            name if name.starts_with(['$', '.']) => operands.push(Operand::Variable(register_name(name))),
            number => operands.push(Operand::Value(number_of(number)?)),
        }
    }
    Some(())
}

/// Programs name the registers that a function saved by their numbers, which are those of CV_HREG_e in cvinfo.h: MSVC
/// writes `$22 $T0 16 - ^ =` where ebp lies 16 bytes below.
fn register_name(name: &str) -> &str {
    match name {
        "$20" => "$ebx",
        "$21" => "$esp",
        "$22" => "$ebp",
        "$23" => "$esi",
        "$24" => "$edi",
        "$33" => "$eip",
        other => other,
    }
}

/// Some compilers leave out the space behind `=`.
fn split_assignment(token: &str) -> impl Iterator<Item = &str> {
    let (first, second) = match token.split_at_checked(1) {
        Some(("=", rest)) if !rest.is_empty() => ("=", Some(rest)),
        _ => (token, None),
    };
    std::iter::once(first).chain(second)
}

fn value_of(operand: Operand<'_>, variables: &Variables<'_>) -> Option<u32> {
    match operand {
        Operand::Value(value) => Some(value),
        Operand::Variable(name) => variables.get(name),
        Operand::Undefined => None,
    }
}

/// Decimal, and signed where it is negative.
fn number_of(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned))
}
