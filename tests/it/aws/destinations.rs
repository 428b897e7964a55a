//! SQS and EventBridge: the exact requests, and the meaning of each answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use pillarbox::destinations::{
    DeliveryError, Destination, EventBridgeDestination, EventBus, SqsDestination, SqsQueue,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::{Duration, Instant};

use test_support::{
    cloud::{AwsCall, CloudReply, SimulatedAws},
    sample_events::{AT, captured, long},
};

const QUEUE: &str = "https://sqs.eu-west-2.amazonaws.com/111122223333/ledger";
/// No error repeats what was sent, or AWS's message about it.
const CANARY: &str = "canary";

fn sqs(cloud: &SimulatedAws, url: &str) -> SqsDestination {
    SqsDestination::new(&cloud.aws(), SqsQueue::parse(url).unwrap())
}

fn bus(cloud: &SimulatedAws) -> EventBridgeDestination {
    EventBridgeDestination::new(&cloud.aws(), EventBus::parse("ledger").unwrap())
}

fn sent() -> CloudReply {
    CloudReply::Done(json!({"MessageId": "5fea7756-0ea4-451a-a703-a558b933e274"}))
}

/// The bus is there, and each event ends so.
fn putting(reply: CloudReply) -> impl Fn(&AwsCall) -> CloudReply {
    move |call| {
        if call.target == "DescribeEventBus" {
            CloudReply::Done(json!({"Name": "ledger"}))
        } else {
            reply.clone()
        }
    }
}

fn put() -> CloudReply {
    CloudReply::Done(json!({"FailedEntryCount": 0,
            "Entries": [{"EventId": "11710aed-b79e-4468-a20b-bb3c0c3b4860"}]}))
}

fn failed(code: &str) -> CloudReply {
    let entry = json!({"ErrorCode": code, "ErrorMessage": CANARY});
    CloudReply::Done(json!({"FailedEntryCount": 1, "Entries": [entry]}))
}

/// How a delivery ended, in one word. Its error repeats nothing of the request.
fn outcome(delivered: Result<(), DeliveryError>) -> &'static str {
    let error = delivered
        .as_ref()
        .err()
        .map_or_else(String::new, ToString::to_string);
    assert!(
        !error.contains(CANARY) && !error.contains("5000") && error.len() < 200,
        "{error}"
    );
    assert!(
        error.is_empty() || error.contains("ledger"),
        "the error names the destination: {error}"
    );
    match delivered {
        Ok(()) => "arrived",
        Err(DeliveryError::Refused(_)) => "dead",
        Err(_) => "again",
    }
}

#[tokio::test]
async fn a_standard_queue_gets_the_event_and_its_key_and_nothing_else() {
    let cloud = SimulatedAws::answering(|_| sent()).await;
    let (key, event) = captured("pay:m1", Some("p1"));
    sqs(&cloud, QUEUE).deliver(&key, &event).await.unwrap();
    let body = std::str::from_utf8(event.json()).unwrap();
    let attributes = json!({"id": {"DataType": "String", "StringValue": "pay:m1"}});
    let expected = json!({"QueueUrl": QUEUE, "MessageBody": body, "MessageAttributes": attributes});
    assert_eq!(
        cloud
            .calls("SendMessage")
            .iter()
            .map(|call| &call.body)
            .collect::<Vec<_>>(),
        [&expected]
    );
}

#[tokio::test]
async fn a_fifo_queue_keeps_a_payment_s_events_in_order_and_swallows_copies() {
    let cloud = SimulatedAws::answering(|_| sent()).await;
    let queue = sqs(&cloud, &format!("{QUEUE}.fifo"));
    let hashed = |text: &str| hex::encode(Sha256::digest(text));
    let long_key = format!("pay:{}", "m".repeat(200));
    let cases = [
        ("pay:m1", Some("p1"), "p1".to_owned(), "pay:m1".to_owned()),
        ("pay:m2", None, "pay:m2".to_owned(), "pay:m2".to_owned()),
        (
            "pay:m3",
            Some("a payment"),
            hashed("a payment"),
            "pay:m3".to_owned(),
        ),
        (&long_key, Some("p1"), "p1".to_owned(), hashed(&long_key)),
    ];
    for (key, subject, ..) in &cases {
        let (key, event) = captured(key, *subject);
        queue.deliver(&key, &event).await.unwrap();
    }
    for (call, (key, _, group, deduplication)) in cloud.calls("SendMessage").iter().zip(cases) {
        assert_eq!(call.body["MessageGroupId"], group, "{key}");
        assert_eq!(call.body["MessageDeduplicationId"], deduplication, "{key}");
        assert_eq!(call.body["MessageAttributes"]["id"]["StringValue"], key);
    }
}

