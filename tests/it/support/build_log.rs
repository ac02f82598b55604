//! Writes a small heap trace log of either width, zones filled in part. Header and records as listings of Windows 10 show
//! them, x86 computed from x64.

use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::sample::LeBytes;

use super::process_image::ProcessImage;

const BUCKETS: usize = 401;
const ZONE_BYTES: u64 = 0x1_0000;

/// What is to be written.
pub struct Log {
    pub width: PointerWidth,
    pub stacks: Vec<Vec<Va>>,
    pub records_per_zone: usize,
    /// Whether the hash of a record is the sum of its addresses.
    pub is_hash_sum: bool,
}

/// The parts of a log, before it becomes an input.
#[derive(Clone)]
pub struct WrittenLog {
    pub header: LeBytes,
    /// Each from its start on, up to the end of its last record.
    pub zones: Vec<LeBytes>,
    /// Where each record begins: zone, offset in it.
    pub places: Vec<(usize, usize)>,
}

pub const HEADER: u64 = 0x30_0000;

pub fn zone_start(zone: usize) -> u64 {
    0x40_0000 + zone as u64 * 2 * ZONE_BYTES
}

impl Log {
    pub fn write(&self) -> WrittenLog {
        let pointer_bytes = self.width.bytes() as usize;
        let is_wide = self.width == PointerWidth::Bits64;
        let (frames_at, depth_at, header_bytes, before) =
            if is_wide { (0x10, 0xc, 0x1920, 0x30) } else { (0xc, 8, 0xc90, 0x10) };
        let mut written = WrittenLog { header: LeBytes::zeroed(header_bytes), zones: Vec::new(), places: Vec::new() };
        let mut heads = vec![Va(0); BUCKETS];
        for (number, stack) in self.stacks.iter().enumerate() {
            if number % self.records_per_zone == 0 {
                written.zones.push(LeBytes::zeroed(0x40));
            }
            let zone_number = written.zones.len() - 1;
            let zone = &mut written.zones[zone_number];
            let place = zone.len() + before;
            let sum = stack.iter().fold(0_u32, |sum, va| sum.wrapping_add((va.0 & 0xffff_ffff) as u32));
            let hash = if self.is_hash_sum { sum } else { sum.wrapping_mul(0x9e37_79b1) ^ 0x55 };
            let head = &mut heads[hash as usize % BUCKETS];
            zone.put_pointer(self.width, place - 2 * pointer_bytes, Va(HEADER));
            zone.put_pointer(self.width, place, *head);
            zone.put_u32(place + pointer_bytes, hash).put_u32(place + depth_at, stack.len() as u32);
            for (frame, va) in stack.iter().enumerate() {
                zone.put_pointer(self.width, place + frames_at + frame * pointer_bytes, *va);
            }
            zone.align(2 * pointer_bytes);
            *head = Va(zone_start(zone_number) + place as u64);
            written.places.push((zone_number, place));
        }
        written.header.put_pointer(self.width, 0, Va(HEADER + 0x40));
        written.header.put_u32(pointer_bytes, self.stacks.len() as u32);
        for (bucket, head) in heads.iter().enumerate() {
            written.header.put_pointer(self.width, 2 * pointer_bytes * (1 + bucket), *head);
        }
        written
    }
}

impl WrittenLog {
    /// The zones alone.
    pub fn records(&self) -> ProcessImage {
        self.zones.iter().enumerate().fold(ProcessImage::default(), |image, (number, zone)| {
            image.allocation(zone_start(number), ZONE_BYTES).memory(zone_start(number), zone.as_slice())
        })
    }

    pub fn whole(&self) -> ProcessImage {
        self.records().allocation(HEADER, 0x2000).memory(HEADER, self.header.as_slice())
    }
}
