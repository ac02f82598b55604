//! The different stacks of a series, side by side with what each dump has of them.
//!
//! Frames are kept as numbers of addresses, because the same few thousand call sites make up all stacks: a filter or a
//! name is worked out once for an address, not once for a frame.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::base::addr::{PointerWidth, Va};

/// Stacks of one series that are kept apart. Of a series with more, those that the last dumps have are kept.
const MOST_STACKS: usize = 1 << 19;

/// What one dump has of a stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(into = "CountNumbers", from = "CountNumbers")]
pub struct StackCounts {
    pub entry_count: u64,
    /// Sum of the entries' trace counts, each of which stops at 0x7ff.
    pub use_count: u64,
    pub saturated_entry_count: u64,
    /// Memory of the stores that its entries take.
    pub store_bytes: u64,
    /// The lowest of its entries; null where there is none.
    pub first_entry: Va,
}

/// Counts in a file: the fields in their order, because millions of names would be most of it.
type CountNumbers = (u64, u64, u64, u64, Va);

impl From<StackCounts> for CountNumbers {
    fn from(counts: StackCounts) -> Self {
        let StackCounts { entry_count, use_count, saturated_entry_count, store_bytes, first_entry } = counts;
        (entry_count, use_count, saturated_entry_count, store_bytes, first_entry)
    }
}

impl From<CountNumbers> for StackCounts {
    fn from((entry_count, use_count, saturated_entry_count, store_bytes, first_entry): CountNumbers) -> Self {
        Self { entry_count, use_count, saturated_entry_count, store_bytes, first_entry }
    }
}

/// Number of an address among those that occur in the stacks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct AddressIdx(pub u32);

impl AddressIdx {
    pub const fn position(self) -> usize {
        self.0 as usize
    }
}

/// Which stacks of a dump are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Coverage {
    /// No store that could be decoded: nothing is known.
    None,
    /// Some stacks were counted and not kept: what is not there is not known.
    Part,
    /// All: what is not there has no entry.
    Whole,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(into = "(u32, u16, PointerWidth)", from = "(u32, u16, PointerWidth)")]
struct Head {
    frames_start: u32,
    depth: u16,
    width: PointerWidth,
}

impl From<Head> for (u32, u16, PointerWidth) {
    fn from(head: Head) -> Self {
        (head.frames_start, head.depth, head.width)
    }
}

impl From<(u32, u16, PointerWidth)> for Head {
    fn from((frames_start, depth, width): (u32, u16, PointerWidth)) -> Self {
        Self { frames_start, depth, width }
    }
}

/// See the file's head. Stacks are named by their position.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SeriesStacks {
    dumps: Vec<Coverage>,
    addresses: Vec<Va>,
    frames: Vec<AddressIdx>,
    heads: Vec<Head>,
    /// One for each dump of each stack.
    counts: Vec<StackCounts>,
    /// Stacks that were counted and not kept.
    pub left_out_count: u64,
    /// A stack with so many frames most likely lacks its outer ones.
    pub cut_off_depth: Option<u16>,
}

impl SeriesStacks {
    /// Whether the outer frames of a stack are most likely cut off.
    pub fn is_cut_off(&self, stack: usize) -> bool {
        let depth = self.heads.get(stack).map(|head| head.depth);
        depth.zip(self.cut_off_depth).is_some_and(|(depth, most)| depth >= most)
    }

    pub const fn len(&self) -> usize {
        self.heads.len()
    }

    pub const fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    pub const fn dump_count(&self) -> usize {
        self.dumps.len()
    }

    /// Which stacks of a dump are known.
    pub fn coverage(&self, dump: usize) -> Coverage {
        self.dumps.get(dump).copied().unwrap_or(Coverage::None)
    }

    /// Different addresses in all stacks, by their number.
    pub fn addresses(&self) -> &[Va] {
        &self.addresses
    }

    /// Numbers of a stack's return addresses, innermost first.
    pub fn frame_ids(&self, stack: usize) -> &[AddressIdx] {
        let head = self.heads.get(stack);
        let range = head.map(|head| head.frames_start as usize..head.frames_start as usize + usize::from(head.depth));
        range.and_then(|range| self.frames.get(range)).unwrap_or_default()
    }

