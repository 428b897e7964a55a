//! From the front to the destination through one function: delivery by a batch and by a sweep.

use std::{sync::Mutex, time::Duration};

use pillarbox::{
    destinations::{DeliveryError, Destination, Event},
    domain::{Key, State},
    lambda::{InvocationError, Role, StreamRecordError},
};
use serde_json::{Value, json};

use test_support::{
    fronts::{LambdaFront, batch, record, sequence},
    function::DeployedFunction,
    message::{both, hmrc, pay},
    server::{NOW, RecordingDestination},
};

#[tokio::test]
async fn a_batch_delivers_a_received_notification_once() {
    let remembers = RecordingDestination::default();
    let deployed = DeployedFunction::with(Role::All, remembers.clone());
    let mut changes = Vec::new();
    for source in both() {
        let key = format!("{}:n1", source.name);
        deployed.records(LambdaFront::HttpApi, &source, "n1").await;
        changes.push((key, "recorded"));
    }
    changes.extend([
        ("~source:pay".to_owned(), "recorded"),
        ("pay:held".to_owned(), "held"),
    ]);
    let changes: Vec<(&str, &str)> = changes
        .iter()
        .map(|(key, state)| (key.as_str(), *state))
        .collect();
    for _ in 0..2 {
        assert_eq!(
            deployed.invoke(&batch(&changes)).await.unwrap(),
            json!({"batchItemFailures": []})
        );
    }
    let mut arrived = remembers.0.lock().unwrap().clone();
    arrived.sort();
    assert_eq!(arrived, ["hmrc:n1", "pay:n1"]);
}

#[tokio::test]
async fn the_sweep_delivers_what_no_batch_delivered() {
    let remembers = RecordingDestination::default();
    let deployed = DeployedFunction::with(Role::All, remembers.clone());
    for n in 0..5 {
        let (id, source) = (format!("n{n}"), hmrc());
        deployed.records(LambdaFront::Rest, &source, &id).await;
    }
    let reply = deployed.invoke(&json!({"role": "sweep"})).await.unwrap();
    assert_eq!(reply, json!({"delivered": 5, "retry": 0, "dead": 0}));
    assert_eq!(remembers.0.lock().unwrap().len(), 5);
    assert_eq!(
        deployed.row("hmrc:n0").await.unwrap().state,
        State::Delivered
    );
}

#[tokio::test]
async fn a_batch_with_a_record_that_can_not_be_read_is_not_begun() {
    let deployed = DeployedFunction::new();
    let source = pay();
    deployed.records(LambdaFront::HttpApi, &source, "n1").await;
    for (problem, spoil) in [
        (
            StreamRecordError::Sequence,
            json!({"dynamodb": {"SequenceNumber": ""}}),
        ),
        (
            StreamRecordError::Sequence,
            json!({"dynamodb": {"SequenceNumber": null}}),
        ),
        (StreamRecordError::Shape, json!({"dynamodb": {"Keys": {}}})),
        (StreamRecordError::Shape, json!({"eventName": "UPSERT"})),
        (StreamRecordError::Shape, json!({"dynamodb": null})),
    ] {
        let mut spoilt = record(1, "INSERT", "pay:n2", "recorded");
        merge(&mut spoilt, &spoil);
        let event = json!({"Records": [record(0, "INSERT", "pay:n1", "recorded"), spoilt]});
        let failure = deployed.invoke(&event).await.unwrap_err();
        assert!(
            matches!(failure, InvocationError::Records(found) if found == problem),
            "{spoil} {failure}"
        );
    }
    assert_eq!(deployed.row("pay:n1").await.unwrap().attempts, 0);
}

/// Puts the fields of `other` in place of those of `value`.
fn merge(value: &mut Value, other: &Value) {
    match (value, other) {
        (Value::Object(value), Value::Object(other)) if !other.is_empty() => {
            for (name, other) in other {
                merge(&mut value[name], other);
            }
        }
        (value, other) => *value = other.clone(),
    }
}

/// A destination with a bug that one event meets.
#[derive(Default)]
struct FaultyDestination(Mutex<Vec<String>>);

impl Destination for FaultyDestination {
    async fn deliver(&self, key: &Key, _: &Event) -> Result<(), DeliveryError> {
        assert!(key.as_str() != "hmrc:n1", "canary");
        self.0.lock().unwrap().push(key.to_string());
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_on_one_row_is_logged_and_the_others_are_delivered() {
    let deployed = DeployedFunction::with(Role::All, FaultyDestination::default());
    let source = hmrc();
    let keys = ["hmrc:n0", "hmrc:n1", "hmrc:n2"];
    for key in keys {
        let id = key.trim_start_matches("hmrc:");
        deployed.records(LambdaFront::HttpApi, &source, id).await;
    }
    let reply = deployed
        .invoke(&batch(&keys.map(|key| (key, "recorded"))))
        .await
        .unwrap();
    assert_eq!(
        reply,
        json!({"batchItemFailures": [{"itemIdentifier": sequence(1)}]})
    );
    assert_eq!(
        deployed.row("hmrc:n2").await.unwrap().state,
        State::Delivered
    );
    let row = deployed.row("hmrc:n1").await.unwrap();
    assert_eq!(
        (row.state, row.attempts),
        (State::Recorded, 1),
        "counted before the work"
    );
    assert!(row.lease.unwrap().until > NOW.plus(Duration::from_secs(60)));
}
