//! Events of the Lambda: of each front, of the stream, of schedules, and any other JSON.

use pillarbox::lambda::{EventShape, batch_for_tests, shape};
use serde_json::{Value, json, value::RawValue};

use super::{
    input::FuzzInput,
    requests::{attack, request, seed_requests, with_receiver},
};
use crate::{
    attack::{
        EntryPoint, event,
        fronts::{FrontRequest, LambdaFront},
    },
    receiver_under_test::{NOW, SOURCES},
    second_verifier::is_signed,
};

/// The statuses that an answer may have.
const STATUSES: [u16; 9] = [200, 400, 401, 404, 405, 408, 413, 431, 503];

/// A request through a front: the same outcome as at the receiver itself.
pub(super) fn http(front: LambdaFront, bytes: &[u8]) {
    attack(
        &request(&mut FuzzInput::new(bytes)),
        EntryPoint::LambdaFront(front),
    );
}

/// Any JSON: only the event of a front is answered, and only a signed body is stored.
pub(super) fn any_event(bytes: &[u8]) {
    let Some(raw) = raw(bytes) else { return };
    let found = shape(&raw);
    if let EventShape::Sweep | EventShape::Reconcile = found {
        let text = raw.get();
        assert!(text.contains("ro") || text.contains('\\') || text.contains("source"));
    }
    let outcome = with_receiver(|attacked| attacked.attack_with_event(&raw));
    let is_http = matches!(found, EventShape::Http(_));
    assert_eq!(outcome.is_some(), is_http, "{found:?}");
    let Some(outcome) = outcome else { return };
    let answer = &outcome.answer;
    assert!(STATUSES.contains(&answer.status), "{answer:?}");
    assert!(answer.body.len() < 300, "{answer:?}");
    serde_json::from_str::<Value>(&answer.body)
        .map(drop)
        .unwrap_or_else(|_| assert_eq!(answer.content_type, "text/plain"));
    assert!(outcome.calls <= 1);
    if let Some(stored) = outcome.stored {
        let mut sources = SOURCES.iter();
        let source = sources.find(|source| source.name == stored.source);
        let source = source.expect("the source exists");
        let header = stored.signature.unwrap_or_default();
        assert!(is_signed(source, &stored.body, header.as_bytes()));
    }
}

/// Any batch: a record without a sequence number or of another shape fails the whole batch, and
/// only new recorded rows are delivered.
pub(super) fn stream_batch(bytes: &[u8]) {
    let Some(raw) = raw(bytes) else { return };
    let Ok(records) = batch_for_tests(&raw) else {
        return;
    };
    let Ok(value) = serde_json::from_str::<Value>(raw.get()) else {
        return;
    };
    let Some(written) = value["Records"].as_array() else {
        return; // a duplicate field, or half a surrogate pair
    };
    assert_eq!(written.len(), records.len(), "a record is missing");
    for (record, written) in records.iter().zip(written) {
        let number = &written["dynamodb"]["SequenceNumber"];
        assert_eq!(Some(&*record.sequence.to_string()), number.as_str());
        let Some(key) = &record.key else { continue };
        assert_eq!(written["eventName"], "INSERT");
        assert_eq!(written["dynamodb"]["Keys"]["pk"]["S"], key.as_str());
        assert_eq!(written["dynamodb"]["NewImage"]["state"]["S"], "recorded");
    }
}

fn raw(bytes: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(bytes).ok()?;
    RawValue::from_string(text.to_owned()).ok()
}

/// Events of every kind.
pub fn seed_events() -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    for front in LambdaFront::ALL {
        let requests = seed_requests();
        events.extend(
            requests
                .iter()
                .map(|request| event(front, request).get().to_owned()),
        );
        let challenge = FrontRequest::new("GET", "/hmrc?challenge=abc");
        events.push(front.invocation(&challenge, NOW).to_string());
        let encoded = FrontRequest::new("POST", "/pay").body("{}").base64();
        events.push(front.invocation(&encoded, NOW).to_string());
    }
    events.extend(
        [
            json!({"role": "sweep"}),
            json!({"role": "reconcile"}),
            json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}),
            json!({"httpMethod": "GET", "path": "/", "requestContext": {"elb": {}}}),
        ]
        .map(|event| event.to_string()),
    );
    let batches = seed_batches();
    events
        .into_iter()
        .map(String::into_bytes)
        .chain(batches)
        .collect()
}

/// Batches of a table's stream.
pub(super) fn seed_batches() -> Vec<Vec<u8>> {
    let record = |name: &str, number: &str, pk: &str, state: &str| {
        json!({
            "eventID": "1", "eventName": name, "eventSource": "aws:dynamodb",
            "dynamodb": {
                "Keys": {"pk": {"S": pk}}, "SequenceNumber": number, "SizeBytes": 1,
                "NewImage": {"pk": {"S": pk}, "state": {"S": state}, "v": {"N": "1"}},
                "StreamViewType": "NEW_IMAGE",
            },
        })
    };
    let batch = json!({"Records": [
        record("INSERT", "111", "pay:n1", "recorded"),
        record("INSERT", "112", "hmrc:sha256-00", "held"),
        record("MODIFY", "113", "pay:n1", "delivered"),
        record("REMOVE", "114", "~source:pay", "x"),
    ]});
    let unnamed = batch.to_string().replace(r#""SequenceNumber":"112","#, "");
    vec![batch.to_string().into_bytes(), unnamed.into_bytes()]
}
