//! The durable record, where duplicates stop.
//!
//! Everything that happens to a notification after it is verified is one change of its row here.
//! What is stored comes in as an [`Entry`]; what has to be done with it goes out as a [`Row`].

mod body;
mod error;
mod lease;
mod list;
mod kv;
mod row;
pub mod dynamodb;

#[cfg(any(test, feature = "test-support"))]
pub mod contract;
#[cfg(any(test, feature = "test-support"))]
mod memory;

use std::{collections::BTreeSet, future::Future, time::Duration};

use crate::{
    domain::{Key, SourceName, Timestamp},
    senders::{Entry, EventName},
};

pub use body::{BodyParts, StoredBody};
pub use error::InboxError;
pub use kv::{CasOutcome, KvEntry, KvKey};
pub use lease::{Claim, Fence, Lease, LeaseId, Mark, Marked};
pub use list::{ListCursor, PageRequest, RowFilter, SourceFilter};
#[cfg(any(test, feature = "test-support"))]
pub use memory::MemoryInbox;
pub use row::{ROW_VERSION, Row};

/// How recording ended. Each of these is answered 200: the notification is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Stored now.
    First,
    /// Stored before, with the same content. Nothing was touched.
    Duplicate,
    /// The key belongs to other content; this is kept beside it, held, under the key named here.
    Conflict(Key),
}

/// Whose an event in the life of a payment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventClaim {
    /// It was nobody's, or ours already.
    Mine,
    /// It came under this key first.
    Other(Key),
}

/// An event in the life of a payment that has come, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerEntry {
    /// `{event_type}|{created_date}`.
    pub event: String,
    /// The key it came under first.
    pub owner: Key,
}

impl LedgerEntry {
    /// The event's type.
    pub fn event_type(&self) -> &str {
        self.event
            .split_once('|')
            .map_or(&self.event, |(event_type, _)| event_type)
    }
}

/// A row that is open, dead or held, as far as lists of such rows say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PendingEvent {
    /// The row.
    pub key: Key,
    /// Its event type.
    pub event_type: String,
    /// The payment or box it is about.
    pub subject: String,
}

/// How a replay ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// Recorded again: due now, with a new budget.
    Again,
    /// Nothing has this key.
    Absent,
    /// Its state, or its being unreadable, doesn't allow a replay.
    Refused(&'static str),
}

/// How discarding ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discarded {
    /// Ended, and its bytes erased if that was asked for.
    Done,
    /// Nothing has this key.
    Absent,
    /// Its state doesn't allow it.
    Refused(&'static str),
}

