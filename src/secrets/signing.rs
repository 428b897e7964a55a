//! Builds the signing keys of sources from their references, and reports the secrets that cannot be
//! used.

use super::{Secret, SecretError, SecretRef, SecretSources};
use crate::{
    domain::{ConfigError, LocatedValue, SourceName},
    senders::{SecretFingerprint, SenderKind, SigningKey, Source},
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
    pub references: Vec<LocatedValue<SecretRef>>,
}

/// A secret that cannot be used. A role that can work without it logs this error.
#[derive(Clone, Debug)]
pub struct UnusableSecretError {
    /// The source whose secret it is; `None` if it is a destination's.
    pub source: Option<SourceName>,
    /// The cause. Only [`SecretError::Unread`] may be transient; the others need an operator.
    pub why: SecretError,
    /// The cause in words, with its location.
    pub problem: ConfigError,
}

/// A secret, or the cause with its full message.
pub(crate) type FetchedSecret<T> = Result<T, (SecretError, ConfigError)>;

/// Builds the keys of every source from the secrets that can be used. A source may be left with
/// none.
///
/// A value that two sources have is reported as [`SecretError::Shared`] and used all the same:
/// without it, genuine notifications of one of them would be refused.
pub fn build_keys<'a>(
    sources: impl IntoIterator<Item = &'a SourceSecrets>,
    secret_sources: &SecretSources<'_>,
) -> (Vec<Source>, Vec<UnusableSecretError>) {
    let (mut unusable, mut used) = (Vec::new(), Vec::new());
    let build = |source| build_source(source, secret_sources, &mut used, &mut unusable);
    (sources.into_iter().map(build).collect(), unusable)
}

/// A secret that a source uses.
struct UsedSecret<'a> {
    source: &'a SourceSecrets,
    reference: &'a SecretRef,
    fingerprint: SecretFingerprint,
}

impl UsedSecret<'_> {
    /// Whether both secrets may have the same value: only if they belong to one source, or if their
    /// sender issues one secret for several sources and both name the same reference, which shows
    /// that it is intended.
    fn may_share_with(&self, other: &UsedSecret<'_>) -> bool {
        self.source.name == other.source.name
            || (self.source.kind == other.source.kind
                && self.source.kind.config.shares_secrets
                && self.reference == other.reference)
    }
}

fn build_source<'a>(
    source: &'a SourceSecrets,
    secret_sources: &SecretSources<'_>,
    used: &mut Vec<UsedSecret<'a>>,
    unusable: &mut Vec<UnusableSecretError>,
) -> Source {
    let mut keys = Vec::new();
    for (index, reference) in source.references.iter().enumerate() {
        match fetch_signing_secret(reference, Some(source.kind), source.live, secret_sources) {
            Ok(None) => {}
            Ok(Some(secret)) => {
                let label = format!("{}:{}", index + 1, reference.value.label());
                let key = SigningKey::new(source.kind, label, &secret);
                let secret = UsedSecret {
                    source,
                    reference: &reference.value,
                    fingerprint: key.fingerprint(),
                };
                unusable.extend(sharing_error(&secret, used, reference));
                used.push(secret);
                keys.push(key);
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

/// The error if another source uses the same value and must not share it.
fn sharing_error(
    secret: &UsedSecret<'_>,
    used: &[UsedSecret<'_>],
    reference: &LocatedValue<SecretRef>,
) -> Option<UnusableSecretError> {
    let is_same = |other: &&UsedSecret<'_>| other.fingerprint == secret.fingerprint;
    let other = used
        .iter()
        .filter(is_same)
        .find(|other| !secret.may_share_with(other))?;
    let hint = if other.source.kind == secret.source.kind && other.source.kind.config.shares_secrets
    {
        "; if that is intended, name the same reference in both"
    } else {
        ""
    };
    Some(UnusableSecretError {
        source: Some(secret.source.name.clone()),
        why: SecretError::Shared,
        problem: reference.problem(format_args!(
            "holds the same value as a secret of sources.{}: each needs its own{hint}",
            other.source.name
        )),
    })
}

/// A sender's signing secret, or `None` until Secrets Manager has a value. The form is checked only
/// if the sender's kind is known.
pub(crate) fn fetch_signing_secret(
    reference: &LocatedValue<SecretRef>,
    kind: Option<SenderKind>,
    live: bool,
    secret_sources: &SecretSources<'_>,
) -> FetchedSecret<Option<Secret>> {
    let checked = reference.value.fetch(secret_sources).and_then(|secret| {
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
