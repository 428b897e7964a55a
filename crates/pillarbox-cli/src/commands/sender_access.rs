//! The access to a source's API, with its secrets read now.

use super::{
    CommandError, ErrorCode,
    settings::{fetch_vault, secret_sources_with},
};
use pillarbox::{config::SourceConfig, reconcile::SenderAccess, secrets::FetchedSecrets};

/// The access to the API of `source`; `None` if it has no `pull`.
pub(super) async fn access(source: &SourceConfig) -> Result<Option<SenderAccess>, CommandError> {
    let vault = fetch_vault(source.pull_references()).await?;
    access_with(source, &vault).map_err(|why| ErrorCode::Secret.error(why))
}

fn access_with(
    source: &SourceConfig,
    vault: &FetchedSecrets,
) -> Result<Option<SenderAccess>, String> {
    SenderAccess::of(source, &secret_sources_with(vault)).map_err(|unusable| {
        let problems: Vec<String> = unusable.iter().map(|one| one.problem.to_string()).collect();
        problems.join("\n")
    })
}
