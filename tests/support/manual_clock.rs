//! A clock that a test advances, and repeatable random numbers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use pillarbox::{
    domain::{Clock, Timestamp},
    reconcile::RunSleeper,
};

pub struct ManualClock {
    now: AtomicI64,
    drawn: AtomicU64,
}

impl ManualClock {
    /// Begins at 2026-03-02T10:15:31.480Z.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            now: AtomicI64::new(1_772_446_531_480),
            drawn: AtomicU64::new(0),
        })
    }

    pub fn pass(&self, time: Duration) {
        self.turn(i64::try_from(time.as_millis()).unwrap());
    }

    /// Moves the clock forwards, or backwards if negative.
    pub fn turn(&self, milliseconds: i64) {
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

impl RunSleeper for ManualClock {
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        async move {
            self.pass(duration);
            tokio::task::yield_now().await;
        }
        .boxed()
    }
}

/// The simulated senders use the same clock.
impl sender_simulator::Clock for ManualClock {
    fn now(&self) -> sender_simulator::Timestamp {
        sender_time(Clock::now(self))
    }

    fn random(&self) -> u64 {
        Clock::random(self)
    }
}

/// The instant as a timestamp of the simulator.
pub fn sender_time(at: Timestamp) -> sender_simulator::Timestamp {
    sender_simulator::Timestamp::from_millis(at.as_millis())
}
