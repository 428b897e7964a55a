//! Simulates the alarms of CloudWatch: reads metrics from log lines, and evaluates the alarms of a
//! template by the rules that AWS documents.
//!
//! Where the documents leave a choice, the evaluation range is two periods longer than the
//! evaluation periods, as in AWS's example; a percentile is the nearest rank; `FILL` also fills a
//! series without any datapoint. Datapoints count immediately; in CloudWatch they can arrive a
//! minute or two late.

#![allow(
    clippy::float_arithmetic,
    reason = "CloudWatch calculates with floating-point numbers"
)]

mod alarm;
mod embedded_metrics;
mod expression;
mod metric_store;

pub use alarm::{AlarmState, AlarmTransition, AlarmWatch, MetricAlarm};
pub use embedded_metrics::read_line;
pub use expression::MathExpression;
pub use metric_store::{MetricSeries, MetricStatistic, MetricStore, series};

use std::time::Duration;

/// How often CloudWatch evaluates an alarm.
pub const EVALUATION_INTERVAL: Duration = Duration::from_secs(60);
