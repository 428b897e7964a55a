//! One run: its dependencies, and the checks before each of its steps.

use std::time::Duration;

use reqwest::RequestBuilder;
use tokio_util::sync::CancellationToken;

use super::{
    ClientResponse, ResponseError, RunEnd, RunOptions, RunReporter, RunSleeper, SenderTransport,
    transport::CALL_LIMITS,
};
use crate::{
    domain::{Clock, SourceName, Timestamp},
    inbox::{KvKey, LockHolder, LockTerms, ReconcileInbox, SharedLock, TryLock},
    senders::Acceptance,
};

/// How long the lock of a source is held without being renewed.
///
/// Two concurrent runs of one source would be safe, because every call is rate limited and
/// recording is idempotent. The lock only avoids wasted work.
const LEASE_DURATION: Duration = Duration::from_secs(60);

/// The lock that lets one run at a time work on a source.
fn lock_of(source: &SourceName) -> LockTerms {
    LockTerms {
        key: KvKey::new("lock", source.as_str()),
        lease: LEASE_DURATION,
    }
}

/// The dependencies of a run.
pub struct RunContext<'a, I> {
    /// Where notifications are recorded.
    pub inbox: &'a I,
    /// Time and randomness.
    pub clock: &'a dyn Clock,
    /// How the run waits.
    pub sleeper: &'a dyn RunSleeper,
    /// How the run's requests are sent.
    pub transport: &'a dyn SenderTransport,
    /// Stops the run between two steps, or in the middle of a pause.
    pub stop: &'a CancellationToken,
    /// Who holds the lock of the source during the run.
    pub holder: &'a dyn LockHolder,
    /// Called for everything that happens.
    pub reporter: &'a dyn RunReporter,
    /// The acceptance window: the maximum age of a notification that is delivered automatically.
    pub window: Acceptance,
}

/// A run that holds the lock of its source.
pub(super) struct LockedRun<'a, I> {
    pub(super) context: &'a RunContext<'a, I>,
    pub(super) source: &'a SourceName,
    pub(super) options: &'a RunOptions,
    lock: SharedLock,
}

impl<'a, I: ReconcileInbox> LockedRun<'a, I> {
    /// Begins a run of `source`, unless another run holds its lock.
    pub(super) async fn begin(
        context: &'a RunContext<'a, I>,
        source: &'a SourceName,
        options: &'a RunOptions,
    ) -> Result<Self, RunEnd> {
        let (terms, mut watched) = (lock_of(source), None);
        loop {
            match SharedLock::try_lock(
                context.inbox,
                context.clock,
                &terms,
                context.holder,
                watched,
            )
            .await?
            {
                TryLock::Acquired(lock) => {
                    return Ok(Self {
                        context,
                        source,
                        options,
                        lock,
                    });
                }
                TryLock::Held(held) => return Err(RunEnd::AlreadyRunning(held)),
                TryLock::ClockSkew(version) => {
                    ensure_time(context, options, terms.skew_watch())?;
                    sleep(context, terms.skew_watch()).await?;
                    watched = Some(version);
                }
            }
        }
    }

    pub(super) fn inbox(&self) -> &'a I {
        self.context.inbox
    }

    pub(super) fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    /// 64 fresh random bits.
    pub(super) fn random(&self) -> u64 {
        self.context.clock.random()
    }

    /// Time until the deadline, if there is one.
    pub(super) fn time_left(&self) -> Option<Duration> {
        self.options
            .deadline
            .map(|deadline| deadline.since(self.now()))
    }

    /// Checks, before every step, that the run may continue, and renews its lock.
    pub(super) async fn step(&mut self) -> Result<(), RunEnd> {
        ensure_time(self.context, self.options, Duration::ZERO)?;
        let clock = self.context.clock;
        if self.lock.renew(self.context.inbox, clock).await? {
            Ok(())
        } else {
            Err(RunEnd::LockLost)
        }
    }

    /// Sends a request as the next step, within the time that is left.
    pub(super) async fn send(
        &mut self,
        request: RequestBuilder,
        max_bytes: usize,
    ) -> Result<Result<ClientResponse, ResponseError>, RunEnd> {
        self.step().await?;
        let request = match self.time_left() {
            Some(left) => request.timeout(left.min(CALL_LIMITS.total)),
            None => request,
        };
        Ok(self.context.transport.send(request, max_bytes).await)
    }

    /// Waits and keeps the lock meanwhile. A wait that cannot end in time ends the run immediately.
    pub(super) async fn pause(&mut self, duration: Duration) -> Result<(), RunEnd> {
        ensure_time(self.context, self.options, duration)?;
        let (renew_after, mut left) = (lock_of(self.source).renew_after(), duration);
        while !left.is_zero() {
            let slice = left.min(renew_after);
            sleep(self.context, slice).await?;
            left -= slice;
            self.step().await?;
        }
        Ok(())
    }

    /// Ends the run and releases its lock.
    pub(super) async fn end(self) {
        let clock = self.context.clock;
        self.lock.release(self.context.inbox, clock).await;
    }
}

/// Fails if the run was stopped, or if `duration` more would pass its deadline.
fn ensure_time<I>(
    context: &RunContext<'_, I>,
    options: &RunOptions,
    duration: Duration,
) -> Result<(), RunEnd> {
    if context.stop.is_cancelled() {
        return Err(RunEnd::Stopped);
    }
    match options.deadline {
        Some(deadline) if context.clock.now().plus(duration) >= deadline => Err(RunEnd::Deadline),
        _ => Ok(()),
    }
}

async fn sleep<I>(context: &RunContext<'_, I>, duration: Duration) -> Result<(), RunEnd> {
    tokio::select! {
        biased;
        () = context.stop.cancelled() => Err(RunEnd::Stopped),
        () = context.sleeper.sleep(duration) => Ok(()),
    }
}
