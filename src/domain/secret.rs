//! A secret's value, which is never printed.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A secret's value. Its UTF-8 text is used unchanged, neither decoded nor trimmed.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a value that was fetched or generated.
    pub fn new(value: String) -> Self {
        Self(SecretString::from(value))
    }

    /// The value, for the one line that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}
