//! Taking turns, so that a sender's limits hold whatever happens: over restarts, and with several runs at once.
//!
//! Whoever wants to call exchanges the memo of the last turn for its own first. One of several gets it; the others
//! find out when the next turn comes.

use std::time::Duration;

use super::{LockedRun, RunEnd, Sleeper};
use crate::{
    domain::{Clock, Timestamp},
    inbox::{CasOutcome, Inbox, KvEntry, KvKey},
};

/// Turns of one kind, one at most in a certain time.
#[derive(Debug)]
pub(super) struct RateLimiter {
    name: KvKey,
    every: Duration,
    /// The version of a turn that was waited out although its date made no sense.
    waited_out: Option<u64>,
}

impl RateLimiter {
    /// Turns that everybody who uses `name` shares.
    pub(super) fn new(name: KvKey, every: Duration) -> Self {
        Self {
            name,
            every,
            waited_out: None,
        }
    }

    /// How long it is until the next turn, and no sooner is to be asked again; zero if it has come, for whoever takes it
    /// first.
    pub(super) async fn due<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &LockedRun<'_, I, W, S>,
    ) -> Result<Duration, RunEnd> {
        let there = run.inbox().memo(&self.name).await?;
        Ok(self.until_next(there.as_ref(), run.now()))
    }

    /// Takes the next turn if it has come; else says after how long, and no sooner, to ask again.
    pub(super) async fn take<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &LockedRun<'_, I, W, S>,
    ) -> Result<Option<Duration>, RunEnd> {
        let mut there = run.inbox().memo(&self.name).await?;
        loop {
            let now = run.now();
            let wait = self.until_next(there.as_ref(), now);
            if !wait.is_zero() {
                return Ok(Some(wait));
            }
            let turn = KvEntry {
                version: run.random(),
                text: now.as_millis().to_string(),
            };
            match run
                .inbox()
                .swap_memo(&self.name, there.map(|memo| memo.version), &turn)
                .await?
            {
                CasOutcome::Done => return Ok(None),
                CasOutcome::Refused(other) => there = other, // somebody was faster
            }
        }
    }

    fn until_next(&mut self, there: Option<&KvEntry>, now: Timestamp) -> Duration {
        let seen = there.map(|memo| memo.version);
        if self.waited_out.is_some() && self.waited_out == seen {
            return Duration::ZERO;
        }
        self.waited_out = seen.filter(|_| is_ahead(there, now));
        wait(there, self.every, now)
    }

    /// Waits for the next turn and takes it.
    pub(super) async fn wait<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &mut LockedRun<'_, I, W, S>,
    ) -> Result<(), RunEnd> {
        while let Some(wait) = self.take(run).await? {
            run.pause(wait).await?;
        }
        Ok(())
    }
}

fn last(memo: Option<&KvEntry>) -> Option<Timestamp> {
    memo?.text.parse().ok().map(Timestamp::from_millis)
}

/// Whether the last turn lies ahead of us, as it does once the clock was set back.
fn is_ahead(memo: Option<&KvEntry>, now: Timestamp) -> bool {
    last(memo).is_some_and(|at| at > now)
}

/// How long it is until the next turn. Wherever the last one is dated, it was before now: so one whole interval is
/// always enough.
fn wait(memo: Option<&KvEntry>, every: Duration, now: Timestamp) -> Duration {
    match last(memo) {
        Some(at) if at > now => every,
        Some(at) => at.plus(every).since(now),
        None => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{reconcile::test_support::ReconcileRig, senders::example::NOW};

    const EVERY: Duration = Duration::from_secs(10);

    #[test]
    fn the_next_turn_comes_an_interval_after_the_last_and_never_later_than_that_from_now() {
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
            let memo = KvEntry {
                version: 1,
                text: at.as_millis().to_string(),
            };
            assert_eq!(
                wait(Some(&memo), EVERY, NOW).as_secs(),
                seconds,
                "{after_now} s from now"
            );
        }
        assert_eq!(wait(None, EVERY, NOW), Duration::ZERO);
        assert_eq!(
            wait(
                Some(&KvEntry {
                    version: 1,
                    text: "?".into()
                }),
                EVERY,
                NOW
            ),
            Duration::ZERO
        );
    }

    fn pace() -> RateLimiter {
        RateLimiter::new(KvKey::new("list", "a-box"), EVERY)
    }

    #[tokio::test]
    async fn turns_are_kept_apart_over_restarts() {
        let rig = ReconcileRig::new();
        let mut turns = Vec::new();
        for restart in 0..20 {
            let mut pace = pace(); // of another process each time
            pace.wait(&mut rig.run().await).await.unwrap();
            turns.push(rig.world.now());
            rig.world.pass(Duration::from_secs(restart % 3 * 4));
        }
        assert!(
            turns
                .windows(2)
                .all(|turns| turns[1].since(turns[0]) >= EVERY),
            "{turns:?}"
        );
    }

    #[tokio::test]
    async fn of_two_who_ask_at_once_one_has_to_wait() {
        let rig = ReconcileRig::new();
        let (run, mut one, mut other) = (rig.run().await, pace(), pace());
        let (one, other) = tokio::join!(one.take(&run), other.take(&run));
        let waits = [one.unwrap(), other.unwrap()];
        assert!(
            waits.contains(&None) && waits.contains(&Some(EVERY)),
            "{waits:?}"
        );
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_costs_one_interval_and_no_hour() {
        let rig = ReconcileRig::new();
        rig.world.pass(Duration::from_secs(60 * 60));
        pace().wait(&mut rig.run().await).await.unwrap();
        rig.world.turn_back(Duration::from_secs(60 * 60));
        let (mut run, from) = (rig.run().await, rig.world.now());
        pace().wait(&mut run).await.unwrap();
        assert_eq!(rig.world.now().since(from), EVERY);
        pace().wait(&mut run).await.unwrap();
        assert_eq!(
            rig.world.now().since(from),
            EVERY * 2,
            "and then the dates are right again"
        );
    }

    #[tokio::test]
    async fn a_turn_that_somebody_took_meanwhile_is_waited_for_again() {
        let rig = ReconcileRig::new();
        rig.world.pass(Duration::from_secs(60 * 60));
        pace().wait(&mut rig.run().await).await.unwrap();
        rig.world.turn_back(Duration::from_secs(60 * 60));
        let (run, mut slow, mut quick) = (rig.run().await, pace(), pace());
        assert_eq!(slow.take(&run).await.unwrap(), Some(EVERY));
        assert_eq!(quick.take(&run).await.unwrap(), Some(EVERY));
        rig.world.pass(EVERY);
        assert_eq!(quick.take(&run).await.unwrap(), None);
        assert_eq!(
            slow.take(&run).await.unwrap(),
            Some(EVERY),
            "it moved, so waiting it out begins anew"
        );
    }
}
