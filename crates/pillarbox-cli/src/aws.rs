//! AWS as a person reaches it from a machine of their own, and a server from its container.

use aws_config::{BehaviorVersion, identity::IdentityCache};
use pillarbox::{
    aws::{Aws, AwsError, http_client},
    secrets::SecretSources,
};

/// Finds the region and credentials as every AWS tool does: variables, a profile or single sign-on,
/// a web identity, the role of an ECS task or of an EKS pod, the role of an EC2 instance.
pub(crate) async fn from_environment(sources: &SecretSources<'_>) -> Result<Aws, AwsError> {
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client(sources)?)
        .identity_cache(IdentityCache::no_cache()); // `Aws` renews the credentials
    let shared = loader.load().await;
    if shared.region().is_none() {
        return Err(AwsError::NoRegion);
    }
    Aws::with_credentials_of(shared, sources).await
}
