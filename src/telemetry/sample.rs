//! The values that records add to metrics. Each platform writes them in its format: embedded in a
//! log line on Lambda, as Prometheus text elsewhere.

use std::time::Duration;

use super::metrics::{MetricDefinition, RECONCILE_RUN, SWEEP_RUN};

/// One value of one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricSample {
    /// The metric.
    pub metric: &'static MetricDefinition,
    /// The value.
    pub value: MetricValue,
}

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricValue {
    /// A number of events or rows.
    Count(u64),
    /// A duration, which each format rounds to its unit.
    Time(Duration),
}

impl MetricSample {
    /// A sweep that read the due rows.
    pub const SWEEP: Self = Self::count(&SWEEP_RUN, 1);

    /// A reconcile run that has compared every source.
    pub const RUN: Self = Self::count(&RECONCILE_RUN, 1);

    /// A number of events or rows.
    pub const fn count(metric: &'static MetricDefinition, count: u64) -> Self {
        Self {
            metric,
            value: MetricValue::Count(count),
        }
    }

    /// A duration.
    pub const fn time(metric: &'static MetricDefinition, time: Duration) -> Self {
        Self {
            metric,
            value: MetricValue::Time(time),
        }
    }

    /// The value in the unit of its metric.
    pub fn in_unit(&self) -> u64 {
        match self.value {
            MetricValue::Count(count) => count,
            MetricValue::Time(time) => match self.metric.unit {
                "Milliseconds" => u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
                "Seconds" => time.as_secs(),
                _ => time.as_secs() / (60 * 60), // CloudWatch has no unit for hours
            },
        }
    }
}
