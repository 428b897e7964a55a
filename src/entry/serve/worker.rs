//! The local processor: wakes at once on a new row, and sweeps what is due every second.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    destination::Destination,
    inbox::{Inbox, InboxError, sqlite::SqliteInbox},
    notification::Key,
    process::{Outcome, Processed, Worker},
    world::World,
};

/// How many rows are worked on at once.
const AT_ONCE: usize = 128;
/// How many due rows are asked for at once.
const PAGE: usize = 1000;
const SWEEP: Duration = Duration::from_secs(1);
const PURGE: Duration = Duration::from_secs(60);
/// After so many failures in a row a destination counts as down.
const DOWN_AFTER: u32 = 8;
/// How long attempts in flight have to end once the process is told to stop; their leases lapse.
const LAST_ATTEMPTS: Duration = Duration::from_secs(10);

/// Works until told to `stop`, then lets attempts in flight end.
pub(super) async fn run<D: Destination, W: World>(
    worker: Arc<Worker<SqliteInbox, D, W>>,
    mut woken: mpsc::Receiver<Key>,
    stop: CancellationToken,
) {
    let mut floor =
        Floor { worker, running: JoinSet::new(), waiting: VecDeque::new(), brake: Brake::default(), more: false };
    let (mut sweep, mut purge) = (interval(SWEEP), interval(PURGE));
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(done) = floor.running.join_next(), if !floor.running.is_empty() => floor.finished(done).await,
            Some(key) = woken.recv(), if floor.has_room() && floor.waiting.is_empty() => floor.start(key),
            _ = sweep.tick() => {
                floor.brake.release_one_each();
                floor.sweep().await;
            }
            _ = purge.tick() => floor.purge().await,
        }
        floor.fill();
    }
    let ended = async { while floor.running.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_ATTEMPTS, ended).await;
}

type Ended = (Key, Duration, Result<Processed, InboxError>);

/// What is being worked on, and what is next.
struct Floor<D, W> {
    worker: Arc<Worker<SqliteInbox, D, W>>,
    running: JoinSet<Ended>,
    waiting: VecDeque<Key>,
    brake: Brake,
    /// Whether the last sweep left rows behind.
    more: bool,
}

impl<D: Destination, W: World> Floor<D, W> {
    fn has_room(&self) -> bool {
        self.running.len() < AT_ONCE
    }

    /// Asks for what is due, unless the last answer is not worked off yet.
    async fn sweep(&mut self) {
        if !self.waiting.is_empty() {
            return;
        }
        match self.worker.inbox.due(self.worker.world.now(), PAGE).await {
            Ok(keys) => {
                self.more = keys.len() == PAGE;
                self.waiting.extend(keys);
            }
            Err(error) => tracing::error!(why = %error, "what is due could not be read"),
        }
    }

    fn fill(&mut self) {
        while self.has_room() {
            let Some(key) = self.waiting.pop_front() else { return };
            self.start(key);
        }
    }

    /// Starts an attempt, unless the destination is down: then the row waits for a sweep, and its
    /// attempts are not used up.
    fn start(&mut self, key: Key) {
        if !self.brake.lets_pass(key.source()) {
            return;
        }
        let worker = Arc::clone(&self.worker);
        self.running.spawn(async move {
            let began = Instant::now();
            let processed = worker.process(&key).await;
            (key, began.elapsed(), processed)
        });
    }

    async fn finished(&mut self, done: Result<Ended, tokio::task::JoinError>) {
        match done {
            Ok((key, took, processed)) => {
                if let Ok(processed) = &processed {
                    self.brake.note(key.source(), &processed.outcome);
                }
                say(&key, took, &processed);
            }
            Err(error) => {
                tracing::error!(why = %error, "an attempt panicked; its row is due again when its lease lapses")
            }
        }
        if self.more && self.waiting.is_empty() && !self.brake.is_on() {
            self.sweep().await;
        }
    }

    async fn purge(&self) {
        match self.worker.inbox.purge(self.worker.world.now(), PAGE).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows = rows as u64, "expired rows removed"),
            Err(error) => tracing::error!(why = %error, "expired rows could not be removed"),
        }
    }
}

/// Stops attempts to a destination that is down, but for one a sweep that finds out whether it is up.
#[derive(Default)]
struct Brake {
    sources: HashMap<String, Failures>,
}

#[derive(Default)]
struct Failures {
    in_a_row: u32,
    tries: u32,
}

impl Brake {
    fn lets_pass(&mut self, source: &str) -> bool {
        match self.sources.get_mut(source) {
            Some(failures) if failures.in_a_row >= DOWN_AFTER => {
                let passes = failures.tries > 0;
                failures.tries = failures.tries.saturating_sub(1);
                passes
            }
            _ => true,
        }
    }

    fn note(&mut self, source: &str, outcome: &Outcome) {
        match outcome {
            Outcome::Retry(_) => self.sources.entry(source.to_owned()).or_default().in_a_row += 1,
            Outcome::Delivered | Outcome::Dead(_) => {
                self.sources.remove(source);
            }
            Outcome::Repeat(_) | Outcome::NotOurs | Outcome::Lost => {}
        }
    }

    fn release_one_each(&mut self) {
        for failures in self.sources.values_mut() {
            failures.tries = 1;
        }
    }

    fn is_on(&self) -> bool {
        self.sources.values().any(|failures| failures.in_a_row >= DOWN_AFTER)
    }
}

/// The canonical line of one attempt.
fn say(key: &Key, took: Duration, processed: &Result<Processed, InboxError>) {
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let key = key.as_str();
    match processed {
        Ok(Processed { outcome, attempt }) => {
            let attempt = u64::from(*attempt);
            match outcome {
                Outcome::Delivered => tracing::info!(key, attempt, took_us, "delivered"),
                Outcome::Repeat(of) => tracing::info!(key, of = of.as_str(), attempt, took_us, "repeat"),
                Outcome::Retry(why) => tracing::warn!(key, why = why.as_str(), attempt, took_us, "failed, due again"),
                Outcome::Dead(why) => tracing::error!(key, why = why.as_str(), attempt, took_us, "dead"),
                Outcome::Lost => tracing::warn!(key, attempt, took_us, "outcome lost: the lease had lapsed"),
                Outcome::NotOurs => tracing::debug!(key, "nothing to do"),
            }
        }
        Err(error) => tracing::error!(key, why = %error, took_us, "the inbox failed; the row is due again later"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_that_is_down_gets_one_attempt_a_sweep_until_one_succeeds() {
        let mut brake = Brake::default();
        for _ in 0..DOWN_AFTER {
            assert!(brake.lets_pass("pay"));
            brake.note("pay", &Outcome::Retry("https: no connection".into()));
        }
        assert!(brake.is_on() && !brake.lets_pass("pay"), "it is down");
        assert!(brake.lets_pass("hmrc"), "another source's may be up");

        brake.release_one_each();
        assert!(brake.lets_pass("pay") && !brake.lets_pass("pay"), "one attempt finds out");
        brake.note("pay", &Outcome::Delivered);
        assert!(!brake.is_on() && brake.lets_pass("pay") && brake.lets_pass("pay"));
    }
}
