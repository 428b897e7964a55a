//! A sweep: the rows that are due, read page by page and attempted.
//!
//! [`Sweep`] feeds a worker pool with due rows, and is the one delivery loop: a server runs it all
//! the time and begins a round every second, a function runs one round until its deadline
//! ([`Sweeper`]). What the inbox lists is a hint: another process may have claimed a row or
//! finished it, and the claim decides. So a sweep may be interrupted at any point and run beside
//! any other. A row is attempted once a round; one that stays listed is read again, and the page
//! grows by as many, so that it hides no row behind it. The rows of an open circuit are left out,
//! except one a round.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    AttemptCounts, AttemptResult, CircuitBreaker, DeliveryLimits, DeliveryWorker, RunDeadline,
    worker_pool::WorkerPool,
};
use crate::{
    destinations::Destination,
    domain::{Key, SourceName},
    inbox::{DeliveryInbox, InboxError, PendingGauges, SourceFilter},
};

/// Attempts due rows, round by round.
pub struct Sweep<I, D> {
    pool: WorkerPool<I, D>,
    breaker: Arc<CircuitBreaker>,
    /// The rows that were read and not attempted yet.
    waiting: VecDeque<Key>,
    /// The rows that were read in this round.
    seen: HashSet<Key>,
    /// How many rows of the last page had been read before.
    reread: usize,
    is_last_page: bool,
}

impl<I: DeliveryInbox, D: Destination> Sweep<I, D> {
    /// A sweep that has not begun a round.
    pub fn new(
        worker: Arc<DeliveryWorker<I, D>>,
        breaker: Arc<CircuitBreaker>,
        limits: DeliveryLimits,
    ) -> Self {
        Self {
            pool: WorkerPool::new(worker, limits),
            breaker,
            waiting: VecDeque::new(),
            seen: HashSet::new(),
            reread: 0,
            is_last_page: true,
        }
    }

    /// Begins a round: attempts one row of each open circuit, and reads what is due from the start.
    /// Rows that still wait from the last round come first.
    ///
    /// # Errors
    /// If the due rows cannot be read. The round then ends with the rows that wait.
    pub async fn begin_round(&mut self) -> Result<(), InboxError> {
        self.seen = self.waiting.iter().cloned().collect();
        self.reread = 0;
        self.is_last_page = true;
        for source in self.breaker.open_sources() {
            // At once, whether there is room or not: other destinations may be slow.
            for key in self.find_due(&SourceFilter::Only(source), 1).await? {
                self.seen.insert(key.clone());
                self.pool.start(key);
            }
        }
        self.is_last_page = false;
        Ok(())
    }

    /// Starts attempts while there is room, and reads further pages while there is.
    ///
    /// # Errors
    /// As [`begin_round`](Self::begin_round).
    pub async fn fill(&mut self) -> Result<(), InboxError> {
        while self.pool.can_start() {
            match self.waiting.pop_front() {
                Some(key) => self.start_unless_open(key),
                None if self.is_last_page => return Ok(()),
                None => self.read_page().await?,
            }
        }
        Ok(())
    }

    /// Whether a new row may be attempted before it is found due: there is room, and no row waits.
    pub fn has_room(&self) -> bool {
        self.waiting.is_empty() && self.pool.can_start()
    }

    /// Starts an attempt, unless the circuit is open: then the row stays due, with its attempts.
    pub fn start_unless_open(&mut self, key: Key) {
        if self.breaker.is_open(key.source()) {
            self.seen.remove(&key); // it is read again in this round if the circuit closes
        } else {
            self.pool.start(key);
        }
    }

    /// Waits for the next attempt to end; `None` when none runs. No result is lost if the wait is
    /// cancelled.
    pub async fn next_result(&mut self) -> Option<AttemptResult> {
        let attempt = self.pool.next_result().await?;
        if self.breaker.record(&attempt) {
            // The circuit has closed, and the pages so far left its rows out.
            self.is_last_page = false;
        }
        Some(attempt)
    }

    fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.is_last_page
    }

    async fn read_page(&mut self) -> Result<(), InboxError> {
        let limit = self.pool.limits.page_size() + self.reread;
        self.is_last_page = true; // if it fails
        let page = self
            .find_due(&SourceFilter::Except(self.breaker.open_sources()), limit)
            .await?;
        self.is_last_page = page.len() < limit;
        let listed = page.len();
        let seen = &mut self.seen;
        self.waiting
            .extend(page.into_iter().filter(|key| seen.insert(key.clone())));
        self.reread = listed - self.waiting.len();
        Ok(())
    }

    async fn find_due(&self, sources: &SourceFilter, limit: usize) -> Result<Vec<Key>, InboxError> {
        let worker = &self.pool.worker;
        worker
            .inbox
            .find_due(sources, worker.clock.now(), limit)
            .await
    }
}

/// How many bodies of each shard a round settles.
const SETTLED_BODIES: usize = 20;

