//! What `replay` and `discard` share: acts on named notifications, and on all that match.

use std::{num::NonZeroU32, pin::pin, sync::Arc};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{
    CommandError, ErrorCode,
    filter::FilterArgs,
    json_act::{JsonAct, unreadable},
    key::{find_key, unknown_key},
    list::{print_damaged, print_newer},
    output::CommandOutput,
    scan::ScanProgress,
    settings::CommandSettings,
    work_line::WorkLine,
};
use crate::{
    acts::{ActProgress, ActReport, ActScope, Operator, RowAct, RowResult, RowSelection},
    any_inbox::AnyInbox,
};
use pillarbox::{
    domain::Key,
    inbox::{AuditOutcome, OperatorInbox},
};

/// The options of an act on all that match.
#[derive(Args)]
pub(super) struct BulkArgs {
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    /// Change all that match, however many
    #[arg(long)]
    pub(super) yes: bool,
    /// Change all that match, if their number is exactly N
    #[arg(long, value_name = "N", conflicts_with = "yes")]
    expect: Option<usize>,
    /// Change at most N a second
    #[arg(long, value_name = "N")]
    rate: Option<NonZeroU32>,
    /// Only list and count what would be changed
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print one JSON object for each notification
    #[arg(long)]
    json: bool,
}

/// A person at the configured inbox.
async fn operator(
    settings: &CommandSettings,
    dry_run: bool,
) -> Result<Operator<AnyInbox>, CommandError> {
    let (inbox, actor) = settings.open_as_person(dry_run).await?;
    let retention = settings.config.retention;
    Ok(Operator::new(Arc::new(inbox), actor, retention))
}

/// Prints every place that has bytes of a notification.
async fn print_copies(
    operator: &Operator<AnyInbox>,
    key: &Key,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    for copy in operator.inbox().body_copies(key).await? {
        output.info(&format!("{key}: {} bytes in {}", copy.bytes, copy.location))?;
    }
    Ok(())
}

/// Prints an error of one notification; returns its sentence.
fn report_error(error: CommandError, output: &mut CommandOutput) -> std::io::Result<String> {
    output.error(&error)?;
    Ok(error.into_text())
}

impl BulkArgs {
    /// Acts on each notification that `texts` name; returns how many were changed, or would be.
    /// Changes nothing if one of the texts is ambiguous.
    pub(super) async fn act_on_named(
        &self,
        act: RowAct,
        texts: &[String],
        settings: &CommandSettings,
        output: &mut CommandOutput,
    ) -> Result<usize, CommandError> {
        let operator = operator(settings, self.dry_run).await?;
        let mut keys = Vec::new();
        for text in texts {
            // An act on a full key is audited even if no notification has the key.
            let found = find_key(text, operator.inbox(), settings).await?;
            match found.or_else(|| Key::parse(text)) {
                Some(key) => keys.push(key),
                None => drop(self.report(act, text, &RowResult::Absent, output)?),
            }
        }
        let mut done = 0;
        for key in &keys {
            let result = if self.dry_run {
                operator.preview(act, key).await?
            } else {
                operator.act_on(act, key).await?
            };
            if self.dry_run && act == RowAct::Erase && matches!(result, RowResult::Done) {
                print_copies(&operator, key, output).await?;
            }
            done += usize::from(self.report(act, key.as_str(), &result, output)?);
        }
        Ok(done)
    }

    /// Prints the result of an act on one notification; returns whether it is done.
    fn report(
        &self,
        act: RowAct,
        key: &str,
        result: &RowResult,
        output: &mut CommandOutput,
    ) -> Result<bool, CommandError> {
        let reason = match result {
            RowResult::Done => {
                self.print_done(act, key, output)?;
                return Ok(true);
            }
            RowResult::Refused(why) => {
                output.info(&format!("{key} is left alone: {why}"))?;
                (*why).to_owned()
            }
            RowResult::Absent => report_error(unknown_key(key), output)?,
            RowResult::Unreadable(error) => report_error(error.clone().into(), output)?,
            RowResult::BytesLeft(copies) => {
                let mut errors = Vec::new();
                for copy in copies {
                    let error = ErrorCode::BytesLeft.error(format!(
                        "{key}: {} bytes are still in {}: run the command again",
                        copy.bytes, copy.location
                    ));
                    errors.push(report_error(error, output)?);
                }
                errors.join("; ")
            }
        };
        self.print_left(act, Some(key), reason, output)?;
        Ok(false)
    }

    fn print_done(
        &self,
        act: RowAct,
        key: &str,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        if self.json {
            return self.print_json(act, Some(key), None, output);
        }
        Ok(output.data(key)?)
    }

    /// Prints, with `--json`, that a notification was not changed. The message for people is
    /// printed already.
    fn print_left(
        &self,
        act: RowAct,
        key: Option<&str>,
        reason: String,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        if self.json {
            self.print_json(act, key, Some(reason), output)?;
        }
        Ok(())
    }

