//! Writes the heap trace log of Windows 10 x64 (`ntdll!RtlpHeapStackTraceLog`): a header, and records in 64 KiB zones.
//!
//! Each zone is an allocation of its own. A record lies behind 0x30 bytes of its block's bookkeeping; a new one goes to the
//! front of its bucket. Layout: `_RTL_MEMORY_ZONE_SEGMENT` as in public headers; header and records as listings of shipped
//! ntdlls show them. The hash is taken to be that of RtlCaptureStackBackTrace, the 32-bit sum of the low halves.

use super::address_space::{AddressSpace, AllocationKind, Run, winnt::PAGE_READWRITE};
use super::le_bytes::LeBytes;
use crate::base::addr::Va;

pub const ZONE_BYTES: u64 = 0x1_0000;
const HEADER_BYTES: usize = 0x1920;
const HEADER_PAGES_BYTES: u64 = 0x2000;
/// Where the header's page has the lookaside that blocks come from.
const LOOKASIDE_OFFSET: u64 = 0x1940;
const BUCKET_COUNT: u32 = 401;
const BUCKETS_AT: usize = 0x10;
const ZONE_HEADER_BYTES: u64 = 0x20;
const BLOCK_HEADER_BYTES: usize = 0x30;

/// Where the log lies and how many zones it fills.
#[derive(Clone, Copy, Debug)]
pub struct HeapTraceLog {
    pub header: Va,
    /// The first zone; the others follow without gaps.
    pub first_zone: Va,
    pub zone_count: u64,
    /// No more records than this.
    pub largest_count: u32,
    /// No more records in one zone than this, and a hole for the rest: what makes a log of gigabytes cost little.
    pub largest_zone_count: u32,
}

impl HeapTraceLog {
    /// Where the first `count` records begin.
    pub fn places(&self, count: u32, stack: impl Fn(u32) -> Vec<Va>) -> Vec<Va> {
        let (mut zone_at, mut at, mut in_zone) = (0, ZONE_HEADER_BYTES, 0);
        let mut places = Vec::new();
        for number in 0..count {
            let block_bytes = block_bytes(&stack(number)) as u64;
            if at + block_bytes > ZONE_BYTES || in_zone == self.largest_zone_count {
                (zone_at, at, in_zone) = (zone_at + ZONE_BYTES, ZONE_HEADER_BYTES, 0);
            }
            places.push(Va(self.first_zone.0 + zone_at + at + BLOCK_HEADER_BYTES as u64));
            at += block_bytes;
            in_zone += 1;
        }
        places
    }

    /// Fills the zones with the stacks number 0, 1, 2 ... that `stack` gives, innermost frame first; returns how many there are.
    pub fn add_to(&self, space: &mut AddressSpace, mut stack: impl FnMut(u32) -> Vec<Va>) -> u32 {
        let mut heads = vec![Va(0); BUCKET_COUNT as usize];
        let mut trace_count = 0;
        let mut next_stack = stack(trace_count);
        for zone_number in 0..self.zone_count {
            let zone = Va(self.first_zone.0 + zone_number * ZONE_BYTES);
            // The newest zone is the first of their list.
            let older = if zone_number == 0 { Va(0) } else { Va(zone.0 - ZONE_BYTES) };
            let mut bytes = LeBytes::default();
            bytes.push_va(older).push_u64(ZONE_BYTES).push_u64(0).push_u64(zone.0 + ZONE_BYTES);
            debug_assert_eq!(bytes.len() as u64, ZONE_HEADER_BYTES);
            let mut in_zone = 0;
            while trace_count < self.largest_count
                && in_zone < self.largest_zone_count
                && bytes.len() + block_bytes(&next_stack) <= ZONE_BYTES as usize
            {
                self.push_record(zone, &mut bytes, &mut heads, &next_stack);
                trace_count += 1;
                in_zone += 1;
                next_stack = stack(trace_count);
            }
            let next_free = Va(zone.0 + bytes.len() as u64);
            bytes.put_va(0x10, next_free);
            space.allocate(zone, AllocationKind::PRIVATE, &[Run::committed(ZONE_BYTES, PAGE_READWRITE)]);
            space.write(zone, bytes.into_vec());
        }
        space.allocate(self.header, AllocationKind::PRIVATE, &[Run::committed(HEADER_PAGES_BYTES, PAGE_READWRITE)]);
        space.write(self.header, self.header_bytes(&heads, trace_count));
        trace_count
    }

