//! A sweep reads the due rows page by page and attempts them.
//!
//! [`Sweep`] feeds a worker pool with due rows. It is the only delivery loop: a server runs it
//! continuously and begins a round every second, and a function runs one round until its deadline
//! ([`SweepRunner`]). The list of due rows is only a hint, because another process may have claimed
//! or finished a row. The claim decides, so a sweep can be interrupted at any point, and several
//! sweeps can run at the same time. A row is attempted once in a round. A row that stays due is
//! read again, and the page size grows by the number of such rows, so that the rows behind them are
//! reached. The rows of an open circuit are skipped, except one in each round.
//!
//! If several servers share one inbox, one of them reads the due rows ([`Sweep::begin_round`]). The
//! others attempt their own new rows ([`Sweep::begin_unread_round`]).

mod gauges;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    sync::Arc,
};

use super::{
    AttemptCounts, AttemptResult, CircuitBreaker, DeliveryLimits, DeliveryWorker, RunDeadline,
    worker_pool::WorkerPool,
};
use crate::{
    destinations::Destination,
    domain::{Key, SourceName},
    inbox::{DeliveryInbox, InboxError, SourceFilter, SweepStatus},
};

pub use gauges::{GAUGE_ROWS, SourceSilence, SweepGauges};

/// How many bodies of each shard a round settles.
const SETTLED_BODIES: usize = 20;

