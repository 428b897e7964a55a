//! A stored row -> claim -> same event under another id? -> deliver -> mark.
//!
//! A key comes in; what became of its row goes out. It can be called for any key at any time by
//! any number of processes: the claim decides who works, and the fence who may write.

mod circuit_breaker;
mod worker_pool;
mod retry;
#[cfg(test)]
mod test_support;
pub mod stream_batch;
pub mod sweep;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    destinations::{DeliveryError, Destination, Event},
    domain::{Clock, Key, Origin, SourceName, Timestamp},
    inbox::{
        Claim, DeliveryInbox, EventClaim, Fence, InboxError, Lease, LeaseId, Mark, Marked,
        RetentionPolicy, Row,
    },
};

pub use circuit_breaker::{CircuitBreaker, FAILURE_THRESHOLD};
pub use retry::{BUDGET, FIRST_BACKOFF, RetryDecision, after_failure};
pub use worker_pool::{AT_ONCE, AttemptCounts, AttemptError, AttemptResult, RunDeadline};

/// How long a claim stands. Longer than any attempt, and than any process that makes one may run.
pub const LEASE: Duration = Duration::from_secs(150);
/// The longest an attempt may take, whatever its destination does.
pub const ATTEMPT: Duration = Duration::from_secs(30);

/// How often it is written down that a source was heard.
const HEARD_EVERY: Duration = Duration::from_secs(10);

/// What processing one row needs.
pub struct DeliveryWorker<I, D, W> {
    /// Where the row is.
    pub inbox: Arc<I>,
    /// Time and chance.
    pub clock: Arc<W>,
    destination: D,
    keeping: RetentionPolicy,
    heard: Mutex<HashMap<String, Timestamp>>,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Handed on.
    Delivered,
    /// The same event had come under this key.
    Repeat(Key),
    /// Failed; due again later.
    Retry(String),
    /// Refused for good, or out of budget.
    Dead(String),
    /// Not open, not due, or someone else's: nothing was done.
    NotOurs,
    /// Done, but the claim had lapsed meanwhile: whoever has the row now will do it again.
    Lost,
}

impl AttemptOutcome {
    /// The outcome in one word, for logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Repeat(_) => "repeat",
            Self::Retry(_) => "retry",
            Self::Dead(_) => "dead",
            Self::NotOurs => "not_ours",
            Self::Lost => "lost",
        }
    }
}

/// What happened in one call, for the log.
#[derive(Clone, Debug)]
pub struct ProcessedRow {
    /// What became of the row.
    pub outcome: AttemptOutcome,
    /// The row's attempt number; 0 if it was not claimed.
    pub attempt: u32,
}

impl<I: DeliveryInbox, D: Destination, W: Clock> DeliveryWorker<I, D, W> {
    /// A worker that hands the rows of `inbox` on to `destination`.
    pub fn new(inbox: Arc<I>, destination: D, clock: Arc<W>, keeping: RetentionPolicy) -> Self {
        Self {
            inbox,
            clock,
            destination,
            keeping,
            heard: Mutex::default(),
        }
    }

    /// Works on the row of `key`, if it is open, due and free.
    ///
    /// Fails only if the inbox does; whatever the destination does is an outcome.
    pub async fn process(&self, key: &Key) -> Result<ProcessedRow, InboxError> {
        let Some((row, fence)) = self.inbox.claim(key, &self.claim()).await? else {
            return Ok(ProcessedRow {
                outcome: AttemptOutcome::NotOurs,
                attempt: 0,
            });
        };
        self.note_heard(&row).await?;
        let mark = self.work(&row, &fence).await?;
        let outcome = match self.inbox.mark(&fence, &mark).await? {
            Marked::Done => AttemptOutcome::from(mark),
            Marked::Lost => AttemptOutcome::Lost,
        };
        Ok(ProcessedRow {
            outcome,
            attempt: fence.attempt,
        })
    }

    fn claim(&self) -> Claim {
        let now = self.clock.now();
        let lease = Lease {
            id: LeaseId(self.clock.random()),
            until: now.plus(LEASE),
        };
        Claim {
            now,
            lease,
            first_backoff: FIRST_BACKOFF,
        }
    }

    /// Notes that the row's source was heard, at most every [`HEARD_EVERY`]. What we asked for
    /// doesn't count: it must not hide that a sender has stopped posting.
    async fn note_heard(&self, row: &Row) -> Result<(), InboxError> {
        let Some(source) = SourceName::new(row.key.source()).filter(|_| row.origin == Origin::Push)
        else {
            return Ok(());
        };
        let is_news = {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let last = heard.get(source.as_str());
            let is_news = last.is_none_or(|last| row.received_at >= last.plus(HEARD_EVERY));
            if is_news {
                heard.insert(source.as_str().to_owned(), row.received_at);
            }
            is_news
        };
        if is_news {
            self.inbox
                .record_last_received(&source, row.received_at)
                .await
        } else {
            Ok(())
        }
    }

    /// The work between claim and mark.
    async fn work(&self, row: &Row, fence: &Fence) -> Result<Mark, InboxError> {
        // Out of time before it began: its last attempts left no outcome, so it may kill whoever
        // tries.
        if fence.attempt > 1 && self.clock.now().since(row.budget_from) >= BUDGET {
            return Ok(self.dead("budget spent", row.last_error.clone().unwrap_or_default()));
        }
        if let Some(event) = row.event() {
            let expires_at = self.keeping.ledger_expiry(self.clock.now());
            if let EventClaim::HeldBy(of) =
                self.inbox.claim_event(&event, &row.key, expires_at).await?
            {
                return Ok(Mark::Repeat {
                    of,
                    expires_at: self.keeping.row_expiry(self.clock.now()),
                });
            }
        }
        Ok(match Event::of(row) {
            Err(damaged) => self.dead("damaged", damaged.to_string()),
            Ok(event) => self.deliver(row, fence, &event).await,
        })
    }

    async fn deliver(&self, row: &Row, fence: &Fence, event: &Event) -> Mark {
        let attempt =
            tokio::time::timeout(ATTEMPT, self.destination.deliver(&row.key, event)).await;
        let now = self.clock.now();
        let error = match attempt {
            Ok(Ok(())) => {
                return Mark::Delivered {
                    expires_at: self.keeping.row_expiry(now),
                };
            }
            Ok(Err(error)) => error,
            Err(_) => {
                DeliveryError::Unavailable(format!("no outcome within {} s", ATTEMPT.as_secs()))
            }
        };
        match after_failure(
            &error,
            fence.attempt,
            now.since(row.budget_from),
            self.clock.random(),
        ) {
            RetryDecision::Dead(reason) => self.dead(reason, error.to_string()),
            RetryDecision::RetryAfter(delay) => Mark::Retry {
                due_at: now.plus(delay),
                error: error.to_string(),
            },
        }
    }

    fn dead(&self, reason: &str, error: String) -> Mark {
        Mark::Dead {
            reason: reason.to_owned(),
            error,
            at: self.clock.now(),
        }
    }
}

impl From<Mark> for AttemptOutcome {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::Delivered { .. } => Self::Delivered,
            Mark::Repeat { of, .. } => Self::Repeat(of),
            Mark::Retry { error, .. } => Self::Retry(error),
            Mark::Dead { error, .. } => Self::Dead(error),
        }
    }
}
