//! Logs secrets that cannot be used, because callbacks may be refused for lack of them.

use crate::{domain::SourceName, secrets::UnusableSecretError};

/// Logs one line for each secret. Called once for each fetch.
pub fn log_unusable_secrets(unusable: &[UnusableSecretError]) {
    for secret in unusable {
        let source = secret.source.as_ref().map(SourceName::as_str);
        tracing::error!(source, reason = %secret.problem, "a secret cannot be used");
    }
}
