//! Verifies every stored row: derives its fields again from its bytes, and verifies its signature.

use serde::Serialize;

use crate::{
    any_inbox::{AnyInbox, InboxAccess},
    commands::{
        CommandError, GlobalArgs,
        json_act::unreadable,
        output::CommandOutput,
        row::json,
        scan::{RowPages, ScanProgress},
        settings::{CommandSettings, fetch_vault, secret_sources_with},
        work_line::WorkLine,
    },
    evidence::{ProofContext, StoredProof},
};
use pillarbox::{
    config::{ConfigOverrides, InboxConfig},
    domain::{Clock, SystemClock},
    inbox::{InboxError, ReadInbox, RowFilter},
};

#[derive(Clone, Copy, Default, Serialize)]
struct ProofCounts {
    signed: usize,
    pulled: usize,
    erased: usize,
    other_secret: usize,
    broken: usize,
    /// Rows that only a newer version could prove.
    newer: usize,
}

/// A row that is not proven. The names are stable.
#[derive(Serialize)]
struct JsonFinding<'a> {
    key: Option<&'a str>,
    verdict: &'static str,
    reason: &'a str,
}

pub(super) async fn run(
    global: &GlobalArgs,
    as_json: bool,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    let settings = CommandSettings::load_checked(global, ConfigOverrides::default())?;
    let context = proof_context(&settings).await?;
    let (inbox, progress) = ScanProgress::of(
        settings.open_inbox(InboxAccess::Read).await?,
        &RowFilter::default(),
        output,
    )
    .await?;
    let counts = prove_all(&inbox, &progress, &context, as_json, output).await?;
    let ProofCounts {
        signed,
        pulled,
        erased,
        other_secret,
        broken,
        newer,
    } = counts;
    if as_json {
        let summary = serde_json::json!({"summary": counts});
        output.data(&summary.to_string())?;
    } else {
        output.data(&format!(
            "{signed} signed and proven, {pulled} pulled, {erased} erased, {other_secret} signed \
             with a secret that is not configured, {broken} broken"
        ))?;
    }
    CommandError::negative_unless(broken + newer == 0)
}

/// The configuration that the rows of the inbox are checked against.
pub(in crate::commands) async fn proof_context(
    settings: &CommandSettings,
) -> Result<ProofContext, CommandError> {
    let vault = fetch_vault(settings.config.sender_references()).await?;
    let sources = settings
        .config
        .sender_secrets(&secret_sources_with(&vault))?;
    Ok(ProofContext {
        sources: sources
            .into_iter()
            .map(|source| (source.name.as_str().to_owned(), source))
            .collect(),
        shards: match settings.config.inbox {
            InboxConfig::DynamoDb { .. } => None,
            InboxConfig::Sqlite { .. } => Some(1),
        },
        now: SystemClock.now(),
    })
}

async fn prove_all(
    inbox: &AnyInbox,
    progress: &ScanProgress,
    context: &ProofContext,
    as_json: bool,
    output: &mut CommandOutput,
) -> Result<ProofCounts, CommandError> {
    let mut counts = ProofCounts::default();
    let line = WorkLine::counting("verified", false);
    let all = RowFilter::default();
    let mut pages = RowPages::new(inbox, &all, progress);
    while let Some(listed) = pages.next(output).await? {
        counts.newer += listed.newer.len();
        counts.broken += listed.damaged.len();
        if as_json {
            for (key, verdict, reason) in unreadable(&listed.newer, &listed.damaged) {
                print_finding(key, verdict, &reason, output)?;
            }
        }
        for summary in &listed.rows {
            let proof = match inbox.get(&summary.key).await {
                Ok(Some(row)) => context.prove(&row),
                Ok(None) => continue, // it expired meanwhile
                Err(error @ InboxError::Damaged { .. }) => StoredProof::Broken(error.to_string()),
                Err(error) => return Err(error.into()),
            };
            counts.add(&proof);
            line.add_one();
            let (verdict, reason) = proof.verdict();
            if let Some(reason) = reason {
                line.print_above(|| output.info(reason))?;
            }
            if let Some(reason) = reason.filter(|_| as_json) {
                let key = Some(summary.key.as_str());
                line.print_above(|| print_finding(key, verdict, reason, output))?;
            }
        }
    }
    Ok(counts)
}

fn print_finding(
    key: Option<&str>,
    verdict: &'static str,
    reason: &str,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    let finding = JsonFinding {
        key,
        verdict,
        reason,
    };
    Ok(output.data(&json(&finding)?)?)
}

impl ProofCounts {
    fn add(&mut self, proof: &StoredProof) {
        let count = match proof {
            StoredProof::Signed => &mut self.signed,
            StoredProof::Pulled => &mut self.pulled,
            StoredProof::Erased => &mut self.erased,
            StoredProof::OtherSecret(_) => &mut self.other_secret,
            StoredProof::Broken(_) => &mut self.broken,
        };
        *count += 1;
    }
}
