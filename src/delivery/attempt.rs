//! One attempt: claim, deliver, mark.
//!
//! The claim counts the attempt, before the work. The mark is written only under the fence of the
//! claim, so an attempt that outlives its lease changes nothing. After an attempt without a mark,
//! the row stays open and becomes due again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    ATTEMPT_TIMEOUT, BUDGET, FIRST_BACKOFF, LEASE_DURATION, REFUSED, RetryDecision, after_failure,
};
use crate::{
    destinations::{DeliveryError, DeliveryReport, Destination, Event, InFlightPermit},
    domain::{Clock, HeldReason, Key, Origin, SourceName, Timestamp},
    inbox::{
        Claim, DeliveryInbox, EventClaim, Fence, InboxError, Lease, LeaseId, Mark, MarkOutcome,
        PastAttempt, PastOutcome, RetentionPolicy, Row,
    },
};

/// The shortest time between two writes of the time of a source's last notification.
const LAST_RECEIVED_INTERVAL: Duration = Duration::from_secs(10);

/// Makes attempts to deliver rows.
pub struct DeliveryWorker<I, D> {
    /// The inbox with the rows.
    pub inbox: Arc<I>,
    /// The source of time and randomness.
    pub clock: Arc<dyn Clock>,
    destination: D,
    pub(super) retention: RetentionPolicy,
    last_received: Mutex<HashMap<String, Timestamp>>,
    cut_off: CancellationToken,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The destination has the event.
    Delivered,
    /// The event belongs to this other key, and is not delivered again.
    Repeat(Key),
    /// The attempt failed, and the row is due again.
    Retry {
        /// Why it failed.
        reason: String,
        /// When the row is due again.
        retry_at: Timestamp,
    },
    /// Refused permanently, or out of budget, for this reason.
    Dead(String),
    /// Held for a person, for this reason.
    Held(HeldReason),
    /// The row was not claimed, because it is not open, not due, or leased.
    NotOurs,
    /// The claim had ended, so the mark was not written. The text says why.
    Lost(String),
}

impl AttemptOutcome {
    /// The outcome if the mark of this one could not be written because of `cause`.
    fn with_mark_error(&self, cause: &str) -> Self {
        Self::Lost(format!("{cause}; the attempt ended as {}", self.as_str()))
    }

    /// The outcome in one word, for logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Repeat(_) => "repeat",
            Self::Retry { .. } => "retry",
            Self::Dead(_) => "dead",
            Self::Held(_) => "held",
            Self::NotOurs => "not_ours",
            Self::Lost(_) => "lost",
        }
    }
}

/// The outcome of [`DeliveryWorker::process`].
#[derive(Clone, Debug)]
pub struct ProcessedRow {
    /// How the attempt ended.
    pub outcome: AttemptOutcome,
    /// The number of the attempt; 0 if the row was not claimed.
    pub attempt: u32,
    /// The time since the notification was received; zero if the row was not claimed.
    pub age: Duration,
}

impl<I: DeliveryInbox, D: Destination> DeliveryWorker<I, D> {
    /// A worker that delivers the rows of `inbox` to `destination`.
    pub fn new(
        inbox: Arc<I>,
        destination: D,
        clock: Arc<dyn Clock>,
        retention: RetentionPolicy,
    ) -> Self {
        Self {
            inbox,
            clock,
            destination,
            retention,
            last_received: Mutex::default(),
            cut_off: CancellationToken::new(),
        }
    }

    /// Cancels the deliveries in flight when the process stops. Their rows are due immediately and
    /// not leased, so that another process can deliver them. A destination may already have the
    /// event.
    pub fn cut_off(&self) {
        self.cut_off.cancel();
    }

