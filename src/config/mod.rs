//! Configuration: one TOML document in, a [`Config`] out, or everything that is wrong with it.
//!
//! Pure: it reads no file and no variable by itself; secrets come through an [`SecretSources`].
//! No problem and no `Debug` ever shows a secret, and no problem repeats a value that might be one.

mod addresses;
mod demo;
mod destination;
mod environment;
mod document;
mod inbox;
mod overrides;
mod error;
mod pull;
mod reference;
mod secrets;
mod source;
mod suggest;
mod document_reader;
mod windows;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

pub use destination::{DestinationConfig, HttpsConfig, NamedDestinationsError};
pub use environment::variable;
pub use error::{ConfigError, ConfigErrors, ConfigLocation, Located};
pub use inbox::{InboxConfig, InboxConfigError};
pub use overrides::Overrides;
pub use pull::PullConfig;
pub use secrets::{DestinationSecrets, ResolvedSecrets};
pub use source::SourceConfig;

pub use crate::secrets::UnusableSecretError;

use crate::{
    secrets::{SecretRef, SecretSources, SourceSecrets, build_keys},
    senders::{Acceptance, Source},
};

/// All that can be configured, its secrets still references.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where senders reach us.
    pub listen: SocketAddr,
    /// Where people on this machine do; always a loopback address.
    pub console: SocketAddr,
    /// How long finished rows are kept.
    pub retention: Duration,
    /// How old a notification may be.
    pub acceptance: Acceptance,
    /// The senders, in the order of the document; one at least.
    pub sources: Vec<SourceConfig>,
    /// Where notifications are kept.
    pub inbox: InboxConfig,
    /// Where the notifications of a source go that names no destination.
    pub destination: DestinationConfig,
    /// The others, by name.
    pub destinations: BTreeMap<String, DestinationConfig>,
}

impl Config {
    /// Reads a document that people know as `place`, such as `pillarbox.toml`.
    pub fn read(document: &str, place: &str) -> Result<Self, ConfigErrors> {
        document::read(document, place).finish()
    }

    /// The same, for somebody who fetches its secrets next: if the document is wrong, what is wrong
    /// with the secrets in variables and files comes in the same list.
    pub fn read_to_use(
        document: &str,
        place: &str,
        outside: &SecretSources<'_>,
    ) -> Result<Self, ConfigErrors> {
        document::read(document, place)
            .judge_secrets(outside)
            .finish()
    }

    /// What runs when nothing is configured: both senders, everything kept in `folder`.
    pub fn demo(folder: &Path) -> Self {
        demo::demo(folder)
    }

    /// Fetches and judges every secret that receiving and delivering need.
    pub fn secrets(&self, outside: &SecretSources<'_>) -> Result<ResolvedSecrets, ConfigErrors> {
        let (sources, mut unusable) = self.usable_sender_secrets(outside);
        let (destinations, more) = self.usable_destination_secrets(outside);
        unusable.extend(more);
        secrets::all((
            ResolvedSecrets {
                sources,
                destinations,
            },
            unusable,
        ))
    }

    /// Fetches and judges the senders' secrets, which receiving needs.
    pub fn sender_secrets(&self, outside: &SecretSources<'_>) -> Result<Vec<Source>, ConfigErrors> {
        secrets::all(self.usable_sender_secrets(outside))
    }

    /// The same, without those that can't be used: a source may be left with fewer keys, or none.
    pub fn usable_sender_secrets(
        &self,
        outside: &SecretSources<'_>,
    ) -> (Vec<Source>, Vec<UnusableSecretError>) {
        build_keys(&self.source_secrets(), outside)
    }

    /// Fetches and judges the destinations' secrets, which delivering needs.
    pub fn destination_secrets(
        &self,
        outside: &SecretSources<'_>,
    ) -> Result<DestinationSecrets, ConfigErrors> {
        secrets::all(secrets::destinations(self, outside))
    }

    /// The same, without those that can't be used.
    pub fn usable_destination_secrets(
        &self,
        outside: &SecretSources<'_>,
    ) -> (DestinationSecrets, Vec<UnusableSecretError>) {
        secrets::destinations(self, outside)
    }

    /// The senders' secrets, still references, for the keyring.
    pub fn source_secrets(&self) -> Vec<SourceSecrets> {
        let secrets = |source: &SourceConfig| SourceSecrets {
            name: source.name.clone(),
            kind: source.kind,
            live: source.live,
            references: source.secrets.clone(),
        };
        self.sources.iter().map(secrets).collect()
    }

    /// Where the senders' secrets are.
    pub fn sender_references(&self) -> impl Iterator<Item = &SecretRef> {
        self.sources
            .iter()
            .flat_map(|source| &source.secrets)
            .map(|reference| &reference.value)
    }

    /// Where the destinations' secrets are.
    pub fn destination_references(&self) -> impl Iterator<Item = &SecretRef> {
        self.every_destination()
            .filter_map(DestinationConfig::secret)
            .map(|reference| &reference.value)
    }

    /// Where what the pulls need is.
    pub fn pull_references(&self) -> impl Iterator<Item = &SecretRef> {
        self.sources.iter().flat_map(SourceConfig::pull_references)
    }

    /// Where all of these are, but for what the pulls need.
    pub fn references(&self) -> impl Iterator<Item = &SecretRef> {
        self.sender_references()
            .chain(self.destination_references())
    }

    /// Whether secrets or destinations are on AWS.
    pub fn is_on_aws(&self) -> bool {
        self.references()
            .chain(self.pull_references())
            .any(|reference| reference.arn().is_some())
            || self.every_destination().any(DestinationConfig::is_on_aws)
    }

    /// Every destination there is, the default one first.
    pub fn every_destination(&self) -> impl Iterator<Item = &DestinationConfig> {
        std::iter::once(&self.destination).chain(self.destinations.values())
    }

    /// The destination of a source's notifications.
    pub fn destination_of(&self, source: &SourceConfig) -> &DestinationConfig {
        let named = source
            .destination
            .as_ref()
            .and_then(|name| self.destinations.get(name));
        named.unwrap_or(&self.destination)
    }
}
