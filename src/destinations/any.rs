//! Builds the configured destinations.
//!
//! A destination that cannot be built is replaced by one that fails every delivery with the reason,
//! so its notifications stay open until a person corrects the configuration. The errors are
//! returned with the destinations, and the caller decides whether to start.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::PathBuf,
    sync::Arc,
};

use ipnet::IpNet;
use url::Url;

use super::{
    AsSentDestination, DeliveryError, Destination, DestinationRoute, DestinationRoutes, Event,
    EventBridgeDestination, EventBus, HttpsDestination, HttpsEndpoint, HttpsError,
    LimitedDestination, LogDestination, SqsDestination, SqsQueue, WebhookSecret,
};
use crate::{
    aws::AwsConfig,
    domain::{Clock, Key, SourceName},
    http_client::{AddressRule, OutboundNetwork, OutboundProxy, TrustedRoots},
    secrets::SecretSources,
};

/// The name that errors give the default destination.
const DEFAULT_NAME: &str = "(default)";

/// A destination that configuration can name.
pub enum AnyDestination {
    /// One line per event.
    Log(LogDestination),
    /// An HTTPS endpoint.
    Https(Box<HttpsDestination>),
    /// A handler of a sender's own messages.
    AsSent(Box<AsSentDestination>),
    /// A queue on AWS.
    Sqs(Box<SqsDestination>),
    /// An event bus on AWS.
    EventBridge(Box<EventBridgeDestination>),
    /// A destination that cannot be used, with the reason: every delivery fails and is retried.
    Unusable(String),
}

impl Destination for AnyDestination {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        match self {
            Self::Log(log) => log.deliver(key, event).await,
            Self::Https(https) => https.deliver(key, event).await,
            Self::AsSent(handler) => handler.deliver(key, event).await,
            Self::Sqs(sqs) => sqs.deliver(key, event).await,
            Self::EventBridge(bus) => bus.deliver(key, event).await,
            Self::Unusable(reason) => Err(DeliveryError::Unavailable(reason.clone())),
        }
    }
}

/// The settings of one destination.
pub enum DestinationSettings {
    /// One line per event.
    Log,
    /// An HTTPS endpoint.
    Https(HttpsSettings),
    /// A queue on AWS.
    Sqs(SqsQueue),
    /// An event bus on AWS.
    EventBridge(EventBus),
}

/// The settings of an HTTPS endpoint.
#[derive(Clone)]
pub struct HttpsSettings {
    /// Where to POST.
    pub url: Url,
    /// What to POST.
    pub format: HttpsFormat,
    /// The private networks that it may be in.
    pub allow: Vec<IpNet>,
    /// The file with the root certificates that it is verified against; the system's if `None`.
    pub ca: Option<PathBuf>,
    /// The limit of concurrent deliveries to it.
    pub in_flight: Option<usize>,
}

impl HttpsSettings {
    /// The endpoint, as deliveries reach it; with `outbound_proxy`, through the proxy that the
    /// environment variables name.
    ///
    /// # Errors
    /// If it cannot be used as configured.
    pub fn endpoint(
        &self,
        outbound_proxy: bool,
        secret_sources: &SecretSources<'_>,
        clock: Arc<dyn Clock>,
    ) -> Result<HttpsEndpoint, HttpsError> {
        let proxy = outbound_proxy.then(|| OutboundProxy::from_variables(secret_sources.env));
        let read = |path: &PathBuf| {
            (secret_sources.file)(path).map_err(|error| HttpsError::NoFile(error.kind()))
        };
        let roots = self.ca.as_ref().map(read).transpose()?;
        let network = OutboundNetwork {
            rule: AddressRule::allowing(&self.allow),
            roots: roots.as_deref().map(TrustedRoots::parse).transpose()?,
            proxy: proxy.transpose()?,
        };
        HttpsEndpoint::new(&self.url, network, clock)
    }
}

/// What is posted to an HTTPS endpoint.
#[derive(Clone)]
pub enum HttpsFormat {
    /// CloudEvents, signed with each of these secrets. Empty if the secrets are missing or
    /// unusable.
    CloudEvents(Vec<WebhookSecret>),
    /// The sender's own messages. Pulled notifications go to the destination with this name.
    AsSent(Option<String>),
}

