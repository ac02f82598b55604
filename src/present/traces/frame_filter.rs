//! Filters stacks by their frames: "with a frame matching", "without one".

use crate::analysis::series::stacks::SeriesStacks;
use crate::base::addr::{PointerWidth, Va};
use crate::input::symbols::SymbolTable;

/// What is typed into the two fields. Each word of `with` must be found in some frame of a stack; no word of `without` may
/// be found in any.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct FrameFilter {
    pub with: String,
    pub without: String,
}

impl FrameFilter {
    pub fn is_empty(&self) -> bool {
        self.with.trim().is_empty() && self.without.trim().is_empty()
    }
}

/// The stacks that pass, in their order. A frame is found by any part of its name or address, whatever the case.
pub fn matching_stacks(stacks: &SeriesStacks, symbols: &SymbolTable, filter: &FrameFilter) -> Vec<u32> {
    let all = 0..u32::try_from(stacks.len()).unwrap_or(u32::MAX);
    if filter.is_empty() {
        return all.collect();
    }
    let with: Vec<Vec<bool>> = words(&filter.with).map(|word| addresses_with(stacks, symbols, &word)).collect();
    let without: Vec<Vec<bool>> = words(&filter.without).map(|word| addresses_with(stacks, symbols, &word)).collect();
    let has = |stack: u32, found: &Vec<bool>| {
        let is_found = |position: usize| found.get(position).copied().unwrap_or(false);
        stacks.frame_ids(stack as usize).iter().any(|id| is_found(id.position()))
    };
    all.filter(|stack| with.iter().all(|found| has(*stack, found)) && !without.iter().any(|found| has(*stack, found)))
        .collect()
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split_whitespace().map(str::to_lowercase)
}

/// For each address, whether the word is in its name or its digits.
fn addresses_with(stacks: &SeriesStacks, symbols: &SymbolTable, word: &str) -> Vec<bool> {
    stacks.addresses().iter().map(|va| text_of(symbols, *va).contains(word)).collect()
}

fn text_of(symbols: &SymbolTable, va: Va) -> String {
    let name = symbols.name_of(va).map(|name| name.to_string()).unwrap_or_default();
    format!("{name} {:016x} {}", va.0, va.windbg(PointerWidth::Bits64)).to_lowercase()
}
