//! Whether a notification could be stored now, for load balancers and monitors.
//!
//! Callers are not authenticated. So the state is checked at most once every [`MAX_AGE`], and
//! concurrent callers share one check: requests cannot overload the inbox. The keyring limits calls
//! to Secrets Manager. A check runs in a task, so that a caller that hangs up does not cancel it.
//!
//! A source that has no secret *yet* is ready: it answers challenges, which come first.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::timeout};

use crate::{
    domain::{Clock, Timestamp},
    inbox::ReceiveInbox,
    secrets::{Keyring, log_unusable_secrets},
};

/// The maximum age of a state that is reused.
const MAX_AGE: Duration = Duration::from_secs(5);
/// The time for one check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether a notification could be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// A notification could be stored.
    Ready,
    /// A source has no key, because its secret cannot be read or used.
    NoSecret,
    /// The inbox is out of reach, for this reason.
    NoInbox(String),
}

impl Readiness {
    /// What is missing: the code that a POST would be refused with. `None` if nothing is.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Ready => None,
            Self::NoSecret => Some("no_secret"),
            Self::NoInbox(_) => Some("inbox"),
        }
    }

    /// Why no notification could be stored, for the log.
    pub(super) fn reason(&self) -> Option<String> {
        match self {
            Self::Ready => None,
            Self::NoSecret => Some("a source's secret cannot be read or used".to_owned()),
            Self::NoInbox(reason) => Some(reason.clone()),
        }
    }
}

/// The last state, and when it was checked. Held during a check.
#[derive(Debug, Default)]
pub(super) struct ReadinessCheck {
    latest: Mutex<Option<(Timestamp, Readiness)>>,
}

impl ReadinessCheck {
    /// The state, which is at most [`MAX_AGE`] old.
    pub(super) async fn state<I: ReceiveInbox>(
        self: &Arc<Self>,
        keyring: &Arc<Keyring>,
        inbox: &Arc<I>,
        clock: &Arc<dyn Clock>,
        time_left: Duration,
    ) -> Readiness {
        let (this, keyring) = (Arc::clone(self), Arc::clone(keyring));
        let (inbox, clock) = (Arc::clone(inbox), Arc::clone(clock));
        let check = tokio::spawn(async move { this.latest(&keyring, &*inbox, &*clock).await });
        let no_answer = || Readiness::NoInbox("no answer in time".to_owned());
        match timeout(time_left, check).await {
            Ok(state) => state.unwrap_or_else(|_| no_answer()),
            Err(_) => no_answer(),
        }
    }

    async fn latest(
        &self,
        keyring: &Arc<Keyring>,
        inbox: &impl ReceiveInbox,
        clock: &dyn Clock,
    ) -> Readiness {
        let mut latest = self.latest.lock().await;
        let now = clock.now();
        if let Some((checked_at, state)) = &*latest
            && now.since(*checked_at).max(checked_at.since(now)) < MAX_AGE
        {
            return state.clone();
        }
        let state = check(keyring, inbox).await;
        *latest = Some((now, state.clone()));
        state
    }
}

async fn check(keyring: &Arc<Keyring>, inbox: &impl ReceiveInbox) -> Readiness {
    let probe = timeout(CHECK_TIMEOUT, inbox.probe());
    let (has_secrets, probed) = tokio::join!(has_secrets(keyring), probe);
    match probed {
        _ if !has_secrets => Readiness::NoSecret,
        Ok(Ok(())) => Readiness::Ready,
        Ok(Err(error)) => Readiness::NoInbox(error.to_string()),
        Err(_) => Readiness::NoInbox("no answer in time".to_owned()),
    }
}

/// Whether no source lacks a secret that it should have. Secrets are read again before the answer
/// is no, because a process that is not ready may get no POST that would have them read.
async fn has_secrets(keyring: &Arc<Keyring>) -> bool {
    let keys = keyring.keys();
    if !keys.lacks_secret() {
        return true;
    }
    let newer = timeout(CHECK_TIMEOUT, keyring.renewed(&keys)).await;
    log_unusable_secrets(&keyring.take_fetch_errors());
    newer.is_ok_and(|newer| !newer.lacks_secret())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

    use super::*;
    use crate::{
        inbox::{InboxError, RecordOutcome},
        senders::Entry,
    };

    #[derive(Default)]
    struct ProbedInbox {
        is_unavailable: AtomicBool,
        hangs: AtomicBool,
        probes: AtomicU32,
    }

    impl ReceiveInbox for ProbedInbox {
        async fn record(&self, _: &Entry) -> Result<RecordOutcome, InboxError> {
            unreachable!()
        }

        async fn probe(&self) -> Result<(), InboxError> {
            self.probes.fetch_add(1, Ordering::SeqCst);
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            match self.is_unavailable.load(Ordering::SeqCst) {
                true => Err(InboxError::Unavailable("unavailable".to_owned())),
                false => Ok(()),
            }
        }
    }

    #[derive(Default)]
    struct SetClock(AtomicI64);

    impl Clock for SetClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::SeqCst))
        }

        fn random(&self) -> u64 {
            7
        }
    }

    struct ReadinessTest {
        check: Arc<ReadinessCheck>,
        inbox: Arc<ProbedInbox>,
        clock: Arc<SetClock>,
    }

    impl ReadinessTest {
        fn new() -> Self {
            Self {
                check: Arc::default(),
                inbox: Arc::default(),
                clock: Arc::default(),
            }
        }

        async fn state(&self) -> Readiness {
            let clock: Arc<dyn Clock> = self.clock.clone();
            let keyring = Keyring::fixed([]);
            let time_left = Duration::from_secs(3);
            let state = self.check.state(&keyring, &self.inbox, &clock, time_left);
            state.await
        }

        fn probes(&self) -> u32 {
            self.inbox.probes.load(Ordering::SeqCst)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_inbox_is_probed_once_every_few_seconds_for_all_callers() {
        let fixture = ReadinessTest::new();
        for _ in 0..100 {
            assert_eq!(fixture.state().await, Readiness::Ready);
        }
        assert_eq!(fixture.probes(), 1);
        fixture.inbox.is_unavailable.store(true, Ordering::SeqCst);
        assert_eq!(
            fixture.state().await,
            Readiness::Ready,
            "the state is reused"
        );
        // Forwards and back: a clock that is set back does not keep an old state.
        for (millis, probes) in [(5_000, 2), (9_999, 2), (1_000, 2), (0, 3)] {
            fixture.clock.0.store(millis, Ordering::SeqCst);
            let unavailable =
                Readiness::NoInbox(InboxError::Unavailable("unavailable".to_owned()).to_string());
            assert_eq!(
                (fixture.state().await, fixture.probes()),
                (unavailable, probes),
                "{millis}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_callers_share_one_check_which_a_caller_that_hangs_up_does_not_cancel() {
        let fixture = ReadinessTest::new();
        let hung_up = timeout(Duration::from_millis(1), fixture.state()).await;
        assert!(hung_up.is_err());
        let all = tokio::join!(fixture.state(), fixture.state(), fixture.state());
        assert_eq!(all, (Readiness::Ready, Readiness::Ready, Readiness::Ready));
        assert_eq!(fixture.probes(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_inbox_that_hangs_is_unavailable_after_a_bounded_time() {
        let fixture = ReadinessTest::new();
        fixture.inbox.hangs.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            assert_eq!(fixture.state().await.code(), Some("inbox"));
        }
        assert_eq!(fixture.probes(), 1);
    }
}
