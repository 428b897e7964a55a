//! A sweep: the rows that are due, read page by page and attempted.
//!
//! [`Sweep`] feeds a worker pool with due rows, and is the one delivery loop: a server runs it all
//! the time and begins a round every second, a function runs one round until its deadline
//! ([`SweepRunner`]). What the inbox lists is a hint: another process may have claimed a row or
//! finished it, and the claim decides. So a sweep may be interrupted at any point and run beside
//! any other. A row is attempted once a round; one that stays listed is read again, and the page
//! grows by as many, so that it hides no row behind it. The rows of an open circuit are left out,
//! except one a round.
//!
//! Of several servers on one inbox, one reads what is due ([`Sweep::begin_round`]). The others
//! attempt their own new rows ([`Sweep::begin_unread_round`]).

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    AttemptCounts, AttemptResult, CircuitBreaker, DeliveryLimits, DeliveryWorker, RunDeadline,
    worker_pool::WorkerPool,
};
use crate::{
    destinations::Destination,
    domain::{Key, SourceName, Timestamp},
    inbox::{DeliveryInbox, InboxError, PendingGauges, SourceFilter, SweepStatus},
    telemetry::{
        CONFLICT_ROWS, DEAD_ROWS, HELD_ROWS, MetricSample, OLDEST_OPEN_SECONDS, OPEN_ROWS,
        SILENCE_HOURS,
    },
};

