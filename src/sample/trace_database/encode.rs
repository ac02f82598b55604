//! The bytes of the database: entries and pointers first, then the header, which counts them.
//!
//! A new entry goes to the front of its bucket, so HashChain names the entry of the bucket before it, and the bucket its newest.

use super::{EncodedDatabase, Generation, TraceDatabase, pages_bytes};
use crate::base::addr::{PointerWidth, Va};
use crate::sample::error::SampleError;
use crate::sample::le_bytes::LeBytes;

/// What is the same in all entries of one stack.
struct PreparedStack {
    bucket: usize,
    depth: u16,
    block_depth: u32,
    /// The addresses, and zeros up to the end of the block.
    slots: Vec<u8>,
}

/// The newest entry of a bucket, and how many there are.
#[derive(Clone, Copy, Default)]
struct Bucket {
    newest: Va,
    entry_count: u64,
}

impl TraceDatabase {
    /// The database as bytes.
    pub fn encode(&self) -> Result<EncodedDatabase, SampleError> {
        let pointer_bytes = usize::try_from(self.shape.width.bytes()).unwrap_or(8);
        let prepared: Vec<_> = self.stacks.iter().map(|stack| self.prepare(stack)).collect();
        let mut buckets = vec![Bucket::default(); self.bucket_count as usize];
        let first_entry_offset = self.shape.first_entry_offset(self.bucket_count);
        let mut lower = LeBytes::zeroed(usize::try_from(first_entry_offset).unwrap_or(usize::MAX));
        let mut upper = LeBytes::zeroed(self.entries.len() * pointer_bytes);
        let mut places = Vec::with_capacity(self.entries.len());

        for (position, entry) in self.entries.iter().enumerate() {
            let va = Va(self.base.0 + lower.len() as u64);
            let Some(stack) = prepared.get(entry.stack_index) else { continue };
            let Some(bucket) = buckets.get_mut(stack.bucket) else { continue };
            self.push_entry(&mut lower, stack, bucket.newest, entry.use_count, position + 1);
            *bucket = Bucket { newest: va, entry_count: bucket.entry_count + 1 };
            places.push(va);
            // Index 1 has the highest pointer.
            upper.put_pointer(self.shape.width, (self.entries.len() - 1 - position) * pointer_bytes, va);
        }
        let needed_bytes = pages_bytes(lower.len()) + pages_bytes(upper.len());
        if needed_bytes > self.reserved_bytes {
            let what = format!("the stack trace database at {}", self.base);
            return Err(SampleError::DoesNotFit { what, needed_bytes, available_bytes: self.reserved_bytes });
        }
        self.put_header(&mut lower, upper.len(), &buckets);
        Ok(EncodedDatabase { lower: lower.into_vec(), upper: upper.into_vec(), places })
    }

    fn prepare(&self, stack: &[Va]) -> PreparedStack {
        // The hash is the 32-bit sum of the low halves.
        let hash = stack.iter().fold(0_u32, |hash, va| hash.wrapping_add((va.0 & 0xffff_ffff) as u32));
        let depth = stack.len() as u64;
        let slot_bytes = self.shape.entry_bytes(depth) - self.shape.entry_header_bytes();
        let mut slots = LeBytes::default();
        for va in stack {
            slots.push_pointer(self.shape.width, *va);
        }
        slots.push_zeros(usize::try_from(slot_bytes).unwrap_or_default().saturating_sub(slots.len()));
        PreparedStack {
            bucket: (hash % self.bucket_count.max(1)) as usize,
            depth: u16::try_from(depth).unwrap_or(u16::MAX),
            block_depth: self.shape.block_depth(depth) as u32,
            slots: slots.into_vec(),
        }
    }

    fn push_entry(&self, lower: &mut LeBytes, stack: &PreparedStack, chain: Va, use_count: u32, index: usize) {
        lower.push_pointer(self.shape.width, chain);
        let index = index as u32;
        match self.shape.generation {
            Generation::Xp => lower.push_u32(use_count),
            Generation::Vista | Generation::Seven => {
                lower.push_u32((use_count & super::SATURATED_COUNT) | stack.block_depth << 11 | (index >> 16) << 16)
            }
        };
        lower.push_u32((index & 0xffff) | u32::from(stack.depth) << 16).push(&stack.slots);
    }

