//! A run for tests, whose waits advance a manual clock.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use tokio_util::sync::CancellationToken;

use super::{LockedRun, NetworkTransport, RunContext, RunOptions, RunSleeper};
use crate::{
    domain::{Clock, SourceName, Timestamp},
    inbox::MemoryInbox,
    senders::{Acceptance, example::NOW},
};

/// A clock that tests advance, and that every wait advances. Its random numbers are all different.
pub(crate) struct ManualClock {
    now: AtomicI64,
    drawn: AtomicU64,
}

impl ManualClock {
    fn shift(&self, milliseconds: i64) {
        self.now.fetch_add(milliseconds, Ordering::SeqCst);
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.shift(i64::try_from(time.as_millis()).unwrap());
    }

    pub(crate) fn set_back(&self, time: Duration) {
        self.shift(-i64::try_from(time.as_millis()).unwrap());
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    fn random(&self) -> u64 {
        self.drawn
            .fetch_add(1, Ordering::SeqCst)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl RunSleeper for ManualClock {
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        async move {
            self.advance(duration);
            tokio::task::yield_now().await;
        }
        .boxed()
    }
}

/// An inbox and a clock.
pub(crate) struct ReconcileRig {
    pub(crate) inbox: MemoryInbox,
    pub(crate) clock: ManualClock,
    pub(crate) stop: CancellationToken,
}

impl ReconcileRig {
    pub(crate) fn new() -> Self {
        let clock = ManualClock {
            now: AtomicI64::new(NOW.as_millis()),
            drawn: AtomicU64::new(1),
        };
        Self {
            inbox: MemoryInbox::default(),
            clock,
            stop: CancellationToken::new(),
        }
    }

    /// A run of a new source, so that no other run holds its lock.
    pub(in crate::reconcile) async fn run(&self) -> LockedRun<'_, MemoryInbox> {
        let name = format!("s{:x}", self.clock.random());
        let source = Box::leak(Box::new(SourceName::new(&name).unwrap()));
        self.run_of(source, Box::leak(Box::new(RunOptions::default())))
            .await
            .unwrap()
    }

    pub(in crate::reconcile) async fn run_of<'a>(
        &'a self,
        source: &'a SourceName,
        options: &'a RunOptions,
    ) -> Result<LockedRun<'a, MemoryInbox>, super::RunEnd> {
        let context = RunContext {
            inbox: &self.inbox,
            clock: &self.clock,
            sleeper: &self.clock,
            transport: &NetworkTransport,
            stop: &self.stop,
            holder: &"a test",
            reporter: &(),
            window: Acceptance(Duration::from_secs(60 * 24 * 60 * 60)),
        };
        LockedRun::begin(Box::leak(Box::new(context)), source, options).await
    }
}
