//! How one notification is followed: by its key, which holds the sender's id, and by the platform's
//! request id, in every line from its receipt to its delivery, and at the destination.

use std::sync::Arc;

use pillarbox::{
    destinations::{
        EventBridgeDestination, EventBus, HttpsDestination, HttpsFormat, HttpsSettings,
        SqsDestination, SqsQueue, WebhookSecret,
    },
    lambda::Role,
    secrets::{FetchedSecrets, Secret, SecretSources},
    telemetry::{LogFormat, LogLayer},
};
use serde_json::{Value, json};

use test_support::{
    cloud::{CloudReply, SimulatedAws},
    endpoint::{ConsumerEndpoint, EndpointReply},
    fronts::{LambdaFront, batch},
    function::{DeployedFunction, REQUEST_ID, TRACE_HEADER, post},
    log_buffer::{LogBuffer, listen_with},
    message::pay,
    process::WHSEC,
    server::{FixedClock, NOW},
};

/// A function that delivers to `endpoint`, with these notifications recorded.
async fn function(endpoint: &ConsumerEndpoint, ids: &[&str]) -> DeployedFunction<HttpsDestination> {
    let secret = WebhookSecret::new(&Secret::new(WHSEC.to_owned())).unwrap();
    let settings = HttpsSettings {
        url: endpoint.url().parse().unwrap(),
        format: HttpsFormat::CloudEvents(vec![secret.clone()]),
        allow: Vec::new(),
        ca: None,
        in_flight: None,
    };
    let sources = SecretSources {
        env: &|_| None,
        file: &|path| std::fs::read_to_string(path),
        vault: &FetchedSecrets::default(),
    };
    let endpoint = settings.endpoint(false, &sources, Arc::new(FixedClock));
    let https = HttpsDestination::new(endpoint.unwrap(), vec![secret], Arc::new(FixedClock));
    let deployed = DeployedFunction::with(Role::All, https);
    for id in ids {
        let posted = post(&pay(), pay().message(id, NOW));
        deployed.send(LambdaFront::HttpApi, &posted).await;
    }
    deployed
}

#[tokio::test]
async fn every_line_about_a_notification_has_its_key_and_the_request_id_as_the_endpoint_gets() {
    let endpoint = ConsumerEndpoint::opened();
    let kept = LogBuffer::default();
    let layer = LogLayer::direct(kept.clone(), LogFormat::Json, Arc::new(FixedClock));
    let _listening = listen_with(layer);
    let deployed = function(&endpoint, &["a", "b", "c", "d"]).await;
    let received = kept.lines();

    let delivery = [
        batch(&[("pay:a", "recorded")]), // in the line of the invocation
        batch(&[
            ("pay:b", "recorded"),
            ("pay:c", "recorded"),
            ("pay:a", "recorded"),
        ]),
        json!({"role": "sweep"}),
    ];
    for event in &delivery {
        deployed.invoke(event).await.unwrap();
    }
    let delivered = kept.lines();
    for key in ["pay:a", "pay:b", "pay:c", "pay:d"] {
        for (lines, outcomes) in [
            (&received, &["recorded"][..]),
            (&delivered, &["delivered", "processed", "swept"]),
        ] {
            let of_key: Vec<&Value> = lines.iter().filter(|line| line["key"] == key).collect();
            let [line] = &of_key[..] else {
                panic!("{key}: {of_key:?} of {lines:?}")
            };
            assert_eq!(line["request_id"], REQUEST_ID);
            assert_eq!(line["role"], "all");
            assert!(
                outcomes.contains(&line["outcome"].as_str().unwrap()),
                "{line}"
            );
        }
        let [at_endpoint] = &endpoint.attempts(key)[..] else {
            panic!("{key} is delivered once")
        };
        assert_eq!(at_endpoint.header("x-request-id"), REQUEST_ID);
        assert_eq!(
            at_endpoint.header("traceparent"),
            "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"
        );
    }
}

#[tokio::test]
async fn a_failed_attempt_names_its_invocation_in_a_batch_and_in_a_sweep() {
    let endpoint = ConsumerEndpoint::opened();
    for (status, outcome, level) in [(503, "retry", "WARN"), (422, "dead", "ERROR")] {
        endpoint.answers(move |_, _| EndpointReply::Status(status));
        let deployed = function(&endpoint, &["a", "b"]).await;
        let kept = LogBuffer::default();
        let layer = LogLayer::direct(kept.clone(), LogFormat::Json, Arc::new(FixedClock));
        let _listening = listen_with(layer);
        for (event, key) in [
            (batch(&[("pay:a", "recorded")]), "pay:a"),
            (json!({"role": "sweep"}), "pay:b"),
        ] {
            deployed.invoke(&event).await.unwrap();
            let lines = kept.lines();
            let of_attempt = lines.iter().find(|line| line["outcome"] == outcome);
            let line = of_attempt.unwrap_or_else(|| panic!("{outcome}: {lines:?}"));
            let expected = json!([REQUEST_ID, "all", "pay", key, level, "0.1.0"]);
            let fields = ["request_id", "role", "source", "key", "level", "version"];
            assert_eq!(json!(fields.map(|field| &line[field])), expected);
        }
    }
}

/// Both services document a header for the trace beside the message, so the message stays the same.
#[tokio::test]
async fn a_queue_and_a_bus_get_the_trace_beside_an_unchanged_message() {
    let cloud = SimulatedAws::answering(|call| {
        CloudReply::Done(match call.target.as_str() {
            "SendMessage" => json!({"MessageId": "5fea7756-0ea4-451a-a703-a558b933e274"}),
            _ => json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}], "Name": "ledger"}),
        })
    })
    .await;
    let queue = "https://sqs.eu-west-2.amazonaws.com/111122223333/ledger";
    let queue = SqsDestination::new(&cloud.aws(), SqsQueue::parse(queue).unwrap());
    let bus = EventBridgeDestination::new(&cloud.aws(), EventBus::parse("ledger").unwrap());
    deliver_one(DeployedFunction::with(Role::All, queue)).await;
    deliver_one(DeployedFunction::with(Role::All, bus)).await;
    assert_eq!(
        cloud.calls("SendMessage")[0].body["MessageSystemAttributes"],
        json!({"AWSTraceHeader": {"DataType": "String", "StringValue": TRACE_HEADER}})
    );
    let put = &cloud.calls("PutEvents")[0].body["Entries"][0];
    assert_eq!(put["TraceHeader"], TRACE_HEADER);
    assert!(!put["Detail"].as_str().unwrap().contains("5759e988"));
}

async fn deliver_one<D: pillarbox::Destination>(deployed: DeployedFunction<D>) {
    let posted = post(&pay(), pay().message("a", NOW));
    deployed.send(LambdaFront::HttpApi, &posted).await;
    deployed.invoke(&json!({"role": "sweep"})).await.unwrap();
}