    /// Makes one attempt to deliver the row of `key`, if it is open, due and free.
    ///
    /// # Errors
    /// Fails only if the inbox fails. A failure of the destination is an outcome.
    pub async fn process(&self, key: &Key) -> Result<ProcessedRow, InboxError> {
        // 1. Claim: counts the attempt and leases the row.
        let claim = self.new_claim();
        let Some((row, mut fence)) = self.inbox.claim(key, &claim).await? else {
            return Ok(ProcessedRow {
                outcome: AttemptOutcome::NotOurs,
                attempt: 0,
                age: Duration::ZERO,
            });
        };
        self.record_last_received(&row).await?;
        // 2. Deliver, unless the row must not be delivered.
        let (mark, report) = DeliveryReport::collect(self.work(&row, &fence)).await;
        let mark = mark?;
        // 3. Mark: written only if the claim is still valid.
        let attempt = past_attempt(fence.attempt, claim.now, self.clock.now(), &mark, report);
        fence.history.add_attempt(attempt);
        let marked = self.inbox.mark(&fence, &mark).await?;
        let outcome = AttemptOutcome::from(mark);
        let outcome = match marked {
            MarkOutcome::Done => outcome,
            MarkOutcome::Lost => outcome.with_mark_error("its lease had expired"),
            MarkOutcome::Discarded => {
                outcome.with_mark_error("the notification was discarded meanwhile")
            }
        };
        Ok(ProcessedRow {
            outcome,
            attempt: fence.attempt,
            age: self.clock.now().since(row.received_at),
        })
    }

    /// Reserves capacity for one more delivery of `source`, if the destination has any.
    pub(super) fn reserve(&self, source: &str) -> Option<InFlightPermit> {
        self.destination.reserve(source)
    }

    pub(super) fn new_claim(&self) -> Claim {
        let now = self.clock.now();
        let lease = Lease {
            id: LeaseId(self.clock.random()),
            until: now.plus(LEASE_DURATION),
        };
        Claim {
            now,
            lease,
            first_backoff: FIRST_BACKOFF,
        }
    }

    /// The work between claim and mark.
    pub(super) async fn work(&self, row: &Row, fence: &Fence) -> Result<Mark, InboxError> {
        // Earlier attempts wrote no outcome until the budget was spent, so the row may crash every
        // process that attempts it.
        if fence.attempt > 1 && self.clock.now().since(row.budget_from) >= BUDGET {
            return Ok(self.dead("budget spent", row.last_error.clone().unwrap_or_default()));
        }
        if let Some(event) = row.event() {
            let expires_at = self.retention.ledger_expiry(self.clock.now());
            if let EventClaim::HeldBy(of) =
                self.inbox.claim_event(&event, &row.key, expires_at).await?
            {
                let expires_at = self.retention.row_expiry(self.clock.now());
                return Ok(Mark::Repeat { of, expires_at });
            }
        }
        Ok(match Event::of(row) {
            Err(damaged) => self.dead("damaged", damaged.to_string()),
            Ok(event) => self.deliver(row, fence, &event).await,
        })
    }

    async fn deliver(&self, row: &Row, fence: &Fence, event: &Event) -> Mark {
        // Boxed, so that a destination's future can be as deeply nested as the compiler allows by
        // default: see `lambda::main_to`.
        let delivery = Box::pin(self.destination.deliver(&row.key, event));
        let delivered = self
            .cut_off
            .run_until_cancelled(tokio::time::timeout(ATTEMPT_TIMEOUT, delivery))
            .await;
        let now = self.clock.now();
        let Some(delivered) = delivered else {
            return Mark::Retry {
                due_at: now,
                error: "cut off: the process stopped before the outcome was known".to_owned(),
            };
        };
        let error = match delivered {
            Ok(Ok(())) => {
                return Mark::Delivered {
                    expires_at: self.retention.row_expiry(now),
                };
            }
            Ok(Err(error)) => error,
            Err(_) => DeliveryError::Unavailable(format!(
                "no outcome within {} s",
                ATTEMPT_TIMEOUT.as_secs()
            )),
        };
        let spent = now.since(row.budget_from);
        match after_failure(&error, fence.attempt, spent, self.clock.random()) {
            RetryDecision::Dead(reason) => self.dead(reason, error.to_string()),
            RetryDecision::RetryAfter(delay) => Mark::Retry {
                due_at: now.plus(delay),
                error: error.to_string(),
            },
            RetryDecision::Held(reason) => Mark::Held { reason, at: now },
        }
    }

