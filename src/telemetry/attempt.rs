//! The record of one attempt to deliver.

use std::time::Duration;

use super::{
    MetricSample, PlatformFields,
    metrics::{self, EmbeddedMetrics},
    micros,
};
use crate::domain::{Key, SourceName, Timestamp};

/// One attempt to deliver one row, and its outcome.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttemptRecord {
    /// The invocation that made the attempt.
    pub platform: PlatformFields,
    /// The key of the row.
    pub key: Key,
    /// `delivered`, `repeat`, `retry`, `dead`, `held`, `lost`, `not_ours` or `error`.
    pub outcome: &'static str,
    /// The number of the attempt; `None` if the row was not claimed.
    pub attempt: Option<u32>,
    /// Why the row was not delivered.
    pub reason: Option<String>,
    /// The key under which the same event was recorded first, of a repeat.
    pub original_key: Option<Key>,
    /// When the row is due again.
    pub retry_at: Option<Timestamp>,
    /// The time from the receipt of the notification to the end of the attempt.
    pub age: Duration,
    /// The time that the attempt took.
    pub took: Duration,
}

impl AttemptRecord {
    /// Writes the record as one log line.
    pub fn log(&self) {
        let embedded_metrics = self.metrics().and_then(EmbeddedMetrics::open_members);
        macro_rules! line {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    request_id = self.platform.request_id,
                    role = self.platform.role,
                    source = self.key.source(),
                    key = self.key.as_str(),
                    outcome = self.outcome,
                    attempt = self.attempt,
                    retry_at = self.retry_at.map(|at| at.to_string()),
                    reason = self.reason,
                    original_key = self.original_key.as_ref().map(Key::as_str),
                    took_us = micros(self.took),
                    version = self.platform.version,
                    embedded_metrics,
                    $message
                )
            };
        }
        match self.outcome {
            "delivered" => line!(info, "notification delivered"),
            "repeat" => line!(info, "repeat of an event, not delivered again"),
            "retry" => line!(warn, "delivery failed, will retry"),
            "dead" => line!(error, "delivery failed for good"),
            "held" => line!(warn, "notification held, not delivered"),
            "lost" => line!(warn, "claim ended before the outcome was written"),
            "not_ours" => line!(debug, "nothing to deliver"),
            _ => line!(error, "outcome not written, will retry"),
        }
    }

    /// The metrics of the line. Those of a delivered notification and of a repeat are in the line
    /// of their invocation.
    fn metrics(&self) -> Option<EmbeddedMetrics> {
        if !matches!(self.outcome, "retry" | "dead" | "held") {
            return None;
        }
        let source = SourceName::new(self.key.source())?;
        let mut embedded = EmbeddedMetrics::of_source(self.platform.function.as_ref()?, &source);
        for sample in self.samples() {
            embedded.add(sample.metric, sample.in_unit());
        }
        Some(embedded)
    }

    /// What the record adds to metrics.
    pub fn samples(&self) -> Vec<MetricSample> {
        let metric = match self.outcome {
            "delivered" => &metrics::DELIVERED,
            "repeat" => &metrics::REPEAT,
            "retry" => &metrics::RETRIED,
            "dead" => &metrics::DEAD,
            "held" => &metrics::HELD,
            _ => return Vec::new(),
        };
        let delay = (self.outcome == "delivered")
            .then(|| MetricSample::time(&metrics::DELIVERY_DELAY, self.age));
        std::iter::once(MetricSample::count(metric, 1))
            .chain(delay)
            .collect()
    }
}
