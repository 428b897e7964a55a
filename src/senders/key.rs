//! Signing keys: a sender's secret, prepared for verifying signatures.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use super::SenderKind;
use crate::domain::Secret;

/// The algorithm of a sender's signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// HMAC-SHA1.
    HmacSha1,
    /// HMAC-SHA256.
    HmacSha256,
}

impl MacAlgorithm {
    /// The number of hex digits of a signature.
    pub fn digits(self) -> usize {
        match self {
            Self::HmacSha1 => 40,
            Self::HmacSha256 => 64,
        }
    }
}

/// A key of one algorithm.
#[derive(Clone)]
pub enum KeyedMac {
    /// HMAC-SHA1.
    Sha1(Hmac<Sha1>),
    /// HMAC-SHA256.
    Sha256(Hmac<Sha256>),
}

impl KeyedMac {
    /// Creates a key from its bytes.
    pub fn new(algorithm: MacAlgorithm, key: &[u8]) -> Self {
        let any_length = "HMAC takes keys of any length";
        match algorithm {
            MacAlgorithm::HmacSha1 => Self::Sha1(Hmac::new_from_slice(key).expect(any_length)),
            MacAlgorithm::HmacSha256 => Self::Sha256(Hmac::new_from_slice(key).expect(any_length)),
        }
    }

    /// Whether `signature` is this key's signature of `preamble` and `body`. Compares in constant
    /// time.
    pub fn matches(&self, preamble: &str, body: &[u8], signature: &[u8]) -> bool {
        fn verifies<M: Mac + Clone>(mac: &M, preamble: &str, body: &[u8], tag: &[u8]) -> bool {
            let mac = mac.clone().chain_update(preamble).chain_update(body);
            mac.verify_slice(tag).is_ok()
        }
        match self {
            Self::Sha1(mac) => verifies(mac, preamble, body, signature),
            Self::Sha256(mac) => verifies(mac, preamble, body, signature),
        }
    }
}

/// One active secret of one source, keyed once and used for every request.
#[derive(Clone)]
pub struct SigningKey {
    label: String,
    mac: KeyedMac,
}

impl SigningKey {
    /// Keys a MAC with the UTF-8 bytes of `secret`: no sender decodes its secrets, and HMRC's only
    /// look like Base32.
    ///
    /// `label` identifies the secret without revealing it: its position and its reference.
    pub fn new(kind: SenderKind, label: impl Into<String>, secret: &Secret) -> Self {
        Self {
            label: label.into(),
            mac: KeyedMac::new(kind.signature.algorithm, secret.expose().as_bytes()),
        }
    }

    /// The label: position and reference, never the value.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether `signature` is this key's signature of `preamble` and `body`.
    pub(super) fn matches(&self, preamble: &str, body: &[u8], signature: &[u8]) -> bool {
        self.mac.matches(preamble, body, signature)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.label)
    }
}
