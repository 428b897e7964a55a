//! The search finds every form of a canary.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
};
use serde_json::json;
use sha2::{Digest, Sha256};
use test_support::canaries::{
    ALL_KINDS,
    CanaryKind::{Personal, Secret},
    CanarySet,
};

#[test]
fn a_canary_is_found_however_it_is_written() {
    let mut canaries = CanarySet::default();
    let (secret, name) = (
        canaries.add(Secret, "a secret"),
        canaries.add(Personal, "a name"),
    );
    let spaced = format!("Ms {name} of \"Leeds\"");
    let half = &spaced.as_bytes()[..16];
    let encoded = |text: &[u8]| BASE64_STANDARD.encode(text);
    for (found, text) in [
        ("a secret", format!("key={secret}")),
        ("a secret", secret.to_uppercase()),
        ("a secret", format!("{}…", &secret[..12])),
        ("a secret", format!("…{}", &secret[8..])),
        ("a secret", hex::encode(&secret)),
        ("a secret", hex::encode_upper(&secret)),
        ("a secret", hex::encode(Sha256::digest(&secret))),
        ("a secret", encoded(secret.as_bytes())),
        ("a secret", encoded(format!("user:{secret}").as_bytes())),
        ("a secret", encoded(format!("me:{secret}").as_bytes())),
        (
            "a secret",
            BASE64_URL_SAFE.encode(format!("{{\"k\":\"{secret}\"}}")),
        ),
        (
            "a name",
            json!({"reason": json!({"x": [spaced]}).to_string()}).to_string(),
        ),
        (
            "a name",
            json!({name.clone(): 1})
                .to_string()
                .replace(&name[..1], &format!("\\u{:04x}", name.as_bytes()[0])),
        ),
        (
            "a name",
            name.bytes().map(|byte| format!("%{byte:02x}")).collect(),
        ),
        ("a name", String::from_utf8_lossy(half).into_owned()),
    ] {
        assert_eq!(
            canaries.found_in(text.as_bytes(), &ALL_KINDS),
            [found],
            "{text}"
        );
    }
    for text in [
        "",
        "a secret",
        &secret[..11],
        &hex::encode(Sha256::digest(&name)),
    ] {
        assert_eq!(
            canaries.found_in(text.as_bytes(), &ALL_KINDS),
            [""; 0],
            "{text}"
        );
    }
}
