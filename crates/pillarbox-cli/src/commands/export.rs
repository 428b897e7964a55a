//! `pillarbox export`: prints notifications with their bytes, signature and verdict, as NDJSON.

use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Args;
use serde::Serialize;

use super::{
    CommandError, GlobalArgs,
    filter::FilterArgs,
    list::print_damaged,
    output::CommandOutput,
    row::{JsonRow, json},
    scan::{RowPages, ScanProgress},
    settings::CommandSettings,
    verify::{StoredProof, proof_context},
    work_line::WorkLine,
};
use pillarbox::{
    config::ConfigOverrides,
    inbox::{InboxError, ReadInbox, Row},
};

/// Prints notifications with their bytes, one JSON object per line.
#[derive(Args)]
#[command(
    after_help = "Each line has the fields of `list --json`, and: kind, content_digest, \
     budget_from, signature, secret_fingerprint, history_base64 (its attempts and replays), \
     body_base64 (the exact bytes; null once erased), and verdict: signed, \
     pulled, erased, other_secret (signed with a secret that is not configured) or broken, with \
     the reason in verdict_reason.\nThe lines hold personal data: keep them as you keep the \
     inbox.\n\nExit codes: 0 all were exported, 1 some are left out or broken.\n\n\
     Example:\n  pillarbox export --source pay --since 7d > pay.ndjson"
)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    filter: FilterArgs,
}

/// A row with its bytes, its signature and the verdict.
#[derive(Serialize)]
struct ExportedRow {
    #[serde(flatten)]
    row: JsonRow,
    kind: &'static str,
    content_digest: String,
    budget_from: String,
    signature: Option<String>,
    secret_fingerprint: Option<String>,
    history_base64: Option<String>,
    body_base64: Option<String>,
    verdict: &'static str,
    verdict_reason: Option<String>,
}

impl ExportArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let settings = CommandSettings::load_checked(global, ConfigOverrides::default())?;
        let (filter, inbox) = self.filter.open(&settings).await?;
        let context = proof_context(&settings).await?;
        let (inbox, progress) = ScanProgress::of(inbox, &filter, output).await?;
        let (mut exported, mut left_out, mut broken) = (0_usize, 0, 0);
        let line = WorkLine::counting("exported", true);
        let mut pages = RowPages::new(&inbox, &filter, &progress);
        while let Some(listed) = pages.next(output).await? {
            left_out += listed.newer.len() + listed.damaged.len();
            for summary in &listed.rows {
                let row = match inbox.get(&summary.key).await {
                    Ok(Some(row)) => row,
                    Ok(None) => continue, // it has expired meanwhile
                    Err(error @ InboxError::Damaged { .. }) => {
                        print_damaged(&[error], output)?;
                        left_out += 1;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                let proof = context.prove(&row);
                broken += usize::from(matches!(proof, StoredProof::Broken(_)));
                exported += 1;
                output.data(&json(&ExportedRow::of(&row, &proof))?)?;
                line.add_one();
            }
        }
        drop(line);
        output.info(&format!(
            "{exported} exported, {broken} of them broken; {left_out} left out"
        ))?;
        CommandError::negative_unless(broken + left_out == 0)
    }
}

impl ExportedRow {
    fn of(row: &Row, proof: &StoredProof) -> Self {
        let (verdict, verdict_reason) = proof.verdict();
        Self {
            row: JsonRow::from(row),
            kind: row.kind.name,
            content_digest: hex::encode(row.content_digest),
            budget_from: row.budget_from.to_string(),
            signature: row.signature.clone(),
            secret_fingerprint: row.secret_fingerprint.map(|print| print.to_string()),
            history_base64: row
                .history
                .stored()
                .map(|bytes| BASE64_STANDARD.encode(bytes)),
            body_base64: row.body.as_ref().map(|body| BASE64_STANDARD.encode(body)),
            verdict,
            verdict_reason: verdict_reason.map(str::to_owned),
        }
    }
}
