//! The local puller: asks each sender, every few minutes, for what it never pushed.

use std::{future::Future, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    entry::reconciled::{Said, say},
    inbox::sqlite::SqliteInbox,
    notification::SourceName,
    reconcile::{self, Access, Around, Options, RealTime, Stop},
    source::Acceptance,
    world::World,
};

/// How long it is between two runs of a source.
const EVERY: Duration = Duration::from_secs(5 * 60);

/// What pulling needs beside credentials.
#[derive(Clone)]
pub struct Puller<W> {
    /// Where what comes is recorded. The sweep finds it within a second.
    pub inbox: Arc<SqliteInbox>,
    /// Time and chance.
    pub world: Arc<W>,
    /// How old a notification may be and still be acted on by itself.
    pub window: Acceptance,
}

impl<W: World> Puller<W> {
    /// Runs at once and then every five minutes, until told to stop; a run in progress ends between two steps.
    ///
    /// `access` is asked each time, since secrets may have changed; what is wrong with them is said each time, too.
    pub async fn pull<A>(self, source: SourceName, access: impl Fn() -> A, stop: CancellationToken)
    where
        A: Future<Output = Result<Option<Access>, String>>,
    {
        while !stop.is_cancelled() {
            match access().await {
                Ok(Some(access)) => self.run(&source, &access, &stop).await,
                Ok(None) => return,
                Err(why) => tracing::error!(source = source.as_str(), why, "its sender can't be asked"),
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn run(&self, source: &SourceName, access: &Access, stop: &CancellationToken) {
        let (asked, said) = (Stop::default(), Said::new(source));
        let around = Around {
            inbox: &*self.inbox,
            world: &*self.world,
            sleeper: &RealTime,
            stop: &asked,
            observer: &said,
            window: self.window,
        };
        let options = Options::default();
        let run = reconcile::run(source, access, &options, &around);
        tokio::pin!(run);
        let outcome = tokio::select! {
            outcome = &mut run => outcome,
            () = stop.cancelled() => { asked.ask(); run.await }
        };
        say(source, &outcome, self.world.now());
    }
}
