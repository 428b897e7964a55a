//! Opens what `serve` needs, and runs it until a signal.

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{banner::print_banner, reachable::log_unreachable};
use crate::{
    commands::{
        CommandError, ErrorCode,
        listen::bind,
        output::CommandOutput,
        settings::{CommandSettings, variable},
        signals::stop_on_signals,
    },
    console::{Console, ConsoleAccess, ConsoleInbox},
    listener::raise_descriptor_limit,
    lock_holder::LocalProcess,
    metrics::ServeMetrics,
    refusals::RefusalLog,
    server::{NewRowHints, NewRows, ServeInbox, Server, SweepDuty, reconcile_loop, sweep_lease},
    sqlite::{ServeLock, SqliteInbox},
};
use pillarbox::{
    aws::{AwsConfig, AwsService},
    config::{Config, DestinationSecrets, InboxConfig},
    delivery::DeliveryWorker,
    destinations::Destination,
    domain::{Clock, SourceName, SystemClock},
    inbox::{
        RetentionPolicy,
        dynamodb::{DynamoInbox, PreflightError, TableSettings},
    },
    receive::Receiver,
    reconcile::{Reconciler, ReconcilerDeps, TokioSleeper},
    secrets::{Keyring, SecretsManager},
};

/// How long reconcile runs may take to end when the process stops. They are stopped together with
/// the requests and the attempts, but the wait begins when those have ended.
const RECONCILE_DRAIN: Duration = Duration::from_secs(2);

/// When a new row falls due for all replicas, if the replica that recorded it was killed or has too
/// many rows. Short, since no stream delivers the row.
const FIRST_DUE_ON_A_TABLE: Duration = Duration::from_secs(30);

/// A `serve` that is about to open its inbox.
pub(super) struct ServeStart<'a, D> {
    pub(super) settings: CommandSettings,
    pub(super) keyring: Arc<Keyring>,
    pub(super) aws: Option<AwsConfig>,
    pub(super) access: ConsoleAccess,
    pub(super) destination: D,
    /// The lines of the banner about the destination.
    pub(super) destination_lines: &'a [String],
    pub(super) metrics: Arc<ServeMetrics>,
    pub(super) refusals: Arc<RefusalLog>,
    pub(super) clock: Arc<SystemClock>,
}

