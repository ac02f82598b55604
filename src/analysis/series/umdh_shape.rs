//! How the memory that one stack has allocated goes over the logs: a leak, a fluctuation, or something else. Numbers and the
//! judgement on them are kept apart.

use serde::{Deserialize, Serialize};

/// Fewer points than this have no shape: two are only a difference.
pub const FEWEST_POINTS: usize = 3;

/// A leak grows nearly always: one interval in five may fall, where a cache was emptied or a peak was caught.
pub const LEAK_GROWING_SHARE: f64 = 0.8;

/// Below this share of its whole range, what is left at the end is not growth but where in its swing the last log caught it.
/// Memory Fluctuation: logs that are taken too close together differ by what rises and falls anyway.
pub const FLUCTUATION_NET_SHARE: f64 = 0.3;

/// A turn each way: what rose and fell and rose again swings, whatever is left at the end.
pub const FLUCTUATION_SIGN_CHANGES: u32 = 2;

/// One interval with so much of the whole change is a step: one event, and not a rate.
pub const STEP_SHARE: f64 = 0.8;

/// Growth that ended: at least this share of the intervals at the end change by less than [`PLATEAU_CHANGE_SHARE`].
pub const PLATEAU_SHARE: f64 = 0.4;
/// Of the whole range; less is not seen in a plot.
pub const PLATEAU_CHANGE_SHARE: f64 = 0.02;

/// The word for how a value goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Shape {
    Leak,
    Step,
    Plateau,
    Fluctuation,
    Shrinking,
    /// The same in every log.
    Constant,
    /// Too few logs, or none of the above.
    Undecided,
}

/// The numbers that decide, and what they decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Judgement {
    pub shape: Shape,
    /// The last point less the first.
    pub net_bytes: i128,
    /// The highest point less the lowest.
    pub peak_to_peak_bytes: u64,
    /// How often growth turns into decline and back.
    pub sign_change_count: u32,
    pub growing_interval_count: u32,
    pub interval_count: u32,
}

/// Judges the points that are known, in time order. `None` without two of them.
pub fn judge(points: impl IntoIterator<Item = Option<u64>>) -> Option<Judgement> {
    let points: Vec<u64> = points.into_iter().flatten().collect();
    let (first, last) = (points.first()?, points.last()?);
    let steps: Vec<i128> =
        points.windows(2).filter_map(|pair| Some(i128::from(*pair.last()?) - i128::from(*pair.first()?))).collect();
    let interval_count = u32::try_from(steps.len()).ok().filter(|count| *count > 0)?;
    let highest = points.iter().max()?;
    let lowest = points.iter().min()?;
    let mut turns = steps.iter().map(|step| step.signum()).filter(|sign| *sign != 0).collect::<Vec<_>>();
    turns.dedup();
    let mut judgement = Judgement {
        shape: Shape::Undecided,
        net_bytes: i128::from(*last) - i128::from(*first),
        peak_to_peak_bytes: highest.saturating_sub(*lowest),
        sign_change_count: u32::try_from(turns.len().saturating_sub(1)).unwrap_or(u32::MAX),
        growing_interval_count: u32::try_from(steps.iter().filter(|step| **step > 0).count()).unwrap_or(u32::MAX),
        interval_count,
    };
    judgement.shape = shape(&judgement, &steps);
    Some(judgement)
}

fn shape(judgement: &Judgement, steps: &[i128]) -> Shape {
    if steps.len() + 1 < FEWEST_POINTS {
        return Shape::Undecided;
    }
    let range = judgement.peak_to_peak_bytes as f64;
    if judgement.peak_to_peak_bytes == 0 {
        return Shape::Constant;
    }
    let net_share = judgement.net_bytes as f64 / range;
    let growing_share = f64::from(judgement.growing_interval_count) / f64::from(judgement.interval_count);
    if growing_share >= LEAK_GROWING_SHARE && net_share >= FLUCTUATION_NET_SHARE {
        return Shape::Leak;
    }
    if net_share.abs() < FLUCTUATION_NET_SHARE || judgement.sign_change_count >= FLUCTUATION_SIGN_CHANGES {
        return Shape::Fluctuation;
    }
    if judgement.net_bytes < 0 {
        return Shape::Shrinking;
    }
    let largest = steps.iter().copied().max().unwrap_or(0) as f64;
    let still =
        steps.iter().rev().take_while(|step| step.unsigned_abs() as f64 <= range * PLATEAU_CHANGE_SHARE).count();
    let is_still = still as f64 / f64::from(judgement.interval_count) >= PLATEAU_SHARE;
    if largest >= range * STEP_SHARE {
        return Shape::Step;
    }
    if is_still { Shape::Plateau } else { Shape::Undecided }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(points: &[u64], expect: Shape) {
        let judgement = judge(points.iter().copied().map(Some)).expect("two points");
        assert_eq!(judgement.shape, expect, "{points:?} {judgement:?}");
    }

    #[test]
    fn shapes_are_told_apart() {
        check(&[10, 20, 30, 40, 50, 60], Shape::Leak);
        check(&[10, 20, 30, 25, 50, 60], Shape::Leak);
        check(&[10, 20, 15, 25, 20, 28], Shape::Fluctuation);
        check(&[10, 60, 10, 55, 12, 14], Shape::Fluctuation);
        check(&[10, 60, 50, 40, 30, 12], Shape::Fluctuation);
        check(&[10, 10, 10, 90, 90, 90], Shape::Step);
        check(&[10, 40, 80, 80, 80, 80], Shape::Plateau);
        check(&[90, 90, 60, 40, 20, 20], Shape::Shrinking);
        check(&[10, 10, 10], Shape::Constant);
        check(&[10, 20, 20, 30, 30, 40], Shape::Undecided);
        check(&[10, 900], Shape::Undecided);
    }

    #[test]
    fn numbers_are_those_of_the_points() {
        let judgement = judge([Some(10), None, Some(40), Some(20), Some(30)]).expect("four points");
        assert_eq!((judgement.net_bytes, judgement.peak_to_peak_bytes), (20, 30));
        assert_eq!((judgement.sign_change_count, judgement.growing_interval_count), (2, 2));
        assert_eq!(judge([Some(1)]), None);
        assert_eq!(judge([None, None]), None);
    }
}
