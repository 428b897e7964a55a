//! AWS as a person reaches it from a machine of their own.

use aws_config::BehaviorVersion;
use pillarbox::{
    aws::{Aws, AwsError, http_client},
    secrets::SecretSources,
};

/// Finds the region and credentials as every AWS tool does: variables, profiles, single sign-on.
pub(crate) async fn from_environment(sources: &SecretSources<'_>) -> Result<Aws, AwsError> {
    let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client(sources)?);
    let shared = loader.load().await;
    if shared.region().is_none() {
        return Err(AwsError::NoRegion);
    }
    Ok(Aws::new(shared, sources))
}
