//! What became of one number over the dumps: how much it grew, how steadily, in which step most, and where it stood still.

use crate::analysis::thresholds::STEADY_SHARE;
use crate::base::time::UtcTime;
use crate::base::units::ByteDelta;

use super::shape::{Shape, committed_shape};
use super::trend::{Point, trend};

/// One number of each dump. `None` where a dump does not tell it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Values(pub Vec<Option<u64>>);

/// The largest rise between two neighbours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Between this dump of the series, from 0, and the next.
    pub interval: usize,
    pub by: u64,
}

impl From<Vec<Option<u64>>> for Values {
    fn from(values: Vec<Option<u64>>) -> Self {
        Self(values)
    }
}

impl Values {
    fn known(&self) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.0.iter().flatten().copied()
    }

    pub fn first(&self) -> Option<u64> {
        self.0.first().copied().flatten()
    }

    pub fn last(&self) -> Option<u64> {
        self.0.last().copied().flatten()
    }

    /// Whether every dump tells it.
    pub fn is_whole(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(Option::is_some)
    }

    /// From the first to the last dump; `None` where one of the two does not tell, or there is one dump only.
    pub fn net(&self) -> Option<i128> {
        (self.0.len() > 1).then_some(())?;
        Some(ByteDelta::between(self.first()?, self.last()?).0)
    }

    /// The distance between the lowest and the highest.
    pub fn peak_to_peak(&self) -> u64 {
        let (least, most) = (self.known().min().unwrap_or(0), self.known().max().unwrap_or(0));
        most.saturating_sub(least)
    }

    pub fn most(&self) -> Option<u64> {
        self.known().max()
    }

    /// Taken as committed memory, and as what else comes and goes in small steps.
    pub fn shape(&self) -> Option<Shape> {
        committed_shape(&self.0)
    }

    /// In how many of the intervals it rises, as a share; `None` where no interval is known.
    pub fn rising_share(&self) -> Option<f64> {
        let pairs: Vec<(u64, u64)> =
            self.0.iter().zip(self.0.iter().skip(1)).filter_map(|(a, b)| Some(((*a)?, (*b)?))).collect();
        let rising_count = pairs.iter().filter(|(a, b)| b > a).count();
        (!pairs.is_empty()).then(|| rising_count as f64 / pairs.len() as f64)
    }

    /// How often the direction changes, whatever the size of the changes.
    pub fn turn_count(&self) -> usize {
        let known: Vec<u64> = self.known().collect();
        let directions: Vec<bool> =
            known.iter().zip(known.iter().skip(1)).filter(|(a, b)| a != b).map(|(a, b)| b > a).collect();
        directions.iter().zip(directions.iter().skip(1)).filter(|(a, b)| a != b).count()
    }

    /// Where it rises most.
    pub fn largest_step(&self) -> Option<Step> {
        let steps = self.0.iter().zip(self.0.iter().skip(1)).enumerate().filter_map(|(interval, (a, b))| {
            let by = (*b)?.checked_sub((*a)?)?;
            (by > 0).then_some(Step { interval, by })
        });
        steps.max_by_key(|step| step.by)
    }

    /// How many intervals in a row, at most, it stands still.
    pub fn longest_plateau(&self) -> usize {
        let noise = self.most().unwrap_or(0) as f64 * STEADY_SHARE;
        let (mut longest, mut now) = (0, 0);
        for (a, b) in self.0.iter().zip(self.0.iter().skip(1)) {
            let stands = a.zip(*b).is_some_and(|(a, b)| a.abs_diff(b) as f64 <= noise);
            now = if stands { now + 1 } else { 0 };
            longest = longest.max(now);
        }
        longest
    }

    /// How many times the first value the last one is; `None` when the first is 0.
    pub fn ratio(&self) -> Option<f64> {
        let (first, last) = (self.first()?, self.last()?);
        (first > 0).then(|| last as f64 / first as f64)
    }

    /// The slope of a straight line through all points, for an hour.
    pub fn per_hour(&self, times: &[Option<UtcTime>]) -> Option<f64> {
        let points: Vec<Point> =
            times.iter().zip(&self.0).map(|(time, value)| Point { time: *time, bytes: *value }).collect();
        trend(&points).map(|trend| trend.bytes_per_hour)
    }

    /// The part of a whole's growth that this one's is, in percent; `None` when the whole did not grow.
    pub fn share_of_growth_percent(&self, whole: &Self) -> Option<f64> {
        let (part, whole) = (self.net()?, whole.net()?);
        (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
    }
}

/// The sum of several, dump by dump; `None` where one of them does not tell.
pub fn sum<'a>(parts: impl IntoIterator<Item = &'a Values>, dump_count: usize) -> Values {
    let zero = vec![Some(0_u64); dump_count];
    Values(parts.into_iter().fold(zero, |sums, part| {
        let add = |(sum, value): (&Option<u64>, &Option<u64>)| Some((*sum)?.saturating_add((*value)?));
        sums.iter().zip(&part.0).map(add).collect()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: &[u64]) -> Values {
        Values(of.iter().copied().map(Some).collect())
    }

    #[test]
    fn growth_is_measured() {
        let rises = values(&[100, 200, 200, 500]);
        assert_eq!(rises.net(), Some(400));
        assert_eq!(rises.rising_share(), Some(2.0 / 3.0));
        assert_eq!(rises.largest_step(), Some(Step { interval: 2, by: 300 }));
        assert_eq!((rises.longest_plateau(), rises.turn_count(), rises.peak_to_peak()), (1, 0, 400));
        assert_eq!(rises.ratio(), Some(5.0));
        assert_eq!(values(&[10, 30, 20, 40]).turn_count(), 2);
        assert_eq!(values(&[0, 30]).ratio(), None);
    }

    #[test]
    fn what_is_not_known_is_in_no_sum() {
        let part = Values(vec![Some(1), None]);
        let all = sum([&part, &values(&[5, 5])], 2);
        assert_eq!(all.0, [Some(6), None]);
        assert_eq!((all.net(), all.is_whole()), (None, false));
        assert_eq!(values(&[5]).net(), None);
    }

    #[test]
    fn a_share_needs_a_whole_that_grew() {
        assert_eq!(values(&[0, 50]).share_of_growth_percent(&values(&[0, 200])), Some(25.0));
        assert_eq!(values(&[0, 50]).share_of_growth_percent(&values(&[200, 200])), None);
    }
}