/// The durable record of notifications.
///
/// Every method that changes something returns only when the change would survive a power cut, and
/// changes nothing when it fails. An implementation needs no clock: instants come in.
pub trait Inbox: Send + Sync + 'static {
    /// Stores `entry` durably before returning.
    ///
    /// Safe to repeat: the same key and content again is [`Recorded::Duplicate`] and touches
    /// nothing; the same key with other content is kept beside it, held, as [`Recorded::Conflict`].
    fn record(&self, entry: &Entry) -> impl Future<Output = Result<Recorded, InboxError>> + Send;

    /// Takes the row for one attempt, which is counted before the work.
    ///
    /// `None` when it isn't open, isn't due again yet, or is someone else's. The first claim leaves
    /// `due_at` alone; every later one pushes it on, so that a row that kills its processor can't
    /// stand at the head.
    fn claim(
        &self,
        key: &Key,
        claim: &Claim,
    ) -> impl Future<Output = Result<Option<(Row, Fence)>, InboxError>> + Send;

    /// Makes `event` the property of `key`, unless another key has it.
    fn own(
        &self,
        event: &EventName,
        key: &Key,
        expires_at: Timestamp,
    ) -> impl Future<Output = Result<EventClaim, InboxError>> + Send;

    /// Which events of this subject have an owner: everything that was ever worked on, in any order.
    fn events(
        &self,
        source: &SourceName,
        subject: &str,
    ) -> impl Future<Output = Result<Vec<LedgerEntry>, InboxError>> + Send;

    /// The open, dead and held rows of a source that are about one of `subjects`, in any order.
    ///
    /// What was recorded a moment ago may be missing. What leaves this list has an owner first, so whoever asks for
    /// both asks for this one first.
    fn unfinished(
        &self,
        source: &SourceName,
        subjects: &BTreeSet<String>,
    ) -> impl Future<Output = Result<Vec<PendingEvent>, InboxError>> + Send;

    /// Writes how an attempt ended, if the claim it was made under still stands.
    ///
    /// A fence is good for one mark: what it says a second time changes nothing.
    fn mark(
        &self,
        fence: &Fence,
        mark: &Mark,
    ) -> impl Future<Output = Result<Marked, InboxError>> + Send;

    /// Open rows whose time has come, longest due first.
    ///
    /// A hint: somebody may have a row of these already, or have finished it. The claim decides.
    fn due(
        &self,
        whose: &SourceFilter,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Key>, InboxError>> + Send;

    /// One row whole, or `None` if nothing has this key.
    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<Row>, InboxError>> + Send;

    /// Rows without their bytes, newest first, one page at a time.
    fn list(
        &self,
        filter: &RowFilter,
        page: PageRequest,
    ) -> impl Future<Output = Result<RowPage, InboxError>> + Send;

    /// Sets a dead, delivered or held (not unreadable) row back to recorded: due now, new budget.
    fn replay(
        &self,
        key: &Key,
        now: Timestamp,
    ) -> impl Future<Output = Result<Replayed, InboxError>> + Send;

    /// Ends an open, dead or held row for good; with `erase`, its bytes go, too.
    fn discard(
        &self,
        key: &Key,
        erase: bool,
        expires_at: Timestamp,
    ) -> impl Future<Output = Result<Discarded, InboxError>> + Send;

    /// Notes that a source was heard at `at`; an earlier instant than the one noted changes nothing.
    fn heard(
        &self,
        source: &SourceName,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), InboxError>> + Send;

    /// When a source was last heard; `None` if it never was.
    fn last_heard(
        &self,
        source: &SourceName,
    ) -> impl Future<Output = Result<Option<Timestamp>, InboxError>> + Send;

    /// What stands under a name, as of now; `None` if nothing ever did.
    fn memo(
        &self,
        name: &KvKey,
    ) -> impl Future<Output = Result<Option<KvEntry>, InboxError>> + Send;

    /// Writes `next` under a name, if what stands there has the version that was `seen`; `None` is for nothing at all.
    ///
    /// Of several who have seen the same, one is [`CasOutcome::Done`]. Safe to repeat: the same exchange again is done,
    /// too, as long as nobody has written since. After an error it may or may not stand; look again.
    fn swap_memo(
        &self,
        name: &KvKey,
        seen: Option<u64>,
        next: &KvEntry,
    ) -> impl Future<Output = Result<CasOutcome, InboxError>> + Send;
}

/// One page of a list, and where the next begins.
#[derive(Clone, Debug, Default)]
pub struct RowPage {
    /// The rows, without their bytes.
    pub rows: Vec<Row>,
    /// Where to go on; `None` at the end.
    pub next: Option<ListCursor>,
    /// Rows of a later version than this program knows, which belong here and can't be shown.
    pub newer: Vec<Key>,
}

/// How much longer than rows whatever belongs to them is kept: ledgers, and bodies in items of their own.
pub const KEPT_AFTER_ROWS: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long finished rows and the ledger are kept, and how they fall due.
#[derive(Clone, Copy, Debug)]
pub struct RetentionPolicy {
    /// How long a finished row is kept.
    pub retention: Duration,
}

impl RetentionPolicy {
    /// When a row finished at `now` expires.
    pub fn row_expiry(self, now: Timestamp) -> Timestamp {
        now.plus(self.retention)
    }

    /// When a payment's ledger expires, counted from its last event: a week after its rows.
    pub fn ledger_expiry(self, now: Timestamp) -> Timestamp {
        now.plus(self.retention + KEPT_AFTER_ROWS)
    }
}
