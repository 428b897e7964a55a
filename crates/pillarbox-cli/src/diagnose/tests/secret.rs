//! Causes in the secret.

use super::{
    HMRC_BODY, HMRC_OTHER, HMRC_SECRET, PAY_BODY, PAY_SECRET, diagnosis, explained, hmrc, sign,
};
use crate::diagnose::*;

#[test]
fn a_secret_that_was_changed_on_either_side_is_recognised() {
    use FailureCause::{
        SecretInvisible, SecretPadded, SecretWithoutPrefix, SignedWithDecodedSecret,
        SignedWithInvisible, SignedWithPaddedSecret, SignedWithQuotedSecret, SignedWithoutPrefix,
    };
    let random = &PAY_SECRET["webhook_test_".len()..];
    let live = format!("webhook_live_{random}");
    let hex_secret = "00112233445566778899aabbccddeeff00112233";
    let base64_secret = "c2l4dGVlbiBieXRlcyBvZiBrZXk=";
    for (configured, signed_with, cause) in [
        (
            format!("{HMRC_SECRET}\n"),
            HMRC_SECRET.as_bytes().to_vec(),
            SecretPadded,
        ),
        (
            format!("\"{HMRC_SECRET}\" "),
            HMRC_SECRET.into(),
            SecretPadded,
        ),
        (
            HMRC_SECRET.into(),
            format!("{HMRC_SECRET}\n").into(),
            SignedWithPaddedSecret,
        ),
        (
            HMRC_SECRET.into(),
            format!("{HMRC_SECRET}\r\n").into(),
            SignedWithPaddedSecret,
        ),
        (
            HMRC_SECRET.into(),
            format!("{HMRC_SECRET} ").into(),
            SignedWithPaddedSecret,
        ),
        (
            HMRC_SECRET.into(),
            format!("\"{HMRC_SECRET}\"").into(),
            SignedWithQuotedSecret,
        ),
        (
            HMRC_SECRET.into(),
            format!("'{HMRC_SECRET}'").into(),
            SignedWithQuotedSecret,
        ),
        (
            format!("\u{feff}{HMRC_SECRET}"),
            HMRC_SECRET.into(),
            SecretInvisible,
        ),
        (
            PAY_SECRET.replace("_7", "_\u{200b}7"),
            PAY_SECRET.into(),
            SecretInvisible,
        ),
        (
            HMRC_SECRET.into(),
            format!("\u{feff}{HMRC_SECRET}").into(),
            SignedWithInvisible,
        ),
        (
            HMRC_SECRET.into(),
            format!("{HMRC_SECRET}\u{200b}").into(),
            SignedWithInvisible,
        ),
        (
            HMRC_SECRET.into(),
            base32::decode(HMRC_SECRET).unwrap(),
            SignedWithDecodedSecret(SecretEncoding::Base32),
        ),
        (
            hex_secret.into(),
            hex::decode(hex_secret).unwrap(),
            SignedWithDecodedSecret(SecretEncoding::Hex),
        ),
        (
            base64_secret.into(),
            b"sixteen bytes of key".to_vec(),
            SignedWithDecodedSecret(SecretEncoding::Base64),
        ),
        (PAY_SECRET.into(), random.into(), SignedWithoutPrefix),
        (live.clone(), random.into(), SignedWithoutPrefix),
        (random.into(), PAY_SECRET.into(), SecretWithoutPrefix),
        (random.into(), live.into(), SecretWithoutPrefix),
    ] {
        for (kind, body) in [
            (SenderKind::HMRC, HMRC_BODY),
            (SenderKind::GOVUK_PAY, PAY_BODY),
        ] {
            let found = diagnosis(kind, &[&configured], sign(kind, &signed_with, body), body);
            assert_eq!(found, explained([cause.clone()]), "{configured:?}");
        }
    }
}

#[test]
fn another_sources_secret_is_named() {
    let found = hmrc(sign(SenderKind::HMRC, HMRC_OTHER, HMRC_BODY), HMRC_BODY);
    let causes = vec![FailureCause::SecretOfOtherSource];
    assert_eq!(
        found,
        Diagnosis::Explained {
            key_label: "hmrc-two 1:env:HMRC".into(),
            causes
        }
    );

    let found = diagnosis(
        SenderKind::GOVUK_PAY,
        &[],
        sign(SenderKind::GOVUK_PAY, HMRC_OTHER, PAY_BODY),
        PAY_BODY,
    );
    let causes = vec![FailureCause::SecretOfOtherSource];
    assert_eq!(
        found,
        Diagnosis::Explained {
            key_label: "hmrc-two 1:env:HMRC".into(),
            causes
        }
    );
}

#[test]
fn a_test_secret_on_a_live_source_is_told_from_any_other_sources_secret() {
    let (live, other) = (
        "webhook_live_own-secret-of-30-letters",
        "webhook_live_another-source",
    );
    for (own, signed_with, cause) in [
        (PAY_SECRET, other, FailureCause::LiveSecretOnTest),
        (live, other, FailureCause::SecretOfOtherSource),
    ] {
        let header = sign(SenderKind::GOVUK_PAY, signed_with, PAY_BODY);
        let found = diagnosis(SenderKind::GOVUK_PAY, &[own], header, PAY_BODY);
        let key_label = "pay-two 1:env:PAY".into();
        let causes = vec![cause];
        assert_eq!(found, Diagnosis::Explained { key_label, causes });
    }
    let (own, test) = (
        Secret::new(live.to_owned()),
        Secret::new(PAY_SECRET.to_owned()),
    );
    let named = |label, secret| NamedSecret {
        kind: SenderKind::GOVUK_PAY,
        label,
        secret,
    };
    let header = sign(SenderKind::GOVUK_PAY, PAY_SECRET, PAY_BODY);
    let found = diagnose(
        SenderKind::GOVUK_PAY,
        &[named("own", &own)],
        &[named("test", &test)],
        header.as_bytes(),
        PAY_BODY.as_bytes(),
        Timestamp::from_millis(0),
    );
    let key_label = "test".into();
    let causes = vec![FailureCause::TestSecretOnLive];
    assert_eq!(found, Diagnosis::Explained { key_label, causes });
}
