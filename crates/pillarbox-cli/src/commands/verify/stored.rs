//! Verifies every stored row: the digest of its bytes, and their signature.

use std::collections::HashMap;

use crate::{
    any_inbox::{AnyInbox, InboxAccess},
    commands::{
        CommandError, GlobalArgs,
        list::newer,
        output::Output,
        scan::ScanProgress,
        settings::{CommandSettings, outside_with, vault, wrong},
    },
};
use pillarbox::{
    config::Overrides,
    inbox::{InboxError, PageRequest, ReadInbox, Row, RowFilter},
    senders::{Source, verify},
    telemetry::visible,
};

/// What was proved about a row.
enum StoredProof {
    /// Signed by an active secret, over these very bytes.
    Signed,
    /// Pulled, so never signed; its bytes match their digest.
    Pulled,
    /// A person had its bytes erased.
    Erased,
    /// Its bytes match their digest, but the secret that proved them is gone.
    NoSecret(String),
    /// It is not what was received.
    Broken(String),
}

#[derive(Default)]
struct ProofCounts {
    signed: usize,
    pulled: usize,
    erased: usize,
    without_secret: usize,
    broken: usize,
    /// Rows that only a newer version could prove.
    unread: usize,
}

pub(super) async fn run(global: &GlobalArgs, output: &mut Output) -> Result<(), CommandError> {
    let settings = CommandSettings::load_to_use(global, Overrides::default())?;
    let vault = vault(settings.config.sender_references()).await?;
    let sources = settings
        .config
        .sender_secrets(&outside_with(&vault))
        .map_err(wrong)?;
    let (inbox, progress) = ScanProgress::of(
        settings.open_inbox(InboxAccess::Read).await?,
        &RowFilter::default(),
        output,
    )
    .await?;
    let sources = sources
        .into_iter()
        .map(|source| (source.name.as_str().to_owned(), source))
        .collect();
    let counts = prove_all(&inbox, &progress, &sources, output).await?;
    let ProofCounts {
        signed,
        pulled,
        erased,
        without_secret,
        broken,
        unread,
    } = counts;
    output.data(&format!(
        "{signed} signed and proven, {pulled} pulled, {erased} erased, {without_secret} whose \
         secret is gone, {broken} broken"
    ))?;
    if broken + unread == 0 {
        Ok(())
    } else {
        Err(CommandError::Wanting)
    }
}

async fn prove_all(
    inbox: &AnyInbox,
    progress: &ScanProgress,
    sources: &HashMap<String, Source>,
    output: &mut Output,
) -> Result<ProofCounts, CommandError> {
    let mut counts = ProofCounts::default();
    let mut page = Some(PageRequest::first(inbox.page(usize::MAX)));
    while let Some(this) = page.take() {
        let listed = inbox.list(&RowFilter::default(), this).await?;
        progress.end();
        newer(&listed.newer, output)?;
        counts.unread += listed.newer.len();
        for summary in &listed.rows {
            let proof = match inbox.get(&summary.key).await {
                Ok(Some(row)) => prove(&row, sources),
                Ok(None) => continue, // it expired meanwhile
                Err(error @ InboxError::Damaged { .. }) => StoredProof::Broken(error.to_string()),
                Err(error) => return Err(error.into()),
            };
            counts.add(&proof);
            if let StoredProof::NoSecret(why) | StoredProof::Broken(why) = proof {
                output.say(&why)?;
            }
        }
        page = listed.next.map(|next| PageRequest {
            limit: inbox.page(usize::MAX),
            after: Some(next),
        });
    }
    Ok(counts)
}

fn prove(row: &Row, sources: &HashMap<String, Source>) -> StoredProof {
    if row.body.is_none() {
        return StoredProof::Erased;
    }
    let body = match row.proven_body() {
        Ok(body) => body.clone(),
        Err(error) => return StoredProof::Broken(error.to_string()),
    };
    let Some(signature) = &row.signature else {
        return StoredProof::Pulled;
    };
    let label = row.key_label.as_deref().unwrap_or("-");
    let gone = || {
        StoredProof::NoSecret(format!(
            "{}: its secret {} is not configured any more",
            row.key,
            visible(label)
        ))
    };
    let Some(source) = sources.get(row.key.source()) else {
        return gone();
    };
    let signatures = [signature.as_bytes()];
    match verify(
        source.kind,
        &source.keys,
        &signatures,
        body,
        row.received_at,
    ) {
        Ok(_) => StoredProof::Signed,
        Err(_) if !source.keys.iter().any(|key| key.label() == label) => gone(),
        Err(fault) => StoredProof::Broken(format!(
            "{}: {fault}; or {} holds another secret now",
            row.key,
            visible(label)
        )),
    }
}

impl ProofCounts {
    fn add(&mut self, proof: &StoredProof) {
        let count = match proof {
            StoredProof::Signed => &mut self.signed,
            StoredProof::Pulled => &mut self.pulled,
            StoredProof::Erased => &mut self.erased,
            StoredProof::NoSecret(_) => &mut self.without_secret,
            StoredProof::Broken(_) => &mut self.broken,
        };
        *count += 1;
    }
}