    fn push_record(&self, zone: Va, bytes: &mut LeBytes, heads: &mut [Va], stack: &[Va]) {
        let hash = stack.iter().fold(0_u32, |hash, va| hash.wrapping_add((va.0 & 0xffff_ffff) as u32));
        let Some(head) = heads.get_mut((hash % BUCKET_COUNT) as usize) else { return };
        let end = bytes.len() + block_bytes(stack);
        bytes.push_zeros(BLOCK_HEADER_BYTES - 0x10).push_va(Va(self.header.0 + LOOKASIDE_OFFSET)).push_u64(0);
        let record = Va(zone.0 + bytes.len() as u64);
        bytes.push_va(*head).push_u32(hash).push_u32(u32::try_from(stack.len()).unwrap_or(u32::MAX));
        for va in stack {
            bytes.push_va(*va);
        }
        bytes.push_zeros(end - bytes.len());
        *head = record;
    }

    fn header_bytes(&self, heads: &[Va], trace_count: u32) -> Vec<u8> {
        let mut header = LeBytes::zeroed(HEADER_BYTES);
        header.put_va(0, Va(self.header.0 + LOOKASIDE_OFFSET)).put_u32(8, trace_count);
        for (number, head) in heads.iter().enumerate() {
            // The last hit is the newest record: nothing has been looked up since.
            header.put_va(BUCKETS_AT + number * 16, *head).put_va(BUCKETS_AT + number * 16 + 8, *head);
        }
        header.into_vec()
    }
}

/// A record with its bookkeeping, in whole 16 bytes.
fn block_bytes(stack: &[Va]) -> usize {
    (BLOCK_HEADER_BYTES + 0x10 + stack.len() * 8).next_multiple_of(16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::bytes::{u32_at, u64_at};

    #[test]
    fn records_hang_on_their_buckets() {
        let mut space = AddressSpace::default();
        let log = HeapTraceLog {
            header: Va(0x10_0000),
            first_zone: Va(0x20_0000),
            zone_count: 2,
            largest_count: u32::MAX,
            largest_zone_count: u32::MAX,
        };
        let stack = |number| vec![Va(1), Va(2), Va(u64::from(number) + 0x5_0000_0000)];
        let count = log.add_to(&mut space, stack);
        let places = log.places(count, stack);
        // 0x60 bytes each.
        assert_eq!(u64::from(count), (ZONE_BYTES - ZONE_HEADER_BYTES) / 0x60 * 2);
        let ranges = space.memory_ranges().unwrap();
        let header = &ranges[0].pieces[0].bytes;
        assert_eq!((header.len(), u32_at(header, 8)), (0x1920, Some(count)));
        let zone = &ranges[1].pieces[0].bytes;
        assert_eq!((u32_at(zone, 0x58), u32_at(zone, 0x5c)), (Some(3), Some(3)));
        assert_eq!((places[0], places[681], places[682]), (Va(0x20_0050), Va(0x20_ffb0), Va(0x21_0050)));
        // Record 401 of bucket 3 comes before record 0 in the chain.
        assert_eq!(u64_at(zone, 0x50 + 401 * 0x60), Some(0x20_0050));
        let infos = space.memory_infos(Va(0x30_0000)).unwrap();
        let zones = infos.iter().filter(|info| info.size_bytes == ZONE_BYTES && info.allocation_base == info.base);
        assert_eq!(zones.count(), 2);
    }
}
