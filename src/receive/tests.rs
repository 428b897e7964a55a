//! Receiving from request to answer, with an inbox in memory and without a server.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use tracing_subscriber::prelude::*;

use super::*;
use crate::{
    domain::{SourceName, Timestamp},
    inbox::{MemoryInbox, ReadInbox},
    secrets::Secret,
    senders::{
        SenderKind, SignatureError, SigningKey, Source,
        example::{NOW, pay},
    },
    telemetry::{
        LogFormat, LogLayer,
        test_support::{FixedClock, LineBuffer},
    },
};

/// A request whose body may be read, or is refused.
struct FakeRequest {
    method: &'static str,
    path: &'static str,
    signature: Option<String>,
    body: Result<Bytes, Refusal>,
}

impl FakeRequest {
    /// The notification of Pay `id`, as its sender posts it.
    fn pay(id: &str) -> Self {
        Self::pay_dated(id, NOW)
    }

    fn pay_dated(id: &str, created: Timestamp) -> Self {
        let entry = pay(id, "p1", "card_payment_captured", created);
        Self {
            method: "POST",
            path: "/pay",
            signature: entry.signature,
            body: Ok(entry.body),
        }
    }
}

impl HttpRequest for FakeRequest {
    fn method(&self) -> &str {
        self.method
    }

    fn path(&self) -> &str {
        self.path
    }

    fn query(&self) -> Cow<'_, str> {
        Cow::Borrowed("challenge=abc")
    }

    fn header_values(&self, name: &str) -> Vec<&[u8]> {
        assert!(name.ends_with("-signature"), "{name}");
        self.signature.iter().map(String::as_bytes).collect()
    }

    async fn body(&mut self) -> Result<Bytes, Refusal> {
        self.body.clone()
    }
}

fn receiver() -> Receiver<MemoryInbox> {
    let secret = Secret::new("webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu".to_owned());
    let source = |name: &str, kind: SenderKind, keys: Vec<SigningKey>| Source {
        name: SourceName::new(name).unwrap(),
        kind,
        keys,
    };
    let key = SigningKey::new(SenderKind::GOVUK_PAY, "1:env:TEST", &secret);
    let sources = [
        source("pay", SenderKind::GOVUK_PAY, vec![key]),
        source("hmrc", SenderKind::HMRC, vec![]),
    ];
    Receiver::new(
        Keyring::fixed(sources),
        Arc::new(MemoryInbox::default()),
        Acceptance(Duration::from_secs(60 * 24 * 60 * 60)),
        Arc::new(FixedClock),
    )
}

async fn receive(
    receiver: &Receiver<MemoryInbox>,
    mut request: FakeRequest,
) -> (HttpAnswer, RequestRecord) {
    let mut record = RequestRecord::default();
    let result = receiver.handle(&mut request, &mut record).await;
    (answer(&result, &mut record), record)
}

