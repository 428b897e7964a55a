//! Configuration -> a function with the parts that its role needs, and no others.
//!
//! Connections are opened and secrets are read here, concurrently: before the first invocation the
//! platform gives the process a whole core, and no sender waits. A step that fails here is retried
//! when its result is needed; until then the function accepts no notifications.

use std::{collections::BTreeSet, fmt, io, sync::Arc, time::Duration};

use super::{LambdaFunction, Reconciler, ReconcilerDeps, Role, RoleError};
use crate::{
    aws::{AwsConfig, AwsError, AwsService},
    config::{
        Config, ConfigDocument, ConfigErrors, ConfigOverrides, DocumentReference, InboxConfig,
    },
    delivery::DeliveryWorker,
    destinations::{
        AnyDestination, DeliveryError, Destination, DestinationDeps, DestinationRoutes, Event,
        InFlightPermit, LogDestination,
    },
    domain::{Clock, Key, SystemClock},
    inbox::{
        RetentionPolicy,
        dynamodb::{DynamoInbox, TableSettings},
    },
    receive::Receiver,
    reconcile::TokioSleeper,
    secrets::{
        FetchedSecrets, Keyring, SecretSources, SecretsCaller, SecretsManager, arns,
        log_unusable_secrets,
    },
    telemetry::{FunctionMetrics, MetricSet, MetricsWriter},
};

/// The timeout for opening connections. The platform gives 10 s for everything before the first
/// invocation.
const WARM_UP: Duration = Duration::from_secs(4);

/// The variable with the configuration.
const CONFIGURATION: &str = "PILLARBOX_CONFIG";

/// The variable with the function's name, a dimension of its metrics.
const FUNCTION_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";

/// The variable with the set of metrics to write: `minimal` or `all`.
const METRIC_SET: &str = "PILLARBOX_METRICS";

/// Why a function cannot start, and what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum InitError {
    /// There is no role.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// There is no configuration.
    #[error(
        "PILLARBOX_CONFIG is not set: put the configuration there, as one TOML document, or \
         secretsmanager:ARN or file:PATH of it"
    )]
    NoConfiguration,
    /// The configuration is wrong.
    #[error("{0}")]
    Configuration(#[from] ConfigErrors),
    /// The inbox is a file, which is lost with the environment.
    #[error(
        "the inbox is a local file, which a function loses: set [inbox] kind = \"dynamodb\" and \
         its table"
    )]
    LocalInbox,
    /// AWS cannot be reached.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// A function that only reconciles has nothing to do.
    #[error(
        "no source is pulled from: give one a table [sources.NAME.pull], or deploy without this \
         function (Reconcile=off)"
    )]
    NothingToPull,
    /// A delivery-only function has no usable destination.
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

/// The dependencies of a destination.
pub(super) struct DestinationContext<'a> {
    role: Role,
    config: &'a Config,
    /// The errors of the configuration in spite of which the function receives.
    tolerated: Option<&'a ConfigErrors>,
    secrets: &'a SecretSources<'a>,
    aws: &'a AwsConfig,
    clock: Arc<dyn Clock>,
}

