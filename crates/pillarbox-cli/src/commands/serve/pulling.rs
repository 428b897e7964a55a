//! The local puller: asks each sender, every few minutes, for what it never pushed.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    super::pull,
    reconciled::{ReconcileLogger, say},
};
use crate::sqlite::SqliteInbox;
use pillarbox::{
    aws::{Aws, SecretsManager},
    config::{Config, SourceConfig},
    domain::{Clock, SystemClock},
    reconcile::{self, RunContext, RunOptions, SenderAccess, StopSignal, TokioSleeper},
    senders::Acceptance,
};

/// How long it is between two runs of a source.
const EVERY: Duration = Duration::from_secs(5 * 60);

/// Begins to ask the sender of every source that has a pull: at once, and then every five minutes until told to
/// stop. A run in progress ends between two steps. What it records the sweep finds within a second.
pub(super) fn begin(
    config: &Config,
    aws: Option<&Aws>,
    inbox: &Arc<SqliteInbox>,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut pulling = JoinSet::new();
    for source in config.sources.iter().filter(|source| source.pull.is_some()) {
        let puller = ReconcileSchedule {
            source: source.clone(),
            manager: aws.map(SecretsManager::new),
            inbox: Arc::clone(inbox),
            window: config.acceptance,
            stop: stop.clone(),
        };
        pulling.spawn(puller.pull());
    }
    pulling
}

/// One source, asked again and again.
struct ReconcileSchedule {
    source: SourceConfig,
    manager: Option<SecretsManager>,
    inbox: Arc<SqliteInbox>,
    window: Acceptance,
    stop: CancellationToken,
}

impl ReconcileSchedule {
    /// Credentials are fetched each time, since they may have changed; what is wrong with them is said each time, too.
    async fn pull(self) {
        while !self.stop.is_cancelled() {
            match pull::access_by(&self.source, self.manager.as_ref()).await {
                Ok(Some(access)) => self.run(&access).await,
                Ok(None) => return,
                Err(why) => tracing::error!(
                    source = self.source.name.as_str(),
                    why,
                    "its sender can't be asked"
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    async fn run(&self, access: &SenderAccess) {
        let (asked, said) = (
            StopSignal::default(),
            ReconcileLogger::new(&self.source.name),
        );
        let around = RunContext {
            inbox: &*self.inbox,
            world: &SystemClock,
            sleeper: &TokioSleeper,
            stop: &asked,
            observer: &said,
            window: self.window,
        };
        let options = RunOptions::default();
        let run = reconcile::run(&self.source.name, access, &options, &around);
        tokio::pin!(run);
        let outcome = tokio::select! {
            outcome = &mut run => outcome,
            () = self.stop.cancelled() => { asked.ask(); run.await }
        };
        say(&self.source.name, &outcome, SystemClock.now());
    }
}
