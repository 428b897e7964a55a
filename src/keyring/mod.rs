//! The senders' keys of one process, as they are now.
//!
//! What Secrets Manager keeps is read at the start, and again when a signature calls for it: never more
//! often than every 30 s, whoever sends what, and once for everybody who waits. A reading that fails
//! leaves the keys there were; where there were none, nothing is taken in.

mod log_unusable;
mod static_secrets;
mod take_in;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    aws::{SecretsCaller, SecretsManager, arns},
    config::{Config, SourceConfig, UnusableSecretError},
    domain::{Clock, SourceName, Timestamp},
    secrets::{FetchedSecrets, SecretError, SecretSources, SecretsManagerError},
    senders::Source,
};

pub use log_unusable::log_unusable_secrets;
use static_secrets::StaticSecrets;
pub use take_in::take_in;

/// The least time between two readings: forged requests can't make more of them.
pub const EVERY: Duration = Duration::from_secs(30);
/// How old a copy may be that proves a request: a key that was withdrawn ends after so long.
pub const OLDEST: Duration = Duration::from_secs(5 * 60);

/// The senders' keys.
pub struct Keyring {
    keys: Mutex<Arc<KeySnapshot>>,
    unusable: Mutex<Vec<UnusableSecretError>>,
    managed: Option<ManagedSecrets>,
}

/// One copy of all keys; it never changes.
pub struct KeySnapshot {
    sources: HashMap<SourceName, Source>,
    vault: FetchedSecrets,
    /// When Secrets Manager was last read to the end.
    read_at: Option<Timestamp>,
}

/// What it takes to read keys again.
struct ManagedSecrets {
    config: Config,
    kept: StaticSecrets,
    manager: SecretsManager,
    arns: BTreeSet<String>,
    sources: HashSet<SourceName>,
    world: Arc<dyn Clock>,
    /// When somebody last asked; held while somebody does.
    asked: tokio::sync::Mutex<Option<Timestamp>>,
}

impl KeySnapshot {
    /// Every configured sender with its keys, by name.
    pub fn sources(&self) -> &HashMap<SourceName, Source> {
        &self.sources
    }
}

impl Keyring {
    /// Keys that stay as they are.
    pub fn fixed(sources: impl IntoIterator<Item = Source>) -> Arc<Self> {
        let keys = KeySnapshot {
            sources: by_name(sources),
            vault: FetchedSecrets::default(),
            read_at: None,
        };
        Arc::new(Self {
            keys: Mutex::new(Arc::new(keys)),
            unusable: Mutex::default(),
            managed: None,
        })
    }

    /// The keys of `config`, as far as `outside` holds them; variables and files are read here once and for all.
    /// What its vault lacks is read over `manager`, by [`warm`](Self::warm) or when it is needed. Where nothing is
    /// in Secrets Manager, that is never called.
    pub fn new(
        config: Config,
        outside: &SecretSources<'_>,
        manager: Option<SecretsManager>,
        world: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let arns = arns(config.sender_references());
        let vault = outside.vault.only(&arns);
        let read_at = vault.holds(&arns).then(|| world.now());
        let kept = StaticSecrets::of(config.sender_references(), outside);
        let (keys, unusable) = forge(&config, &kept, vault, read_at);
        let managed = manager.filter(|_| !arns.is_empty()).map(|manager| {
            let is_managed = |source: &&SourceConfig| {
                source
                    .secrets
                    .iter()
                    .any(|secret| secret.value.arn().is_some())
            };
            let sources = config
                .sources
                .iter()
                .filter(is_managed)
                .map(|source| source.name.clone())
                .collect();
            ManagedSecrets {
                config,
                kept,
                manager,
                arns,
                sources,
                world,
                asked: tokio::sync::Mutex::default(),
            }
        });
        Arc::new(Self {
            keys: Mutex::new(Arc::new(keys)),
            unusable: Mutex::new(unusable),
            managed,
        })
    }

