//! Credentials that are renewed before they expire, while requests continue to use the old ones.
//!
//! The credentials of a container or a person expire within hours. The SDK's own cache renews them
//! in the last seconds, while every request waits: if their source does not respond at that moment,
//! senders get a 503 although the old credentials are still valid. Here a task renews them minutes
//! earlier, and retries until it succeeds. A request waits only while there are no valid
//! credentials.

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

/// How long before their expiry credentials are renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);
/// The pause after a renewal that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// A source of credentials that caches the latest ones.
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
            && let Ok(guard) = Arc::clone(&self.0.renewing).try_lock_owned()
        {
            tokio::spawn(Arc::clone(&self.0).renew(guard));
        }
        future::ProvideCredentials::ready(Ok(latest))
    }
}

impl CredentialRenewal {
    /// The latest credentials, if they are valid for longer than `margin`.
    fn latest(&self, margin: Duration) -> Option<Credentials> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_valid = |expiry: SystemTime| expiry > self.time.now() + margin;
        latest
            .clone()
            .filter(|credentials| credentials.expiry().is_none_or(is_valid))
    }

    /// Loads credentials that a request waits for.
    async fn load(&self) -> provider::Result {
        let _guard = self.renewing.lock().await;
        match self.latest(Duration::ZERO) {
            Some(latest) => Ok(latest), // another request has loaded them meanwhile
            None => self.fetch().await,
        }
    }

    /// Renews credentials that are still valid.
    async fn renew(self: Arc<Self>, guard: OwnedMutexGuard<()>) {
        if self.fetch().await.is_err() {
            tracing::warn!(
                "the AWS credentials could not be renewed before they expire; trying again"
            );
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        drop(guard);
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

    /// Returns credentials that are valid for an hour, or an error while it is unavailable.
    #[derive(Clone, Debug, Default)]
    struct CountedSource {
        now: Arc<AtomicU64>,
        calls: Arc<AtomicUsize>,
        is_unavailable: Arc<std::sync::atomic::AtomicBool>,
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
            let number = self.calls.fetch_add(1, Ordering::SeqCst);
            let expiry = self.now() + Duration::from_secs(60 * MINUTE);
            future::ProvideCredentials::ready(if self.is_unavailable.load(Ordering::SeqCst) {
                Err(CredentialsError::provider_error("unavailable"))
            } else {
                let (key, secret) = (format!("key{number}"), "secret");
                Ok(Credentials::new(key, secret, None, Some(expiry), "test"))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_are_renewed_before_they_expire_while_no_request_waits() {
        let source = CountedSource::default();
        let renewed = RenewedCredentials::new(
            SharedCredentialsProvider::new(source.clone()),
            SharedTimeSource::new(source.clone()),
        );
        let key = async || {
            let credentials = renewed.provide_credentials().await;
            // Let a renewal that the request started complete.
            tokio::time::sleep(Duration::from_millis(1)).await;
            credentials
                .ok()
                .map(|found| found.access_key_id().to_owned())
        };
        for (minute, is_unavailable, expected, calls) in [
            (0, true, None, 1),
            (0, false, Some("key1"), 2),
            (54, false, Some("key1"), 2),
            (56, true, Some("key1"), 3),
            (56, false, Some("key1"), 3), // not retried before the pause has passed
            (57, false, Some("key1"), 4),
            (58, false, Some("key3"), 4),
            (200, true, None, 5),
            (200, false, Some("key5"), 6),
        ] {
            if minute == 57 {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            source.now.store(minute * MINUTE, Ordering::SeqCst);
            source
                .is_unavailable
                .store(is_unavailable, Ordering::SeqCst);
            assert_eq!(key().await.as_deref(), expected, "minute {minute}");
            assert_eq!(
                source.calls.load(Ordering::SeqCst),
                calls,
                "minute {minute}"
            );
        }
    }
}
