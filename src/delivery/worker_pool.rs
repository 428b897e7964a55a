//! Keys -> attempts side by side, a bounded number at once -> how each ended.
//!
//! An attempt that panics takes only itself along. Whoever drops the crew cuts off what still runs:
//! those rows are due again when their leases lapse.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    task::{Id, JoinSet},
    time::Instant,
};

use super::{ATTEMPT, AttemptOutcome, DeliveryWorker, ProcessedRow};
use crate::{
    destinations::Destination,
    domain::{Clock, Key, Timestamp},
    inbox::{DeliveryInbox, InboxError},
    telemetry::AttemptRecord,
};

/// How many attempts are made at once.
pub const AT_ONCE: usize = 32;

/// What an attempt may take beside its delivery: claim, ledger and mark, each within the inbox's
/// own limit.
const BESIDE: Duration = Duration::from_secs(10);
/// What is left for the answer once everything has ended or was cut off.
const ANSWER: Duration = Duration::from_secs(1);

/// How long a run may go on.
#[derive(Clone, Copy, Debug)]
pub struct RunDeadline {
    last_start: Timestamp,
    end: Timestamp,
}

impl RunDeadline {
    /// For a process that is stopped at `deadline`: nothing is begun that may not end before.
    pub fn deadline(deadline: Timestamp) -> Self {
        let end = deadline.minus(ANSWER);
        Self {
            last_start: end.minus(ATTEMPT + BESIDE),
            end,
        }
    }

    /// How long it is from `now` until whatever still runs is cut off.
    pub(super) fn left(self, now: Timestamp) -> Duration {
        self.end.since(now)
    }
}

/// One attempt that has ended.
#[derive(Debug)]
pub struct AttemptResult {
    /// The row.
    pub key: Key,
    /// How long it took.
    pub took: Duration,
    /// What became of the row, if that is written.
    pub ended: Result<ProcessedRow, AttemptError>,
}

impl AttemptResult {
    /// The attempt as it is logged.
    pub fn record(&self) -> AttemptRecord {
        let outcome = self.ended.as_ref().map(|processed| &processed.outcome);
        let (reason, original_key) = match outcome {
            Ok(AttemptOutcome::Retry(reason) | AttemptOutcome::Dead(reason)) => {
                (Some(reason.clone()), None)
            }
            Ok(AttemptOutcome::Repeat(original)) => (None, Some(original.clone())),
            Ok(AttemptOutcome::Delivered | AttemptOutcome::NotOurs | AttemptOutcome::Lost) => {
                (None, None)
            }
            Err(error) => (Some(error.to_string()), None),
        };
        let attempt = self.ended.as_ref().ok().map(|processed| processed.attempt);
        AttemptRecord {
            request_id: None,
            key: self.key.clone(),
            outcome: outcome.map_or("error", AttemptOutcome::as_str),
            attempt: attempt.filter(|attempt| *attempt > 0),
            reason,
            original_key,
            retry_at: None,
            took: self.took,
        }
    }
}

/// Why an attempt's outcome is not in its row. The row is due again later.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AttemptError {
    /// The inbox failed.
    #[error("{0}")]
    Inbox(InboxError),
    /// The attempt panicked. What it panicked with may hold what it worked on, so it is not
    /// repeated.
    #[error("the attempt panicked")]
    Panicked,
}

/// How many attempts ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptCounts {
    /// Handed on.
    pub delivered: u64,
    /// The same event had come under another key.
    pub repeat: u64,
    /// Failed, and due again.
    pub retry: u64,
    /// Given up.
    pub dead: u64,
    /// Nothing to do: finished, not due, or someone else's.
    pub not_ours: u64,
    /// Done under a claim that had lapsed.
    pub lost: u64,
    /// Not written.
    pub unwritten: u64,
}

impl AttemptCounts {
    /// Counts one attempt.
    pub(super) fn note(&mut self, attempt: &AttemptResult) {
        let count = match attempt.ended.as_ref().map(|processed| &processed.outcome) {
            Ok(AttemptOutcome::Delivered) => &mut self.delivered,
            Ok(AttemptOutcome::Repeat(_)) => &mut self.repeat,
            Ok(AttemptOutcome::Retry(_)) => &mut self.retry,
            Ok(AttemptOutcome::Dead(_)) => &mut self.dead,
            Ok(AttemptOutcome::NotOurs) => &mut self.not_ours,
            Ok(AttemptOutcome::Lost) => &mut self.lost,
            Err(_) => &mut self.unwritten,
        };
        *count += 1;
    }
}

/// Those who work on rows at this moment.
pub(super) struct WorkerPool<I, D, W> {
    worker: Arc<DeliveryWorker<I, D, W>>,
    until: RunDeadline,
    running: JoinSet<(Duration, Result<ProcessedRow, InboxError>)>,
    keys: HashMap<Id, (Key, Instant)>,
    started: usize,
}

impl<I: DeliveryInbox, D: Destination, W: Clock> WorkerPool<I, D, W> {
    pub(super) fn new(worker: &Arc<DeliveryWorker<I, D, W>>, until: RunDeadline) -> Self {
        Self {
            worker: Arc::clone(worker),
            until,
            running: JoinSet::new(),
            keys: HashMap::new(),
            started: 0,
        }
    }

    /// Whether one more attempt may be begun. The first [`AT_ONCE`] may however little time is
    /// left: where a function is given less than an attempt may take, nothing would ever be tried
    /// otherwise.
    pub(super) fn may_start(&self) -> bool {
        let in_time = self.started < AT_ONCE || self.worker.clock.now() < self.until.last_start;
        in_time && self.running.len() < AT_ONCE
    }

    pub(super) fn start(&mut self, key: Key) {
        let (worker, row, began) = (Arc::clone(&self.worker), key.clone(), Instant::now());
        let task = self.running.spawn(async move {
            let processed = worker.process(&row).await;
            (began.elapsed(), processed)
        });
        self.keys.insert(task.id(), (key, began));
        self.started += 1;
    }

    /// Waits for the next attempt to end; `None` when nobody is working.
    pub(super) async fn ended(&mut self) -> Option<AttemptResult> {
        let (id, took, ended) = match self.running.join_next_with_id().await? {
            Ok((id, (took, processed))) => (id, took, processed.map_err(AttemptError::Inbox)),
            Err(error) => (error.id(), Duration::ZERO, Err(AttemptError::Panicked)),
        };
        let (key, began) = self.keys.remove(&id)?;
        let took = if took.is_zero() {
            began.elapsed()
        } else {
            took
        };
        Some(AttemptResult { key, took, ended })
    }
}
