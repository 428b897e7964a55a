//! How a source's sender is asked, its secrets fetched now: they may have changed since the last time.

use super::{
    CommandError,
    settings::{outside_with, vault},
};
use pillarbox::{
    app,
    aws::{SecretsCaller, SecretsManager, arns},
    config::SourceConfig,
    reconcile::SenderAccess,
    secrets::FetchedSecrets,
};

/// How the sender of `source` is asked; `None` if the source has no `pull`.
pub(super) async fn access(source: &SourceConfig) -> Result<Option<SenderAccess>, CommandError> {
    let vault = vault(source.pull_references()).await?;
    access_with(source, &vault).map_err(CommandError::Usage)
}

/// The same for who knows AWS already; without a `manager` nothing may be kept there.
pub(super) async fn access_by(
    source: &SourceConfig,
    manager: Option<&SecretsManager>,
) -> Result<Option<SenderAccess>, String> {
    let wanted = arns(source.pull_references());
    let vault = match manager {
        Some(manager) => manager.read(&wanted, SecretsCaller::Nobody).await,
        None => FetchedSecrets::default(),
    };
    access_with(source, &vault)
}

fn access_with(
    source: &SourceConfig,
    vault: &FetchedSecrets,
) -> Result<Option<SenderAccess>, String> {
    app::access(source, &outside_with(vault)).map_err(|unusable| {
        let problems: Vec<String> = unusable.iter().map(|one| one.problem.to_string()).collect();
        problems.join("\n")
    })
}
