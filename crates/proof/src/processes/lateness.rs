//! How late this machine is, so that a starved one is not taken for a slow receiver.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// The time between two looks at the clock.
const BEAT: Duration = Duration::from_millis(10);

static LATE_MICROS: AtomicU64 = AtomicU64::new(0);

/// Measures by how much each sleep of this process is too long, until it ends.
pub(crate) async fn measure() {
    loop {
        let before = Instant::now();
        sleep(BEAT).await;
        // The timer itself rounds up by a millisecond.
        let late = before
            .elapsed()
            .saturating_sub(BEAT + Duration::from_millis(2));
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        LATE_MICROS.fetch_add(micros, Ordering::Relaxed);
    }
}

/// The sum of all delays so far.
pub(crate) fn total() -> Duration {
    Duration::from_micros(LATE_MICROS.load(Ordering::Relaxed))
}
