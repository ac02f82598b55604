//! The course of one value over the dumps: does it grow, only fluctuate, or stay?

/// What a value does over a series.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Course {
    /// Rises in nearly every interval.
    Growth,
    /// Rises once and stays there.
    Step,
    /// Goes up and down, with little left of it.
    Fluctuation,
    /// Hardly changes.
    Steady,
    Shrinks,
}

/// Changes below this share of the highest value are none: heaps commit and decommit by pages all the time.
const STEADY_SHARE: f64 = 0.02;
/// Rising in so many of the intervals is steady growth.
const RISING_SHARE: f64 = 0.8;
/// A rise of the whole by less than a fifth may be the program getting under way.
const LEAST_GROWTH: f64 = 1.2;
/// One interval with so much of the whole change is a step.
const STEP_SHARE: f64 = 0.9;
/// What is left at the end, as a share of the distance between highest and lowest.
const FLUCTUATION_NET: f64 = 0.3;
/// Turns of direction that make a fluctuation.
const FLUCTUATION_TURNS: usize = 2;

/// The course of the values that are known. `None` with fewer than two.
pub fn course(values: &[Option<u64>]) -> Option<Course> {
    let known: Vec<f64> = values.iter().flatten().map(|value| *value as f64).collect();
    let [first, .., last] = *known.as_slice() else { return None };
    let most = known.iter().copied().fold(0.0, f64::max);
    let least = known.iter().copied().fold(f64::INFINITY, f64::min);
    let span = most - least;
    if span <= most * STEADY_SHARE {
        return Some(Course::Steady);
    }
    // What a heap gives back and takes again between two dumps is no turn.
    let noise = most * STEADY_SHARE;
    let steps: Vec<f64> = known.iter().zip(known.iter().skip(1)).map(|(a, b)| b - a).collect();
    let rising_count = steps.iter().filter(|step| **step > 0.0).count() as f64;
    let directions: Vec<bool> = steps.iter().filter(|step| step.abs() > noise).map(|step| *step > 0.0).collect();
    let turns = directions.iter().zip(directions.iter().skip(1)).filter(|(a, b)| a != b).count();
    let net = last - first;
    let rises_steadily = rising_count >= RISING_SHARE * steps.len() as f64;
    let largest_step = steps.iter().copied().fold(0.0, f64::max);
    if net > 0.0 && steps.len() > 1 && turns == 0 && largest_step >= STEP_SHARE * net {
        return Some(Course::Step);
    }
    if net > 0.0 && rises_steadily && last >= first * LEAST_GROWTH {
        return Some(Course::Growth);
    }
    if net.abs() < FLUCTUATION_NET * span || turns >= FLUCTUATION_TURNS {
        return Some(Course::Fluctuation);
    }
    Some(if net > 0.0 { Course::Growth } else { Course::Shrinks })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[u64], expect: Option<Course>) {
        let values: Vec<Option<u64>> = values.iter().copied().map(Some).collect();
        assert_eq!(course(&values), expect, "{values:?}");
    }

    #[test]
    fn courses_have_their_names() {
        check(&[1444, 1444, 1444], Some(Course::Steady));
        check(&[1444, 1450, 1440], Some(Course::Steady));
        check(&[100, 200, 300, 400], Some(Course::Growth));
        check(&[100, 200], Some(Course::Growth));
        check(&[100, 300, 302, 304], Some(Course::Step));
        check(&[100, 300, 120, 280, 110], Some(Course::Fluctuation));
        check(&[400, 300, 200], Some(Course::Shrinks));
        check(&[100], None);
        check(&[], None);
    }

    #[test]
    fn a_near_miss_of_growth_is_none() {
        // Rises in three of four intervals only, and turns twice.
        check(&[100, 200, 150, 260, 300], Some(Course::Fluctuation));
        // Rises always, by less than a fifth: no steady leak yet, but no fluctuation either.
        check(&[1000, 1040, 1080, 1120], Some(Course::Growth));
    }
}
