//! Configuration -> a function with the parts of its role, and nothing of another's.
//!
//! Connections are opened and secrets read here, at once, while the platform gives the process a
//! whole core and nobody waits. What fails now is tried again when it is needed; until then nothing
//! is taken in.

use std::{collections::BTreeSet, io, sync::Arc, time::Duration};

use super::{LambdaFunction, Reconciler, ReconcilerDeps, Role, RoleError};
use crate::{
    app::{AnyDestination, App, DestinationDeps, table_inbox, usable_destinations},
    aws::{Aws, AwsError},
    config::{Config, ConfigErrors, InboxConfig, Overrides},
    delivery::DeliveryWorker,
    destinations::{DestinationRoutes, LogDestination},
    domain::SystemClock,
    inbox::{RetentionPolicy, dynamodb::DynamoInbox},
    reconcile::{MetricsWriter, TokioSleeper},
    secrets::{
        FetchedSecrets, Keyring, SecretSources, SecretsCaller, SecretsManager, arns,
        log_unusable_secrets,
    },
};

/// How long opening connections may take. The platform gives 10 s for everything before the first
/// invocation.
const WARM_UP: Duration = Duration::from_secs(4);

/// What destinations are, as they are deployed.
type LambdaDestinations = DestinationRoutes<AnyDestination<SystemClock>>;
/// The function as it is deployed.
pub(super) type DeployedFunction = LambdaFunction<DynamoInbox, LambdaDestinations>;

/// Why a function can't begin; says what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum InitError {
    /// There is no role.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// There is no configuration.
    #[error("PILLARBOX_CONFIG is not set: put the configuration there, as one TOML document")]
    NoConfiguration,
    /// The configuration is wrong.
    #[error("{0}")]
    Configuration(#[from] ConfigErrors),
    /// A file would go with the environment.
    #[error(
        "the inbox is a local file, which a function loses: set [inbox] kind = \"dynamodb\" and \
         its table"
    )]
    LocalInbox,
    /// AWS can't be reached.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// A function that only reconciles has nothing to do.
    #[error(
        "no source is pulled from: give one a table [sources.NAME.pull], or deploy without this \
         function (Reconcile=off)"
    )]
    NothingToPull,
    /// A function that only hands on can't.
    #[error("{0}")]
    Destination(String),
}

impl InitError {
    /// The problem in one word.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Role(_) => "Role",
            Self::NoConfiguration
            | Self::Configuration(_)
            | Self::LocalInbox
            | Self::NothingToPull => "Configuration",
            Self::Aws(_) => "Aws",
            Self::Destination(_) => "Destination",
        }
    }
}

/// Builds the function in `role`, and warms it up.
pub(super) async fn build(
    role: Role,
    env: fn(&str) -> Option<String>,
) -> Result<DeployedFunction, InitError> {
    let outside = SecretSources {
        env: &env,
        file: &|path| std::fs::read_to_string(path),
        vault: FetchedSecrets::NOTHING,
    };
    let config = configuration(&outside)?;
    let InboxConfig::DynamoDb { table, shards } = &config.inbox else {
        return Err(InitError::LocalInbox);
    };
    let aws = Aws::from_variables(&outside)?;
    let (clock, manager) = (Arc::new(SystemClock), SecretsManager::new(&aws));
    let inbox = Arc::new(table_inbox(&aws, table, *shards, &config));
    let reconciler = role
        .pulls()
        .then(|| reconciler(&config, &inbox, &manager, env))
        .flatten();
    if role == Role::Reconcile && reconciler.is_none() {
        return Err(InitError::NothingToPull);
    }
    let keyring = role.receives().then(|| {
        Keyring::new(
            config.source_secrets(),
            &outside,
            Some(manager.clone()),
            clock.clone(),
        )
    });
    let theirs = if role.hands_on() {
        arns(config.destination_references())
    } else {
        BTreeSet::new()
    };
    let ((), (), vault) = tokio::join!(
        warm_inbox(role, &inbox),
        warm_keys(keyring.as_deref()),
        manager.read(&theirs, SecretsCaller::Nobody)
    );
    let app = keyring.map(|keyring| App::new(&config, keyring, Arc::clone(&inbox)));
    let worker = if role.hands_on() {
        let destinations = destinations(
            role,
            &config,
            &SecretSources {
                vault: &vault,
                ..outside
            },
            &aws,
            &clock,
        )?;
        let keeping = RetentionPolicy {
            retention: config.retention,
        };
        Some(Arc::new(DeliveryWorker::new(
            inbox,
            destinations,
            clock.clone(),
            keeping,
        )))
    } else {
        None
    };
    Ok(LambdaFunction::new(role, clock, app, worker, reconciler))
}

fn configuration(outside: &SecretSources<'_>) -> Result<Config, InitError> {
    const NAME: &str = "PILLARBOX_CONFIG";
    let document = (outside.env)(NAME)
        .filter(|document| !document.is_empty())
        .ok_or(InitError::NoConfiguration)?;
    let mut config = Config::read(&document, NAME)?;
    Overrides::default().apply(&mut config, outside)?;
    Ok(config)
}

/// What asks the senders, if it is configured. What they know us by is read when it is needed.
fn reconciler(
    config: &Config,
    inbox: &Arc<DynamoInbox>,
    manager: &SecretsManager,
    env: fn(&str) -> Option<String>,
) -> Option<Reconciler<DynamoInbox>> {
    let surroundings = ReconcilerDeps {
        env,
        manager: Some(manager.clone()),
        clock: Arc::new(SystemClock),
        sleeper: Box::new(TokioSleeper),
        metrics: Some(MetricsWriter::new(
            env("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default(),
            Box::new(io::stdout()),
        )),
    };
    Reconciler::new(config, Arc::clone(inbox), surroundings)
}

/// Builds the destinations. A function that does nothing but hand on and can't is not worth
/// beginning: the platform tries again with the next invocation. One that receives, too, keeps
/// everything waiting.
fn destinations(
    role: Role,
    config: &Config,
    outside: &SecretSources<'_>,
    aws: &Aws,
    clock: &Arc<SystemClock>,
) -> Result<LambdaDestinations, InitError> {
    let (secrets, unusable) = config.usable_destination_secrets(outside);
    log_unusable_secrets(&unusable);
    let parts = DestinationDeps {
        secrets: &secrets,
        aws: Some(aws),
        clock,
        log: || LogDestination::new(io::stdout()),
    };
    let (routes, wrong) = usable_destinations(config, &parts);
    for error in &wrong {
        tracing::error!(reason = %error, "a destination cannot be used");
    }
    match wrong.first() {
        Some(error) if !role.receives() => Err(InitError::Destination(error.to_string())),
        _ => Ok(routes),
    }
}

/// Opens what a first request would have to wait for. Nobody waits for reconciling, whose role may
/// not read that item.
async fn warm_inbox(role: Role, inbox: &DynamoInbox) {
    if role == Role::Reconcile {
        return;
    }
    let reason = match tokio::time::timeout(WARM_UP, inbox.warm()).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", WARM_UP.as_secs()),
    };
    tracing::warn!(
        reason,
        "inbox not reached yet, will retry with the first notification"
    );
}

async fn warm_keys(keyring: Option<&Keyring>) {
    let Some(keyring) = keyring else { return };
    keyring.warm().await; // gives up by itself
    log_unusable_secrets(&keyring.take_unusable());
}
