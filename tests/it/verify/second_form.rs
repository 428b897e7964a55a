//! The second form of a body that HMRC signs.

use pillarbox::senders::{SenderKind, SignatureError};

use super::{check, fault, sign};

/// Asserts that of the signatures over all of `others`, a body `sent` by HMRC verifies under none.
fn refuses_forms(sent: &str, others: &[&str]) {
    for form in others {
        assert_ne!(*form, sent);
        let header = sign(SenderKind::HMRC, "sample key", form.as_bytes());
        let found = check(
            SenderKind::HMRC,
            "sample key",
            &[header.as_bytes()],
            sent.as_bytes(),
        );
        assert_eq!(
            fault(found),
            Some(SignatureError::Wrong),
            "{sent} signed as {form}"
        );
    }
}

/// Asserts that a body `sent` by HMRC verifies under the signature over `signed`.
fn accepts_form(sent: &str, signed: &str) {
    let header = sign(SenderKind::HMRC, "sample key", signed.as_bytes());
    let verified = check(
        SenderKind::HMRC,
        "sample key",
        &[header.as_bytes()],
        sent.as_bytes(),
    )
    .unwrap();
    assert_eq!(
        verified.body(),
        sent,
        "the bytes kept are the bytes received"
    );
}

#[test]
fn a_body_with_a_character_beyond_u_ffff_has_two_forms_and_no_third() {
    let sent = r#"{"message":"one \uD83D\uDE00 two \uD83D\uDCB7"}"#;
    accepts_form(sent, sent);
    accepts_form(sent, r#"{"message":"one 😀 two 💷"}"#);
    refuses_forms(
        sent,
        &[
            r#"{"message":"one \ud83d\ude00 two \ud83d\udcb7"}"#,
            r#"{"message":"one 😀 two \uD83D\uDCB7"}"#,
            r#"{"message":"one \uD83D\uDE00 two 💷"}"#,
            r#"{"message":"one \u{1F600} two \u{1F4B7}"}"#,
            r#"{"message":"one ? two ?"}"#,
            r#"{"message":"one  two "}"#,
            r#"{"message": "one 😀 two 💷"}"#,
        ],
    );
}

#[test]
fn a_pair_of_escapes_is_put_back_only_where_it_is_one() {
    for sent in [
        r#"{"message":"{\"a\":\"\\uD83D\\uDE00\"}"}"#,
        r#"{"message":"{\"a\":\"\\ud83d\\ude00\"}"}"#,
        r#"{"message":"{\"a\":\"\\\\uD83D\\\\uDE00\"}"}"#,
        r#"{"message":"\uD83D alone"}"#,
        r#"{"message":"\uDE00\uD83D"}"#,
        r#"{"message":"\uD83D\\uDE00"}"#,
        r#"{"message":"\uD83D \uDE00"}"#,
    ] {
        accepts_form(sent, sent);
        let rewritten = [
            r"\uD83D\uDE00",
            r"\ud83d\ude00",
            r"\\uD83D\\uDE00",
            r"\\ud83d\\ude00",
            r"\\\\uD83D\\\\uDE00",
        ]
        .iter()
        .fold(sent.to_owned(), |text, pair| text.replace(pair, "😀"))
        .replace(r"\uD83D", "?")
        .replace(r"\uDE00", "?");
        refuses_forms(sent, &[&rewritten]);
    }
    let half_inside = r#"{"message":"\\\uD83D\uDE00 \\uD83D\\uDE00"}"#;
    accepts_form(half_inside, r#"{"message":"\\😀 \\uD83D\\uDE00"}"#);
    refuses_forms(
        half_inside,
        &[r#"{"message":"\\😀 \😀"}"#, r#"{"message":"\\😀 😀"}"#],
    );
}

#[test]
fn characters_that_hmrc_sends_raw_have_one_form() {
    accepts_form(r#"{"a":"é€"}"#, r#"{"a":"é€"}"#);
    refuses_forms(r#"{"a":"é€"}"#, &[r#"{"a":"\u00E9\u20AC"}"#]);
    refuses_forms(r#"{"a":"\u00E9\u20AC\u2028"}"#, &["{\"a\":\"é€\u{2028}\"}"]);
    refuses_forms("{\"a\":\"😀\"}", &[r#"{"a":"\uD83D\uDE00"}"#]);
}

#[test]
fn govuk_pay_has_no_second_form() {
    let (sent, raw) = (r#"{"reference":"\uD83D\uDCB7"}"#, r#"{"reference":"💷"}"#);
    let header = sign(SenderKind::GOVUK_PAY, "sample key", raw.as_bytes());
    let found = check(
        SenderKind::GOVUK_PAY,
        "sample key",
        &[header.as_bytes()],
        sent.as_bytes(),
    );
    assert_eq!(fault(found), Some(SignatureError::Wrong));
}
