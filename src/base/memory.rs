//! The memory of the dumped process, read by address.

use std::borrow::Cow;

use super::addr::{PointerWidth, Va};
use super::bytes;

/// Memory of the dumped process. Decoders get this and nothing else, so that a test can hand them a few bytes.
pub trait ReadMemory: Send + Sync {
    /// The bytes that lie in the dump without a gap from `va` on, at most `length` of them. Empty where the dump has none.
    /// Borrowed from the mapped file: nothing is copied.
    fn bytes_at(&self, va: Va, length: u64) -> &[u8];

    /// The lowest address from `va` on whose byte is in the dump. Memory that cannot tell looks no further than `va` itself.
    fn next_at(&self, va: Va) -> Option<Va> {
        (!self.bytes_at(va, 1).is_empty()).then_some(va)
    }
}

/// Exactly `length` bytes, or `None` when the dump does not hold them all.
pub fn slice_at(memory: &dyn ReadMemory, va: Va, length: u64) -> Option<&[u8]> {
    let found = memory.bytes_at(va, length);
    (found.len() as u64 == length).then_some(found)
}

/// Exactly `length` bytes, copied where they lie in several pieces of the dump; `None` when it does not hold them all.
/// `length` must be small and not be taken from a file.
pub fn copy_at(memory: &dyn ReadMemory, va: Va, length: u64) -> Option<Cow<'_, [u8]>> {
    let first = memory.bytes_at(va, length);
    if first.len() as u64 == length {
        return Some(Cow::Borrowed(first));
    }
    let mut joined = first.to_vec();
    while !joined.is_empty() && (joined.len() as u64) < length {
        let have = joined.len() as u64;
        let next = memory.bytes_at(va.checked_add(have)?, length.checked_sub(have)?);
        (!next.is_empty()).then_some(())?;
        joined.extend_from_slice(next);
    }
    (joined.len() as u64 == length).then_some(Cow::Owned(joined))
}

pub fn u8_at(memory: &dyn ReadMemory, va: Va) -> Option<u8> {
    bytes::u8_at(slice_at(memory, va, 1)?, 0)
}

pub fn u16_at(memory: &dyn ReadMemory, va: Va) -> Option<u16> {
    bytes::u16_at(slice_at(memory, va, 2)?, 0)
}

pub fn u32_at(memory: &dyn ReadMemory, va: Va) -> Option<u32> {
    bytes::u32_at(slice_at(memory, va, 4)?, 0)
}

pub fn u64_at(memory: &dyn ReadMemory, va: Va) -> Option<u64> {
    bytes::u64_at(slice_at(memory, va, 8)?, 0)
}

/// A pointer of the given width.
pub fn pointer_at(memory: &dyn ReadMemory, va: Va, width: PointerWidth) -> Option<Va> {
    match width {
        PointerWidth::Bits32 => u32_at(memory, va).map(|value| Va(u64::from(value))),
        PointerWidth::Bits64 => u64_at(memory, va).map(Va),
    }
}
