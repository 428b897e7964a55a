//! Secrets that cannot be used -> one log line each, because callbacks may be refused for them.

use crate::{domain::SourceName, secrets::UnusableSecretError};

/// Logs each of them. Called once a reading.
pub fn log_unusable_secrets(unusable: &[UnusableSecretError]) {
    for secret in unusable {
        let source = secret.source.as_ref().map(SourceName::as_str);
        tracing::error!(source, reason = %secret.problem, "a secret can't be used");
    }
}
