//! Causes in the secret.

use super::{
    HMRC_BODY, HMRC_OTHER, HMRC_SECRET, PAY_BODY, PAY_OTHER, PAY_SECRET, diagnosis,
    diagnosis_among, explained, explained_with, hmrc, named, sign,
};
use crate::diagnose::*;

/// Checks the diagnosis for a source with the secret `configured`, of each kind.
#[track_caller]
fn assert_cause(configured: &str, signed_with: impl AsRef<[u8]>, cause: FailureCause) {
    for (kind, body) in [
        (SenderKind::HMRC, HMRC_BODY),
        (SenderKind::GOVUK_PAY, PAY_BODY),
    ] {
        let found = diagnosis(kind, &[configured], sign(kind, &signed_with, body), body);
        assert_eq!(found, explained([cause.clone()]), "{configured:?}");
    }
}

#[test]
fn a_secret_that_was_changed_on_either_side_is_recognised() {
    use FailureCause::*;
    use SecretEncoding::{Base32, Base64, Hex};
    let secret = HMRC_SECRET;
    for padded in [format!("{secret}\n"), format!("\"{secret}\" ")] {
        assert_cause(&padded, secret, SecretPadded);
    }
    for padding in ["\n", "\r\n", " "] {
        assert_cause(secret, format!("{secret}{padding}"), SignedWithPaddedSecret);
    }
    for quoted in [format!("\"{secret}\""), format!("'{secret}'")] {
        assert_cause(secret, quoted, SignedWithQuotedSecret);
    }
    assert_cause(&format!("\u{feff}{secret}"), secret, SecretInvisible);
    let within = PAY_SECRET.replace("_7", "_\u{200b}7");
    assert_cause(&within, PAY_SECRET, SecretInvisible);
    for signed_with in [format!("\u{feff}{secret}"), format!("{secret}\u{200b}")] {
        assert_cause(secret, signed_with, SignedWithInvisible);
    }
    let decoded = base32::decode(secret).unwrap();
    assert_cause(secret, decoded, SignedWithDecodedSecret(Base32));
    let hex_secret = "00112233445566778899aabbccddeeff00112233";
    let decoded = hex::decode(hex_secret).unwrap();
    assert_cause(hex_secret, decoded, SignedWithDecodedSecret(Hex));
    let base64_secret = "c2l4dGVlbiBieXRlcyBvZiBrZXk=";
    let decoded = "sixteen bytes of key";
    assert_cause(base64_secret, decoded, SignedWithDecodedSecret(Base64));
    let random = &PAY_SECRET["webhook_test_".len()..];
    for whole in [PAY_SECRET, &format!("webhook_live_{random}")] {
        assert_cause(whole, random, SignedWithoutPrefix);
        assert_cause(random, whole, SecretWithoutPrefix);
    }
}

#[test]
fn another_sources_secret_is_named() {
    let expected = explained_with("hmrc-two 1:env:HMRC", [FailureCause::SecretOfOtherSource]);
    let found = hmrc(sign(SenderKind::HMRC, HMRC_OTHER, HMRC_BODY), HMRC_BODY);
    assert_eq!(found, expected);
    let header = sign(SenderKind::GOVUK_PAY, HMRC_OTHER, PAY_BODY);
    let found = diagnosis(SenderKind::GOVUK_PAY, &[], header, PAY_BODY);
    assert_eq!(found, expected);
}

#[test]
fn a_test_secret_on_a_live_source_is_distinguished_from_any_other_sources_secret() {
    let kind = SenderKind::GOVUK_PAY;
    let live = "webhook_live_own-secret-of-30-letters";
    for (own, cause) in [
        (PAY_SECRET, FailureCause::LiveSecretOnTest),
        (live, FailureCause::SecretOfOtherSource),
    ] {
        let header = sign(kind, PAY_OTHER, PAY_BODY);
        let found = diagnosis(kind, &[own], header, PAY_BODY);
        assert_eq!(found, explained_with("pay-two 1:env:PAY", [cause]));
    }
    let (own, test) = (named(kind, "own", live), named(kind, "test", PAY_SECRET));
    let header = sign(kind, PAY_SECRET, PAY_BODY);
    let found = diagnosis_among(kind, &[own], &[test], header, PAY_BODY);
    let expected = explained_with("test", [FailureCause::TestSecretOnLive]);
    assert_eq!(found, expected);
}