/// Builds the function in `role`, and warms it up. Only a role that delivers calls `destination`.
pub(super) async fn build<D: Destination>(
    role: Role,
    env: fn(&str) -> Option<String>,
    destination: impl FnOnce(&DestinationContext<'_>) -> Result<D, InitError>,
) -> Result<LambdaFunction<DynamoInbox, D>, InitError> {
    let secret_sources = SecretSources {
        env: &env,
        file: &|path| std::fs::read_to_string(path),
        vault: FetchedSecrets::NOTHING,
    };
    let document = document(&secret_sources).await?;
    let (config, tolerated) = configuration(role, &document, &secret_sources)?;
    let table = table(&config)?;
    let aws = AwsConfig::from_variables(&secret_sources)?;
    let (clock, manager) = (Arc::new(SystemClock), SecretsManager::new(&aws));
    let inbox = Arc::new(DynamoInbox::new(&aws.config(AwsService::DynamoDb), table));
    let reconciler = reconciler(role, &config, &inbox, &manager, env)?;
    let keyring = role
        .receives()
        .then(|| keyring(&config, &secret_sources, &manager));
    let vault = warm_up(role, &config, &inbox, keyring.as_deref(), &manager).await;
    let receiver = keyring.map(|keyring| {
        let (inbox, clock) = (Arc::clone(&inbox), clock.clone());
        Receiver::new(keyring, inbox, config.acceptance, clock)
    });
    let mut worker = None;
    if role.delivers() {
        let destination = destination(&DestinationContext {
            role,
            config: &config,
            tolerated: tolerated.as_ref(),
            secrets: &SecretSources {
                vault: &vault,
                ..secret_sources
            },
            aws: &aws,
            clock: clock.clone(),
        })?;
        let retention = RetentionPolicy {
            retention: config.retention,
        };
        let delivery = DeliveryWorker::new(inbox, destination, clock, retention);
        worker = Some(Arc::new(delivery));
    }
    let function = LambdaFunction::new(role, receiver, worker, reconciler);
    let pushed = config.sources.iter().filter(|source| source.webhook);
    let sources = pushed.map(|source| source.name.clone());
    Ok(function.with_metrics(function_metrics(env), sources.collect()))
}

/// The metrics of this function. A set that is unknown means all of them.
pub(super) fn function_metrics(env: fn(&str) -> Option<String>) -> FunctionMetrics {
    let set = env(METRIC_SET).and_then(|word| MetricSet::parse(&word));
    FunctionMetrics {
        function: env(FUNCTION_NAME).unwrap_or_default(),
        set: set.unwrap_or_default(),
    }
}

/// Reads the document that is in the variable, or that the variable names.
async fn document(secret_sources: &SecretSources<'_>) -> Result<ConfigDocument, InitError> {
    let value = (secret_sources.env)(CONFIGURATION)
        .filter(|value| !value.is_empty())
        .ok_or(InitError::NoConfiguration)?;
    let reference = DocumentReference::parse(CONFIGURATION, &value)?;
    let fetched = match reference.arn() {
        Some(arn) => {
            let manager = SecretsManager::new(&AwsConfig::from_variables(secret_sources)?);
            let arns = BTreeSet::from([arn.to_owned()]);
            manager.read(&arns, SecretsCaller::Background).await
        }
        None => FetchedSecrets::default(),
    };
    let secret_sources = SecretSources {
        vault: &fetched,
        ..*secret_sources
    };
    Ok(reference.read(&secret_sources)?)
}

/// Reads the configuration. A function that receives or reconciles is stopped only by an error
/// about the sources or the table; the other errors are logged, and returned.
fn configuration(
    role: Role,
    document: &ConfigDocument,
    secret_sources: &SecretSources<'_>,
) -> Result<(Config, Option<ConfigErrors>), InitError> {
    let ConfigDocument { text, name } = document;
    let (mut config, tolerated) = if role.receives() || role.pulls() {
        Config::read_to_receive(text, name)?
    } else {
        (Config::read(text, name)?, None)
    };
    for error in tolerated.iter().flat_map(ConfigErrors::iter) {
        tracing::error!(reason = %error, "the configuration has an error");
    }
    ConfigOverrides::default().apply(&mut config, secret_sources)?;
    Ok((config, tolerated))
}

/// The settings of the configured table.
fn table(config: &Config) -> Result<TableSettings, InitError> {
    match &config.inbox {
        InboxConfig::DynamoDb { table, shards } => {
            Ok(TableSettings::new(table, *shards, config.retention))
        }
        InboxConfig::Sqlite { .. } => Err(InitError::LocalInbox),
    }
}

fn keyring(config: &Config, sources: &SecretSources<'_>, manager: &SecretsManager) -> Arc<Keyring> {
    let clock = Arc::new(SystemClock);
    Keyring::new(
        config.source_secrets(),
        sources,
        Some(manager.clone()),
        clock,
    )
}

/// The reconciler, in a role that has one, if a source has a `pull`. Its credentials are read when
/// they are needed.
fn reconciler(
    role: Role,
    config: &Config,
    inbox: &Arc<DynamoInbox>,
    manager: &SecretsManager,
    env: fn(&str) -> Option<String>,
) -> Result<Option<Reconciler<DynamoInbox>>, InitError> {
    if !role.pulls() {
        return Ok(None);
    }
    let deps = ReconcilerDeps {
        env,
        manager: Some(manager.clone()),
        clock: Arc::new(SystemClock),
        sleeper: Box::new(TokioSleeper),
        holder: Box::new(format!(
            "the function {}",
            env(FUNCTION_NAME).unwrap_or_default()
        )),
        reporter: Box::new(()), // the stream delivers what is recorded
        metrics: Some(MetricsWriter::new(
            function_metrics(env),
            Box::new(io::stdout()),
        )),
    };
    let reconciler = Reconciler::new(config, Arc::clone(inbox), deps);
    if role == Role::Reconcile && reconciler.is_none() {
        return Err(InitError::NothingToPull);
    }
    Ok(reconciler)
}

/// Builds the configured destinations. In a function that receives in spite of errors in its
/// configuration, every delivery fails with them. Where one destination cannot be used, a function
/// that only delivers does not start, and the platform tries again with the next invocation. A
/// function that also receives starts, and the notifications for that destination stay open.
pub(super) fn configured_destinations(
    context: &DestinationContext<'_>,
) -> Result<DestinationRoutes<AnyDestination>, InitError> {
    if let Some(errors) = context.tolerated {
        let unusable = AnyDestination::Unusable(errors.to_string());
        return Ok(DestinationRoutes::to(Arc::new(unusable)));
    }
    let config = context.config;
    let (secrets, unusable) = config.usable_destination_secrets(context.secrets);
    log_unusable_secrets(&unusable);
    let (routes, errors) = config.route_settings(&secrets).build(&DestinationDeps {
        aws: Some(context.aws),
        clock: context.clock.clone(),
        secret_sources: context.secrets,
        log: &|| LogDestination::new(io::stdout()),
    });
    for error in &errors {
        context.log_unusable(error);
    }
    match errors.first() {
        Some(error) if !context.role.receives() => Err(InitError::Destination(error.to_string())),
        _ => Ok(routes),
    }
}

/// The destination that the program supplies.
pub(super) enum OwnDestination<D> {
    /// The program's code.
    Usable(D),
    /// The configuration names destinations: every delivery fails with that reason.
    Unusable(String),
}

impl<D: Destination> Destination for OwnDestination<D> {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        match self {
            Self::Usable(destination) => destination.deliver(key, event).await,
            Self::Unusable(reason) => Err(DeliveryError::Unavailable(reason.clone())),
        }
    }

    fn reserve(&self, source: &str) -> Option<InFlightPermit> {
        match self {
            Self::Usable(destination) => destination.reserve(source),
            Self::Unusable(_) => Some(InFlightPermit::default()),
        }
    }
}

