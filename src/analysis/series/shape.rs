//! How one number goes over a series: growth, a step, a plateau, up and down, or nothing. One function judges whatever is
//! measured: heaps, regions, the stacks of UMDH logs. Numbers and the judgement on them are kept apart; the limits with their
//! reasons are in [`crate::analysis::thresholds`].

use serde::{Deserialize, Serialize};

use crate::analysis::thresholds::{
    FLUCTUATION_NET_SHARE, FLUCTUATION_TURNS, LEAST_DUMPS_FOR_A_DIRECTION, PLATEAU_CHANGE_SHARE, PLATEAU_SHARE,
    RISING_SHARE, STEADY_SHARE, STEP_SHARE,
};

/// The word for how a value goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Shape {
    /// Rises in nearly every interval.
    Growth,
    /// Rises once and stays there.
    Step,
    /// Rose, and then stayed.
    Plateau,
    /// Goes up and down, with little left of it.
    Fluctuation,
    Shrinking,
    /// Hardly changes.
    Steady,
    /// Too few points, or none of the above.
    Undecided,
}

/// What the values count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Counted {
    /// What a program asked for, to the byte, as logs have it: every change is one.
    Requested,
    /// Committed memory: it comes and goes by pages, so that small changes are none, and grows by segments, so that a stair is
    /// growth.
    Committed,
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
pub fn judge(points: impl IntoIterator<Item = Option<u64>>, counted: Counted) -> Option<Judgement> {
    let points: Vec<u64> = points.into_iter().flatten().collect();
    let (first, last) = (points.first()?, points.last()?);
    let steps: Vec<i128> =
        points.windows(2).filter_map(|pair| Some(i128::from(*pair.last()?) - i128::from(*pair.first()?))).collect();
    let interval_count = u32::try_from(steps.len()).ok().filter(|count| *count > 0)?;
    let highest = points.iter().max()?;
    let lowest = points.iter().min()?;
    let noise = match counted {
        Counted::Requested => 0.0,
        Counted::Committed => *highest as f64 * STEADY_SHARE,
    };
    let real = steps.iter().filter(|step| step.unsigned_abs() as f64 > noise);
    let mut turns: Vec<i128> = real.map(|step| step.signum()).collect();
    turns.dedup();
    let mut judgement = Judgement {
        shape: Shape::Undecided,
        net_bytes: i128::from(*last) - i128::from(*first),
        peak_to_peak_bytes: highest.saturating_sub(*lowest),
        sign_change_count: u32::try_from(turns.len().saturating_sub(1)).unwrap_or(u32::MAX),
        growing_interval_count: u32::try_from(steps.iter().filter(|step| **step > 0).count()).unwrap_or(u32::MAX),
        interval_count,
    };
    judgement.shape = shape_of(&judgement, &points, &steps, counted, noise);
    Some(judgement)
}

/// The shape of committed memory.
pub fn committed_shape(values: &[Option<u64>]) -> Option<Shape> {
    judge(values.iter().copied(), Counted::Committed).map(|judgement| judgement.shape)
}

fn shape_of(judgement: &Judgement, points: &[u64], steps: &[i128], counted: Counted, noise: f64) -> Shape {
    if points.len() < LEAST_DUMPS_FOR_A_DIRECTION && counted == Counted::Requested {
        return Shape::Undecided;
    }
    let range = judgement.peak_to_peak_bytes as f64;
    if judgement.peak_to_peak_bytes == 0 || range <= noise {
        return Shape::Steady;
    }
    let net = judgement.net_bytes as f64;
    let net_share = net / range;
    let never_turns = judgement.sign_change_count == 0;
    let largest_step = steps.iter().copied().max().unwrap_or(0) as f64;
    if net > 0.0 && never_turns && steps.len() > 1 && largest_step >= STEP_SHARE * net {
        return Shape::Step;
    }
    let still_share = still_intervals(points, range) as f64 / f64::from(judgement.interval_count);
    if net > 0.0 && never_turns && still_share >= PLATEAU_SHARE {
        return Shape::Plateau;
    }
    let growing_share = f64::from(judgement.growing_interval_count) / f64::from(judgement.interval_count);
    if growing_share >= RISING_SHARE && net_share >= FLUCTUATION_NET_SHARE {
        return Shape::Growth;
    }
    if net_share.abs() < FLUCTUATION_NET_SHARE || judgement.sign_change_count >= FLUCTUATION_TURNS {
        return Shape::Fluctuation;
    }
    match counted {
        _ if net < 0.0 => Shape::Shrinking,
        Counted::Committed => Shape::Growth,
        Counted::Requested => Shape::Undecided,
    }
}

