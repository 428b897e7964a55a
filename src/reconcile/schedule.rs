//! Reconciles every source that has a `pull`, each under the limits of its platform.
//!
//! Lambda reconciles all sources concurrently in one invocation and must end before the platform
//! stops it; `serve` reconciles each source on a timer until it is stopped. A run that is cut off
//! loses nothing: only stored notifications are acknowledged, and the next run resumes.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    NetworkTransport, RunContext, RunOptions, RunReporter, RunSleeper,
    credentials::{FetchedAccess, ReconcileCredentials},
    log::ReconcileLogger,
    record::{RunResult, record},
    run,
};
use crate::{
    config::{Config, SourceConfig},
    domain::{Clock, Timestamp},
    inbox::{LockHolder, ReconcileInbox},
    secrets::{SecretsManager, log_unusable_secrets},
    senders::Acceptance,
    telemetry::{MetricsWriter, ReconcileRecord},
};

/// The dependencies of a [`Reconciler`] beside its inbox and the senders.
pub struct ReconcilerDeps {
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// How runs wait.
    pub sleeper: Box<dyn RunSleeper>,
    /// Reads an environment variable.
    pub env: fn(&str) -> Option<String>,
    /// Reads secrets from AWS Secrets Manager; `None` where AWS is not used.
    pub manager: Option<SecretsManager>,
    /// Who holds the lock of a source during its runs.
    pub holder: Box<dyn LockHolder>,
    /// Where the events of runs go besides the log.
    pub reporter: Box<dyn RunReporter>,
    /// Where metrics are written; `None` where nothing reads them.
    pub metrics: Option<MetricsWriter>,
}

/// The limits of the platform on one run.
#[derive(Clone, Debug, Default)]
pub struct RunLimits {
    /// When the run must have ended.
    pub deadline: Option<Timestamp>,
    /// When the run is cut off, so that its record can still be written.
    pub cut_off: Option<Timestamp>,
    /// Stops the run between two steps.
    pub stop: CancellationToken,
    /// The platform's id of the invocation.
    pub request_id: Option<String>,
}

/// Reconciles every source that has a `pull`. Keeps no state between runs.
pub struct Reconciler<I> {
    inbox: Arc<I>,
    window: Acceptance,
    credentials: ReconcileCredentials,
    clock: Arc<dyn Clock>,
    sleeper: Box<dyn RunSleeper>,
    holder: Box<dyn LockHolder>,
    reporter: Box<dyn RunReporter>,
    metrics: Option<MetricsWriter>,
}

impl<I: ReconcileInbox> Reconciler<I> {
    /// A reconciler of the sources of `config`; `None` if none of them has a `pull`.
    pub fn new(config: &Config, inbox: Arc<I>, deps: ReconcilerDeps) -> Option<Self> {
        let credentials = ReconcileCredentials::new(config, deps.env, deps.manager)?;
        Some(Self {
            inbox,
            window: config.acceptance,
            credentials,
            clock: deps.clock,
            sleeper: deps.sleeper,
            holder: deps.holder,
            reporter: deps.reporter,
            metrics: deps.metrics,
        })
    }

    /// The sources that are reconciled.
    pub fn sources(&self) -> &[SourceConfig] {
        self.credentials.sources()
    }

    /// Reconciles all sources concurrently, and writes their records and metrics. Never fails as a
    /// whole.
    pub async fn reconcile_all(&self, limits: &RunLimits) -> Vec<ReconcileRecord> {
        let fetched = self.credentials.fetch(self.sources()).await;
        let runs = fetched
            .into_iter()
            .map(|(source, access)| self.reconcile_with(source, access, limits));
        let records = join_all(runs).await;
        if let Some(metrics) = &self.metrics {
            metrics.write(&records, self.clock.now());
        }
        records
    }

    /// Reconciles one source with credentials that are read now, since they may have changed.
    pub async fn reconcile(
        &self,
        source: &SourceConfig,
        limits: &RunLimits,
    ) -> Vec<ReconcileRecord> {
        let mut records = Vec::new();
        for (source, access) in self.credentials.fetch(std::slice::from_ref(source)).await {
            records.push(self.reconcile_with(source, access, limits).await);
        }
        records
    }

    async fn reconcile_with(
        &self,
        source: &SourceConfig,
        access: FetchedAccess,
        limits: &RunLimits,
    ) -> ReconcileRecord {
        let request_id = limits.request_id.as_deref();
        let logger = ReconcileLogger::new(&source.name, request_id, &*self.reporter);
        let time_left = limits
            .cut_off
            .map_or(Duration::MAX, |cut_off| cut_off.since(self.clock.now()));
        let running = timeout(time_left, self.run(source, access, limits, &logger));
        let reading = timeout(time_left, self.inbox.last_received(&source.name));
        let (result, last_received) = tokio::join!(running, reading);
        let result = result.unwrap_or(RunResult::CutOff);
        // If the inbox fails here, the run has failed too, and is logged.
        let last_received = last_received.ok().and_then(Result::ok).flatten();
        let newly_missing = logger.newly_missing();
        let now = self.clock.now();
        let record = ReconcileRecord {
            request_id: limits.request_id.clone(),
            ..record(source, &result, newly_missing, last_received, now)
        };
        logger.log(&record, &result);
        record
    }

    async fn run(
        &self,
        source: &SourceConfig,
        access: FetchedAccess,
        limits: &RunLimits,
        logger: &ReconcileLogger<'_>,
    ) -> RunResult {
        let access = match access {
            Ok(access) => access,
            Err(unusable) => {
                log_unusable_secrets(&unusable);
                return RunResult::NoCredentials(unusable);
            }
        };
        let options = RunOptions {
            deadline: limits.deadline,
            ..RunOptions::default()
        };
        let context = RunContext {
            inbox: &*self.inbox,
            clock: &*self.clock,
            sleeper: &*self.sleeper,
            transport: &NetworkTransport,
            stop: &limits.stop,
            holder: &*self.holder,
            reporter: logger,
            window: self.window,
        };
        RunResult::Ran(run(&source.name, &access, &options, &context).await)
    }
}
