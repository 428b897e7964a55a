//! Credentials that are renewed before they expire, while requests go on with the old ones.
//!
//! The credentials of a container or a person expire within hours. The SDK's own cache asks for new
//! ones in the last seconds, and every request waits for them: a source of credentials that does
//! not answer at that moment costs senders a 503 although the old credentials are still good. Here
//! the renewal begins minutes before, in a task, and is tried again until it succeeds. Only while
//! there are no usable credentials does a request wait.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, SharedCredentialsProvider, future},
};
use aws_smithy_async::time::SharedTimeSource;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// How long before they expire credentials are renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);
/// The pause after a renewal that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// A source of credentials that remembers the latest ones.
#[derive(Clone)]
pub(super) struct RenewedCredentials(Arc<CredentialRenewal>);

struct CredentialRenewal {
    source: SharedCredentialsProvider,
    time: SharedTimeSource,
    latest: Mutex<Option<Credentials>>,
    /// Held during a renewal, so that concurrent requests share it.
    renewing: Arc<AsyncMutex<()>>,
}

impl fmt::Debug for RenewedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RenewedCredentials")
    }
}

impl RenewedCredentials {
    pub(super) fn new(source: SharedCredentialsProvider, time: SharedTimeSource) -> Self {
        Self(Arc::new(CredentialRenewal {
            source,
            time,
            latest: Mutex::default(),
            renewing: Arc::default(),
        }))
    }
}

impl ProvideCredentials for RenewedCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let Some(latest) = self.0.latest(Duration::ZERO) else {
            return future::ProvideCredentials::new(self.0.load());
        };
        if self.0.latest(RENEW_BEFORE).is_none()
            && let Ok(turn) = Arc::clone(&self.0.renewing).try_lock_owned()
        {
            tokio::spawn(Arc::clone(&self.0).renew(turn));
        }
        future::ProvideCredentials::ready(Ok(latest))
    }
}

impl CredentialRenewal {
    /// The latest credentials, if they are good for longer than `margin`.
    fn latest(&self, margin: Duration) -> Option<Credentials> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = |expiry: SystemTime| expiry > self.time.now() + margin;
        latest
            .clone()
            .filter(|credentials| credentials.expiry().is_none_or(is_good))
    }

    /// Loads credentials that a request waits for.
    async fn load(&self) -> provider::Result {
        let _turn = self.renewing.lock().await;
        match self.latest(Duration::ZERO) {
            Some(latest) => Ok(latest), // another request has loaded them meanwhile
            None => self.fetch().await,
        }
    }

    /// Renews credentials that are still good.
    async fn renew(self: Arc<Self>, turn: OwnedMutexGuard<()>) {
        if self.fetch().await.is_err() {
            tracing::warn!(
                "the AWS credentials could not be renewed before they expire; trying again"
            );
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        drop(turn);
    }

    async fn fetch(&self) -> provider::Result {
        let credentials = self.source.provide_credentials().await?;
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = Some(credentials.clone());
        Ok(credentials)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use super::*;
    use aws_credential_types::provider::error::CredentialsError;
    use aws_smithy_async::time::TimeSource;

    const MINUTE: u64 = 60;

    /// Each answer is good for an hour; while it is away, there is none.
    #[derive(Clone, Debug, Default)]
    struct CountedSource {
        now: Arc<AtomicU64>,
        asked: Arc<AtomicUsize>,
        is_away: Arc<std::sync::atomic::AtomicBool>,
    }

    impl TimeSource for CountedSource {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_secs(self.now.load(Ordering::SeqCst))
        }
    }

    impl ProvideCredentials for CountedSource {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let number = self.asked.fetch_add(1, Ordering::SeqCst);
            let expiry = self.now() + Duration::from_secs(60 * MINUTE);
            future::ProvideCredentials::ready(if self.is_away.load(Ordering::SeqCst) {
                Err(CredentialsError::provider_error("away"))
            } else {
                let (key, secret) = (format!("key{number}"), "secret");
                Ok(Credentials::new(key, secret, None, Some(expiry), "test"))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_are_renewed_before_they_expire_and_no_request_waits_for_it() {
        let source = CountedSource::default();
        let renewed = RenewedCredentials::new(
            SharedCredentialsProvider::new(source.clone()),
            SharedTimeSource::new(source.clone()),
        );
        let key = async || {
            let credentials = renewed.provide_credentials().await;
            // What a request has begun ends after it.
            tokio::time::sleep(Duration::from_millis(1)).await;
            credentials
                .ok()
                .map(|found| found.access_key_id().to_owned())
        };
        for (minute, is_away, expected, asked) in [
            (0, true, None, 1),
            (0, false, Some("key1"), 2),
            (54, false, Some("key1"), 2),
            (56, true, Some("key1"), 3),
            (56, false, Some("key1"), 3), // no sooner than after a pause
            (57, false, Some("key1"), 4),
            (58, false, Some("key3"), 4),
            (200, true, None, 5),
            (200, false, Some("key5"), 6),
        ] {
            if minute == 57 {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            source.now.store(minute * MINUTE, Ordering::SeqCst);
            source.is_away.store(is_away, Ordering::SeqCst);
            assert_eq!(key().await.as_deref(), expected, "minute {minute}");
            assert_eq!(
                source.asked.load(Ordering::SeqCst),
                asked,
                "minute {minute}"
            );
        }
    }
}
