//! One run at a time for each source, by a memo that says until when somebody has it.
//!
//! It dies with its holder: whoever stops renewing it loses it within a minute. Two runs at once would break no promise,
//! since every call takes a turn and recording is idempotent; they would only be a waste.

use std::time::Duration;

use crate::{
    domain::{Clock, SourceName, Timestamp},
    inbox::{CasOutcome, Inbox, InboxError, KvEntry, KvKey},
};

/// How long a lock stands without being renewed.
const LEASE: Duration = Duration::from_secs(60);
/// How old it gets before it is renewed.
pub(super) const RENEWED: Duration = Duration::from_secs(15);
/// How long one that can't be dated is watched: longer than a live holder ever goes without renewing it.
pub(super) const WATCHED: Duration = Duration::from_secs(50);

/// What stands in place of a lock that was given back.
const FREE: &str = "free";

/// A lock that we have.
#[derive(Debug)]
pub(super) struct ReconcileLock {
    name: KvKey,
    holder: u64,
    version: u64,
    renewed_at: Timestamp,
}

/// What stands in the way of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LockObstacle {
    /// Nothing.
    Free,
    /// Somebody has it, as far as the clocks can be believed.
    Taken,
    /// It ends later than any lock that is taken now could: one of two clocks is wrong.
    Ahead,
}

fn standing(memo: Option<&KvEntry>, now: Timestamp) -> LockObstacle {
    let until = memo
        .and_then(|memo| memo.text.rsplit_once(' ')?.1.parse().ok())
        .map(Timestamp::from_millis);
    match until {
        Some(until) if until > now.plus(LEASE) => LockObstacle::Ahead,
        Some(until) if until > now => LockObstacle::Taken,
        _ => LockObstacle::Free,
    }
}

/// How taking a lock ended.
#[derive(Debug)]
pub(super) enum TryLock {
    /// It is ours.
    Ours(ReconcileLock),
    /// Somebody else has it.
    Theirs,
    /// Its date can't be believed. If it is still this version after [`WATCHED`], its holder is gone.
    Watch(u64),
}

impl ReconcileLock {
    /// Takes the lock of `source`. `watched` is the version that was watched in vain, if one was.
    pub(super) async fn take(
        inbox: &impl Inbox,
        world: &impl Clock,
        source: &SourceName,
        watched: Option<u64>,
    ) -> Result<TryLock, InboxError> {
        let (name, now) = (KvKey::new("lock", source.as_str()), world.now());
        let there = inbox.memo(&name).await?;
        let seen = there.as_ref().map(|memo| memo.version);
        match standing(there.as_ref(), now) {
            LockObstacle::Taken => return Ok(TryLock::Theirs),
            LockObstacle::Ahead if watched.is_none() => {
                return Ok(seen.map_or(TryLock::Theirs, TryLock::Watch));
            }
            LockObstacle::Ahead if watched != seen => return Ok(TryLock::Theirs),
            LockObstacle::Ahead | LockObstacle::Free => {}
        }
        let mut lock = Self {
            name,
            holder: world.random(),
            version: 0,
            renewed_at: now,
        };
        Ok(if lock.swap(inbox, world, seen).await? {
            TryLock::Ours(lock)
        } else {
            TryLock::Theirs
        })
    }

    /// Renews it if it is time; false once somebody else has it.
    pub(super) async fn keep(
        &mut self,
        inbox: &impl Inbox,
        world: &impl Clock,
    ) -> Result<bool, InboxError> {
        let now = world.now();
        // A clock that was set back makes it look young, and everybody else believe it for as long.
        let is_young = now >= self.renewed_at && now.since(self.renewed_at) < RENEWED;
        if is_young {
            Ok(true)
        } else {
            self.swap(inbox, world, Some(self.version)).await
        }
    }

    async fn swap(
        &mut self,
        inbox: &impl Inbox,
        world: &impl Clock,
        seen: Option<u64>,
    ) -> Result<bool, InboxError> {
        let now = world.now();
        let text = format!("{:016x} until {}", self.holder, now.plus(LEASE).as_millis());
        let next = KvEntry {
            version: world.random(),
            text,
        };
        let swapped = inbox.swap_memo(&self.name, seen, &next).await?;
        (self.version, self.renewed_at) = (next.version, now);
        Ok(swapped == CasOutcome::Done)
    }

