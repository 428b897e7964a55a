//! How a source's sender is asked, its secrets fetched now: they may have changed since the last time.

use super::{
    Failure,
    settings::{outside_with, vault},
};
use crate::{app, config::SourceConfig, reconcile::Access};

/// How the sender of `source` is asked; `None` if the source has no `pull`.
pub(super) async fn access(source: &SourceConfig) -> Result<Option<Access>, Failure> {
    let vault = vault(source.pull_references()).await?;
    app::access(source, &outside_with(&vault)).map_err(|unusable| {
        let problems: Vec<String> = unusable.iter().map(|one| one.problem.to_string()).collect();
        Failure::Usage(problems.join("\n"))
    })
}
