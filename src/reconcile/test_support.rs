//! A run for tests, whose time passes when it waits.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use tokio_util::sync::CancellationToken;

use super::{LockedRun, RunContext, RunOptions, Sleeper};
use crate::{
    domain::{Clock, SourceName, Timestamp},
    inbox::MemoryInbox,
    senders::{Acceptance, example::NOW},
};

/// A clock that a test moves, and that moves by itself when somebody waits. No two draws are the
/// same.
pub(crate) struct ManualClock {
    now: AtomicI64,
    drawn: AtomicU64,
}

impl ManualClock {
    fn turn(&self, milliseconds: i64) {
        self.now.fetch_add(milliseconds, Ordering::SeqCst);
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.turn(i64::try_from(time.as_millis()).unwrap());
    }

    pub(crate) fn turn_back(&self, time: Duration) {
        self.turn(-i64::try_from(time.as_millis()).unwrap());
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

impl Sleeper for ManualClock {
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        async move {
            self.pass(duration);
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

    /// A run of a source of its own, so that no lock is in its way.
    pub(crate) async fn run(&self) -> LockedRun<'_, MemoryInbox> {
        let name = format!("s{:x}", self.clock.random());
        let source = Box::leak(Box::new(SourceName::new(&name).unwrap()));
        self.run_of(source, Box::leak(Box::new(RunOptions::default())))
            .await
            .unwrap()
    }

    pub(crate) async fn run_of<'a>(
        &'a self,
        source: &'a SourceName,
        options: &'a RunOptions,
    ) -> Result<LockedRun<'a, MemoryInbox>, super::RunEnd> {
        let context = RunContext {
            inbox: &self.inbox,
            clock: &self.clock,
            sleeper: &self.clock,
            stop: &self.stop,
            reporter: &(),
            window: Acceptance(Duration::from_secs(60 * 24 * 60 * 60)),
        };
        LockedRun::begin(Box::leak(Box::new(context)), source, options).await
    }
}
