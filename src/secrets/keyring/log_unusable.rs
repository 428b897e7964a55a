//! Secrets that cannot be used, or that two sources have -> one log line each: callbacks may be
//! refused for the first, and recorded by the wrong source for the second.

use crate::{
    domain::SourceName,
    secrets::{SecretError, UnusableSecretError},
};

/// Logs each of them. Called once a reading.
pub fn log_unusable_secrets(unusable: &[UnusableSecretError]) {
    for secret in unusable {
        let source = secret.source.as_ref().map(SourceName::as_str);
        let reason = &secret.problem;
        if secret.why == SecretError::Shared {
            tracing::error!(source, %reason, "two sources have one secret");
        } else {
            tracing::error!(source, %reason, "a secret can't be used");
        }
    }
}