    fn dead(&self, reason: &str, error: String) -> Mark {
        Mark::Dead {
            reason: reason.to_owned(),
            error,
            at: self.clock.now(),
        }
    }

    /// Writes when the row's source last sent a notification, at most once per
    /// [`LAST_RECEIVED_INTERVAL`]. A pulled row is ignored, because it must not hide that a sender
    /// has stopped posting.
    async fn record_last_received(&self, row: &Row) -> Result<(), InboxError> {
        match SourceName::new(row.key.source()) {
            Some(source)
                if row.origin == Origin::Push
                    && self.is_newly_received(&source, row.received_at) =>
            {
                self.inbox
                    .record_last_received(&source, row.received_at)
                    .await
            }
            _ => Ok(()),
        }
    }

    fn is_newly_received(&self, source: &SourceName, at: Timestamp) -> bool {
        let mut last_received = self
            .last_received
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let last = last_received.get(source.as_str());
        let is_new = last.is_none_or(|last| at >= last.plus(LAST_RECEIVED_INTERVAL));
        if is_new {
            last_received.insert(source.as_str().to_owned(), at);
        }
        is_new
    }
}

/// The attempt, as the history of its row stores it.
fn past_attempt(
    number: u32,
    began_at: Timestamp,
    ended_at: Timestamp,
    mark: &Mark,
    report: DeliveryReport,
) -> PastAttempt {
    let (outcome, error) = match mark {
        Mark::Delivered { .. } => (PastOutcome::Delivered, None),
        Mark::Repeat { .. } => (PastOutcome::Repeat, None),
        Mark::Retry { error, .. } => (PastOutcome::Failed, Some(error)),
        Mark::Dead { reason, error, .. } if reason == REFUSED => {
            (PastOutcome::Refused, Some(error))
        }
        Mark::Dead { error, .. } => (PastOutcome::Failed, Some(error)),
        Mark::Held { .. } => (PastOutcome::Held, None),
    };
    PastAttempt {
        number,
        began_at,
        duration: ended_at.since(began_at),
        outcome,
        destination: report.destination,
        status: report.status,
        error: error.filter(|_| report.status.is_none()).cloned(),
        answer: report.answer,
    }
}

impl From<Mark> for AttemptOutcome {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::Delivered { .. } => Self::Delivered,
            Mark::Repeat { of, .. } => Self::Repeat(of),
            Mark::Retry { error, due_at } => Self::Retry {
                reason: error,
                retry_at: due_at,
            },
            Mark::Dead { error, .. } => Self::Dead(error),
            Mark::Held { reason, .. } => Self::Held(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::senders::example::NOW;

    #[test]
    fn the_history_has_the_outcome_and_error_of_an_attempt() {
        let dead = |reason: &str| Mark::Dead {
            reason: reason.to_owned(),
            error: "no answer".to_owned(),
            at: NOW,
        };
        let held = Mark::Held {
            reason: HeldReason::Unsigned,
            at: NOW,
        };
        for (mark, outcome, error) in [
            (dead(REFUSED), PastOutcome::Refused, Some("no answer")),
            (dead("budget spent"), PastOutcome::Failed, Some("no answer")),
            (dead("damaged"), PastOutcome::Failed, Some("no answer")),
            (held, PastOutcome::Held, None),
        ] {
            let past = past_attempt(2, NOW, NOW, &mark, DeliveryReport::default());
            let ended = (past.outcome, past.error.as_deref());
            assert_eq!(ended, (outcome, error), "{mark:?}");
        }
    }
}
