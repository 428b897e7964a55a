//! Secrets that can't be used -> one log line each, since callbacks may be refused for them.

use crate::{config::UnusableSecretError, notification::SourceName};

/// Says each of them once a reading.
pub(super) fn shout(unusable: &[UnusableSecretError]) {
    for secret in unusable {
        let source = secret.source.as_ref().map(SourceName::as_str);
        tracing::error!(source, why = %secret.problem, "a secret can't be used");
    }
}
