//! Measures the scheduling delays of this machine, so that a busy machine does not look like a slow
//! receiver.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// The time between two measurements.
const INTERVAL: Duration = Duration::from_millis(10);

static LATE_MICROS: AtomicU64 = AtomicU64::new(0);

/// Measures the delay of each sleep, until the runtime ends.
pub(crate) async fn measure() {
    loop {
        let before = Instant::now();
        sleep(INTERVAL).await;
        // The timer rounds up by a millisecond.
        let expected = INTERVAL + Duration::from_millis(2);
        let late = before.elapsed().saturating_sub(expected);
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        LATE_MICROS.fetch_add(micros, Ordering::Relaxed);
    }
}

/// The sum of all delays so far.
pub(crate) fn total() -> Duration {
    Duration::from_micros(LATE_MICROS.load(Ordering::Relaxed))
}