/// An open row that is younger may still be on its way from the stream.
const ON_ITS_WAY: Duration = Duration::from_secs(2 * 60);
/// How many rows of each shard of the pending index are counted.
pub const GAUGE_ROWS: usize = 100;
/// How long reading the gauges may take. Deliveries wait for it: after them there may be no time.
const GAUGES_TIMEOUT: Duration = Duration::from_secs(5);
/// How far ahead the time of a last notification may be: the difference between two clocks.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5 * 60);

/// What a sweep measures before it delivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepGauges {
    /// The pending index.
    pub pending: PendingGauges,
    /// The age of the oldest open row that should have been delivered by now; zero for none.
    pub oldest_open: Duration,
    /// How long each source has sent nothing.
    pub silences: Vec<(SourceName, SourceSilence)>,
}

/// How long a source has sent nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceSilence {
    /// For so long.
    Lasting(Duration),
    /// The time of the last notification is in the future: a clock was wrong when it was written.
    Unknown,
}

/// Runs single rounds with a deadline, and keeps the circuit breaker from one to the next.
pub struct Sweeper<I, D> {
    worker: Arc<DeliveryWorker<I, D>>,
    breaker: Arc<CircuitBreaker>,
}

/// The outcome of one round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Its attempts, by outcome.
    pub counts: AttemptCounts,
    /// The sources whose circuits are open.
    pub down: Vec<String>,
    /// Whether the deadline ended the round while rows were still due.
    pub is_cut_short: bool,
}

impl<I: DeliveryInbox, D: Destination> Sweeper<I, D> {
    /// A sweeper whose circuits are all closed.
    pub fn new(worker: Arc<DeliveryWorker<I, D>>) -> Self {
        Self {
            worker,
            breaker: Arc::default(),
        }
    }

    /// Measures the pending index and the silence of `sources`.
    ///
    /// # Errors
    /// If the inbox cannot be read, or not in time.
    pub async fn gauges(&self, sources: &[SourceName]) -> Result<SweepGauges, InboxError> {
        let read = tokio::time::timeout(GAUGES_TIMEOUT, self.read_gauges(sources));
        let no_answer = |_| InboxError::Unavailable("no answer in time".to_owned());
        read.await.map_err(no_answer).flatten()
    }

    async fn read_gauges(&self, sources: &[SourceName]) -> Result<SweepGauges, InboxError> {
        let (inbox, now) = (&self.worker.inbox, self.worker.clock.now());
        let pending = inbox
            .pending_gauges(now.minus(ON_ITS_WAY), GAUGE_ROWS)
            .await?;
        let mut silences = Vec::new();
        for source in sources {
            let since = inbox.silent_since(source, now).await?;
            let silence = if since > now.plus(MAX_CLOCK_DIFFERENCE) {
                SourceSilence::Unknown
            } else {
                SourceSilence::Lasting(now.since(since))
            };
            silences.push((source.clone(), silence));
        }
        let oldest_open = pending.oldest_open.map(|oldest| now.since(oldest));
        Ok(SweepGauges {
            pending,
            oldest_open: oldest_open.unwrap_or_default(),
            silences,
        })
    }

    /// Attempts what is due, until no row is or the time is up. Calls `on_attempt` for each result.
    ///
    /// # Errors
    /// If the due rows cannot be read. The attempts that were started before have ended by then.
    pub async fn sweep(
        &self,
        deadline: RunDeadline,
        mut on_attempt: impl FnMut(&AttemptResult),
    ) -> Result<SweepReport, InboxError> {
        let limits = DeliveryLimits::function(deadline);
        let mut sweep = Sweep::new(Arc::clone(&self.worker), Arc::clone(&self.breaker), limits);
        let mut counts = AttemptCounts::default();
        let mut failure = None;
        let round = async {
            failure = sweep.begin_round().await.err();
            loop {
                failure = sweep.fill().await.err().or(failure.take());
                let Some(attempt) = sweep.next_result().await else {
                    return;
                };
                counts.add(&attempt);
                on_attempt(&attempt);
            }
        };
        let remaining = deadline.remaining(self.worker.clock.now());
        let is_cancelled = tokio::time::timeout(remaining, round).await.is_err();
        if !is_cancelled {
            failure = failure.or(self.settle_bodies(deadline).await.err());
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(SweepReport {
                counts,
                down: self.breaker.open_sources(),
                is_cut_short: is_cancelled || !sweep.is_over(),
            }),
        }
    }

    /// Settles the bodies that a process left when it ended, while there is time.
    async fn settle_bodies(&self, deadline: RunDeadline) -> Result<(), InboxError> {
        let now = self.worker.clock.now();
        let settled = self.worker.inbox.settle_bodies(now, SETTLED_BODIES);
        match tokio::time::timeout(deadline.remaining(now), settled).await {
            Ok(settled) => settled.map(drop),
            Err(_) => Ok(()), // the next round goes on
        }
    }
}