impl<D: Destination> ServeStart<'_, D> {
    /// Opens the inbox, and serves until a signal.
    pub(super) async fn run(self, output: &mut CommandOutput) -> Result<(), CommandError> {
        raise_descriptor_limit();
        match self.settings.config.inbox.clone() {
            InboxConfig::Sqlite { path } => {
                let lock = ServeLock::acquire(&path)?;
                let inbox = Arc::new(SqliteInbox::create_locked(&path, lock)?);
                let alone = |_: &CancellationToken| (SweepDuty::always(), std::future::ready(()));
                let name = path.display().to_string();
                self.serve(inbox, name, None, alone, output).await
            }
            InboxConfig::DynamoDb { table, shards } => {
                let inbox = Arc::new(self.open_table(&table, shards).await?);
                let (sources, clock) = (self.source_names(), self.clock.clone());
                let competitor = Arc::clone(&inbox);
                let names = sources.clone();
                let compete = move |stop: &CancellationToken| {
                    let (duty, competing) =
                        sweep_lease::start_competing(competitor, clock, &names, stop.clone());
                    (duty, async move { drop(competing.await) })
                };
                let name = format!("table {table}");
                self.serve(inbox, name, Some(sources), compete, output)
                    .await
            }
        }
    }

    fn source_names(&self) -> BTreeSet<String> {
        let sources = self.settings.config.sources.iter();
        sources
            .map(|source| source.name.as_str().to_owned())
            .collect()
    }

    /// Opens the table, and checks that a server can use it. If it cannot be reached, `/-/readyz`
    /// and senders get 503 until it can.
    async fn open_table(&self, table: &str, shards: u32) -> Result<DynamoInbox, CommandError> {
        let Some(aws) = &self.aws else {
            unreachable!("AWS is loaded for an inbox on AWS");
        };
        let table = TableSettings {
            first_due: FIRST_DUE_ON_A_TABLE,
            ..TableSettings::new(table, shards, self.settings.config.retention)
        };
        let inbox = DynamoInbox::new(&aws.config(AwsService::DynamoDb), table);
        match inbox.preflight(self.clock.now(), self.clock.random()).await {
            Ok(()) => {}
            Err(error @ PreflightError::Misconfigured(_)) => {
                return Err(ErrorCode::TableSetup.error(error));
            }
            Err(PreflightError::Unreachable(reason)) => {
                tracing::error!(%reason, "the inbox is out of reach; starting all the same");
            }
        }
        Ok(inbox)
    }

    fn start_metrics<I: ServeInbox>(&self, inbox: &Arc<I>) {
        let sources = pushed_sources(&self.settings.config);
        self.metrics.declare(&sources);
        self.metrics.watch(inbox, &sources, self.clock.clone());
    }

    /// Serves until a signal. `take_duty` decides whether this process sweeps; its future ends when
    /// that is over.
    async fn serve<I: ServeInbox + ConsoleInbox, F: Future<Output = ()>>(
        self,
        inbox: Arc<I>,
        inbox_name: String,
        known_sources: Option<BTreeSet<String>>,
        take_duty: impl FnOnce(&CancellationToken) -> (SweepDuty, F),
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let config = &self.settings.config;
        let listener = bind(config.listen, "listen")?;
        let console_listener = bind(config.console, "console")?;
        let (bound, console_bound) = (listener.local_addr()?, console_listener.local_addr()?);

        let stop = stop_on_signals()?;
        self.start_metrics(&inbox);
        let console = self.console_settings(&inbox_name, bound).await;
        let console = Console::new(Arc::clone(&inbox), console, console_bound);
        let stopped = stop.clone();
        tokio::spawn(console.serve(console_listener, stopped.cancelled_owned()));
        let addresses = (bound, console_bound);
        let shown = (self.destination_lines, inbox_name.as_str());
        print_banner(&self.settings, &self.keyring, addresses, shown, output)?;
        let secrets = DestinationSecrets::default();
        tokio::spawn(log_unreachable(config.route_settings(&secrets)));
        let (duty, duty_ended) = take_duty(&stop);
        let new_rows = NewRows::default();
        let hints = new_rows.hints();
        let reconciling = reconciler(config, self.aws.as_ref(), &inbox, hints)
            .map(|reconciler| reconcile_loop::start(reconciler, &self.metrics, &duty, &stop))
            .unwrap_or_default();
        let retention = RetentionPolicy {
            retention: config.retention,
        };
        let (clock, destination) = (self.clock, self.destination);
        let server = Server {
            worker: DeliveryWorker::new(Arc::clone(&inbox), destination, clock.clone(), retention),
            receiver: Receiver::new(self.keyring, inbox, config.acceptance, clock),
            new_rows,
            metrics: self.metrics,
            refusals: self.refusals,
            sources: known_sources,
            duty,
        };
        server.run(listener, stop).await?;
        end_runs(duty_ended, reconciling).await;
        output.info(
            "Stopped. Stored notifications that are not delivered yet are delivered after the \
             next start.",
        )?;
        Ok(())
    }
}

/// The sources whose sender pushes.
fn pushed_sources(config: &Config) -> Vec<SourceName> {
    let pushed = config.sources.iter().filter(|source| source.webhook);
    pushed.map(|source| source.name.clone()).collect()
}

/// Waits for the reconcile runs. Each ends between two steps; the next run continues one that does
/// not.
async fn end_runs(duty_ended: impl Future<Output = ()>, mut runs: JoinSet<()>) {
    let ended = async {
        duty_ended.await;
        while runs.join_next().await.is_some() {}
    };
    if tokio::time::timeout(RECONCILE_DRAIN, ended).await.is_err() {
        tracing::warn!("a reconcile run did not end in time and was cut off");
    }
}

/// The reconciler of the sources that have a `pull`; `None` if there are none.
fn reconciler<I: ServeInbox>(
    config: &Config,
    aws: Option<&AwsConfig>,
    inbox: &Arc<I>,
    hints: NewRowHints,
) -> Option<Reconciler<I>> {
    let deps = ReconcilerDeps {
        clock: Arc::new(SystemClock),
        sleeper: Box::new(TokioSleeper),
        holder: Box::new(LocalProcess::new(&config.inbox)),
        reporter: Box::new(hints),
        env: variable,
        manager: aws.map(SecretsManager::new),
        metrics: None,
    };
    Reconciler::new(config, Arc::clone(inbox), deps)
}
