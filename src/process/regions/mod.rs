//! The address space of the process: every region with its state, type, protection and use.
//!
//! **Invariant:** regions are sorted by address and do not overlap; together they cover exactly what the dump describes.

pub mod claims;
pub mod map;
pub mod totals;
pub mod usage;

use serde::{Deserialize, Serialize};

use crate::base::addr::{Va, VaRange};
use usage::{Owner, Usage};

/// MEM_COMMIT, MEM_RESERVE, MEM_FREE.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum State {
    Commit,
    Reserve,
    Free,
}

/// MEM_IMAGE, MEM_MAPPED, MEM_PRIVATE.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum MemoryType {
    Image,
    Mapped,
    Private,
}

impl MemoryType {
    pub const ALL: [Self; 3] = [Self::Image, Self::Mapped, Self::Private];
}

/// One run of pages alike in everything, their use included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Region {
    pub range: VaRange,
    /// Where the allocation began that the pages belong to; `None` for free pages, and where the dump does not say.
    pub allocation_base: Option<Va>,
    pub state: State,
    /// `None` for free pages, and where the dump does not say.
    pub memory_type: Option<MemoryType>,
    /// PAGE_* value; `None` where the dump does not say (0 is what Windows reports for reserved pages).
    pub protect: Option<u32>,
    pub usage: Usage,
    pub owner: Owner,
}

/// How much of the truth a map holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Completeness {
    /// The dump has a memory info list: every region of the address space is known.
    Complete,
    /// No memory info list, or one that is cut off or damaged: the map shows what is known, and no total is the process's.
    /// Even a dump with full memory lacks the pages that cannot be read, and without the list nothing tells the reserved
    /// pages of an image from committed ones.
    Partial,
}

/// The map of one process.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AddressSpace {
    pub regions: Vec<Region>,
    pub completeness: Completeness,
    pub totals: totals::Totals,
}

impl AddressSpace {
    /// The region that holds an address.
    pub fn region_at(&self, va: Va) -> Option<&Region> {
        let after = self.regions.partition_point(|region| region.range.start <= va);
        self.regions.get(after.checked_sub(1)?).filter(|region| region.range.contains(va))
    }
}
