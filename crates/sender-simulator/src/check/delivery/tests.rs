use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use url::Url;

use super::{
    super::{CheckOptions, CheckReport, check},
    *,
};
use crate::{signature, tests::TestClock};

const SECRET: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";

/// How a receiver gets the text that it verifies from the body.
type VerifiedText = fn(&str) -> String;

/// Checks a receiver that verifies `text` of each body with `key`, and answers `refusal` to
/// what does not verify.
async fn checked(
    sender: Sender,
    key: &'static str,
    text: VerifiedText,
    refusal: u16,
) -> CheckReport {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/try", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                let (head, body) = loop {
                    let read = stream.read_buf(&mut request).await;
                    if read.is_err() || read.is_ok_and(|bytes| bytes == 0) {
                        return;
                    }
                    let seen = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = seen.split_once("\r\n\r\n") else {
                        continue;
                    };
                    let length = field(head, "content-length").map_or(0, |n| n.parse().unwrap());
                    if body.len() >= length {
                        break (head.to_owned(), body.to_owned());
                    }
                };
                let expected = signature::sign(sender, key, text(&body).as_bytes());
                let given = field(&head, sender.signature_header());
                let status = if given == Some(&*expected) {
                    200
                } else {
                    refusal
                };
                let response = format!(
                    "HTTP/1.1 {status} Done\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                stream.write_all(response.as_bytes()).await.unwrap();
            });
        }
    });
    let (url, clock) = (Url::parse(&url).unwrap(), TestClock::new());
    let options = CheckOptions {
        idle: std::time::Duration::from_millis(10),
        ..CheckOptions::default()
    };
    check(&url, sender, SECRET, &options, &clock, |_| {})
        .await
        .unwrap()
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// As Python's `json.dumps(…, separators=(",", ":"))` writes it.
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
async fn a_secret_with_a_newline_is_named_whatever_the_refusal_is() {
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
