//! The signatures of both senders, implemented independently of any receiver.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use super::Sender;

/// Signs `signed` as `sender` does, in lower-case hex. The key is the text of the secret.
///
/// HMRC's secret looks like Base32 and Pay's has a prefix; neither sender decodes or strips it.
pub fn sign(sender: Sender, secret: &str, signed: &[u8]) -> String {
    match sender {
        Sender::Hmrc => hmac_sha1(secret, signed),
        Sender::GovukPay => hmac_sha256(secret, signed),
    }
}

/// HMAC-SHA1 in 40 lower-case hex digits.
pub fn hmac_sha1(secret: &str, bytes: &[u8]) -> String {
    hmac_hex::<Hmac<Sha1>>(secret, bytes)
}

/// HMAC-SHA256 in 64 lower-case hex digits.
pub fn hmac_sha256(secret: &str, bytes: &[u8]) -> String {
    hmac_hex::<Hmac<Sha256>>(secret, bytes)
}

fn hmac_hex<M: Mac + KeyInit>(secret: &str, bytes: &[u8]) -> String {
    let keyed = <M as KeyInit>::new_from_slice(secret.as_bytes());
    let keyed = keyed.expect("HMAC takes keys of any length");
    hex::encode(keyed.chain_update(bytes).finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct SignatureVector {
        name: String,
        scheme: String,
        secret: String,
        body_base64: String,
        signature: String,
        valid: bool,
    }

    #[test]
    fn every_vector_is_signed_as_the_sender_signed_it_and_no_negative_one_is() {
        let vectors: Vec<SignatureVector> =
            serde_json::from_str(include_str!("../../../tests/fixtures/vectors.json")).unwrap();
        assert!(vectors.iter().any(|vector| !vector.valid));
        for vector in vectors {
            let sender = if vector.scheme == "hmrc-sha1" {
                Sender::Hmrc
            } else {
                Sender::GovukPay
            };
            let mut body = STANDARD.decode(&vector.body_base64).unwrap();
            if vector.name == "hmrc-D-astral-header-signature" {
                // HMRC signs the character and sends the escape. The vector holds the sent form.
                body = String::from_utf8(body)
                    .unwrap()
                    .replace(r"\uD83D\uDE00", "😀")
                    .into_bytes();
            }
            let signature = sign(sender, &vector.secret, &body);
            assert_eq!(
                signature == vector.signature,
                vector.valid,
                "{}",
                vector.name
            );
        }
    }
}
