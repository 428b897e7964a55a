//! Runs the product's code against scripted replies.
//!
//! A process is a routine of the product and the replies so far. Running the routine with these
//! replies shows its next call, or its end. So the product makes all decisions, and the model only
//! chooses the outcome of each call.

use std::{
    collections::{BTreeSet, VecDeque},
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use pillarbox::{
    destinations::{DeliveryError, Destination, Event},
    domain::{Clock, Key, SourceName, Timestamp},
    inbox::{
        CasOutcome, Claim, DeliveryInbox, EventClaim, Fence, InboxError, KvEntry, KvKey,
        LedgerEntry, Mark, MarkOutcome, MemoryInbox, PendingEvent, PendingGauges, ReceiveInbox,
        ReconcileInbox, RecordOutcome, Row, SourceFilter,
    },
    reconcile::RunSleeper,
    senders::{Entry, EventName},
};

use crate::{
    simulate::{content::digest_of, process::sender_time},
    sync::lock,
};

/// A call of a routine, which takes effect at one instant.
#[derive(Clone, Debug)]
pub(super) enum ScriptedCall {
    Record(Entry),
    Claim(Key, Claim),
    ClaimEvent(EventName, Key, Timestamp),
    Deliver(Key, [u8; 32]),
    Mark(Fence, Mark),
    Acknowledge(Vec<String>),
}

/// The reply to a call.
#[derive(Clone, Debug)]
pub(super) enum ScriptedReply {
    Recorded(RecordOutcome),
    Claimed(Option<Box<(Row, Fence)>>),
    Event(EventClaim),
    Accepted,
    Refused,
    Marked(MarkOutcome),
    Acknowledged,
    /// No reply, or an error.
    Failed,
}

/// The replies to a routine, and its next call.
#[derive(Default)]
pub(super) struct ReplyScript {
    now: AtomicI64,
    random: AtomicU64,
    replies: Mutex<VecDeque<(Timestamp, ScriptedReply)>>,
    next: Mutex<Option<ScriptedCall>>,
    /// The number of random numbers that the sender has drawn.
    drawn: AtomicU64,
    /// The state of reconcile: its lock, rate limits and checkpoint.
    reconcile_state: MemoryInbox,
}

impl ReplyScript {
    /// A routine that begins at `now` and first draws `random`.
    pub(super) fn new(
        now: Timestamp,
        random: u64,
        replies: impl IntoIterator<Item = (Timestamp, ScriptedReply)>,
    ) -> Arc<Self> {
        Arc::new(Self {
            now: AtomicI64::new(now.as_millis()),
            random: AtomicU64::new(random),
            replies: Mutex::new(replies.into_iter().collect()),
            ..Self::default()
        })
    }

    /// The call without a reply.
    pub(super) fn next_call(&self) -> Option<ScriptedCall> {
        lock(&self.next).clone()
    }

    /// Makes a call. Never returns if the script has no more replies.
    pub(super) async fn call(&self, call: ScriptedCall) -> ScriptedReply {
        let reply = lock(&self.replies).pop_front();
        match reply {
            Some((at, reply)) => {
                self.now.fetch_max(at.as_millis(), Ordering::Relaxed);
                reply
            }
            None => {
                lock(&self.next).get_or_insert(call);
                pending().await
            }
        }
    }
}

/// The error for a missing reply.
fn unanswered<T>() -> Result<T, InboxError> {
    Err(InboxError::Unavailable("scripted: no reply".to_owned()))
}

impl Clock for ReplyScript {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::Relaxed))
    }

    /// The number of the process; after that zero, the shortest delay.
    fn random(&self) -> u64 {
        self.random.swap(0, Ordering::Relaxed)
    }
}

impl sender_simulator::Clock for ReplyScript {
    fn now(&self) -> sender_simulator::Timestamp {
        sender_time(Clock::now(self))
    }

    fn random(&self) -> u64 {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed) + 1;
        drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl RunSleeper for ReplyScript {
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.now.fetch_add(millis, Ordering::Relaxed);
        async {}.boxed()
    }
}

/// The inbox of a routine.
pub(super) struct ModelInbox(pub(super) Arc<ReplyScript>);

