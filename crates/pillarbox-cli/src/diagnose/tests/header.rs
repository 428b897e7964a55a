//! Causes in the header.

use super::{
    HMRC_BODY, HMRC_OTHER, HMRC_SECRET, PAY_BODY, PAY_SECRET, diagnosis, explained, explained_with,
    genuine, hmrc, pay, sign,
};
use crate::diagnose::*;

#[test]
fn a_genuine_signature_names_its_secret_by_position() {
    let header = sign(SenderKind::HMRC, HMRC_SECRET, HMRC_BODY);
    assert_eq!(hmrc(&header, HMRC_BODY), genuine("1:env:OWN", false));
    assert_eq!(
        diagnosis(
            SenderKind::HMRC,
            &[HMRC_OTHER, HMRC_SECRET],
            &header,
            HMRC_BODY
        ),
        genuine("2:env:OWN", false)
    );
    assert_eq!(
        pay(sign(SenderKind::GOVUK_PAY, PAY_SECRET, PAY_BODY), PAY_BODY),
        genuine("1:env:OWN", false)
    );
}

#[test]
fn a_character_beyond_u_ffff_is_mentioned_on_success() {
    let (sent, signed) = (r#"{"message":"\uD83D\uDE00"}"#, r#"{"message":"😀"}"#);
    assert_eq!(
        hmrc(sign(SenderKind::HMRC, HMRC_SECRET, sent), sent),
        genuine("1:env:OWN", false)
    );
    let diagnosis = hmrc(sign(SenderKind::HMRC, HMRC_SECRET, signed), sent);
    assert_eq!(diagnosis, genuine("1:env:OWN", true));
    assert!(diagnosis.sentences()[0].contains("U+FFFF"));
    let by_pay = pay(sign(SenderKind::GOVUK_PAY, PAY_SECRET, signed), sent);
    assert_eq!(
        by_pay,
        explained([FailureCause::BodyRewritten { signed: "compact" }])
    );
}

#[test]
fn a_header_in_another_form_is_recognised_and_still_tried() {
    use FailureCause::{HeaderBase64, HeaderPadded, HeaderPrefixed, HeaderUpperCase};
    let right = sign(SenderKind::GOVUK_PAY, PAY_SECRET, PAY_BODY);
    let base64 = base64::Engine::encode(
        &base64::prelude::BASE64_STANDARD,
        hex::decode(&right).unwrap(),
    );
    for (header, causes) in [
        (right.to_uppercase(), vec![HeaderUpperCase]),
        (format!("sha1={right}"), vec![HeaderPrefixed]),
        (format!("sha256={right}"), vec![HeaderPrefixed]),
        (format!("v1,{right}"), vec![HeaderPrefixed]),
        (format!("t=1772446531,v1={right}"), vec![HeaderPrefixed]),
        (format!("0x{right}"), vec![HeaderPrefixed]),
        (format!("Pay-Signature: {right}"), vec![HeaderPrefixed]),
        (format!("{right}\n"), vec![HeaderPadded]),
        (format!("\u{a0}\"{right}\""), vec![HeaderPadded]),
        (
            format!("{}\n{}", &right[..30], &right[30..]),
            vec![HeaderPadded],
        ),
        (base64, vec![HeaderBase64]),
        (
            format!(" SHA256={}", right.to_uppercase()),
            vec![HeaderPadded, HeaderPrefixed, HeaderUpperCase],
        ),
    ] {
        assert_eq!(pay(&header, PAY_BODY), explained(causes), "{header:?}");
    }
}

#[test]
fn a_header_without_a_signature_is_described() {
    let right = sign(SenderKind::HMRC, HMRC_SECRET, HMRC_BODY);
    for (header, cause) in [
        (String::new(), FailureCause::HeaderEmpty),
        (" \r\n".to_owned(), FailureCause::HeaderEmpty),
        (
            right[..39].to_owned(),
            FailureCause::HeaderLength {
                found: 39,
                expected: 40,
            },
        ),
        (
            right.repeat(2),
            FailureCause::HeaderLength {
                found: 80,
                expected: 40,
            },
        ),
        (format!("{right},{right}"), FailureCause::HeaderSeveral),
        (format!("{right}, {right}"), FailureCause::HeaderSeveral),
        (
            right.replacen(|c: char| c.is_ascii_digit(), "g", 1),
            FailureCause::HeaderNotHex,
        ),
        ("１".repeat(40), FailureCause::HeaderNotHex),
    ] {
        let Diagnosis::Unexplained(causes) = hmrc(&header, HMRC_BODY) else {
            panic!("{header:?}")
        };
        assert_eq!(causes.last(), Some(&cause), "{header:?}");
    }
    let not_utf8 = hmrc(b"\xff\xfe", HMRC_BODY);
    assert_eq!(
        not_utf8,
        Diagnosis::Unexplained(vec![FailureCause::HeaderNotHex])
    );
}

#[test]
fn the_other_senders_signature_is_recognised_by_its_length() {
    let header = sign(SenderKind::HMRC, HMRC_OTHER, HMRC_BODY);
    let sender = SenderKind::HMRC;
    let causes = [
        FailureCause::OtherSender { sender },
        FailureCause::SecretOfOtherSource,
    ];
    let expected = explained_with("hmrc-two 1:env:HMRC", causes);
    assert_eq!(pay(&header, HMRC_BODY), expected);

    let wrong_algorithm = sign(SenderKind::GOVUK_PAY, HMRC_SECRET, HMRC_BODY);
    assert_eq!(
        hmrc(wrong_algorithm, HMRC_BODY),
        explained([FailureCause::OtherSender {
            sender: SenderKind::GOVUK_PAY
        }])
    );
}
