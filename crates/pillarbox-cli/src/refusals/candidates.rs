//! The configured secrets, with which a signature that failed may have been made all the same.

use pillarbox::{
    config::SourceConfig,
    domain::SourceName,
    secrets::{Secret, SecretSources},
    senders::SenderKind,
};

use crate::diagnose::NamedSecret;

/// The secrets of every source, as they were when the process started. What may not be used, such
/// as a test secret on a live source, is one of them.
#[derive(Default)]
pub struct CandidateSecrets(Vec<CandidateSecret>);

struct CandidateSecret {
    source: SourceName,
    kind: SenderKind,
    label: String,
    secret: Secret,
}

impl CandidateSecrets {
    /// The secrets of `sources` that can be read from `outside`.
    pub fn read(sources: &[SourceConfig], outside: &SecretSources<'_>) -> Self {
        let of_source = |source: &SourceConfig| {
            let references = source.secrets.iter().enumerate();
            let read = references.filter_map(|(index, reference)| {
                Some(CandidateSecret {
                    source: source.name.clone(),
                    kind: source.kind,
                    label: format!(
                        "{}:{} of source {}",
                        index + 1,
                        reference.value.label(),
                        source.name
                    ),
                    secret: reference.value.fetch(outside).ok()?,
                })
            });
            read.collect::<Vec<_>>()
        };
        Self(sources.iter().flat_map(of_source).collect())
    }

    /// The secrets of `source`, and those of all others.
    pub(super) fn of(&self, source: &SourceName) -> (Vec<NamedSecret<'_>>, Vec<NamedSecret<'_>>) {
        let (own, others): (Vec<_>, Vec<_>) = self.0.iter().partition(|one| one.source == *source);
        (named(own), named(others))
    }
}

fn named(secrets: Vec<&CandidateSecret>) -> Vec<NamedSecret<'_>> {
    let named = secrets.into_iter().map(|one| NamedSecret {
        kind: one.kind,
        label: &one.label,
        secret: &one.secret,
    });
    named.collect()
}
