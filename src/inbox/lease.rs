//! Who may work on a row, and what they may write afterwards.

use std::{fmt, time::Duration};

use super::BodyParts;
use crate::domain::{Key, Timestamp};

/// A claim's random name, so that an attempt which outlived its lease can't write over a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A row's lease: whose it is, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose it is.
    pub id: LeaseId,
    /// When it lapses by itself.
    pub until: Timestamp,
}

/// What somebody who wants a row brings.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The instant it is now.
    pub now: Timestamp,
    /// Whose the row will be, and until when.
    pub lease: Lease,
    /// How far the second claim pushes `due_at` on; each later one doubles it, up to an hour.
    pub push: Duration,
}

/// Proof of a claim: good for one mark, as long as nobody claimed the row since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The row.
    pub key: Key,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The claim's name.
    pub lease: LeaseId,
    /// Where the row's bytes are, if they don't fit into the row: their expiry goes with its end.
    pub parts: Option<BodyParts>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Handed on.
    Delivered {
        /// When the row expires.
        expires_at: Timestamp,
    },
    /// The same event came under another key.
    Repeat {
        /// That key.
        of: Key,
        /// When the row expires.
        expires_at: Timestamp,
    },
    /// Failed, and due again.
    Retry {
        /// When it is due again.
        due_at: Timestamp,
        /// What went wrong.
        error: String,
    },
    /// Refused for good, or out of budget.
    Dead {
        /// Why it ended.
        reason: String,
        /// What went wrong last.
        error: String,
        /// When it ended.
        at: Timestamp,
    },
}

/// Whether a mark was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// Written.
    Done,
    /// Not written: the row is someone else's by now, or was ended.
    Lost,
}