    fn put_header(&self, lower: &mut LeBytes, upper_bytes: usize, buckets: &[Bucket]) {
        let (places, width) = (self.shape.header(), self.shape.width);
        let end = Va(self.base.0 + self.reserved_bytes);
        let lower_end = Va(self.base.0 + lower.len() as u64);
        let limits = [
            self.base,
            Va(self.base.0 + pages_bytes(lower.len())),
            Va(end.0 - pages_bytes(upper_bytes)),
            lower_end,
            Va(end.0 - upper_bytes as u64),
        ];
        let step = if width == PointerWidth::Bits64 { 8 } else { 4 };
        for (number, limit) in limits.into_iter().enumerate() {
            lower.put_pointer(width, places.commit_base + number * step, limit);
        }
        let counts_at = places.commit_base + limits.len() * step;
        let entry_count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        // Every entry here has an index.
        lower.put_u32(counts_at, self.lookup_count).put_u32(counts_at + 4, entry_count);
        lower.put_pointer(width, counts_at + 8, end);
        if let Some((peak_at, lower_start_at)) = places.since_seven {
            let peak = buckets.iter().map(|bucket| bucket.entry_count).max().unwrap_or_default();
            lower.put_pointer(width, peak_at, Va(peak));
            let first_entry = Va(self.base.0 + self.shape.first_entry_offset(self.bucket_count));
            lower.put_pointer(width, lower_start_at, first_entry);
            // Allocated, available (no free blocks, so the free lists behind are empty too), failures.
            let after_array = counts_at + 8 + step;
            lower.put_u32(after_array, entry_count).put_u32(after_array + 8, self.failure_count);
        }
        lower.put_u32(places.bucket_count, self.bucket_count);
        for (number, bucket) in buckets.iter().enumerate() {
            lower.put_pointer(width, places.buckets + number * places.bucket_bytes, bucket.newest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DatabaseShape, TraceDatabase, TraceEntry};
    use super::*;
    use crate::base::bytes::{u16_at, u32_at, u64_at};

    fn database(shape: DatabaseShape) -> TraceDatabase {
        let entry = |stack_index, use_count| TraceEntry { stack_index, use_count };
        TraceDatabase {
            base: Va(0x10_0000),
            reserved_bytes: 0x10_0000,
            shape,
            bucket_count: 5569,
            stacks: vec![vec![Va(0x1_0000_5001), Va(0x6001)], vec![Va(0x7001)]],
            entries: vec![entry(0, 0x7ff), entry(1, 3), entry(0, 9)],
            lookup_count: 0x80b,
            failure_count: 0,
        }
    }

    #[test]
    fn chains_buckets_and_pointers_agree() {
        let encoded = database(DatabaseShape::SEVEN_X64).encode().unwrap();
        let first = 0x1_5f00;
        assert_eq!(encoded.places, database(DatabaseShape::SEVEN_X64).places(3));
        // Blocks of 32 bytes each for two frames and for one.
        assert_eq!(encoded.lower.len(), 0x1_5f60);
        assert_eq!(encoded.places, [0, 0x20, 0x40].map(|at| Va(0x10_0000 + first + at)));
        assert_eq!(u64_at(&encoded.lower, first + 0x40), Some(0x10_0000 + first));
        assert_eq!(u64_at(&encoded.lower, first + 0x20), Some(0));
        assert_eq!(u16_at(&encoded.lower, first + 8), Some(0x0fff));
        let bucket = 0x2d8 + 16 * (0xb002 % 5569);
        assert_eq!(u64_at(&encoded.lower, bucket), Some(0x10_0000 + first + 0x40));
        let pointers: Vec<_> = (0..3).map(|slot| u64_at(&encoded.upper, slot * 8).unwrap() - 0x10_0000).collect();
        assert_eq!(pointers, [first + 0x40, first + 0x20, first]);
    }

    #[test]
    fn xp_counts_with_32_bits_and_has_no_block_depth() {
        let encoded = database(DatabaseShape::XP_X86).encode().unwrap();
        let first = 0x6c + 4 * 5569;
        assert_eq!(encoded.places, database(DatabaseShape::XP_X86).places(3));
        assert_eq!(u32_at(&encoded.lower, first + 4), Some(0x7ff));
        assert_eq!(u32_at(&encoded.lower, first + 8), Some(2 << 16 | 1));
        assert_eq!(encoded.lower.len() as u64, first + 20 + 16 + 20);
        assert_eq!(u32_at(&encoded.lower, 0x60), Some(3));
    }

    #[test]
    fn vista_has_the_entries_of_seven_and_buckets_without_locks() {
        let encoded = database(DatabaseShape::VISTA_X64).encode().unwrap();
        let first = 0x1d8 + 8 * 5569;
        assert_eq!(u16_at(&encoded.lower, first + 8), Some(0x0fff));
        assert_eq!(encoded.lower.len() as u64, first + 0x60);
        assert_eq!(u64_at(&encoded.lower, 0x1d8 + 8 * (0xb002 % 5569)), Some(0x10_0000 + first + 0x40));
        assert_eq!((u32_at(&encoded.lower, 0x1d0), u64_at(&encoded.lower, 0x78)), (Some(5569), Some(0)));
    }

    #[test]
    fn a_full_reservation_takes_no_more() {
        let mut database = database(DatabaseShape::SEVEN_X64);
        database.reserved_bytes = 0x1_6000;
        assert!(matches!(database.encode(), Err(SampleError::DoesNotFit { .. })));
    }
}
