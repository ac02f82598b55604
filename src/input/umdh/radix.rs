//! Whether a comparison's numbers are hexadecimal or decimal (`umdh -d`): no line of it says so, so that all lines together
//! have to.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::fields::as_decimal;

/// How a comparison writes its numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Radix {
    Hexadecimal,
    Decimal,
}

impl Radix {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hexadecimal => "hexadecimal",
            Self::Decimal => "decimal",
        }
    }

    /// The value of a number that was read as hexadecimal.
    pub(super) fn value(self, read_as_hex: u64) -> u64 {
        match self {
            Self::Hexadecimal => read_as_hex,
            Self::Decimal => as_decimal(read_as_hex).unwrap_or(read_as_hex),
        }
    }
}

/// So many different numbers of three digits and more do without a letter by chance in fewer than one file in a million:
/// round sizes are frequent, and still at most half of all such numbers have none (0.5^20 is 1 in a million).
const MANY_NUMBERS: usize = 20;

/// What the lines say, all numbers as read in hexadecimal.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Evidence {
    with_letters_count: u64,
    sums_in_hexadecimal_count: u64,
    sums_in_decimal_count: u64,
    /// Different numbers of three digits and more, none with a letter.
    long_numbers: BTreeSet<u64>,
}

impl Evidence {
    pub fn number(&mut self, value: u64) {
        if as_decimal(value).is_none() {
            self.with_letters_count = self.with_letters_count.saturating_add(1);
        } else if value >= 0x100 && self.long_numbers.len() < MANY_NUMBERS {
            self.long_numbers.insert(value);
        }
    }

    /// Two numbers and what the log says that they make together: `15` and `27` make `42` in decimal, `3C` else.
    pub fn sum(&mut self, one: u64, other: u64, together: u64) {
        let in_hexadecimal = one.checked_add(other) == Some(together);
        let decimal = as_decimal(one).zip(as_decimal(other)).zip(as_decimal(together));
        let in_decimal = decimal.is_some_and(|((one, other), together)| one.checked_add(other) == Some(together));
        if in_hexadecimal && !in_decimal {
            self.sums_in_hexadecimal_count = self.sums_in_hexadecimal_count.saturating_add(1);
        }
        if in_decimal && !in_hexadecimal {
            self.sums_in_decimal_count = self.sums_in_decimal_count.saturating_add(1);
        }
    }

    /// The radix, why it is that one, and whether that is certain.
    pub fn judge(&self) -> (Radix, String, bool) {
        let (hex_sums, decimal_sums) = (self.sums_in_hexadecimal_count, self.sums_in_decimal_count);
        let sums = || format!("sums that come out in decimal alone: {decimal_sums}, in hexadecimal alone: {hex_sums}");
        let no_letters = || format!("none of its numbers, {MANY_NUMBERS} and more of them long, has the digits A to F");
        let has_many = self.long_numbers.len() >= MANY_NUMBERS;
        if self.with_letters_count > 0 {
            let text = format!("{} of its numbers have the digits A to F", self.with_letters_count);
            return (Radix::Hexadecimal, text, true);
        }
        if decimal_sums > hex_sums {
            let text = if has_many { format!("{}; {}", sums(), no_letters()) } else { sums() };
            return (Radix::Decimal, text, true);
        }
        if hex_sums > 0 {
            return (Radix::Hexadecimal, sums(), hex_sums > decimal_sums);
        }
        if has_many {
            return (Radix::Decimal, no_letters(), true);
        }
        let text = "its few numbers fit both; umdh writes hexadecimal unless it is asked for decimal (-d)".to_owned();
        (Radix::Hexadecimal, text, false)
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "in a test a panic is a failure")]
mod tests {
    use super::*;

    fn judged(numbers: &[u64], sums: &[(u64, u64, u64)]) -> (Radix, bool) {
        let mut evidence = Evidence::default();
        numbers.iter().for_each(|number| evidence.number(*number));
        sums.iter().for_each(|(one, other, together)| evidence.sum(*one, *other, *together));
        let (radix, _, is_certain) = evidence.judge();
        (radix, is_certain)
    }

    #[test]
    fn one_letter_decides() {
        assert_eq!(judged(&[0x5320, 0xf110], &[]), (Radix::Hexadecimal, true));
    }

    #[test]
    fn sums_decide_where_letters_do_not() {
        assert_eq!(judged(&[0x15, 0x27], &[(0x15, 0x27, 0x42)]), (Radix::Decimal, true));
        assert_eq!(judged(&[], &[(0x51, 0x51, 0xa2)]), (Radix::Hexadecimal, true));
        assert_eq!(judged(&[], &[(0x58, 0x12, 0x70)]), (Radix::Decimal, true));
        // 42 + 15 is 57 in both.
        assert_eq!(judged(&[], &[(0x42, 0x15, 0x57)]), (Radix::Hexadecimal, false));
    }

    #[test]
    fn many_numbers_without_a_letter_are_decimal() {
        let numbers: Vec<u64> = (0x100..0x110).chain(0x200..0x20a).filter(|n| as_decimal(*n).is_some()).collect();
        assert_eq!(judged(&numbers, &[]), (Radix::Decimal, true));
        assert_eq!(judged(&numbers[..19], &[]), (Radix::Hexadecimal, false));
    }
}
