//! When Pay posts again.

use std::time::Duration;

use crate::senders::RetrySchedule;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The waits after the first five attempts; after the sixth, Pay gives up.
pub(super) const SCHEDULE: RetrySchedule = RetrySchedule::After(&[
    Duration::from_secs(MINUTE),
    Duration::from_secs(5 * MINUTE),
    Duration::from_secs(HOUR),
    Duration::from_secs(DAY),
    Duration::from_secs(2 * DAY),
]);
