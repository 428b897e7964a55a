//! The operations that each part of the program may call on an inbox: one trait for each IAM role.
//!
//! A function takes the narrowest trait that it needs, so it cannot call operations that its role
//! does not allow. The roles are those of `template.yaml`. The operator's commands use the
//! credentials of the person who runs them.
//!
//! A method that changes the inbox returns only after the change is durable, and changes nothing if
//! it fails. The caller passes the time, so an implementation needs no clock.

use std::{collections::BTreeSet, future::Future};

use super::{
    AuditEntry, BodyCopy, CasOutcome, Claim, DiscardOutcome, DiscardRequest, EventClaim, Fence,
    ImportOutcome, InboxError, InboxSummary, KvEntry, KvKey, LedgerEntry, Mark, MarkOutcome,
    PageRequest, PendingEvent, PendingGauges, RecordOutcome, ReplayOutcome, Row, RowFilter,
    RowPage, SourceFilter, SummaryRequest, SweepStatus,
};
use crate::{
    domain::{Key, SourceName, Timestamp},
    senders::{Entry, EventName},
};

/// For the receiver, which stores notifications but does not read them.
///
/// `ReceiveRole`: `dynamodb:PutItem` on rows of its sources, and on the parts and intents of
/// bodies, and `dynamodb:GetItem` on one item that does not exist.
pub trait ReceiveInbox: Send + Sync + 'static {
    /// Stores `entry` durably before returning.
    ///
    /// Safe to repeat. The same key and content again is a [`RecordOutcome::Duplicate`] and changes
    /// nothing. Other content under the same key is held under another key, as a
    /// [`RecordOutcome::Conflict`].
    fn record(
        &self,
        entry: &Entry,
    ) -> impl Future<Output = Result<RecordOutcome, InboxError>> + Send;

    /// Succeeds if the inbox is available. Changes nothing.
    fn probe(&self) -> impl Future<Output = Result<(), InboxError>> + Send;
}

/// For delivery, which claims a row, delivers it and marks the outcome.
///
/// `ProcessRole` and `SweepRole`: `dynamodb:GetItem` and `dynamodb:UpdateItem`; only `SweepRole`
/// has `dynamodb:Query` on the index, for [`find_due`](Self::find_due),
/// [`settle_bodies`](Self::settle_bodies) and [`pending_gauges`](Self::pending_gauges).
pub trait DeliveryInbox: Send + Sync + 'static {
    /// Due open rows, longest due first, then those whose `due_at` is not trusted
    /// ([`due_ranges`](super::due_ranges)).
    ///
    /// The list is a hint, because another process may have claimed or finished a row. The claim
    /// decides.
    fn find_due(
        &self,
        sources: &SourceFilter,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Key>, InboxError>> + Send;

    /// Claims the row for one attempt, which is counted before the work.
    ///
    /// `None` if the row is not open, not due yet, or leased. Dates too far in the future are not
    /// trusted ([`is_due`](super::is_due), [`is_leased`](super::is_leased)). The first claim does
    /// not change `due_at`. Every later claim moves it, so that a row that crashes its process
    /// cannot stay at the head of the queue, and moves a `budget_from` in the future to now.
    fn claim(
        &self,
        key: &Key,
        claim: &Claim,
    ) -> impl Future<Output = Result<Option<(Row, Fence)>, InboxError>> + Send;

    /// Adds `event` to the ledger for `key`, unless another key holds it.
    fn claim_event(
        &self,
        event: &EventName,
        key: &Key,
        expires_at: Timestamp,
    ) -> impl Future<Output = Result<EventClaim, InboxError>> + Send;

    /// Writes the outcome of an attempt, if its claim is still valid.
    ///
    /// A fence is valid for one mark. A second mark changes nothing.
    fn mark(
        &self,
        fence: &Fence,
        mark: &Mark,
    ) -> impl Future<Output = Result<MarkOutcome, InboxError>> + Send;

    /// Settles bodies whose process ended between two writes: erases those that no row owns, and
    /// sets the expiry of those whose rows are finished. At most `limit` bodies of each shard.
    /// Returns how many were erased.
    ///
    /// An inbox that writes a row and its bytes in one step has no such bodies.
    fn settle_bodies(
        &self,
        _now: Timestamp,
        _limit: usize,
    ) -> impl Future<Output = Result<usize, InboxError>> + Send {
        async { Ok(0) }
    }

    /// Records that a notification of `source` was received at `at`. An earlier time than the
    /// stored one changes nothing.
    fn record_last_received(
        &self,
        source: &SourceName,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), InboxError>> + Send;

    /// Counts the rows of the pending index, with one query of at most `limit` rows for each shard.
    /// Open rows count if they were received before `open_before`.
    ///
    /// If a shard has more rows, the counts and the age are lower bounds.
    fn pending_gauges(
        &self,
        open_before: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<PendingGauges, InboxError>> + Send;

    /// When a notification of `source` was last received. If none was, the time of the first call
    /// of this method.
    fn silent_since(
        &self,
        source: &SourceName,
        now: Timestamp,
    ) -> impl Future<Output = Result<Timestamp, InboxError>> + Send;

    /// Stores when the inbox was swept and which circuits were open, so that other processes can
    /// show it. `version` is a new random number.
    ///
    /// An inbox that only one process uses need not store it.
    fn record_sweep(
        &self,
        _status: &SweepStatus,
        _version: u64,
    ) -> impl Future<Output = Result<(), InboxError>> + Send {
        async { Ok(()) }
    }
}

/// For reconcile, which records pulled notifications, and compares the sender's data with the
/// received notifications.
///
/// `ReconcilerRole`: `dynamodb:PutItem` as `ReceiveRole`, `dynamodb:GetItem` and
/// `dynamodb:UpdateItem` on the key-value store, `dynamodb:GetItem` on ledgers and sources,
/// `dynamodb:Query` on the index. It reads no row.
pub trait ReconcileInbox: ReceiveInbox {
    /// The ledger of `subject`: the events that delivery has claimed, in any order.
    fn ledger_entries(
        &self,
        source: &SourceName,
        subject: &str,
    ) -> impl Future<Output = Result<Vec<LedgerEntry>, InboxError>> + Send;

    /// The open, dead and held rows of a source with one of these subjects, in any order.
    ///
    /// Rows recorded a moment ago may be missing. A row is added to the ledger before it leaves
    /// this list, so a caller that needs both reads this list first.
    fn pending_events(
        &self,
        source: &SourceName,
        subjects: &BTreeSet<String>,
    ) -> impl Future<Output = Result<Vec<PendingEvent>, InboxError>> + Send;

    /// When a notification of `source` was last received; `None` if none ever was.
    fn last_received(
        &self,
        source: &SourceName,
    ) -> impl Future<Output = Result<Option<Timestamp>, InboxError>> + Send;

    /// The current entry of the key-value store under `key`.
    fn kv_get(
        &self,
        key: &KvKey,
    ) -> impl Future<Output = Result<Option<KvEntry>, InboxError>> + Send;

    /// Stores `next` under `key` if the current entry has `expected_version`; `None` expects no
    /// entry.
    ///
    /// If several callers expect the same version, one of them stores its entry. Safe to repeat:
    /// the same exchange is [`CasOutcome::Stored`] again, until another entry is stored. After an
    /// error the entry may or may not be stored: read it again.
    fn compare_and_swap(
        &self,
        key: &KvKey,
        expected_version: Option<u64>,
        next: &KvEntry,
    ) -> impl Future<Output = Result<CasOutcome, InboxError>> + Send;
}

/// For the console and the commands that only show rows.
///
/// With credentials that have `dynamodb:GetItem`, `dynamodb:Query` and `dynamodb:Scan`.
pub trait ReadInbox: Send + Sync + 'static {
    /// One row with its bytes; `None` if the key is unknown.
    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<Row>, InboxError>> + Send;

    /// Rows without their bytes, newest first, one page at a time.
    fn list(
        &self,
        filter: &RowFilter,
        page: PageRequest,
    ) -> impl Future<Output = Result<RowPage, InboxError>> + Send;

    /// Summarises the rows that wait for a person or a worker. Reads the pending index up to a
    /// limit, without a scan.
    fn summary(
        &self,
        request: &SummaryRequest,
    ) -> impl Future<Output = Result<InboxSummary, InboxError>> + Send;
}

