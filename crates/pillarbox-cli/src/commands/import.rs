//! `pillarbox import`: stores notifications that `export` has printed.
//!
//! Every line is verified as `verify --stored` verifies a row, so a damaged or changed line is
//! refused. A stored notification is a duplicate, so an import can be repeated. A notification that
//! was open is held, because the original inbox may deliver it, too.

mod exported_row;
mod lines;

use std::sync::Arc;

use clap::Args;
use futures_util::future::{join_all, try_join_all};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    CommandError, GlobalArgs, json_act::JsonAct, output::CommandOutput, settings::CommandSettings,
    verify::proof_context, work_line::WorkLine,
};
use crate::{
    acts::Operator,
    any_inbox::AnyInbox,
    evidence::{ProofContext, StoredProof},
};
use exported_row::{ImportError, row_of};
use lines::ExportedLines;
use pillarbox::{
    config::ConfigOverrides,
    domain::{Clock, HeldReason, Key, State, SystemClock, Timestamp},
    inbox::{
        AuditAction, AuditOutcome, DeliveryInbox, ImportOutcome, InboxError, OperatorInbox,
        RetentionPolicy, Row,
    },
};

/// The number of notifications that are stored together, if they are short.
const BATCH_ROWS: usize = 64;
/// A batch ends with the line that exceeds this total.
const BATCH_BYTES: usize = 4 << 20;

/// Stores notifications that `export` has printed, each once.
#[derive(Args)]
#[command(
    after_help = "Notifications keep their keys, bytes, digests, dates and states. One that was \
     open is held, with the reason `imported`, until `replay`: the original inbox may deliver it, \
     too.\n\nExit codes: 0 all are stored, 1 some are not.\n\nExamples:\n  pillarbox import \
     pay.ndjson\n  pillarbox export --inbox dynamodb:OLD | \\\n      \
     pillarbox import - --inbox dynamodb:NEW"
)]
pub(super) struct ImportArgs {
    /// The output of `export`; - is standard input
    #[arg(value_name = "FILE")]
    file: String,
    /// Keep open notifications open, with their attempts. The other inbox must no longer deliver
    /// them
    #[arg(long)]
    deliver: bool,
    /// Print one JSON object for each line, and one with the counts
    #[arg(long)]
    json: bool,
}

/// The results of the lines.
#[derive(Debug, Default, Serialize)]
struct ImportCounts {
    stored: usize,
    duplicates: usize,
    expired: usize,
    refused: usize,
}

impl ImportCounts {
    fn total(&self) -> usize {
        self.stored + self.duplicates + self.expired + self.refused
    }
}

impl ImportArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let settings = CommandSettings::load_checked(global, ConfigOverrides::default())?;
        let lines = ExportedLines::open(&self.file)?;
        let context = ProofContext {
            shards: None,
            ..proof_context(&settings).await?
        };
        let (inbox, actor) = settings.open_as_person(false).await?;
        let retention = settings.config.retention;
        let operator = Operator::new(Arc::new(inbox), actor, retention);
        let mut import = ImportRun {
            operator: &operator,
            context,
            deliver: self.deliver,
            as_json: self.json,
            retention: RetentionPolicy { retention },
            counts: ImportCounts::default(),
        };
        let planned = lines.len();
        let entry = operator
            .begin(AuditAction::Import, lines.name(), Some(planned as u64))
            .await?;
        let stop = CancellationToken::new();
        let ended = {
            let mut run = std::pin::pin!(import.store_all(lines, &stop, output));
            tokio::select! {
                ended = &mut run => ended,
                _ = tokio::signal::ctrl_c() => { stop.cancel(); run.await }
            }
        };
        let counts = import.counts;
        let outcome = match &ended {
            Err(_) => AuditOutcome::Failed,
            Ok(()) if counts.total() < planned => AuditOutcome::Stopped,
            Ok(()) => AuditOutcome::Done,
        };
        operator
            .complete(entry, counts.stored as u64, outcome)
            .await?;
        if self.json {
            output.data(&serde_json::json!({"summary": counts}).to_string())?;
        }
        print_summary(&counts, planned, output)?;
        ended?;
        CommandError::negative_unless(counts.refused == 0 && outcome == AuditOutcome::Done)
    }
}

fn print_summary(
    counts: &ImportCounts,
    planned: usize,
    output: &mut CommandOutput,
) -> std::io::Result<()> {
    let ImportCounts {
        stored,
        duplicates,
        expired,
        refused,
    } = counts;
    let rest = match planned - counts.total() {
        0 => String::new(),
        remain => format!("; {remain} remain, run it again for the rest"),
    };
    output.info(&format!(
        "{stored} imported, {duplicates} stored before, {expired} expired, {refused} refused{rest}."
    ))
}

