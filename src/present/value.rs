//! One value to show: how it reads, how it sorts, and how a spreadsheet gets it.

use std::cmp::Ordering;

use crate::base::addr::{PointerWidth, Va};
use crate::base::time::UtcTime;
use crate::base::units::{ByteDelta, ByteSize, CpuTime, grouped};

/// A value with its unit.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Not known: shown as a dash, empty in CSV, sorted last.
    Absent,
    Text(String),
    Count(u64),
    Bytes(u64),
    BytesDelta(i128),
    /// A difference of counts.
    CountDelta(i128),
    BytesPerHour(f64),
    Percent(f64),
    Address(Va, PointerWidth),
    /// A small size in hexadecimal without leading zeros, as `!heap` has it.
    HexBytes(u64),
    /// An exact size, in hexadecimal as `!address` has it.
    HexSize(u64, PointerWidth),
    Time(UtcTime),
    Cpu {
        ns: u64,
    },
    /// CPU time over time: how many cores were kept busy; and how the thread's stack compares with the dump before.
    Cores {
        cores: f64,
        mark: StackMark,
    },
    /// One number for each dump of a series; painted as a small line.
    Trend(Vec<Option<u64>>),
}

/// A thread's stack in a dump, as against the dump before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StackMark {
    /// One of the two is not known.
    #[default]
    Unknown,
    Same,
    Changed,
    /// The thread is new.
    New,
}

impl StackMark {
    pub const fn glyph(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Same => " =",
            Self::Changed => " ≠",
            Self::New => " +",
        }
    }
}

/// What stands for a value that is not known.
pub const ABSENT_TEXT: &str = "–";

impl Value {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub fn bytes(bytes: Option<u64>) -> Self {
        bytes.map_or(Self::Absent, Self::Bytes)
    }

    pub fn count(count: Option<u64>) -> Self {
        count.map_or(Self::Absent, Self::Count)
    }

    pub fn delta(delta: Option<ByteDelta>) -> Self {
        delta.map_or(Self::Absent, |delta| Self::BytesDelta(delta.0))
    }

    /// As the screen and the text report show it.
    pub fn display(&self) -> String {
        match self {
            Self::Absent => ABSENT_TEXT.to_owned(),
            Self::Text(text) => text.clone(),
            Self::Count(count) => grouped(*count),
            Self::Bytes(bytes) => ByteSize(*bytes).to_string(),
            Self::BytesDelta(delta) => ByteDelta(*delta).to_string(),
            Self::CountDelta(0) => "0".to_owned(),
            Self::CountDelta(delta) => {
                let sign = if *delta > 0 { '+' } else { '-' };
                format!("{sign}{}", grouped(u64::try_from(delta.unsigned_abs()).unwrap_or(u64::MAX)))
            }
            Self::BytesPerHour(rate) => format!("{}/h", ByteDelta(rate.round() as i128)),
            Self::Percent(percent) => format!("{percent:.1} %"),
            Self::Address(va, width) => va.windbg(*width),
            Self::HexSize(bytes, width) => Va(*bytes).windbg(*width),
            Self::HexBytes(bytes) => format!("{bytes:x}"),
            Self::Time(time) => time.table_text(),
            Self::Cpu { ns } => CpuTime { ns: *ns }.to_string(),
            Self::Cores { cores, mark } => format!("{cores:.2}{}", mark.glyph()),
            Self::Trend(points) => trend_text(points),
        }
    }

    /// As a spreadsheet or another program gets it: plain numbers in bytes and nanoseconds, RFC 3339 times, `0x` addresses.
    pub fn raw(&self) -> String {
        match self {
            Self::Absent => String::new(),
            Self::Text(text) => text.clone(),
            Self::Count(number) | Self::Bytes(number) | Self::Cpu { ns: number } => number.to_string(),
            Self::BytesDelta(delta) | Self::CountDelta(delta) => delta.to_string(),
            Self::BytesPerHour(number) | Self::Percent(number) => format!("{number:.3}"),
            Self::Address(va, _) => va.to_string(),
            Self::HexSize(bytes, _) | Self::HexBytes(bytes) => format!("{bytes:#x}"),
            Self::Time(time) => time.to_string(),
            Self::Cores { cores, .. } => format!("{cores:.4}"),
            Self::Trend(points) => {
                let texts: Vec<String> =
                    points.iter().map(|point| point.map(|point| point.to_string()).unwrap_or_default()).collect();
                texts.join(";")
            }
        }
    }

    /// Whether a cell with this value stands at the right edge, in a fixed-width face.
    pub const fn is_number(&self) -> bool {
        !matches!(self, Self::Text(_) | Self::Absent | Self::Trend(_))
    }

    fn number(&self) -> Option<f64> {
        Some(match self {
            Self::Count(n) | Self::Bytes(n) | Self::HexSize(n, _) | Self::HexBytes(n) | Self::Cpu { ns: n } => {
                *n as f64
            }
            Self::BytesDelta(delta) | Self::CountDelta(delta) => *delta as f64,
            Self::BytesPerHour(number) | Self::Percent(number) | Self::Cores { cores: number, .. } => *number,
            Self::Time(time) => time.unix_ns as f64,
            // By the step from the first to the last.
            Self::Trend(points) => match (points.iter().flatten().next(), points.iter().flatten().next_back()) {
                (Some(first), Some(last)) => *last as f64 - *first as f64,
                _ => return None,
            },
            Self::Absent | Self::Text(_) | Self::Address(..) => return None,
        })
    }

    /// The order of two values of one column. Absent ones come last whatever the direction: see [`super::table::arrange`].
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.to_lowercase().cmp(&b.to_lowercase()).then_with(|| a.cmp(b)),
            (Self::Address(a, _), Self::Address(b, _)) => a.cmp(b),
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                (a, b) => a.is_none().cmp(&b.is_none()),
            },
        }
    }
}

/// A line of blocks, one for each point: nothing for 0, a full one for the highest.
fn trend_text(points: &[Option<u64>]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = points.iter().flatten().copied().max().unwrap_or(0).max(1);
    let block = |point: &Option<u64>| match point {
        None => '·',
        Some(0) => '_',
        Some(value) => {
            let step = u128::from(*value) * 8 / (u128::from(most) + 1);
            BLOCKS.get(usize::try_from(step).unwrap_or(7)).copied().unwrap_or('█')
        }
    };
    points.iter().map(block).collect()
}
