//! Secrets: configured by reference, never printed, refused if they are weak.
//!
//! A reference names the variable, the file or the secret in Secrets Manager that holds a value.
//! The [`Keyring`] fetches the values, builds the senders' keys from them and renews the keys.
//!
//! `config` reads references and passes them to this module as [`SourceSecrets`]; `receive` takes
//! keys from the keyring. This module uses `senders`, to build signing keys, and `aws`, to call
//! Secrets Manager. Neither of the two depends on it: the value itself, [`Secret`], belongs to
//! `domain`.

mod reference;
mod fetched;
mod signing;
mod secrets_manager;
mod keyring;

use std::{io, path::Path};

use sha2::{Digest, Sha256};

use crate::aws::AwsEnvironment;
pub use crate::domain::Secret;
pub use fetched::{FetchedSecrets, SecretsManagerError};
pub use keyring::{KeySnapshot, Keyring, MAX_KEY_AGE, REFRESH_INTERVAL, log_unusable_secrets};
pub(crate) use reference::is_secret_arn;
pub use reference::{SecretRef, SecretsManagerRef};
pub use secrets_manager::{SecretsCaller, SecretsManager, arns};
pub(crate) use signing::{FetchedSecret, fetch_signing_secret};
pub use signing::{SourceSecrets, UnusableSecretError, build_keys};

/// The minimum length of a secret.
const MIN_BYTES: usize = 16;

/// Texts that examples use in place of a secret.
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

/// The prefixes of values that are pasted in place of a reference by mistake.
const VALUE_PREFIXES: [&str; 5] = [
    "webhook_test_",
    "webhook_live_",
    "whsec_",
    "api_test_",
    "api_live_",
];

/// Access to variables, files and Secrets Manager, which tests replace.
#[derive(Clone, Copy)]
pub struct SecretSources<'a> {
    /// Reads an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Reads a file to its end.
    pub file: &'a dyn Fn(&Path) -> io::Result<String>,
    /// The values fetched from Secrets Manager; [`FetchedSecrets::NOTHING`] if it was not queried.
    pub vault: &'a FetchedSecrets,
}

impl AwsEnvironment for SecretSources<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        (self.env)(name)
    }

    fn read_file(&self, path: &Path) -> io::Result<String> {
        (self.file)(path)
    }
}

impl Secret {
    /// Checks that the value is not empty, padded, short or a placeholder.
    pub fn check_strength(&self) -> Result<(), SecretError> {
        let value = self.expose();
        let lower = value.to_ascii_lowercase();
        if value.is_empty() {
            Err(SecretError::Empty)
        } else if value.trim() != value {
            Err(SecretError::Padded)
        } else if value.len() < MIN_BYTES {
            Err(SecretError::Short(value.len()))
        } else if PLACEHOLDERS.iter().any(|known| lower.contains(known))
            || is_one_byte_repeated(without_value_prefix(value))
        {
            Err(SecretError::Placeholder)
        } else {
            Ok(())
        }
    }

    /// Identifies the value without showing it, so that two copies can be compared: the first eight
    /// hexadecimal digits of its SHA-256.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.expose().as_bytes());
        format!("sha256:{}", hex::encode(&digest[..4]))
    }
}

/// What is wrong with a secret or its reference, and what to do. Never shows the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text is not a reference.
    #[error(
        "is not a secret reference: write env:NAME, file:PATH or secretsmanager:ARN#field, never \
         the secret itself"
    )]
    NoReference,
    /// The text after `secretsmanager:` is not the ARN of a secret with a field.
    #[error(
        "is not the ARN of a secret: write secretsmanager:ARN#field, with the whole ARN \
         (arn:aws:…) and the name of a field"
    )]
    NoArn,
    /// The variable is not set.
    #[error(
        "is not set: set that environment variable, or write secrets = [] to answer challenges \
         only for now"
    )]
    Unset,
    /// The file cannot be read.
    #[error("cannot be read ({0}): check the path and its permissions")]
    File(io::ErrorKind),
    /// The secret has no value yet, or not this field.
    #[error(
        "has no value in Secrets Manager yet: put the secret there, as that field of a JSON object"
    )]
    NoneYet,
    /// The value in Secrets Manager is not a JSON object of texts.
    #[error(
        "is not text in a field of a JSON object: store {{\"current\":\"…\"}}, with the \
         reference's own field"
    )]
    NoFields,
    /// Secrets Manager could not be read.
    #[error("{0}")]
    Unread(SecretsManagerError),
    /// The value is empty.
    #[error("is empty: put the secret there exactly as the sender shows it")]
    Empty,
    /// The value has white space around it.
    #[error(
        "has white space around it, often a newline at the end: store it without (printf, not echo)"
    )]
    Padded,
    /// The value is too short.
    #[error("is only {0} bytes long, and a secret needs at least 16: copy the whole of it")]
    Short(usize),
    /// The value is a placeholder.
    #[error("is a placeholder: replace it with the real secret")]
    Placeholder,
    /// The value does not have the form of its sender's secrets.
    #[error(
        "is not {0}, which is the form of this sender's secrets: copy it exactly as the sender \
         shows it, without quotation marks"
    )]
    OtherForm(&'static str),
    /// The value is a test secret, and the source is live.
    #[error(
        "is a test secret (webhook_test_…) on a source with live = true: use the live webhook's \
         secret, or set live = false"
    )]
    TestOnLive,
    /// The value is a test account's API key, and the source is live.
    #[error(
        "is a test key (api_test_…) on a source with live = true: use the live account's key, or \
         set live = false"
    )]
    TestKeyOnLive,
    /// The value is a secret of another source, too.
    #[error("is a secret of another source too: each needs its own")]
    Shared,
    /// The value is not a Standard Webhooks secret.
    #[error("is not a Standard Webhooks secret: whsec_ and 24 to 64 bytes in base64")]
    NotWhsec,
    /// The value is hex, which would decode as base64 to other bytes.
    #[error(
        "looks like hex after whsec_, and a Standard Webhooks secret is base64: write the same \
         bytes in base64"
    )]
    HexWhsec,
    /// The value is base32, which would decode as base64 to other bytes.
    #[error(
        "looks like base32 after whsec_, and a Standard Webhooks secret is base64: write the same \
         bytes in base64"
    )]
    Base32Whsec,
}

fn has_value_prefix(text: &str) -> bool {
    without_value_prefix(text).len() < text.len()
}

fn without_value_prefix(text: &str) -> &str {
    let mut prefixes = VALUE_PREFIXES.iter();
    prefixes
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(text)
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
    fn a_weak_value_is_refused() {
        for (value, problem) in [
            ("", SecretError::Empty),
            ("short", SecretError::Short(5)),
            ("fifteen-bytes-x", SecretError::Short(15)),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567\n", SecretError::Padded),
            (" ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", SecretError::Padded),
            ("please-CHANGEME-soon", SecretError::Placeholder),
            ("xxxxxxxxxxxxxxxxxxxx", SecretError::Placeholder),
            (
                "webhook_test_xxxxxxxxxxxxxxxxxxxxxxxxxx",
                SecretError::Placeholder,
            ),
            (
                "webhook_live_00000000000000000000000000",
                SecretError::Placeholder,
            ),
        ] {
            assert_eq!(
                Secret::new(value.into()).check_strength(),
                Err(problem),
                "{value:?}"
            );
        }
        assert_eq!(
            Secret::new("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".into()).check_strength(),
            Ok(())
        );
        assert_eq!(
            Secret::new("webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu".into()).check_strength(),
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
