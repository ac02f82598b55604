//! Whether the hash chains of a store are whole, in one pass and without following them.
//!
//! A chain is whole when each entry whose hash falls into its bucket is pointed at once, by the bucket's head or by an
//! entry of the same bucket. So over a bucket's entries the sum of scrambled places is the sum of scrambled links, its
//! head included. Following the links instead would jump through the whole store once for each entry.
//!
//! Example: head → 30 → 10 → null. Places: 10, 30. Links: 30 (head), 10 (of 30), none (of 10).

/// One bucket: scrambled places less scrambled links, and how many entries fall into it.
#[derive(Clone, Copy, Default)]
struct Bucket {
    difference: u64,
    entry_count: u64,
}

/// Sums of all buckets, or of what one worker saw of them.
pub(super) struct ChainSums {
    buckets: Vec<Bucket>,
}

/// How many buckets a store may have: 10 and 11 have 5569 or 9551.
pub(super) const MAX_BUCKETS: u32 = 1 << 20;

impl ChainSums {
    pub fn new(bucket_count: u32) -> Self {
        Self { buckets: vec![Bucket::default(); bucket_count.min(MAX_BUCKETS) as usize] }
    }

    /// Counts an entry at `va` whose hash is `hash`, and its link.
    pub fn add(&mut self, va: u64, hash: u32, link: u64) {
        let Some(at) = (hash as usize).checked_rem(self.buckets.len()) else { return };
        if let Some(bucket) = self.buckets.get_mut(at) {
            bucket.entry_count = bucket.entry_count.wrapping_add(1);
            bucket.difference = bucket.difference.wrapping_add(scramble(va)).wrapping_sub(scramble(link));
        }
    }

    /// Adds what another worker saw.
    pub fn absorb(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            mine.difference = mine.difference.wrapping_add(theirs.difference);
            mine.entry_count = mine.entry_count.wrapping_add(theirs.entry_count);
        }
    }

    /// Entries of the buckets whose chain is whole; `head` gives a bucket's head where the dump has it.
    pub fn verified_entry_count(&self, head: impl Fn(usize) -> Option<u64>) -> u64 {
        let whole = self.buckets.iter().enumerate().filter(|(at, bucket)| {
            bucket.entry_count > 0 && head(*at).is_some_and(|head| bucket.difference == scramble(head))
        });
        whole.map(|(_, bucket)| bucket.entry_count).fold(0, u64::saturating_add)
    }
}

/// 0, no link, stays 0.
fn scramble(va: u64) -> u64 {
    let mixed = va.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_buckets_with_whole_chains_are_verified() {
        let mut sums = ChainSums::new(2);
        sums.add(0x10, 0, 0);
        sums.add(0x30, 2, 0x10);
        sums.add(0x50, 1, 0x70);
        let heads = [0x30, 0x50];
        assert_eq!(sums.verified_entry_count(|at| heads.get(at).copied()), 2, "the second chain leads to no entry");
        assert_eq!(sums.verified_entry_count(|_| None), 0, "heads that are not in the dump prove nothing");
    }
}
