//! Proves that a third sender needs only its folder and one line in the list.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::signature::TOLERANCE;
use crate::{
    config::Config,
    delivery::{AttemptOutcome, DeliveryWorker},
    destinations::{DeliveryError, Destination, Event},
    domain::{HeldReason, Key, SourceName, State, Timestamp},
    inbox::{MemoryInbox, ReadInbox, RetentionPolicy},
    lambda::{Invocation, InvocationReply, LambdaFunction, Role},
    receive::{
        HttpRequest, Receipt, ReceiptStatus, Receiver, Refusal, RequestOutcome, Route, route,
    },
    secrets::{FetchedSecrets, Keyring, Secret, SecretSources},
    senders::{Acceptance, SenderKind, SignatureError, SigningKey, Source, example::NOW},
    telemetry::{RequestRecord, test_support::FixedClock},
};

const SECRET: &str = "ts_7mrp1d5lsa5pdfs2bvim2f9c";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Default)]
struct RecordingDestination(Mutex<Vec<String>>);

impl Destination for Arc<RecordingDestination> {
    async fn deliver(&self, _: &Key, event: &Event) -> Result<(), DeliveryError> {
        let json = String::from_utf8(event.json().to_vec()).unwrap();
        self.0.lock().unwrap().push(json);
        Ok(())
    }
}

fn source() -> Source {
    let kind = SenderKind::parse("timestamped").unwrap();
    Source {
        name: SourceName::new("third").unwrap(),
        kind,
        keys: vec![SigningKey::new(
            kind,
            "1:env:THIRD",
            &Secret::new(SECRET.to_owned()),
        )],
    }
}

fn message(id: &str) -> String {
    format!(r#"{{"id":"{id}","at":"{NOW}","type":"opened","about":"case-7"}}"#)
}

fn sign(at: Timestamp, body: &str) -> String {
    let seconds = at.as_seconds();
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let mac = mac.chain_update(format!("{seconds}.{body}"));
    format!(
        "t={seconds},v1={}",
        hex::encode(mac.finalize().into_bytes())
    )
}

/// A POST to the source.
struct SignedPost<'a> {
    header: &'a str,
    body: &'a str,
}

impl HttpRequest for SignedPost<'_> {
    fn method(&self) -> &str {
        "POST"
    }

    fn path(&self) -> &str {
        "/third"
    }

    fn query(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn header_values(&self, name: &str) -> Vec<&[u8]> {
        assert_eq!(name, source().kind.signature.header);
        vec![self.header.as_bytes()]
    }

    async fn body(&mut self) -> Result<Bytes, Refusal> {
        Ok(self.body.to_owned().into())
    }
}

fn receiver(inbox: &Arc<MemoryInbox>) -> Receiver<MemoryInbox> {
    Receiver::new(
        Keyring::fixed([source()]),
        Arc::clone(inbox),
        Acceptance(60 * DAY),
        Arc::new(FixedClock),
    )
}

async fn receive_one(
    inbox: &Arc<MemoryInbox>,
    header: &str,
    body: &str,
) -> Result<Receipt, Refusal> {
    let receiver = receiver(inbox);
    let mut post = SignedPost { header, body };
    let mut record = RequestRecord::default();
    match receiver.handle(&mut post, &mut record).await? {
        RequestOutcome::Stored(receipt) => Ok(receipt),
        RequestOutcome::Challenge(_) | RequestOutcome::Probe(_) => {
            panic!("a POST is neither a challenge nor a probe")
        }
    }
}

#[tokio::test]
async fn its_notifications_are_received_deduplicated_and_delivered() {
    let inbox = Arc::new(MemoryInbox::default());
    let destination = Arc::new(RecordingDestination::default());
    let retention = RetentionPolicy {
        retention: 90 * DAY,
    };
    let worker = DeliveryWorker::new(
        Arc::clone(&inbox),
        Arc::clone(&destination),
        Arc::new(FixedClock),
        retention,
    );
    let first = message("m1");
    let stored = |receipt: Result<Receipt, Refusal>| receipt.unwrap().stored;
    let header = sign(NOW, &first);
    let received = receive_one(&inbox, &header, &first).await;
    assert_eq!(stored(received), ReceiptStatus::Recorded);
    let again = receive_one(&inbox, &sign(NOW.plus(TOLERANCE), &first), &first).await;
    assert_eq!(stored(again), ReceiptStatus::Duplicate);
    let same_event = message("m2");
    let received = receive_one(&inbox, &sign(NOW, &same_event), &same_event).await;
    assert_eq!(stored(received), ReceiptStatus::Recorded);
    let unreadable = receive_one(&inbox, &sign(NOW, "{}"), "{}").await;
    assert_eq!(
        stored(unreadable),
        ReceiptStatus::Held(HeldReason::Unreadable.as_str())
    );

    let key = |id: &str| Key::parse(&format!("third:{id}")).unwrap();
    let outcome = |key: Key| {
        let worker = &worker;
        async move { worker.process(&key).await.unwrap().outcome }
    };
    assert_eq!(outcome(key("m1")).await, AttemptOutcome::Delivered);
    assert_eq!(outcome(key("m2")).await, AttemptOutcome::Repeat(key("m1")));

    let row = inbox.get(&key("m1")).await.unwrap().unwrap();
    assert_eq!((row.state, row.kind), (State::Delivered, source().kind));
    assert_eq!(row.signature, Some(header));
    let event = format!(
        concat!(
            r#"{{"specversion":"1.0","id":"third:m1","source":"/third","#,
            r#""type":"example.timestamped.opened","subject":"case-7","time":"{}","#,
            r#""datacontenttype":"application/json","data":{}}}"#,
        ),
        NOW, first,
    );
    assert_eq!(*destination.0.lock().unwrap(), [event]);
}

