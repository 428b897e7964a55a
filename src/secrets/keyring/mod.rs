//! The senders' keys of one process, kept up to date.
//!
//! Secrets Manager is read at the start, and again when a signature requires it: at most once every
//! 30 seconds, so that forged requests cannot cause more calls, and once for all waiting requests.
//! Requests share an immutable snapshot, so a read never blocks a request that does not need it. A
//! failed read keeps the current keys; a source without keys stores nothing.

mod log_unusable;
mod static_secrets;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    FetchedSecrets, SecretError, SecretRef, SecretSources, SecretsCaller, SecretsManager,
    SecretsManagerError, SourceSecrets, UnusableSecretError, arns, build_keys,
};
use crate::{
    domain::{Clock, SourceName, Timestamp},
    senders::Source,
};

pub use log_unusable::log_unusable_secrets;
use static_secrets::StaticSecrets;

/// The minimum time between two reads of Secrets Manager.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// The age at which a snapshot must be renewed before it verifies a request, so that a withdrawn
/// key stops working.
pub const MAX_KEY_AGE: Duration = Duration::from_secs(5 * 60);

/// The senders' keys.
pub struct Keyring {
    keys: Mutex<Arc<KeySnapshot>>,
    unusable: Mutex<Vec<UnusableSecretError>>,
    managed: Option<ManagedSecrets>,
}

/// An immutable snapshot of all keys.
pub struct KeySnapshot {
    sources: HashMap<SourceName, Source>,
    fetched: FetchedSecrets,
    /// When Secrets Manager was last read without a failure.
    read_at: Option<Timestamp>,
    lacks_secret: bool,
}

/// The dependencies of renewing keys.
struct ManagedSecrets {
    sources: Vec<SourceSecrets>,
    static_secrets: StaticSecrets,
    manager: SecretsManager,
    arns: BTreeSet<String>,
    /// The sources that have a secret in Secrets Manager.
    managed_sources: HashSet<SourceName>,
    clock: Arc<dyn Clock>,
    /// When Secrets Manager was last queried. Held during the query, so that concurrent callers
    /// share it.
    queried_at: tokio::sync::Mutex<Option<Timestamp>>,
}

impl KeySnapshot {
    /// Every configured sender with its keys, by name.
    pub fn sources(&self) -> &HashMap<SourceName, Source> {
        &self.sources
    }

    /// Whether a source has no key because its secret cannot be read or used. A source that has no
    /// secret yet does not count.
    pub(crate) fn lacks_secret(&self) -> bool {
        self.lacks_secret
    }
}

impl Keyring {
    /// A keyring whose keys never change.
    pub fn fixed(sources: impl IntoIterator<Item = Source>) -> Arc<Self> {
        let keys = KeySnapshot {
            sources: by_name(sources),
            fetched: FetchedSecrets::default(),
            read_at: None,
            lacks_secret: false,
        };
        Arc::new(Self {
            keys: Mutex::new(Arc::new(keys)),
            unusable: Mutex::default(),
            managed: None,
        })
    }

    /// The keys of `sources`, as far as `secret_sources` holds them. Variables and files are read
    /// here, once. Missing secrets of Secrets Manager are read over `manager`, by
    /// [`warm`](Self::warm) or when they are needed; without a reference to Secrets Manager, it is
    /// never called.
    pub fn new(
        sources: Vec<SourceSecrets>,
        secret_sources: &SecretSources<'_>,
        manager: Option<SecretsManager>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let arns = arns(references(&sources));
        let fetched = secret_sources.vault.subset(&arns);
        let read_at = fetched.holds(&arns).then(|| clock.now());
        let static_secrets = StaticSecrets::read(references(&sources), secret_sources);
        let (keys, unusable) = build_snapshot(&sources, &static_secrets, fetched, read_at);
        let is_used = |_: &SecretsManager| !arns.is_empty();
        let managed = manager.filter(is_used).map(|manager| ManagedSecrets {
            managed_sources: managed_sources(&sources),
            sources,
            static_secrets,
            manager,
            arns,
            clock,
            queried_at: tokio::sync::Mutex::default(),
        });
        Arc::new(Self {
            keys: Mutex::new(Arc::new(keys)),
            unusable: Mutex::new(unusable),
            managed,
        })
    }

