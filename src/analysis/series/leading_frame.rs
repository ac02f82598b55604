//! Names of frames, and the first frame that matters: the rules by which allocator and runtime are passed over.

use serde::{Deserialize, Serialize};

use crate::base::addr::{PointerWidth, Va};
use crate::input::symbols::{SymbolName, SymbolTable};

/// Whose frames say how memory is allocated, not who asked for it. A `*` in a name stands for anything.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SkipRules {
    /// As WinDbg names modules: `ntdll`.
    pub modules: Vec<String>,
    /// Functions that a program has from its runtime library, linked in.
    pub functions: Vec<String>,
}

impl Default for SkipRules {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            modules: owned(&[
                "ntdll",
                "kernel32",
                "kernelbase",
                "ucrtbase*",
                "msvcrt*",
                "msvcr*",
                "msvcp*",
                "vcruntime*",
                "verifier",
                "vrfcore",
                "vfbasics",
            ]),
            functions: owned(&[
                "malloc*",
                "calloc*",
                "realloc*",
                "free",
                "_malloc_*",
                "_calloc_*",
                "_realloc_*",
                "_heap_alloc*",
                "_nh_malloc*",
                "operator new*",
                "std::_Allocate*",
                "std::allocator*",
            ]),
        }
    }
}

impl SkipRules {
    /// One rule a line, as they are edited. Empty lines are no rules.
    pub fn parse_lines(text: &str) -> Vec<String> {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    pub fn skips(&self, name: &SymbolName<'_>) -> bool {
        let is_of = |rules: &[String], text: &str| rules.iter().any(|rule| matches_pattern(rule, text));
        is_of(&self.modules, name.module) || name.function.is_some_and(|function| is_of(&self.functions, function))
    }
}

/// Whether a name fits a pattern, whatever its case. Each `*` takes as little as it can: linear but for the stars.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_lowercase(), name.to_lowercase());
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = name.find(part) else { return false };
        name = name.get(at + part.len()..).unwrap_or_default();
    }
    name.ends_with(last)
}

/// Names a return address. The name is of the caller that is returned into, as `dps` shows it.
pub fn frame_text(symbols: &SymbolTable, va: Va, width: PointerWidth) -> String {
    symbols.name_of(va).map_or_else(|| va.windbg(width), |name| name.to_string())
}

/// Names the function of a return address, as a tree of calls does.
pub fn function_text(symbols: &SymbolTable, va: Va, width: PointerWidth) -> String {
    match symbols.name_of(va) {
        Some(SymbolName { module, function: Some(function), .. }) => format!("{module}!{function}"),
        Some(name) => name.to_string(),
        None => va.windbg(width),
    }
}

/// The first frame, from the inside, that no rule passes over: who asked. Frames without a module are passed over too; the
/// innermost frame where nothing is left.
pub fn leading_frame(symbols: &SymbolTable, rules: &SkipRules, frames: impl Iterator<Item = Va>) -> Option<Va> {
    let mut innermost = None;
    for va in frames {
        innermost = innermost.or(Some(va));
        if symbols.name_of(va).is_some_and(|name| !rules.skips(&name)) {
            return Some(va);
        }
    }
    innermost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name) in [
            ("ntdll", "NTDLL"),
            ("msvcr*", "msvcr120"),
            ("operator new*", "operator new[]"),
            ("*alloc*", "_heap_alloc"),
            ("a*b*c", "aXbYbc"),
        ] {
            assert!(matches_pattern(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("ntdll", "ntdll2"), ("msvcr*", "xmsvcr"), ("a*a", "a"), ("a*b*c", "acb")] {
            assert!(!matches_pattern(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn rules_come_from_lines() {
        assert_eq!(SkipRules::parse_lines(" ntdll \n\n msvcr*\n"), ["ntdll", "msvcr*"]);
    }
}
