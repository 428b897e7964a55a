//! Configuration: reads one TOML document into a [`Config`], or returns every error in it.
//!
//! The module reads no file and no variable; secrets come through [`SecretSources`]. No error and
//! no `Debug` shows a secret, and no error repeats a value that may be one.

mod addresses;
mod demo;
mod destination;
mod environment;
mod document;
mod document_reference;
mod inbox;
mod overrides;
mod error;
mod https;
mod pull;
mod reference;
mod route;
mod secrets;
mod source;
mod span;
mod suggest;
mod document_reader;
mod windows;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

pub use destination::{DestinationConfig, NamedDestinationsError};
pub use document_reference::{ConfigDocument, DocumentReference};
pub use environment::variable;
pub use error::{ConfigError, ConfigErrors, ConfigLocation, LocatedValue};
#[cfg(any(test, feature = "test-support"))]
pub use https::destination_url;
pub use https::{HttpsConfig, HttpsFormatConfig};
pub use inbox::{InboxConfig, InboxConfigError};
pub use overrides::ConfigOverrides;
pub use pull::PullConfig;
pub use route::RouteConfig;
pub use secrets::{DestinationSecrets, ResolvedSecrets};
pub use source::SourceConfig;
pub use span::parse_span;

pub use crate::secrets::UnusableSecretError;

use crate::{
    secrets::{SecretRef, SecretSources, SourceSecrets, build_keys},
    senders::{Acceptance, Source},
};

/// The whole configuration, with references in place of secrets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The address that senders call.
    pub listen: SocketAddr,
    /// The address of the console; always a loopback address.
    pub console: SocketAddr,
    /// How long finished rows are kept.
    pub retention: Duration,
    /// The maximum age of a notification that is delivered automatically.
    pub acceptance: Acceptance,
    /// The senders, in the order of the document; at least one.
    pub sources: Vec<SourceConfig>,
    /// Where notifications are stored.
    pub inbox: InboxConfig,
    /// The destination of sources that name none.
    pub destination: DestinationConfig,
    /// The named destinations.
    pub destinations: BTreeMap<String, DestinationConfig>,
    /// The destinations of some event types. They override the destinations of sources.
    pub routes: Vec<RouteConfig>,
    /// Whether https destinations are reached through the proxy that `HTTPS_PROXY` names.
    pub outbound_proxy: bool,
}

impl Config {
    /// Reads a document; `name` is its name in error messages, such as `pillarbox.toml`.
    pub fn read(document: &str, name: &str) -> Result<Self, ConfigErrors> {
        document::read(document, name).finish()
    }

    /// Reads a document for a function that receives or reconciles, which only an error about the
    /// sources or the inbox stops. Returns the other errors beside the configuration.
    ///
    /// A part with such an error has a safe value: valid windows, and no `pull`. The destinations
    /// must not be used.
    pub fn read_to_receive(
        document: &str,
        name: &str,
    ) -> Result<(Self, Option<ConfigErrors>), ConfigErrors> {
        document::read(document, name).finish_to_receive()
    }

    /// Reads a document whose secrets are fetched next. If the document has errors, the errors of
    /// the secrets in variables and files are in the same list.
    pub fn read_to_use(
        document: &str,
        name: &str,
        secret_sources: &SecretSources<'_>,
    ) -> Result<Self, ConfigErrors> {
        document::read(document, name)
            .check_secrets(secret_sources)
            .finish()
    }

    /// The configuration of the demo: both senders, with every file in `folder`.
    pub fn demo(folder: &Path) -> Self {
        demo::demo(folder)
    }

    /// Fetches and checks every secret that receiving and delivering need.
    pub fn secrets(
        &self,
        secret_sources: &SecretSources<'_>,
    ) -> Result<ResolvedSecrets, ConfigErrors> {
        let (sources, mut unusable) = self.usable_sender_secrets(secret_sources);
        let (destinations, more) = self.usable_destination_secrets(secret_sources);
        unusable.extend(more);
        secrets::all((
            ResolvedSecrets {
                sources,
                destinations,
            },
            unusable,
        ))
    }

