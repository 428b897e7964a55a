//! The ledger: which notification is responsible for each event in the life of a payment.
//!
//! GOV.UK Pay may send one event under two ids. Before a row is delivered its event is claimed in
//! the ledger of its payment, in one conditional write. The first key keeps the event for good, so
//! the event is delivered under one key; a row under another key is marked as a repeat. A key that
//! claims its event again, after a crash, still holds it.

use crate::domain::Key;

/// Which key holds an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventClaim {
    /// The key that claimed it, now or earlier.
    Acquired,
    /// Another key, which claimed it first.
    HeldBy(Key),
}

/// A claimed event in the life of a payment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerEntry {
    /// `{event_type}|{created_date}`.
    pub event: String,
    /// The key that holds it.
    pub owner: Key,
}

impl LedgerEntry {
    /// The type, without the date.
    pub fn event_type(&self) -> &str {
        self.event
            .split_once('|')
            .map_or(&self.event, |(event_type, _)| event_type)
    }
}
