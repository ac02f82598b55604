//! Numbers and fixed words of a line, taken from its front.

/// What is left of `bytes` after a fixed word.
pub(super) fn after<'a>(bytes: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    bytes.strip_prefix(word)
}

/// What stands before and after the first occurrence of `word`.
pub(super) fn split_at_word<'a>(bytes: &'a [u8], word: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(word.len().max(1)).position(|window| window == word)?;
    Some((bytes.get(..at)?, bytes.get(at.checked_add(word.len())?..)?))
}

pub(super) fn has_word(bytes: &[u8], word: &[u8]) -> bool {
    split_at_word(bytes, word).is_some()
}

/// A hexadecimal number from the front, with or without `0x`, of at most 16 digits.
pub(super) fn take_hex(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.strip_prefix(b"0x").or_else(|| bytes.strip_prefix(b"0X")).unwrap_or(bytes);
    let mut value = 0_u64;
    let mut count = 0_usize;
    for byte in digits {
        let Some(digit) = (*byte as char).to_digit(16) else { break };
        if count == 16 {
            return None;
        }
        value = value.checked_shl(4)? | u64::from(digit);
        count = count.checked_add(1)?;
    }
    (count > 0).then_some((value, digits.get(count..)?))
}

/// The whole of `bytes` as one hexadecimal number.
pub(super) fn whole_hex(bytes: &[u8]) -> Option<u64> {
    take_hex(bytes).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

/// A number in decimal digits that was read as if they were hexadecimal; `None` where it has letters.
pub(super) fn as_decimal(read_as_hex: u64) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64_u32).rev().step_by(4) {
        let digit = read_as_hex.checked_shr(shift.checked_sub(3)?)? & 0xf;
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    Some(value)
}

pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_from_the_front() {
        assert_eq!(take_hex(b"1C at 2E9FA20"), Some((0x1c, &b" at 2E9FA20"[..])));
        assert_eq!(take_hex(b"0x14 allocations"), Some((0x14, &b" allocations"[..])));
        assert_eq!(take_hex(b"ffffffffffffffff"), Some((u64::MAX, &b""[..])));
        for text in ["", "0x", "xyz", "11112222333344445"] {
            assert_eq!(take_hex(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn digits_without_letters_are_a_decimal_number_too() {
        assert_eq!(as_decimal(0x86_5847), Some(865_847));
        assert_eq!(as_decimal(0x9999_9999_9999_9999), Some(9_999_999_999_999_999));
        assert_eq!(as_decimal(0x1c), None);
        assert_eq!(as_decimal(0), Some(0));
    }
}
