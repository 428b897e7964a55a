//! An inbox and a clock that follow a script, for tests of failures between claim and mark.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::DeliveryWorker;
use crate::{
    destinations::{DeliveryError, Destination, Event},
    domain::{Clock, Key, SourceName, Timestamp},
    inbox::{
        Claim, DeliveryInbox, EventClaim, Fence, InboxError, Mark, MarkOutcome, PendingGauges,
        RetentionPolicy, Row, SourceFilter,
    },
    senders::{EventName, example::NOW},
};

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
    /// The row is not claimed, after so many seconds.
    After(u64),
}

type ClaimFn = Box<dyn Fn(&Key) -> ClaimScript + Send + Sync>;

/// An inbox that lists its pages one after the other, and then no more rows.
pub(super) struct ScriptedInbox {
    claims: ClaimFn,
    pages: Mutex<VecDeque<Result<Vec<Key>, InboxError>>>,
    pub(super) claimed: Mutex<Vec<Key>>,
    pub(super) limits: Mutex<Vec<usize>>,
    /// When bodies were to be settled.
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

    pub(super) fn worker(self) -> DeliveryWorker<Self, UnreachableDestination> {
        let retention = RetentionPolicy {
            retention: Duration::from_secs(1),
        };
        DeliveryWorker::new(
            self.into(),
            UnreachableDestination,
            Arc::new(TickingClock(Instant::now())),
            retention,
        )
    }
}

/// Begins at the time of the examples, and advances with the test's clock.
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
pub(super) struct UnreachableDestination;

impl Destination for UnreachableDestination {
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
