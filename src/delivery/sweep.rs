//! Whatever is due -> worked on, page by page, until nothing is left or the time is up.
//!
//! What the inbox lists may be someone else's by now, or finished: the claim decides. A destination
//! that is down keeps its rows waiting, and their attempts, until one row a sweep gets through.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    AttemptCounts, AttemptResult, CircuitBreaker, DeliveryWorker, RunDeadline,
    worker_pool::{AT_ONCE, WorkerPool},
};
use crate::{
    destinations::Destination,
    domain::{Clock, Key},
    inbox::{DeliveryInbox, InboxError, SourceFilter},
};

/// How many due rows are asked for at once.
const PAGE: usize = 8 * AT_ONCE;

/// Sweeps, and remembers which destinations were down the last time.
pub struct Sweeper<I, D, W> {
    worker: Arc<DeliveryWorker<I, D, W>>,
    brake: Mutex<CircuitBreaker>,
}

/// What a sweep came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// How its attempts ended.
    pub tally: AttemptCounts,
    /// The sources whose destinations are down.
    pub down: Vec<String>,
    /// Whether it ended for want of time, with rows still due.
    pub is_cut_short: bool,
}

impl<I: DeliveryInbox, D: Destination, W: Clock> Sweeper<I, D, W> {
    /// Sweeps with `worker`.
    pub fn new(worker: Arc<DeliveryWorker<I, D, W>>) -> Self {
        Self {
            worker,
            brake: Mutex::default(),
        }
    }

    /// Works on what is due. `said` hears of each attempt. Fails if what is due can't be read; what
    /// was begun before that has ended by then.
    pub async fn sweep(
        &self,
        until: RunDeadline,
        mut said: impl FnMut(&AttemptResult),
    ) -> Result<SweepReport, InboxError> {
        let mut round = SweepRound::default();
        let (mut crew, mut swept) = (WorkerPool::new(&self.worker, until), SweepReport::default());
        let work = async {
            self.probe(&mut round).await;
            loop {
                if round.waiting.is_empty() && crew.may_start() {
                    self.turn_the_page(&mut round).await;
                }
                while crew.may_start()
                    && let Some((key, is_probe)) = round.waiting.pop_front()
                {
                    // One whose destination went down meanwhile stays due, with its attempts.
                    if is_probe || !self.brake().is_open(key.source()) {
                        crew.start(key);
                    }
                }
                let Some(attempt) = crew.ended().await else {
                    if round.is_over() || !crew.may_start() {
                        return;
                    }
                    continue;
                };
                if let Ok(processed) = &attempt.ended {
                    self.brake().note(attempt.key.source(), &processed.outcome);
                }
                swept.tally.note(&attempt);
                said(&attempt);
            }
        };
        let cut_off = tokio::time::timeout(until.left(self.worker.clock.now()), work)
            .await
            .is_err();
        swept.is_cut_short = cut_off || !round.is_over();
        swept.down = self.brake().down();
        round.failed.map_or(Ok(swept), Err)
    }

    /// One row of every destination that is down, to find out whether it is up again.
    async fn probe(&self, round: &mut SweepRound) {
        let down = self.brake().down(); // the lock is not kept
        for source in down {
            let due = self.due(&SourceFilter::Only(source), 1).await;
            round.take(due, 1, true);
        }
    }

    /// Asks for what is due and was not met before in this round. What was met stays listed for a
    /// while, so the page grows by it, or nothing behind it would be seen.
    async fn turn_the_page(&self, round: &mut SweepRound) {
        while !round.is_over() && round.waiting.is_empty() {
            let (limit, up) = (
                PAGE + round.lingering,
                SourceFilter::Except(self.brake().down()),
            );
            let due = self.due(&up, limit).await;
            round.take(due, limit, false);
        }
    }

    async fn due(&self, whose: &SourceFilter, limit: usize) -> Result<Vec<Key>, InboxError> {
        self.worker
            .inbox
            .find_due(whose, self.worker.clock.now(), limit)
            .await
    }

    fn brake(&self) -> MutexGuard<'_, CircuitBreaker> {
        self.brake.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one sweep has met.
#[derive(Default)]
struct SweepRound {
    seen: HashSet<Key>,
    waiting: VecDeque<(Key, bool)>,
    /// How many rows of the last page had been met before.
    lingering: usize,
    is_last_page: bool,
    failed: Option<InboxError>,
}

impl SweepRound {
    fn is_over(&self) -> bool {
        self.waiting.is_empty() && (self.is_last_page || self.failed.is_some())
    }

    /// Takes a page of at most `limit` keys.
    fn take(&mut self, page: Result<Vec<Key>, InboxError>, limit: usize, is_probe: bool) {
        match page {
            Ok(keys) => {
                let listed = keys.len();
                let fresh: Vec<Key> = keys
                    .into_iter()
                    .filter(|key| self.seen.insert(key.clone()))
                    .collect();
                if !is_probe {
                    self.lingering = listed - fresh.len();
                    self.is_last_page = listed < limit;
                }
                self.waiting
                    .extend(fresh.into_iter().map(|key| (key, is_probe)));
            }
            Err(error) => self.failed = Some(error),
        }
    }
}
