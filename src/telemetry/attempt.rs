//! The record of one attempt to deliver.

use std::time::Duration;

use super::{
    PlatformFields,
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

    /// The metrics of an attempt that is logged in a separate line on every platform.
    fn metrics(&self) -> Option<EmbeddedMetrics> {
        let metric = match self.outcome {
            "retry" => &metrics::RETRIED,
            "dead" => &metrics::DEAD,
            "held" => &metrics::HELD,
            _ => return None,
        };
        let source = SourceName::new(self.key.source())?;
        let mut embedded = EmbeddedMetrics::of_source(self.platform.function.as_ref()?, &source);
        embedded.add(metric, 1);
        Some(embedded)
    }
}
