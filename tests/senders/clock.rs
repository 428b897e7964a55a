//! Time that passes when a test says so, and chance that can be repeated.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use pillarbox::domain::{Clock, Timestamp};

pub(crate) struct ManualClock {
    now: AtomicI64,
    drawn: AtomicU64,
}

impl ManualClock {
    /// Begins at 2026-03-02T10:15:31.480Z.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            now: AtomicI64::new(1_772_446_531_480),
            drawn: AtomicU64::new(0),
        })
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.turn(i64::try_from(time.as_millis()).unwrap());
    }

    /// Turns it on, or back.
    pub(crate) fn turn(&self, milliseconds: i64) {
        self.now.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    fn random(&self) -> u64 {
        self.drawn
            .fetch_add(1, Ordering::SeqCst)
            .wrapping_add(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}
