//! The parts of a running Pillarbox, built from its configuration.
//!
//! The only file that knows which inbox and which destinations there are to choose from.

use std::{collections::HashMap, convert::Infallible, io, sync::Arc, time::Duration};

use crate::{
    aws::{Aws, AwsService},
    config::{Config, DestinationConfig, DestinationSecrets},
    destinations::{
        DeliveryError, Destination, DestinationRoutes, Event, EventBridgeDestination,
        HttpsDestination, HttpsError, LogDestination, SqsDestination, WebhookSecret,
    },
    domain::{Clock, Key},
    inbox::{
        RetentionPolicy,
        dynamodb::{self, DynamoInbox},
    },
    receive::{ClockCheck, Receiver},
    secrets::Keyring,
    senders::Acceptance,
};

/// When the sweep takes up a row of a table that its stream did not: time enough for the stream.
const FIRST_DUE: Duration = Duration::from_secs(2 * 60);

/// What a receiver and a processor share.
pub struct App<I> {
    /// Every configured sender with its keys.
    pub keyring: Arc<Keyring>,
    /// Where notifications are stored.
    pub inbox: Arc<I>,
    /// How old one may be and still be acted on by itself.
    pub window: Acceptance,
    /// How long finished ones are kept.
    pub keeping: RetentionPolicy,
}

impl<I> App<I> {
    /// The parts that `config` describes, over an inbox that is open already.
    pub fn new(config: &Config, keyring: Arc<Keyring>, inbox: Arc<I>) -> Self {
        Self {
            keyring,
            inbox,
            window: config.acceptance,
            keeping: RetentionPolicy {
                retention: config.retention,
            },
        }
    }
}

impl<I> App<I> {
    /// What receives requests.
    pub fn receiver(&self, clock: Arc<dyn Clock>) -> Receiver<I> {
        Receiver {
            keyring: Arc::clone(&self.keyring),
            inbox: Arc::clone(&self.inbox),
            acceptance: self.window,
            clock,
            clock_check: ClockCheck::default(),
        }
    }
}

/// The inbox in a table; nothing is sent before it is used.
pub fn table_inbox(aws: &Aws, table: &str, shards: u32, config: &Config) -> DynamoInbox {
    let settings = dynamodb::TableSettings {
        table: table.to_owned(),
        shards,
        first_due: FIRST_DUE,
        retention: config.retention,
    };
    DynamoInbox::new(&aws.config(AwsService::DynamoDb), settings)
}

/// A destination that configuration can name.
pub enum AnyDestination<W> {
    /// One line an event.
    Log(LogDestination),
    /// An endpoint of the team's own.
    Https(Box<HttpsDestination<W>>),
    /// A queue of theirs.
    Sqs(Box<SqsDestination>),
    /// A bus of theirs.
    EventBridge(Box<EventBridgeDestination>),
    /// One that can't be used, and why: everything waits for it to be mended.
    Broken(String),
}

impl<W: Clock> Destination for AnyDestination<W> {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        match self {
            Self::Log(log) => log.deliver(key, event).await,
            Self::Https(https) => https.deliver(key, event).await,
            Self::Sqs(sqs) => sqs.deliver(key, event).await,
            Self::EventBridge(bus) => bus.deliver(key, event).await,
            Self::Broken(why) => Err(DeliveryError::Unavailable(why.clone())),
        }
    }
}

/// Why a configured destination can't be built.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// An endpoint can't be used.
    #[error("destination {0}: {1}")]
    Https(String, HttpsError),
    /// An endpoint has no secret to sign with.
    #[error("destination {0}: it has no secret that can be used, so nothing could be signed")]
    NoSecret(String),
    /// A queue or a bus, and no AWS.
    #[error(
        "destination {0}: it is on AWS, which was not reached for: set AWS_REGION and credentials"
    )]
    NoAws(String),
    /// The log can't be written to.
    #[error("destination log: {0}")]
    Log(#[from] io::Error),
}

/// What destinations are built from.
pub struct DestinationDeps<'a, W, L> {
    /// The secrets they sign with.
    pub secrets: &'a DestinationSecrets,
    /// How AWS is reached; needed only where a destination is there.
    pub aws: Option<&'a Aws>,
    /// Time.
    pub clock: &'a Arc<W>,
    /// Makes a destination of the kind `log`.
    pub log: L,
}

/// Builds the configured destinations, or says what is wrong with the first that can't be.
pub fn destinations<W: Clock>(
    config: &Config,
    parts: &DestinationDeps<'_, W, impl Fn() -> io::Result<LogDestination>>,
) -> Result<DestinationRoutes<AnyDestination<W>>, DestinationError> {
    routes(config, parts.secrets, |name, kind, secret| {
        parts.build(name, kind, secret)
    })
}