/// For the commands with which a person decides about a row.
///
/// With credentials that have `dynamodb:GetItem`, `dynamodb:PutItem`, `dynamodb:UpdateItem` and
/// `dynamodb:Query`.
pub trait OperatorInbox: Send + Sync + 'static {
    /// Sets a row back to recorded: due now, with a new budget. The row must be dead, delivered,
    /// held but not unreadable, or open and not leased.
    fn replay(
        &self,
        key: &Key,
        now: Timestamp,
    ) -> impl Future<Output = Result<ReplayOutcome, InboxError>> + Send;

    /// Discards a row, unless an attempt is in progress; with `erase`, also erases every copy of
    /// its bytes.
    ///
    /// The row keeps its key and digests, so that no later copy is stored. With `erase` the call
    /// can be repeated, and can discard a finished row.
    fn discard(
        &self,
        key: &Key,
        request: &DiscardRequest,
    ) -> impl Future<Output = Result<DiscardOutcome, InboxError>> + Send;

    /// Stores a row of another inbox under its key, with its bytes, state and dates, but without
    /// its lease. A row that is already stored is not changed.
    ///
    /// Also needs `dynamodb:PutItem` on rows, which no policy of the template has.
    fn import(&self, row: &Row) -> impl Future<Output = Result<ImportOutcome, InboxError>> + Send;

    /// Every place that holds bytes of a notification: of its row, and of copies whose row was
    /// refused. Those are what [`discard`](Self::discard) erases.
    fn body_copies(
        &self,
        key: &Key,
    ) -> impl Future<Output = Result<Vec<BodyCopy>, InboxError>> + Send;
}

/// For every command with which a person changes a row or shows a masked field.
///
/// With credentials that have `dynamodb:PutItem` only on audit entries, and `dynamodb:GetItem` and
/// `dynamodb:Query`. Functions must not write audit entries.
pub trait AuditInbox: Send + Sync + 'static {
    /// Stores an entry. Replaces one with the same time and id.
    fn write_audit_entry(
        &self,
        entry: &AuditEntry,
        expires_at: Timestamp,
    ) -> impl Future<Output = Result<(), InboxError>> + Send;

    /// At most `limit` entries of acts that began at `since` or later, newest first.
    fn audit_entries(
        &self,
        since: Option<Timestamp>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<AuditEntry>, InboxError>> + Send;
}

/// The durable record of notifications, with the operations of every role.
pub trait Inbox: DeliveryInbox + ReconcileInbox + ReadInbox + OperatorInbox + AuditInbox {}

impl<I: DeliveryInbox + ReconcileInbox + ReadInbox + OperatorInbox + AuditInbox> Inbox for I {}
