//! Verifies every stored row: its fields are derived again from its bytes, and their signature.

use crate::{
    any_inbox::{AnyInbox, InboxAccess},
    commands::{
        CommandError, GlobalArgs,
        list::{damaged, newer},
        output::Output,
        scan::ScanProgress,
        settings::{CommandSettings, outside_with, vault, wrong},
        work_line::WorkLine,
    },
    evidence::{ProofContext, StoredProof},
};
use pillarbox::{
    config::{InboxConfig, Overrides},
    domain::{Clock, SystemClock},
    inbox::{InboxError, PageRequest, ReadInbox, RowFilter},
};

#[derive(Default)]
struct ProofCounts {
    signed: usize,
    pulled: usize,
    erased: usize,
    other_secret: usize,
    broken: usize,
    /// Rows that only a newer version could prove.
    unread: usize,
}

pub(super) async fn run(global: &GlobalArgs, output: &mut Output) -> Result<(), CommandError> {
    let settings = CommandSettings::load_to_use(global, Overrides::default())?;
    let context = proof_context(&settings).await?;
    let (inbox, progress) = ScanProgress::of(
        settings.open_inbox(InboxAccess::Read).await?,
        &RowFilter::default(),
        output,
    )
    .await?;
    let counts = prove_all(&inbox, &progress, &context, output).await?;
    let ProofCounts {
        signed,
        pulled,
        erased,
        other_secret,
        broken,
        unread,
    } = counts;
    output.data(&format!(
        "{signed} signed and proven, {pulled} pulled, {erased} erased, {other_secret} signed with \
         a secret that is not here, {broken} broken"
    ))?;
    if broken + unread == 0 {
        Ok(())
    } else {
        Err(CommandError::Wanting)
    }
}

/// What the rows of the configured inbox are compared with.
pub(in crate::commands) async fn proof_context(
    settings: &CommandSettings,
) -> Result<ProofContext, CommandError> {
    let vault = vault(settings.config.sender_references()).await?;
    let sources = settings
        .config
        .sender_secrets(&outside_with(&vault))
        .map_err(wrong)?;
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
    output: &mut Output,
) -> Result<ProofCounts, CommandError> {
    let mut counts = ProofCounts::default();
    let line = WorkLine::counting("verified", false);
    let mut page = Some(PageRequest::first(inbox.page(usize::MAX)));
    while let Some(this) = page.take() {
        let listed = inbox.list(&RowFilter::default(), this).await?;
        progress.end();
        newer(&listed.newer, output)?;
        counts.unread += listed.newer.len();
        damaged(&listed.damaged, output)?;
        counts.broken += listed.damaged.len();
        for summary in &listed.rows {
            let proof = match inbox.get(&summary.key).await {
                Ok(Some(row)) => context.prove(&row),
                Ok(None) => continue, // it expired meanwhile
                Err(error @ InboxError::Damaged { .. }) => StoredProof::Broken(error.to_string()),
                Err(error) => return Err(error.into()),
            };
            counts.add(&proof);
            line.add_one();
            if let StoredProof::OtherSecret(why) | StoredProof::Broken(why) = proof {
                line.above(|| output.say(&why))?;
            }
        }
        page = listed.next.map(|next| PageRequest {
            limit: inbox.page(usize::MAX),
            after: Some(next),
        });
    }
    Ok(counts)
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
