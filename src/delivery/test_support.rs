//! For tests: a worker over an inbox in memory with a scripted destination, and one over a scripted
//! inbox, for failures between claim and mark.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{AttemptOutcome, DeliveryWorker};
use crate::{
    destinations::{DeliveryError, Destination, Event},
    domain::{Clock, Key, SourceName, Timestamp},
    inbox::{
        Claim, DeliveryInbox, EventClaim, Fence, InboxError, Mark, MarkOutcome, MemoryInbox,
        PendingGauges, ReadInbox, ReceiveInbox, RetentionPolicy, Row, SourceFilter,
    },
    senders::{
        Entry, EventName,
        example::{NOW, pay},
    },
};

/// A clock that only the test advances, with a constant random number.
pub(super) struct FixedRandomClock {
    now: AtomicI64,
}

impl Clock for FixedRandomClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    fn random(&self) -> u64 {
        2_000
    }
}

impl FixedRandomClock {
    pub(super) fn advance(&self, time: Duration) {
        self.now
            .fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

/// Returns its answers in order, then accepts every event. Records the events that it receives.
#[derive(Default)]
pub(super) struct ScriptedDestination {
    answers: Mutex<VecDeque<Result<(), DeliveryError>>>,
    pub(super) received: Mutex<Vec<(String, bytes::Bytes)>>,
}

impl Destination for Arc<ScriptedDestination> {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        self.received
            .lock()
            .unwrap()
            .push((key.to_string(), event.json().clone()));
        self.answers.lock().unwrap().pop_front().unwrap_or(Ok(()))
    }
}

pub(super) struct DeliveryRig {
    pub(super) worker: Arc<DeliveryWorker<MemoryInbox, Arc<ScriptedDestination>>>,
    pub(super) clock: Arc<FixedRandomClock>,
    pub(super) destination: Arc<ScriptedDestination>,
}

impl DeliveryRig {
    pub(super) fn new(answers: impl IntoIterator<Item = Result<(), DeliveryError>>) -> Self {
        let inbox = Arc::new(MemoryInbox::default());
        let destination = Arc::new(ScriptedDestination {
            answers: Mutex::new(answers.into_iter().collect()),
            ..ScriptedDestination::default()
        });
        let clock = Arc::new(FixedRandomClock {
            now: AtomicI64::new(NOW.as_millis()),
        });
        let retention = RetentionPolicy {
            retention: Duration::from_hours(90 * 24),
        };
        let (to, at) = (Arc::clone(&destination), clock.clone());
        let worker = Arc::new(DeliveryWorker::new(inbox, to, at, retention));
        Self {
            worker,
            clock,
            destination,
        }
    }

    pub(super) async fn record(&self, entry: &Entry) -> Key {
        self.worker.inbox.record(entry).await.unwrap();
        entry.key.clone()
    }

    /// A worker over the same inbox and clock that delivers to `destination`.
    pub(super) fn worker_to<D: Destination>(
        &self,
        destination: D,
    ) -> DeliveryWorker<MemoryInbox, D> {
        let (inbox, clock) = (Arc::clone(&self.worker.inbox), self.clock.clone());
        DeliveryWorker::new(inbox, destination, clock, self.worker.retention)
    }

    /// Records one payment event under two ids.
    pub(super) async fn record_twice(&self) -> (Key, Key) {
        let entry = |id| pay(id, "p1", "card_payment_captured", NOW);
        (
            self.record(&entry("a")).await,
            self.record(&entry("b")).await,
        )
    }

    pub(super) async fn claim(&self, key: &Key) -> (Row, Fence) {
        let claim = self.worker.new_claim();
        let claimed = self.worker.inbox.claim(key, &claim).await;
        claimed.unwrap().expect("the row is due")
    }

    pub(super) async fn process(&self, key: &Key) -> AttemptOutcome {
        self.worker.process(key).await.unwrap().outcome
    }

    pub(super) async fn row(&self, key: &Key) -> Row {
        self.worker.inbox.get(key).await.unwrap().unwrap()
    }

    /// From now on the destination accepts every event.
    pub(super) fn recover(&self) {
        self.destination.answers.lock().unwrap().clear();
    }

