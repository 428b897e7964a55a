//! The credentials of the senders' APIs, read again for each run, so that a changed one takes
//! effect immediately.

use std::{collections::BTreeSet, path::Path};

use super::{SenderAccess, govuk_pay::PayAccess, hmrc::HmrcAccess};
use crate::{
    config::{Config, SourceConfig, UnusableSecretError},
    secrets::{FetchedSecrets, SecretSources, SecretsCaller, SecretsManager, arns},
    senders::SenderKind,
};

/// The access to a source's API, or why there is none.
pub(super) type FetchedAccess = Result<SenderAccess, Vec<UnusableSecretError>>;

impl SenderAccess {
    /// The access to the API of `source`; `None` if it has no `pull`.
    pub fn of(
        source: &SourceConfig,
        sources: &SecretSources<'_>,
    ) -> Result<Option<Self>, Vec<UnusableSecretError>> {
        let credentials = source.pull_secrets(sources)?.unwrap_or_default();
        let (Some(pull), Some(keys)) = (&source.pull, &source.kind.config.pull) else {
            return Ok(None);
        };
        let base_url = pull.base_url.clone();
        Ok(match &credentials[..] {
            [client_id, client_secret] if source.kind == SenderKind::HMRC => {
                Some(Self::Hmrc(HmrcAccess {
                    base_url,
                    boxes: pull.boxes.clone(),
                    client_id: client_id.clone(),
                    client_secret: client_secret.clone(),
                    every: pull.every,
                }))
            }
            [api_key] if source.kind == SenderKind::GOVUK_PAY => Some(Self::GovukPay(PayAccess {
                base_url,
                api_key: api_key.clone(),
                every: pull.every.unwrap_or(keys.every),
                after: pull.after,
                events: source.webhook.then(|| source.events.clone()),
            })),
            _ => None,
        })
    }
}

/// The sources that have a `pull`, and where their credentials are.
pub(super) struct ReconcileCredentials {
    sources: Vec<SourceConfig>,
    env: fn(&str) -> Option<String>,
    manager: Option<SecretsManager>,
}

impl ReconcileCredentials {
    /// The credentials of `config`; `None` if no source has a `pull`. Nothing is read yet.
    pub(super) fn new(
        config: &Config,
        env: fn(&str) -> Option<String>,
        manager: Option<SecretsManager>,
    ) -> Option<Self> {
        let has_pull = |source: &&SourceConfig| source.pull.is_some();
        let sources: Vec<_> = config.sources.iter().filter(has_pull).cloned().collect();
        (!sources.is_empty()).then_some(Self {
            sources,
            env,
            manager,
        })
    }

    pub(super) fn sources(&self) -> &[SourceConfig] {
        &self.sources
    }

    /// Reads the credentials of `sources`.
    pub(super) async fn fetch<'a>(
        &self,
        sources: &'a [SourceConfig],
    ) -> Vec<(&'a SourceConfig, FetchedAccess)> {
        let references = sources.iter().flat_map(SourceConfig::pull_references);
        let arns: BTreeSet<String> = arns(references);
        let vault = match &self.manager {
            Some(manager) => manager.read(&arns, SecretsCaller::Background).await,
            None => FetchedSecrets::default(),
        };
        let file = |path: &Path| std::fs::read_to_string(path);
        let secret_sources = SecretSources {
            env: &self.env,
            file: &file,
            vault: &vault,
        };
        sources
            .iter()
            .filter_map(|source| {
                let access = SenderAccess::of(source, &secret_sources).transpose()?;
                Some((source, access))
            })
            .collect()
    }
}