    /// A stack's return addresses, innermost first.
    pub fn frames(&self, stack: usize) -> impl ExactSizeIterator<Item = Va> + '_ {
        self.frame_ids(stack).iter().map(|id| self.addresses.get(id.position()).copied().unwrap_or_default())
    }

    /// Whether a stack's addresses are those of 32-bit or of 64-bit code.
    pub fn width(&self, stack: usize) -> PointerWidth {
        self.heads.get(stack).map_or(PointerWidth::Bits64, |head| head.width)
    }

    /// What a dump has of a stack; `None` where that is not known.
    pub fn counts(&self, stack: usize, dump: usize) -> Option<StackCounts> {
        let coverage = *self.dumps.get(dump)?;
        let counts = *self.counts.get(stack.checked_mul(self.dumps.len())?.checked_add(dump)?)?;
        match coverage {
            Coverage::None => None,
            Coverage::Part => Some(counts).filter(|counts| counts.entry_count > 0),
            Coverage::Whole => Some(counts),
        }
    }

    pub fn entry_count(&self, stack: usize, dump: usize) -> Option<u64> {
        self.counts(stack, dump).map(|counts| counts.entry_count)
    }

    /// The first and the last dump that have an entry with this stack.
    pub fn first_and_last(&self, stack: usize) -> Option<(usize, usize)> {
        let has_entries = |dump: &usize| self.entry_count(stack, *dump).is_some_and(|count| count > 0);
        Some(((0..self.dumps.len()).find(has_entries)?, (0..self.dumps.len()).rev().find(has_entries)?))
    }
}

/// Joins the stacks of dumps one after the other.
pub(super) struct Joining {
    stacks: SeriesStacks,
    address_ids: HashMap<Va, AddressIdx>,
    /// The newest stack with this hash.
    by_hash: HashMap<u64, u32>,
    /// For each stack, the older one with the same hash.
    older: Vec<Option<u32>>,
}

/// A stack as one dump has it.
pub(super) struct Found<'a> {
    /// Equal for equal stacks.
    pub hash: u64,
    pub frames: &'a [Va],
    pub width: PointerWidth,
    pub counts: StackCounts,
}

impl Joining {
    /// `cut_off_depth`: see [`SeriesStacks`].
    pub fn new(dump_count: usize, cut_off_depth: Option<u16>) -> Self {
        let dumps = vec![Coverage::None; dump_count];
        let stacks = SeriesStacks { dumps, cut_off_depth, ..SeriesStacks::default() };
        Self { stacks, address_ids: HashMap::new(), by_hash: HashMap::new(), older: Vec::new() }
    }

    /// Says that a dump has a store, and whether all of its stacks follow.
    pub fn cover(&mut self, dump: usize, left_out_count: u64) {
        let has_all = left_out_count == 0;
        if let Some(coverage) = self.stacks.dumps.get_mut(dump) {
            *coverage = match *coverage {
                Coverage::None | Coverage::Whole if has_all => Coverage::Whole,
                _ => Coverage::Part,
            };
        }
        self.stacks.left_out_count = self.stacks.left_out_count.max(left_out_count);
    }

    pub fn add(&mut self, dump: usize, found: &Found<'_>) {
        let known = self.position(found);
        let Some(stack) = known.or_else(|| self.insert(found)) else {
            self.cover(dump, 1);
            return;
        };
        let at = stack.saturating_mul(self.stacks.dumps.len()).saturating_add(dump);
        let Some(counts) = self.stacks.counts.get_mut(at) else { return };
        counts.entry_count = counts.entry_count.saturating_add(found.counts.entry_count);
        counts.use_count = counts.use_count.saturating_add(found.counts.use_count);
        counts.saturated_entry_count = counts.saturated_entry_count.saturating_add(found.counts.saturated_entry_count);
        counts.store_bytes = counts.store_bytes.saturating_add(found.counts.store_bytes);
        if counts.first_entry.is_null() {
            counts.first_entry = found.counts.first_entry;
        }
    }

