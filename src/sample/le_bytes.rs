//! A growing buffer of little-endian values, written at the end or at a fixed offset.

use crate::base::addr::{PointerWidth, Va};

/// Bytes of one structure or one part of a file.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct LeBytes {
    bytes: Vec<u8>,
}

impl LeBytes {
    /// A structure of `size_bytes` zeros, to be filled with the `put_` functions.
    pub fn zeroed(size_bytes: usize) -> Self {
        Self { bytes: vec![0; size_bytes] }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub fn into_vec(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends `bytes`.
    pub fn push(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub fn push_u16(&mut self, value: u16) -> &mut Self {
        self.push(&value.to_le_bytes())
    }

    pub fn push_u32(&mut self, value: u32) -> &mut Self {
        self.push(&value.to_le_bytes())
    }

    pub fn push_u64(&mut self, value: u64) -> &mut Self {
        self.push(&value.to_le_bytes())
    }

    pub fn push_va(&mut self, va: Va) -> &mut Self {
        self.push_u64(va.0)
    }

    /// Appends an address as wide as `width`; of a wide one only the low half fits into 32 bits.
    pub fn push_pointer(&mut self, width: PointerWidth, va: Va) -> &mut Self {
        match width {
            PointerWidth::Bits64 => self.push_u64(va.0),
            PointerWidth::Bits32 => self.push_u32((va.0 & 0xffff_ffff) as u32),
        }
    }

    pub fn push_zeros(&mut self, count: usize) -> &mut Self {
        self.bytes.resize(self.bytes.len() + count, 0);
        self
    }

    /// Appends zeros up to the next multiple of `alignment_bytes`.
    pub fn align(&mut self, alignment_bytes: usize) -> &mut Self {
        let end = self.bytes.len().next_multiple_of(alignment_bytes);
        self.bytes.resize(end, 0);
        self
    }

    /// Overwrites the bytes from `offset` on; grows when they lie past the end.
    pub fn put(&mut self, offset: usize, bytes: &[u8]) -> &mut Self {
        let end = offset + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        if let Some(target) = self.bytes.get_mut(offset..end) {
            target.copy_from_slice(bytes);
        }
        self
    }

    pub fn put_u8(&mut self, offset: usize, value: u8) -> &mut Self {
        self.put(offset, &[value])
    }

    pub fn put_u16(&mut self, offset: usize, value: u16) -> &mut Self {
        self.put(offset, &value.to_le_bytes())
    }

    pub fn put_u32(&mut self, offset: usize, value: u32) -> &mut Self {
        self.put(offset, &value.to_le_bytes())
    }

    pub fn put_u64(&mut self, offset: usize, value: u64) -> &mut Self {
        self.put(offset, &value.to_le_bytes())
    }

    pub fn put_va(&mut self, offset: usize, va: Va) -> &mut Self {
        self.put_u64(offset, va.0)
    }

    /// An address as wide as `width`; of a wide one only the low half fits into 32 bits.
    pub fn put_pointer(&mut self, width: PointerWidth, offset: usize, va: Va) -> &mut Self {
        match width {
            PointerWidth::Bits64 => self.put_u64(offset, va.0),
            PointerWidth::Bits32 => self.put_u32(offset, (va.0 & 0xffff_ffff) as u32),
        }
    }

    /// A `LIST_ENTRY` with 64-bit pointers: forward link, then backward link.
    pub fn put_list_entry(&mut self, offset: usize, forward: Va, backward: Va) -> &mut Self {
        self.put_va(offset, forward).put_va(offset + 8, backward)
    }
}

/// UTF-16 little-endian bytes of `text`, without a terminator.
pub fn utf16_bytes(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_put_past_the_end_grows_with_zeros() {
        let mut bytes = LeBytes::default();
        bytes.push_u16(0x0102).put_u32(4, 0x0a0b_0c0d);
        assert_eq!(bytes.as_slice(), [2, 1, 0, 0, 0x0d, 0x0c, 0x0b, 0x0a]);
    }
}
