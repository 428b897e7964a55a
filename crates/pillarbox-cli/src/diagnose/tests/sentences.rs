//! The sentences of a diagnosis.

use super::{
    HMRC_BODY, HMRC_OTHER, HMRC_SECRET, PAY_BODY, PAY_SECRET, diagnosis, explained_with, hmrc, sign,
};
use crate::diagnose::*;

#[test]
fn errors_in_header_secret_and_body_are_found_together() {
    let header = sign(SenderKind::HMRC, format!("{HMRC_SECRET}\n"), HMRC_BODY).to_uppercase();
    let found = diagnosis(
        SenderKind::HMRC,
        &[HMRC_OTHER, HMRC_SECRET],
        header,
        format!("{HMRC_BODY}\n"),
    );
    let causes = [
        FailureCause::HeaderUpperCase,
        FailureCause::SignedWithPaddedSecret,
        FailureCause::BodyNewlineAdded,
    ];
    assert_eq!(found, explained_with("2:env:OWN", causes));
}

#[test]
fn a_signature_without_a_known_cause_is_unexplained() {
    use FailureCause::{BodyEmpty, BodyNotText, HeaderPadded, NoSecret, NoneOfThese};
    let header = "0".repeat(40);
    let no_secret = diagnosis(SenderKind::HMRC, &[], &header, HMRC_BODY);
    for (found, causes) in [
        (hmrc(&header, HMRC_BODY), vec![NoneOfThese]),
        (
            hmrc(format!("{header} "), HMRC_BODY),
            vec![HeaderPadded, NoneOfThese],
        ),
        (hmrc(&header, ""), vec![BodyEmpty, NoneOfThese]),
        (hmrc(&header, b"\xff"), vec![BodyNotText, NoneOfThese]),
        (hmrc(&header, "caf\u{fffd}"), vec![BodyNotText, NoneOfThese]),
        (no_secret, vec![NoSecret, NoneOfThese]),
    ] {
        assert_eq!(found, Diagnosis::Unexplained(causes));
    }
}

/// Every cause there is, once.
fn every_cause() -> Vec<FailureCause> {
    use FailureCause::*;
    vec![
        HeaderEmpty,
        HeaderPadded,
        HeaderPrefixed,
        HeaderSeveral,
        HeaderMalformed,
        HeaderExpired,
        HeaderUpperCase,
        HeaderBase64,
        HeaderNotHex,
        HeaderLength {
            found: 39,
            expected: 40,
        },
        HeaderLength {
            found: 80,
            expected: 40,
        },
        OtherSender {
            sender: SenderKind::HMRC,
        },
        OtherSender {
            sender: SenderKind::GOVUK_PAY,
        },
        NoSecret,
        SecretPadded,
        SignedWithPaddedSecret,
        SignedWithQuotedSecret,
        SecretInvisible,
        SignedWithInvisible,
        SignedWithDecodedSecret(SecretEncoding::Base32),
        SignedWithDecodedSecret(SecretEncoding::Base64),
        SignedWithDecodedSecret(SecretEncoding::Hex),
        SecretWithoutPrefix,
        SignedWithoutPrefix,
        SecretOfOtherSource,
        TestSecretOnLive,
        LiveSecretOnTest,
        BodyNewlineAdded,
        BodyNewlineRemoved,
        BodyCrlfAdded,
        BodyCrlfRemoved,
        BodyBomAdded,
        BodyBomRemoved,
        BodyToLatin1,
        BodyFromLatin1,
        BodyToUtf16,
        BodyStillBase64,
        BodyDecodedTwice,
        BodyStillQuoted,
        BodyRewritten { signed: "compact" },
        BodyEmpty,
        BodyNotText,
        NoneOfThese,
    ]
}

#[test]
fn every_cause_has_one_sentence_that_no_other_has() {
    let sentences: Vec<String> = every_cause().iter().map(FailureCause::to_string).collect();
    for (at, sentence) in sentences.iter().enumerate() {
        assert!(
            sentence.ends_with('.') && !sentence.contains(". ") && !sentence.contains('\n'),
            "{sentence}"
        );
        assert!(!sentences[..at].contains(sentence), "{sentence}");
    }
}

#[test]
fn neither_a_secret_nor_a_signature_nor_the_body_is_ever_shown() {
    let secrets = [HMRC_SECRET, PAY_SECRET];
    let random = &PAY_SECRET["webhook_test_".len()..];
    for &kind in SenderKind::ALL {
        let right = sign(kind, HMRC_SECRET, PAY_BODY);
        let decoded = sign(kind, base32::decode(HMRC_SECRET).unwrap(), PAY_BODY);
        let without_prefix = sign(kind, random, PAY_BODY);
        let cut = right[1..].to_owned();
        let of_other = sign(kind, HMRC_OTHER, PAY_BODY);
        let wrong = "0".repeat(kind.signature.algorithm.digits());
        let headers = [
            &right,
            &decoded,
            &without_prefix,
            &cut,
            &of_other,
            &wrong,
            HMRC_SECRET,
            PAY_SECRET,
        ];
        for (header, body) in headers
            .iter()
            .flat_map(|header| [(header, PAY_BODY), (header, "x")])
        {
            let found = diagnosis(kind, &secrets, header, body);
            let text = format!("{} {found:?}", found.sentences().join(" "));
            for hidden in [
                HMRC_SECRET,
                random,
                HMRC_OTHER,
                "another-source",
                "card_payment_failed",
                &right,
                &cut,
                &wrong,
            ] {
                assert!(!text.contains(hidden), "{text}");
            }
        }
    }
}
