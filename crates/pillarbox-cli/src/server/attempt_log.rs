//! What became of one attempt -> one log line.

use std::time::Duration;

use pillarbox::{
    delivery::{AttemptOutcome, ProcessedRow},
    domain::Key,
    inbox::InboxError,
};

/// The canonical line of one attempt.
pub(super) fn say(key: &Key, took: Duration, processed: &Result<ProcessedRow, InboxError>) {
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let key = key.as_str();
    match processed {
        Ok(ProcessedRow { outcome, attempt }) => {
            let attempt = u64::from(*attempt);
            match outcome {
                AttemptOutcome::Delivered => tracing::info!(key, attempt, took_us, "delivered"),
                AttemptOutcome::Repeat(of) => {
                    tracing::info!(key, of = of.as_str(), attempt, took_us, "repeat")
                }
                AttemptOutcome::Retry(why) => tracing::warn!(
                    key,
                    why = why.as_str(),
                    attempt,
                    took_us,
                    "failed, due again"
                ),
                AttemptOutcome::Dead(why) => {
                    tracing::error!(key, why = why.as_str(), attempt, took_us, "dead")
                }
                AttemptOutcome::Lost => {
                    tracing::warn!(key, attempt, took_us, "outcome lost: the lease had lapsed")
                }
                AttemptOutcome::NotOurs => tracing::debug!(key, "nothing to do"),
            }
        }
        Err(error) => {
            tracing::error!(key, why = %error, took_us, "the inbox failed; the row is due again later")
        }
    }
}