/// Attempts due rows, round by round.
pub struct Sweep<I, D> {
    pool: WorkerPool<I, D>,
    breaker: Arc<CircuitBreaker>,
    /// The sources whose rows may be attempted; all if `None`.
    sources: Option<BTreeSet<String>>,
    /// The other sources with due rows, which were logged.
    foreign: BTreeSet<String>,
    /// The open circuits that may have one more attempt in this round.
    probes: HashSet<String>,
    /// The rows that were read and not attempted yet.
    waiting: VecDeque<Key>,
    /// The rows that were read in this round.
    seen: HashSet<Key>,
    /// The sources whose rows were skipped because their destinations had no capacity.
    skipped: HashSet<String>,
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
            skipped: HashSet::new(),
            reread: 0,
            is_last_page: true,
        }
    }

    /// The same sweep, limited to these sources. Another process, with another configuration, has
    /// the destinations of the others.
    pub fn only_of(self, sources: BTreeSet<String>) -> Self {
        Self {
            sources: Some(sources),
            ..self
        }
    }

    /// Begins a round that reads no due rows, because another process reads them. One new row of
    /// each open circuit may be attempted.
    pub fn begin_unread_round(&mut self) {
        self.probes = self.breaker.open_sources().into_iter().collect();
    }

    /// Begins a round: attempts one row of each open circuit, and reads the due rows from the
    /// start. Rows that still wait from the last round are attempted first.
    ///
    /// # Errors
    /// If the due rows cannot be read. The round then attempts only the waiting rows.
    pub async fn begin_round(&mut self) -> Result<(), InboxError> {
        self.seen = self.waiting.iter().cloned().collect();
        self.reread = 0;
        self.is_last_page = true;
        self.begin_unread_round();
        for source in self.breaker.open_sources() {
            // Regardless of the limit, because attempts at slow destinations may fill the pool.
            for key in self.find_due(&SourceFilter::Only(source), 1).await? {
                self.probes.remove(key.source());
                self.seen.insert(key.clone());
                self.pool.start(key);
            }
        }
        self.is_last_page = false;
        Ok(())
    }

    /// Starts attempts up to the limit, and reads further pages for them.
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

    /// Whether a new row may be attempted before a page lists it: no row waits, and the limit is
    /// not reached.
    pub fn has_room(&self) -> bool {
        self.waiting.is_empty() && self.pool.can_start()
    }

    /// Starts an attempt, unless the circuit is open and has had its attempt in this round. The row
    /// then stays due, and no attempt is counted.
    pub fn start_unless_open(&mut self, key: Key) {
        if self.breaker.is_open(key.source()) && !self.probes.remove(key.source()) {
            self.seen.remove(&key); // it is read again in this round if the circuit closes
        } else {
            let source = key.source().to_owned();
            if !self.pool.start(key) {
                self.skipped.insert(source);
            }
        }
    }

    /// The sources whose circuits are open.
    pub fn open_circuits(&self) -> Vec<String> {
        self.breaker.open_sources()
    }

    /// Waits for the next result; `None` if no attempt runs. Cancelling the wait loses no result.
    pub async fn next_result(&mut self) -> Option<AttemptResult> {
        let attempt = self.pool.next_result().await?;
        if self.breaker.record(&attempt) {
            // The circuit has closed, and the pages so far omitted its rows.
            self.is_last_page = false;
        }
        for source in self.pool.take_drained() {
            // The destination has capacity again, and the pages so far omitted its rows.
            self.is_last_page &= !self.skipped.remove(&source);
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
        self.skipped.extend(full.iter().cloned());
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

    /// Logs once per source that its rows are not attempted.
    fn log_foreign(&mut self, key: &Key) {
        if self.foreign.insert(key.source().to_owned()) {
            tracing::warn!(
                source = key.source(),
                "rows of a source that is not configured here are not delivered: configure the \
                 source here or on another replica"
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

impl<I: DeliveryInbox, D> DeliveryWorker<I, D> {
    /// Settles the bodies that ended processes left behind. Returns how many were erased.
    ///
    /// # Errors
    /// If the inbox fails. The next call continues.
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

/// Runs single rounds with a deadline. The circuit breaker keeps its state between rounds.
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
    pub open_circuits: Vec<String>,
    /// Whether the deadline ended the round while rows were still due.
    pub is_cut_short: bool,
}

impl<I: DeliveryInbox, D: Destination> SweepRunner<I, D> {
    /// A runner whose circuits are all closed.
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

    /// Attempts due rows until there are none or the deadline is reached. Calls `on_attempt` for
    /// each result.
    ///
    /// # Errors
    /// If the due rows cannot be read. The attempts that were started have ended by then.
    pub async fn sweep(
        &self,
        deadline: RunDeadline,
        mut on_attempt: impl FnMut(&AttemptResult),
    ) -> Result<SweepReport, InboxError> {
        let limits = DeliveryLimits::function(deadline);
        let mut sweep = Sweep::new(Arc::clone(&self.worker), Arc::clone(&self.breaker), limits);
        let mut counts = AttemptCounts::default();
        let mut error = None;
        let round = async {
            error = sweep.begin_round().await.err();
            loop {
                error = sweep.fill().await.err().or(error.take());
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
            error = error.or(self.settle_bodies(deadline).await.err());
        }
        if let Some(error) = error {
            return Err(error);
        }
        let open_circuits = self.breaker.open_sources();
        self.record_status(deadline, &open_circuits).await;
        Ok(SweepReport {
            counts,
            open_circuits,
            is_cut_short: is_cancelled || !sweep.is_over(),
        })
    }

    /// Stores the status of this round, if there is time. A failure is only logged, because the
    /// round has made its deliveries.
    async fn record_status(&self, deadline: RunDeadline, open_circuits: &[String]) {
        let now = self.worker.clock.now();
        let recorded = self.worker.record_sweep(open_circuits.to_vec());
        if let Ok(Err(error)) = tokio::time::timeout(deadline.remaining(now), recorded).await {
            tracing::warn!(reason = %error, "the status of the sweep could not be stored");
        }
    }

    /// Settles the bodies that ended processes left behind, if there is time.
    async fn settle_bodies(&self, deadline: RunDeadline) -> Result<(), InboxError> {
        let now = self.worker.clock.now();
        let settled = self.worker.settle_bodies();
        match tokio::time::timeout(deadline.remaining(now), settled).await {
            Ok(settled) => settled.map(drop),
            Err(_) => Ok(()), // the next round continues
        }
    }
}
