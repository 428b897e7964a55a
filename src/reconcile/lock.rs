//! One run at a time for each source, by a memo that says until when somebody has it.
//!
//! It dies with its holder: whoever stops renewing it loses it within a minute. Two runs at once would break no promise,
//! since every call takes a turn and recording is idempotent; they would only be a waste.

use std::time::Duration;

use crate::{
    inbox::{Inbox, InboxError, Memo, MemoName, Swapped},
    notification::{SourceName, Timestamp},
    world::World,
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
pub(super) struct Lock {
    name: MemoName,
    holder: u64,
    version: u64,
    renewed_at: Timestamp,
}

/// What stands in the way of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing.
    Free,
    /// Somebody has it, as far as the clocks can be believed.
    Taken,
    /// It ends later than any lock that is taken now could: one of two clocks is wrong.
    Ahead,
}

fn standing(memo: Option<&Memo>, now: Timestamp) -> Standing {
    let until = memo.and_then(|memo| memo.text.rsplit_once(' ')?.1.parse().ok()).map(Timestamp::from_millis);
    match until {
        Some(until) if until > now.plus(LEASE) => Standing::Ahead,
        Some(until) if until > now => Standing::Taken,
        _ => Standing::Free,
    }
}

/// How taking a lock ended.
#[derive(Debug)]
pub(super) enum Taking {
    /// It is ours.
    Ours(Lock),
    /// Somebody else has it.
    Theirs,
    /// Its date can't be believed. If it is still this version after [`WATCHED`], its holder is gone.
    Watch(u64),
}

impl Lock {
    /// Takes the lock of `source`. `watched` is the version that was watched in vain, if one was.
    pub(super) async fn take(
        inbox: &impl Inbox,
        world: &impl World,
        source: &SourceName,
        watched: Option<u64>,
    ) -> Result<Taking, InboxError> {
        let (name, now) = (MemoName::new("lock", source.as_str()), world.now());
        let there = inbox.memo(&name).await?;
        let seen = there.as_ref().map(|memo| memo.version);
        match standing(there.as_ref(), now) {
            Standing::Taken => return Ok(Taking::Theirs),
            Standing::Ahead if watched.is_none() => return Ok(seen.map_or(Taking::Theirs, Taking::Watch)),
            Standing::Ahead if watched != seen => return Ok(Taking::Theirs),
            Standing::Ahead | Standing::Free => {}
        }
        let mut lock = Self { name, holder: world.random(), version: 0, renewed_at: now };
        Ok(if lock.swap(inbox, world, seen).await? { Taking::Ours(lock) } else { Taking::Theirs })
    }

    /// Renews it if it is time; false once somebody else has it.
    pub(super) async fn keep(&mut self, inbox: &impl Inbox, world: &impl World) -> Result<bool, InboxError> {
        let now = world.now();
        // A clock that was set back makes it look young, and everybody else believe it for as long.
        let is_young = now >= self.renewed_at && now.since(self.renewed_at) < RENEWED;
        if is_young { Ok(true) } else { self.swap(inbox, world, Some(self.version)).await }
    }

    async fn swap(&mut self, inbox: &impl Inbox, world: &impl World, seen: Option<u64>) -> Result<bool, InboxError> {
        let now = world.now();
        let text = format!("{:016x} until {}", self.holder, now.plus(LEASE).as_millis());
        let next = Memo { version: world.random(), text };
        let swapped = inbox.swap_memo(&self.name, seen, &next).await?;
        (self.version, self.renewed_at) = (next.version, now);
        Ok(swapped == Swapped::Done)
    }

    /// Gives it back. Where that fails, it lapses.
    pub(super) async fn release(self, inbox: &impl Inbox, world: &impl World) {
        let free = Memo { version: world.random(), text: FREE.to_owned() };
        let _ = inbox.swap_memo(&self.name, Some(self.version), &free).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{reconcile::example::Rig, source::example::NOW};

    #[test]
    fn a_lock_stands_until_it_lapses_and_one_dated_beyond_that_is_not_believed() {
        for (text, expected) in [
            ("free", Standing::Free),
            ("", Standing::Free),
            ("nonsense until soon", Standing::Free),
            ("00000000000000aa until 1772446531480", Standing::Free),
            ("00000000000000aa until 1772446531481", Standing::Taken),
            ("00000000000000aa until 1772446591480", Standing::Taken),
            ("00000000000000aa until 1772446591481", Standing::Ahead),
            ("00000000000000aa until 9223372036854775807", Standing::Ahead),
        ] {
            let memo = Memo { version: 1, text: text.to_owned() };
            assert_eq!(standing(Some(&memo), NOW), expected, "{text}");
        }
        assert_eq!(standing(None, NOW), Standing::Free);
    }

    async fn take(rig: &Rig, watched: Option<u64>) -> Taking {
        Lock::take(&rig.inbox, &rig.world, &SourceName::new("hmrc").unwrap(), watched).await.unwrap()
    }

    async fn ours(rig: &Rig) -> Lock {
        match take(rig, None).await {
            Taking::Ours(lock) => lock,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn one_run_at_a_time_has_it_and_a_released_one_is_free_at_once() {
        let rig = Rig::new();
        let lock = ours(&rig).await;
        assert!(matches!(take(&rig, None).await, Taking::Theirs));
        lock.release(&rig.inbox, &rig.world).await;
        ours(&rig).await;
    }

    #[tokio::test]
    async fn it_is_renewed_while_its_holder_lives_and_lapses_when_it_dies() {
        let rig = Rig::new();
        let mut lock = ours(&rig).await;
        for _ in 0..10 {
            rig.world.pass(Duration::from_secs(20));
            assert!(lock.keep(&rig.inbox, &rig.world).await.unwrap());
            assert!(matches!(take(&rig, None).await, Taking::Theirs));
        }
        rig.world.pass(LEASE);
        let mut next = ours(&rig).await;
        assert!(!lock.keep(&rig.inbox, &rig.world).await.unwrap(), "whoever comes back late finds out");
        lock.release(&rig.inbox, &rig.world).await;
        rig.world.pass(RENEWED);
        assert!(next.keep(&rig.inbox, &rig.world).await.unwrap(), "and takes nothing away");
    }

    #[tokio::test]
    async fn one_dated_an_hour_ahead_is_taken_once_it_was_seen_not_to_move() {
        let rig = Rig::new();
        rig.world.pass(Duration::from_secs(60 * 60));
        let mut ahead = ours(&rig).await;
        rig.world.turn_back(Duration::from_secs(60 * 60));
        let Taking::Watch(version) = take(&rig, None).await else { panic!("it can't be believed") };

        rig.world.pass(WATCHED);
        assert!(ahead.keep(&rig.inbox, &rig.world).await.unwrap(), "its holder lives, and dates it anew");
        assert!(matches!(take(&rig, Some(version)).await, Taking::Theirs));

        rig.world.pass(Duration::from_secs(60 * 60));
        ahead.keep(&rig.inbox, &rig.world).await.unwrap();
        rig.world.turn_back(Duration::from_secs(60 * 60));
        let Taking::Watch(version) = take(&rig, None).await else { panic!("it can't be believed") };
        rig.world.pass(WATCHED);
        assert!(matches!(take(&rig, Some(version)).await, Taking::Ours(_)), "its holder is gone");
    }
}
