//! The local processor: wakes at once on a new row, and sweeps what is due every second.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::sqlite::SqliteInbox;
use pillarbox::{
    delivery::{AttemptError, AttemptResult, CircuitBreaker, DeliveryWorker, ProcessedRow},
    destinations::Destination,
    domain::{Clock, Key},
    inbox::{DeliveryInbox, InboxError, SourceFilter},
};

/// How many rows are worked on at once.
const AT_ONCE: usize = 128;
/// How many due rows are asked for at once.
const PAGE: usize = 1000;
const SWEEP: Duration = Duration::from_secs(1);
const PURGE: Duration = Duration::from_secs(60);
/// How long attempts in flight have to end once the process is told to stop; their leases lapse.
const LAST_ATTEMPTS: Duration = Duration::from_secs(10);

/// Works until told to `stop`, then lets attempts in flight end.
pub(super) async fn run<D: Destination, W: Clock>(
    worker: Arc<DeliveryWorker<SqliteInbox, D, W>>,
    mut woken: mpsc::Receiver<Key>,
    stop: CancellationToken,
) {
    let mut floor = WorkerPool {
        worker,
        running: JoinSet::new(),
        waiting: VecDeque::new(),
        brake: CircuitBreaker::default(),
        more: false,
    };
    let (mut sweep, mut purge) = (interval(SWEEP), interval(PURGE));
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(done) = floor.running.join_next(),
                if !floor.running.is_empty() => floor.finished(done).await,
            Some(key) = woken.recv(),
                if floor.has_room() && floor.waiting.is_empty() => floor.start(key),
            _ = sweep.tick() => {
                floor.probe().await;
                floor.sweep().await;
            }
            _ = purge.tick() => floor.purge().await,
        }
        floor.fill();
    }
    // What came last is handed on, too, as far as there is room; the rest goes out at the next
    // start.
    while floor.has_room()
        && let Ok(key) = woken.try_recv()
    {
        floor.start(key);
    }
    let ended = async { while floor.running.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_ATTEMPTS, ended).await;
}

type AttemptEnd = (Key, Duration, Result<ProcessedRow, InboxError>);

/// What is being worked on, and what is next.
struct WorkerPool<D, W> {
    worker: Arc<DeliveryWorker<SqliteInbox, D, W>>,
    running: JoinSet<AttemptEnd>,
    waiting: VecDeque<Key>,
    brake: CircuitBreaker,
    /// Whether the last sweep left rows behind.
    more: bool,
}

impl<D: Destination, W: Clock> WorkerPool<D, W> {
    fn has_room(&self) -> bool {
        self.running.len() < AT_ONCE
    }

    /// Asks for what is due, unless the last answer is not worked off yet.
    async fn sweep(&mut self) {
        if !self.waiting.is_empty() {
            return;
        }
        let keys = self
            .due(&SourceFilter::Except(self.brake.down()), PAGE)
            .await;
        self.more = keys.len() == PAGE;
        self.waiting.extend(keys);
    }

    /// Tries one row of every destination that is down, to find out whether it is up again.
    async fn probe(&mut self) {
        for source in self.brake.down() {
            for key in self.due(&SourceFilter::Only(source), 1).await {
                self.attempt(key);
            }
        }
    }

    async fn due(&self, whose: &SourceFilter, limit: usize) -> Vec<Key> {
        let due = self
            .worker
            .inbox
            .find_due(whose, self.worker.clock.now(), limit)
            .await;
        due.unwrap_or_else(|error| {
            tracing::error!(reason = %error, "what is due could not be read");
            Vec::new()
        })
    }

    fn fill(&mut self) {
        while self.has_room() {
            let Some(key) = self.waiting.pop_front() else {
                return;
            };
            self.start(key);
        }
    }

    /// Starts an attempt, unless the destination is down: then the row stays due, and its attempts
    /// are not used up.
    fn start(&mut self, key: Key) {
        if !self.brake.is_open(key.source()) {
            self.attempt(key);
        }
    }

    fn attempt(&mut self, key: Key) {
        let worker = Arc::clone(&self.worker);
        self.running.spawn(async move {
            let began = Instant::now();
            let processed = worker.process(&key).await;
            (key, began.elapsed(), processed)
        });
    }

    async fn finished(&mut self, done: Result<AttemptEnd, tokio::task::JoinError>) {
        match done {
            Ok((key, took, processed)) => {
                if let Ok(processed) = &processed {
                    self.brake.note(key.source(), &processed.outcome);
                }
                let ended = processed.map_err(AttemptError::Inbox);
                AttemptResult { key, took, ended }.record().log();
            }
            Err(error) => {
                let message = "attempt panicked; its row is due again when its lease lapses";
                tracing::error!(reason = %error, "{message}");
            }
        }
        if self.more && self.waiting.is_empty() {
            self.sweep().await;
        }
    }

    async fn purge(&self) {
        match self.worker.inbox.purge(self.worker.clock.now(), PAGE).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows = rows as u64, "expired rows removed"),
            Err(error) => tracing::error!(reason = %error, "expired rows could not be removed"),
        }
    }
}
