//! A lock that one process at a time holds, for as long as it renews it.
//!
//! The lock is an entry of the key-value store with the time until which it is held. It is taken,
//! renewed and released by compare-and-swap, so one of several processes gets it. A holder that
//! stops renewing it loses it when its lease expires. A holder that was suspended may act for a
//! moment after its lease, so the lock only prevents duplicate work: the work must be safe if two
//! processes do it at the same time.

use std::{fmt, time::Duration};

use super::{CasOutcome, InboxError, KvEntry, KvKey, ReconcileInbox};
use crate::domain::{Clock, Timestamp};

/// The text of a released lock.
const RELEASED: &str = "free";

/// The settings of a lock.
#[derive(Clone, Debug)]
pub struct LockTerms {
    /// The key of its entry.
    pub key: KvKey,
    /// How long it is held without a renewal.
    pub lease: Duration,
}

impl LockTerms {
    /// The age at which the holder renews the lock.
    pub fn renew_after(&self) -> Duration {
        self.lease / 4
    }

    /// How long a lock with an impossible date is watched. A live holder renews it within this
    /// time.
    pub fn skew_watch(&self) -> Duration {
        self.lease * 5 / 6
    }

    /// Whether only a wrong clock can have written this end of a lock.
    fn is_skewed(&self, until: Timestamp, now: Timestamp) -> bool {
        until > now.plus(self.lease)
    }
}

/// The name of a process in the locks that it holds.
pub trait LockHolder: Send + Sync {
    /// A process and its host, or a function. Contains no personal data.
    fn name(&self) -> String;

    /// Whether the holder with that name is known to have died. `false` if in doubt.
    fn has_died(&self, name: &str) -> bool;
}

/// A holder that cannot check whether other processes live.
impl<T: AsRef<str> + Send + Sync> LockHolder for T {
    fn name(&self) -> String {
        self.as_ref().to_owned()
    }

    fn has_died(&self, _name: &str) -> bool {
        false
    }
}

/// The lock of another process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldLock {
    /// The name of its holder, if the lock has one.
    pub holder: Option<String>,
    /// How long it is still held without a renewal.
    pub time_left: Duration,
}

impl fmt::Display for HeldLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holder = self.holder.as_deref().unwrap_or("another process");
        let seconds = self.time_left.as_millis().div_ceil(1000);
        write!(
            f,
            "{holder} holds the lock, which ends in {seconds} s unless it is renewed"
        )
    }
}

/// A lock that this process holds.
#[derive(Debug)]
pub struct SharedLock {
    terms: LockTerms,
    id: u64,
    holder: String,
    version: u64,
    renewed_at: Timestamp,
}

/// The result of trying to take a lock.
#[derive(Debug)]
pub enum TryLock {
    /// This process holds it.
    Acquired(SharedLock),
    /// Another process holds it.
    Held(HeldLock),
    /// The lock ends later than a lock taken now would, so one of two clocks is wrong. If this
    /// version is unchanged after [`LockTerms::skew_watch`], its holder has died.
    ClockSkew(u64),
}

/// The end of the lock in `entry`; `None` if the lock is not held at `now`.
fn held_until(entry: Option<&KvEntry>, now: Timestamp) -> Option<Timestamp> {
    let until = entry?.text.rsplit_once(' ')?.1.parse().ok();
    until
        .map(Timestamp::from_millis)
        .filter(|until| *until > now)
}

/// The name of the holder in `entry`. Locks of older versions have none.
fn holder_in(entry: Option<&KvEntry>) -> Option<String> {
    let (holder, _) = entry?.text.rsplit_once(" until ")?;
    let (_, name) = holder.split_once(' ')?;
    Some(name.replace(char::is_control, ""))
}

impl SharedLock {
    /// Takes the lock for `holder`, if it is free or its holder has died. `watched` is a version
    /// that was watched for [`LockTerms::skew_watch`].
    pub async fn try_lock(
        inbox: &impl ReconcileInbox,
        clock: &dyn Clock,
        terms: &LockTerms,
        holder: &dyn LockHolder,
        watched: Option<u64>,
    ) -> Result<TryLock, InboxError> {
        let now = clock.now();
        let entry = inbox.kv_get(&terms.key).await?;
        let version = entry.as_ref().map(|entry| entry.version);
        let other = holder_in(entry.as_ref());
        let has_died = other.as_deref().is_some_and(|name| holder.has_died(name));
        if let Some(until) = held_until(entry.as_ref(), now).filter(|_| !has_died) {
            match (terms.is_skewed(until, now), watched, version) {
                (true, None, Some(version)) => return Ok(TryLock::ClockSkew(version)),
                (true, _, _) if watched == version => {}
                _ => {
                    return Ok(TryLock::Held(HeldLock {
                        holder: other,
                        time_left: until.since(now).min(terms.lease),
                    }));
                }
            }
        }
        let mut lock = Self {
            terms: terms.clone(),
            id: clock.random(),
            holder: holder.name(),
            version: 0,
            renewed_at: now,
        };
        Ok(if lock.write(inbox, clock, version).await? {
            TryLock::Acquired(lock)
        } else {
            TryLock::Held(HeldLock {
                holder: None, // it was taken between the two calls
                time_left: terms.lease,
            })
        })
    }