/// Takes the program's own `destination`. A configuration that names destinations is an error, as
/// a destination that cannot be used is: see [`configured_destinations`].
pub(super) fn own_destination<D: Destination>(
    destination: D,
    context: &DestinationContext<'_>,
) -> Result<OwnDestination<D>, InitError> {
    if let Some(errors) = context.tolerated {
        return Ok(OwnDestination::Unusable(errors.to_string()));
    }
    let Err(error) = context.config.check_own_destination() else {
        return Ok(OwnDestination::Usable(destination));
    };
    let reason = format!("{CONFIGURATION} {error}");
    context.log_unusable(&reason);
    if context.role.receives() {
        Ok(OwnDestination::Unusable(reason))
    } else {
        Err(InitError::Destination(reason))
    }
}

impl DestinationContext<'_> {
    fn log_unusable(&self, reason: &impl fmt::Display) {
        tracing::error!(%reason, "a destination cannot be used");
    }
}

/// Opens connections and reads the secrets of `role`, concurrently. Returns the secrets of the
/// destinations.
async fn warm_up(
    role: Role,
    config: &Config,
    inbox: &DynamoInbox,
    keyring: Option<&Keyring>,
    manager: &SecretsManager,
) -> FetchedSecrets {
    let arns = if role.delivers() {
        arns(config.destination_references())
    } else {
        BTreeSet::new()
    };
    let ((), (), fetched) = tokio::join!(
        warm_inbox(role, inbox),
        warm_keys(keyring),
        manager.read(&arns, SecretsCaller::Background)
    );
    fetched
}

/// Opens the connection that a first request would wait for. Not in the role `reconcile`, in which
/// no request waits, and which has no permission to read that item.
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
    keyring.warm().await; // has its own time limit
    log_unusable_secrets(&keyring.take_fetch_errors());
}