    /// The current keys.
    pub fn keys(&self) -> Arc<KeySnapshot> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the errors of the last fetch, to log them once.
    pub fn take_fetch_errors(&self) -> Vec<UnusableSecretError> {
        std::mem::take(&mut *self.unusable.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Fetches the secrets before any request waits. A failed fetch is repeated when a request
    /// needs it.
    pub async fn warm(&self) {
        let Some(managed) = &self.managed else { return };
        let mut queried_at = managed.queried_at.lock().await;
        let now = managed.clock.now();
        if self.read(managed, SecretsCaller::Background, now).await {
            *queried_at = Some(now);
        }
    }

    /// Keys that may be newer than `seen`: those that another request fetched meanwhile, or freshly
    /// fetched ones if the refresh interval has passed.
    pub async fn renewed(self: &Arc<Self>, seen: &Arc<KeySnapshot>) -> Arc<KeySnapshot> {
        if self.managed.is_some() {
            let (this, seen) = (Arc::clone(self), Arc::clone(seen));
            // In a task, so that a sender that hangs up does not cancel a fetch that others wait
            // for.
            let _ = tokio::spawn(async move { this.renew(&seen).await }).await;
        }
        self.keys()
    }

    async fn renew(&self, seen: &Arc<KeySnapshot>) {
        let Some(managed) = &self.managed else { return };
        let mut queried_at = managed.queried_at.lock().await;
        let now = managed.clock.now();
        let is_early = queried_at.is_some_and(|last| abs_difference(last, now) < REFRESH_INTERVAL);
        if is_early || !Arc::ptr_eq(seen, &self.keys()) {
            return;
        }
        *queried_at = Some(now);
        self.read(managed, SecretsCaller::Sender, now).await;
    }

    /// Reads every secret once, and returns whether all of them could be read.
    async fn read(&self, managed: &ManagedSecrets, caller: SecretsCaller, now: Timestamp) -> bool {
        let read = managed.manager.read(&managed.arns, caller).await;
        let is_complete = !read.is_partial();
        let before = self.keys();
        let build = |fetched, read_at| {
            build_snapshot(&managed.sources, &managed.static_secrets, fetched, read_at)
        };
        // A secret that could not be read now is logged, even if its earlier value is still used.
        let (_, unusable) = build(read.clone(), None);
        let mut fetched = before.fetched.clone();
        fetched.renew(read);
        let read_at = if is_complete {
            Some(now)
        } else {
            before.read_at
        };
        let (keys, _) = build(fetched, read_at);
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        *self.unusable.lock().unwrap_or_else(PoisonError::into_inner) = unusable;
        is_complete
    }

    /// Whether Secrets Manager holds secrets of this source, so that there may be newer ones.
    pub(crate) fn renews(&self, source: &SourceName) -> bool {
        self.managed_for(source).is_some()
    }

    /// Whether `keys` are too old to prove a request of this source. Measured by the wall clock,
    /// because Lambda may freeze a process for hours.
    pub(crate) fn is_old(&self, keys: &KeySnapshot, source: &SourceName) -> bool {
        let is_old = |managed: &ManagedSecrets| {
            let age = |at| abs_difference(at, managed.clock.now());
            keys.read_at.is_none_or(|at| age(at) >= MAX_KEY_AGE)
        };
        self.managed_for(source).is_some_and(is_old)
    }

    fn managed_for(&self, source: &SourceName) -> Option<&ManagedSecrets> {
        let managed = self.managed.as_ref();
        managed.filter(|managed| managed.managed_sources.contains(source))
    }
}

/// The usable keys, and the unusable secrets. A secret that was not read yet is not unusable.
fn build_snapshot(
    sources: &[SourceSecrets],
    static_secrets: &StaticSecrets,
    fetched: FetchedSecrets,
    read_at: Option<Timestamp>,
) -> (KeySnapshot, Vec<UnusableSecretError>) {
    let (keys, mut unusable) = static_secrets.with(&fetched, |secret_sources| {
        build_keys(sources, secret_sources)
    });
    let lacks_secret = keys.iter().any(|source| {
        let is_of_source = |one: &UnusableSecretError| one.source.as_ref() == Some(&source.name);
        source.keys.is_empty() && unusable.iter().any(is_of_source)
    });
    unusable.retain(|one| one.why != SecretError::Unread(SecretsManagerError::NotQueried));
    let snapshot = KeySnapshot {
        sources: by_name(keys),
        fetched,
        read_at,
        lacks_secret,
    };
    (snapshot, unusable)
}

fn references(sources: &[SourceSecrets]) -> impl Iterator<Item = &SecretRef> {
    let references = sources.iter().flat_map(|source| &source.references);
    references.map(|reference| &reference.value)
}

fn managed_sources(sources: &[SourceSecrets]) -> HashSet<SourceName> {
    let is_managed = |source: &&SourceSecrets| {
        let mut references = source.references.iter();
        references.any(|reference| reference.value.arn().is_some())
    };
    let managed = sources.iter().filter(is_managed);
    managed.map(|source| source.name.clone()).collect()
}

fn by_name(sources: impl IntoIterator<Item = Source>) -> HashMap<SourceName, Source> {
    sources
        .into_iter()
        .map(|source| (source.name.clone(), source))
        .collect()
}

/// The time between two instants in either order, so that keys do not outlive [`MAX_KEY_AGE`] when
/// the clock is set back.
fn abs_difference(one: Timestamp, other: Timestamp) -> Duration {
    one.since(other).max(other.since(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{ConfigLocation, LocatedValue, SystemClock},
        secrets::Secret,
        senders::SenderKind,
    };

    const ARN: &str = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:pay-AbCdEf";

    #[test]
    fn a_secret_that_cannot_be_read_or_used_is_lacking_and_one_without_a_value_is_not() {
        let value = |text: &str| Ok(Some(Secret::new(text.to_owned())));
        for (read, lacks_secret) in [
            (Err(SecretsManagerError::Unavailable), true),
            (Err(SecretsManagerError::Denied), true),
            (value(r#"{"current":"placeholder"}"#), true),
            (value("{}"), false),
            (Ok(None), false),
            (
                value(r#"{"current":"webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu"}"#),
                false,
            ),
        ] {
            let mut vault = FetchedSecrets::default();
            vault.put(ARN.to_owned(), read);
            let reference = SecretRef::parse(&format!("secretsmanager:{ARN}#current")).unwrap();
            let source = SourceSecrets {
                name: SourceName::new("pay").unwrap(),
                kind: SenderKind::GOVUK_PAY,
                live: false,
                references: vec![LocatedValue {
                    value: reference,
                    location: ConfigLocation::named("secrets[0]"),
                }],
            };
            let secret_sources = SecretSources {
                env: &|_| None,
                file: &|_| Err(std::io::ErrorKind::NotFound.into()),
                vault: &vault,
            };
            let clock = Arc::new(SystemClock);
            let keyring = Keyring::new(vec![source], &secret_sources, None, clock);
            assert_eq!(keyring.keys().lacks_secret(), lacks_secret);
        }
    }
}
