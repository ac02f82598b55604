//! What the blocks of one heap add up to: counts and sizes by kind, by size, and by the stack that allocated them.
//!
//! **Invariant:** memory is bounded: sizes are counted in a table with a row for each size that a header can say, stacks up
//! to [`MOST_STACKS`], the others together.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher};

use serde::{Deserialize, Serialize};

use crate::base::addr::{Va, VaRange};

use super::block::{Block, BlockKind, BlockSink, Loss, Trace};

/// Stacks of one heap that are counted apart. Of a heap with more, the ones met first; the others are counted together.
pub const MOST_STACKS: usize = 1 << 19;
/// Places of damage that are named.
const MOST_PLACES: usize = 32;

/// Blocks, and what they take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Amount {
    pub block_count: u64,
    /// With headers and rests.
    pub block_bytes: u64,
    /// What was asked for; of blocks in use.
    pub user_bytes: u64,
}

impl Amount {
    fn add_block(&mut self, block: &Block) {
        self.block_count = self.block_count.saturating_add(1);
        self.block_bytes = self.block_bytes.saturating_add(block.size_bytes);
        self.user_bytes = self.user_bytes.saturating_add(block.user_bytes.unwrap_or(0));
    }

    pub const fn add(&mut self, other: &Self) {
        self.block_count = self.block_count.saturating_add(other.block_count);
        self.block_bytes = self.block_bytes.saturating_add(other.block_bytes);
        self.user_bytes = self.user_bytes.saturating_add(other.user_bytes);
    }

    pub const fn is_zero(&self) -> bool {
        self.block_count == 0
    }
}

/// Blocks of one size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SizeCount {
    pub in_use: Amount,
    pub free: Amount,
}

/// A place where blocks could not be read, or did not fit together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct DamagedPlace {
    pub range: VaRange,
    /// `None`: a header whose PreviousSize is not the size of the block before.
    pub loss: Option<Loss>,
}

/// All blocks of a heap, added up.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BlockTotals {
    by_kind: BTreeMap<BlockKind, Amount>,
    /// By the size of the whole block, ascending.
    pub sizes: Vec<(u64, SizeCount)>,
    /// By the stack that allocated them; blocks in use. Not in a case capsule, which has them joined with the stacks.
    #[serde(skip)]
    pub stacks: HashMap<Trace, Amount>,
    /// Blocks whose stack was not counted apart.
    pub other_stacks: Amount,
    pub largest_in_use: Option<Block>,
    pub largest_free: Option<Block>,
    /// Blocks in use whose user part could not be read.
    pub unknown_user_part_count: u64,
    pub bad_header_count: u64,
    pub broken_chain_count: u64,
    pub lost_bytes: u64,
    pub missing_bytes: u64,
    pub unknown_container_count: u64,
    pub unknown_container_bytes: u64,
    /// The first of them, by address.
    pub damaged_places: Vec<DamagedPlace>,
}

impl BlockTotals {
    pub fn of(&self, kind: BlockKind) -> Amount {
        self.by_kind.get(&kind).copied().unwrap_or_default()
    }

    fn sum(&self, is_wanted: impl Fn(BlockKind) -> bool) -> Amount {
        let mut sum = Amount::default();
        for (_, amount) in self.by_kind.iter().filter(|(kind, _)| is_wanted(**kind)) {
            sum.add(amount);
        }
        sum
    }

    /// What the program holds.
    pub fn in_use(&self) -> Amount {
        self.sum(BlockKind::is_in_use)
    }

    /// What can be handed out again, blocks of the front end among it.
    pub fn free(&self) -> Amount {
        self.sum(BlockKind::is_free)
    }

    /// Entries of the segments as `!heap -a` lists them: the entry at the end of each committed run counts, and a container
    /// of the front end is one block.
    pub fn entries(&self) -> Amount {
        self.sum(|kind| !matches!(kind, BlockKind::LfhBusy | BlockKind::LfhFree | BlockKind::Large))
    }

    /// Of those, the ones whose header says busy.
    pub fn busy_entries(&self) -> Amount {
        self.sum(|kind| {
            matches!(kind, BlockKind::Busy | BlockKind::EndOfRun | BlockKind::LfhContainer | BlockKind::Lookaside)
        })
    }

    /// Adds what each stack has here to what it has in other heaps.
    pub fn add_stacks_to(&self, sums: &mut BTreeMap<Trace, Amount>) {
        self.stacks.iter().for_each(|(trace, amount)| sums.entry(*trace).or_default().add(amount));
    }

    /// Whether every block was read, and nothing contradicts itself.
    pub const fn is_undamaged(&self) -> bool {
        self.bad_header_count == 0 && self.broken_chain_count == 0 && self.lost_bytes == 0
    }

    /// Whether all blocks are counted.
    pub const fn is_whole(&self) -> bool {
        self.is_undamaged() && self.missing_bytes == 0 && self.unknown_container_count == 0
    }

