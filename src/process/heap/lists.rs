//! Follows the lists of a heap, whatever they look like.
//!
//! **Invariant:** every list ends: links are taken from a budget that all heaps of a process share, and a link that was seen
//! is not followed again.

use std::collections::BTreeSet;

use crate::base::addr::{PointerWidth, Va};
use crate::base::memory::{self, ReadMemory};
use crate::base::problems::Problems;

/// Links of all heaps of a process together. A 32-bit process has room for 65,536 allocations; more than this come from
/// lists made to lead many heaps through the same links.
pub const LINK_BUDGET: usize = 1 << 20;

/// What is needed to follow one heap's lists.
pub(super) struct ListReader<'a> {
    pub memory: &'a dyn ReadMemory,
    pub width: PointerWidth,
    pub heap: Va,
    pub link_budget: &'a mut usize,
    /// Whether every list so far was followed to its end.
    pub is_whole: bool,
}

impl ListReader<'_> {
    /// Addresses of the links of a LIST_ENTRY list whose head is at `head`, in order; what a broken list still gives, with
    /// a problem record.
    pub fn linked(&mut self, head: Va, name: &str, problems: &mut Problems) -> Vec<Va> {
        self.chain(head, head, name, problems)
    }

    /// The same for a list that ends with a null pointer, whose first element `at` points at.
    pub fn single(&mut self, at: Va, name: &str, problems: &mut Problems) -> Vec<Va> {
        self.chain(at, Va(0), name, problems)
    }

    /// How long a LIST_ENTRY list is, in no memory: for long lists. `None`, with a problem record, where it does not end in
    /// `most` links or is not all there.
    pub fn length(&mut self, head: Va, name: &str, most: u64, problems: &mut Problems) -> Option<u64> {
        let place = format!("heap {}", self.heap);
        // Brent: a mark moves on to where the walk stands after each power of two; a walk in a circle comes back to it.
        let (mut at, mut mark, mut mark_again_at, mut length) = (head, head, 1_u64, 0_u64);
        loop {
            let Some(next) = memory::pointer_at(self.memory, at, self.width) else {
                problems.missing(place, format!("the {name} goes on at {at}, which is not in the dump"));
                return None;
            };
            if next == head {
                return Some(length);
            }
            if next == mark {
                problems.damage(place, format!("the {name} does not end: it comes back to {next}"));
                return None;
            }
            if length == most {
                problems
                    .damage(place, format!("the {name} goes on at {next} after too many links; the rest is left out"));
                return None;
            }
            length = length.saturating_add(1);
            at = next;
            if length == mark_again_at {
                mark = at;
                mark_again_at = mark_again_at.saturating_mul(2);
            }
        }
    }

    fn chain(&mut self, first: Va, end: Va, name: &str, problems: &mut Problems) -> Vec<Va> {
        let place = format!("heap {}", self.heap);
        let mut links = Vec::new();
        let mut seen = BTreeSet::new();
        let mut at = first;
        loop {
            let Some(next) = memory::pointer_at(self.memory, at, self.width) else {
                self.is_whole = false;
                problems.missing(place, format!("the {name} goes on at {at}, which is not in the dump"));
                return links;
            };
            if next == end {
                return links;
            }
            if !seen.insert(next) {
                self.is_whole = false;
                problems.damage(place, format!("the {name} does not end: it comes back to {next}"));
                return links;
            }
            let Some(budget) = self.link_budget.checked_sub(1) else {
                self.is_whole = false;
                problems
                    .damage(place, format!("the {name} goes on at {next} after too many links; the rest is left out"));
                return links;
            };
            *self.link_budget = budget;
            links.push(next);
            at = next;
        }
    }
}
