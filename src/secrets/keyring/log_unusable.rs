//! Logs secrets that cannot be used, and secrets that two sources share: callbacks may be refused
//! for the first, and recorded by the wrong source for the second.

use crate::{
    domain::SourceName,
    secrets::{SecretError, UnusableSecretError},
};

/// Logs one line for each secret. Called once for each fetch.
pub fn log_unusable_secrets(unusable: &[UnusableSecretError]) {
    for secret in unusable {
        let source = secret.source.as_ref().map(SourceName::as_str);
        let reason = &secret.problem;
        if secret.why == SecretError::Shared {
            tracing::error!(source, %reason, "two sources have one secret");
        } else {
            tracing::error!(source, %reason, metric = metric(secret), "a secret cannot be used");
        }
    }
}

/// The metric that counts such an error of a source's secret. A function whose destination's secret
/// cannot be used does not start, which its platform counts.
fn metric(secret: &UnusableSecretError) -> Option<&'static str> {
    secret.source.as_ref()?;
    Some(match secret.why {
        SecretError::Unread(_) => "SecretReadFailure",
        SecretError::NoneYet => return None,
        _ => "SecretRefused",
    })
}
