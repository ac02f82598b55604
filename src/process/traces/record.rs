//! One record of the heap trace log: next record of the bucket, hash, depth, addresses.
//!
//! Records have no size field, and what the lookaside puts before them is not certain, so they are made out by
//! themselves. That the hash is the sum of the addresses' low dwords, as in the indexed database, is not known for sure:
//! where it holds it is proof enough, where it does not the addresses must lie in the modules.

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::bytes;

use super::entry::is_user_address;
use super::frame_words::{sum_of, words};
use super::layouts::{HeapLogLayout, MAX_DEPTH};

/// What tells a record from other bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Proof {
    /// The hash is the sum of the addresses' low dwords.
    HashIsSum,
    /// The first address, and half of all, lie in modules; the next record lies where records can be.
    AddressesInModules,
}

/// How records are made out.
#[derive(Clone, Copy)]
pub(super) struct RecordRule<'r> {
    pub width: PointerWidth,
    pub proof: Proof,
    /// Images, in order.
    pub modules: &'r [VaRange],
    /// Where records can be, in order.
    pub homes: &'r [VaRange],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// The next record of the bucket, or 0.
    pub next: u64,
    pub hash: u32,
    pub depth: u16,
    pub size_bytes: u64,
}

impl RecordRule<'_> {
    /// The record at the start of `bytes`.
    #[inline]
    pub fn read(&self, bytes: &[u8]) -> Option<Record> {
        let layout = HeapLogLayout::of(self.width);
        let depth = u16::try_from(bytes::u32_at(bytes, layout.record_depth)?).ok()?;
        (1..=MAX_DEPTH).contains(&depth).then_some(())?;
        let next = match self.width {
            PointerWidth::Bits32 => bytes::u32_at(bytes, 0).map(u64::from)?,
            PointerWidth::Bits64 => bytes::u64_at(bytes, 0)?,
        };
        let is_address = next.is_multiple_of(self.width.bytes()) && is_user_address(next, self.width);
        (next == 0 || is_address).then_some(())?;
        let hash = bytes::u32_at(bytes, layout.record_hash)?;
        let frames_bytes = u64::from(depth).checked_mul(self.width.bytes())?;
        let frames = bytes::slice_at(bytes, layout.record_frames, frames_bytes)?;
        let are_addresses = || words(frames, self.width).all(|frame| is_user_address(frame, self.width));
        let is_proved = match self.proof {
            Proof::HashIsSum => sum_of(frames, self.width) == hash && are_addresses(),
            Proof::AddressesInModules => self.are_in_modules(frames) && are_addresses() && self.has_home(next),
        };
        let size_bytes = layout.record_frames.checked_add(frames_bytes)?;
        is_proved.then_some(Record { next, hash, depth, size_bytes })
    }

    /// The bytes of the addresses. `bytes` go from the record's start on.
    pub fn frames<'b>(&self, record: &Record, bytes: &'b [u8]) -> &'b [u8] {
        let length = u64::from(record.depth).saturating_mul(self.width.bytes());
        bytes::slice_at(bytes, HeapLogLayout::of(self.width).record_frames, length).unwrap_or_default()
    }

    fn has_home(&self, next: u64) -> bool {
        next == 0 || range_with(self.homes, Va(next)).is_some()
    }

    fn are_in_modules(&self, frames: &[u8]) -> bool {
        let is_in_module = |frame: u64| range_with(self.modules, Va(frame)).is_some();
        if !words(frames, self.width).next().is_some_and(is_in_module) {
            return false;
        }
        let frame_count = words(frames, self.width).count();
        let inside_count = words(frames, self.width).filter(|frame| is_in_module(*frame)).count();
        inside_count >= frame_count.div_ceil(2)
    }

    /// Records in `bytes`, which begin at `va`: each with its place and the bytes from there on. Linear: goes on behind a
    /// record, else at the next place where one can begin.
    pub fn records(self, va: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, Record, &[u8])> {
        let step = self.width.bytes();
        let mut offset = va.wrapping_neg() & step.saturating_sub(1);
        std::iter::from_fn(move || {
            loop {
                let rest = bytes.get(usize::try_from(offset).ok()?..).filter(|rest| !rest.is_empty())?;
                let at = va.saturating_add(offset);
                if let Some(record) = self.read(rest) {
                    offset = offset.saturating_add(record.size_bytes);
                    return Some((at, record, rest));
                }
                offset = offset.saturating_add(step);
            }
        })
    }
}

/// The range that holds `va`, among ranges in order that do not overlap.
pub(super) fn range_with(ranges: &[VaRange], va: Va) -> Option<(usize, VaRange)> {
    let before = ranges.partition_point(|range| range.start <= va).checked_sub(1)?;
    ranges.get(before).copied().filter(|range| range.contains(va)).map(|range| (before, range))
}
