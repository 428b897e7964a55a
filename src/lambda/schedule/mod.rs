//! The schedule of reconciling: each source that has a `pull` is asked for what it never pushed, all of them at once.
//!
//! A run has to be over before the platform stops the function. What it could not do, the next one goes on with; one that
//! is cut off all the same has lost nothing, since what is not stored is not acknowledged.

mod credentials;
mod emf;
mod news;
mod row;

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{Invocation, deadline};
use crate::{
    aws::SecretsManager,
    config::{Config, SourceConfig},
    domain::Clock,
    inbox::Inbox,
    keyring::log_unusable_secrets,
    reconcile::{self, RunContext, RunOptions, Sleeper, StopSignal, TokioSleeper},
    senders::Acceptance,
};
use credentials::{FetchedAccess, ReconcileCredentials};
use news::ReconcileLogger;
pub(super) use row::ReconcileRecord;
use row::RunResult;

/// What a reconciler reaches beside its inbox and the senders.
pub struct ReconcilerDeps<S> {
    /// Reads an environment variable.
    pub env: fn(&str) -> Option<String>,
    /// Reads what is in Secrets Manager; `None` where nothing is.
    pub manager: Option<SecretsManager>,
    /// How it waits.
    pub sleeper: S,
    /// What the function is called: its metrics have that for a dimension.
    pub function: String,
    /// Where its metrics go, one JSON object a line.
    pub metrics: Box<dyn Write + Send>,
}

/// Reconciles every source that has a `pull`. It keeps nothing of an invocation.
pub struct Reconciler<I, S = TokioSleeper> {
    inbox: Arc<I>,
    window: Acceptance,
    credentials: ReconcileCredentials,
    sleeper: S,
    function: String,
    metrics: Mutex<Box<dyn Write + Send>>,
}

impl<I: Inbox, S: Sleeper> Reconciler<I, S> {
    /// One for the sources of `config`; `None` if none of them has a `pull`.
    pub fn new(config: &Config, inbox: Arc<I>, around: ReconcilerDeps<S>) -> Option<Self> {
        let ReconcilerDeps {
            env,
            manager,
            sleeper,
            function,
            metrics,
        } = around;
        let credentials = ReconcileCredentials::new(config, env, manager)?;
        let (window, metrics) = (config.acceptance, Mutex::new(metrics));
        Some(Self {
            inbox,
            window,
            credentials,
            sleeper,
            function,
            metrics,
        })
    }

    /// Reconciles, and says how it went: a line a source, and the metrics. Never fails as a whole.
    pub(super) async fn reconcile(
        &self,
        world: &impl Clock,
        invocation: &Invocation,
    ) -> Vec<ReconcileRecord> {
        let fetched = self.credentials.fetch().await;
        let rows = join_all(
            fetched
                .into_iter()
                .map(|one| self.one(world, invocation, one)),
        )
        .await;
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        // There is nowhere to report that what is said can't be written.
        let _ = metrics
            .write_all(emf::lines(&rows, &self.function, world.now()).as_bytes())
            .and_then(|()| metrics.flush());
        rows
    }

    async fn one(
        &self,
        world: &impl Clock,
        invocation: &Invocation,
        (source, fetched): (&SourceConfig, FetchedAccess),
    ) -> ReconcileRecord {
        let herald = ReconcileLogger::of(&source.name, &invocation.id);
        let left = deadline::left(invocation.deadline, world.now());
        let running = self.run(world, invocation, source, fetched, &herald);
        let hearing = timeout(left, self.inbox.last_heard(&source.name));
        let (end, heard) = tokio::join!(timeout(left, running), hearing);
        let end = end.unwrap_or(RunResult::CutOff);
        // Where the inbox can't say, the run could not use it either, and has said so.
        let heard = heard.ok().and_then(Result::ok).flatten();
        let row = ReconcileRecord::new(source, &end, herald.newly_missing(), heard, world.now());
        herald.say(&row, &end);
        row
    }

    async fn run(
        &self,
        world: &impl Clock,
        invocation: &Invocation,
        source: &SourceConfig,
        fetched: FetchedAccess,
        herald: &ReconcileLogger<'_>,
    ) -> RunResult {
        let access = match fetched {
            Ok(access) => access,
            Err(unusable) => {
                log_unusable_secrets(&unusable);
                return RunResult::NoCredentials(unusable);
            }
        };
        let options = RunOptions {
            deadline: Some(deadline::last_step(invocation.deadline)),
            ..RunOptions::default()
        };
        let around = RunContext {
            inbox: &*self.inbox,
            world,
            sleeper: &self.sleeper,
            stop: &StopSignal::default(),
            observer: herald,
            window: self.window,
        };
        RunResult::Ran(reconcile::run(&source.name, &access, &options, &around).await)
    }
}
