//! Resolves references to secrets: fetches each value, checks it, and stores it in a type that does
//! not print it.

use std::collections::BTreeMap;

use super::{
    Config, DestinationConfig, SourceConfig,
    error::{ConfigError, ConfigErrors, LocatedValue},
};
use crate::{
    destinations::WebhookSecret,
    secrets::{
        FetchedSecret, Secret, SecretError, SecretRef, SecretSources, SecretsManagerError,
        UnusableSecretError, fetch_signing_secret,
    },
    senders::{SenderKind, Source},
};

/// Every secret that receiving and delivering need. Reconciling fetches its own credentials.
#[derive(Clone, Debug)]
pub struct ResolvedSecrets {
    /// The senders, in the order of the document.
    pub sources: Vec<Source>,
    /// The destinations' signing secrets.
    pub destinations: DestinationSecrets,
}

/// The signing secrets of the destinations that have one.
#[derive(Clone, Debug, Default)]
pub struct DestinationSecrets {
    /// The default destination's.
    pub default: Vec<WebhookSecret>,
    /// The named destinations'.
    pub named: BTreeMap<String, Vec<WebhookSecret>>,
}

/// A reference whose value is required. It is collected so that it can be checked even if the rest
/// of the document is invalid.
#[derive(Clone, Debug)]
pub(super) enum RequiredSecret {
    /// A sender's signing secret. The kind is `None` if it could not be read.
    Signing {
        reference: LocatedValue<SecretRef>,
        kind: Option<SenderKind>,
        live: bool,
    },
    /// A destination's signing secret.
    Whsec(LocatedValue<SecretRef>),
}

impl RequiredSecret {
    /// The error of the value, if it has one. Secrets Manager is not queried for an invalid
    /// document.
    pub(super) fn problem(&self, secret_sources: &SecretSources<'_>) -> Option<ConfigError> {
        let wrong = match self {
            Self::Signing {
                reference,
                kind,
                live,
            } => fetch_signing_secret(reference, *kind, *live, secret_sources).err(),
            Self::Whsec(reference) => whsec(reference, secret_sources).err(),
        };
        wrong
            .filter(|(why, _)| *why != SecretError::Unread(SecretsManagerError::NotQueried))
            .map(|(_, problem)| problem)
    }
}

/// Fetches the destinations' secrets that can be used.
pub(super) fn destinations(
    config: &Config,
    secret_sources: &SecretSources<'_>,
) -> (DestinationSecrets, Vec<UnusableSecretError>) {
    let mut unusable = Vec::new();
    let mut keys = |config: &DestinationConfig| {
        let mut keys = Vec::new();
        for reference in config.secrets() {
            match whsec(reference, secret_sources) {
                Ok(key) => keys.push(key),
                // The second secret of a rotation that has not begun.
                Err((SecretError::NoneYet, _)) if config.secrets().len() > 1 => {}
                Err((why, problem)) => unusable.push(UnusableSecretError {
                    source: None,
                    why,
                    problem,
                }),
            }
        }
        keys
    };
    let default = keys(&config.destination);
    let named = config
        .destinations
        .iter()
        .map(|(name, config)| (name.clone(), keys(config)))
        .collect();
    (DestinationSecrets { default, named }, unusable)
}

/// `value`, or the errors if a secret was unusable.
pub(super) fn all<T>((value, unusable): (T, Vec<UnusableSecretError>)) -> Result<T, ConfigErrors> {
    ConfigErrors::or(unusable.into_iter().map(|one| one.problem).collect(), value)
}

/// The credentials of the API of `source`, or every error; `None` if `pull` is not configured.
pub(super) fn pull(
    source: &SourceConfig,
    secret_sources: &SecretSources<'_>,
) -> Result<Option<Vec<Secret>>, Vec<UnusableSecretError>> {
    let Some(pull) = &source.pull else {
        return Ok(None);
    };
    let mut unusable = Vec::new();
    let mut secrets = Vec::new();
    for reference in &pull.credentials {
        match credential(source, reference, secret_sources) {
            Ok(secret) => secrets.push(secret),
            Err((why, problem)) => unusable.push(UnusableSecretError {
                source: Some(source.name.clone()),
                why,
                problem,
            }),
        }
    }
    if unusable.is_empty() {
        Ok(Some(secrets))
    } else {
        Err(unusable)
    }
}

fn credential(
    source: &SourceConfig,
    reference: &LocatedValue<SecretRef>,
    secret_sources: &SecretSources<'_>,
) -> FetchedSecret<Secret> {
    let test_prefix = source
        .kind
        .config
        .pull
        .as_ref()
        .and_then(|pull| pull.test_prefix);
    let checked = reference.value.fetch(secret_sources).and_then(|secret| {
        secret.check_strength()?;
        let is_test = test_prefix.is_some_and(|prefix| secret.expose().starts_with(prefix));
        if source.live && is_test {
            return Err(SecretError::TestKeyOnLive);
        }
        Ok(secret)
    });
    checked.map_err(|why| {
        let problem = match why {
            SecretError::Unset => reference.problem("is not set: set that environment variable"),
            other => reference.problem(other),
        };
        (why, problem)
    })
}

/// Fetches a destination's signing secret. Two errors get other advice than for a sender's secret,
/// because the operator creates this one and deliveries need it.
fn whsec(
    reference: &LocatedValue<SecretRef>,
    secret_sources: &SecretSources<'_>,
) -> FetchedSecret<WebhookSecret> {
    let checked = reference
        .value
        .fetch(secret_sources)
        .and_then(|secret| WebhookSecret::new(&secret));
    checked.map_err(|why| {
        let problem = match why {
            SecretError::Unset => reference.problem("is not set: set that environment variable"),
            SecretError::Empty => {
                reference.problem("is empty: put whsec_ and 24 to 64 random bytes in base64 there")
            }
            other => reference.problem(other),
        };
        (why, problem)
    })
}

#[cfg(test)]
mod tests;