    /// Renews the lock if it is old enough. Returns `false` if another process holds it.
    pub async fn renew(
        &mut self,
        inbox: &impl ReconcileInbox,
        clock: &dyn Clock,
    ) -> Result<bool, InboxError> {
        let now = clock.now();
        // If the clock was set back, the age is unknown, so the lock is renewed.
        let is_fresh =
            now >= self.renewed_at && now.since(self.renewed_at) < self.terms.renew_after();
        Ok(is_fresh || self.write(inbox, clock, Some(self.version)).await?)
    }

    /// Whether the lease has expired without a renewal.
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        now.since(self.renewed_at) >= self.terms.lease
    }

    async fn write(
        &mut self,
        inbox: &impl ReconcileInbox,
        clock: &dyn Clock,
        expected_version: Option<u64>,
    ) -> Result<bool, InboxError> {
        let now = clock.now();
        let until = now.plus(self.terms.lease).as_millis();
        let next = KvEntry {
            version: clock.random(),
            text: format!("{:016x} {} until {until}", self.id, self.holder),
        };
        let outcome = inbox
            .compare_and_swap(&self.terms.key, expected_version, &next)
            .await?;
        (self.version, self.renewed_at) = (next.version, now);
        Ok(outcome == CasOutcome::Stored)
    }

    /// Releases the lock. If that fails, the lock expires.
    pub async fn release(self, inbox: &impl ReconcileInbox, clock: &dyn Clock) {
        let released = KvEntry {
            version: clock.random(),
            text: RELEASED.to_owned(),
        };
        let _ = inbox
            .compare_and_swap(&self.terms.key, Some(self.version), &released)
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{reconcile::test_support::ReconcileRig, senders::example::NOW};

    const LEASE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn terms() -> LockTerms {
        LockTerms {
            key: KvKey::new("lock", "hmrc"),
            lease: LEASE,
        }
    }

    #[test]
    fn a_lock_is_held_until_it_expires_and_is_skewed_if_it_ends_after_its_lease() {
        for (text, held_and_skewed) in [
            ("free", None),
            ("", None),
            ("nonsense until soon", None),
            ("00000000000000aa until 1772446531480", None),
            ("00000000000000aa until 1772446531481", Some(false)),
            ("00000000000000aa until 1772446591480", Some(false)),
            ("00000000000000aa until 1772446591481", Some(true)),
            ("00000000000000aa until 9223372036854775807", Some(true)),
        ] {
            let entry = KvEntry {
                version: 1,
                text: text.to_owned(),
            };
            let until = held_until(Some(&entry), NOW);
            assert_eq!(
                until.map(|until| terms().is_skewed(until, NOW)),
                held_and_skewed,
                "{text}"
            );
        }
        assert_eq!(held_until(None, NOW), None);
    }

    /// A process that reports every other as dead.
    struct LastAlive;

    impl LockHolder for LastAlive {
        fn name(&self) -> String {
            "process 2 on a-host".to_owned()
        }

        fn has_died(&self, name: &str) -> bool {
            name != self.name()
        }
    }

    #[tokio::test]
    async fn a_held_lock_names_its_holder_and_is_taken_immediately_if_the_holder_has_died() {
        let rig = ReconcileRig::new();
        let terms = terms();
        let try_lock_of_dead = async || {
            SharedLock::try_lock(&rig.inbox, &rig.clock, &terms, &LastAlive, None)
                .await
                .unwrap()
        };
        acquire(&rig).await;
        rig.clock.advance(Duration::from_millis(2_500));
        let TryLock::Held(held) = try_lock(&rig, None).await else {
            panic!("a lock was taken whose holder may live")
        };
        assert_eq!(
            held.to_string(),
            "a test holds the lock, which ends in 58 s unless it is renewed"
        );
        assert!(matches!(try_lock_of_dead().await, TryLock::Acquired(_)));
        assert!(matches!(try_lock_of_dead().await, TryLock::Held(_)));
    }

    #[test]
    fn the_holder_is_read_from_a_lock_of_every_version() {
        for (text, holder) in [
            ("00000000000000aa until 1772446531481", None),
            (
                "00000000000000aa process 7 on a-host until 1",
                Some("process 7 on a-host"),
            ),
            (
                "00000000000000aa a until b\u{1b} until 1",
                Some("a until b"),
            ),
            ("free", None),
            ("", None),
        ] {
            let entry = KvEntry {
                version: 1,
                text: text.to_owned(),
            };
            assert_eq!(holder_in(Some(&entry)).as_deref(), holder, "{text}");
        }
    }

    async fn try_lock(rig: &ReconcileRig, watched: Option<u64>) -> TryLock {
        SharedLock::try_lock(&rig.inbox, &rig.clock, &terms(), &"a test", watched)
            .await
            .unwrap()
    }

    async fn acquire(rig: &ReconcileRig) -> SharedLock {
        match try_lock(rig, None).await {
            TryLock::Acquired(lock) => lock,
            other => panic!("{other:?}"),
        }
    }

    /// The version of a lock whose end is impossible.
    async fn skewed_version(rig: &ReconcileRig) -> u64 {
        match try_lock(rig, None).await {
            TryLock::ClockSkew(version) => version,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn one_process_at_a_time_holds_the_lock_and_a_released_lock_is_free() {
        let rig = ReconcileRig::new();
        let lock = acquire(&rig).await;
        assert!(matches!(try_lock(&rig, None).await, TryLock::Held(_)));
        lock.release(&rig.inbox, &rig.clock).await;
        acquire(&rig).await;
    }

    #[tokio::test]
    async fn a_lock_is_renewed_while_its_holder_lives_and_expires_when_it_dies() {
        let rig = ReconcileRig::new();
        let mut lock = acquire(&rig).await;
        for _ in 0..10 {
            rig.clock.advance(Duration::from_secs(20));
            assert!(lock.renew(&rig.inbox, &rig.clock).await.unwrap());
            assert!(matches!(try_lock(&rig, None).await, TryLock::Held(_)));
        }
        assert!(!lock.has_lapsed(rig.clock.now()));
        rig.clock.advance(LEASE);
        assert!(lock.has_lapsed(rig.clock.now()));
        let mut next = acquire(&rig).await;
        assert!(
            !lock.renew(&rig.inbox, &rig.clock).await.unwrap(),
            "a late holder has lost the lock"
        );
        lock.release(&rig.inbox, &rig.clock).await;
        rig.clock.advance(terms().renew_after());
        assert!(
            next.renew(&rig.inbox, &rig.clock).await.unwrap(),
            "the release by the late holder has no effect"
        );
    }

    async fn entry(rig: &ReconcileRig) -> Option<KvEntry> {
        rig.inbox.kv_get(&terms().key).await.unwrap()
    }

    #[tokio::test]
    async fn a_lock_is_renewed_at_a_quarter_of_its_lease_and_not_before() {
        let rig = ReconcileRig::new();
        let mut lock = acquire(&rig).await;
        let acquired = entry(&rig).await;
        assert_eq!(terms().renew_after(), LEASE / 4);
        rig.clock.advance(LEASE / 4 - Duration::from_millis(1));
        assert!(lock.renew(&rig.inbox, &rig.clock).await.unwrap());
        assert_eq!(entry(&rig).await, acquired);
        rig.clock.advance(Duration::from_millis(1));
        assert!(lock.renew(&rig.inbox, &rig.clock).await.unwrap());
        assert_ne!(entry(&rig).await, acquired);
    }

    #[tokio::test]
    async fn a_lock_dated_an_hour_ahead_that_is_renewed_is_not_taken() {
        let rig = ReconcileRig::new();
        rig.clock.advance(HOUR);
        let mut ahead = acquire(&rig).await;
        rig.clock.set_back(HOUR);
        let version = skewed_version(&rig).await;
        // Longer than the time between two renewals, and shorter than the lease.
        assert_eq!(terms().skew_watch(), Duration::from_secs(50));
        rig.clock.advance(HOUR + terms().skew_watch());
        assert!(ahead.renew(&rig.inbox, &rig.clock).await.unwrap());
        rig.clock.set_back(HOUR);
        let renewed = try_lock(&rig, Some(version)).await;
        assert!(matches!(renewed, TryLock::Held(_)), "{renewed:?}");
    }

    #[tokio::test]
    async fn a_lock_dated_an_hour_ahead_is_taken_once_it_is_not_renewed() {
        let rig = ReconcileRig::new();
        rig.clock.advance(HOUR);
        let mut ahead = acquire(&rig).await;
        rig.clock.set_back(HOUR);
        let version = skewed_version(&rig).await;

        rig.clock.advance(terms().skew_watch());
        assert!(ahead.renew(&rig.inbox, &rig.clock).await.unwrap());
        let renewed = try_lock(&rig, Some(version)).await;
        assert!(matches!(renewed, TryLock::Held(_)), "{renewed:?}");

        rig.clock.advance(HOUR);
        ahead.renew(&rig.inbox, &rig.clock).await.unwrap();
        rig.clock.set_back(HOUR);
        let version = skewed_version(&rig).await;
        rig.clock.advance(terms().skew_watch());
        let not_renewed = try_lock(&rig, Some(version)).await;
        assert!(
            matches!(not_renewed, TryLock::Acquired(_)),
            "{not_renewed:?}"
        );
    }
}