/// Attempts due rows, round by round.
pub struct Sweep<I, D> {
    pool: WorkerPool<I, D>,
    breaker: Arc<CircuitBreaker>,
    /// The sources whose rows may be attempted; all if `None`.
    sources: Option<BTreeSet<String>>,
    /// The sources of rows that were left alone, and logged.
    foreign: BTreeSet<String>,
    /// The open circuits that may have one more attempt in this round.
    probes: HashSet<String>,
    /// The rows that were read and not attempted yet.
    waiting: VecDeque<Key>,
    /// The rows that were read in this round.
    seen: HashSet<Key>,
    /// The sources whose rows were left out, because their destinations took no more.
    left_out: HashSet<String>,
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
            sources: None,
            foreign: BTreeSet::new(),
            probes: HashSet::new(),
            waiting: VecDeque::new(),
            seen: HashSet::new(),
            left_out: HashSet::new(),
            reread: 0,
            is_last_page: true,
        }
    }

    /// The same sweep, which leaves the rows of other sources alone: another process, with another
    /// configuration, knows where they go.
    pub fn only_of(self, sources: BTreeSet<String>) -> Self {
        Self {
            sources: Some(sources),
            ..self
        }
    }

    /// Begins a round that reads nothing, because another process does: one new row of each open
    /// circuit may be attempted.
    pub fn begin_unread_round(&mut self) {
        self.probes = self.breaker.open_sources().into_iter().collect();
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
        self.begin_unread_round();
        for source in self.breaker.open_sources() {
            // At once, whether there is room or not: other destinations may be slow.
            for key in self.find_due(&SourceFilter::Only(source), 1).await? {
                self.probes.remove(key.source());
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

    /// Starts an attempt, unless the circuit is open and has had its attempt of this round: then
    /// the row stays due, with its attempts.
    pub fn start_unless_open(&mut self, key: Key) {
        if self.breaker.is_open(key.source()) && !self.probes.remove(key.source()) {
            self.seen.remove(&key); // it is read again in this round if the circuit closes
        } else {
            let source = key.source().to_owned();
            if !self.pool.start(key) {
                self.left_out.insert(source);
            }
        }
    }

    /// The sources whose circuits are open.
    pub fn open_circuits(&self) -> Vec<String> {
        self.breaker.open_sources()
    }

    /// Waits for the next attempt to end; `None` when none runs. No result is lost if the wait is
    /// cancelled.
    pub async fn next_result(&mut self) -> Option<AttemptResult> {
        let attempt = self.pool.next_result().await?;
        if self.breaker.record(&attempt) {
            // The circuit has closed, and the pages so far left its rows out.
            self.is_last_page = false;
        }
        for source in self.pool.take_drained() {
            // The same for a destination that has places again.
            self.is_last_page &= !self.left_out.remove(&source);
        }
        Some(attempt)
    }

    fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.is_last_page && self.pool.full_sources().next().is_none()
    }

    async fn read_page(&mut self) -> Result<(), InboxError> {
        let limit = self.pool.limits.page_size() + self.reread;
        self.is_last_page = true; // if it fails
        let full: Vec<String> = self.pool.full_sources().cloned().collect();
        self.left_out.extend(full.iter().cloned());
        let mut except = [self.breaker.open_sources(), full].concat();
        except.extend(self.foreign.iter().cloned());
        let page = self.find_due(&SourceFilter::Except(except), limit).await?;
        self.is_last_page = page.len() < limit;
        let listed = page.len();
        for key in page {
            if self.is_foreign(&key) {
                self.log_foreign(&key);
            } else if self.seen.insert(key.clone()) {
                self.waiting.push_back(key);
            }
        }
        self.reread = listed - self.waiting.len();
        Ok(())
    }

    fn is_foreign(&self, key: &Key) -> bool {
        let sources = self.sources.as_ref();
        sources.is_some_and(|sources| !sources.contains(key.source()))
    }

    /// Logs once that the rows of a source are left alone.
    fn log_foreign(&mut self, key: &Key) {
        if self.foreign.insert(key.source().to_owned()) {
            tracing::warn!(
                source = key.source(),
                "rows of a source that is not configured here are left alone: another replica must \
                 have it, or add it to the configuration"
            );
        }
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

impl SweepGauges {
    /// Reads the gauges of `inbox` and `sources`, from at most `limit` rows of each shard of the
    /// pending index.
    ///
    /// # Errors
    /// If the inbox cannot be read, or not in time.
    pub async fn read(
        inbox: &impl DeliveryInbox,
        sources: &[SourceName],
        limit: usize,
        now: Timestamp,
    ) -> Result<Self, InboxError> {
        let read = Self::read_slowly(inbox, sources, limit, now);
        let no_answer = |_| InboxError::Unavailable("no answer in time".to_owned());
        let read = tokio::time::timeout(GAUGES_TIMEOUT, read).await;
        read.map_err(no_answer).flatten()
    }

    async fn read_slowly(
        inbox: &impl DeliveryInbox,
        sources: &[SourceName],
        limit: usize,
        now: Timestamp,
    ) -> Result<Self, InboxError> {
        let pending = inbox.pending_gauges(now.minus(ON_ITS_WAY), limit).await?;
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
        Ok(Self {
            pending,
            oldest_open: oldest_open.unwrap_or_default(),
            silences,
        })
    }

    /// What they add to the metrics of the whole inbox. The silences belong to their sources.
    pub fn samples(&self) -> [MetricSample; 5] {
        let pending = &self.pending;
        [
            MetricSample::time(&OLDEST_OPEN_SECONDS, self.oldest_open),
            MetricSample::count(&OPEN_ROWS, pending.open_rows),
            MetricSample::count(&DEAD_ROWS, pending.dead_rows),
            MetricSample::count(&HELD_ROWS, pending.held_rows),
            MetricSample::count(&CONFLICT_ROWS, pending.conflict_rows),
        ]
    }
}

/// How long a source has sent nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceSilence {
    /// For so long.
    Lasting(Duration),
    /// The time of the last notification is in the future: a clock was wrong when it was written.
    Unknown,
}

impl SourceSilence {
    /// What it adds to the metrics of its source; `None` if it is unknown.
    pub fn sample(self) -> Option<MetricSample> {
        match self {
            Self::Lasting(time) => Some(MetricSample::time(&SILENCE_HOURS, time)),
            Self::Unknown => None,
        }
    }
}

impl<I: DeliveryInbox, D> DeliveryWorker<I, D> {
    /// Settles the bodies that a process left when it ended; returns how many were erased.
    ///
    /// # Errors
    /// If the inbox fails. The next call goes on.
    pub async fn settle_bodies(&self) -> Result<usize, InboxError> {
        let now = self.clock.now();
        self.inbox.settle_bodies(now, SETTLED_BODIES).await
    }

    /// Stores that the inbox was swept now, and which circuits are open.
    ///
    /// # Errors
    /// If the inbox fails.
    pub async fn record_sweep(&self, open_circuits: Vec<String>) -> Result<(), InboxError> {
        let status = SweepStatus::new(self.clock.now(), open_circuits);
        self.inbox.record_sweep(&status, self.clock.random()).await
    }
}

/// Runs single rounds with a deadline, and keeps the circuit breaker from one to the next.
pub struct SweepRunner<I, D> {
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

impl<I: DeliveryInbox, D: Destination> SweepRunner<I, D> {
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
        let (inbox, now) = (&*self.worker.inbox, self.worker.clock.now());
        SweepGauges::read(inbox, sources, GAUGE_ROWS, now).await
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
            None => {
                let down = self.breaker.open_sources();
                self.record_status(deadline, &down).await;
                Ok(SweepReport {
                    counts,
                    down,
                    is_cut_short: is_cancelled || !sweep.is_over(),
                })
            }
        }
    }

    /// Stores the status of this round, while there is time. A round whose status cannot be stored
    /// has delivered all the same.
    async fn record_status(&self, deadline: RunDeadline, down: &[String]) {
        let now = self.worker.clock.now();
        let recorded = self.worker.record_sweep(down.to_vec());
        if let Ok(Err(error)) = tokio::time::timeout(deadline.remaining(now), recorded).await {
            tracing::warn!(reason = %error, "the status of the sweep could not be stored");
        }
    }

    /// Settles the bodies that a process left when it ended, while there is time.
    async fn settle_bodies(&self, deadline: RunDeadline) -> Result<(), InboxError> {
        let now = self.worker.clock.now();
        let settled = self.worker.settle_bodies();
        match tokio::time::timeout(deadline.remaining(now), settled).await {
            Ok(settled) => settled.map(drop),
            Err(_) => Ok(()), // the next round goes on
        }
    }
}