impl DestinationSettings {
    /// The name of the destination of pulled notifications, if it is a different one.
    fn pulled(&self) -> Option<&str> {
        match self {
            Self::Https(HttpsSettings {
                format: HttpsFormat::AsSent(pulled),
                ..
            }) => pulled.as_deref(),
            _ => None,
        }
    }

    fn in_flight(&self) -> Option<usize> {
        match self {
            Self::Https(https) => https.in_flight,
            _ => None,
        }
    }
}

/// The settings of every destination, and which source uses which.
pub struct RouteSettings {
    /// The destination of the sources that name none.
    pub default: DestinationSettings,
    /// The other destinations, by name.
    pub named: BTreeMap<String, DestinationSettings>,
    /// The sources that name a destination, with that name.
    pub sources: Vec<(SourceName, String)>,
    /// The destinations of particular event types. They take precedence over those of sources.
    pub types: Vec<TypeRoute>,
    /// Whether https endpoints are reached through the proxy that the environment variables name.
    pub outbound_proxy: bool,
}

/// The destination of one event type of one source.
pub struct TypeRoute {
    /// The source.
    pub source: SourceName,
    /// Its event type.
    pub event_type: String,
    /// The name of the destination.
    pub destination: String,
}

/// Why a configured destination cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// An endpoint cannot be used.
    #[error("destination {0}: {1}")]
    Https(String, HttpsError),
    /// An endpoint has no secret to sign with.
    #[error("destination {0}: it has no usable secret to sign with")]
    NoSecret(String),
    /// A queue or a bus is configured, but no connection to AWS.
    #[error("destination {0}: it is on AWS: set AWS_REGION and credentials")]
    NoAws(String),
    /// The log cannot be written to.
    #[error("destination log: {0}")]
    Log(#[from] io::Error),
}

/// The dependencies of destinations.
pub struct DestinationDeps<'a> {
    /// The connection to AWS; needed only by destinations on AWS.
    pub aws: Option<&'a AwsConfig>,
    /// The clock that dates signatures.
    pub clock: Arc<dyn Clock>,
    /// The environment variables and files that configure a proxy and root certificates.
    pub secret_sources: &'a SecretSources<'a>,
    /// Makes a destination of the kind `log`.
    pub log: &'a dyn Fn() -> io::Result<LogDestination>,
}

impl RouteSettings {
    /// The https endpoints, by the names of their destinations.
    pub fn https(&self) -> impl Iterator<Item = (&str, &HttpsSettings)> {
        let named = self.named.iter();
        std::iter::once((DEFAULT_NAME, &self.default))
            .chain(named.map(|(name, settings)| (name.as_str(), settings)))
            .filter_map(|(name, settings)| match settings {
                DestinationSettings::Https(https) => Some((name, https)),
                _ => None,
            })
    }

    /// Builds every destination. Returns the routes to them, and an error for each unusable one.
    pub fn build(
        &self,
        deps: &DestinationDeps<'_>,
    ) -> (DestinationRoutes<AnyDestination>, Vec<DestinationError>) {
        let mut errors = Vec::new();
        let mut build = |name: &str, settings: &DestinationSettings| {
            let built = deps
                .build(name, settings, self.outbound_proxy)
                .unwrap_or_else(|error| {
                    let reason = error.to_string();
                    errors.push(error);
                    AnyDestination::Unusable(reason)
                });
            LimitedDestination::new(Arc::new(built), settings.in_flight())
        };
        let default = build(DEFAULT_NAME, &self.default);
        let named: HashMap<&str, _> = self
            .named
            .iter()
            .map(|(name, settings)| (name.as_str(), build(name, settings).named(name)))
            .collect();
        let route = |destination: &LimitedDestination<_>, settings: &DestinationSettings| {
            DestinationRoute {
                destination: destination.clone(),
                pulled: settings.pulled().and_then(|name| named.get(name).cloned()),
            }
        };
        let find = |name: &str| Some(route(named.get(name)?, self.named.get(name)?));
        let mut routes = DestinationRoutes::to(route(&default, &self.default));
        for (source, name) in &self.sources {
            if let Some(route) = find(name) {
                routes = routes.with_source(source.as_str(), route);
            }
        }
        for of_type in &self.types {
            if let Some(route) = find(&of_type.destination) {
                routes = routes.with_type(of_type.source.as_str(), &of_type.event_type, route);
            }
        }
        (routes, errors)
    }
}