#[tokio::test]
async fn a_bus_gets_the_same_object_with_who_what_and_when() {
    let cloud = SimulatedAws::answering(putting(put())).await;
    let (key, event) = captured("pay:m1", Some("p1"));
    bus(&cloud).deliver(&key, &event).await.unwrap();
    let calls = cloud.calls("PutEvents");
    let entry = &calls[0].body["Entries"][0];
    assert_eq!(entry["EventBusName"], "ledger");
    assert_eq!(entry["Source"], "pillarbox.pay");
    assert_eq!(entry["DetailType"], "card_payment_captured");
    assert_eq!(entry["Detail"], std::str::from_utf8(event.json()).unwrap());
    assert_eq!(
        entry["Time"]
            .as_f64()
            .map(|seconds| (seconds * 1_000.0).round() as i64),
        Some(AT.as_millis())
    );
    assert_eq!(
        (
            calls.len(),
            calls[0].body["Entries"].as_array().map(Vec::len)
        ),
        (1, Some(1))
    );
}

#[tokio::test]
async fn an_event_that_is_too_large_has_a_reference_instead_of_its_data() {
    let cloud = SimulatedAws::answering(|call| {
        if call.target == "SendMessage" {
            sent()
        } else {
            putting(put())(call)
        }
    })
    .await;
    for (length, is_whole) in [(261_000, true), (263_000, false)] {
        let (key, event) = long("hmrc:n1", length);
        sqs(&cloud, QUEUE).deliver(&key, &event).await.unwrap();
        bus(&cloud).deliver(&key, &event).await.unwrap();
        let message = cloud.calls("SendMessage").pop().unwrap().body["MessageBody"].clone();
        let detail = cloud.calls("PutEvents").pop().unwrap().body["Entries"][0]["Detail"].clone();
        assert_eq!(message, detail, "one object, wherever it goes");
        let object: Value = serde_json::from_str(message.as_str().unwrap()).unwrap();
        assert_eq!(
            (
                object.get("data").is_some(),
                object.get("dataref").is_none()
            ),
            (is_whole, is_whole),
            "{length}"
        );
        assert_eq!(object["id"], "hmrc:n1");
        if !is_whole {
            assert_eq!(object["dataref"], "hmrc:n1");
        }
    }
}

#[tokio::test]
async fn each_attempt_sends_the_same_bytes() {
    let times = AtomicUsize::new(0);
    let faults = move |call: &AwsCall| match (
        call.target.as_str(),
        times.fetch_add(1, Ordering::SeqCst) % 5,
    ) {
        ("DescribeEventBus", _) => CloudReply::Done(json!({"Name": "ledger"})),
        (_, 0) => CloudReply::Fault(400, "ThrottlingException", "Rate exceeded"),
        (_, 1) => CloudReply::Drop,
        (_, 2) => CloudReply::Page(502),
        (_, 3) => CloudReply::Fault(500, "InternalFailure", ""),
        (target, _) => {
            if target == "SendMessage" {
                sent()
            } else {
                put()
            }
        }
    };
    let cloud = SimulatedAws::answering(faults).await;
    let (key, event) = captured("pay:m1", Some("p1"));
    let (queue, bus) = (sqs(&cloud, &format!("{QUEUE}.fifo")), bus(&cloud));
    while queue.deliver(&key, &event).await.is_err() {}
    while bus.deliver(&key, &event).await.is_err() {}
    for target in ["SendMessage", "PutEvents"] {
        let bodies: Vec<String> = cloud
            .calls(target)
            .iter()
            .map(|call| call.body.to_string())
            .collect();
        assert!(
            bodies.len() > 3 && bodies.iter().all(|body| *body == bodies[0]),
            "{target}: {bodies:?}"
        );
    }
}

