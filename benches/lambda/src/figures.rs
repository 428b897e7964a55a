//! Durations and bytes as the report prints them.

use std::time::Duration;

/// Several measurements of one quantity, in ascending order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// The smallest value that `percent` of all do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    /// `median (least to most)`.
    pub(crate) fn spread(&self) -> String {
        format!(
            "**{:.2}** ({:.2} to {:.2})",
            self.median(),
            self.percentile(0),
            self.percentile(100)
        )
    }
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Millions of bytes.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let figures = Figures::of((1..=100).rev().map(f64::from));
        assert_eq!(
            [0, 50, 99, 100].map(|percent| figures.percentile(percent)),
            [1.0, 50.0, 99.0, 100.0]
        );
        assert_eq!(Figures::of([3.0, 1.0, 2.0]).median(), 2.0);
        assert!(Figures::of([]).median().is_nan());
    }
}
