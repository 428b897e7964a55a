//! An inbox and a clock that follow a script, for tests of what goes wrong between claim and mark.

use std::{collections::VecDeque, future::pending, sync::Mutex, time::Duration};

use tokio::time::Instant;

use super::{
    Claim, DeliveryInbox, DeliveryWorker, EventClaim, Fence, InboxError, Key, Mark, Marked,
    RetentionPolicy, Row, SourceName, Timestamp,
};
use crate::{
    destinations::{DeliveryError, Destination, Event},
    domain::Clock,
    inbox::SourceFilter,
    senders::{EventName, example::NOW},
};

/// What becomes of a claim.
#[derive(Clone, Copy, Debug)]
pub(super) enum ClaimScript {
    /// Answered: there is nothing to do.
    NotOurs,
    /// The inbox fails.
    Fails,
    /// No answer comes.
    Hangs,
    /// A bug.
    Panics,
    /// Answered after so many seconds.
    After(u64),
}

type ClaimFn = Box<dyn Fn(&Key) -> ClaimScript + Send + Sync>;

/// The inbox. It lists its pages one after the other, and then nothing any more.
pub(super) struct ScriptedInbox {
    claims: ClaimFn,
    pages: Mutex<VecDeque<Result<Vec<Key>, InboxError>>>,
    pub(super) claimed: Mutex<Vec<Key>>,
    pub(super) limits: Mutex<Vec<usize>>,
}

impl ScriptedInbox {
    pub(super) fn new(claims: impl Fn(&Key) -> ClaimScript + Send + Sync + 'static) -> Self {
        Self {
            claims: Box::new(claims),
            pages: Mutex::default(),
            claimed: Mutex::default(),
            limits: Mutex::default(),
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

    pub(super) fn worker(self) -> DeliveryWorker<Self, UnreachableDestination, TickingClock> {
        let keeping = RetentionPolicy {
            retention: Duration::from_secs(1),
        };
        DeliveryWorker::new(
            self.into(),
            UnreachableDestination,
            TickingClock(Instant::now()).into(),
            keeping,
        )
    }
}

/// The instant of the examples, and on from there by the clock of the test.
pub(super) struct TickingClock(Instant);

impl Clock for TickingClock {
    fn now(&self) -> Timestamp {
        NOW.plus(self.0.elapsed())
    }

    fn random(&self) -> u64 {
        0
    }
}

/// Where nothing ever gets to.
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

    async fn mark(&self, _: &Fence, _: &Mark) -> Result<Marked, InboxError> {
        pending().await
    }

    async fn record_last_received(&self, _: &SourceName, _: Timestamp) -> Result<(), InboxError> {
        pending().await
    }
}
