//! What counts as a genuine signature, and that nothing else does.
//!
//! One string verifies one body under one key; where HMRC signs another form than it sends, two do.

mod altered;
mod second_form;
mod second_implementation;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use sha1::{Digest, Sha1};
use sha2::Sha256;

use pillarbox::{
    domain::Timestamp,
    secrets::Secret,
    senders::{MacAlgorithm, SenderKind, SignatureError, SigningKey, Verified, verify},
};
use test_support::vectors::{SignatureVector, vectors};

fn check_vector(
    vector: &SignatureVector,
    header: impl AsRef<[u8]>,
) -> Result<Verified, SignatureError> {
    check(
        vector.kind(),
        &vector.secret,
        &[header.as_ref()],
        &vector.body(),
    )
}

fn genuine() -> Vec<SignatureVector> {
    let genuine: Vec<SignatureVector> = vectors()
        .into_iter()
        .filter(|vector| vector.valid)
        .collect();
    assert!(
        SenderKind::ALL
            .iter()
            .all(|kind| genuine.iter().any(|vector| vector.kind() == *kind))
    );
    genuine
}

/// Neither sender signs a time, so that any will do.
const NOW: Timestamp = Timestamp::from_millis(1_772_446_531_480);

/// Verifies under one key.
fn check(
    kind: SenderKind,
    secret: &str,
    headers: &[&[u8]],
    body: &[u8],
) -> Result<Verified, SignatureError> {
    let key = SigningKey::new(kind, "1:env:TEST", &Secret::new(secret.to_owned()));
    verify(kind, &[key], headers, Bytes::copy_from_slice(body), NOW)
}

fn fault(found: Result<Verified, SignatureError>) -> Option<SignatureError> {
    found.err()
}

/// HMAC from RFC 2104, independent of the crate that the receiver uses.
fn hmac<D: Digest>(key: &[u8], body: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 64; // of SHA-1 and of SHA-256
    let mut block = if key.len() > BLOCK {
        D::digest(key).to_vec()
    } else {
        key.to_vec()
    };
    block.resize(BLOCK, 0);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = D::digest([&pad(0x36), body].concat());
    D::digest([&pad(0x5c), inner.as_slice()].concat()).to_vec()
}

/// The header that `key` makes over `body`.
fn sign(kind: SenderKind, key: impl AsRef<[u8]>, body: &[u8]) -> String {
    hex::encode(match kind.signature.algorithm {
        MacAlgorithm::HmacSha1 => hmac::<Sha1>(key.as_ref(), body),
        MacAlgorithm::HmacSha256 => hmac::<Sha256>(key.as_ref(), body),
    })
}

fn other(kind: SenderKind) -> SenderKind {
    if kind == SenderKind::HMRC {
        SenderKind::GOVUK_PAY
    } else {
        SenderKind::HMRC
    }
}

#[test]
fn every_vector_is_accepted_or_refused_as_marked() {
    let vectors = vectors();
    assert_eq!(
        (
            vectors.len(),
            vectors.iter().filter(|vector| vector.valid).count()
        ),
        (11, 8)
    );
    for vector in vectors {
        match check_vector(&vector, &vector.signature) {
            Ok(verified) => {
                assert!(vector.valid, "{}", vector.name);
                assert_eq!(verified.body().as_ref(), vector.body(), "{}", vector.name);
                assert_eq!(
                    (verified.signature(), verified.key_label()),
                    (vector.signature.as_str(), "1:env:TEST")
                );
            }
            Err(fault) => {
                assert!(!vector.valid, "{}", vector.name);
                assert_eq!(fault, SignatureError::Wrong, "{}", vector.name);
            }
        }
    }
}

