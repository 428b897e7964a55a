//! The pending index: the open, dead and held rows, which still need work.
//!
//! Finished rows leave the index, so it stays small however many rows are stored, and finding what
//! is due reads nothing else. Each state is one partition, divided into shards where many processes
//! write. On DynamoDB the index is a moment behind the rows, so nothing relies on it: a row is
//! claimed by a conditional write on the row itself, and a row that is missing from one query is
//! found by the next.

use crate::domain::{Key, Timestamp};

/// A row in the pending index that is about a payment or a box.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PendingEvent {
    /// The key of the row.
    pub key: Key,
    /// As in [`Row`](super::Row).
    pub event_type: String,
    /// The payment or box it is about.
    pub subject: String,
}

/// The size of one partition of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCount {
    /// `open`, `dead` or `held`.
    pub partition: String,
    /// At least one.
    pub rows: usize,
    /// When the oldest of them was received.
    pub oldest: Timestamp,
}