/// One run of the command.
struct ImportRun<'a> {
    operator: &'a Operator<AnyInbox>,
    context: ProofContext,
    deliver: bool,
    as_json: bool,
    retention: RetentionPolicy,
    counts: ImportCounts,
}

impl ImportRun<'_> {
    /// Stores the lines, oldest first, until `stop`.
    async fn store_all(
        &mut self,
        mut lines: ExportedLines,
        stop: &CancellationToken,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let bar = WorkLine::bar(lines.len());
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some((number, line)) = lines.next()? {
            if stop.is_cancelled() {
                break;
            }
            bytes += line.len();
            match self.read(&line) {
                Ok(row) if has_expired(&row) => {
                    self.counts.expired += 1;
                    let reason = Some("it has expired".to_owned());
                    bar.print_above(|| self.print_json(number, Some(&row.key), reason, output))?;
                }
                Ok(row) => batch.push((number, row)),
                Err(error) => {
                    self.counts.refused += 1;
                    bar.print_above(|| {
                        output.info(&format!("line {number} is left out: {error}"))?;
                        self.print_json(number, error.key(), Some(error.to_string()), output)
                    })?;
                }
            }
            if batch.len() == BATCH_ROWS || bytes > BATCH_BYTES {
                self.store(std::mem::take(&mut batch), &bar, output).await?;
                bytes = 0;
            }
            bar.set_position(self.counts.total() as u64);
        }
        self.store(batch, &bar, output).await
    }

    /// Prints the result of a line, with `--json`.
    fn print_json(
        &self,
        line: usize,
        key: Option<&Key>,
        reason: Option<String>,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        if !self.as_json {
            return Ok(());
        }
        let object = JsonAct {
            line: Some(line),
            ..JsonAct::new(AuditAction::Import, key.map(Key::as_str), reason)
        };
        object.print(output)
    }

    /// The verified row of a line, in the state to store.
    fn read(&self, line: &str) -> Result<Row, ImportError> {
        let row = row_of(line)?;
        if let StoredProof::Broken(why) = self.context.prove(&row) {
            return Err(ImportError::Broken(row.key, why));
        }
        if row.state == State::Recorded && !self.deliver {
            return Ok(held(row, SystemClock.now()));
        }
        Ok(row)
    }

    /// Stores the rows together, in their order, which is the order of a list.
    async fn store(
        &mut self,
        rows: Vec<(usize, Row)>,
        bar: &WorkLine,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let inbox = self.operator.inbox();
        try_join_all(rows.iter().map(|(_, row)| self.claim_event(row))).await?;
        let imported = join_all(rows.iter().map(|(_, row)| inbox.import(row))).await;
        for ((number, row), imported) in rows.iter().zip(imported) {
            let reason = match imported? {
                ImportOutcome::Stored => {
                    self.counts.stored += 1;
                    if !self.as_json {
                        bar.print_above(|| output.data(row.key.as_str()))?;
                    }
                    None
                }
                ImportOutcome::Duplicate => {
                    self.counts.duplicates += 1;
                    Some("it is stored already".to_owned())
                }
                ImportOutcome::KeyTaken => {
                    self.counts.refused += 1;
                    let error = ImportError::KeyTaken(row.key.clone()).to_string();
                    bar.print_above(|| output.info(&error))?;
                    Some(error)
                }
            };
            bar.print_above(|| self.print_json(*number, Some(&row.key), reason, output))?;
        }
        Ok(())
    }

    /// Claims the event of a delivered notification in the ledger of its payment, so that it is not
    /// delivered again under another id.
    async fn claim_event(&self, row: &Row) -> Result<(), InboxError> {
        if let Some(event) = row.event().filter(|_| was_delivered(row)) {
            let expires_at = self.retention.ledger_expiry(SystemClock.now());
            let inbox = self.operator.inbox();
            inbox.claim_event(&event, &row.key, expires_at).await?;
        }
        Ok(())
    }
}

fn has_expired(row: &Row) -> bool {
    let now = SystemClock.now();
    row.expires_at.is_some_and(|at| at <= now)
}

fn was_delivered(row: &Row) -> bool {
    let is_erased = row.state == State::Discarded;
    let was_delivered_before = row.reason.as_deref() == Some(State::Delivered.as_str());
    row.state == State::Delivered || is_erased && was_delivered_before
}

/// An open row as it is stored without `--deliver`: held, until a person replays it.
fn held(row: Row, now: Timestamp) -> Row {
    Row {
        state: State::Held,
        reason: Some(HeldReason::Imported.to_string()),
        attempts: 0,
        last_error: None,
        due_at: Some(now),
        ..row
    }
}
