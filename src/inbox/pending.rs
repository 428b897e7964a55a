//! The pending index: the open, dead and held rows, which still need work.
//!
//! Finished rows leave the index. So it stays small however many rows are stored, and a query for
//! due rows reads only the index. Each state is a partition; on DynamoDB it is divided into shards,
//! because many processes write to it. There the index is a moment behind the rows, so correctness
//! must not depend on it: a claim is a conditional write of the row itself, and a row that one
//! query misses is found by the next.

use std::ops::AddAssign;

use crate::domain::{Key, State, Timestamp};

/// A row in the pending index, with its payment or box.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PendingEvent {
    /// The key of the row.
    pub key: Key,
    /// As in [`Row`](super::Row).
    pub event_type: String,
    /// The id of the payment or box.
    pub subject: String,
}

/// The counts of the pending index, from one query of each shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PendingGauges {
    /// The open rows that should have been delivered by now.
    pub open_rows: u64,
    /// When the oldest of them was received.
    pub oldest_open: Option<Timestamp>,
    /// The dead rows.
    pub dead_rows: u64,
    /// The held rows, without conflicts.
    pub held_rows: u64,
    /// The rows that are held because the same id was stored with other content.
    pub conflict_rows: u64,
}

impl PendingGauges {
    /// The gauges of one row in `state`. An open row counts if it was received before
    /// `open_before`.
    pub fn of_row(state: State, key: &Key, received_at: Timestamp, open_before: Timestamp) -> Self {
        let mut gauges = Self::default();
        match state {
            State::Recorded if received_at < open_before => {
                gauges.open_rows = 1;
                gauges.oldest_open = Some(received_at);
            }
            State::Dead => gauges.dead_rows = 1,
            State::Held if key.is_conflict() => gauges.conflict_rows = 1,
            State::Held => gauges.held_rows = 1,
            _ => {}
        }
        gauges
    }
}

impl AddAssign for PendingGauges {
    fn add_assign(&mut self, other: Self) {
        self.open_rows += other.open_rows;
        self.oldest_open = match (self.oldest_open, other.oldest_open) {
            (Some(one), Some(another)) => Some(one.min(another)),
            (one, another) => one.or(another),
        };
        self.dead_rows += other.dead_rows;
        self.held_rows += other.held_rows;
        self.conflict_rows += other.conflict_rows;
    }
}