/// How many intervals at the end lie within a band that is not seen in a plot.
fn still_intervals(points: &[u64], range: f64) -> usize {
    let (mut lowest, mut highest) = (u64::MAX, 0);
    let still = points.iter().rev().take_while(|point| {
        (lowest, highest) = (lowest.min(**point), highest.max(**point));
        (highest - lowest) as f64 <= range * PLATEAU_CHANGE_SHARE
    });
    still.count().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(points: &[u64], counted: Counted, expect: Shape) {
        let judgement = judge(points.iter().copied().map(Some), counted).expect("two points");
        assert_eq!(judgement.shape, expect, "{points:?} {judgement:?}");
    }

    #[test]
    fn shapes_of_requested_bytes_are_told_apart() {
        let check = |points: &[u64], expect| check(points, Counted::Requested, expect);
        check(&[10, 20, 30, 40, 50, 60], Shape::Growth);
        check(&[10, 20, 30, 25, 50, 60], Shape::Growth);
        check(&[10, 20, 15, 25, 20, 28], Shape::Fluctuation);
        check(&[10, 60, 10, 55, 12, 14], Shape::Fluctuation);
        check(&[10, 60, 50, 40, 30, 12], Shape::Fluctuation);
        check(&[10, 10, 10, 90, 90, 90], Shape::Step);
        check(&[100, 300, 302, 304], Shape::Step);
        check(&[10, 40, 80, 80, 80, 80], Shape::Plateau);
        check(&[90, 90, 60, 40, 20, 20], Shape::Shrinking);
        check(&[10, 10, 10], Shape::Steady);
        check(&[10, 20, 20, 30, 30, 40], Shape::Undecided);
        check(&[10, 900], Shape::Undecided);
        // By so little a page heap would not have changed; a program that asks has.
        check(&[1444, 1450, 1460], Shape::Growth);
    }

    #[test]
    fn shapes_of_committed_memory_are_told_apart() {
        let check = |points: &[u64], expect| check(points, Counted::Committed, expect);
        check(&[1444, 1444, 1444], Shape::Steady);
        check(&[1444, 1450, 1440], Shape::Steady);
        check(&[100, 200, 300, 400], Shape::Growth);
        check(&[100, 200], Shape::Growth);
        check(&[200, 100], Shape::Shrinking);
        check(&[10, 20, 20, 30, 30, 40], Shape::Growth);
        check(&[100, 300, 302, 304], Shape::Step);
        check(&[100, 300, 500, 502, 504, 500], Shape::Plateau);
        check(&[100, 300, 120, 280, 110], Shape::Fluctuation);
        check(&[400, 300, 200], Shape::Shrinking);
        assert_eq!((committed_shape(&[Some(100)]), committed_shape(&[])), (None, None));
    }

    #[test]
    fn a_near_miss_of_growth_is_none() {
        // Rises in three of four intervals only, and turns twice.
        check(&[100, 200, 150, 260, 300], Counted::Committed, Shape::Fluctuation);
        // Rises always, by less than a fifth: that is for a pattern to weigh.
        check(&[1000, 1040, 1080, 1120], Counted::Committed, Shape::Growth);
        // Rises in four of five intervals, and falls nearly back.
        check(&[100, 200, 300, 400, 500, 130], Counted::Committed, Shape::Fluctuation);
    }

    #[test]
    fn a_slow_leak_over_many_dumps_is_no_plateau() {
        let points: Vec<u64> = (0..200).map(|dump| 1_000_000 + dump * 1_000).collect();
        check(&points, Counted::Committed, Shape::Growth);
        check(&points, Counted::Requested, Shape::Growth);
    }

    #[test]
    fn numbers_are_those_of_the_points() {
        let judgement = judge([Some(10), None, Some(40), Some(20), Some(30)], Counted::Requested).expect("four points");
        assert_eq!((judgement.net_bytes, judgement.peak_to_peak_bytes), (20, 30));
        assert_eq!((judgement.sign_change_count, judgement.growing_interval_count), (2, 2));
        assert_eq!(judge([Some(1)], Counted::Requested), None);
        assert_eq!(judge([None, None], Counted::Requested), None);
    }
}