    /// Fetches and checks the senders' secrets, which receiving needs.
    pub fn sender_secrets(
        &self,
        secret_sources: &SecretSources<'_>,
    ) -> Result<Vec<Source>, ConfigErrors> {
        secrets::all(self.usable_sender_secrets(secret_sources))
    }

    /// The senders' secrets that can be used, and the errors of the others. A source may be left
    /// with fewer keys, or none.
    pub fn usable_sender_secrets(
        &self,
        secret_sources: &SecretSources<'_>,
    ) -> (Vec<Source>, Vec<UnusableSecretError>) {
        build_keys(&self.source_secrets(), secret_sources)
    }

    /// Fetches and checks the destinations' secrets, which delivering needs.
    pub fn destination_secrets(
        &self,
        secret_sources: &SecretSources<'_>,
    ) -> Result<DestinationSecrets, ConfigErrors> {
        secrets::all(secrets::destinations(self, secret_sources))
    }

    /// The destinations' secrets that can be used, and the errors of the others.
    pub fn usable_destination_secrets(
        &self,
        secret_sources: &SecretSources<'_>,
    ) -> (DestinationSecrets, Vec<UnusableSecretError>) {
        secrets::destinations(self, secret_sources)
    }

    /// The references to the secrets of the sources that have a webhook, for the keyring.
    pub fn source_secrets(&self) -> Vec<SourceSecrets> {
        let secrets = |source: &SourceConfig| SourceSecrets {
            name: source.name.clone(),
            kind: source.kind,
            live: source.live,
            references: source.secrets.clone(),
        };
        let pushed = self.sources.iter().filter(|source| source.webhook);
        pushed.map(secrets).collect()
    }

    /// The references to the senders' secrets.
    pub fn sender_references(&self) -> impl Iterator<Item = &SecretRef> {
        self.sources
            .iter()
            .flat_map(|source| &source.secrets)
            .map(|reference| &reference.value)
    }

    /// The references to the destinations' secrets.
    pub fn destination_references(&self) -> impl Iterator<Item = &SecretRef> {
        self.every_destination()
            .flat_map(DestinationConfig::secrets)
            .map(|reference| &reference.value)
    }

    /// The references to the credentials of the senders' APIs.
    pub fn pull_references(&self) -> impl Iterator<Item = &SecretRef> {
        self.sources.iter().flat_map(SourceConfig::pull_references)
    }

    /// The references to the secrets of senders and destinations.
    pub fn references(&self) -> impl Iterator<Item = &SecretRef> {
        self.sender_references()
            .chain(self.destination_references())
    }

    /// Whether a secret or a destination is on AWS.
    pub fn is_on_aws(&self) -> bool {
        self.references()
            .chain(self.pull_references())
            .any(|reference| reference.arn().is_some())
            || self.every_destination().any(DestinationConfig::is_on_aws)
    }

    /// Every destination, the default one first.
    pub fn every_destination(&self) -> impl Iterator<Item = &DestinationConfig> {
        std::iter::once(&self.destination).chain(self.destinations.values())
    }

    /// The destination of a source's notifications that no route matches.
    pub fn destination_of(&self, source: &SourceConfig) -> &DestinationConfig {
        let named = source
            .destination
            .as_ref()
            .and_then(|name| self.destinations.get(name));
        named.unwrap_or(&self.destination)
    }

    /// Every destination that notifications of a source may go to.
    pub fn destinations_of(
        &self,
        source: &SourceConfig,
    ) -> impl Iterator<Item = &DestinationConfig> {
        let routes = self
            .routes
            .iter()
            .filter(|route| route.source == source.name);
        let routed = routes.filter_map(|route| self.destinations.get(&route.destination));
        std::iter::once(self.destination_of(source)).chain(routed)
    }
}