impl ReceiveInbox for ModelInbox {
    async fn record(&self, entry: &Entry) -> Result<RecordOutcome, InboxError> {
        match self.0.call(ScriptedCall::Record(entry.clone())).await {
            ScriptedReply::Recorded(recorded) => Ok(recorded),
            _ => unanswered(),
        }
    }

    async fn probe(&self) -> Result<(), InboxError> {
        Ok(())
    }
}

impl DeliveryInbox for ModelInbox {
    async fn find_due(
        &self,
        _: &SourceFilter,
        _: Timestamp,
        _: usize,
    ) -> Result<Vec<Key>, InboxError> {
        unanswered()
    }

    async fn claim(&self, key: &Key, claim: &Claim) -> Result<Option<(Row, Fence)>, InboxError> {
        let call = ScriptedCall::Claim(key.clone(), *claim);
        match self.0.call(call).await {
            ScriptedReply::Claimed(claimed) => Ok(claimed.map(|claimed| *claimed)),
            _ => unanswered(),
        }
    }

    async fn claim_event(
        &self,
        event: &EventName,
        key: &Key,
        expires_at: Timestamp,
    ) -> Result<EventClaim, InboxError> {
        let call = ScriptedCall::ClaimEvent(event.clone(), key.clone(), expires_at);
        match self.0.call(call).await {
            ScriptedReply::Event(claim) => Ok(claim),
            _ => unanswered(),
        }
    }

    async fn mark(&self, fence: &Fence, mark: &Mark) -> Result<MarkOutcome, InboxError> {
        let call = ScriptedCall::Mark(fence.clone(), mark.clone());
        match self.0.call(call).await {
            ScriptedReply::Marked(marked) => Ok(marked),
            _ => unanswered(),
        }
    }

    /// Affects no row. If it failed, the attempt would end as if its process had ended.
    async fn record_last_received(&self, _: &SourceName, _: Timestamp) -> Result<(), InboxError> {
        Ok(())
    }

    async fn pending_gauges(&self, _: Timestamp, _: usize) -> Result<PendingGauges, InboxError> {
        Ok(PendingGauges::default())
    }

    async fn silent_since(&self, _: &SourceName, now: Timestamp) -> Result<Timestamp, InboxError> {
        Ok(now)
    }
}

impl ReconcileInbox for ModelInbox {
    async fn ledger_entries(
        &self,
        source: &SourceName,
        subject: &str,
    ) -> Result<Vec<LedgerEntry>, InboxError> {
        self.0.reconcile_state.ledger_entries(source, subject).await
    }

    async fn pending_events(
        &self,
        source: &SourceName,
        subjects: &BTreeSet<String>,
    ) -> Result<Vec<PendingEvent>, InboxError> {
        self.0
            .reconcile_state
            .pending_events(source, subjects)
            .await
    }

    async fn last_received(&self, source: &SourceName) -> Result<Option<Timestamp>, InboxError> {
        self.0.reconcile_state.last_received(source).await
    }

    async fn kv_get(&self, key: &KvKey) -> Result<Option<KvEntry>, InboxError> {
        self.0.reconcile_state.kv_get(key).await
    }

    async fn compare_and_swap(
        &self,
        key: &KvKey,
        expected_version: Option<u64>,
        next: &KvEntry,
    ) -> Result<CasOutcome, InboxError> {
        self.0
            .reconcile_state
            .compare_and_swap(key, expected_version, next)
            .await
    }
}

/// The destination of a routine.
pub(super) struct ModelDestination(pub(super) Arc<ReplyScript>);

impl Destination for ModelDestination {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        let call = ScriptedCall::Deliver(key.clone(), digest_of_event(event));
        match self.0.call(call).await {
            ScriptedReply::Accepted => Ok(()),
            ScriptedReply::Refused => Err(DeliveryError::Refused("scripted".to_owned())),
            _ => Err(DeliveryError::Unavailable("scripted".to_owned())),
        }
    }
}

/// The digest of the event that a destination receives.
pub(super) fn digest_of_event(event: &Event) -> [u8; 32] {
    let signed = event.signed().map_or(&b""[..], |signed| &signed.body);
    digest_of(&[event.json(), signed].concat())
}
