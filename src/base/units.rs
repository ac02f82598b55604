//! Sizes and durations as people and WinDbg write them. Sizes are in units of 1024 throughout, never 1000.

use std::fmt;

/// A size in bytes; displays as `23.9 MB`, with one digit after the point from 1 KB on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct ByteSize(pub u64);

const UNITS: [&str; 6] = ["KB", "MB", "GB", "TB", "PB", "EB"];

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut tenths = u128::from(self.0) * 10 / 1024;
        let mut unit = 0;
        while tenths >= 10_240 && unit + 1 < UNITS.len() {
            tenths /= 1024;
            unit += 1;
        }
        let name = UNITS.get(unit).copied().unwrap_or_default();
        write!(f, "{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// A difference of two sizes with its sign: `+23.9 MB`, `-4.0 KB`, `0 B`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct ByteDelta(pub i128);

impl ByteDelta {
    pub fn between(from_bytes: u64, to_bytes: u64) -> Self {
        Self(i128::from(to_bytes) - i128::from(from_bytes))
    }
}

impl fmt::Display for ByteDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = ByteSize(u64::try_from(self.0.unsigned_abs()).unwrap_or(u64::MAX));
        match self.0.signum() {
            1 => write!(f, "+{size}"),
            -1 => write!(f, "-{size}"),
            _ => write!(f, "0 B"),
        }
    }
}

/// A time span in nanoseconds; displays as `!runaway` does: `0 days 3:22:02.354`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct CpuTime {
    pub ns: u64,
}

impl fmt::Display for CpuTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.ns / 1_000_000;
        let (days, ms) = (ms / 86_400_000, ms % 86_400_000);
        let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
        write!(f, "{days} days {hours}:{minutes:02}:{:02}.{:03}", ms / 1000 % 60, ms % 1000)
    }
}

/// A count with thousands separated: `148,861`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_one_digit() {
        let cases: [(u64, &str); 7] = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KB"),
            (0x0180_0000, "24.0 MB"),
            (9_265_152, "8.8 MB"),
            (4 << 30, "4.0 GB"),
            (u64::MAX, "15.9 EB"),
        ];
        for (bytes, expect) in cases {
            assert_eq!(ByteSize(bytes).to_string(), expect);
        }
    }

    #[test]
    fn differences_carry_their_sign() {
        assert_eq!(ByteDelta::between(0, 4096).to_string(), "+4.0 KB");
        assert_eq!(ByteDelta::between(4096, 0).to_string(), "-4.0 KB");
        assert_eq!(ByteDelta::between(7, 7).to_string(), "0 B");
    }

    #[test]
    fn cpu_time_reads_as_in_runaway() {
        assert_eq!(CpuTime { ns: 12_122_354_000_000 }.to_string(), "0 days 3:22:02.354");
        assert_eq!(CpuTime { ns: 36_683_596_000_000 }.to_string(), "0 days 10:11:23.596");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(148_861), "148,861");
        assert_eq!(grouped(1_000), "1,000");
    }
}