#[tokio::test]
async fn a_lambda_receives_it() {
    let inbox = Arc::new(MemoryInbox::default());
    let worker = None::<Arc<DeliveryWorker<MemoryInbox, Arc<RecordingDestination>>>>;
    let function = LambdaFunction::new(Role::Receive, Some(receiver(&inbox)), worker, None);
    let body = message("m1");
    let event = serde_json::json!({
        "version": "2.0",
        "rawPath": "/third",
        "rawQueryString": "",
        "headers": {"host": "localhost", "timestamped-signature": sign(NOW, &body)},
        "requestContext": {
            "http": {"method": "POST"},
            "stage": "$default",
            "domainName": "localhost",
            "timeEpoch": NOW.as_millis(),
        },
        "body": body,
        "isBase64Encoded": false,
    });
    let invocation = Invocation {
        id: "1".to_owned(),
        deadline: NOW.plus(Duration::from_secs(10)),
        trace_header: None,
    };
    let raw = serde_json::value::to_raw_value(&event).unwrap();
    let reply = function.handle(&raw, &invocation).await.unwrap();
    assert!(
        matches!(&reply, InvocationReply::Http(reply) if reply.0.status == 200),
        "{reply:?}"
    );
    let stored = inbox.get(&Key::parse("third:m1").unwrap()).await.unwrap();
    assert_eq!(stored.unwrap().state, State::Recorded);
}

#[tokio::test]
async fn its_signature_covers_the_time_which_is_checked_against_the_clock() {
    let inbox = Arc::new(MemoryInbox::default());
    let body = message("m1");
    let second = Duration::from_secs(1);
    let genuine = sign(NOW, &body);
    let seconds = NOW.as_seconds();
    for (header, expected) in [
        (
            sign(NOW.minus(TOLERANCE + second), &body),
            SignatureError::Expired,
        ),
        (
            sign(NOW.plus(TOLERANCE + second), &body),
            SignatureError::Expired,
        ),
        (
            genuine.replace(&format!("t={seconds}"), &format!("t={}", seconds + 1)),
            SignatureError::Wrong,
        ),
        (
            genuine.replace(&format!("t={seconds},v1="), ""),
            SignatureError::Malformed,
        ),
        (
            genuine.replace("t=", "t=9999999999999999999"),
            SignatureError::Malformed,
        ),
        (genuine.replace("v1=", "v0="), SignatureError::Malformed),
    ] {
        let refused = receive_one(&inbox, &header, &body).await.unwrap_err();
        assert!(
            matches!(refused, Refusal::Signature(error) if error == expected),
            "{header}: {refused:?}"
        );
    }
}

#[test]
fn it_is_configured_by_name_and_has_no_challenge_live_mode_or_api() {
    let document = |line: &str| {
        format!("[sources.third]\nkind = \"timestamped\"\nsecrets = [\"env:THIRD\"]\n{line}\n")
    };
    let config = Config::read(&document(""), "p").unwrap();
    let value = |secret: &'static str| {
        let secret_sources = SecretSources {
            env: &|_| Some(secret.to_owned()),
            file: &|_| Err(std::io::ErrorKind::NotFound.into()),
            vault: FetchedSecrets::NOTHING,
        };
        config.sender_secrets(&secret_sources).map(|sources| {
            let source = &sources[0];
            (source.kind, source.keys.len())
        })
    };
    assert_eq!(value(SECRET).unwrap(), (source().kind, 1));
    for (line, expected) in [
        (
            "live = true",
            "p:4: sources.third.live is for govuk-pay only: remove it, since the timestamped \
             sender's secrets don't say whether they are live",
        ),
        (
            "[sources.third.pull]",
            "p:4: sources.third.pull is not supported: Pillarbox does not read an API of \
             the timestamped sender",
        ),
    ] {
        let problems = Config::read(&document(line), "p").unwrap_err();
        assert_eq!(problems.to_string(), expected);
    }

    let sources = [(source().name, source())].into();
    assert!(matches!(
        route(&sources, "POST", "/third", ""),
        Ok(Route::Callback(_))
    ));
    assert!(matches!(
        route(&sources, "GET", "/third", "challenge=a"),
        Err(Refusal::Challenge(_))
    ));
}