/// The first two are from RFC 2202 and RFC 4231; the others, by Python's `hmac`, fill two and three
/// blocks.
#[test]
fn both_implementations_give_the_known_answers() {
    let long_key = "a key that is longer than one block of the hash, so that it must be hashed \
     before it is used";
    assert!(long_key.len() > 64);
    let (two_blocks, three_blocks) = ("0123456789".repeat(7), "0123456789".repeat(13));
    for (kind, key, body, signature) in [
        (
            SenderKind::HMRC,
            "Jefe",
            "what do ya want for nothing?",
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        ),
        (
            SenderKind::GOVUK_PAY,
            "Jefe",
            "what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            SenderKind::HMRC,
            "sample key",
            two_blocks.as_str(),
            "d2d5a4595c8a3acf790cdb168fce25f227b18c70",
        ),
        (
            SenderKind::GOVUK_PAY,
            "sample key",
            two_blocks.as_str(),
            "e45734101921a890819354ee525bed3e2a7e779e33f1ca009150568e2ccfab15",
        ),
        (
            SenderKind::HMRC,
            long_key,
            two_blocks.as_str(),
            "aa72126df043ac20d3caee07b8263341accd7fb7",
        ),
        (
            SenderKind::GOVUK_PAY,
            long_key,
            two_blocks.as_str(),
            "d2150f25da36071824d9467344d51c6e19d0a996a7c9c4cb14e412395b454e6d",
        ),
        (
            SenderKind::HMRC,
            "sample key",
            three_blocks.as_str(),
            "948aa953936ea8229b4942a250549643bb19f873",
        ),
        (
            SenderKind::GOVUK_PAY,
            "sample key",
            three_blocks.as_str(),
            "53131386f468d374a061c68550dc873cd4735a4805162b55c4c91739d4a5f18c",
        ),
        (
            SenderKind::HMRC,
            long_key,
            three_blocks.as_str(),
            "bdccebb938237f44d7dc13e84d97760f65c8d4fd",
        ),
        (
            SenderKind::GOVUK_PAY,
            long_key,
            three_blocks.as_str(),
            "0b14c08fb343e0a1c0de34de0d0586393b6e2d11a1d27a8545f5cd3898dd4b31",
        ),
    ] {
        assert_eq!(sign(kind, key, body.as_bytes()), signature, "{key} {body}");
        assert!(
            check(kind, key, &[signature.as_bytes()], body.as_bytes()).is_ok(),
            "{key} {body}"
        );
    }
}

#[test]
fn the_other_senders_signature_over_the_same_key_and_body_is_refused() {
    for vector in genuine() {
        let foreign = sign(other(vector.kind()), &vector.secret, &vector.body());
        assert_eq!(
            fault(check_vector(&vector, &foreign)),
            Some(SignatureError::Malformed)
        );
        let stretched = format!("{foreign:0<width$.width$}", width = vector.signature.len());
        assert_eq!(
            fault(check_vector(&vector, stretched)),
            Some(SignatureError::Wrong)
        );
    }
}

#[test]
fn only_the_secrets_own_text_is_the_key() {
    let (base32, base32_decoded) = ("JBSWY3DPEHPK3PXP", b"Hello!\xde\xad\xbe\xef");
    let (hex_text, base64) = ("00112233445566778899", "c2l4dGVlbiBieXRlcyBvZiBrZXk=");
    let pay = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";
    let body = br#"{"sample": "payload"}"#;
    for kind in [SenderKind::HMRC, SenderKind::GOVUK_PAY] {
        for (secret, signed_with) in [
            (base32, base32_decoded.to_vec()),
            (hex_text, hex::decode(hex_text).unwrap()),
            (base64, BASE64_STANDARD.decode(base64).unwrap()),
            (base32, base32.to_lowercase().into()),
            (base32, format!("{base32}\n").into()),
            (base32, format!(" {base32}").into()),
            (pay, pay["webhook_test_".len()..].into()),
            (pay, pay.replace("test", "live").into()),
            (pay, Vec::new()),
        ] {
            let found = check(
                kind,
                secret,
                &[sign(kind, &signed_with, body).as_bytes()],
                body,
            );
            assert_eq!(
                fault(found),
                Some(SignatureError::Wrong),
                "{secret} {signed_with:?}"
            );
            let found = check(kind, secret, &[sign(kind, secret, body).as_bytes()], body);
            assert_eq!(fault(found), None);
        }
    }
}

#[test]
fn any_listed_secret_counts_and_no_other() {
    let body = Bytes::from_static(b"{}");
    for kind in [SenderKind::HMRC, SenderKind::GOVUK_PAY] {
        let key = |label: &str, secret: &str| {
            SigningKey::new(kind, label, &Secret::new(secret.to_owned()))
        };
        let keys = [
            key("1:env:OLD", "the old secret"),
            key("2:env:NEW", "the new secret"),
        ];
        let matched = |keys: &[SigningKey], secret: &str| {
            let header = sign(kind, secret, &body);
            verify(kind, keys, &[header.as_bytes()], body.clone(), NOW)
                .map(|verified| verified.key_label().to_owned())
        };
        assert_eq!(matched(&keys, "the old secret"), Ok("1:env:OLD".to_owned()));
        assert_eq!(matched(&keys, "the new secret"), Ok("2:env:NEW".to_owned()));
        assert_eq!(matched(&keys, "another secret"), Err(SignatureError::Wrong));
        assert_eq!(
            matched(&keys[1..], "the old secret"),
            Err(SignatureError::Wrong)
        );
        assert_eq!(matched(&[], "the old secret"), Err(SignatureError::Wrong));
    }
}