    fn print_json(
        &self,
        act: RowAct,
        key: Option<&str>,
        reason: Option<String>,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let object = JsonAct {
            dry_run: self.dry_run,
            ..JsonAct::new(act.action(), key, reason)
        };
        object.print(output)
    }

    /// Acts on all of `scope`; returns how many were changed, or would be. `has_consent` if the
    /// command line names all of them, so that no confirmation is needed.
    ///
    /// # Errors
    /// [`CommandError::Negative`] if not all were changed.
    pub(super) async fn act_on_all(
        &self,
        scope: &ActScope,
        has_consent: bool,
        settings: &CommandSettings,
        output: &mut CommandOutput,
    ) -> Result<usize, CommandError> {
        let (inbox, actor) = settings.open_as_person(self.dry_run).await?;
        let listed = scope.listed_filters();
        let (inbox, scan) = ScanProgress::of(inbox, &listed[0], output).await?;
        let page = inbox.page_rows(usize::MAX);
        let operator = Operator::new(Arc::new(inbox), actor, settings.config.retention);
        let selection = operator.select(scope, page).await?;
        scan.finish();
        print_newer(&selection.newer, output)?;
        print_damaged(&selection.damaged, output)?;
        for (key, _, reason) in unreadable(&selection.newer, &selection.damaged) {
            self.print_left(selection.act, key, reason, output)?;
        }
        for (key, why) in &selection.refused {
            self.report(
                selection.act,
                key.as_str(),
                &RowResult::Refused(why),
                output,
            )?;
        }
        if self.dry_run {
            for key in &selection.keys {
                if selection.act == RowAct::Erase {
                    print_copies(&operator, key, output).await?;
                }
                self.print_done(selection.act, key.as_str(), output)?;
            }
            return Ok(selection.keys.len());
        }
        self.check_consent(&selection, has_consent)?;
        let report = self.run(&operator, &selection, output).await?;
        finish(&selection, report, output)
    }

    /// Checks that the user agreed to this number of notifications.
    fn check_consent(&self, selection: &RowSelection, given: bool) -> Result<(), CommandError> {
        let (count, participle) = (selection.keys.len(), selection.act.participle());
        match self.expect {
            Some(expected) if expected != count => Err(CommandError::Failed(format!(
                "{count} match, and not {expected}: nothing was {participle}"
            ))),
            None if !(given || self.yes || count == 0) => Err(CommandError::Usage(format!(
                "{count} match, and nothing was {participle}: add --dry-run to list them, and \
                 --yes or --expect {count} to have them {participle}"
            ))),
            _ => Ok(()),
        }
    }

    /// Acts on all of them, until Ctrl-C.
    async fn run(
        &self,
        operator: &Operator<AnyInbox>,
        selection: &RowSelection,
        output: &mut CommandOutput,
    ) -> Result<ActReport, CommandError> {
        let (stop, bar) = (
            CancellationToken::new(),
            WorkLine::bar(selection.keys.len()),
        );
        let mut printed: Result<(), CommandError> = Ok(());
        let mut on_row = |key: &Key, result: &RowResult, progress: ActProgress| {
            if printed.is_ok() {
                printed = bar.print_above(|| {
                    let reported = self.report(selection.act, key.as_str(), result, output);
                    reported.map(drop)
                });
            }
            if printed.is_err() {
                stop.cancel(); // standard output is closed
            }
            bar.set_position((progress.total - progress.remaining()) as u64);
        };
        let report = {
            let mut act = pin!(operator.act_on_all(selection, self.rate, &stop, &mut on_row));
            tokio::select! {
                report = &mut act => report,
                _ = tokio::signal::ctrl_c() => { stop.cancel(); act.await }
            }
        };
        drop(bar);
        let report = report?;
        printed?;
        Ok(report)
    }
}

/// The number of changed notifications. Prints what remains if not all were changed.
fn finish(
    selection: &RowSelection,
    report: ActReport,
    output: &mut CommandOutput,
) -> Result<usize, CommandError> {
    let ActProgress {
        done, left_alone, ..
    } = report.progress;
    let remaining = report.progress.remaining();
    let participle = selection.act.participle();
    let so_far = format!("{done} {participle}, {left_alone} left alone, {remaining} remain");
    match report.outcome {
        AuditOutcome::Failed => {
            let why = report.failure.map(|error| error.to_string());
            let why = why.unwrap_or_default();
            Err(CommandError::Failed(format!(
                "{why}. {so_far}: run it again"
            )))
        }
        AuditOutcome::Stopped => {
            output.info(&format!("Stopped: {so_far}. Run it again for the rest."))?;
            Err(CommandError::Negative)
        }
        _ if left_alone > 0 || is_incomplete(selection) => {
            output.info(&format!("{so_far}."))?;
            Err(CommandError::Negative)
        }
        _ => Ok(done),
    }
}

/// Whether notifications remain that should have been ended. A replay only names those that it
/// cannot replay.
fn is_incomplete(selection: &RowSelection) -> bool {
    let left = selection.refused.len() + selection.newer.len() + selection.damaged.len();
    selection.act != RowAct::Replay && left > 0
}
