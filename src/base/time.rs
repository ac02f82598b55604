//! Points in time: of dumps, which are always UTC, and of logs, which have the clock of a machine without its zone.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// 100 ns intervals between 1601-01-01 (FILETIME's epoch) and 1970-01-01 (Unix's).
const UNIX_EPOCH_AS_FILETIME: i128 = 116_444_736_000_000_000;

/// A point in time: nanoseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UtcTime {
    #[serde(deserialize_with = "of_calendar")]
    pub unix_ns: i128,
}

impl UtcTime {
    /// From `time_t` seconds. 0 means "not set" in every structure that we read.
    pub fn from_unix_seconds(seconds: u32) -> Option<Self> {
        (seconds != 0).then(|| Self { unix_ns: i128::from(seconds) * 1_000_000_000 })
    }

    /// From a FILETIME (100 ns since 1601). 0 means "not set", and what lies beyond the year 9999 is no time.
    pub fn from_filetime(filetime: u64) -> Option<Self> {
        let time = Self { unix_ns: (i128::from(filetime) - UNIX_EPOCH_AS_FILETIME) * 100 };
        (filetime != 0 && time.calendar().is_some()).then_some(time)
    }

    /// Nanoseconds from `earlier` to this time; negative when it lies before.
    pub const fn ns_since(self, earlier: Self) -> i128 {
        self.unix_ns - earlier.unix_ns
    }

    fn calendar(self) -> Option<time::OffsetDateTime> {
        time::OffsetDateTime::from_unix_timestamp_nanos(self.unix_ns).ok()
    }

    /// `2011-05-14 20:13:05`, without the zone, for tables that say UTC in their head.
    pub fn table_text(self) -> String {
        self.calendar().map_or_else(
            || "out of range".to_owned(),
            |t| {
                let (month, second) = (u8::from(t.month()), t.second());
                format!("{:04}-{month:02}-{:02} {:02}:{:02}:{second:02}", t.year(), t.day(), t.hour(), t.minute())
            },
        )
    }

    /// `20:13`, for axes.
    pub fn clock_text(self) -> String {
        self.calendar().map_or_else(String::new, |t| format!("{:02}:{:02}", t.hour(), t.minute()))
    }

    /// `05-14 20:13`, for axes that span days.
    pub fn day_clock_text(self) -> String {
        self.calendar().map_or_else(String::new, |t| {
            format!("{:02}-{:02} {:02}:{:02}", u8::from(t.month()), t.day(), t.hour(), t.minute())
        })
    }
}

/// A point in time on the clock of a machine whose zone is not told: nanoseconds since 1970-01-01 00:00 on that clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LocalTime {
    #[serde(deserialize_with = "of_calendar")]
    pub unix_ns: i128,
}

/// Times in files are held to the calendar, so that differences of two have room.
fn of_calendar<'de, D: Deserializer<'de>>(source: D) -> Result<i128, D::Error> {
    let unix_ns = i128::deserialize(source)?;
    let is_told = time::OffsetDateTime::from_unix_timestamp_nanos(unix_ns).is_ok();
    if is_told { Ok(unix_ns) } else { Err(D::Error::custom("a time that no calendar has")) }
}

impl LocalTime {
    /// `2012-04-30 12:09`, with seconds or without.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, clock) = text.trim().split_once(' ')?;
        let numbers = |text: &str, separator: char| {
            text.trim().split(separator).map(|part| part.parse::<u16>().ok()).collect::<Option<Vec<u16>>>()
        };
        let (date, clock) = (numbers(date, '-')?, numbers(clock, ':')?);
        let ([year, month, day], [hour, minute, rest @ ..]) = (&date[..], &clock[..]) else { return None };
        let narrow = |value: u16| u8::try_from(value).ok();
        let month = time::Month::try_from(narrow(*month)?).ok()?;
        let date = time::Date::from_calendar_date(i32::from(*year), month, narrow(*day)?).ok()?;
        let second = rest.first().copied().unwrap_or(0);
        let moment = date.with_hms(narrow(*hour)?, narrow(*minute)?, narrow(second)?).ok()?;
        Some(Self { unix_ns: moment.assume_utc().unix_timestamp_nanos() })
    }

    /// The same moment where local time lies `bias_minutes` behind UTC, as Windows counts it: -120 in a summer of Berlin.
    pub const fn to_utc(self, bias_minutes: i32) -> UtcTime {
        UtcTime { unix_ns: self.unix_ns + bias_minutes as i128 * 60_000_000_000 }
    }

    /// `2012-04-30 12:09:00`.
    pub fn table_text(self) -> String {
        UtcTime { unix_ns: self.unix_ns }.table_text()
    }
}

/// RFC 3339: `2011-05-14T20:13:05Z`, with the fraction only where there is one.
impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(t) = self.calendar() else { return f.write_str("out of range") };
        let (month, day) = (u8::from(t.month()), t.day());
        write!(f, "{:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", t.year(), t.hour(), t.minute(), t.second())?;
        if t.nanosecond() != 0 {
            let fraction = format!("{:09}", t.nanosecond());
            write!(f, ".{}", fraction.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_epochs_meet() {
        let from_unix = UtcTime::from_unix_seconds(1_305_404_005);
        let from_filetime = UtcTime::from_filetime(129_498_776_050_000_000);
        assert_eq!(from_unix, from_filetime);
        assert_eq!(from_unix.map(|t| t.to_string()).as_deref(), Some("2011-05-14T20:13:25Z"));
    }

    #[test]
    fn local_time_needs_a_zone_to_be_a_moment() {
        let local = LocalTime::parse("2011-05-12 12:08").expect("a time");
        assert_eq!(local.to_utc(-120).to_string(), "2011-05-12T10:08:00Z");
        assert_eq!(local.table_text(), "2011-05-12 12:08:00");
        for text in ["", "2011-05-12", "2011-13-12 12:08", "2011-05-12 25:08", "12:08 2011-05-12"] {
            assert_eq!(LocalTime::parse(text), None, "{text}");
        }
    }

    #[test]
    fn zero_is_not_a_time() {
        assert_eq!(UtcTime::from_filetime(0), None);
        assert_eq!(UtcTime::from_unix_seconds(0), None);
    }

    #[test]
    fn the_largest_filetime_is_no_time() {
        assert_eq!(UtcTime::from_filetime(u64::MAX), None);
    }
}
