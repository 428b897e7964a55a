//! The record of one reconcile run.

use std::time::Duration;

use super::{MetricSample, metrics};

/// One run that compared one source with its sender's API.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ReconcileRecord {
    /// The platform's id of the invocation that made the run.
    pub request_id: Option<String>,
    /// The source's name.
    pub source: String,
    /// How the run ended, in one word.
    pub ended: &'static str,
    /// Why nothing could be reconciled; `None` if something was.
    pub reason: Option<String>,
    /// The notifications or payments that the sender listed.
    pub seen: usize,
    /// The notifications that this run recorded.
    pub recorded: usize,
    /// Those of them that a webhook should have brought; none of a source without one.
    pub missed_by_push: usize,
    /// The notifications that were recorded before.
    pub duplicates: usize,
    /// The notifications that were recorded and held.
    pub held: usize,
    /// The notifications that were acknowledged.
    pub acknowledged: usize,
    /// The events of payments that were never received.
    pub missing: usize,
    /// Those that this run was the first to find missing; `None` for a sender without such events.
    pub newly_missing: Option<usize>,
    /// The failures: the run's own, boxes that could not be emptied, payments that cannot be read.
    pub errors: usize,
    /// The age of the oldest notification that the sender holds unacknowledged, zero for none.
    pub oldest_unacknowledged: Option<Duration>,
    /// The time since the sender's last push; `None` if there was none.
    pub silent: Option<Duration>,
}

impl ReconcileRecord {
    /// Writes the record as one log line.
    pub fn log(&self) {
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    request_id = self.request_id,
                    source = self.source,
                    ended = self.ended,
                    reason = self.reason,
                    seen = self.seen,
                    recorded = self.recorded,
                    duplicates = self.duplicates,
                    held = self.held,
                    acknowledged = self.acknowledged,
                    missing = self.missing,
                    newly_missing = self.newly_missing,
                    errors = self.errors,
                    oldest_unacknowledged_seconds =
                        self.oldest_unacknowledged.map(|age| age.as_secs()),
                    silent_seconds = self.silent.map(|silent| silent.as_secs()),
                    "reconciled"
                )
            };
        }
        match (&self.reason, self.errors) {
            (Some(_), _) => line!(error),
            (None, 1..) => line!(warn),
            (None, 0) => line!(info),
        }
    }

    /// What the record adds to metrics.
    pub fn samples(&self) -> Vec<MetricSample> {
        let count = |metric, count: usize| {
            MetricSample::count(metric, u64::try_from(count).unwrap_or(u64::MAX))
        };
        let missing = self.newly_missing;
        let oldest = self.oldest_unacknowledged;
        [
            Some(count(&metrics::PULLED_MISSED, self.missed_by_push)),
            missing.map(|missing| count(&metrics::MISSING_EVENTS, missing)),
            oldest.map(|age| MetricSample::time(&metrics::OLDEST_UNACKNOWLEDGED, age)),
            Some(count(&metrics::PULL_FAILURES, self.errors)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
