//! Typed indexes, so that a dump's number cannot be used as a module's.

use serde::{Deserialize, Serialize};

/// Position of a dump in its series, in time order, from 0. People see it from 1: `Display` adds the one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct DumpIdx(pub usize);

/// Position of a module in its dump's module list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ModuleIdx(pub usize);

/// Position of a heap in its PEB's list of process heaps, from 0. People see it from 1, as `!heap` numbers them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct HeapIdx(pub usize);

/// Position of a UMDH log in time order, from 0. People see it as `log 1`: `Display` adds the one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct LogIdx(pub usize);

impl std::fmt::Display for LogIdx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.saturating_add(1))
    }
}

impl std::fmt::Display for DumpIdx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.saturating_add(1))
    }
}
