//! A rate limiter that several processes share.
//!
//! HMRC allows one list of a box in 10 seconds and 3 calls a second for an application, across all
//! its processes. The time of the last call is stored in the inbox's key-value store and updated by
//! compare-and-swap, so the limit holds across restarts and concurrent runs. A stored time in the
//! future was written by a wrong clock, and costs one interval.

use std::time::Duration;

use super::{LockedRun, RunEnd};
use crate::{
    domain::Timestamp,
    inbox::{CasOutcome, KvEntry, KvKey, ReconcileInbox},
};

/// Allows one call in each `interval`, shared by every process that uses the same key.
#[derive(Debug)]
pub(super) struct RateLimiter {
    key: KvKey,
    interval: Duration,
    /// The version of an entry from the future whose interval has been waited for.
    waited_for: Option<u64>,
}

impl RateLimiter {
    pub(super) fn new(key: KvKey, interval: Duration) -> Self {
        Self {
            key,
            interval,
            waited_for: None,
        }
    }

    /// Time until the next call is allowed; zero if it is allowed now.
    pub(super) async fn time_until_next(
        &mut self,
        run: &LockedRun<'_, impl ReconcileInbox>,
    ) -> Result<Duration, RunEnd> {
        let last = run.inbox().kv_get(&self.key).await?;
        Ok(self.time_after(last.as_ref(), run.now()))
    }

    /// Takes the next call if it is allowed now; otherwise returns the time until it is.
    pub(super) async fn try_acquire(
        &mut self,
        run: &LockedRun<'_, impl ReconcileInbox>,
    ) -> Result<Option<Duration>, RunEnd> {
        let mut last = run.inbox().kv_get(&self.key).await?;
        loop {
            let now = run.now();
            let wait = self.time_after(last.as_ref(), now);
            if !wait.is_zero() {
                return Ok(Some(wait));
            }
            let call = KvEntry {
                version: run.random(),
                text: now.as_millis().to_string(),
            };
            let expected_version = last.map(|entry| entry.version);
            let inbox = run.inbox();
            match inbox
                .compare_and_swap(&self.key, expected_version, &call)
                .await?
            {
                CasOutcome::Stored => return Ok(None),
                CasOutcome::Conflict(other) => last = other, // another process was faster
            }
        }
    }

    /// Waits until the next call is allowed, and takes it.
    pub(super) async fn acquire(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
    ) -> Result<(), RunEnd> {
        while let Some(wait) = self.try_acquire(run).await? {
            run.pause(wait).await?;
        }
        Ok(())
    }

    fn time_after(&mut self, last: Option<&KvEntry>, now: Timestamp) -> Duration {
        let version = last.map(|entry| entry.version);
        if self.waited_for.is_some() && self.waited_for == version {
            return Duration::ZERO;
        }
        let last = last_call(last);
        self.waited_for = version.filter(|_| last.is_some_and(|at| at > now));
        wait(last, self.interval, now)
    }
}

fn last_call(entry: Option<&KvEntry>) -> Option<Timestamp> {
    entry?.text.parse().ok().map(Timestamp::from_millis)
}

