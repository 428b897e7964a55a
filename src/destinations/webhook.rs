//! The Standard Webhooks signature, by which a consumer verifies that Pillarbox sent an event.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{
    domain::Timestamp,
    secrets::{Secret, SecretError},
};

/// A `whsec_` secret, decoded and keyed.
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

    /// The `webhook-signature` of `body` sent under `id` at `at`.
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

    /// The example of the Standard Webhooks specification.
    #[test]
    fn the_specification_s_own_example_is_signed_as_it_says() {
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
    fn only_24_to_64_bytes_in_base64_behind_whsec_are_a_key() {
        let of = |length: usize| {
            format!(
                "whsec_{}",
                BASE64_STANDARD.encode((0..length).map(|n| n as u8).collect::<Vec<_>>())
            )
        };
        for (value, outcome) in [
            (of(24), Ok(())),
            (of(32), Ok(())),
            (of(64), Ok(())),
            (of(23), Err(SecretError::NotWhsec)),
            (of(65), Err(SecretError::NotWhsec)),
            (
                of(32).replacen("whsec_", "whpk_", 1),
                Err(SecretError::NotWhsec),
            ),
            (of(32).replace('=', ""), Err(SecretError::NotWhsec)),
            (of(32).replace('A', "!"), Err(SecretError::NotWhsec)),
            (
                format!("whsec_{}", "0aF9".repeat(16)),
                Err(SecretError::HexWhsec),
            ),
            (
                "whsec_GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned(),
                Err(SecretError::Base32Whsec),
            ),
            (
                "whsec_GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA====".to_owned(),
                Err(SecretError::Base32Whsec),
            ),
            ("whsec_GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJq".to_owned(), Ok(())),
            (of(32) + "\n", Err(SecretError::Padded)),
            (String::new(), Err(SecretError::Empty)),
            ("whsec_".to_owned(), Err(SecretError::Short(6))),
        ] {
            let key = WebhookSecret::new(&Secret::new(value.clone()));
            assert_eq!(key.map(drop), outcome, "{value:?}");
        }
    }
}
