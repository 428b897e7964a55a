//! The Standard Webhooks signature, by which a consumer verifies that Pillarbox sent an event.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{
    domain::Timestamp,
    secrets::{Secret, SecretError},
};

/// A `whsec_` secret, decoded.
#[derive(Clone)]
pub struct WebhookSecret(Hmac<Sha256>);

impl WebhookSecret {
    /// Parses `whsec_` and 24 to 64 bytes in base64, as Standard Webhooks defines it.
    pub fn new(secret: &Secret) -> Result<Self, SecretError> {
        secret.check_strength()?;
        let encoded = secret
            .expose()
            .strip_prefix("whsec_")
            .ok_or(SecretError::NotWhsec)?;
        if !encoded.is_empty() && encoded.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(SecretError::HexWhsec);
        }
        if is_base32(encoded) {
            return Err(SecretError::Base32Whsec);
        }
        let bytes = BASE64_STANDARD
            .decode(encoded)
            .map_err(|_| SecretError::NotWhsec)?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(SecretError::NotWhsec);
        }
        Hmac::new_from_slice(&bytes)
            .map(Self)
            .map_err(|_| SecretError::NotWhsec)
    }

    /// The header `webhook-signature` of `body`, sent with `id` at the time `at`.
    pub(super) fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        let mac = self
            .0
            .clone()
            .chain_update(format!("{id}.{}.", at.as_seconds()))
            .chain_update(body);
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(redacted)")
    }
}

/// Whether `text` is base32 of at least 20 bytes. As base64, a text of this length has only these
/// letters and digits once in four thousand million.
fn is_base32(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
    let digits = text.trim_end_matches('=');
    digits.len() >= 32 && digits.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_has_its_signature() {
        let secret = WebhookSecret::new(&Secret::new(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(),
        ))
        .unwrap();
        let at = Timestamp::from_millis(1_614_265_330_000);
        let signature = secret.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            at,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_whsec_and_24_to_64_bytes_in_base64() {
        use SecretError::{Base32Whsec, Empty, HexWhsec, NotWhsec, Padded, Short};
        const BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let secret = |length: u8| {
            let bytes: Vec<u8> = (0..length).collect();
            format!("whsec_{}", BASE64_STANDARD.encode(bytes))
        };
        for (value, outcome) in [
            (secret(24), Ok(())),
            (secret(32), Ok(())),
            (secret(64), Ok(())),
            (secret(23), Err(NotWhsec)),
            (secret(65), Err(NotWhsec)),
            (secret(32).replacen("whsec_", "whpk_", 1), Err(NotWhsec)),
            (secret(32).replace('=', ""), Err(NotWhsec)),
            (secret(32).replace('A', "!"), Err(NotWhsec)),
            (format!("whsec_{}", "0aF9".repeat(16)), Err(HexWhsec)),
            (format!("whsec_{BASE32}"), Err(Base32Whsec)),
            (
                format!("whsec_{BASE32}GEZDGNBVGY3TQOJQGEZA===="),
                Err(Base32Whsec),
            ),
            (format!("whsec_{}q", &BASE32[..31]), Ok(())),
            (secret(32) + "\n", Err(Padded)),
            (String::new(), Err(Empty)),
            ("whsec_".to_owned(), Err(Short(6))),
        ] {
            let key = WebhookSecret::new(&Secret::new(value.clone()));
            assert_eq!(key.map(drop), outcome, "{value:?}");
        }
    }
}
