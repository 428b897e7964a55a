//! The limits of delivery.
//!
//! A lease is longer than any attempt and than any invocation of a function, so a row is claimed
//! again only after the process with the lease has stopped working on it.

use std::time::Duration;

use crate::domain::Timestamp;

/// How long a claim is valid.
pub const LEASE_DURATION: Duration = Duration::from_secs(150);
/// How long a destination may take to deliver one event.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// The time for claim, ledger and mark of an attempt, each of which the inbox limits.
const INBOX_MARGIN: Duration = Duration::from_secs(10);
/// The time for the reply, after every attempt has ended or was cancelled.
const REPLY_MARGIN: Duration = Duration::from_secs(1);

const _: () =
    assert!(ATTEMPT_TIMEOUT.as_secs() + INBOX_MARGIN.as_secs() < LEASE_DURATION.as_secs());

/// The limits of a worker pool.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryLimits {
    /// How many attempts run concurrently.
    pub max_concurrent_attempts: usize,
    /// When the attempts must end, if there is a deadline.
    pub(super) deadline: Option<RunDeadline>,
}

impl DeliveryLimits {
    /// For a server, which runs until it is stopped.
    pub const SERVER: Self = Self {
        max_concurrent_attempts: 128,
        deadline: None,
    };
    /// How many attempts a function runs concurrently, with little memory and part of a processor.
    pub const MAX_CONCURRENT_ATTEMPTS: usize = 32;

    /// For a function, whose attempts end by `deadline`.
    pub fn function(deadline: RunDeadline) -> Self {
        Self {
            max_concurrent_attempts: Self::MAX_CONCURRENT_ATTEMPTS,
            deadline: Some(deadline),
        }
    }

    /// How many due rows are read in one query.
    pub(super) fn page_size(self) -> usize {
        8 * self.max_concurrent_attempts
    }
}

/// When a run starts its last attempt, and when it ends.
#[derive(Clone, Copy, Debug)]
pub struct RunDeadline {
    pub(super) last_start: Timestamp,
    end: Timestamp,
}

impl RunDeadline {
    /// The deadline of a process that is stopped at `stopped_at`: an attempt is started only if it
    /// can end before.
    pub fn before(stopped_at: Timestamp) -> Self {
        let end = stopped_at.minus(REPLY_MARGIN);
        Self {
            last_start: end.minus(ATTEMPT_TIMEOUT + INBOX_MARGIN),
            end,
        }
    }

    /// The time from `now` until the running attempts are cancelled.
    pub(super) fn remaining(self, now: Timestamp) -> Duration {
        self.end.since(now)
    }
}