/// Time until the next call. Whatever its date, the last call was before now, so one whole
/// interval is always enough.
fn wait(last: Option<Timestamp>, interval: Duration, now: Timestamp) -> Duration {
    match last {
        Some(at) if at > now => interval,
        Some(at) => at.plus(interval).since(now),
        None => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::Clock, reconcile::test_support::ReconcileRig, senders::example::NOW};

    const INTERVAL: Duration = Duration::from_secs(10);

    #[test]
    fn the_next_call_is_allowed_an_interval_after_the_last_and_at_most_an_interval_from_now() {
        for (after_now, seconds) in [
            (-20, 0),
            (-10, 0),
            (-9, 1),
            (-1, 9),
            (0, 10),
            (1, 10),
            (3600, 10),
        ] {
            let at = Timestamp::from_millis(NOW.as_millis() + after_now * 1000);
            assert_eq!(
                wait(Some(at), INTERVAL, NOW).as_secs(),
                seconds,
                "{after_now} s from now"
            );
        }
        assert_eq!(wait(None, INTERVAL, NOW), Duration::ZERO);
    }

    #[test]
    fn an_entry_that_holds_no_time_limits_nothing() {
        let entry = KvEntry {
            version: 1,
            text: "?".into(),
        };
        assert_eq!(last_call(Some(&entry)), None);
    }

    fn limiter() -> RateLimiter {
        RateLimiter::new(KvKey::new("list", "a-box"), INTERVAL)
    }

    #[tokio::test]
    async fn calls_are_spaced_across_restarts() {
        let rig = ReconcileRig::new();
        let mut calls = Vec::new();
        for restart in 0..20 {
            let mut limiter = limiter(); // a new process each time
            limiter.acquire(&mut rig.run().await).await.unwrap();
            calls.push(rig.clock.now());
            rig.clock.advance(Duration::from_secs(restart % 3 * 4));
        }
        assert!(
            calls
                .windows(2)
                .all(|calls| calls[1].since(calls[0]) >= INTERVAL),
            "{calls:?}"
        );
    }

    #[tokio::test]
    async fn reading_the_time_until_the_next_call_neither_takes_nor_shortens_it() {
        let rig = ReconcileRig::new();
        let (run, mut limiter) = (rig.run().await, limiter());
        for (is_taken, expected) in [(false, Duration::ZERO), (true, INTERVAL)] {
            if is_taken {
                assert_eq!(limiter.try_acquire(&run).await.unwrap(), None);
            }
            for _ in 0..2 {
                assert_eq!(limiter.time_until_next(&run).await.unwrap(), expected);
            }
        }
    }

    #[tokio::test]
    async fn of_two_concurrent_callers_one_waits() {
        let rig = ReconcileRig::new();
        let (run, mut one, mut other) = (rig.run().await, limiter(), limiter());
        let (one, other) = tokio::join!(one.try_acquire(&run), other.try_acquire(&run));
        let waits = [one.unwrap(), other.unwrap()];
        assert!(
            waits.contains(&None) && waits.contains(&Some(INTERVAL)),
            "{waits:?}"
        );
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_costs_one_interval() {
        let rig = ReconcileRig::new();
        rig.clock.advance(Duration::from_secs(60 * 60));
        limiter().acquire(&mut rig.run().await).await.unwrap();
        rig.clock.set_back(Duration::from_secs(60 * 60));
        let (mut run, from) = (rig.run().await, rig.clock.now());
        limiter().acquire(&mut run).await.unwrap();
        assert_eq!(rig.clock.now().since(from), INTERVAL);
        limiter().acquire(&mut run).await.unwrap();
        assert_eq!(
            rig.clock.now().since(from),
            INTERVAL * 2,
            "later calls are spaced as usual"
        );
    }

    #[tokio::test]
    async fn a_call_that_another_process_takes_meanwhile_is_waited_for() {
        let rig = ReconcileRig::new();
        rig.clock.advance(Duration::from_secs(60 * 60));
        limiter().acquire(&mut rig.run().await).await.unwrap();
        rig.clock.set_back(Duration::from_secs(60 * 60));
        let (run, mut slow, mut quick) = (rig.run().await, limiter(), limiter());
        assert_eq!(slow.try_acquire(&run).await.unwrap(), Some(INTERVAL));
        assert_eq!(quick.try_acquire(&run).await.unwrap(), Some(INTERVAL));
        rig.clock.advance(INTERVAL);
        assert_eq!(quick.try_acquire(&run).await.unwrap(), None);
        assert_eq!(
            slow.try_acquire(&run).await.unwrap(),
            Some(INTERVAL),
            "the entry changed, so the wait starts again"
        );
    }
}
