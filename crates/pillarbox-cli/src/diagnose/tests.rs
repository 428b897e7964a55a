use hmac::{Hmac, KeyInit, Mac};
use pillarbox::senders::MacAlgorithm;
use serde_json::json;
use sha1::Sha1;
use sha2::Sha256;

use super::*;

const HMRC_SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const HMRC_OTHER: &str = "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU";
const PAY_SECRET: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";
const HMRC_BODY: &str = concat!(
    r#"{"notificationId":"1ed5f407","boxId":"50dca3fc","#,
    r#""messageContentType":"application/json","message":"{\"n\":1.10}","#,
    r#""status":"PENDING","createdDateTime":"2020-06-01T10:20:23.160+0000"}"#,
);
const PAY_BODY: &str = concat!(
    r#"{"webhook_message_id":"6l0p","created_date":"2026-03-02T11:40:09.300Z","#,
    r#""resource_id":"4u0c","api_version":1,"resource_type":"PAYMENT","#,
    r#""event_type":"card_payment_failed","#,
    r#""resource":{"moto":false,"state":{"code":"P0010","status":"declined"},"#,
    r#""amount":5000,"metadata":{},"reference":"café","#,
    r#""created_date":"2026-03-02T11:38:50.921Z"}}"#,
);

/// The hex signature of `kind` that `key` makes.
fn sign(kind: SenderKind, key: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> String {
    let (key, body) = (key.as_ref(), body.as_ref());
    match kind.signature.algorithm {
        MacAlgorithm::HmacSha1 => hex::encode(
            Hmac::<Sha1>::new_from_slice(key)
                .unwrap()
                .chain_update(body)
                .finalize()
                .into_bytes(),
        ),
        MacAlgorithm::HmacSha256 => hex::encode(
            Hmac::<Sha256>::new_from_slice(key)
                .unwrap()
                .chain_update(body)
                .finalize()
                .into_bytes(),
        ),
    }
}

/// Diagnoses for a source with `secrets`, beside one other source of each kind.
fn diagnosis(
    kind: SenderKind,
    secrets: &[&str],
    header: impl AsRef<[u8]>,
    body: impl AsRef<[u8]>,
) -> Diagnosis {
    let secret = |text: &str| Secret::new(text.to_owned());
    let own: Vec<(String, Secret)> = secrets
        .iter()
        .enumerate()
        .map(|(at, text)| (format!("{}:env:OWN", at + 1), secret(text)))
        .collect();
    let own: Vec<NamedSecret<'_>> = own
        .iter()
        .map(|(label, secret)| NamedSecret {
            kind,
            label,
            secret,
        })
        .collect();
    let (hmrc, pay) = (secret(HMRC_OTHER), secret("webhook_live_another-source"));
    let others = [
        NamedSecret {
            kind: SenderKind::HMRC,
            label: "hmrc-two 1:env:HMRC",
            secret: &hmrc,
        },
        NamedSecret {
            kind: SenderKind::GOVUK_PAY,
            label: "pay-two 1:env:PAY",
            secret: &pay,
        },
    ];
    diagnose(
        kind,
        &own,
        &others,
        header.as_ref(),
        body.as_ref(),
        Timestamp::from_millis(0),
    )
}

fn hmrc(header: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Diagnosis {
    diagnosis(SenderKind::HMRC, &[HMRC_SECRET], header, body)
}

fn pay(header: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Diagnosis {
    diagnosis(SenderKind::GOVUK_PAY, &[PAY_SECRET], header, body)
}

fn explained(causes: impl Into<Vec<FailureCause>>) -> Diagnosis {
    Diagnosis::Explained {
        key_label: "1:env:OWN".into(),
        causes: causes.into(),
    }
}

fn genuine(key_label: &str, canonical: bool) -> Diagnosis {
    Diagnosis::Genuine {
        key_label: key_label.into(),
        canonical,
    }
}

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
fn a_header_that_holds_no_signature_is_called_what_it_is() {
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
fn the_other_senders_signature_is_told_by_its_length() {
    let header = sign(SenderKind::HMRC, HMRC_OTHER, HMRC_BODY);
    let causes = vec![
        FailureCause::OtherSender {
            sender: SenderKind::HMRC,
        },
        FailureCause::SecretOfOtherSource,
    ];
    let expected = Diagnosis::Explained {
        key_label: "hmrc-two 1:env:HMRC".into(),
        causes,
    };
    assert_eq!(pay(&header, HMRC_BODY), expected);

    let wrong_algorithm = sign(SenderKind::GOVUK_PAY, HMRC_SECRET, HMRC_BODY);
    assert_eq!(
        hmrc(wrong_algorithm, HMRC_BODY),
        explained([FailureCause::OtherSender {
            sender: SenderKind::GOVUK_PAY
        }])
    );
}

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

#[test]
fn what_happened_to_the_body_is_recognised() {
    use FailureCause::*;
    let utf16 = |text: &str, mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| {
        mark.into_iter()
            .chain(text.encode_utf16().flat_map(bytes))
            .collect::<Vec<u8>>()
    };
    let latin1 = PAY_BODY
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect::<Vec<u8>>();
    let mojibake = PAY_BODY.bytes().map(char::from).collect::<String>();
    let base64 = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, PAY_BODY);
    let quoted = json!(PAY_BODY).to_string();
    let (lines, crlf) = ("{\n\"a\": 1\n}", "{\r\n\"a\": 1\r\n}");
    let pay_body = PAY_BODY.as_bytes().to_vec();
    for (signed, received, cause) in [
        (
            pay_body.clone(),
            format!("{PAY_BODY}\n").into_bytes(),
            BodyNewlineAdded,
        ),
        (
            pay_body.clone(),
            format!("{PAY_BODY}\r\n").into(),
            BodyNewlineAdded,
        ),
        (
            format!("{PAY_BODY}\n").into(),
            pay_body.clone(),
            BodyNewlineRemoved,
        ),
        (
            format!("{PAY_BODY}\r\n").into(),
            pay_body.clone(),
            BodyNewlineRemoved,
        ),
        (lines.into(), crlf.into(), BodyCrlfAdded),
        (crlf.into(), lines.into(), BodyCrlfRemoved),
        (
            pay_body.clone(),
            format!("\u{feff}{PAY_BODY}").into(),
            BodyBomAdded,
        ),
        (
            format!("\u{feff}{PAY_BODY}").into(),
            pay_body.clone(),
            BodyBomRemoved,
        ),
        (pay_body.clone(), latin1.clone(), BodyToLatin1),
        (latin1, pay_body.clone(), BodyFromLatin1),
        (pay_body.clone(), mojibake.into(), BodyFromLatin1),
        (
            pay_body.clone(),
            utf16(PAY_BODY, [0xff, 0xfe], u16::to_le_bytes),
            BodyToUtf16,
        ),
        (
            pay_body.clone(),
            utf16(&format!("{PAY_BODY}\r\n"), [0xfe, 0xff], u16::to_be_bytes),
            BodyToUtf16,
        ),
        (pay_body.clone(), base64.clone().into(), BodyStillBase64),
        (
            pay_body.clone(),
            format!("{base64}\n").into(),
            BodyStillBase64,
        ),
        (base64.into(), pay_body.clone(), BodyDecodedTwice),
        (pay_body.clone(), quoted.clone().into(), BodyStillQuoted),
        (
            pay_body,
            quoted[1..quoted.len() - 1].into(),
            BodyStillQuoted,
        ),
    ] {
        assert_eq!(
            pay(sign(SenderKind::GOVUK_PAY, PAY_SECRET, signed), received),
            explained([cause.clone()]),
            "{cause:?}"
        );
    }
}

#[test]
fn a_body_that_was_parsed_and_written_again_is_recognised() {
    let value: serde_json::Value = serde_json::from_str(PAY_BODY).unwrap();
    let (sorted, pretty) = (
        value.to_string(),
        serde_json::to_string_pretty(&value).unwrap(),
    );
    let spaced = r#"{"b": [1, 2.50, {}], "a": "x: y, z"}"#;
    let ascii = PAY_BODY.replace('é', "\\u00e9");
    for (signed, received, form) in [
        (PAY_BODY, ascii.as_str(), "compact"),
        (r#"{"u":"a/b"}"#, r#"{"u":"a\/b"}"#, "compact"),
        (sorted.as_str(), pretty.as_str(), "compact"),
        (pretty.as_str(), sorted.as_str(), "pretty-printed"),
        (&format!("{pretty}\n"), sorted.as_str(), "pretty-printed"),
        (
            "{\n    \"a\": [\n        1.0\n    ]\n}",
            r#"{"a":[1.0]}"#,
            "pretty-printed",
        ),
        (
            spaced,
            r#"{"b":[1,2.50,{}],"a":"x: y, z"}"#,
            "with a space after each comma and colon",
        ),
        (sorted.as_str(), PAY_BODY, "with its keys sorted"),
        (pretty.as_str(), PAY_BODY, "with its keys sorted"),
        (
            PAY_BODY,
            sorted.as_str(),
            "with its keys in the sender's own order",
        ),
        (
            PAY_BODY,
            pretty.as_str(),
            "with its keys in the sender's own order",
        ),
    ] {
        let found = pay(sign(SenderKind::GOVUK_PAY, PAY_SECRET, signed), received);
        assert_eq!(
            found,
            explained([FailureCause::BodyRewritten { signed: form }]),
            "{received}"
        );
    }
    let sorted = serde_json::from_str::<serde_json::Value>(HMRC_BODY)
        .unwrap()
        .to_string();
    let found = hmrc(sign(SenderKind::HMRC, HMRC_SECRET, HMRC_BODY), sorted);
    assert_eq!(
        found,
        explained([FailureCause::BodyRewritten {
            signed: "with its keys in the sender's own order"
        }])
    );
}

#[test]
fn faults_of_header_secret_and_body_are_found_together() {
    let header = sign(SenderKind::HMRC, format!("{HMRC_SECRET}\n"), HMRC_BODY).to_uppercase();
    let found = diagnosis(
        SenderKind::HMRC,
        &[HMRC_OTHER, HMRC_SECRET],
        header,
        format!("{HMRC_BODY}\n"),
    );
    let causes = vec![
        FailureCause::HeaderUpperCase,
        FailureCause::SignedWithPaddedSecret,
        FailureCause::BodyNewlineAdded,
    ];
    assert_eq!(
        found,
        Diagnosis::Explained {
            key_label: "2:env:OWN".into(),
            causes
        }
    );
}

#[test]
fn what_nothing_explains_is_said_to_be_unexplained() {
    use FailureCause::{BodyEmpty, BodyNotText, HeaderPadded, NoSecret, NoneOfThese};
    let header = "0".repeat(40);
    assert_eq!(
        hmrc(&header, HMRC_BODY),
        Diagnosis::Unexplained(vec![NoneOfThese])
    );
    assert_eq!(
        hmrc(format!("{header} "), HMRC_BODY),
        Diagnosis::Unexplained(vec![HeaderPadded, NoneOfThese])
    );
    assert_eq!(
        hmrc(&header, ""),
        Diagnosis::Unexplained(vec![BodyEmpty, NoneOfThese])
    );
    assert_eq!(
        hmrc(&header, b"\xff"),
        Diagnosis::Unexplained(vec![BodyNotText, NoneOfThese])
    );
    assert_eq!(
        hmrc(&header, "caf\u{fffd}"),
        Diagnosis::Unexplained(vec![BodyNotText, NoneOfThese])
    );
    let none_yet = diagnosis(SenderKind::HMRC, &[], &header, HMRC_BODY);
    assert_eq!(
        none_yet,
        Diagnosis::Unexplained(vec![NoSecret, NoneOfThese])
    );
}

#[test]
fn a_body_that_nests_beyond_reason_is_no_danger() {
    let deep = format!("{{\"a\":{}", "[".repeat(200_000));
    assert_eq!(
        hmrc("0".repeat(40), deep),
        Diagnosis::Unexplained(vec![FailureCause::NoneOfThese])
    );
}

/// Every cause there is, once.
fn every_cause() -> Vec<FailureCause> {
    use FailureCause::*;
    vec![
        HeaderEmpty,
        HeaderPadded,
        HeaderPrefixed,
        HeaderSeveral,
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
fn every_cause_is_one_sentence_of_its_own() {
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
