//! A run for tests, whose time passes when it waits.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use super::{LockedRun, RunContext, RunOptions, Sleeper, StopSignal};
use crate::{
    domain::{Clock, SourceName, Timestamp},
    inbox::MemoryInbox,
    senders::{Acceptance, example::NOW},
};

/// A clock that a test moves, and that moves by itself when somebody waits. No two draws are the same.
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
    async fn sleep(&self, time: Duration) {
        self.pass(time);
        tokio::task::yield_now().await;
    }
}

/// An inbox and a clock.
pub(crate) struct ReconcileRig {
    pub(crate) inbox: MemoryInbox,
    pub(crate) world: ManualClock,
    pub(crate) stop: StopSignal,
}

impl ReconcileRig {
    pub(crate) fn new() -> Self {
        let world = ManualClock {
            now: AtomicI64::new(NOW.as_millis()),
            drawn: AtomicU64::new(1),
        };
        Self {
            inbox: MemoryInbox::default(),
            world,
            stop: StopSignal::default(),
        }
    }

    /// A run of a source of its own, so that no lock is in its way.
    pub(crate) async fn run(&self) -> LockedRun<'_, MemoryInbox, ManualClock, ManualClock> {
        let name = format!("s{:x}", self.world.random());
        let source = Box::leak(Box::new(SourceName::new(&name).unwrap()));
        self.run_of(source, Box::leak(Box::new(RunOptions::default())))
            .await
            .unwrap()
    }

    pub(crate) async fn run_of<'a>(
        &'a self,
        source: &'a SourceName,
        options: &'a RunOptions,
    ) -> Result<LockedRun<'a, MemoryInbox, ManualClock, ManualClock>, super::RunEnd> {
        let around = RunContext {
            inbox: &self.inbox,
            world: &self.world,
            sleeper: &self.world,
            stop: &self.stop,
            observer: &(),
            window: Acceptance(Duration::from_secs(60 * 24 * 60 * 60)),
        };
        LockedRun::begin(Box::leak(Box::new(around)), source, options).await
    }
}
