//! The destinations of notifications: `[destination]` and `[destinations.NAME]`.

use std::collections::BTreeMap;

use url::Url;

use super::{
    Config, DestinationSecrets, RouteConfig,
    document_reader::{TableReader, TomlItem},
    error::{ConfigError, LocatedValue},
    https::{self, HttpsConfig, HttpsFormatConfig},
    secrets::RequiredSecret,
    suggest,
};
use crate::{
    destinations::{
        DestinationSettings, EventBus, HttpsFormat, HttpsSettings, RouteSettings, SqsQueue,
        TypeRoute, WebhookSecret,
    },
    domain::SourceName,
    http_client::endpoint,
    secrets::SecretRef,
};

/// Reads the settings of a destination from its table.
type ReadDestination =
    fn(&mut TableReader<'_, '_>, &mut Vec<RequiredSecret>) -> Option<DestinationConfig>;

/// Every kind of destination, with what reads its settings.
const KINDS: [(&str, ReadDestination); 4] = [
    ("log", |_, _| Some(DestinationConfig::Log)),
    ("https", |table, wanted| {
        https::read(table, wanted).map(DestinationConfig::Https)
    }),
    ("sqs", |table, _| sqs(table).map(DestinationConfig::Sqs)),
    ("eventbridge", |table, _| {
        eventbridge(table).map(DestinationConfig::EventBridge)
    }),
];

/// Where notifications are delivered.
#[derive(Clone, Debug)]
pub enum DestinationConfig {
    /// A line of JSON in the log, without the data.
    Log,
    /// CloudEvents or the sender's own messages, sent by POST.
    Https(HttpsConfig),
    /// CloudEvents in an SQS queue.
    Sqs(SqsQueue),
    /// CloudEvents on an EventBridge bus.
    EventBridge(EventBus),
}

impl DestinationConfig {
    /// The secrets that sign its requests; none if the destination does not sign.
    pub fn secrets(&self) -> &[LocatedValue<SecretRef>] {
        match self {
            Self::Https(HttpsConfig {
                format: HttpsFormatConfig::CloudEvents { secrets },
                ..
            }) => secrets,
            _ => &[],
        }
    }

    /// The name of the destination of pulled notifications; `None` if this one takes them, or if
    /// they are held.
    pub fn pulled(&self) -> Option<&LocatedValue<String>> {
        match self {
            Self::Https(HttpsConfig {
                format: HttpsFormatConfig::AsSent { pulled },
                ..
            }) => pulled.as_ref(),
            _ => None,
        }
    }

    /// Whether it takes only notifications that their sender signed.
    pub fn takes_signed_only(&self) -> bool {
        matches!(self, Self::Https(https)
            if matches!(https.format, HttpsFormatConfig::AsSent { .. }))
    }

    /// Whether the destination is on AWS.
    pub fn is_on_aws(&self) -> bool {
        matches!(self, Self::Sqs(_) | Self::EventBridge(_))
    }

    fn settings(&self, secrets: &[WebhookSecret]) -> DestinationSettings {
        match self {
            Self::Log => DestinationSettings::Log,
            Self::Https(https) => DestinationSettings::Https(HttpsSettings {
                url: https.url.clone(),
                format: match &https.format {
                    HttpsFormatConfig::CloudEvents { .. } => {
                        HttpsFormat::CloudEvents(secrets.to_vec())
                    }
                    HttpsFormatConfig::AsSent { pulled } => {
                        HttpsFormat::AsSent(pulled.as_ref().map(|name| name.value.clone()))
                    }
                },
                allow: https.allow.clone(),
                ca: https.ca.clone(),
                in_flight: https.in_flight,
            }),
            Self::Sqs(queue) => DestinationSettings::Sqs(queue.clone()),
            Self::EventBridge(bus) => DestinationSettings::EventBridge(bus.clone()),
        }
    }
}

/// The configuration names destinations, and the program supplies its own.
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
            let settings = destination.settings(secrets.named.get(name).map_or(&[], Vec::as_slice));
            (name.clone(), settings)
        });
        let sources = self.sources.iter().filter_map(|source| {
            let name = source.destination.as_ref()?;
            Some((source.name.clone(), name.clone()))
        });
        RouteSettings {
            default: self.destination.settings(&secrets.default),
            named: named.collect(),
            sources: sources.collect(),
            types: self.routes.iter().flat_map(type_routes).collect(),
            outbound_proxy: self.outbound_proxy,
        }
    }

    /// Checks the configuration of a program that supplies its own destination.
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

