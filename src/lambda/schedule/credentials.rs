//! What the senders' APIs know us by: read anew for each invocation, so that a key that was changed is used at once.

use std::{collections::BTreeSet, path::Path};

use crate::{
    app,
    aws::{SecretsCaller, SecretsManager, arns},
    config::{Config, SourceConfig, UnusableSecretError},
    reconcile::SenderAccess,
    secrets::{FetchedSecrets, SecretSources},
};

/// How a source can be asked, or why it can't.
pub(super) type FetchedAccess = Result<SenderAccess, Vec<UnusableSecretError>>;

/// The sources that have a `pull`, and where what they need is.
pub(super) struct ReconcileCredentials {
    sources: Vec<SourceConfig>,
    arns: BTreeSet<String>,
    env: fn(&str) -> Option<String>,
    manager: Option<SecretsManager>,
}

impl ReconcileCredentials {
    /// Those of `config`; `None` if no source has a `pull`. Nothing is read yet.
    pub(super) fn new(
        config: &Config,
        env: fn(&str) -> Option<String>,
        manager: Option<SecretsManager>,
    ) -> Option<Self> {
        let sources: Vec<_> = config
            .sources
            .iter()
            .filter(|source| source.pull.is_some())
            .cloned()
            .collect();
        let arns = arns(config.pull_references());
        (!sources.is_empty()).then_some(Self {
            sources,
            arns,
            env,
            manager,
        })
    }

    /// Reads them: each source with how it can be asked.
    pub(super) async fn fetch(&self) -> Vec<(&SourceConfig, FetchedAccess)> {
        let vault = match &self.manager {
            Some(manager) => manager.read(&self.arns, SecretsCaller::Nobody).await,
            None => FetchedSecrets::default(),
        };
        let file = |path: &Path| std::fs::read_to_string(path);
        let outside = SecretSources {
            env: &self.env,
            file: &file,
            vault: &vault,
        };
        let fetch = |source| Some((source, app::access(source, &outside).transpose()?));
        self.sources.iter().filter_map(fetch).collect()
    }
}
