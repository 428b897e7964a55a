//! A worker pool: runs a limited number of attempts concurrently.
//!
//! Each attempt is a task. A panic ends only its own attempt, with an error that omits the panic's
//! text, which may quote a notification. Dropping the pool cancels the running attempts. That is
//! safe at any point: a row without a mark is due again when its lease expires, and is delivered
//! under the same key.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{task::JoinSet, time::Instant};

use super::{AttemptOutcome, DeliveryLimits, DeliveryWorker, ProcessedRow};
use crate::{
    destinations::{DeliveryTrace, Destination, InFlightPermit},
    domain::Key,
    inbox::{DeliveryInbox, InboxError},
    telemetry::{AttemptRecord, PlatformFields},
};

/// The result of an attempt.
#[derive(Debug)]
pub struct AttemptResult {
    /// The key of the row.
    pub key: Key,
    /// The time that the attempt took.
    pub took: Duration,
    /// The outcome, if it was written to the row.
    pub ended: Result<ProcessedRow, AttemptError>,
}

impl AttemptResult {
    /// The log record of the attempt, with the fields of the `platform`.
    pub fn record(&self, platform: PlatformFields) -> AttemptRecord {
        let mut record = AttemptRecord {
            platform,
            key: self.key.clone(),
            outcome: "error",
            attempt: None,
            reason: None,
            original_key: None,
            retry_at: None,
            age: Duration::ZERO,
            took: self.took,
        };
        match &self.ended {
            Err(error) => record.reason = Some(error.to_string()),
            Ok(processed) => {
                record.outcome = processed.outcome.as_str();
                record.age = processed.age;
                record.attempt = Some(processed.attempt).filter(|attempt| *attempt > 0);
                match &processed.outcome {
                    AttemptOutcome::Retry { reason, retry_at } => {
                        record.reason = Some(reason.clone());
                        record.retry_at = Some(*retry_at);
                    }
                    AttemptOutcome::Dead(reason) | AttemptOutcome::Lost(reason) => {
                        record.reason = Some(reason.clone());
                    }
                    AttemptOutcome::Held(reason) => record.reason = Some(reason.to_string()),
                    AttemptOutcome::Repeat(of) => record.original_key = Some(of.clone()),
                    AttemptOutcome::Delivered | AttemptOutcome::NotOurs => {}
                }
            }
        }
        record
    }
}

/// Why the outcome of an attempt was not written to its row. The row is due again later.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AttemptError {
    /// The inbox failed.
    #[error("{0}")]
    Inbox(InboxError),
    /// The attempt panicked.
    #[error("the attempt panicked")]
    Panicked,
}

/// The running attempts, and the rows that wait for capacity at their destinations.
pub(super) struct WorkerPool<I, D> {
    pub(super) worker: Arc<DeliveryWorker<I, D>>,
    pub(super) limits: DeliveryLimits,
    running: JoinSet<AttemptResult>,
    started: usize,
    /// The rows of each source that wait for capacity at its destination.
    queues: BTreeMap<String, VecDeque<Key>>,
    /// The sources whose queues have become empty.
    drained: Vec<String>,
}

impl<I: DeliveryInbox, D: Destination> WorkerPool<I, D> {
    pub(super) fn new(worker: Arc<DeliveryWorker<I, D>>, limits: DeliveryLimits) -> Self {
        Self {
            worker,
            limits,
            running: JoinSet::new(),
            started: 0,
            queues: BTreeMap::new(),
            drained: Vec::new(),
        }
    }

    /// Whether one more attempt may start: the limit is not reached, and the attempt can end before
    /// the deadline.
    ///
    /// The deadline does not apply to the first attempts, up to the limit. Otherwise a function
    /// whose time limit is shorter than an attempt would never start one.
    pub(super) fn can_start(&self) -> bool {
        let max = self.limits.max_concurrent_attempts;
        let is_in_time = self.started < max
            || self
                .limits
                .deadline
                .is_none_or(|at| self.worker.clock.now() < at.last_start);
        is_in_time && self.running.len() < max
    }

    /// Starts an attempt, or queues it until its destination has capacity. Returns `false` if the
    /// queue is full.
    pub(super) fn start(&mut self, key: Key) -> bool {
        let queue = self.queues.get_mut(key.source());
        match queue {
            Some(queue) if queue.len() >= self.limits.page_size() => return false,
            Some(queue) => queue.push_back(key),
            None => match self.worker.reserve(key.source()) {
                Some(permit) => self.spawn(key, permit),
                None => {
                    let source = key.source().to_owned();
                    self.queues.insert(source, VecDeque::from([key]));
                }
            },
        }
        true
    }

    /// The sources whose rows wait for capacity at their destination.
    pub(super) fn full_sources(&self) -> impl Iterator<Item = &String> {
        self.queues.keys()
    }

    /// The sources whose queues have become empty since the last call.
    pub(super) fn take_drained(&mut self) -> Vec<String> {
        std::mem::take(&mut self.drained)
    }

    /// Starts the queued attempts that may start now.
    fn start_queued(&mut self) {
        let sources: Vec<String> = self.queues.keys().cloned().collect();
        for source in sources {
            while self.can_start()
                && let Some(permit) = self.worker.reserve(&source)
            {
                let queue = self.queues.get_mut(&source);
                match queue.and_then(VecDeque::pop_front) {
                    Some(key) => self.spawn(key, permit),
                    None => break,
                }
            }
            if self.queues.get(&source).is_some_and(VecDeque::is_empty) {
                self.queues.remove(&source);
                self.drained.push(source);
            }
        }
    }

    fn spawn(&mut self, key: Key, permit: InFlightPermit) {
        let worker = Arc::clone(&self.worker);
        let trace = DeliveryTrace::current(); // a new task has none
        self.running.spawn(async move {
            let _permit = permit;
            let started_at = Instant::now();
            // A panic cannot leave the worker's state half changed: a mark is one write, and the
            // time of a source's last notification is replaced as a whole.
            let attempt = DeliveryTrace::scope(trace, worker.process(&key));
            let processed = AssertUnwindSafe(attempt).catch_unwind().await;
            let ended = match processed {
                Ok(processed) => processed.map_err(AttemptError::Inbox),
                Err(_) => Err(AttemptError::Panicked),
            };
            AttemptResult {
                took: started_at.elapsed(),
                key,
                ended,
            }
        });
        self.started += 1;
    }

    /// Waits for the next result; `None` if no attempt runs. Cancelling the wait loses no result.
    pub(super) async fn next_result(&mut self) -> Option<AttemptResult> {
        // Only a cancelled task has no result, and tasks are cancelled only with the pool.
        let attempt = self.running.join_next().await?.ok();
        self.start_queued();
        attempt
    }
}
