//! The limits of delivery, in one place.
//!
//! A lease is longer than any attempt and than any function runs, so a row is claimed again only
//! when the process that held it has stopped working on it.

use std::time::Duration;

use crate::domain::Timestamp;

/// How long a claim is valid. Longer than any attempt, and than any function that makes one runs.
pub const LEASE_DURATION: Duration = Duration::from_secs(150);
/// How long a destination may take over one event.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an attempt may take besides its delivery: claim, ledger and mark, each within the
/// inbox's own limit.
const INBOX_MARGIN: Duration = Duration::from_secs(10);
/// The time left for the reply once every attempt has ended or was cancelled.
const REPLY_MARGIN: Duration = Duration::from_secs(1);

const _: () =
    assert!(ATTEMPT_TIMEOUT.as_secs() + INBOX_MARGIN.as_secs() < LEASE_DURATION.as_secs());

/// How many attempts run at once, and until when.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryLimits {
    /// How many attempts run at once.
    pub max_concurrent_attempts: usize,
    /// When the process is stopped, if that is known.
    pub(super) deadline: Option<RunDeadline>,
}

impl DeliveryLimits {
    /// For a server: it has a machine, and runs until it is stopped.
    pub const SERVER: Self = Self {
        max_concurrent_attempts: 128,
        deadline: None,
    };
    /// How many attempts a function runs at once: it has little memory and a share of a processor.
    pub const MAX_CONCURRENT_ATTEMPTS: usize = 32;

    /// For a function, which ends by `deadline`.
    pub fn function(deadline: RunDeadline) -> Self {
        Self {
            max_concurrent_attempts: Self::MAX_CONCURRENT_ATTEMPTS,
            deadline: Some(deadline),
        }
    }

    /// How many due rows are read at once.
    pub(super) fn page_size(self) -> usize {
        8 * self.max_concurrent_attempts
    }
}

/// When a run begins its last attempt, and when it ends.
#[derive(Clone, Copy, Debug)]
pub struct RunDeadline {
    pub(super) last_start: Timestamp,
    end: Timestamp,
}

impl RunDeadline {
    /// For a process that is stopped at `stopped_at`: no attempt is started that may not end
    /// before.
    pub fn before(stopped_at: Timestamp) -> Self {
        let end = stopped_at.minus(REPLY_MARGIN);
        Self {
            last_start: end.minus(ATTEMPT_TIMEOUT + INBOX_MARGIN),
            end,
        }
    }

    /// The time from `now` until the attempts that still run are cancelled.
    pub(super) fn remaining(self, now: Timestamp) -> Duration {
        self.end.since(now)
    }
}
