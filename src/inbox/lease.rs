//! Claims and leases: which process may work on a row, and what it may write afterwards.
//!
//! A claim counts an attempt and leases the row under a random id, in one conditional write; only
//! then does the work begin. The claim returns a fence, and a mark is written only while the row
//! still has the attempt and the lease of that fence. So one process at a time works on a row, and
//! a process that was slower than its lease cannot overwrite the result of the next. A process that
//! dies releases nothing: the lease lapses, and the row is claimed again.

use std::{fmt, time::Duration};

use super::{BodyParts, DeliveryHistory};
use crate::domain::{HeldReason, Key, Timestamp};

/// The random id of a claim, so that an attempt that outlived its lease cannot mark the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A row's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The claim that has it.
    pub id: LeaseId,
    /// When it lapses.
    pub until: Timestamp,
}

/// A request to work on a row.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The current time.
    pub now: Timestamp,
    /// The lease that the row gets.
    pub lease: Lease,
    /// How far the second claim moves `due_at` into the future; each later claim doubles it, up to
    /// an hour.
    pub first_backoff: Duration,
}

/// Proof of a claim: good for one mark, as long as no later claim got the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The claimed row.
    pub key: Key,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The id of the claim.
    pub lease: LeaseId,
    /// The items of a body that is too long for its row: a mark sets their expiry.
    pub parts: Option<BodyParts>,
    /// The history that the mark writes: that of the claimed row, and this attempt once it ended.
    pub history: DeliveryHistory,
}

/// How an attempt ended.
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
    /// The attempt failed; the row is due again.
    Retry {
        /// When it is due again.
        due_at: Timestamp,
        /// Why it failed.
        error: String,
    },
    /// Refused for good, or out of budget.
    Dead {
        /// Why it ended.
        reason: String,
        /// Why the last attempt failed.
        error: String,
        /// When it ended.
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
    /// Not written: the lease has lapsed, and a later claim has or had the row.
    Lost,
    /// Not written: a person has discarded the row meanwhile.
    Discarded,
}
