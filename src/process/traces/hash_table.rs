//! Positions in a list by hash: open addressing, linear probing, at most half full. What is equal the caller says.
//!
//! **Invariant:** at least half of the slots are empty, so that every search ends.

/// See the file's head.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Upper half: of the hash. Lower half: position + 1; 0 is an empty slot.
    slots: Vec<u64>,
    filled_count: usize,
}

const HASH_PART: u64 = 0xffff_ffff_0000_0000;
const POSITION_PART: u64 = 0xffff_ffff;
const FIRST_SLOT_COUNT: usize = 64;

/// The position in a slot whose part of the hash fits.
fn position_in(slot: u64, hash: u64) -> Option<usize> {
    let position = (slot & POSITION_PART).checked_sub(1)?;
    (slot & HASH_PART == hash & HASH_PART).then_some(())?;
    usize::try_from(position).ok()
}

impl Table {
    pub fn with_room_for(count: usize) -> Self {
        let slot_count = count.saturating_mul(2).saturating_add(1).checked_next_power_of_two().unwrap_or(0);
        Self { slots: vec![0; slot_count.max(FIRST_SLOT_COUNT)], filled_count: 0 }
    }

    pub fn find(&self, hash: u64, is_equal: impl Fn(usize) -> bool) -> Option<usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = slot_of(hash);
        loop {
            let slot = *self.slots.get(at & mask)?;
            if slot == 0 {
                return None;
            }
            if let Some(position) = position_in(slot, hash).filter(|position| is_equal(*position)) {
                return Some(position);
            }
            at = at.wrapping_add(1);
        }
    }

    /// `hash` must not be in the table with this position. Positions past 32 bits are left out: 4 billion stacks.
    pub fn insert(&mut self, hash: u64, position: usize) {
        if self.filled_count >= self.slots.len() / 2 {
            self.grow();
        }
        let stored = (position as u64).saturating_add(1);
        if stored <= POSITION_PART {
            self.put(hash, stored);
        }
    }

    fn put(&mut self, hash: u64, stored: u64) {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = slot_of(hash);
        while let Some(slot) = self.slots.get_mut(at & mask) {
            if *slot == 0 {
                *slot = (hash & HASH_PART) | stored;
                self.filled_count = self.filled_count.saturating_add(1);
                return;
            }
            at = at.wrapping_add(1);
        }
    }

    /// The slot is taken from the stored half of the hash, so growing needs nothing but the slots.
    fn grow(&mut self) {
        let slot_count = self.slots.len().saturating_mul(2).max(FIRST_SLOT_COUNT);
        let old = std::mem::replace(&mut self.slots, vec![0; slot_count]);
        self.filled_count = 0;
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            self.put(slot & HASH_PART, slot & POSITION_PART);
        }
    }
}

fn slot_of(hash: u64) -> usize {
    usize::try_from(hash >> 32).unwrap_or(0)
}
