//! When HMRC pushes again.

use std::time::Duration;

use crate::senders::RetrySchedule;

/// HMRC's job pushes every five minutes until a notification is six hours old. After that it can
/// only be pulled.
pub(super) const SCHEDULE: RetrySchedule = RetrySchedule::Every {
    interval: Duration::from_secs(5 * 60),
    until: Duration::from_secs(6 * 60 * 60),
};
