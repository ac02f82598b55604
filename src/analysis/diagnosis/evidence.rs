//! What speaks for or against a pattern: a sentence, the number in it, the dump, and the place to look at.

use crate::base::addr::{PointerWidth, Va};
use crate::base::ids::DumpIdx;
use crate::base::units::{ByteDelta, ByteSize, CpuTime, grouped};
use crate::process::regions::usage::Usage;

/// A number with its unit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number {
    Bytes(u64),
    BytesDelta(i128),
    Count(u64),
    CountDelta(i128),
    Percent(f64),
    Cpu {
        ns: u64,
    },
    /// CPU time over time.
    Cores(f64),
    BytesPerHour(f64),
    /// A code of Windows: an exception, an error, a flag.
    Code(u32),
}

impl Number {
    /// The unit's name in the JSON report.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Bytes(_) | Self::BytesDelta(_) => "bytes",
            Self::Count(_) | Self::CountDelta(_) => "count",
            Self::Percent(_) => "percent",
            Self::Cpu { .. } => "ns",
            Self::Cores(_) => "cores",
            Self::BytesPerHour(_) => "bytes_per_hour",
            Self::Code(_) => "code",
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => ByteSize(*bytes).fmt(f),
            Self::BytesDelta(delta) => ByteDelta(*delta).fmt(f),
            Self::Count(count) => f.write_str(&grouped(*count)),
            Self::CountDelta(delta) => f.write_str(&count_delta(*delta)),
            Self::Percent(percent) => f.write_str(&percent_text(*percent)),
            Self::Cpu { ns } => CpuTime { ns: *ns }.fmt(f),
            Self::Cores(cores) => write!(f, "{cores:.2} of a core"),
            Self::BytesPerHour(rate) => write!(f, "{}/h", ByteDelta(rate.round() as i128)),
            Self::Code(code) => write!(f, "{code:#x}"),
        }
    }
}

/// A difference of counts with its sign: `+12,000`, `-3`, `0`.
pub fn count_delta(delta: i128) -> String {
    let size = grouped(u64::try_from(delta.unsigned_abs()).unwrap_or(u64::MAX));
    match delta.signum() {
        1 => format!("+{size}"),
        -1 => format!("-{size}"),
        _ => size,
    }
}

/// `99 %`, `0.4 %`: whole percents where a tenth would say nothing. What is not all is never called 100 %.
pub fn percent_text(percent: f64) -> String {
    match percent.abs() {
        all if (all - 100.0).abs() < 1e-9 => format!("{percent:.0} %"),
        nearly if (99.5..100.0).contains(&nearly) => format!("{:.1} %", (percent * 10.0).trunc() / 10.0),
        small if small < 10.0 && small > 0.0 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

/// How much a piece of evidence decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Strength {
    /// The numbers alone make the verdict: the thing was measured.
    Proves,
    /// Fits the verdict, and something else could look so too.
    Supports,
    /// Fits the opposite.
    Against,
    /// Says how large or where, and decides nothing.
    Background,
}

/// Where evidence can be looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    Dump(DumpIdx),
    Region {
        dump: DumpIdx,
        start: Va,
    },
    /// Committed memory of one use.
    Use {
        dump: DumpIdx,
        usage: Usage,
    },
    Heap {
        dump: DumpIdx,
        base: Va,
    },
    Thread {
        dump: DumpIdx,
        tid: u32,
    },
    /// A store of the stack trace database.
    Store {
        dump: DumpIdx,
        base: Va,
    },
    /// A stack of the series' trace stores, by its position.
    TraceStack {
        dump: DumpIdx,
        stack: usize,
    },
    Handles(DumpIdx),
    Modules(DumpIdx),
    /// What was wrong with a file.
    Problems(DumpIdx),
}

impl Place {
    pub const fn dump(self) -> DumpIdx {
        match self {
            Self::Dump(dump) | Self::Handles(dump) | Self::Modules(dump) | Self::Problems(dump) => dump,
            Self::Region { dump, .. }
            | Self::Use { dump, .. }
            | Self::Heap { dump, .. }
            | Self::Thread { dump, .. }
            | Self::Store { dump, .. }
            | Self::TraceStack { dump, .. } => dump,
        }
    }
}

/// One sentence with what it stands on.
#[derive(Clone, PartialEq, Debug)]
pub struct Evidence {
    pub text: String,
    pub strength: Strength,
    /// The number that the sentence turns on.
    pub number: Option<Number>,
    /// The dump that shows it; of a comparison, the later one.
    pub dump: Option<DumpIdx>,
    pub place: Option<Place>,
    /// The WinDbg command that shows the number in that dump.
    pub windbg: Option<String>,
}

impl Evidence {
    pub fn new(strength: Strength, text: impl Into<String>) -> Self {
        Self { text: text.into(), strength, number: None, dump: None, place: None, windbg: None }
    }

    #[must_use]
    pub const fn number(mut self, number: Number) -> Self {
        self.number = Some(number);
        self
    }

    /// Says where; the dump is the place's.
    #[must_use]
    pub const fn at(mut self, place: Place) -> Self {
        self.dump = Some(place.dump());
        self.place = Some(place);
        self
    }

    #[must_use]
    pub fn windbg(mut self, command: impl Into<String>) -> Self {
        self.windbg = Some(command.into());
        self
    }
}

/// An address in a WinDbg command.
pub fn windbg_address(va: Va) -> String {
    let width = if va.0 > u64::from(u32::MAX) { PointerWidth::Bits64 } else { PointerWidth::Bits32 };
    va.windbg(width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_all_is_never_called_all() {
        let texts = [100.0, 99.97, 99.4, 41.3, 8.25, 0.0, -3.0].map(percent_text);
        assert_eq!(texts, ["100 %", "99.9 %", "99 %", "41 %", "8.2 %", "0 %", "-3.0 %"]);
    }
}