fn type_routes(route: &RouteConfig) -> impl Iterator<Item = TypeRoute> {
    route.types.iter().map(|event_type| TypeRoute {
        source: route.source.clone(),
        event_type: event_type.clone(),
        destination: route.destination.clone(),
    })
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
    required: &mut Vec<RequiredSecret>,
) -> DestinationConfigs {
    let default = match root.take("destination") {
        None => Some(DestinationConfig::Log),
        Some(item) => read_destination(item, required),
    };
    let entries = root
        .table("destinations")
        .map(TableReader::entries)
        .unwrap_or_default();
    let names: Vec<String> = entries.iter().map(|(name, _)| name.clone()).collect();
    let named: BTreeMap<_, _> = entries
        .into_iter()
        .filter_map(|(name, item)| named(name, item, required))
        .collect();
    for destination in default.iter().chain(named.values()) {
        if let Some(problem) = wrong_pulled(destination, &names, &named) {
            root.report_error(problem);
        }
    }
    DestinationConfigs {
        default,
        named,
        names,
    }
}

/// The error of a `pulled` key that does not name a destination for pulled notifications.
fn wrong_pulled(
    destination: &DestinationConfig,
    names: &[String],
    named: &BTreeMap<String, DestinationConfig>,
) -> Option<ConfigError> {
    let pulled = destination.pulled()?;
    if !names.contains(&pulled.value) {
        return Some(pulled.location.problem(unknown(&pulled.value, names)));
    }
    let is_as_sent = named.get(&pulled.value)?.takes_signed_only();
    is_as_sent.then(|| {
        pulled.location.problem(
            "names a destination that takes only what its sender signed, too: name one with \
             another format",
        )
    })
}

/// Reads the name of one of the destinations `names`.
pub(super) fn name(item: &TomlItem<'_, '_>, names: &[String]) -> Option<String> {
    let name = item.text("must be the name of a destination in quotes")?;
    let is_known = names.contains(&name);
    if !is_known {
        item.report(unknown(&name, names));
    }
    is_known.then_some(name)
}

/// The error of a name that is not that of a configured destination.
fn unknown(name: &str, names: &[String]) -> String {
    let names = names.iter().map(String::as_str);
    let known = suggest::choice(names.clone());
    match suggest::nearest(name, names) {
        Some(meant) => format!("names an unknown destination: did you mean \"{meant}\"?"),
        None if known.is_empty() => {
            "names an unknown destination: add [destinations.NAME], or remove this key".to_owned()
        }
        None => format!("names an unknown destination: write one of those configured, {known}"),
    }
}

fn named(
    name: String,
    item: TomlItem<'_, '_>,
    required: &mut Vec<RequiredSecret>,
) -> Option<(String, DestinationConfig)> {
    if SourceName::new(&name).is_none() {
        item.report(
            "is not a valid destination name: begin with a-z, then up to 31 of a-z, 0-9 and -",
        );
    }
    read_destination(item, required).map(|destination| (name, destination))
}

fn read_destination(
    item: TomlItem<'_, '_>,
    required: &mut Vec<RequiredSecret>,
) -> Option<DestinationConfig> {
    let mut table = item.table()?;
    let names = KINDS.map(|(name, _)| name);
    let quoted = names.map(|name| format!("\"{name}\""));
    let choice = suggest::choice(quoted.iter().map(String::as_str));
    let kind = table.require("kind", &format!("write kind = {choice}"));
    let kind = kind.as_ref().and_then(|kind| kind.word(&names));
    if kind.is_some_and(|kind| kind != "https") {
        table.refuse(
            "format",
            "is for kind = \"https\" only: a queue, a bus and a log carry no header of the \
             sender, so nothing could be verified there; remove it",
        );
    }
    let read = KINDS.iter().find(|(name, _)| Some(*name) == kind);
    let destination = match read {
        Some((_, read)) => read(&mut table, required),
        None => {
            // Without a kind, the valid keys are unknown, so none of these is reported.
            let _ = [
                "url",
                "secret",
                "secrets",
                "bus",
                "format",
                "pulled",
                "allow",
                "ca",
                "in_flight",
            ]
            .map(|key| table.take(key));
            None
        }
    };
    table.finish();
    destination
}

fn sqs(table: &mut TableReader<'_, '_>) -> Option<SqsQueue> {
    let url = table.require(
        "url",
        "write url = \"https://sqs.REGION.amazonaws.com/ACCOUNT/NAME\"",
    )?;
    let text = url.text("must be a URL in quotes")?;
    url.located(SqsQueue::parse(&text)).map(|queue| queue.value)
}

fn eventbridge(table: &mut TableReader<'_, '_>) -> Option<EventBus> {
    let bus = table.require("bus", "write bus = \"NAME\"")?;
    let text = bus.text("must be the name or the ARN of a bus in quotes")?;
    bus.located(EventBus::parse(&text)).map(|bus| bus.value)
}

/// Reads the URL of a server that requests are sent to.
pub(super) fn url(item: TomlItem<'_, '_>) -> Option<Url> {
    let text = item.text("must be a URL in quotes")?;
    item.located(endpoint(&text)).map(|url| url.value)
}
