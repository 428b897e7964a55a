//! Causes in the body.

use serde_json::json;

use super::{HMRC_BODY, HMRC_SECRET, PAY_BODY, PAY_SECRET, explained, hmrc, pay, sign};
use crate::diagnose::*;

#[track_caller]
fn assert_cause(signed: impl AsRef<[u8]>, received: impl AsRef<[u8]>, cause: FailureCause) {
    let header = sign(SenderKind::GOVUK_PAY, PAY_SECRET, signed);
    assert_eq!(pay(header, received), explained([cause]));
}

#[test]
fn an_alteration_of_the_body_is_recognised() {
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
    let with_bom = format!("\u{feff}{PAY_BODY}");
    for newline in ["\n", "\r\n"] {
        let longer = format!("{PAY_BODY}{newline}");
        assert_cause(PAY_BODY, &longer, BodyNewlineAdded);
        assert_cause(&longer, PAY_BODY, BodyNewlineRemoved);
    }
    assert_cause(lines, crlf, BodyCrlfAdded);
    assert_cause(crlf, lines, BodyCrlfRemoved);
    assert_cause(PAY_BODY, &with_bom, BodyBomAdded);
    assert_cause(&with_bom, PAY_BODY, BodyBomRemoved);
    assert_cause(PAY_BODY, &latin1, BodyToLatin1);
    assert_cause(latin1, PAY_BODY, BodyFromLatin1);
    assert_cause(PAY_BODY, mojibake, BodyFromLatin1);
    for received in [
        utf16(PAY_BODY, [0xff, 0xfe], u16::to_le_bytes),
        utf16(&format!("{PAY_BODY}\r\n"), [0xfe, 0xff], u16::to_be_bytes),
    ] {
        assert_cause(PAY_BODY, received, BodyToUtf16);
    }
    for received in [&base64, &format!("{base64}\n")] {
        assert_cause(PAY_BODY, received, BodyStillBase64);
    }
    assert_cause(base64, PAY_BODY, BodyDecodedTwice);
    for received in [quoted.as_str(), &quoted[1..quoted.len() - 1]] {
        assert_cause(PAY_BODY, received, BodyStillQuoted);
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
        let cause = FailureCause::BodyRewritten { signed: form };
        assert_cause(signed, received, cause);
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
fn a_deeply_nested_body_does_not_overflow_the_stack() {
    let deep = format!("{{\"a\":{}", "[".repeat(200_000));
    assert_eq!(
        hmrc("0".repeat(40), deep),
        Diagnosis::Unexplained(vec![FailureCause::NoneOfThese])
    );
}
