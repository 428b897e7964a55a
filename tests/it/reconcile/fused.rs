//! An inbox of which a run can be cut off, at any instant, before or after anything it does; and
//! one that refuses.

use std::{
    collections::BTreeSet,
    future::{Future, pending},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use pillarbox::{
    domain::{SourceName, Timestamp},
    inbox::{
        CasOutcome, InboxError, KvEntry, KvKey, LedgerEntry, PendingEvent, ReceiveInbox,
        ReconcileInbox, RecordOutcome,
    },
    senders::Entry,
};
use pillarbox_cli::sqlite::SqliteInbox;
use test_support::answer_unused_methods;
use tokio::sync::Notify;

/// Counts instants, and ends everything at one of them.
#[derive(Default)]
pub(crate) struct CrashPoint {
    burnt: AtomicUsize,
    /// After this number of instants; `None` is never.
    length: usize,
    blown: Notify,
}

impl CrashPoint {
    pub(crate) fn of(length: usize) -> Arc<Self> {
        Arc::new(Self {
            length,
            ..Self::default()
        })
    }

    /// How many instants there were.
    pub(crate) fn burnt(&self) -> usize {
        self.burnt.load(Ordering::SeqCst)
    }

    /// One more instant; whether it was the last.
    pub(crate) fn burn(&self) -> bool {
        let is_last = self.burnt.fetch_add(1, Ordering::SeqCst) + 1 == self.length;
        if is_last {
            self.blown.notify_one();
        }
        is_last
    }

    /// Runs `work` until the fuse blows, and drops it there, as if its process had ended.
    pub(crate) async fn cut_off<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.blown.notified() => None,
            done = work => Some(done),
        }
    }

    async fn context<T>(&self, work: impl Future<Output = T>) -> T {
        if self.burn() {
            pending().await
        }
        let done = work.await;
        if self.burn() {
            pending().await
        }
        done
    }
}

/// The part of an inbox that a reconcile run uses. Every other method panics.
pub(crate) struct CrashingInbox {
    pub(crate) inbox: SqliteInbox,
    pub(crate) fuse: Arc<CrashPoint>,
    /// How many more rows it takes before it refuses.
    pub(crate) room: AtomicUsize,
}

impl CrashingInbox {
    pub(crate) fn new(inbox: SqliteInbox) -> Self {
        Self {
            inbox,
            fuse: CrashPoint::of(0),
            room: AtomicUsize::new(usize::MAX),
        }
    }
}

impl ReceiveInbox for CrashingInbox {
    async fn record(&self, entry: &Entry) -> Result<RecordOutcome, InboxError> {
        let taken = self
            .room
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |room| {
                room.checked_sub(1)
            });
        if taken.is_err() {
            return Err(InboxError::Unavailable("injected by the test".to_owned()));
        }
        self.fuse.context(self.inbox.record(entry)).await
    }

    async fn probe(&self) -> Result<(), InboxError> {
        unreachable!()
    }
}

answer_unused_methods!(CrashingInbox, unreachable!());

impl ReconcileInbox for CrashingInbox {
    async fn ledger_entries(
        &self,
        source: &SourceName,
        subject: &str,
    ) -> Result<Vec<LedgerEntry>, InboxError> {
        self.fuse
            .context(self.inbox.ledger_entries(source, subject))
            .await
    }

    async fn pending_events(
        &self,
        source: &SourceName,
        subjects: &BTreeSet<String>,
    ) -> Result<Vec<PendingEvent>, InboxError> {
        self.fuse
            .context(self.inbox.pending_events(source, subjects))
            .await
    }

    async fn last_received(&self, _: &SourceName) -> Result<Option<Timestamp>, InboxError> {
        unreachable!()
    }

    async fn kv_get(&self, name: &KvKey) -> Result<Option<KvEntry>, InboxError> {
        self.fuse.context(self.inbox.kv_get(name)).await
    }

    async fn compare_and_swap(
        &self,
        name: &KvKey,
        seen: Option<u64>,
        next: &KvEntry,
    ) -> Result<CasOutcome, InboxError> {
        self.fuse
            .context(self.inbox.compare_and_swap(name, seen, next))
            .await
    }
}
