//! Secrets: named by reference, never printed, refused when they cannot protect anything.
//!
//! A reference names where a secret is kept; fetching it from variables, files and Secrets Manager
//! gives the senders' keys, which the keyring keeps up to date. The arrows go one way: `config`
//! reads references and hands them in as [`SourceSecrets`]; `receive` takes keys from the
//! [`Keyring`]; this module uses `senders`, to key their MACs, and `aws`, to reach Secrets Manager.
//! Neither of those two knows secrets: the value itself, [`Secret`], belongs to `domain`.

mod reference;
mod fetched;
mod signing;
mod secrets_manager;
mod keyring;

use std::{io, path::Path};

use sha2::{Digest, Sha256};

use crate::aws::Environment;
pub use crate::domain::Secret;
pub use fetched::{FetchedSecrets, SecretsManagerError};
pub use keyring::{KeySnapshot, Keyring, MAX_KEY_AGE, REFRESH_INTERVAL, log_unusable_secrets};
pub use reference::{SecretRef, SecretsManagerRef};
pub use secrets_manager::{SecretsCaller, SecretsManager, arns};
pub(crate) use signing::{FetchedSecret, fetch_signing_secret};
pub use signing::{SourceSecrets, UnusableSecretError, build_keys};

/// The fewest bytes a secret may have.
const SHORTEST: usize = 16;

/// Texts that stand in configurations until somebody replaces them.
const PLACEHOLDERS: [&str; 11] = [
    "changeme",
    "change-me",
    "change_me",
    "placeholder",
    "replaceme",
    "replace-me",
    "replace_me",
    "your-secret",
    "your_secret",
    "secret-here",
    "insert-secret",
];

/// How the values begin that people paste where a reference belongs.
const VALUE_PREFIXES: [&str; 5] = [
    "webhook_test_",
    "webhook_live_",
    "whsec_",
    "api_test_",
    "api_live_",
];

/// How configuration reaches variables, files and Secrets Manager, so that tests touch none of
/// them.
#[derive(Clone, Copy)]
pub struct SecretSources<'a> {
    /// Reads an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Reads a file to its end.
    pub file: &'a dyn Fn(&Path) -> io::Result<String>,
    /// What Secrets Manager was found to hold; [`FetchedSecrets::NOTHING`] where it was not asked.
    pub vault: &'a FetchedSecrets,
}

impl Environment for SecretSources<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        (self.env)(name)
    }

    fn read_file(&self, path: &Path) -> io::Result<String> {
        (self.file)(path)
    }
}

impl Secret {
    /// Says what makes this value unfit to protect anything, if something does.
    pub fn judge(&self) -> Result<(), SecretError> {
        let value = self.expose();
        let lower = value.to_ascii_lowercase();
        if value.is_empty() {
            Err(SecretError::Empty)
        } else if value.trim() != value {
            Err(SecretError::Padded)
        } else if value.len() < SHORTEST {
            Err(SecretError::Short(value.len()))
        } else if PLACEHOLDERS.iter().any(|known| lower.contains(known))
            || is_one_byte_repeated(value)
        {
            Err(SecretError::Placeholder)
        } else {
            Ok(())
        }
    }

    /// Identifies the value without showing a character of it, so that two places can be compared:
    /// the first eight hexadecimal digits of its SHA-256.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.expose().as_bytes());
        format!("sha256:{}", hex::encode(&digest[..4]))
    }
}

/// What is wrong with a secret or its reference; says what to do, never what the value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text is no reference.
    #[error(
        "is not a secret reference: write env:NAME, file:PATH or secretsmanager:ARN#field, never \
         the secret itself"
    )]
    NoReference,
    /// The text behind `secretsmanager:` is no ARN of a secret with a field.
    #[error(
        "names no secret in Secrets Manager: write secretsmanager:ARN#field, with its whole ARN \
         (arn:aws:…) and the \
         name of a field"
    )]
    NoArn,
    /// The variable is not set.
    #[error(
        "is not set: set that environment variable, or write secrets = [] to answer challenges \
         only for now"
    )]
    Unset,
    /// The file can't be read.
    #[error("can't be read ({0}): check the path and its permissions")]
    File(io::ErrorKind),
    /// Secrets Manager has no value there.
    #[error(
        "has no value in Secrets Manager yet: put the secret there, as that field of a JSON object"
    )]
    NoneYet,
    /// What Secrets Manager holds is not made of fields.
    #[error(
        "is not text in a field of a JSON object: store {{\"current\":\"…\"}}, with the \
         reference's own field"
    )]
    NoFields,
    /// Secrets Manager could not be read.
    #[error("{0}")]
    Unread(SecretsManagerError),
    /// Nothing is there.
    #[error("is empty: put the secret there exactly as the sender shows it")]
    Empty,
    /// White space around the value.
    #[error(
        "has white space around it, often a newline at the end: store it without (printf, not echo)"
    )]
    Padded,
    /// Too short to be a secret.
    #[error("is only {0} bytes long, and a secret needs at least 16: copy the whole of it")]
    Short(usize),
    /// A text that stands for a secret.
    #[error("is a placeholder: replace it with the real secret")]
    Placeholder,
    /// Not in the form of its sender's secrets, which is this one.
    #[error(
        "is not {0}, which is the form of this sender's secrets: copy it exactly as the sender \
         shows it, without \
         quotation marks"
    )]
    OtherForm(&'static str),
    /// A test key on a live source.
    #[error(
        "is a test secret (webhook_test_…) on a source with live = true: use the live webhook's \
         secret, or set live = false"
    )]
    TestOnLive,
    /// A test account's key on a live source.
    #[error(
        "is a test key (api_test_…) on a source with live = true: use the live account's key, or \
         set live = false"
    )]
    TestKeyOnLive,
    /// The value is a secret of another source, too.
    #[error("is a secret of another source too: each needs its own")]
    Shared,
    /// Not in the form Standard Webhooks asks for.
    #[error("is not a Standard Webhooks secret: whsec_ and 24 to 64 bytes in base64")]
    NotWhsec,
    /// Hex, which would decode as base64 of other bytes.
    #[error(
        "looks like hex after whsec_, and a Standard Webhooks secret is base64: write the same \
         bytes in base64"
    )]
    HexWhsec,
}

fn begins_as_a_value(text: &str) -> bool {
    VALUE_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

fn is_one_byte_repeated(value: &str) -> bool {
    let mut bytes = value.bytes();
    bytes
        .next()
        .is_some_and(|first| bytes.all(|byte| byte == first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_could_not_protect_anything_is_refused() {
        for (value, problem) in [
            ("", SecretError::Empty),
            ("short", SecretError::Short(5)),
            ("fifteen-bytes-x", SecretError::Short(15)),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567\n", SecretError::Padded),
            (" ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", SecretError::Padded),
            ("please-CHANGEME-soon", SecretError::Placeholder),
            ("xxxxxxxxxxxxxxxxxxxx", SecretError::Placeholder),
        ] {
            assert_eq!(Secret::new(value.into()).judge(), Err(problem), "{value:?}");
        }
        assert_eq!(
            Secret::new("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".into()).judge(),
            Ok(())
        );
        assert_eq!(
            Secret::new("webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu".into()).judge(),
            Ok(())
        );
    }

    #[test]
    fn neither_debug_nor_the_fingerprint_shows_a_part_of_the_value() {
        let secret = Secret::new("webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu".into());
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
        assert_eq!(secret.fingerprint(), "sha256:682e8d73");
    }
}