    /// Counts a block that was read elsewhere than in a walk.
    pub fn add_block(&mut self, block: &Block) {
        let mut tally = Tally::default();
        tally.block(block);
        self.absorb(tally);
    }

    /// Adds what a worker counted.
    pub(super) fn absorb(&mut self, tally: Tally) {
        for (kind, amount) in BlockKind::ALL.into_iter().zip(&tally.by_kind).filter(|(_, amount)| !amount.is_zero()) {
            self.by_kind.entry(kind).or_default().add(amount);
        }
        let mut sizes: BTreeMap<u64, SizeCount> = std::mem::take(&mut self.sizes).into_iter().collect();
        for (size_bytes, count) in tally.sizes() {
            let sum = sizes.entry(size_bytes).or_default();
            sum.in_use.add(&count.in_use);
            sum.free.add(&count.free);
        }
        self.sizes = sizes.into_iter().collect();
        for (trace, amount) in tally.stacks {
            let is_room = self.stacks.len() < MOST_STACKS;
            match self.stacks.get_mut(&trace) {
                Some(sum) => sum.add(&amount),
                None if is_room => {
                    self.stacks.insert(trace, amount);
                }
                None => self.other_stacks.add(&amount),
            }
        }
        self.other_stacks.add(&tally.other_stacks);
        self.largest_in_use = larger(self.largest_in_use, tally.largest_in_use);
        self.largest_free = larger(self.largest_free, tally.largest_free);
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.unknown_user_part_count, tally.unknown_user_part_count);
        add(&mut self.bad_header_count, tally.bad_header_count);
        add(&mut self.broken_chain_count, tally.broken_chain_count);
        add(&mut self.lost_bytes, tally.lost_bytes);
        add(&mut self.missing_bytes, tally.missing_bytes);
        add(&mut self.unknown_container_count, tally.unknown_container_count);
        add(&mut self.unknown_container_bytes, tally.unknown_container_bytes);
        self.damaged_places.extend(tally.damaged_places);
        self.damaged_places.sort_unstable();
        self.damaged_places.truncate(MOST_PLACES);
    }
}

/// Of equal ones the first, so that the result does not depend on who counted what.
fn larger(a: Option<Block>, b: Option<Block>) -> Option<Block> {
    let (Some(first), Some(second)) = (a, b) else { return a.or(b) };
    let is_larger = (second.size_bytes, first.entry) > (first.size_bytes, second.entry);
    Some(if is_larger { second } else { first })
}

/// Sizes up to this many granules of 8 bytes have a row of their own in the table: all that a header of x86 can say.
const TABLE_ROWS: usize = 1 << 12;
const ROW_BYTES: u64 = 8;
/// Stacks that were met last, each at the place of its address: far more than most heaps have, so that two which meet in a
/// place are rare. 512 KB for each worker, of which only the places in use are touched.
const RECENT_BITS: u32 = 17;

/// What one worker counts.
pub(super) struct Tally {
    by_kind: [Amount; BlockKind::ALL.len()],
    small: Vec<SizeCount>,
    large: BTreeMap<u64, SizeCount>,
    stacks: Vec<(Trace, Amount)>,
    positions: HashMap<Trace, u32, KeyedState>,
    recent: Vec<u32>,
    other_stacks: Amount,
    largest_in_use: Option<Block>,
    largest_free: Option<Block>,
    unknown_user_part_count: u64,
    bad_header_count: u64,
    broken_chain_count: u64,
    lost_bytes: u64,
    missing_bytes: u64,
    unknown_container_count: u64,
    unknown_container_bytes: u64,
    damaged_places: Vec<DamagedPlace>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            by_kind: [Amount::default(); BlockKind::ALL.len()],
            small: Vec::new(),
            large: BTreeMap::new(),
            stacks: Vec::new(),
            positions: HashMap::default(),
            recent: Vec::new(),
            other_stacks: Amount::default(),
            largest_in_use: None,
            largest_free: None,
            unknown_user_part_count: 0,
            bad_header_count: 0,
            broken_chain_count: 0,
            lost_bytes: 0,
            missing_bytes: 0,
            unknown_container_count: 0,
            unknown_container_bytes: 0,
            damaged_places: Vec::new(),
        }
    }
}

