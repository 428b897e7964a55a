//! The durable record of notifications, which detects duplicates.
//!
//! After a notification is verified, each step of its processing is one change of its row. An
//! [`Entry`](crate::senders::Entry) is stored; a [`Row`] is read.

mod audit;
mod body;
mod short_deflate;
mod due;
mod error;
mod history;
mod kv;
mod lease;
mod ledger;
mod list;
mod lock;
mod pending;
mod roles;
mod row;
mod silence;
mod summary;
mod sweep_status;

#[cfg(any(test, feature = "test-support"))]
pub mod contract;
pub mod dynamodb;
#[cfg(any(test, feature = "test-support"))]
mod memory;

use std::time::Duration;

use crate::domain::{Key, Timestamp};

pub use audit::{AuditAction, AuditEntry, AuditOutcome};
pub use body::{BodyCopy, BodyParts, StoredBody};
pub use due::{DueRange, MAX_AHEAD, MAX_BACKOFF, due_ranges, is_due, is_leased};
pub use error::InboxError;
pub use history::{
    DeliveryHistory, HistoryEntry, MAX_BYTES as MAX_HISTORY_BYTES,
    MAX_ENTRIES as MAX_HISTORY_ENTRIES, MAX_TEXT_CHARS, PastAttempt, PastOutcome,
};
pub use kv::{CasOutcome, KvEntry, KvKey};
pub use lease::{Claim, Fence, Lease, LeaseId, Mark, MarkOutcome};
pub use ledger::{EventClaim, LedgerEntry};
pub use list::{ListCursor, PageRequest, RowFilter, RowPage, SourceFilter};
pub use lock::{HeldLock, LockHolder, LockTerms, SharedLock, TryLock};
#[cfg(any(test, feature = "test-support"))]
pub use memory::MemoryInbox;
pub use pending::{PendingEvent, PendingGauges};
pub use roles::{
    AuditInbox, DeliveryInbox, Inbox, OperatorInbox, ReadInbox, ReceiveInbox, ReconcileInbox,
};
pub use row::{ROW_VERSION, Row};
pub use silence::silent_since;
pub use summary::{InboxSummary, MAX_RETRYING_ROWS, StateSummary, SummaryRequest};
pub use sweep_status::{SWEEP_STATUS_INTERVAL, SweepStatus, last_sweep, record_sweep};

/// The outcome of recording. Each is answered 200, because the notification is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordOutcome {
    /// Stored now.
    First,
    /// Stored before, with the same content. Nothing was changed.
    Duplicate,
    /// The key belongs to other content. This notification is held under the given key.
    Conflict(Key),
}

/// The outcome of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// Recorded again: due now, with a new budget.
    Done,
    /// The key is unknown.
    Absent,
    /// The row's state does not allow a replay, for this reason.
    Refused(&'static str),
}

/// A request to discard a row.
#[derive(Clone, Copy, Debug)]
pub struct DiscardRequest {
    /// Whether its bytes are also erased. A finished row can only be discarded if they are.
    pub erase: bool,
    /// The current time. A row is not discarded during an attempt.
    pub now: Timestamp,
    /// When the row expires.
    pub expires_at: Timestamp,
}

/// The outcome of discarding a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscardOutcome {
    /// Discarded, and its bytes erased if that was requested.
    Done,
    /// The key is unknown.
    Absent,
    /// The row's state does not allow it, for this reason.
    Refused(&'static str),
}

/// How much longer than rows their ledgers, the items of their bodies and the audit trail are kept.
const KEPT_AFTER_ROWS: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The outcome of the import of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// Stored now.
    Stored,
    /// The notification is already stored. Nothing was changed.
    Duplicate,
    /// Another notification has the key. Nothing was changed.
    KeyTaken,
}

impl ImportOutcome {
    /// The outcome of importing `row` if its key already has a row with this content digest.
    pub fn of_stored(content_digest: Option<[u8; 32]>, row: &Row) -> Self {
        if content_digest == Some(row.content_digest) {
            Self::Duplicate
        } else {
            Self::KeyTaken
        }
    }
}

/// How long finished rows, ledgers and the audit trail are kept.
#[derive(Clone, Copy, Debug)]
pub struct RetentionPolicy {
    /// How long finished rows are kept.
    pub retention: Duration,
}

impl RetentionPolicy {
    /// When a row that is finished at `now` expires.
    pub fn row_expiry(self, now: Timestamp) -> Timestamp {
        now.plus(self.retention)
    }

    /// When a payment's ledger expires if its last event is claimed at `now`: a week after its
    /// rows.
    pub fn ledger_expiry(self, now: Timestamp) -> Timestamp {
        now.plus(self.retention + KEPT_AFTER_ROWS)
    }

    /// When an audit entry that is written at `now` expires: a week after its rows.
    pub fn audit_expiry(self, now: Timestamp) -> Timestamp {
        now.plus(self.retention + KEPT_AFTER_ROWS)
    }
}
