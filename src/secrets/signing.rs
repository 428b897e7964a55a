//! Builds the signing keys of sources from their references, and reports the secrets that cannot be
//! used.

use super::{Secret, SecretError, SecretRef, SecretSources};
use crate::{
    domain::{ConfigError, Located, SourceName},
    senders::{SenderKind, SigningKey, Source},
};

/// The configured secrets of one source.
#[derive(Clone, Debug)]
pub struct SourceSecrets {
    /// The source's name.
    pub name: SourceName,
    /// Its sender's kind.
    pub kind: SenderKind,
    /// Whether the source receives live payments, so that test secrets are refused.
    pub live: bool,
    /// The references to its active secrets; empty until there is one.
    pub references: Vec<Located<SecretRef>>,
}

/// A secret that cannot be used. A role that can work without it logs this error.
#[derive(Clone, Debug)]
pub struct UnusableSecretError {
    /// The source whose secret it is; `None` if it is a destination's.
    pub source: Option<SourceName>,
    /// The cause. Only [`SecretError::Unread`] may be transient; the others need an operator.
    pub why: SecretError,
    /// The cause in words, with its place.
    pub problem: ConfigError,
}

/// A secret, or the cause with its full message.
pub(crate) type FetchedSecret<T> = Result<T, (SecretError, ConfigError)>;

/// Builds the keys of every source from the secrets that can be used. A source may be left with
/// none.
pub fn build_keys<'a>(
    sources: impl IntoIterator<Item = &'a SourceSecrets>,
    outside: &SecretSources<'_>,
) -> (Vec<Source>, Vec<UnusableSecretError>) {
    let mut unusable = Vec::new();
    let build = |source| build_source(source, outside, &mut unusable);
    (sources.into_iter().map(build).collect(), unusable)
}

fn build_source(
    source: &SourceSecrets,
    outside: &SecretSources<'_>,
    unusable: &mut Vec<UnusableSecretError>,
) -> Source {
    let mut keys = Vec::new();
    for (index, reference) in source.references.iter().enumerate() {
        match fetch_signing_secret(reference, Some(source.kind), source.live, outside) {
            Ok(None) => {}
            Ok(Some(secret)) => {
                let label = format!("{}:{}", index + 1, reference.value.label());
                keys.push(SigningKey::new(source.kind, label, &secret));
            }
            Err((why, problem)) => unusable.push(UnusableSecretError {
                source: Some(source.name.clone()),
                why,
                problem,
            }),
        }
    }
    Source {
        name: source.name.clone(),
        kind: source.kind,
        keys,
    }
}

/// A sender's signing secret, or `None` until Secrets Manager has a value. The form is checked only
/// if the sender's kind is known.
pub(crate) fn fetch_signing_secret(
    reference: &Located<SecretRef>,
    kind: Option<SenderKind>,
    live: bool,
    outside: &SecretSources<'_>,
) -> FetchedSecret<Option<Secret>> {
    let checked = reference.value.fetch(outside).and_then(|secret| {
        secret.check_strength()?;
        let shape = kind.as_ref().map(|kind| &kind.config.secret);
        if let Some(shape) = shape.filter(|shape| !shape.fits(secret.expose())) {
            return Err(SecretError::OtherForm(shape.description));
        }
        if live && shape.is_some_and(|shape| shape.is_test(secret.expose())) {
            return Err(SecretError::TestOnLive);
        }
        Ok(secret)
    });
    match checked {
        Ok(secret) => Ok(Some(secret)),
        Err(SecretError::NoneYet) => Ok(None),
        Err(why) => Err((why, reference.problem(why))),
    }
}