    /// Gives it back. Where that fails, it lapses.
    pub(super) async fn release(self, inbox: &impl Inbox, world: &impl Clock) {
        let free = KvEntry {
            version: world.random(),
            text: FREE.to_owned(),
        };
        let _ = inbox.swap_memo(&self.name, Some(self.version), &free).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{reconcile::test_support::ReconcileRig, senders::example::NOW};

    #[test]
    fn a_lock_stands_until_it_lapses_and_one_dated_beyond_that_is_not_believed() {
        for (text, expected) in [
            ("free", LockObstacle::Free),
            ("", LockObstacle::Free),
            ("nonsense until soon", LockObstacle::Free),
            ("00000000000000aa until 1772446531480", LockObstacle::Free),
            ("00000000000000aa until 1772446531481", LockObstacle::Taken),
            ("00000000000000aa until 1772446591480", LockObstacle::Taken),
            ("00000000000000aa until 1772446591481", LockObstacle::Ahead),
            (
                "00000000000000aa until 9223372036854775807",
                LockObstacle::Ahead,
            ),
        ] {
            let memo = KvEntry {
                version: 1,
                text: text.to_owned(),
            };
            assert_eq!(standing(Some(&memo), NOW), expected, "{text}");
        }
        assert_eq!(standing(None, NOW), LockObstacle::Free);
    }

    async fn take(rig: &ReconcileRig, watched: Option<u64>) -> TryLock {
        ReconcileLock::take(
            &rig.inbox,
            &rig.world,
            &SourceName::new("hmrc").unwrap(),
            watched,
        )
        .await
        .unwrap()
    }

    async fn ours(rig: &ReconcileRig) -> ReconcileLock {
        match take(rig, None).await {
            TryLock::Ours(lock) => lock,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn one_run_at_a_time_has_it_and_a_released_one_is_free_at_once() {
        let rig = ReconcileRig::new();
        let lock = ours(&rig).await;
        assert!(matches!(take(&rig, None).await, TryLock::Theirs));
        lock.release(&rig.inbox, &rig.world).await;
        ours(&rig).await;
    }

    #[tokio::test]
    async fn it_is_renewed_while_its_holder_lives_and_lapses_when_it_dies() {
        let rig = ReconcileRig::new();
        let mut lock = ours(&rig).await;
        for _ in 0..10 {
            rig.world.pass(Duration::from_secs(20));
            assert!(lock.keep(&rig.inbox, &rig.world).await.unwrap());
            assert!(matches!(take(&rig, None).await, TryLock::Theirs));
        }
        rig.world.pass(LEASE);
        let mut next = ours(&rig).await;
        assert!(
            !lock.keep(&rig.inbox, &rig.world).await.unwrap(),
            "whoever comes back late finds out"
        );
        lock.release(&rig.inbox, &rig.world).await;
        rig.world.pass(RENEWED);
        assert!(
            next.keep(&rig.inbox, &rig.world).await.unwrap(),
            "and takes nothing away"
        );
    }

    #[tokio::test]
    async fn one_dated_an_hour_ahead_is_taken_once_it_was_seen_not_to_move() {
        let rig = ReconcileRig::new();
        rig.world.pass(Duration::from_secs(60 * 60));
        let mut ahead = ours(&rig).await;
        rig.world.turn_back(Duration::from_secs(60 * 60));
        let TryLock::Watch(version) = take(&rig, None).await else {
            panic!("it can't be believed")
        };

        rig.world.pass(WATCHED);
        assert!(
            ahead.keep(&rig.inbox, &rig.world).await.unwrap(),
            "its holder lives, and dates it anew"
        );
        assert!(matches!(take(&rig, Some(version)).await, TryLock::Theirs));

        rig.world.pass(Duration::from_secs(60 * 60));
        ahead.keep(&rig.inbox, &rig.world).await.unwrap();
        rig.world.turn_back(Duration::from_secs(60 * 60));
        let TryLock::Watch(version) = take(&rig, None).await else {
            panic!("it can't be believed")
        };
        rig.world.pass(WATCHED);
        assert!(
            matches!(take(&rig, Some(version)).await, TryLock::Ours(_)),
            "its holder is gone"
        );
    }
}
