//! A sender's secret, made ready to check signatures with.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use super::SenderKind;
use crate::secrets::Secret;

/// One active secret of one source, keyed once and used for every request.
#[derive(Clone)]
pub struct SigningKey {
    label: String,
    mac: KeyedMac,
}

#[derive(Clone)]
enum KeyedMac {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
}

impl SigningKey {
    /// Keys a MAC with the UTF-8 bytes of `secret`, as both senders do; HMRC's only looks like Base32.
    ///
    /// `label` says which secret this is without giving it away: its position and its reference.
    pub fn new(kind: SenderKind, label: impl Into<String>, secret: &Secret) -> Self {
        let bytes = secret.expose().as_bytes();
        let any_length = "HMAC takes keys of any length";
        let mac = match kind {
            SenderKind::Hmrc => KeyedMac::Sha1(Hmac::new_from_slice(bytes).expect(any_length)),
            SenderKind::GovukPay => {
                KeyedMac::Sha256(Hmac::new_from_slice(bytes).expect(any_length))
            }
        };
        Self {
            label: label.into(),
            mac,
        }
    }

    /// Which secret this is: position and reference, never the value.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether `signature` is this key's over exactly `body`, compared in constant time.
    pub(super) fn matches(&self, body: &[u8], signature: &[u8]) -> bool {
        match &self.mac {
            KeyedMac::Sha1(keyed) => keyed
                .clone()
                .chain_update(body)
                .verify_slice(signature)
                .is_ok(),
            KeyedMac::Sha256(keyed) => keyed
                .clone()
                .chain_update(body)
                .verify_slice(signature)
                .is_ok(),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.label)
    }
}
