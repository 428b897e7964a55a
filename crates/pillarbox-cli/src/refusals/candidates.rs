//! The configured secrets, one of which may have made a signature that failed.

use pillarbox::{config::SourceConfig, domain::SourceName, secrets::SecretSources};

use crate::diagnose::NamedSecret;

/// The secrets of every source, as they were when the process started. Secrets that must not be
/// used, such as a test secret on a live source, are included.
#[derive(Default)]
pub struct CandidateSecrets(Vec<(SourceName, NamedSecret)>);

impl CandidateSecrets {
    /// Reads the secrets of `sources`. A secret that cannot be read is skipped.
    pub fn read(sources: &[SourceConfig], secret_sources: &SecretSources<'_>) -> Self {
        let of_source = |source: &SourceConfig| {
            let references = source.secrets.iter().enumerate();
            let read = references.filter_map(|(index, reference)| {
                let label = reference.value.label();
                let named = NamedSecret {
                    kind: source.kind,
                    label: format!("{}:{label} of source {}", index + 1, source.name),
                    secret: reference.value.fetch(secret_sources).ok()?,
                };
                Some((source.name.clone(), named))
            });
            read.collect::<Vec<_>>()
        };
        Self(sources.iter().flat_map(of_source).collect())
    }

    /// The secrets of `source`, and those of all others.
    pub(super) fn of(&self, source: &SourceName) -> (Vec<&NamedSecret>, Vec<&NamedSecret>) {
        let secrets = |of_source: bool| {
            let matching = self.0.iter();
            let matching = matching.filter(|(name, _)| (name == source) == of_source);
            matching.map(|(_, named)| named).collect()
        };
        (secrets(true), secrets(false))
    }
}
