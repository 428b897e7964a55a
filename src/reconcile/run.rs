//! One run: what it has around it, and what has to hold before each of its steps.

use std::time::Duration;

use super::{
    RunEnd, RunOptions, RunReporter, Sleeper, StopSignal,
    lock::{RENEWED, ReconcileLock, TryLock, WATCHED},
};
use crate::{
    domain::{Clock, SourceName, Timestamp},
    inbox::Inbox,
    senders::Acceptance,
};

/// What a run has around it.
#[derive(Clone, Copy)]
pub struct RunContext<'a, I, W, S> {
    /// Where what it brings is recorded.
    pub inbox: &'a I,
    /// Time and chance.
    pub world: &'a W,
    /// How it waits.
    pub sleeper: &'a S,
    /// How it is ended before its time.
    pub stop: &'a StopSignal,
    /// Who is told what it does.
    pub observer: &'a dyn RunReporter,
    /// How old a notification may be and still be acted on by itself.
    pub window: Acceptance,
}

/// A run that has its source's lock.
pub(super) struct LockedRun<'a, I, W, S> {
    pub(super) around: &'a RunContext<'a, I, W, S>,
    pub(super) source: &'a SourceName,
    pub(super) options: &'a RunOptions,
    lock: ReconcileLock,
}

impl<'a, I: Inbox, W: Clock, S: Sleeper> LockedRun<'a, I, W, S> {
    /// Begins a run of `source`, unless another has its lock.
    pub(super) async fn begin(
        around: &'a RunContext<'a, I, W, S>,
        source: &'a SourceName,
        options: &'a RunOptions,
    ) -> Result<Self, RunEnd> {
        let mut watched = None;
        loop {
            match ReconcileLock::take(around.inbox, around.world, source, watched).await? {
                TryLock::Ours(lock) => {
                    return Ok(Self {
                        around,
                        source,
                        options,
                        lock,
                    });
                }
                TryLock::Theirs => return Err(RunEnd::Busy),
                TryLock::Watch(version) => {
                    in_time(around, options, WATCHED)?;
                    rest(around, WATCHED).await?;
                    watched = Some(version);
                }
            }
        }
    }

    /// The inbox.
    pub(super) fn inbox(&self) -> &'a I {
        self.around.inbox
    }

    /// The instant it is now.
    pub(super) fn now(&self) -> Timestamp {
        self.around.world.now()
    }

    /// 64 fresh random bits.
    pub(super) fn random(&self) -> u64 {
        self.around.world.random()
    }

    /// How much is left of the time there is, if there is an end to it.
    pub(super) fn left(&self) -> Option<Duration> {
        self.options
            .deadline
            .map(|deadline| deadline.since(self.now()))
    }

    /// To be asked before every step: whether there may be one.
    pub(super) async fn step(&mut self) -> Result<(), RunEnd> {
        in_time(self.around, self.options, Duration::ZERO)?;
        let is_ours = self.lock.keep(self.around.inbox, self.around.world).await?;
        if is_ours {
            Ok(())
        } else {
            Err(RunEnd::Overtaken)
        }
    }

    /// Waits, and keeps the lock meanwhile. What can't end in time ends the run at once.
    pub(super) async fn pause(&mut self, time: Duration) -> Result<(), RunEnd> {
        in_time(self.around, self.options, time)?;
        let mut left = time;
        while !left.is_zero() {
            let slice = left.min(RENEWED);
            rest(self.around, slice).await?;
            left -= slice;
            self.step().await?;
        }
        Ok(())
    }

    /// Ends it, and lets others begin.
    pub(super) async fn end(self) {
        self.lock
            .release(self.around.inbox, self.around.world)
            .await;
    }
}

/// Whether something that takes so long would end before the deadline, and nobody wants the end now.
fn in_time<I, W: Clock, S>(
    around: &RunContext<'_, I, W, S>,
    options: &RunOptions,
    time: Duration,
) -> Result<(), RunEnd> {
    if around.stop.is_asked() {
        return Err(RunEnd::Stopped);
    }
    match options.deadline {
        Some(deadline) if around.world.now().plus(time) >= deadline => Err(RunEnd::Deadline),
        _ => Ok(()),
    }
}

async fn rest<I, W, S: Sleeper>(
    around: &RunContext<'_, I, W, S>,
    time: Duration,
) -> Result<(), RunEnd> {
    tokio::select! {
        biased;
        () = around.stop.asked() => Err(RunEnd::Stopped),
        () = around.sleeper.sleep(time) => Ok(()),
    }
}
