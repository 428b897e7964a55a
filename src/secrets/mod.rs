//! Secrets: always named by reference, never printed, refused when they could not protect anything.

mod reference;
mod fetched;

use std::{fmt, io, path::Path};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

pub use fetched::{FetchedSecrets, SecretsManagerError};
pub use reference::{SecretRef, SecretsManagerRef};

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

/// How configuration reaches variables, files and Secrets Manager, so that tests touch none of them.
#[derive(Clone, Copy)]
pub struct SecretSources<'a> {
    /// Reads an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Reads a file to its end.
    pub file: &'a dyn Fn(&Path) -> io::Result<String>,
    /// What Secrets Manager was found to hold; [`FetchedSecrets::NOTHING`] where it was not asked.
    pub vault: &'a FetchedSecrets,
}

/// A secret's value, used as the UTF-8 text it is: never decoded, never trimmed, never printed.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a value that some other part has fetched or made.
    pub fn new(value: String) -> Self {
        Self(SecretString::from(value))
    }

    /// The value, for the one line that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

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

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// What is wrong with a secret or its reference; says what to do, never what the value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text is no reference.
    #[error(
        "is not a secret reference: write env:NAME, file:PATH or secretsmanager:ARN#field, never the secret itself"
    )]
    NoReference,
    /// The text behind `secretsmanager:` is no ARN of a secret with a field.
    #[error(
        "names no secret in Secrets Manager: write secretsmanager:ARN#field, with its whole ARN (arn:aws:…) and the \
         name of a field"
    )]
    NoArn,
    /// The variable is not set.
    #[error(
        "is not set: set that environment variable, or write secrets = [] to answer challenges only for now"
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
        "is not text in a field of a JSON object: store {{\"current\":\"…\"}}, with the reference's own field"
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
    /// A test key on a live source.
    #[error(
        "is a test secret (webhook_test_…) on a source with live = true: use the live webhook's secret, or set live = false"
    )]
    TestOnLive,
    /// A test account's key on a live source.
    #[error(
        "is a test key (api_test_…) on a source with live = true: use the live account's key, or set live = false"
    )]
    TestKeyOnLive,
    /// Not in the form Standard Webhooks asks for.
    #[error("is not a Standard Webhooks secret: whsec_ and 24 to 64 bytes in base64")]
    NotWhsec,
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
