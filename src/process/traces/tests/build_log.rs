//! Writes a heap trace log: header and records in zones of 64 KiB, as ntdll of Windows 10 and 11 has them.

use super::{Memory, put_pointer, put_u32, range};
use crate::base::addr::VaRange;

const BUCKETS: usize = 401;
const ZONE_BYTES: u64 = 0x1_0000;

pub(super) struct Log {
    pub pointer_bytes: u64,
    pub base: u64,
    pub stacks: Vec<Vec<u64>>,
    /// Whether the hash is the sum of the addresses.
    pub is_hash_sum: bool,
}

pub(super) struct WrittenLog {
    pub memory: Memory,
    pub zones: Vec<VaRange>,
    pub header: u64,
    pub places: Vec<u64>,
}

impl Log {
    /// The header lies in the first zone; each zone begins with 40h bytes of its own, each record with what a lookaside
    /// puts before its blocks.
    pub fn write(&self) -> WrittenLog {
        let width = self.pointer_bytes;
        let (frames_at, depth_at, header_bytes, before) =
            if width == 8 { (0x10, 0xc, 0x1920, 0x30) } else { (0xc, 8, 0xc90, 0x10) };
        let mut zones: Vec<Vec<u8>> = vec![vec![0; ZONE_BYTES as usize]];
        let zone_va = |index: usize| self.base + index as u64 * 2 * ZONE_BYTES;
        let header_at = 0x70;
        let mut offset = header_at + header_bytes;
        let mut heads = vec![0; BUCKETS];
        let mut places = Vec::new();
        for stack in &self.stacks {
            let size = (frames_at + stack.len() as u64 * width).next_multiple_of(2 * width);
            if offset + before + size > ZONE_BYTES {
                zones.push(vec![0; ZONE_BYTES as usize]);
                offset = 0x40;
            }
            let va = zone_va(zones.len() - 1) + offset + before;
            let zone = zones.last_mut().unwrap();
            put_pointer(zone, offset + before - 2 * width, width, self.base);
            offset += before;
            let sum = stack.iter().fold(0_u32, |sum, frame| sum.wrapping_add(*frame as u32));
            let hash = if self.is_hash_sum { sum } else { sum.wrapping_mul(0x9e37_79b1) ^ 0x55 };
            let head = &mut heads[(hash as usize) % BUCKETS];
            put_pointer(zone, offset, width, *head);
            put_u32(zone, offset + width, hash);
            put_u32(zone, offset + depth_at, stack.len() as u32);
            for (frame, address) in stack.iter().enumerate() {
                put_pointer(zone, offset + frames_at + frame as u64 * width, width, *address);
            }
            *head = va;
            places.push(va);
            offset += size;
        }
        let first = &mut zones[0];
        put_pointer(first, header_at, width, self.base + 0x40);
        put_u32(first, header_at + width, self.stacks.len() as u32);
        for (bucket, head) in heads.iter().enumerate() {
            put_pointer(first, header_at + 2 * width + bucket as u64 * 2 * width, width, *head);
        }
        let ranges = (0..zones.len()).map(|index| range(zone_va(index), zone_va(index) + ZONE_BYTES)).collect();
        let memory = zones
            .into_iter()
            .enumerate()
            .fold(Memory::default(), |memory, (index, zone)| memory.with(zone_va(index), zone));
        WrittenLog { memory, zones: ranges, header: self.base + header_at, places }
    }
}
