//! Claims and leases: which process may work on a row, and what it may write afterwards.
//!
//! A claim counts an attempt and leases the row under a random id, in one conditional write, before
//! the work begins. The claim returns a fence. A mark is written only while the row still has the
//! attempt number and the lease of that fence. So one process at a time works on a row, and a
//! process that is slower than its lease cannot overwrite the result of the next. If a process
//! dies, its lease expires and the row is claimed again.

use std::{fmt, time::Duration};

use super::{BodyParts, DeliveryHistory};
use crate::domain::{HeldReason, Key, Timestamp};

/// The random id of a claim, which keeps an attempt that outlived its lease from marking the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The lease of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The id of the claim.
    pub id: LeaseId,
    /// When the lease expires.
    pub until: Timestamp,
}

/// A request to work on a row.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The current time.
    pub now: Timestamp,
    /// The lease that the row gets.
    pub lease: Lease,
    /// How far the second claim moves `due_at` into the future. Each later claim doubles it, up to
    /// an hour.
    pub first_backoff: Duration,
}

/// Proof of a claim. Valid for one mark, until another process claims the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The claimed row.
    pub key: Key,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The id of the claim.
    pub lease: LeaseId,
    /// The items of a body that is too long for its row. A mark sets their expiry.
    pub parts: Option<BodyParts>,
    /// The history that the mark writes: that of the claimed row, then with this attempt.
    pub history: DeliveryHistory,
}

/// The result of an attempt, to be written to the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The destination has the event.
    Delivered {
        /// When the row expires.
        expires_at: Timestamp,
    },
    /// Another key holds the event.
    Repeat {
        /// That key.
        of: Key,
        /// When the row expires.
        expires_at: Timestamp,
    },
    /// The attempt failed, and the row is due again.
    Retry {
        /// When it is due again.
        due_at: Timestamp,
        /// Why it failed.
        error: String,
    },
    /// Refused permanently, or out of budget.
    Dead {
        /// Why the row is dead.
        reason: String,
        /// Why the last attempt failed.
        error: String,
        /// When the row died.
        at: Timestamp,
    },
    /// Held for a person.
    Held {
        /// Why it is held.
        reason: HeldReason,
        /// Since when.
        at: Timestamp,
    },
}

/// Whether a mark was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkOutcome {
    /// Written.
    Done,
    /// Not written: the lease expired, and another process has claimed the row.
    Lost,
    /// Not written: a person has discarded the row.
    Discarded,
}