impl DestinationDeps<'_> {
    fn build(
        &self,
        name: &str,
        settings: &DestinationSettings,
        outbound_proxy: bool,
    ) -> Result<AnyDestination, DestinationError> {
        let aws = || {
            self.aws
                .ok_or_else(|| DestinationError::NoAws(name.to_owned()))
        };
        Ok(match settings {
            DestinationSettings::Log => AnyDestination::Log((self.log)()?),
            DestinationSettings::Https(https) => self.build_https(name, https, outbound_proxy)?,
            DestinationSettings::Sqs(queue) => {
                AnyDestination::Sqs(Box::new(SqsDestination::new(aws()?, queue.clone())))
            }
            DestinationSettings::EventBridge(bus) => AnyDestination::EventBridge(Box::new(
                EventBridgeDestination::new(aws()?, bus.clone()),
            )),
        })
    }

    fn build_https(
        &self,
        name: &str,
        settings: &HttpsSettings,
        outbound_proxy: bool,
    ) -> Result<AnyDestination, DestinationError> {
        let clock = Arc::clone(&self.clock);
        let endpoint = settings
            .endpoint(outbound_proxy, self.secret_sources, Arc::clone(&clock))
            .map_err(|error| DestinationError::Https(name.to_owned(), error))?;
        Ok(match &settings.format {
            HttpsFormat::AsSent(_) => {
                AnyDestination::AsSent(Box::new(AsSentDestination::new(endpoint)))
            }
            HttpsFormat::CloudEvents(secrets) if secrets.is_empty() => {
                return Err(DestinationError::NoSecret(name.to_owned()));
            }
            HttpsFormat::CloudEvents(secrets) => {
                let https = HttpsDestination::new(endpoint, secrets.clone(), clock);
                AnyDestination::Https(Box::new(https))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        destinations::example::event,
        domain::SystemClock,
        senders::example::{NOW, pay},
    };

    /// An endpoint without a secret, and a queue and a bus without AWS.
    #[tokio::test]
    async fn a_destination_that_cannot_be_built_is_an_error_and_its_deliveries_fail() {
        let settings = RouteSettings {
            default: DestinationSettings::Https(HttpsSettings {
                url: Url::parse("https://ledger.example.gov.uk/").unwrap(),
                format: HttpsFormat::CloudEvents(Vec::new()),
                allow: Vec::new(),
                ca: None,
                in_flight: None,
            }),
            named: BTreeMap::from([
                (
                    "bus".to_owned(),
                    DestinationSettings::EventBridge(EventBus::parse("ledger").unwrap()),
                ),
                (
                    "queue".to_owned(),
                    DestinationSettings::Sqs(
                        SqsQueue::parse("https://sqs.eu-west-2.amazonaws.com/111122223333/ledger")
                            .unwrap(),
                    ),
                ),
            ]),
            sources: vec![(SourceName::new("hmrc").unwrap(), "queue".to_owned())],
            types: Vec::new(),
            outbound_proxy: false,
        };
        let (routes, errors) = settings.build(&DestinationDeps {
            aws: None,
            clock: Arc::new(SystemClock),
            secret_sources: &SecretSources {
                env: &|_| None,
                file: &|_| Err(io::ErrorKind::NotFound.into()),
                vault: crate::secrets::FetchedSecrets::NOTHING,
            },
            log: &|| LogDestination::new(io::sink()),
        });
        assert!(
            matches!(
                &errors[..],
                [
                    DestinationError::NoSecret(_),
                    DestinationError::NoAws(bus),
                    DestinationError::NoAws(queue)
                ] if bus == "bus" && queue == "queue"
            ),
            "{errors:?}"
        );
        for (entry, error) in [
            (pay("m1", "p1", "card_payment_succeeded", NOW), &errors[0]),
            (crate::senders::example::hmrc("n1", "{}"), &errors[2]),
        ] {
            assert_eq!(
                routes.deliver(&entry.key, &event(&entry)).await,
                Err(DeliveryError::Unavailable(error.to_string()))
            );
        }
    }
}
