//! One value over the dumps of a series: its slope, and how steadily it rises.

use crate::base::time::UtcTime;

/// A point of a series; either part may be missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Point {
    pub time: Option<UtcTime>,
    pub bytes: Option<u64>,
}

/// What a straight line says of the points.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Trend {
    /// Least squares over the times of the dumps.
    pub bytes_per_hour: f64,
    /// Steps up less steps down, over all steps: 1 rises always, -1 falls always.
    pub monotony: f64,
}

/// The trend of the points that are known; `None` with fewer than two of them, or when they all have one time.
pub fn trend(points: &[Point]) -> Option<Trend> {
    let known: Vec<(UtcTime, f64)> =
        points.iter().filter_map(|point| Some((point.time?, point.bytes? as f64))).collect();
    let (start, _) = *known.first()?;
    let hours = |time: UtcTime| time.ns_since(start) as f64 / 3.6e12;
    let count = known.len() as f64;
    let mean_hours = known.iter().map(|(time, _)| hours(*time)).sum::<f64>() / count;
    let mean_bytes = known.iter().map(|(_, bytes)| bytes).sum::<f64>() / count;
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (time, bytes) in &known {
        let distance = hours(*time) - mean_hours;
        covariance += distance * (bytes - mean_bytes);
        variance += distance * distance;
    }
    if variance <= 0.0 {
        return None;
    }
    let mut steps = 0.0;
    for pair in known.windows(2) {
        if let [(_, before), (_, after)] = pair {
            steps += match after.total_cmp(before) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.0,
                std::cmp::Ordering::Less => -1.0,
            };
        }
    }
    Some(Trend { bytes_per_hour: covariance / variance, monotony: steps / (count - 1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[(u32, u64)]) -> Vec<Point> {
        values
            .iter()
            .map(|(seconds, bytes)| Point { time: UtcTime::from_unix_seconds(*seconds), bytes: Some(*bytes) })
            .collect()
    }

    #[test]
    fn a_straight_line_has_its_slope() {
        let trend = trend(&points(&[(3600, 100), (7200, 200), (10_800, 300)])).expect("three points");
        assert!((trend.bytes_per_hour - 100.0).abs() < 1e-9);
        assert!((trend.monotony - 1.0).abs() < 1e-9);
    }

    #[test]
    fn one_time_has_no_slope() {
        assert_eq!(trend(&points(&[(3600, 100), (3600, 200)])), None);
        assert_eq!(trend(&points(&[(3600, 100)])), None);
        assert_eq!(trend(&[]), None);
    }
}
