//! TreeReader.exe: a program that reads a large tree and allocates a node at each place of it, so that every place has a
//! stack of its own.
//!
//! It stands for programs with very many different stacks, as AllocFree stands for those with few. Each level of the tree is
//! two calls: `parse_value` calls a handler for what it met, the handler calls `parse_value` for what is inside.

use crate::base::addr::Va;
use crate::sample::allocfree::case_functions::Framed;
use crate::sample::allocfree::live_stack::Site;
use crate::sample::allocfree::modules::ProcessModule;

const HANDLERS: [&str; 12] = [
    "on_object",
    "on_array",
    "on_member",
    "on_element",
    "on_text",
    "on_number",
    "on_comment",
    "on_reference",
    "on_include",
    "on_link",
    "on_table",
    "on_row",
];
/// Places above the third level: the program begins below them.
const PLACES_ABOVE: u32 = 1 + 12 + 12 * 12;

pub const FUNCTIONS: [Framed; 24] = [
    ("new_node", 0x1000, 0x40, 0x38),
    ("parse_value", 0x1040, 0x1c0, 0x68),
    ("on_object", 0x1200, 0x60, 0x38),
    ("on_array", 0x1270, 0x70, 0x48),
    ("on_member", 0x12f0, 0x50, 0x38),
    ("on_element", 0x1350, 0x60, 0x38),
    ("on_text", 0x13c0, 0x80, 0x58),
    ("on_number", 0x1450, 0x50, 0x38),
    ("on_comment", 0x14b0, 0x40, 0x38),
    ("on_reference", 0x1500, 0x90, 0x48),
    ("wmainCRTStartup", 0x15a0, 0x200, 0x58),
    ("on_include", 0x17b0, 0x70, 0x48),
    ("on_link", 0x1830, 0x60, 0x38),
    ("on_table", 0x18a0, 0x90, 0x68),
    ("on_row", 0x1940, 0x50, 0x38),
    ("read_tree", 0x19a0, 0x90, 0x58),
    ("wmain", 0x1a40, 0xd0, 0x48),
    ("malloc", 0x1b20, 0x80, 0x28),
    ("__scrt_common_main_seh", 0x1bb0, 0x170, 0x38),
    ("__scrt_initialize_crt", 0x1d30, 0x80, 0x28),
    ("__acrt_initialize_locks", 0x1dc0, 0x50, 0x38),
    ("__acrt_initialize_heap", 0x1e20, 0x30, 0x28),
    ("__acrt_initialize_lowio", 0x1e60, 0x70, 0x38),
    ("log_open", 0x1ee0, 0x90, 0x38),
];

/// The calls from `wmain` to the allocation at place number `number` of the tree, outermost first. No two are equal.
pub fn calls(number: u32) -> Vec<Site> {
    let mut sites = vec![Site::new("wmain", 0x8a), Site::new("read_tree", 0x5d)];
    // A numeral in base 12 whose digits go from 1 to 12: one for each number, without leading zeros.
    let mut levels = Vec::new();
    let mut rest = number + PLACES_ABOVE;
    while rest > 0 {
        rest -= 1;
        levels.push(rest % 12);
        rest /= 12;
    }
    for level in levels.into_iter().rev() {
        let (handler, at) = (HANDLERS.get(level as usize).copied().unwrap_or_default(), u64::from(level));
        sites.push(Site::new("parse_value", 0x40 + at * 0x1b));
        sites.push(Site::new(handler, 0x20 + at));
    }
    sites.extend([Site::new("parse_value", 0x2b), Site::new("new_node", 0x19), Site::new("malloc", 0x1b)]);
    sites
}

/// Addresses instead of names, for many stacks: the frames around the calls stay the same.
pub struct StackMaker {
    /// In the order of [`HANDLERS`]: the return addresses in `parse_value` and in the handler.
    levels: Vec<[Va; 2]>,
    inner: Vec<Va>,
    outer: Vec<Va>,
}

impl StackMaker {
    /// `around` gives the whole live stack for the calls of the program, outermost first, up to the `innermost` function
    /// that is logged.
    pub fn new(modules: &[ProcessModule], around: impl Fn(Vec<Site>) -> Vec<Site>, innermost: &str) -> Self {
        let address = |site: &Site| {
            let va = modules.iter().find_map(|module| module.image.export_va(&site.function));
            va.map_or(Va(0), |va| Va(va.0 + site.offset))
        };
        let level_sites = |level: u64| {
            let handler = HANDLERS.get(level as usize).copied().unwrap_or_default();
            [Site::new(handler, 0x20 + level), Site::new("parse_value", 0x40 + level * 0x1b)]
        };
        let sites = around(calls(0));
        let logged: Vec<_> = sites.iter().rev().skip_while(|site| site.function != innermost).collect();
        let is_inner = |site: &&&Site| !HANDLERS.contains(&site.function.as_str());
        let inner: Vec<_> = logged.iter().take_while(is_inner).map(|site| address(site)).collect();
        let outer = logged.iter().skip_while(|site| site.function != "read_tree").map(|site| address(site)).collect();
        let levels = (0..HANDLERS.len() as u64).map(|level| level_sites(level).map(|site| address(&site))).collect();
        Self { levels, inner, outer }
    }

    /// The stack of place number `number`, innermost first.
    pub fn stack(&self, number: u32) -> Vec<Va> {
        let mut stack = self.inner.clone();
        let mut rest = number + PLACES_ABOVE;
        while rest > 0 {
            rest -= 1;
            stack.extend(self.levels.get((rest % 12) as usize).into_iter().flatten());
            rest /= 12;
        }
        stack.extend_from_slice(&self.outer);
        stack
    }
}

#[cfg(test)]
mod tests {
    use super::super::ten_x64;
    use super::*;
    use crate::sample::allocfree::logged_stacks::logged_stack;
    use std::collections::BTreeSet;

    #[test]
    fn made_stacks_are_those_of_the_calls_and_all_different() {
        let modules = ten_x64::modules();
        let maker = StackMaker::new(&modules, ten_x64::around, ten_x64::INNERMOST);
        for number in [0, 1, 11, 12, 1_727, 1_728, 400_000] {
            let slow = logged_stack(&modules, &ten_x64::around(calls(number)), ten_x64::INNERMOST);
            assert_eq!(maker.stack(number), slow);
            assert!(slow.len() <= 32);
        }
        let stacks: BTreeSet<_> = (0..30_000).map(|number| maker.stack(number)).collect();
        assert_eq!(stacks.len(), 30_000);
    }
}