    /// The keys of the events that the destination received.
    pub(super) fn received(&self) -> Vec<String> {
        let received = self.destination.received.lock().unwrap();
        received.iter().map(|(key, _)| key.clone()).collect()
    }
}

pub(super) fn down() -> Result<(), DeliveryError> {
    Err(DeliveryError::Unavailable("https: status 503".into()))
}

/// How a claim ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum ClaimScript {
    /// The row is not claimed.
    NotOurs,
    /// The inbox fails.
    Fails,
    /// The inbox never answers.
    Hangs,
    /// The attempt panics.
    Panics,
    /// The row is not claimed, and the answer takes this many seconds.
    After(u64),
}

type ClaimFn = Box<dyn Fn(&Key) -> ClaimScript + Send + Sync>;

/// An inbox that lists its pages in order, and then no more rows.
pub(super) struct ScriptedInbox {
    claims: ClaimFn,
    pages: Mutex<VecDeque<Result<Vec<Key>, InboxError>>>,
    pub(super) claimed: Mutex<Vec<Key>>,
    pub(super) limits: Mutex<Vec<usize>>,
    /// The times at which bodies were settled.
    pub(super) settled: Mutex<Vec<Timestamp>>,
}

impl ScriptedInbox {
    pub(super) fn new(claims: impl Fn(&Key) -> ClaimScript + Send + Sync + 'static) -> Self {
        Self {
            claims: Box::new(claims),
            pages: Mutex::default(),
            claimed: Mutex::default(),
            limits: Mutex::default(),
            settled: Mutex::default(),
        }
    }

    pub(super) fn listing(
        self,
        pages: impl IntoIterator<Item = Result<Vec<Key>, InboxError>>,
    ) -> Self {
        Self {
            pages: Mutex::new(pages.into_iter().collect()),
            ..self
        }
    }

    pub(super) fn worker(self) -> DeliveryWorker<Self, HangingDestination> {
        let retention = RetentionPolicy {
            retention: Duration::from_secs(1),
        };
        DeliveryWorker::new(
            self.into(),
            HangingDestination,
            Arc::new(TickingClock(Instant::now())),
            retention,
        )
    }
}

/// Starts at the time of the examples, and advances with the test's clock.
pub(super) struct TickingClock(Instant);

impl Clock for TickingClock {
    fn now(&self) -> Timestamp {
        NOW.plus(self.0.elapsed())
    }

    fn random(&self) -> u64 {
        0
    }
}

/// A destination that never answers.
pub(super) struct HangingDestination;

impl Destination for HangingDestination {
    async fn deliver(&self, _: &Key, _: &Event) -> Result<(), DeliveryError> {
        pending().await
    }
}

impl DeliveryInbox for ScriptedInbox {
    async fn claim(&self, key: &Key, _: &Claim) -> Result<Option<(Row, Fence)>, InboxError> {
        self.claimed.lock().unwrap().push(key.clone());
        match (self.claims)(key) {
            ClaimScript::NotOurs => Ok(None),
            ClaimScript::Fails => Err(InboxError::Unavailable("as scripted".to_owned())),
            ClaimScript::Hangs => pending().await,
            ClaimScript::Panics => panic!("as scripted"),
            ClaimScript::After(seconds) => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Ok(None)
            }
        }
    }

    async fn find_due(
        &self,
        _: &SourceFilter,
        _: Timestamp,
        limit: usize,
    ) -> Result<Vec<Key>, InboxError> {
        self.limits.lock().unwrap().push(limit);
        self.pages
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or(Ok(Vec::new()))
    }

    async fn claim_event(
        &self,
        _: &EventName,
        _: &Key,
        _: Timestamp,
    ) -> Result<EventClaim, InboxError> {
        pending().await
    }

    async fn mark(&self, _: &Fence, _: &Mark) -> Result<MarkOutcome, InboxError> {
        pending().await
    }

    async fn settle_bodies(&self, now: Timestamp, _: usize) -> Result<usize, InboxError> {
        self.settled.lock().unwrap().push(now);
        Ok(0)
    }

    async fn record_last_received(&self, _: &SourceName, _: Timestamp) -> Result<(), InboxError> {
        pending().await
    }

    async fn pending_gauges(&self, _: Timestamp, _: usize) -> Result<PendingGauges, InboxError> {
        pending().await
    }

    async fn silent_since(&self, _: &SourceName, _: Timestamp) -> Result<Timestamp, InboxError> {
        pending().await
    }
}
