//! A run for tests, whose time passes when it waits.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use tempfile::TempDir;

use super::{Around, Options, Run, Sleeper, Stop};
use crate::{
    inbox::sqlite::SqliteInbox,
    notification::{SourceName, Timestamp},
    source::{Acceptance, example::NOW},
    world::World,
};

/// A clock that a test moves, and that moves by itself when somebody waits. No two draws are the same.
pub(crate) struct Clock {
    now: AtomicI64,
    drawn: AtomicU64,
}

impl Clock {
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

impl World for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    fn random(&self) -> u64 {
        self.drawn.fetch_add(1, Ordering::SeqCst).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl Sleeper for Clock {
    async fn sleep(&self, time: Duration) {
        self.pass(time);
        tokio::task::yield_now().await;
    }
}

/// An inbox and a clock.
pub(crate) struct Rig {
    pub(crate) inbox: SqliteInbox,
    pub(crate) world: Clock,
    pub(crate) stop: Stop,
    _folder: TempDir,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let inbox = SqliteInbox::create(&folder.path().join("inbox.db")).unwrap();
        let world = Clock { now: AtomicI64::new(NOW.as_millis()), drawn: AtomicU64::new(1) };
        Self { inbox, world, stop: Stop::default(), _folder: folder }
    }

    /// A run of a source of its own, so that no lock is in its way.
    pub(crate) async fn run(&self) -> Run<'_, SqliteInbox, Clock, Clock> {
        let name = format!("s{:x}", self.world.random());
        let source = Box::leak(Box::new(SourceName::new(&name).unwrap()));
        self.run_of(source, Box::leak(Box::new(Options::default()))).await.unwrap()
    }

    pub(crate) async fn run_of<'a>(
        &'a self,
        source: &'a SourceName,
        options: &'a Options,
    ) -> Result<Run<'a, SqliteInbox, Clock, Clock>, super::Ended> {
        let around = Around {
            inbox: &self.inbox,
            world: &self.world,
            sleeper: &self.world,
            stop: &self.stop,
            observer: &(),
            window: Acceptance(Duration::from_secs(60 * 24 * 60 * 60)),
        };
        Run::begin(Box::leak(Box::new(around)), source, options).await
    }
}