/// The same for a process that can't be refused its start: in place of one that can't be built
/// stands one that keeps everything waiting, and what is wrong comes beside them.
pub fn usable_destinations<W: Clock>(
    config: &Config,
    parts: &DestinationDeps<'_, W, impl Fn() -> io::Result<LogDestination>>,
) -> (DestinationRoutes<AnyDestination<W>>, Vec<DestinationError>) {
    let mut wrong = Vec::new();
    let routes = routes(config, parts.secrets, |name, kind, secret| {
        let built = parts.build(name, kind, secret);
        Ok::<_, Infallible>(built.unwrap_or_else(|error| {
            let why = error.to_string();
            wrong.push(error);
            AnyDestination::Broken(why)
        }))
    });
    let Ok(routes) = routes;
    (routes, wrong)
}

impl<W: Clock, L: Fn() -> io::Result<LogDestination>> DestinationDeps<'_, W, L> {
    fn build(
        &self,
        name: &str,
        kind: &DestinationConfig,
        secret: Option<&WebhookSecret>,
    ) -> Result<AnyDestination<W>, DestinationError> {
        let aws = || {
            self.aws
                .ok_or_else(|| DestinationError::NoAws(name.to_owned()))
        };
        match kind {
            DestinationConfig::Log => Ok(AnyDestination::Log((self.log)()?)),
            DestinationConfig::Https(https) => {
                let secret = secret.ok_or_else(|| DestinationError::NoSecret(name.to_owned()))?;
                let built =
                    HttpsDestination::new(&https.url, secret.clone(), Arc::clone(self.clock));
                let built =
                    built.map_err(|error| DestinationError::Https(name.to_owned(), error))?;
                Ok(AnyDestination::Https(Box::new(built)))
            }
            DestinationConfig::Sqs(queue) => Ok(AnyDestination::Sqs(Box::new(
                SqsDestination::new(aws()?, queue.clone()),
            ))),
            DestinationConfig::EventBridge(bus) => Ok(AnyDestination::EventBridge(Box::new(
                EventBridgeDestination::new(aws()?, bus.clone()),
            ))),
        }
    }
}

/// Builds the default destination and the named ones, and sends each source's notifications to its
/// own.
fn routes<W: Clock, E>(
    config: &Config,
    secrets: &DestinationSecrets,
    mut build: impl FnMut(
        &str,
        &DestinationConfig,
        Option<&WebhookSecret>,
    ) -> Result<AnyDestination<W>, E>,
) -> Result<DestinationRoutes<AnyDestination<W>>, E> {
    let mut routes = DestinationRoutes::to(Arc::new(build(
        "(default)",
        &config.destination,
        secrets.default.as_ref(),
    )?));
    let mut named = HashMap::new();
    for (name, kind) in &config.destinations {
        named.insert(name, Arc::new(build(name, kind, secrets.named.get(name))?));
    }
    for source in &config.sources {
        if let Some(own) = source.destination.as_ref().and_then(|name| named.get(name)) {
            routes = routes.with(source.name.as_str(), Arc::clone(own));
        }
    }
    Ok(routes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        destinations::example::event,
        domain::Timestamp,
        senders::example::{NOW, pay},
    };

    struct StillClock;
    impl Clock for StillClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }
        fn random(&self) -> u64 {
            0
        }
    }

    const LEDGERS: &str = "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n\
        [destination]\nkind = \"https\"\nurl = \"https://ledger.example.gov.uk/\"\nsecret \
         = \"env:LEDGER_WHSEC\"\n\
        [destinations.queue]\nkind = \"sqs\"\nurl \
         = \"https://sqs.eu-west-2.amazonaws.com/111122223333/ledger\"\n\
        [destinations.bus]\nkind = \"eventbridge\"\nbus = \"ledger\"\n";

    /// Neither the secret nor AWS is there.
    fn nothing<'a>(
        clock: &'a Arc<StillClock>,
        secrets: &'a DestinationSecrets,
    ) -> DestinationDeps<'a, StillClock, fn() -> io::Result<LogDestination>> {
        DestinationDeps {
            secrets,
            aws: None,
            clock,
            log: || LogDestination::new(io::sink()),
        }
    }

    #[test]
    fn an_endpoint_without_its_secret_is_refused_and_nothing_else_takes_its_place() {
        let config = Config::read(LEDGERS, "pillarbox.toml").unwrap();
        let (clock, none) = (Arc::new(StillClock), DestinationSecrets::default());
        let built = destinations(&config, &nothing(&clock, &none));
        assert!(matches!(built.err(), Some(DestinationError::NoSecret(_))));
    }

    #[tokio::test]
    async fn where_the_start_can_not_be_refused_everything_waits_for_what_is_wrong_to_be_mended() {
        let config = Config::read(LEDGERS, "pillarbox.toml").unwrap();
        let (clock, none) = (Arc::new(StillClock), DestinationSecrets::default());
        let (routes, wrong) = usable_destinations(&config, &nothing(&clock, &none));
        let wrong: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        let entry = pay("m1", "p1", "card_payment_succeeded", NOW);
        let waiting = DeliveryError::Unavailable(wrong[0].clone());
        assert_eq!(
            routes.deliver(&entry.key, &event(&entry)).await,
            Err(waiting)
        );
    }
}
