//! The ledger: which notification owns each event of a payment.
//!
//! GOV.UK Pay may send one event under two ids. Before a row is delivered, its event is claimed in
//! the ledger of its payment, in one conditional write. The first key keeps the event permanently,
//! so the event is delivered under one key. A row with another key is marked as a repeat. A key
//! that claims its event again after a crash still holds it.

use crate::domain::Key;

/// Which key holds an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventClaim {
    /// The claiming key holds it, from this call or an earlier one.
    Acquired,
    /// This other key claimed it first.
    HeldBy(Key),
}

/// A claimed event of a payment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerEntry {
    /// `{event_type}|{created_date}`.
    pub event: String,
    /// The key that holds it.
    pub owner: Key,
}

impl LedgerEntry {
    /// The event type, without the date.
    pub fn event_type(&self) -> &str {
        self.event
            .split_once('|')
            .map_or(&self.event, |(event_type, _)| event_type)
    }
}
