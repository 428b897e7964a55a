//! Access to AWS with the standard credentials of a person or a server.

use std::time::Duration;

use aws_config::{BehaviorVersion, identity::IdentityCache};
use pillarbox::{
    aws::{AwsConfig, AwsError, AwsLimits, AwsService, http_client, require_endpoints},
    secrets::SecretSources,
};

/// The limits of the call that names the caller. If it fails, the access key names them.
const IDENTITY_LIMITS: AwsLimits = AwsLimits {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(2),
    operation: Duration::from_secs(3),
    attempts: 2,
    backoff: Duration::from_millis(100),
};

/// Finds the region and credentials as every AWS tool does: variables, a profile or single sign-on,
/// a web identity, the role of an ECS task or of an EKS pod, the role of an EC2 instance.
pub(crate) async fn from_environment(sources: &SecretSources<'_>) -> Result<AwsConfig, AwsError> {
    require_endpoints(sources)?;
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client(sources)?)
        .identity_cache(IdentityCache::no_cache()); // `AwsConfig` renews the credentials
    let shared = loader.load().await;
    if shared.region().is_none() {
        return Err(AwsError::NoRegion);
    }
    AwsConfig::with_credentials_of(shared, sources).await
}

/// The identity whose credentials sign requests: its ARN, or else the id of its access key.
pub(crate) async fn caller(aws: &AwsConfig) -> Option<String> {
    match caller_arn(aws).await {
        Some(arn) => Some(arn),
        None => Some(format!("access key {}", aws.access_key_id().await?)),
    }
}

async fn caller_arn(aws: &AwsConfig) -> Option<String> {
    let is_emulated = aws.has_own_endpoint(AwsService::DynamoDb)
        && !aws.has_own_endpoint(AwsService::SecurityToken);
    if is_emulated {
        return None; // the credentials are for an emulator, and must not be sent to AWS
    }
    let client = aws_sdk_sts::Client::new(&aws.within(AwsService::SecurityToken, &IDENTITY_LIMITS));
    let identity = client.get_caller_identity().send().await.ok()?;
    identity.arn().map(str::to_owned)
}
