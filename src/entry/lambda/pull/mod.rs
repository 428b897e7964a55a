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
    entry::shout::shout,
    inbox::Inbox,
    reconcile::{self, Around, Options, RealTime, Sleeper, Stop},
    source::Acceptance,
    world::World,
};
use credentials::{Credentials, Fetched};
use news::Herald;
use row::End;
pub(super) use row::Row;

/// What a reconciler reaches beside its inbox and the senders.
pub struct Surroundings<S> {
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
pub struct Reconciler<I, S = RealTime> {
    inbox: Arc<I>,
    window: Acceptance,
    credentials: Credentials,
    sleeper: S,
    function: String,
    metrics: Mutex<Box<dyn Write + Send>>,
}

impl<I: Inbox, S: Sleeper> Reconciler<I, S> {
    /// One for the sources of `config`; `None` if none of them has a `pull`.
    pub fn new(config: &Config, inbox: Arc<I>, around: Surroundings<S>) -> Option<Self> {
        let Surroundings { env, manager, sleeper, function, metrics } = around;
        let credentials = Credentials::new(config, env, manager)?;
        let (window, metrics) = (config.acceptance, Mutex::new(metrics));
        Some(Self { inbox, window, credentials, sleeper, function, metrics })
    }

    /// Reconciles, and says how it went: a line a source, and the metrics. Never fails as a whole.
    pub(super) async fn reconcile(&self, world: &impl World, invocation: &Invocation) -> Vec<Row> {
        let fetched = self.credentials.fetch().await;
        let rows = join_all(fetched.into_iter().map(|one| self.one(world, invocation, one))).await;
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        // There is nowhere to report that what is said can't be written.
        let _ =
            metrics.write_all(emf::lines(&rows, &self.function, world.now()).as_bytes()).and_then(|()| metrics.flush());
        rows
    }

    async fn one(
        &self,
        world: &impl World,
        invocation: &Invocation,
        (source, fetched): (&SourceConfig, Fetched),
    ) -> Row {
        let herald = Herald::of(&source.name, &invocation.id);
        let left = deadline::left(invocation.deadline, world.now());
        let running = self.run(world, invocation, source, fetched, &herald);
        let hearing = timeout(left, self.inbox.last_heard(&source.name));
        let (end, heard) = tokio::join!(timeout(left, running), hearing);
        let end = end.unwrap_or(End::CutOff);
        // Where the inbox can't say, the run could not use it either, and has said so.
        let heard = heard.ok().and_then(Result::ok).flatten();
        let row = Row::new(source, &end, herald.newly_missing(), heard, world.now());
        herald.say(&row, &end);
        row
    }

    async fn run(
        &self,
        world: &impl World,
        invocation: &Invocation,
        source: &SourceConfig,
        fetched: Fetched,
        herald: &Herald<'_>,
    ) -> End {
        let access = match fetched {
            Ok(access) => access,
            Err(unusable) => {
                shout(&unusable);
                return End::NoCredentials(unusable);
            }
        };
        let options = Options { deadline: Some(deadline::last_step(invocation.deadline)), ..Options::default() };
        let around = Around {
            inbox: &*self.inbox,
            world,
            sleeper: &self.sleeper,
            stop: &Stop::default(),
            observer: herald,
            window: self.window,
        };
        End::Ran(reconcile::run(&source.name, &access, &options, &around).await)
    }
}
