//! Secrets that can't be used -> one log line each, since callbacks may be refused for them.

use crate::{config::UnusableSecretError, domain::SourceName};

/// Says each of them once a reading.
pub fn log_unusable_secrets(unusable: &[UnusableSecretError]) {
    for secret in unusable {
        let source = secret.source.as_ref().map(SourceName::as_str);
        tracing::error!(source, why = %secret.problem, "a secret can't be used");
    }
}