    /// The keys there are now.
    pub fn keys(&self) -> Arc<KeySnapshot> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The secrets that the last reading could not use, once: they are to be shouted about.
    pub fn take_unusable(&self) -> Vec<UnusableSecretError> {
        std::mem::take(&mut *self.unusable.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads what Secrets Manager keeps, while nobody waits. What fails is read again when it is needed.
    pub async fn warm(&self) {
        let Some(managed) = &self.managed else { return };
        let mut asked = managed.asked.lock().await;
        let at = managed.world.now();
        if self.read(managed, SecretsCaller::Nobody, at).await {
            *asked = Some(at);
        }
    }

    /// Keys that may be newer than those `seen`: somebody else's reading, or one of our own if it is time.
    pub async fn renewed(self: &Arc<Self>, seen: &Arc<KeySnapshot>) -> Arc<KeySnapshot> {
        if self.managed.is_some() {
            let (this, seen) = (Arc::clone(self), Arc::clone(seen));
            // In a task of its own: a sender that hangs up must not take along what others wait for.
            let _ = tokio::spawn(async move { this.renew(&seen).await }).await;
        }
        self.keys()
    }

    async fn renew(&self, seen: &Arc<KeySnapshot>) {
        let Some(managed) = &self.managed else { return };
        let mut asked = managed.asked.lock().await;
        let at = managed.world.now();
        let is_early = asked.is_some_and(|last| apart(last, at) < EVERY);
        if is_early || !Arc::ptr_eq(seen, &self.keys()) {
            return;
        }
        *asked = Some(at);
        self.read(managed, SecretsCaller::Sender, at).await;
    }

    /// Reads everything once, and says whether all of it could be.
    async fn read(&self, managed: &ManagedSecrets, waiting: SecretsCaller, at: Timestamp) -> bool {
        let read = managed.manager.read(&managed.arns, waiting).await;
        let (is_whole, before) = (!read.is_partial(), self.keys());
        // What could not be read now is to be said, even where keys that were read before stand.
        let (_, unusable) = forge(&managed.config, &managed.kept, read.clone(), None);
        let mut vault = before.vault.clone();
        vault.renew(read);
        let read_at = if is_whole { Some(at) } else { before.read_at };
        let (keys, _) = forge(&managed.config, &managed.kept, vault, read_at);
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        *self.unusable.lock().unwrap_or_else(PoisonError::into_inner) = unusable;
        is_whole
    }

    /// Whether keys of this source are in Secrets Manager, so that there may be newer ones.
    fn renews(&self, source: &SourceName) -> bool {
        self.managed
            .as_ref()
            .is_some_and(|managed| managed.sources.contains(source))
    }

    /// Whether `keys` are too old to go by for this source. By the clock: a process may be frozen for hours.
    fn is_old(&self, keys: &KeySnapshot, source: &SourceName) -> bool {
        let Some(managed) = self
            .managed
            .as_ref()
            .filter(|managed| managed.sources.contains(source))
        else {
            return false;
        };
        keys.read_at
            .is_none_or(|at| apart(at, managed.world.now()) >= OLDEST)
    }
}

/// The keys that can be used, and the secrets that can't; one that nobody asked for yet is no surprise.
fn forge(
    config: &Config,
    kept: &StaticSecrets,
    vault: FetchedSecrets,
    read_at: Option<Timestamp>,
) -> (KeySnapshot, Vec<UnusableSecretError>) {
    let (sources, mut unusable) =
        kept.with(&vault, |outside| config.usable_sender_secrets(outside));
    unusable.retain(|one| one.why != SecretError::Unread(SecretsManagerError::NotAsked));
    (
        KeySnapshot {
            sources: by_name(sources),
            vault,
            read_at,
        },
        unusable,
    )
}

fn by_name(sources: impl IntoIterator<Item = Source>) -> HashMap<SourceName, Source> {
    sources
        .into_iter()
        .map(|source| (source.name.clone(), source))
        .collect()
}

/// How far apart two instants are, whichever is the later: a clock that was set back must not keep
/// keys for as long as it takes to catch up.
fn apart(one: Timestamp, other: Timestamp) -> Duration {
    one.since(other).max(other.since(one))
}
