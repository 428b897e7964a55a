//! The destinations of notifications: `[destination]` and `[destinations.NAME]`.

use std::{collections::BTreeMap, fmt};

use url::Url;

use super::{
    Config, DestinationSecrets,
    document_reader::{TableReader, TomlItem},
    error::Located,
    reference,
    secrets::RequiredSecret,
};
use crate::{
    destinations::{DestinationSettings, EventBus, RouteSettings, SqsQueue, WebhookSecret},
    domain::SourceName,
    http_client::endpoint,
    secrets::SecretRef,
};

const KINDS: [&str; 4] = ["log", "https", "sqs", "eventbridge"];

/// Where notifications are delivered.
#[derive(Clone, Debug)]
pub enum DestinationConfig {
    /// A line of JSON in the log, without the data.
    Log,
    /// CloudEvents sent by POST.
    Https(HttpsConfig),
    /// CloudEvents in an SQS queue.
    Sqs(SqsQueue),
    /// CloudEvents on an EventBridge bus.
    EventBridge(EventBus),
}

impl DestinationConfig {
    /// The secret that signs its requests; `None` if the destination does not sign.
    pub fn secret(&self) -> Option<&Located<SecretRef>> {
        match self {
            Self::Https(https) => Some(&https.secret),
            Self::Log | Self::Sqs(_) | Self::EventBridge(_) => None,
        }
    }

    /// Whether the destination is on AWS.
    pub fn is_on_aws(&self) -> bool {
        matches!(self, Self::Sqs(_) | Self::EventBridge(_))
    }

    fn settings(&self, secret: Option<&WebhookSecret>) -> DestinationSettings {
        match self {
            Self::Log => DestinationSettings::Log,
            Self::Https(https) => DestinationSettings::Https {
                url: https.url.clone(),
                secret: secret.cloned(),
            },
            Self::Sqs(queue) => DestinationSettings::Sqs(queue.clone()),
            Self::EventBridge(bus) => DestinationSettings::EventBridge(bus.clone()),
        }
    }
}

/// The configuration names destinations, and the program brings its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "names destinations, but this program delivers everything to its own: remove [destination] \
     and [destinations]"
)]
pub struct NamedDestinationsError;

impl Config {
    /// The settings that the destinations are built from.
    pub fn route_settings(&self, secrets: &DestinationSecrets) -> RouteSettings {
        let named = self.destinations.iter().map(|(name, destination)| {
            let settings = destination.settings(secrets.named.get(name));
            (name.clone(), settings)
        });
        let sources = self.sources.iter().filter_map(|source| {
            let name = source.destination.as_ref()?;
            Some((source.name.clone(), name.clone()))
        });
        RouteSettings {
            default: self.destination.settings(secrets.default.as_ref()),
            named: named.collect(),
            sources: sources.collect(),
        }
    }

    /// Checks the configuration of a program that brings its own destination.
    ///
    /// # Errors
    /// Fails if the document names a destination other than `log`, the default: the program would
    /// not use it, and its operator would wait for events there.
    pub fn check_own_destination(&self) -> Result<(), NamedDestinationsError> {
        let is_default = matches!(self.destination, DestinationConfig::Log);
        if is_default && self.destinations.is_empty() {
            Ok(())
        } else {
            Err(NamedDestinationsError)
        }
    }
}

/// A receiver of CloudEvents over https.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpsConfig {
    /// Where to POST: https, or http on loopback.
    pub url: Url,
    /// The `whsec_` secret to sign with.
    pub secret: Located<SecretRef>,
}

impl fmt::Debug for HttpsConfig {
    /// Shows only the origin of the URL, because paths and queries often hold tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.url.origin().ascii_serialization();
        f.debug_struct("HttpsConfig")
            .field("origin", &origin)
            .field("secret", &self.secret)
            .finish()
    }
}

/// The destinations of one document that could be read.
pub(super) struct DestinationConfigs {
    pub(super) default: Option<DestinationConfig>,
    pub(super) named: BTreeMap<String, DestinationConfig>,
    /// Every configured name, including those of destinations that could not be read.
    pub(super) names: Vec<String>,
}

/// Reads `[destination]` and `[destinations]`.
pub(super) fn read(
    root: &mut TableReader<'_, '_>,
    wanted: &mut Vec<RequiredSecret>,
) -> DestinationConfigs {
    let default = match root.take("destination") {
        None => Some(DestinationConfig::Log),
        Some(item) => read_destination(item, wanted),
    };
    let entries = root
        .table("destinations")
        .map(TableReader::entries)
        .unwrap_or_default();
    let names = entries.iter().map(|(name, _)| name.clone()).collect();
    let named = entries
        .into_iter()
        .filter_map(|(name, item)| named(name, item, wanted))
        .collect();
    DestinationConfigs {
        default,
        named,
        names,
    }
}

fn named(
    name: String,
    item: TomlItem<'_, '_>,
    wanted: &mut Vec<RequiredSecret>,
) -> Option<(String, DestinationConfig)> {
    if SourceName::new(&name).is_none() {
        item.complain(
            "is not a valid destination name: begin with a-z, then up to 31 of a-z, 0-9 and -",
        );
    }
    read_destination(item, wanted).map(|destination| (name, destination))
}

fn read_destination(
    item: TomlItem<'_, '_>,
    wanted: &mut Vec<RequiredSecret>,
) -> Option<DestinationConfig> {
    let mut table = item.table()?;
    let kind = table.need(
        "kind",
        "write kind = \"log\", \"https\", \"sqs\" or \"eventbridge\"",
    );
    let destination = match kind.as_ref().and_then(|kind| kind.word(&KINDS)) {
        Some("log") => Some(DestinationConfig::Log),
        Some("https") => https(&mut table, wanted).map(DestinationConfig::Https),
        Some("sqs") => sqs(&mut table).map(DestinationConfig::Sqs),
        Some(_) => eventbridge(&mut table).map(DestinationConfig::EventBridge),
        None => {
            // Without a kind, the valid keys are unknown, so none of these is reported.
            let _ = ["url", "secret", "bus"].map(|key| table.take(key));
            None
        }
    };
    table.finish();
    destination
}

fn https(table: &mut TableReader<'_, '_>, wanted: &mut Vec<RequiredSecret>) -> Option<HttpsConfig> {
    let url = table
        .need("url", "write url = \"https://HOST/PATH\"")
        .and_then(url);
    let secret = table
        .need("secret", "write secret = \"env:NAME\"")
        .and_then(reference::read);
    wanted.extend(secret.clone().map(RequiredSecret::Whsec));
    Some(HttpsConfig {
        url: url?,
        secret: secret?,
    })
}

fn sqs(table: &mut TableReader<'_, '_>) -> Option<SqsQueue> {
    let url = table.need(
        "url",
        "write url = \"https://sqs.REGION.amazonaws.com/ACCOUNT/NAME\"",
    )?;
    let text = url.text("must be a URL in quotes")?;
    url.located(SqsQueue::parse(&text)).map(|queue| queue.value)
}

fn eventbridge(table: &mut TableReader<'_, '_>) -> Option<EventBus> {
    let bus = table.need("bus", "write bus = \"NAME\"")?;
    let text = bus.text("must be the name or the ARN of a bus in quotes")?;
    bus.located(EventBus::parse(&text)).map(|bus| bus.value)
}

/// Reads the URL of a server that requests are sent to.
pub(super) fn url(item: TomlItem<'_, '_>) -> Option<Url> {
    let text = item.text("must be a URL in quotes")?;
    item.located(endpoint(&text)).map(|url| url.value)
}
