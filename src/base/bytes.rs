//! Bounded little-endian reads. An offset that lies outside gives `None`, never a panic.

/// `length` bytes at `offset`.
pub fn slice_at(bytes: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(length)?).ok()?;
    bytes.get(start..end)
}

/// What there is of `length` bytes at `offset`: the whole, a part, or nothing.
pub fn available_at(bytes: &[u8], offset: u64, length: u64) -> &[u8] {
    let file_length = bytes.len() as u64;
    let start = offset.min(file_length);
    let end = start.saturating_add(length).min(file_length);
    slice_at(bytes, start, end - start).unwrap_or_default()
}

fn array_at<const N: usize>(bytes: &[u8], offset: u64) -> Option<[u8; N]> {
    slice_at(bytes, offset, N as u64)?.try_into().ok()
}

pub fn u8_at(bytes: &[u8], offset: u64) -> Option<u8> {
    array_at::<1>(bytes, offset).map(|[byte]| byte)
}

pub fn u16_at(bytes: &[u8], offset: u64) -> Option<u16> {
    array_at(bytes, offset).map(u16::from_le_bytes)
}

pub fn u32_at(bytes: &[u8], offset: u64) -> Option<u32> {
    array_at(bytes, offset).map(u32::from_le_bytes)
}

pub fn i32_at(bytes: &[u8], offset: u64) -> Option<i32> {
    array_at(bytes, offset).map(i32::from_le_bytes)
}

pub fn u64_at(bytes: &[u8], offset: u64) -> Option<u64> {
    array_at(bytes, offset).map(u64::from_le_bytes)
}

/// UTF-16 little-endian text; a lone surrogate becomes U+FFFD, an odd last byte is dropped.
pub fn utf16_text(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(u16::from_le_bytes));
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// UTF-16 text up to the first NUL.
pub fn utf16_text_to_nul(bytes: &[u8]) -> String {
    let end = bytes.chunks_exact(2).position(|pair| pair == [0, 0]).map_or(bytes.len(), |units| units * 2);
    utf16_text(bytes.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_outside_give_nothing() {
        let bytes = [1, 2, 3, 4];
        assert_eq!(u32_at(&bytes, 0), Some(0x0403_0201));
        assert_eq!(u32_at(&bytes, 1), None);
        assert_eq!(u16_at(&bytes, u64::MAX), None);
        assert_eq!(available_at(&bytes, 2, 10), [3, 4]);
        assert_eq!(available_at(&bytes, 20, 10), [0; 0]);
    }

    #[test]
    fn text_stops_at_the_nul_and_survives_lone_surrogates() {
        assert_eq!(utf16_text_to_nul(&[b'a', 0, 0, 0, b'b', 0]), "a");
        assert_eq!(utf16_text(&[0, 0xd8, b'x', 0]), "\u{fffd}x");
    }
}
