use super::{
    super::{CheckOptions, CheckReport, check},
    *,
};
use crate::{
    signature,
    test_receiver::{ReceiverReaction, TestReceiver, status},
    tests::TestClock,
};

const SECRET: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";

/// How a receiver gets the text that it verifies from the body.
type VerifiedText = fn(&str) -> String;

/// Checks a receiver that verifies `text` of each body with `key`, and answers `refusal` if that
/// fails.
async fn checked(
    sender: Sender,
    key: &'static str,
    text: VerifiedText,
    refusal: u16,
) -> CheckReport {
    let receiver = TestReceiver::new(move |_, request| {
        let expected = signature::sign(sender, key, text(&request.body).as_bytes());
        let code = if request.signature.as_ref() == Some(&expected) {
            200
        } else {
            refusal
        };
        ReceiverReaction::CloseAfter(status(code, "connection: close\r\n"))
    })
    .await;
    let options = CheckOptions {
        idle: std::time::Duration::from_millis(10),
        ..CheckOptions::default()
    };
    let clock = TestClock::new();
    check(&receiver.url, sender, SECRET, &options, &clock, |_| {})
        .await
        .unwrap()
}

/// The text as Python's `json.dumps(…, separators=(",", ":"))` writes it.
fn in_ascii(text: &str) -> String {
    let escaped = |unit: u16| match u8::try_from(unit) {
        Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
        _ => format!("\\u{unit:04x}"),
    };
    text.encode_utf16().map(escaped).collect()
}

#[tokio::test]
async fn a_rewritten_body_is_found_whether_it_is_refused_with_400_or_401() {
    for sender in Sender::ALL {
        for refusal in [400, 401, 403, 422] {
            for (nth, words) in ["a space after", "each slash", "keys sorted"]
                .into_iter()
                .enumerate()
            {
                let texts: [VerifiedText; 3] = [
                    |text| rewritten(text)[0].1.clone(),
                    |text| rewritten(text)[1].1.clone(),
                    |text| rewritten(text)[2].1.clone(),
                ];
                let report = checked(sender, SECRET, texts[nth], refusal).await;
                let secret = report.finding("secret").unwrap();
                assert!(
                    secret.result == Grade::Failed && secret.seen.contains(words),
                    "{sender:?} {refusal}: {secret:?}"
                );
                let accepted = report.finding("accepted").unwrap();
                assert_eq!(accepted.result, Grade::NotTried, "{accepted:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_receiver_that_escapes_other_characters_accepts_the_first_notification() {
    for sender in Sender::ALL {
        for refusal in [400, 401, 422] {
            let report = checked(sender, SECRET, in_ascii, refusal).await;
            for (id, expected) in [
                ("secret", Grade::Passed),
                ("accepted", Grade::Passed),
                ("duplicate", Grade::Passed),
                ("raw-body", Grade::Passed),
                ("raw-characters", Grade::Failed),
            ] {
                let finding = report.finding(id).unwrap();
                assert_eq!(
                    finding.result, expected,
                    "{sender:?} {refusal}: {finding:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_secret_with_a_newline_is_named_with_every_refusal() {
    const PADDED: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu\n";
    for sender in Sender::ALL {
        for refusal in [400, 401, 403, 422] {
            let report = checked(sender, PADDED, str::to_owned, refusal).await;
            let secret = report.finding("secret").unwrap();
            assert!(
                secret.result == Grade::Failed && secret.seen.contains("and a newline"),
                "{sender:?} {refusal}: {secret:?}"
            );
        }
    }
}

#[tokio::test]
async fn another_secret_that_is_refused_with_400_is_one_finding() {
    for sender in Sender::ALL {
        let report = checked(sender, "another secret", str::to_owned, 400).await;
        let failed: Vec<&str> = (report.findings.iter())
            .filter(|finding| finding.result == Grade::Failed)
            .map(|finding| finding.id)
            .collect();
        assert!(
            failed.contains(&"secret") && !failed.contains(&"accepted"),
            "{failed:?}"
        );
    }
}

#[test]
fn a_rewritten_body_has_the_same_value_and_another_text() {
    let text = r#"{"b":"a, b: \"c/d\", e","a":[1,{"y":"http://x"}]}"#;
    let [spaced, slashes, sorted] = rewritten(text).map(|(_, text)| text);
    assert_eq!(
        spaced,
        r#"{"b": "a, b: \"c/d\", e", "a": [1, {"y": "http://x"}]}"#
    );
    assert_eq!(
        slashes,
        r#"{"b":"a, b: \"c\/d\", e","a":[1,{"y":"http:\/\/x"}]}"#
    );
    assert_eq!(
        sorted,
        r#"{"a":[1,{"y":"http://x"}],"b":"a, b: \"c/d\", e"}"#
    );
}
