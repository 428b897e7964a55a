//! Causes in the body.

use serde_json::json;

use super::{HMRC_BODY, HMRC_SECRET, PAY_BODY, PAY_SECRET, explained, hmrc, pay, sign};
use crate::diagnose::*;

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
fn a_body_that_nests_beyond_reason_is_no_danger() {
    let deep = format!("{{\"a\":{}", "[".repeat(200_000));
    assert_eq!(
        hmrc("0".repeat(40), deep),
        Diagnosis::Unexplained(vec![FailureCause::NoneOfThese])
    );
}
