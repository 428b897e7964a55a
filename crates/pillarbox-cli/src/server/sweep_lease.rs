//! The sweep lease: which of several replicas reads the due rows, and reconciles on a timer.
//!
//! The replica that holds the lease has the sweep duty. It renews the lease every few seconds. A
//! replica that dies or freezes loses the lease when it lapses; one that stops releases it, so that
//! another takes over within seconds. A replica that was frozen may do a little work after its
//! lease has lapsed. That is safe, because the claim of a row decides which replica attempts it.
//!
//! Replicas whose configurations have the same sources share a lease. During a change of the
//! configuration each set of sources has its own sweeper, so that the rows of a new source do not
//! wait for a replica that does not know it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::lock_holder::LocalProcess;
use pillarbox::{
    domain::Clock,
    inbox::{InboxError, KvKey, LockTerms, ReconcileInbox, SharedLock, TryLock},
};

/// How long the lease is held without being renewed.
const LEASE_DURATION: Duration = Duration::from_secs(20);
/// How often a replica renews the lease, or checks whether it is free.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The bytes of the digest that names a set of sources.
const NAME_BYTES: usize = 8;

/// Whether this process has the sweep duty.
#[derive(Clone, Debug)]
pub struct SweepDuty(watch::Receiver<bool>);

impl SweepDuty {
    /// The duty of the only process on an inbox.
    pub fn always() -> Self {
        Self(watch::channel(true).1)
    }

    pub(crate) fn is_held(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until this process has the duty.
    pub(crate) async fn wait_until_held(&mut self) {
        self.wait_until_duty_is(true).await;
    }

    /// Waits until this process has lost the duty.
    pub(crate) async fn wait_until_lost(&mut self) {
        self.wait_until_duty_is(false).await;
    }

    async fn wait_until_duty_is(&mut self, held: bool) {
        if self.0.wait_for(|is_held| *is_held == held).await.is_err() {
            std::future::pending::<()>().await; // it no longer changes
        }
    }
}

/// Competes for the lease of a set of sources until `stop`, then releases it.
pub(crate) fn start_competing<I: ReconcileInbox>(
    inbox: Arc<I>,
    clock: Arc<dyn Clock>,
    sources: &BTreeSet<String>,
    stop: CancellationToken,
) -> (SweepDuty, JoinHandle<()>) {
    let (duty, watched) = watch::channel(false);
    let terms = LockTerms {
        key: lease_key(sources),
        lease: LEASE_DURATION,
    };
    let lease = SweepLease {
        inbox,
        clock,
        terms,
        duty,
        holder: LocalProcess::of_shared_inbox(),
        lock: None,
        skewed: None,
    };
    (SweepDuty(watched), tokio::spawn(lease.keep_competing(stop)))
}

/// The key of the lease for a set of sources.
fn lease_key(sources: &BTreeSet<String>) -> KvKey {
    let names: Vec<&str> = sources.iter().map(String::as_str).collect();
    let digest = Sha256::digest(names.join(","));
    KvKey::new("sweep", &hex::encode(&digest[..NAME_BYTES]))
}

struct SweepLease<I> {
    inbox: Arc<I>,
    clock: Arc<dyn Clock>,
    terms: LockTerms,
    duty: watch::Sender<bool>,
    holder: LocalProcess,
    lock: Option<SharedLock>,
    /// The version of a lock with an impossible date, and since when it is known.
    skewed: Option<(u64, Instant)>,
}

impl<I: ReconcileInbox> SweepLease<I> {
    async fn keep_competing(mut self, stop: CancellationToken) {
        let mut tick = interval(CHECK_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = tick.tick() => {}
            }
            if let Err(error) = self.check().await {
                tracing::warn!(reason = %error, "the sweep lease could not be read or renewed");
            }
        }
        self.duty.send_replace(false);
        if let Some(lock) = self.lock {
            lock.release(&*self.inbox, &*self.clock).await;
        }
    }

    /// Renews the lease, or takes it if it is free.
    async fn check(&mut self) -> Result<(), InboxError> {
        let Some(lock) = &mut self.lock else {
            return self.try_acquire().await;
        };
        match lock.renew(&*self.inbox, &*self.clock).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::info!("another replica sweeps now");
                self.set_lost();
                Ok(())
            }
            Err(error) => {
                if lock.has_lapsed(self.clock.now()) {
                    self.set_lost();
                }
                Err(error)
            }
        }
    }

    fn set_lost(&mut self) {
        self.lock = None;
        self.duty.send_replace(false);
    }

    async fn try_acquire(&mut self) -> Result<(), InboxError> {
        let watched = self
            .skewed
            .filter(|(_, since)| since.elapsed() >= self.terms.skew_watch())
            .map(|(version, _)| version);
        let (inbox, clock) = (&*self.inbox, &*self.clock);
        match SharedLock::try_lock(inbox, clock, &self.terms, &self.holder, watched).await? {
            TryLock::Acquired(lock) => {
                tracing::info!("this replica sweeps now");
                (self.lock, self.skewed) = (Some(lock), None);
                self.duty.send_replace(true);
            }
            TryLock::Held(_) => self.skewed = None,
            TryLock::ClockSkew(version) => self.watch_skewed(version),
        }
        Ok(())
    }

    /// Watches a lock with an impossible date. If it stays unchanged, its holder is gone.
    fn watch_skewed(&mut self, version: u64) {
        if self.skewed.is_none() {
            tracing::warn!(
                "the sweep lease ends too far in the future: the clock of this replica or of the \
                 one that sweeps is wrong"
            );
        }
        match &mut self.skewed {
            Some((watched, _)) if *watched == version => {}
            skewed => *skewed = Some((version, Instant::now())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillarbox::{domain::SystemClock, inbox::MemoryInbox};

    #[tokio::test(start_paused = true)]
    async fn one_of_two_replicas_has_the_duty_and_the_other_gets_it_once_it_is_released() {
        let inbox = Arc::new(MemoryInbox::default());
        let sources = BTreeSet::from(["pay".to_owned()]);
        let stops = [CancellationToken::new(), CancellationToken::new()];
        let replica = |stop: &CancellationToken| {
            start_competing(
                Arc::clone(&inbox),
                Arc::new(SystemClock),
                &sources,
                stop.clone(),
            )
        };
        let (mut first, first_ended) = replica(&stops[0]);
        first.wait_until_held().await;
        let (mut second, second_ended) = replica(&stops[1]);
        tokio::task::yield_now().await;
        assert!(first.is_held() && !second.is_held());
        stops[0].cancel();
        first_ended.await.unwrap();
        assert!(!first.is_held());
        second.wait_until_held().await;
        stops[1].cancel();
        second_ended.await.unwrap();
    }
}
