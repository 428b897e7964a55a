//! The parts of a running Pillarbox, built from its configuration.
//!
//! The only file that knows which inbox and which destinations there are to choose from.

#[cfg(feature = "local")]
mod any_inbox;

use std::{collections::HashMap, io, sync::Arc, time::Duration};

#[cfg(feature = "local")]
use crate::{
    aws::AwsProblem,
    config::InboxConfig,
    inbox::{InboxError, sqlite::SqliteInbox},
    secret::Outside,
};
use crate::{
    aws::{Aws, Service},
    config::{Config, DestinationConfig, Secrets},
    destination::{DeliveryError, Destination, Event, Https, HttpsError, Log, Routes, WebhookSecret},
    inbox::{
        Keeping,
        dynamodb::{self, DynamoInbox},
    },
    notification::{Key, SourceName},
    source::{Acceptance, Source},
    world::World,
};

#[cfg(feature = "local")]
pub use any_inbox::AnyInbox;

/// When the sweep takes up a row of a table that its stream did not: time enough for the stream.
const FIRST_DUE: Duration = Duration::from_secs(2 * 60);
/// How much longer than their rows long bodies are kept.
const KEPT_AFTER_ROWS: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a receiver and a processor share.
pub struct App<I> {
    /// Every configured sender, by name.
    pub sources: HashMap<SourceName, Source>,
    /// Where notifications are stored.
    pub inbox: Arc<I>,
    /// How old one may be and still be acted on by itself.
    pub window: Acceptance,
    /// How long finished ones are kept.
    pub keeping: Keeping,
}

impl<I> App<I> {
    /// The parts that `config` describes, over an inbox that is open already.
    pub fn new(config: &Config, sources: Vec<Source>, inbox: Arc<I>) -> Self {
        Self {
            sources: sources.into_iter().map(|source| (source.name.clone(), source)).collect(),
            inbox,
            window: config.acceptance,
            keeping: Keeping { retention: config.retention },
        }
    }
}

/// Opens the configured inbox; a local one must be there.
#[cfg(feature = "local")]
pub async fn open_inbox(config: &Config, outside: &Outside<'_>) -> Result<AnyInbox, OpenError> {
    match &config.inbox {
        InboxConfig::Sqlite { path } => Ok(AnyInbox::Sqlite(SqliteInbox::open(path)?)),
        InboxConfig::DynamoDb { table, shards } => {
            let aws = Aws::from_settings(outside).await?;
            Ok(AnyInbox::DynamoDb(table_inbox(&aws, table, *shards, config)))
        }
    }
}

/// The inbox in a table; nothing is sent before it is used.
pub fn table_inbox(aws: &Aws, table: &str, shards: u32, config: &Config) -> DynamoInbox {
    let settings = dynamodb::Settings {
        table: table.to_owned(),
        shards,
        first_due: FIRST_DUE,
        bodies_kept: config.retention + KEPT_AFTER_ROWS,
    };
    DynamoInbox::new(&aws.config(Service::DynamoDb), settings)
}

/// Why an inbox can't be opened.
#[cfg(feature = "local")]
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The inbox itself is why.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// AWS can't be reached.
    #[error(transparent)]
    Aws(#[from] AwsProblem),
}

/// A destination that configuration can name.
pub enum Configured<W> {
    /// One line an event.
    Log(Log),
    /// An endpoint of the team's own.
    Https(Box<Https<W>>),
}

impl<W: World> Destination for Configured<W> {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        match self {
            Self::Log(log) => log.deliver(key, event).await,
            Self::Https(https) => https.deliver(key, event).await,
        }
    }
}

/// Why the configured destinations can't be built.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// An endpoint can't be used.
    #[error("destination {0}: {1}")]
    Https(String, HttpsError),
    /// An endpoint has no secret to sign with.
    #[error("destination {0}: its secret was not fetched, so nothing could be signed")]
    NoSecret(String),
    /// The log can't be written to.
    #[error("destination log: {0}")]
    Log(#[from] io::Error),
}

/// Builds the configured destinations; `log` makes what the `log` kind writes to.
pub fn destinations<W: World, O: io::Write + Send + 'static>(
    config: &Config,
    secrets: &Secrets,
    world: &Arc<W>,
    log: impl Fn() -> O,
) -> Result<Routes<Configured<W>>, DestinationError> {
    let build = |name: &str, kind: &DestinationConfig, secret: Option<&WebhookSecret>| match (kind, secret) {
        (DestinationConfig::Log, _) => Ok(Arc::new(Configured::Log(Log::new(log())?))),
        (DestinationConfig::Https(https), Some(secret)) => Https::new(&https.url, secret.clone(), Arc::clone(world))
            .map(|https| Arc::new(Configured::Https(Box::new(https))))
            .map_err(|error| DestinationError::Https(name.to_owned(), error)),
        (DestinationConfig::Https(_), None) => Err(DestinationError::NoSecret(name.to_owned())),
    };
    let mut routes = Routes::to(build("(default)", &config.destination, secrets.destination.as_ref())?);
    let mut named = HashMap::new();
    for (name, kind) in &config.destinations {
        named.insert(name, build(name, kind, secrets.destinations.get(name))?);
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::notification::Timestamp;

    struct Still;
    impl World for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }
        fn random(&self) -> u64 {
            0
        }
    }

    #[test]
    fn an_endpoint_without_its_secret_is_refused_and_nothing_else_takes_its_place() {
        let document = "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n\
            [destination]\nkind = \"https\"\nurl = \"https://ledger.example.gov.uk/\"\nsecret = \"env:LEDGER_WHSEC\"\n";
        let config = Config::read(document, "pillarbox.toml").unwrap();
        let none = Secrets { sources: vec![], destination: None, destinations: BTreeMap::new() };
        let built = destinations(&config, &none, &Arc::new(Still), io::sink);
        assert!(matches!(built.err(), Some(DestinationError::NoSecret(_))));
    }
}
