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

/// Identifies the secret that proved a row, so that a rotated secret is distinguished from a
/// tampered row: the first bytes of an HMAC-SHA-256 over a fixed text, keyed with the secret.
///
/// It reveals nothing that the row does not: the row's body and signature can also be used to test
/// a guess at the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretFingerprint([u8; Self::BYTES]);

impl SecretFingerprint {
    const BYTES: usize = 8;
    const TEXT: &'static [u8] = b"pillarbox: fingerprint of a sender's secret";

    /// The fingerprint of `secret`.
    pub fn of(secret: &Secret) -> Self {
        let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes());
        let mac = mac.expect("HMAC takes keys of any length");
        let digest = mac.chain_update(Self::TEXT).finalize().into_bytes();
        let mut first = [0; Self::BYTES];
        first.copy_from_slice(&digest[..Self::BYTES]);
        Self(first)
    }

    /// Reads a stored fingerprint.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    /// The fingerprint as it is stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for SecretFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// One active secret of one source, keyed once and used for every request.
#[derive(Clone)]
pub struct SigningKey {
    label: String,
    fingerprint: SecretFingerprint,
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
            fingerprint: SecretFingerprint::of(secret),
            mac: KeyedMac::new(kind.signature.algorithm, secret.expose().as_bytes()),
        }
    }

    /// The label: position and reference, never the value.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Identifies the secret in stored rows.
    pub fn fingerprint(&self) -> SecretFingerprint {
        self.fingerprint
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_same_for_every_sender_and_not_a_digest_of_the_secret_alone() {
        let secret = Secret::new("webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu".to_owned());
        let other = Secret::new("webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdv".to_owned());
        let fingerprint = SecretFingerprint::of(&secret);
        for kind in SenderKind::ALL {
            assert_eq!(
                SigningKey::new(*kind, "1", &secret).fingerprint(),
                fingerprint
            );
        }
        assert_ne!(SecretFingerprint::of(&other), fingerprint);
        assert!(!secret.fingerprint().contains(&fingerprint.to_string()[..8]));
        let stored = SecretFingerprint::from_bytes(fingerprint.as_bytes());
        assert_eq!(stored, Some(fingerprint));
        assert_eq!(SecretFingerprint::from_bytes(&[0; 7]), None);
        assert_eq!(fingerprint.to_string(), "4d4a0cf3dd04bf48", "rows keep it");
    }
}