impl Tally {
    fn sizes(&self) -> impl Iterator<Item = (u64, SizeCount)> + '_ {
        let small = self.small.iter().enumerate().filter(|(_, count)| !count.in_use.is_zero() || !count.free.is_zero());
        let small = small.map(|(row, count)| ((row as u64).saturating_mul(ROW_BYTES), *count));
        small.chain(self.large.iter().map(|(size_bytes, count)| (*size_bytes, *count)))
    }

    #[inline]
    fn size_row(&mut self, size_bytes: u64) -> &mut SizeCount {
        let row = usize::try_from(size_bytes / ROW_BYTES).unwrap_or(usize::MAX);
        if row < TABLE_ROWS && size_bytes.is_multiple_of(ROW_BYTES) {
            if self.small.len() <= row {
                self.small.resize(TABLE_ROWS, SizeCount::default());
            }
            if let Some(found) = self.small.get_mut(row) {
                return found;
            }
        }
        self.large.entry(size_bytes).or_default()
    }

    #[inline]
    fn count_stack(&mut self, block: &Block) {
        let trace = block.trace;
        if self.recent.is_empty() {
            self.recent.resize(1 << RECENT_BITS, 0);
        }
        let slot = slot_of(trace);
        // Position 0 of an empty place is a stack like another: what lies there is compared.
        let position = self.recent.get(slot).copied().unwrap_or(0) as usize;
        if let Some((known, amount)) = self.stacks.get_mut(position)
            && *known == trace
        {
            amount.add_block(block);
            return;
        }
        let position = match self.positions.get(&trace) {
            Some(position) => *position,
            None if self.stacks.len() < MOST_STACKS => {
                let position = u32::try_from(self.stacks.len()).unwrap_or(u32::MAX);
                self.positions.insert(trace, position);
                self.stacks.push((trace, Amount::default()));
                position
            }
            None => {
                self.other_stacks.add_block(block);
                return;
            }
        };
        if let Some(recent) = self.recent.get_mut(slot) {
            *recent = position;
        }
        if let Some((_, amount)) = self.stacks.get_mut(position as usize) {
            amount.add_block(block);
        }
    }

    fn damage(&mut self, range: VaRange, loss: Option<Loss>) {
        if self.damaged_places.len() < MOST_PLACES {
            self.damaged_places.push(DamagedPlace { range, loss });
        }
    }
}

/// Hashes a trace by one multiplication with a number that nobody knows: a dump made to meet in one place of the table would
/// have to know it, and the standard hash takes longer than the rest of counting a block.
#[derive(Clone)]
struct KeyedState(u64);

impl Default for KeyedState {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0_u8) | 1)
    }
}

impl BuildHasher for KeyedState {
    type Hasher = KeyedHasher;

    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher { key: self.0, state: self.0 }
    }
}

struct KeyedHasher {
    key: u64,
    state: u64,
}

impl Hasher for KeyedHasher {
    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.state = (self.state.rotate_left(26) ^ number).wrapping_mul(self.key);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    #[inline]
    fn write_u16(&mut self, number: u16) {
        self.write_u64(u64::from(number));
    }

    #[inline]
    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        // The table takes its place from the lowest bits and its tag from the highest: the best mixed ones are in the middle.
        self.state ^ (self.state >> 32)
    }
}

fn slot_of(trace: Trace) -> usize {
    let number = match trace {
        Trace::NotKept => 0,
        Trace::Missing => 1,
        Trace::At(va) => va.0 >> 4,
        Trace::Index(index) => u64::from(index),
    };
    usize::try_from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - RECENT_BITS)).unwrap_or(0)
}

impl BlockSink for Tally {
    #[inline]
    fn block(&mut self, block: &Block) {
        if let Some(amount) = self.by_kind.get_mut(block.kind as usize) {
            amount.add_block(block);
        }
        if block.kind.is_in_use() {
            self.size_row(block.size_bytes).in_use.add_block(block);
            if self.largest_in_use.is_none_or(|largest| block.size_bytes > largest.size_bytes) {
                self.largest_in_use = Some(*block);
            }
            if block.user_bytes.is_none() {
                self.unknown_user_part_count = self.unknown_user_part_count.saturating_add(1);
            }
            if block.trace != Trace::NotKept {
                self.count_stack(block);
            }
        } else if block.kind.is_free() {
            self.size_row(block.size_bytes).free.add_block(block);
            if self.largest_free.is_none_or(|largest| block.size_bytes > largest.size_bytes) {
                self.largest_free = Some(*block);
            }
        }
    }

    fn lost(&mut self, range: VaRange, loss: Loss) {
        let bytes = range.size_bytes();
        match loss {
            Loss::NotInDump => {
                self.missing_bytes = self.missing_bytes.saturating_add(bytes);
                return;
            }
            Loss::UnknownContainer => {
                self.unknown_container_count = self.unknown_container_count.saturating_add(1);
                self.unknown_container_bytes = self.unknown_container_bytes.saturating_add(bytes);
            }
            Loss::BadHeader | Loss::PastEnd => {
                self.bad_header_count = self.bad_header_count.saturating_add(1);
                self.lost_bytes = self.lost_bytes.saturating_add(bytes);
            }
        }
        self.damage(range, Some(loss));
    }

    fn broken_chain(&mut self, entry: Va) {
        self.broken_chain_count = self.broken_chain_count.saturating_add(1);
        self.damage(VaRange { start: entry, end: entry }, None);
    }
}