#[tokio::test]
async fn of_sqs_only_what_is_wrong_with_the_message_is_a_refusal() {
    for (reply, expected) in [
        (sent(), "arrived"),
        (
            CloudReply::Fault(400, "InvalidMessageContents", CANARY),
            "dead",
        ),
        (
            CloudReply::Fault(
                400,
                "InvalidParameterValue",
                "One or more parameters are invalid. Reason: Message must be shorter than 1024 \
                 bytes.",
            ),
            "dead",
        ),
        // Wrong for every message, so no message dies of it.
        (
            CloudReply::Fault(400, "InvalidParameterValue", CANARY),
            "again",
        ),
        (CloudReply::Fault(400, "InvalidAddress", CANARY), "again"),
        (CloudReply::Fault(400, "ValidationError", CANARY), "again"),
        // Nothing of the response from SQS.
        (
            CloudReply::Foreign(400, json!({"__type": "InvalidMessageContents"})),
            "again",
        ),
        (
            CloudReply::Foreign(200, json!({"MessageId": "5fea7756"})),
            "again",
        ),
        (
            CloudReply::Done(json!({"MessageId": "5fea7756", "MD5OfMessageBody": null})),
            "again",
        ),
        (
            CloudReply::Done(json!({"MessageId": "5fea7756",
                "MD5OfMessageBody": "d41d8cd98f00b204e9800998ecf8427e"})),
            "again",
        ),
        (CloudReply::Fault(400, "QueueDoesNotExist", CANARY), "again"),
        (
            CloudReply::Fault(403, "AccessDeniedException", CANARY),
            "again",
        ),
        (CloudReply::Fault(400, "KmsAccessDenied", CANARY), "again"),
        (CloudReply::Fault(400, "KmsDisabled", CANARY), "again"),
        (CloudReply::Fault(403, "RequestThrottled", CANARY), "again"),
        (
            CloudReply::Fault(403, "ExpiredTokenException", CANARY),
            "again",
        ),
        (CloudReply::Fault(500, "InternalFailure", CANARY), "again"),
        (CloudReply::Page(413), "again"),
        (CloudReply::Page(200), "again"),
        (CloudReply::Done(json!({})), "again"),
        (CloudReply::Half(json!({"MessageId": "5fea7756"})), "again"),
        (CloudReply::Drop, "again"),
    ] {
        let answer = reply.clone();
        let cloud = SimulatedAws::answering(move |_| answer.clone()).await;
        let (key, event) = captured("pay:m1", Some("p1"));
        assert_eq!(
            outcome(sqs(&cloud, QUEUE).deliver(&key, &event).await),
            expected,
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn eventbridge_refuses_only_invalid_events_and_a_200_alone_proves_nothing() {
    for (reply, expected) in [
        (put(), "arrived"),
        (failed("MalformedDetail"), "dead"),
        (
            CloudReply::Done(json!({"FailedEntryCount": 1, "Entries": [{
                "ErrorCode": "InvalidArgument",
                "ErrorMessage": "Parameter DetailType is not valid.",
            }]})),
            "dead",
        ),
        // Wrong for every event, so no event dies of it.
        (failed("InvalidArgument"), "again"),
        (
            CloudReply::Done(json!({"FailedEntryCount": 1, "Entries": [{"EventId": "1"}]})),
            "again",
        ),
        (
            CloudReply::Foreign(
                200,
                json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}),
            ),
            "again",
        ),
        (failed("ThrottlingException"), "again"),
        (failed("InternalFailure"), "again"),
        (failed("AccessDeniedException"), "again"),
        (failed("NotAuthorizedForSourceException"), "again"),
        (failed(&format!("\u{1b}[31m{}", "x".repeat(300))), "again"),
        (
            CloudReply::Done(json!({"FailedEntryCount": 0, "Entries": []})),
            "again",
        ),
        (
            CloudReply::Done(json!({"FailedEntryCount": 0, "Entries": [{}]})),
            "again",
        ),
        (CloudReply::Done(json!({})), "again"),
        (
            CloudReply::Fault(400, "ValidationException", CANARY),
            "again",
        ),
        (
            CloudReply::Fault(400, "AccessDeniedException", CANARY),
            "again",
        ),
        (
            CloudReply::Fault(400, "ResourceNotFoundException", CANARY),
            "again",
        ),
        (
            CloudReply::Fault(400, "ThrottlingException", CANARY),
            "again",
        ),
        (CloudReply::Page(502), "again"),
        (
            CloudReply::Half(json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]})),
            "again",
        ),
        (CloudReply::Drop, "again"),
    ] {
        let cloud = SimulatedAws::answering(putting(reply.clone())).await;
        let (key, event) = captured("pay:m1", Some("p1"));
        assert_eq!(
            outcome(bus(&cloud).deliver(&key, &event).await),
            expected,
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn a_bus_that_is_not_there_gets_nothing_since_it_would_be_dropped() {
    let (key, event) = captured("pay:m1", Some("p1"));
    for (look, expected, events) in [
        (
            CloudReply::Fault(400, "ResourceNotFoundException", CANARY),
            "again",
            0,
        ),
        (CloudReply::Page(502), "again", 0),
        (
            CloudReply::Fault(400, "AccessDeniedException", CANARY),
            "arrived",
            2,
        ),
        (CloudReply::Done(json!({"Name": "ledger"})), "arrived", 2),
    ] {
        let answer = look.clone();
        let cloud = SimulatedAws::answering(move |call| {
            if call.target == "PutEvents" {
                put()
            } else {
                answer.clone()
            }
        })
        .await;
        let bus = bus(&cloud);
        assert_eq!(
            outcome(bus.deliver(&key, &event).await),
            expected,
            "{look:?}"
        );
        assert_eq!(
            outcome(bus.deliver(&key, &event).await),
            expected,
            "{look:?}"
        );
        assert_eq!(cloud.calls("PutEvents").len(), events, "{look:?}");
        if expected == "arrived" {
            assert_eq!(
                cloud.calls("DescribeEventBus").len(),
                1,
                "it is looked for once"
            );
        }
        // Events are delivered once the bus exists.
        cloud.answers(putting(put()));
        assert_eq!(outcome(bus.deliver(&key, &event).await), "arrived");
    }
}

/// In time that passes as fast as nothing happens.
#[tokio::test(start_paused = true)]
async fn a_destination_that_hangs_ends_its_attempt_long_before_the_processor_does() {
    let cloud = SimulatedAws::answering(|_| CloudReply::Silence).await;
    let (key, event) = captured("pay:m1", Some("p1"));
    for delivered in [sqs(&cloud, QUEUE).deliver(&key, &event).await, {
        let began = Instant::now();
        let delivered = bus(&cloud).deliver(&key, &event).await;
        assert!(
            began.elapsed() <= Duration::from_secs(11),
            "{:?}",
            began.elapsed()
        );
        delivered
    }] {
        assert_eq!(outcome(delivered), "again");
    }
}
