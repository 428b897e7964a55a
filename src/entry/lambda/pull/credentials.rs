//! What the senders' APIs know us by: read anew for each invocation, so that a key that was changed is used at once.

use std::{collections::BTreeSet, path::Path};

use crate::{
    app,
    aws::{SecretsManager, Waiting, arns},
    config::{Config, SourceConfig, Unusable},
    reconcile::Access,
    secret::{Outside, Vault},
};

/// How a source can be asked, or why it can't.
pub(super) type Fetched = Result<Access, Vec<Unusable>>;

/// The sources that have a `pull`, and where what they need is.
pub(super) struct Credentials {
    sources: Vec<SourceConfig>,
    arns: BTreeSet<String>,
    env: fn(&str) -> Option<String>,
    manager: Option<SecretsManager>,
}

impl Credentials {
    /// Those of `config`; `None` if no source has a `pull`. Nothing is read yet.
    pub(super) fn new(
        config: &Config,
        env: fn(&str) -> Option<String>,
        manager: Option<SecretsManager>,
    ) -> Option<Self> {
        let sources: Vec<_> = config.sources.iter().filter(|source| source.pull.is_some()).cloned().collect();
        let arns = arns(config.pull_references());
        (!sources.is_empty()).then_some(Self { sources, arns, env, manager })
    }

    /// Reads them: each source with how it can be asked.
    pub(super) async fn fetch(&self) -> Vec<(&SourceConfig, Fetched)> {
        let vault = match &self.manager {
            Some(manager) => manager.read(&self.arns, Waiting::Nobody).await,
            None => Vault::default(),
        };
        let file = |path: &Path| std::fs::read_to_string(path);
        let outside = Outside { env: &self.env, file: &file, vault: &vault };
        let fetch = |source| Some((source, app::access(source, &outside).transpose()?));
        self.sources.iter().filter_map(fetch).collect()
    }
}
