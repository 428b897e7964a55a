//! Configuration: one TOML document in, a [`Config`] out, or everything that is wrong with it.
//!
//! Pure: it reads no file and no variable by itself; secrets come through an [`Outside`].
//! No problem and no `Debug` ever shows a secret, and no problem repeats a value that might be one.

mod addresses;
mod demo;
mod destination;
mod document;
mod inbox;
mod overrides;
mod problem;
mod pull;
mod reference;
mod secrets;
mod source;
mod suggest;
mod walk;
mod windows;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

pub use destination::{DestinationConfig, HttpsConfig};
pub use inbox::{InboxConfig, InboxProblem};
pub use overrides::Overrides;
pub use problem::{Place, Placed, Problem, Problems};
pub use pull::{HmrcPull, PayPull, PullConfig};
pub use secrets::Secrets;
pub use source::SourceConfig;

use crate::{secret::Outside, source::Acceptance};

/// All that can be configured, its secrets still references.
#[derive(Clone, Debug)]
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
    pub fn read(document: &str, place: &str) -> Result<Self, Problems> {
        document::read(document, place).finish()
    }

    /// Reads a document and the secrets it names; the problems of both come in one list.
    pub fn read_with_secrets(document: &str, place: &str, outside: &Outside<'_>) -> Result<(Self, Secrets), Problems> {
        let config = document::read(document, place).judge_secrets(outside).finish()?;
        let secrets = config.secrets(outside)?;
        Ok((config, secrets))
    }

    /// What runs when nothing is configured: both senders, everything kept in `folder`.
    pub fn demo(folder: &Path) -> Self {
        demo::demo(folder)
    }

    /// Fetches and judges every secret that receiving and delivering need.
    pub fn secrets(&self, outside: &Outside<'_>) -> Result<Secrets, Problems> {
        secrets::fetch(self, outside)
    }

    /// The destination of a source's notifications.
    pub fn destination_of(&self, source: &SourceConfig) -> &DestinationConfig {
        let named = source.destination.as_ref().and_then(|name| self.destinations.get(name));
        named.unwrap_or(&self.destination)
    }
}