#[tokio::test]
async fn a_notification_is_stored_before_it_is_answered_and_the_record_has_its_key() {
    let receiver = receiver();
    for outcome in ["recorded", "duplicate"] {
        let (answer, record) = receive(&receiver, FakeRequest::pay("m1")).await;
        let body = format!(r#"{{"status":"{outcome}"}}"#);
        assert_eq!((answer.status, answer.body), (200, body));
        let key = record.key.clone().unwrap();
        assert!(receiver.inbox.get(&key).await.unwrap().is_some());
        assert_eq!((key.as_str(), record.outcome), ("pay:m1", outcome));
        assert_eq!(record.source, SourceName::new("pay"));
        assert_eq!(record.key_label.as_deref(), Some("1:env:TEST"));
        assert!(record.body_bytes.is_some() && record.store.is_some());
        assert_eq!((record.status, record.path), (Some(200), None));
    }
}

#[tokio::test]
async fn other_content_under_a_key_is_held_and_the_record_has_the_reason() {
    let receiver = receiver();
    for (created, outcome, reason) in [
        (NOW, "recorded", None),
        (NOW.plus(Duration::from_secs(1)), "held", Some("conflict")),
    ] {
        let request = FakeRequest::pay_dated("m1", created);
        let (answer, record) = receive(&receiver, request).await;
        assert_eq!((answer.status, record.outcome), (200, outcome));
        assert_eq!(record.reason.as_deref(), reason);
    }
}

#[tokio::test]
async fn the_path_decides_before_the_body_is_read() {
    let receiver = receiver();
    for (method, path, status, outcome) in [
        ("POST", "/other", 404, "refused"),
        ("PUT", "/pay", 405, "refused"),
        ("GET", "/hmrc", 200, "challenge"),
        ("POST", "/pay", 408, "refused"),
    ] {
        let request = FakeRequest {
            method,
            path,
            body: Err(Refusal::Slow),
            ..FakeRequest::pay("m1")
        };
        let (answer, record) = receive(&receiver, request).await;
        assert_eq!((answer.status, record.outcome), (status, outcome), "{path}");
    }
}

#[tokio::test]
async fn an_unverified_body_is_not_stored_and_only_a_refused_signature_logs_its_digest() {
    let receiver = receiver();
    let unsigned = || FakeRequest {
        signature: None,
        ..FakeRequest::pay("m1")
    };
    let forged = FakeRequest {
        body: Ok(Bytes::from_static(b"x")),
        ..FakeRequest::pay("m1")
    };
    let longest = FakeRequest {
        body: Ok(vec![0; MAX_BODY_BYTES].into()),
        ..FakeRequest::pay("m1")
    };
    let too_long = FakeRequest {
        body: Ok(vec![0; MAX_BODY_BYTES + 1].into()),
        ..FakeRequest::pay("m1")
    };
    let no_secret = FakeRequest {
        path: "/hmrc",
        ..unsigned()
    };
    for (request, status, digest) in [
        (unsigned(), 401, true),
        (forged, 401, true),
        (longest, 401, true),
        (too_long, 413, false),
        (no_secret, 503, false),
    ] {
        let (answer, record) = receive(&receiver, request).await;
        assert_eq!(answer.status, status);
        assert_eq!((record.key, record.store), (None, None));
        assert_eq!(record.digest_prefix.is_some(), digest, "{status}");
    }
    let rows = receiver.inbox.get(&Key::parse("pay:m1").unwrap()).await;
    assert_eq!(rows.unwrap().map(|row| row.key), None);
    let wrong = Refusal::Signature(SignatureError::Wrong);
    assert!(!wrong.leaves_body_unread() && Refusal::Slow.leaves_body_unread());
}

/// The log lines about our clock when these notifications are received; days are relative to it.
async fn clock_lines(days: &[i64]) -> Vec<String> {
    let log = LineBuffer::default();
    let clock = Arc::new(FixedClock);
    let (layer, guard) = LogLayer::new(log.clone(), LogFormat::Json, clock).unwrap();
    let subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let receiver = receiver();
    for (nth, days) in days.iter().enumerate() {
        let millis = NOW.as_millis() + days * 24 * 60 * 60 * 1000;
        let request = FakeRequest::pay_dated(&format!("m{nth}"), Timestamp::from_millis(millis));
        assert_eq!(receive(&receiver, request).await.0.status, 200);
    }
    drop((subscriber, guard));
    let lines = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let of_clock = |line: &&str| line.contains("our own clock may be wrong");
    lines.lines().filter(of_clock).map(str::to_owned).collect()
}

#[tokio::test]
async fn one_line_warns_of_a_wrong_clock_when_every_notification_is_ahead_or_behind() {
    for (days, words) in [
        (&[3, 3, 4, 3, 3, 3, 3][..], "dated more than a day ahead"),
        (&[0, -61, -90, -300, -61], "older by our clock"),
    ] {
        let lines = clock_lines(days).await;
        assert_eq!(lines.len(), 1, "{days:?}: {lines:?}");
        assert!(lines[0].contains(words), "{}", lines[0]);
        assert!(lines[0].contains(r#""source":"pay""#), "{}", lines[0]);
    }
    for days in [
        &[3, 3, 0, 3, 3][..],
        &[3, 3, -61, -61, 3, 3],
        &[0, 0, 0, 0],
        &[-59, -59, -59, -59],
    ] {
        assert_eq!(clock_lines(days).await, [""; 0], "{days:?}");
    }
    assert_eq!(clock_lines(&[3, 3, 3, 0, 3, 3, 3]).await.len(), 2);
}
