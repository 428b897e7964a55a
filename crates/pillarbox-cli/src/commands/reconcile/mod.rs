//! `pillarbox reconcile`: reconciles one source with its sender's API now.

mod progress_line;
mod table;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{
    CommandError, ErrorCode, GlobalArgs, filter::since, output::CommandOutput, sender_access,
    settings::CommandSettings,
};
use crate::{any_inbox::InboxAccess, lock_holder::LocalProcess};
use pillarbox::{
    domain::{Clock, SystemClock},
    reconcile::{self, NetworkTransport, RunContext, RunEnd, RunOptions, RunOutcome, TokioSleeper},
};
use progress_line::ProgressLine;

/// Fetches from a sender what it did not push. Notifications in HMRC's boxes are recorded and
/// acknowledged; payments with missing events are listed, and their current state is recorded.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    pillarbox reconcile hmrc\n  \
    pillarbox reconcile pay --since 7d --dry-run --json\n\n\
    HMRC allows one list of a box in 10 seconds, so a full box takes a while; Ctrl-C ends the \
     run, and the next run continues.\n\
    A sender that does not answer is tried 8 times, which takes about two minutes.\n\
    Exits with 1 if an event is missing, or if a box could not be emptied.")]
pub(super) struct ReconcileArgs {
    /// The source to reconcile; it needs a [sources.NAME.pull]
    source: String,
    /// Only notifications created since a date, such as 2026-03-02T10:15:00Z, or within a span,
    /// such as 30m, 2h or 7d [default: 30 days]
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only report: record and acknowledge nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object per line: each box or missing event, and a summary
    #[arg(long)]
    json: bool,
}

impl ReconcileArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let since = self
            .since
            .as_deref()
            .map(|when| since(when, SystemClock.now()))
            .transpose()?;
        let settings = CommandSettings::load(global)?;
        let source = settings.source(&self.source)?;
        let access = sender_access::access(source)
            .await?
            .ok_or_else(|| not_configured(&self.source))?;
        let inbox = settings.open_inbox(InboxAccess::Change).await?;
        let (stop, bar) = (CancellationToken::new(), ProgressLine::new());
        let context = RunContext {
            inbox: &inbox,
            clock: &SystemClock,
            sleeper: &TokioSleeper,
            transport: &NetworkTransport,
            stop: &stop,
            holder: &LocalProcess::new(&settings.config.inbox),
            reporter: &bar,
            window: settings.config.acceptance,
        };
        let options = RunOptions {
            deadline: None,
            since,
            dry_run: self.dry_run,
            by_hand: true,
        };
        let run = reconcile::run(&source.name, &access, &options, &context);
        tokio::pin!(run);
        let outcome = tokio::select! {
            outcome = &mut run => outcome,
            _ = tokio::signal::ctrl_c() => { stop.cancel(); run.await }
        };
        bar.finish();
        if self.json {
            table::json(&outcome, output)?;
        } else {
            table::print(&outcome, self.dry_run, output)?;
        }
        exit_result(outcome)
    }
}

/// The result of the command: exit code 1 if an event is missing or something failed.
fn exit_result(outcome: RunOutcome) -> Result<(), CommandError> {
    let stats = outcome.stats();
    match outcome.ended {
        RunEnd::Completed if stats.missing == 0 && stats.errors == 0 => Ok(()),
        RunEnd::Completed | RunEnd::Incomplete => Err(CommandError::Negative),
        other => Err(other.into()),
    }
}

fn not_configured(source: &str) -> CommandError {
    ErrorCode::NotReconciled.error(format!(
        "[sources.{source}] has no pull: add [sources.{source}.pull] with the API's credentials \
         (docs/reconcile.md)"
    ))
}