    fn position(&self, found: &Found<'_>) -> Option<usize> {
        let mut at = self.by_hash.get(&found.hash).copied();
        while let Some(candidate) = at {
            let position = candidate as usize;
            let is_equal = self.stacks.width(position) == found.width
                && self.stacks.frames(position).eq(found.frames.iter().copied());
            if is_equal {
                return Some(position);
            }
            at = self.older.get(position).copied().flatten();
        }
        None
    }

    fn insert(&mut self, found: &Found<'_>) -> Option<usize> {
        let position = self.stacks.heads.len();
        let number = u32::try_from(position).ok().filter(|_| position < MOST_STACKS)?;
        let frames_start = u32::try_from(self.stacks.frames.len()).ok()?;
        let depth = u16::try_from(found.frames.len()).ok()?;
        for va in found.frames {
            let next = AddressIdx(u32::try_from(self.stacks.addresses.len()).ok()?);
            let id = *self.address_ids.entry(*va).or_insert(next);
            if id == next {
                self.stacks.addresses.push(*va);
            }
            self.stacks.frames.push(id);
        }
        self.stacks.heads.push(Head { frames_start, depth, width: found.width });
        self.stacks.counts.resize(self.stacks.counts.len() + self.stacks.dumps.len(), StackCounts::default());
        self.older.push(self.by_hash.insert(found.hash, number));
        Some(position)
    }

    /// The stacks, those with most entries in the last dump first; of equal ones, the shorter, then the lower first.
    pub fn finish(mut self) -> SeriesStacks {
        let stacks = &mut self.stacks;
        let dump_count = stacks.dumps.len();
        let Some(last) = dump_count.checked_sub(1) else { return self.stacks };
        let mut order: Vec<usize> = (0..stacks.heads.len()).collect();
        let frames_key = |stack: usize| (stacks.frame_ids(stack).len(), stacks.frames(stack).next());
        order.sort_by(|a, b| {
            let by_entries = stacks.entry_count(*b, last).cmp(&stacks.entry_count(*a, last));
            by_entries
                .then_with(|| frames_key(*a).cmp(&frames_key(*b)))
                .then_with(|| stacks.frames(*a).cmp(stacks.frames(*b)))
        });
        let counts = order.iter().flat_map(|stack| {
            let start = stack * dump_count;
            stacks.counts.get(start..start + dump_count).unwrap_or_default().iter().copied()
        });
        let counts = counts.collect();
        stacks.heads = order.iter().filter_map(|stack| stacks.heads.get(*stack).copied()).collect();
        stacks.counts = counts;
        self.stacks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(frames: &[Va], entry_count: u64) -> Found<'_> {
        // All of one hash: only the frames tell them apart.
        let counts = StackCounts { entry_count, ..StackCounts::default() };
        Found { hash: 7, frames, width: PointerWidth::Bits64, counts }
    }

    #[test]
    fn stacks_of_one_hash_are_told_apart_and_counted_by_dump() {
        let (a, b) = ([Va(1), Va(2)], [Va(1), Va(3)]);
        let mut joining = Joining::new(3, None);
        joining.cover(0, 0);
        joining.add(0, &found(&a, 5));
        joining.cover(1, 0);
        joining.add(1, &found(&b, 9));
        joining.add(1, &found(&a, 6));
        let stacks = joining.finish();
        let rows: Vec<Vec<_>> =
            (0..stacks.len()).map(|stack| (0..3).map(|dump| stacks.entry_count(stack, dump)).collect()).collect();
        assert_eq!(rows, [[Some(5), Some(6), None], [Some(0), Some(9), None]]);
        assert_eq!(stacks.frames(1).collect::<Vec<_>>(), b);
        assert_eq!(stacks.addresses().len(), 3);
        assert_eq!((stacks.first_and_last(0), stacks.first_and_last(1)), (Some((0, 1)), Some((1, 1))));
    }

    #[test]
    fn what_a_partly_known_dump_lacks_is_not_known() {
        let mut joining = Joining::new(2, None);
        joining.cover(0, 0);
        joining.cover(1, 12);
        joining.add(0, &found(&[Va(1)], 5));
        let stacks = joining.finish();
        assert_eq!((stacks.entry_count(0, 0), stacks.entry_count(0, 1)), (Some(5), None));
        assert_eq!(stacks.left_out_count, 12);
    }
}
