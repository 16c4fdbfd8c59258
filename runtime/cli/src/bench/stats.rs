//! Percentiles.

use serde::Serialize;

/// Nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    pub(super) count: usize,
    pub(super) min: u64,
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
}

impl Summary {
    /// Of ascending values; None of none.
    pub(super) fn of(values: &[u64]) -> Option<Summary> {
        Some(Summary {
            count: values.len(),
            min: *values.first()?,
            p50: percentile(values, 50)?,
            p90: percentile(values, 90)?,
            p99: percentile(values, 99)?,
            max: *values.last()?,
        })
    }
}

/// Nearest rank: the smallest value that at least `percent` of all values do not exceed.
fn percentile(values: &[u64], percent: usize) -> Option<u64> {
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_ranks() {
        let values: Vec<u64> = (1..=100).collect();
        let summary = Summary::of(&values).unwrap();
        assert_eq!((summary.p50, summary.p90, summary.p99), (50, 90, 99));
        assert_eq!((summary.min, summary.max, summary.count), (1, 100, 100));
        let one = Summary::of(&[7]).unwrap();
        assert_eq!((one.p50, one.p99), (7, 7));
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(percentile(&[1, 2, 3, 4], 50), Some(2));
    }
}
